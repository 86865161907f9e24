"""Hostile bodies over real sockets: each is refused cleanly, and the memory of the service stays bounded."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.web.bodies import DEEPEST, MOST_CONTAINERS, MOST_VALUES, parsed
from api.web.problems import Problem

MIB = 2**20
BODY_S = 4
MOST_MIB = 250
"""By which the service may grow, whatever it is sent: longest bodies, and what is made of one of them."""


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory, start: Any, tiny_scenario: Any) -> Iterator[Any]:
    """A service that has read a scenario before."""
    many = dict.fromkeys(("reads", "writes", "refused"), "100000/second") | {"body_s": BODY_S}
    served = start(tmp_path_factory.mktemp("bounded"), limits=many)
    assert served.http.post("/v1/plans", json={"scenario": tiny_scenario() | {"odd": 1}}).status_code == 422
    yield served
    served.kill()


def peak_mib(service: Any) -> float:
    """The most memory that the process has had."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@pytest.fixture
def growth(bounded: Any) -> Iterator[None]:
    """Fails where the service grew by more than it may."""
    before = peak_mib(bounded)
    yield
    assert bounded.http.get("/healthz").status_code == 200
    assert peak_mib(bounded) - before < MOST_MIB


def scenario(inside: bytes) -> bytes:
    return b'{"scenario": {"name": ' + inside + b"}}"


def many(piece: bytes, count: int) -> bytes:
    return b"[" + piece * count + b"1]"


HOSTILE = {
    "empty lists": (scenario(many(b"[],", 10 * MIB)), 413, "lists and objects"),
    "empty objects": (scenario(many(b"{},", 10 * MIB)), 413, "lists and objects"),
    "numbers": (scenario(many(b"1,", 15 * MIB)), 413, "values"),
    "as many lists as are read": (scenario(many(b"[],", MOST_CONTAINERS - 10)), 422, ""),
    "as many objects as are read": (scenario(many(b'{"a":1},', MOST_CONTAINERS - 10)), 422, ""),
    "as many fractions as are read": (scenario(many(b"0.5,", MOST_VALUES - 10)), 422, ""),
    "as many texts as are read": (scenario(many('"é",'.encode(), MOST_VALUES - 10)), 422, ""),
    "one long text of four bytes a letter": (scenario(b'"' + "\N{ROCKET}".encode() * (7 * MIB) + b'"'), 422, ""),
    "nested 10,000 deep": (scenario(b"[" * 10_000 + b"]" * 10_000), 400, "nested too deeply"),
    "objects nested 10,000 deep": (scenario(b'{"a":' * 10_000 + b"1" + b"}" * 10_000), 400, "nested too deeply"),
    "nested without end": (b"[" * (31 * MIB), 413, "lists and objects"),
    "not a number": (scenario(b"NaN"), 400, "not JSON"),
    "infinity": (scenario(b"-Infinity"), 400, "not JSON"),
    "half a surrogate pair": (scenario(b'"\\ud800"'), 400, "not JSON"),
    "NUL": (scenario(b'"a\\u0000b"'), 422, ""),
    "not UTF-8": (scenario(b'"\xff\xfe"'), 400, "not JSON"),
    "UTF-16": ('{"scenario": {}}'.encode("utf-16"), 400, "not JSON"),
    "a number of 100,000 digits": (scenario(b"1" * 100_000), 400, "not JSON"),
    "direction and invisible marks": (scenario('"\u202eabc\u200b\ufeff"'.encode()), 422, ""),
}  # fmt: skip
"""Bodies, and what is said of them."""


@pytest.mark.usefixtures("growth")
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_body_is_refused_in_bounded_memory(bounded: Any, what: str) -> None:
    """With the status of its mistake, as a problem of one line."""
    body, status, says = HOSTILE[what]
    answer = bounded.http.post("/v1/plans", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert says in answer.json()["detail"]
    assert len(answer.content) < 100_000


def sent(service: Any, chunked: bool) -> bytes:
    """What comes back for 100 MB, with its length before it or in chunks."""
    url, piece = service.http.base_url, b"x" * 65536
    length = "transfer-encoding: chunked" if chunked else f"content-length: {100 * MIB}"
    with socket.create_connection((url.host, url.port), timeout=30) as connection:
        connection.sendall(f"POST /v1/plans HTTP/1.1\r\nhost: 127.0.0.1\r\n{length}\r\n\r\n".encode())
        try:
            for _ in range(100 * MIB // len(piece)):
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            return connection.recv(65536)
        except ConnectionResetError:
            return b""


@pytest.mark.usefixtures("growth")
@pytest.mark.parametrize("chunked", [False, True])
def test_a_hundred_megabytes_are_not_kept(bounded: Any, chunked: bool) -> None:
    """Whether their length is known or not."""
    answer = sent(bounded, chunked)
    assert not answer or answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.soak
@pytest.mark.usefixtures("growth")
def test_many_large_bodies_at_once(bounded: Any) -> None:
    """Twelve of 24 MiB at once: what does not fit is told to come again, the others are read one at a time."""
    body, answers = scenario(b'"' + b"x" * (24 * MIB) + b'"'), list[int]()

    def ask() -> None:
        with httpx.Client(base_url=bounded.http.base_url, timeout=60) as http:
            answer = http.post("/v1/plans", content=body, headers={"Content-Type": "application/json"})
            answers.append(answer.status_code)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {422, 503, 408}
    assert 422 in answers


@pytest.mark.soak
@pytest.mark.usefixtures("growth")
def test_many_slow_bodies_at_once(bounded: Any) -> None:
    """Two hundred that trickle in hold no more than they have sent, and end with 408; others are answered meanwhile."""
    url = bounded.http.base_url
    head = ("POST /v1/plans HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {30 * MIB}\r\n\r\n")
    slow = [socket.create_connection((url.host, url.port), timeout=30) for _ in range(200)]
    began = time.monotonic()
    for connection in slow:
        connection.sendall(head.encode() + b"[" * 1000)
    for connection in slow:
        connection.sendall(b"[" * 1000)
    assert bounded.http.get("/v1/plans").status_code == 200
    answers = [connection.recv(12) for connection in slow]
    for connection in slow:
        connection.close()
    assert set(answers) == {b"HTTP/1.1 408"}
    assert time.monotonic() - began > BODY_S - 1


@pytest.mark.parametrize(("method", "path"), [
    ("PUT", "/v1/clusters/a/health"), ("POST", "/v1/plans/x/approve"), ("POST", "/v1/models/rollback"),
])
def test_a_route_takes_what_it_needs(bounded: Any, method: str, path: str) -> None:
    """A step or a report of more than 64 KiB is refused by its length, though a scenario may be longer."""
    answer = bounded.http.request(method, path, json={"why": "x" * 70_000}, headers={"If-Match": "*"})
    assert (answer.status_code, "this route takes" in answer.json()["detail"]) == (413, True), answer.text


@pytest.mark.usefixtures("growth")
def test_long_yaml_is_refused_before_it_is_read(bounded: Any) -> None:
    """Its values take two hundred times their length."""
    answer = bounded.http.post("/v1/scenarios", content=b"- " * MIB, headers={"Content-Type": "application/yaml"})
    assert (answer.status_code, "put long lists into tables" in answer.json()["detail"]) == (413, True), answer.text


def test_brackets_in_texts_are_no_depth() -> None:
    """Neither plain ones nor those after an escaped quote; what is as deep as allowed is read."""
    text = json.dumps({"a": ["[" * 1000, '"' + "{" * 1000, "\\"], "b": [[]] * 100})
    assert parsed(text.encode()) == json.loads(text)
    assert parsed(b"[" * DEEPEST + b"]" * DEEPEST)
    with pytest.raises(Problem, match="nested too deeply"):
        parsed(b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1))
