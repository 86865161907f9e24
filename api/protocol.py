"""HTTP/1.1 as uvicorn speaks it with httptools, which reads a head of any length: one that is too long is refused."""

from __future__ import annotations

from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.problems import MEDIA_TYPE, problem_body

MAX_HEAD_BYTES = 64 * 2**10
"""Of a request line and headers, beside what arrives together with their end."""


class BoundedHead(HttpToolsProtocol):
    """A connection. It is closed with 431 as soon as a head that has not ended is longer than allowed."""

    _head_bytes: int | None = None
    """Read of a head that has not ended; None between a head and the next."""

    def data_received(self, data: bytes) -> None:
        """Read on."""
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """It has ended."""
        self._head_bytes = None
        super().on_headers_complete()

    def _refuse(self) -> None:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        body = problem_body(status, f"headers: more than {MAX_HEAD_BYTES} bytes with the address: send fewer")
        head = (f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n")
        self.transport.write(head.encode() + body)
        self.transport.close()
