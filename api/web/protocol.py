"""HTTP/1.1 as uvicorn speaks it with httptools, which reads a head of any length and waits for it for ever: one that is
too long is refused, and one that does not end is not waited for.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.web.problems import MEDIA_TYPE, problem_body

MAX_HEAD_BYTES = 64 * 2**10
"""Of a request line and headers, beside what arrives together with their end."""
HEAD_S = 10.0
"""How long a connection may take until its first head, and each later one, has ended."""


class BoundedHead(HttpToolsProtocol):
    """A connection. It is closed with 431 as soon as a head that has not ended is longer than allowed, and without a
    word when one takes too long.
    """

    _head_bytes: int | None = None
    """Read of a head that has not ended; None between a head and the next."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        super().data_received(data)
        if self._head_bytes is None:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse()
        elif self._late is None:  # a head that came whole has cost no timer
            self._late = self.loop.call_later(HEAD_S, self.transport.close)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """It has ended."""
        self._head_bytes = None
        self._wait_no_longer()
        super().on_headers_complete()

    def _wait_no_longer(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self) -> None:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        body = problem_body(status, f"headers: more than {MAX_HEAD_BYTES} bytes with the address: send fewer")
        head = (f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n")
        self.transport.write(head.encode() + body)
        self.transport.close()
