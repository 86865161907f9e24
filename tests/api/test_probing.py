"""Probes of the service: what they look at, when they say so, and that requests go by it."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from api.directing.probing import Streak
from api.settings import Probe

Json = dict[str, Any]


class Page(BaseHTTPRequestHandler):
    """A page that answers as it is told to."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def page() -> Iterator[HTTPServer]:
    Page.status = 204
    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def until(what: Callable[[], bool], seconds: float = 120) -> None:
    give_up = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_probes_decide_where_requests_go(serve: Any, tiny: Json, page: HTTPServer) -> None:
    """A page that fails loses its cluster, as a port does that is closed; one that answers again is on hold."""
    url, port = f"http://127.0.0.1:{page.server_port}/ready", page.server_port
    often = {"every_s": 0.1, "timeout_s": 5, "down_after": 2}
    probes = [{"cluster": "cheap", "url": url, **often}, {"cluster": "dear", "url": f"tcp://127.0.0.1:{port}", **often},
              {"cluster": "elsewhere", "url": url, **often}]
    service = serve(probes=probes)
    tiny["horizon"]["start"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:00:00Z")
    tiny["workloads"] = tiny["workloads"][:1]
    service.ended(service.ask({"scenario": tiny | {"survive": "cluster"}}).json()["id"])

    def health(cluster: str) -> Json:
        found: Json = service.http.get(f"/v1/clusters/{cluster}/health").json()
        return found

    until(lambda: bool(health("cheap").get("reports")) and bool(health("dear").get("reports")))
    assert {health(name)["state"] for name in ("cheap", "dear")} == {"up"}
    assert health("cheap")["reports"][0]["source"].endswith(f" {url}")
    Page.status = 503
    until(lambda: health("cheap")["state"] == "down")
    assert health("cheap")["reports"][0]["note"] == f"{url}: status 503"
    assert health("dear")["state"] == "up"
    assert service.http.get("/v1/direct/claims-etl").json()["cluster"] == "dear"
    Page.status = 200
    until(lambda: health("cheap")["state"] == "returning")
    page.shutdown()
    page.server_close()
    until(lambda: health("dear")["state"] == "down")
    assert "Connect" in health("dear")["reports"][0]["note"]
    assert service.http.get("/v1/clusters/elsewhere/health").status_code == 404
    assert service.stop() == 0


@given(looks=st.lists(st.booleans(), max_size=60), down_after=st.integers(1, 5), up_after=st.integers(1, 5))
def test_a_word_changes_after_enough_looks_in_a_row(looks: list[bool], down_after: int, up_after: int) -> None:
    """`down` is said when so many looks in a row failed, `up` when so many succeeded; in between it stays as it was."""
    streak, word = Streak(down_after, up_after), None
    for count, well in enumerate(looks, 1):
        if count >= down_after and not any(looks[count - down_after : count]):
            word = "down"
        elif count >= up_after and all(looks[count - up_after : count]):
            word = "up"
        assert streak.add(well) == word


@pytest.mark.parametrize(
    ("url", "says"),
    [("aws-dublin", "http://HOST"), ("ftp://a/b", "http://HOST"), ("tcp://a", "no port; tcp://a:443"),
     ("http://a:99999/", "Port out of range"), ("file:///etc/passwd", "http://HOST")],
)  # fmt: skip
def test_an_address_that_cannot_be_probed(url: str, says: str) -> None:
    """Other schemes, and ports that are missing or are none, are refused with what is allowed."""
    with pytest.raises(ValidationError, match=says):
        Probe(cluster="a", url=url)
