"""What answering costs at least: a route of Starlette that gives the same bytes every time, on the same server."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from benchmarks.measure import ROOT

CODE = """
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

async def answer(_: Request) -> Response:
    return Response({body!r}, media_type="application/json")

app = Starlette(routes=[Route("/answer", answer)])
uvicorn.run(app, port={port}, loop="uvloop", http="httptools", log_level="error", access_log=False)
"""


@contextmanager
def limit(body: bytes) -> Iterator[tuple[str, int]]:
    """Address and process id of a server that answers `/answer` with this body."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = CODE.format(body=body, port=port)
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)  # noqa: S603 - our own
    try:
        while process.poll() is None:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.kill()
        process.wait()
