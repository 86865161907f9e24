"""Requests are made again where that is safe, and only there; answers that are problems are raised as what they are."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from planner.client import (
    Client,
    ConflictError,
    InvalidError,
    NotDoneError,
    NotFoundError,
    ServiceError,
    StaleError,
    TooManyRequestsError,
    UnavailableError,
    UnreachableError,
)

BROKEN = (0, "", {})
"""An answer that does not come: the connection is closed."""
OK = (200, '{"status": "ok"}', {})
JOB = """{"id": "j", "kind": "plan", "name": "n", "status": "%s", "priority": 0, "attempts": 1, "created_at": "",
"started_at": null, "finished_at": null, "settings": {}, "progress": null, "errors": ["%s"], "address": "/v1/plans/j"}
""".replace("\n", "")
Answer = tuple[int, str, dict[str, str]]


class Scripted(BaseHTTPRequestHandler):
    """Gives one answer after another, the last one for ever, and remembers what was asked."""

    protocol_version = "HTTP/1.1"
    answers: list[Answer]
    asked: list[tuple[str, str, dict[str, str]]]

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.asked.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
        status, body, headers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status == 0:
            self.connection.close()
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in ({"content-length": str(len(body.encode()))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - so http.server calls them

    def log_message(self, *arguments: Any) -> None:
        pass


Script = Callable[..., tuple[Client, list[tuple[str, str, dict[str, str]]]]]


@pytest.fixture
def script() -> Iterator[Script]:
    """A client, and what it asked of a server that answers as told."""
    running: list[ThreadingHTTPServer] = []

    def start(*answers: Answer, **how: Any) -> Any:
        asked: list[Any] = []
        handler = type("Handler", (Scripted,), {"answers": list(answers), "asked": asked})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        running.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return Client(f"http://127.0.0.1:{server.server_port}", **{"pause_s": 0.001, **how}), asked

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def problem(status: int, detail: str = "no", **headers: str) -> Answer:
    return status, f'{{"status": {status}, "detail": "{detail}", "errors": ["a", "b"], "found": 7}}', headers


@pytest.mark.parametrize("first", [BROKEN, problem(503), problem(502), problem(504), problem(429)])
def test_reading_is_tried_again(script: Script, first: Answer) -> None:
    """No answer, or one that says later, is followed by another request."""
    client, asked = script(first, first, OK)
    assert client.service.alive().status == "ok"
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("answer", "error"),
    [(problem(503), UnavailableError), (problem(429), TooManyRequestsError), (BROKEN, UnreachableError)],
)
def test_not_for_ever(script: Script, answer: Answer, error: type[Exception]) -> None:
    """After the last try the reason is raised."""
    client, asked = script(answer, retries=2)
    with pytest.raises(error):
        client.service.alive()
    assert len(asked) == 3


def test_one_key_for_all_tries(script: Script) -> None:
    """What is queued twice is queued under the same key, another one for each call, or that of the caller."""
    client, asked = script(BROKEN, problem(503), (202, JOB % ("queued", ""), {}))
    for _ in range(2):
        client.jobs.ask("train", {})
    client.jobs.ask("train", {}, key="mine")
    keys = [headers["idempotency-key"] for _, _, headers in asked]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert keys[4] == "mine"


def test_a_step_is_not_taken_twice(script: Script) -> None:
    """A request that changes something and has no key is sent once, unless it was turned away at the door."""
    client, asked = script(BROKEN)
    with pytest.raises(UnreachableError):
        client.alarms.acknowledge("a")
    assert len(asked) == 1
    client, asked = script(problem(503))
    with pytest.raises(UnavailableError):
        client.alarms.acknowledge("a")
    assert len(asked) == 1
    client, asked = script(problem(429), (200, "{}", {}))
    client.alarms.acknowledge("a")
    assert len(asked) == 2
    nobody = Client("http://127.0.0.1:1", retries=1, pause_s=0.001)
    with pytest.raises(UnreachableError, match="ConnectError"):
        nobody.alarms.acknowledge("a")


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, InvalidError), (422, InvalidError), (404, NotFoundError), (409, ConflictError), (412, StaleError),
     (428, StaleError), (500, ServiceError), (599, ServiceError)],
)  # fmt: skip
def test_problems_are_what_they_say(script: Script, status: int, error: type[ServiceError]) -> None:
    """Each has its kind, with its lines and whatever else it says."""
    client, asked = script(problem(status, "what and why"))
    with pytest.raises(error, match="what and why") as raised:
        client.jobs.get("x")
    found = raised.value
    assert (type(found), found.status, found.errors, found.more) == (error, status, ("a", "b"), {"found": 7})
    assert len(asked) == 1


def test_an_answer_of_something_in_between(script: Script) -> None:
    """A page of a proxy is told as it is, shortened."""
    client, _ = script((404, "<h1>" + "x" * 1000, {}))
    with pytest.raises(NotFoundError) as raised:
        client.jobs.get("x")
    assert raised.value.detail == "<h1>" + "x" * 196


def test_who_asks(script: Script) -> None:
    """A key or a token is sent with every request; a token may be made anew each time."""
    client, asked = script(OK, key="pk_1")
    client.service.alive()
    assert asked[0][2]["x-api-key"] == "pk_1"
    fresh = iter(["one", "two"])
    client, asked = script(OK, token=lambda: next(fresh))
    for _ in range(2):
        client.service.alive()
    assert [headers["authorization"] for _, _, headers in asked] == ["Bearer one", "Bearer two"]


def test_names_in_addresses(script: Script) -> None:
    """A name stays one part of the address, whatever is in it."""
    client, asked = script(problem(404))
    for name in ("a/b", "..", "a?b#c", "ä {x}"):
        with pytest.raises(NotFoundError):
            client.jobs.get(name)
    assert [path for _, path, _ in asked] == [
        "/v1/jobs/a%2Fb", "/v1/jobs/%2E%2E", "/v1/jobs/a%3Fb%23c", "/v1/jobs/%C3%A4%20%7Bx%7D",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="job_id: empty"):
        client.jobs.get("")


def test_lists_go_on(script: Script) -> None:
    """All pages are read, each when it is needed."""
    row = JOB % ("done", "")
    first = f'{{"jobs": [{row}], "next": "/v1/jobs?limit=1&cursor=%7Babc"}}'
    client, asked = script((200, first, {}), (200, f'{{"jobs": [{row}, {row}], "next": null}}', {}))
    jobs = client.jobs.list(kind="plan")
    next(jobs)
    assert len(asked) == 1
    assert len(list(jobs)) == 2
    assert [path for _, path, _ in asked] == ["/v1/jobs?kind=plan", "/v1/jobs?limit=1&cursor=%7Babc"]


def events(*states: tuple[str, str]) -> str:
    return "".join(f": ping\r\n\r\nevent: {state}\ndata: {JOB % (state, error)}\n\n" for state, error in states)


def test_waiting_for_a_job(script: Script) -> None:
    """Events tell how far it is; where they break off they are asked for again; the end is returned."""
    half = events(("queued", ""))
    client, asked = script((200, half, {"content-length": str(len(half) + 10), "connection": "close"}), BROKEN,
                           (200, events(("running", ""), ("done", "")), {}))  # fmt: skip
    told: list[str] = []
    assert client.jobs.wait("j", told=lambda state: told.append(state.status)).status == "done"
    assert told == ["queued", "running", "done"]
    assert len(asked) == 3


def test_a_job_that_fails(script: Script) -> None:
    """It raises, with the reasons and the state."""
    client, _ = script((200, events(("failed", "no room")), {}))
    with pytest.raises(NotDoneError, match="j: failed: no room") as raised:
        client.jobs.wait("j")
    assert raised.value.state.status == "failed"
    client, _ = script(problem(404))
    with pytest.raises(NotFoundError):
        client.jobs.wait("j")


def test_waiting_no_longer_than_told(script: Script) -> None:
    """A job that goes on is left, when it says something after the time is over."""
    client, _ = script((200, events(("running", "")), {}))
    with pytest.raises(TimeoutError, match="running after 0 s"):
        client.jobs.wait("j", timeout_s=0)


def test_a_body_that_says_no_type(script: Script) -> None:
    """Bytes without a type are refused before they are sent."""
    client, asked = script(OK)
    with pytest.raises(ValueError, match="media_type: missing"):
        client.forecasts.ask(b"1,2", "48h")
    assert not asked
