"""What is wrong with a request before it is one: heads that are too long."""

import json
import socket
from typing import Any

import pytest

from api.web.protocol import MAX_HEAD_BYTES

LINE = b"x: " + b"y" * 1000 + b"\r\n"


def sent(service: Any, head: bytes, end: bytes, most: int) -> tuple[int, bytes]:
    """How much of a head is taken, `end` again and again up to `most` bytes, and the answer."""
    url, taken = service.http.base_url, 0
    with socket.create_connection((url.host, url.port), timeout=10) as connection:
        try:
            connection.sendall(head)
            while taken < most:
                connection.sendall(end * 64)
                taken += 64 * len(end)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while found := connection.recv(65536):
                answer += found
        except ConnectionResetError:
            pass
    return taken, answer


@pytest.mark.parametrize(
    ("head", "end"),
    [
        (b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n", LINE),
        (b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ", b"y" * 1000),
        (b"GET /", b"y" * 1000),
    ],
    ids=["headers", "one header", "address"],
)
def test_a_head_without_end_is_cut_off(service: Any, head: bytes, end: bytes) -> None:
    """Whichever part of it goes on and on, the connection is closed long before memory counts."""
    taken, answer = sent(service, head, end, 64 * 2**20)
    assert taken < 32 * 2**20
    assert not answer or answer.startswith(b"HTTP/1.1 431 ")
    assert service.http.get("/healthz").status_code == 200


def test_a_head_that_is_too_long_is_named(service: Any) -> None:
    """One that is a little too long hears so as a problem; one that is nearly so is read."""
    start = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    url = service.http.base_url
    with socket.create_connection((url.host, url.port), timeout=10) as connection:
        connection.sendall(start + LINE * (MAX_HEAD_BYTES // len(LINE) + 1))
        answer = b""
        while found := connection.recv(65536):
            answer += found
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert b"application/problem+json" in head
    assert json.loads(body)["detail"].startswith(f"headers: more than {MAX_HEAD_BYTES} bytes")
    nearly = {f"x-{number}": "y" * 990 for number in range(MAX_HEAD_BYTES // 1000 - 2)}
    assert service.http.get("/healthz", headers=nearly).status_code == 200


def test_large_bodies_and_many_requests_on_one_connection_are_no_heads(service: Any, tiny: Any) -> None:
    """A body that is longer than a head may be is read, and so are hundreds of requests one after another."""
    note = tiny | {"padding": "x" * (4 * MAX_HEAD_BYTES)}
    assert service.http.post("/v1/plans", json={"scenario": note}).status_code == 422
    for _ in range(300):
        assert service.http.get("/healthz", headers={"x": "y" * 500}).status_code == 200
