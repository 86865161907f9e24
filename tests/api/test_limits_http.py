"""What one caller cannot take from the others: requests by the second, connections that stay silent, slow bodies."""

import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from api.database.engine import upgrade
from api.security.keys import Keys
from api.security.limits import Rates
from api.serve import run
from api.settings import Limits, Settings
from api.web.problems import Problem
from planner.errors import InputError

PROXY, STRANGER = "127.0.0.2", "127.0.0.3"
"""Addresses of this machine that requests may come from."""
FEW = {"reads": "20/minute", "writes": "5/minute", "refused": "10/minute", "body_s": 1}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, start: Any) -> Iterator[tuple[Any, dict[str, str]]]:
    """A service that bears little, and keys of three callers of two tenants."""
    folder = tmp_path_factory.mktemp("limited")
    upgrade(Settings(data=folder).store)
    store = Keys(Settings(data=folder).store, "test")
    keys = {name: store.create(name, ["admin"], tenant, None)[1]
            for name, tenant in (("a", "default"), ("b", "default"), ("c", "acme"), ("d", "acme"))}  # fmt: skip
    store.close()
    served = start(folder, limits=FEW, proxies=[PROXY])
    yield served, keys
    served.kill()


def test_one_caller_too_often(limited: Any) -> None:
    """The 21st read and the 6th write of a minute are 429 with `Retry-After`; other callers do not feel it."""
    service, keys = limited

    def ask(name: str, method: str = "GET") -> Any:
        path = "/v1/jobs" if method == "GET" else "/v1/jobs/none/cancel"
        return service.http.request(method, path, headers={"X-API-Key": keys[name]})

    assert Counter(ask("a").status_code for _ in range(30)) == {200: 20, 429: 10}
    answer = ask("a")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith("more than 20 per 1 minute: ask again in ")
    assert Counter(ask("a", "POST").status_code for _ in range(8)) == {404: 5, 429: 3}
    assert ask("b").status_code == ask("c").status_code == 200


def test_strangers_too_often(limited: Any) -> None:
    """After ten guesses in a minute an address hears 429 for more of them; who has a key there is still answered."""
    service, keys = limited
    found = [service.http.get("/v1/jobs", headers={"X-API-Key": f"pk_{'0' * 12}_{number}"}).status_code
             for number in range(20)]  # fmt: skip
    assert set(found) == {401, 429}
    assert found == sorted(found)
    assert service.http.get("/v1/jobs", headers={"X-API-Key": keys["d"]}).status_code == 200
    assert service.http.get("/healthz").status_code == 200


def guesses(service: Any, by: str, addresses: list[str]) -> list[int]:
    """What an address of this machine hears for keys that are nobody's, saying for whom it asks."""
    with httpx.Client(base_url=service.http.base_url, transport=httpx.HTTPTransport(local_address=by)) as client:
        return [client.get("/v1/jobs", headers={"X-API-Key": "pk_", "X-Forwarded-For": address}).status_code
                for address in addresses]


def test_a_proxy_says_who_asks(limited: Any) -> None:
    """Behind a proxy of the settings, who guesses too often is alone in hearing 429; others cannot say that they are
    somebody else.
    """
    service, _ = limited
    assert guesses(service, PROXY, ["203.0.113.7"] * 12 + ["203.0.113.8"]) == [401] * 10 + [429] * 2 + [401]
    assert guesses(service, PROXY, ["203.0.113.9, 203.0.113.7"]) == [429]
    assert guesses(service, STRANGER, [f"203.0.113.{number}" for number in range(12)]) == [401] * 10 + [429] * 2


def test_a_proxy_before_a_service_makes_it_one_that_others_can_ask(tmp_path: Path) -> None:
    """It does not start without a key, as where it listens for others itself."""
    with pytest.raises(InputError, match=r"proxies: 127\.0\.0\.2: others could ask, and there is no valid key"):
        run(Settings(data=tmp_path, port=0, proxies=(PROXY,)))


@pytest.mark.parametrize("proxy", ["*", "0.0.0.0/0", "::/0", "10.0.0.5/8", "proxy.example"])
def test_not_everybody_is_a_proxy(tmp_path: Path, proxy: str) -> None:
    """Whoever could say to be anybody is no proxy, and names are none."""
    with pytest.raises(ValidationError, match=re.escape(f"{proxy}: ")):
        Settings(data=tmp_path, proxies=(proxy,))


def talked(service: Any, head: bytes, pieces: list[bytes], wait_s: float) -> tuple[bytes, float]:
    """What comes back, and after how long, when a request arrives piece by piece; what is sent after the answer may be
    refused.
    """
    url, began = service.http.base_url, time.monotonic()
    with socket.create_connection((url.host, url.port), timeout=30) as connection:
        connection.sendall(head)
        answer = b""
        connection.settimeout(wait_s)
        with suppress(ConnectionError):
            for piece in pieces:
                try:
                    answer += connection.recv(65536)
                    break
                except TimeoutError:
                    connection.sendall(piece)
        connection.settimeout(30)
        with suppress(ConnectionError):
            while found := connection.recv(65536):
                answer += found
    return answer, time.monotonic() - began


def test_a_slow_body(limited: Any) -> None:
    """A body that trickles in is not waited for longer than the settings say: 408, and the connection is closed."""
    service, keys = limited
    head = (f"POST /v1/plans HTTP/1.1\r\nhost: x\r\nx-api-key: {keys['b']}\r\ncontent-type: application/json\r\n"
            "content-length: 1000\r\n\r\n").encode()  # fmt: skip
    answer, seconds = talked(service, head, [b" "] * 100, 0.2)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] == "body: not here after 1 s"
    assert seconds < 10


def test_a_silent_connection(limited: Any) -> None:
    """A connection without a request, or with a head that does not end, is closed."""
    service, _ = limited
    heads = (b"", b"GET /healthz HTTP/1.1\r\nx: ")
    with ThreadPoolExecutor(len(heads)) as clients:
        found = clients.map(lambda head: talked(service, head, [b"y"] * 100 if head else [], 0.3), heads)
        for answer, seconds in found:
            assert answer == b""
            assert seconds < 25


def test_a_refused_stranger_is_not_waited_for(limited: Any) -> None:
    """Who is not known and sends a slow body is answered within the same time."""
    service, _ = limited
    head = b"POST /v1/plans HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
    answer, seconds = talked(service, head, [b" "] * 100, 0.2)
    assert answer[:12] in (b"HTTP/1.1 401", b"HTTP/1.1 408", b"HTTP/1.1 429")
    assert seconds < 10


@pytest.mark.parametrize("rate", ["", "many", "5", "-1/second", "5/fortnight", "5/second and more"])
def test_a_rate_that_is_none(rate: str) -> None:
    """It is told what one looks like."""
    with pytest.raises(ValidationError, match="100/second is one"):
        Limits(reads=rate)


def test_several_rates_hold_together() -> None:
    """The stricter of two decides."""
    rates = Rates(Limits(reads="3/second; 4/hour"))
    for _ in range(3):
        rates.admit("GET", "acme", "ci")
    with pytest.raises(Problem, match="more than 3 per 1 second"):
        rates.admit("GET", "acme", "ci")
    rates.admit("POST", "acme", "ci")
    rates.admit("GET", "globex", "ci")
