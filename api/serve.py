"""`planner serve`: one process that answers, on this machine only unless callers have keys."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import uvicorn

from api.app import create_app
from api.configured import read_settings
from api.context import owned
from api.database.engine import upgrade
from api.observability.requests import log_as_json
from api.observability.tracing import opened
from api.pauses import looked_at_once
from api.security.keys import Keys
from api.settings import Settings, is_loopback
from api.web.protocol import BoundedHead
from planner.errors import InputError

FINISH_S = 5
"""How long requests that are being answered may go on when the service is to end; streams of events would for ever."""


def serve(config: Path | None, given: Mapping[str, Any]) -> None:
    """Serve by a file of settings, the environment, and what is `given` with the command (None: not)."""
    run(read_settings(config, os.environ, given))


def run(settings: Settings) -> None:
    """Serve until interrupted. Prints the address when it is ready.

    Raises:
        InputError: others could reach the address and there is no key, it is in use, or the data folder cannot be used.

    """
    host, traces = settings.host, opened(os.environ)
    with owned(settings):  # a quick answer; the application holds it while it runs
        if not is_loopback(host) and settings.oidc is None:
            _need_keys(settings)
    listener = _listen(host, settings.port)
    address = f"http://{host if ':' not in host else f'[{host}]'}:{listener.getsockname()[1]}"
    sys.stderr.write(f"planner serves {address} from {settings.data}\n")
    log_as_json()
    app = create_app(settings, traces)
    config = uvicorn.Config(app, loop="uvloop", http=BoundedHead, ws="none", log_config=None, access_log=False,
                            proxy_headers=False, server_header=False, date_header=True,
                            timeout_graceful_shutdown=FINISH_S)
    signal.signal(signal.SIGTERM, _end)
    try:
        with looked_at_once():
            uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn raises it again after an orderly end, which is what was asked for
        pass
    except SystemExit:
        if app.state.refused is not None:
            raise app.state.refused from None
        raise


def _end(*_: object) -> NoReturn:
    """Uvicorn raises the signal again after an orderly end, which is what was asked for."""
    raise SystemExit(0)


def _need_keys(settings: Settings) -> None:
    """Refuse to listen where others can ask while there is nothing that they could be known by. Raises InputError."""
    upgrade(settings.store)
    keys = Keys(settings.store, "service")
    now = datetime.now(UTC)
    valid = any(key.state(now) == "valid" for key in keys.all())
    keys.close()
    if not valid:
        how = "make one with `planner keys create NAME --role admin`, or name who signs tokens (oidc)"
        raise InputError([f"--host: {settings.host}: others could ask, and there is no valid key: {how}"])


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens: a port in use is told in one line, and who asks before the service has started waits."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise InputError([f"--port: {port}: {error.strerror}; name another, or 0 for any that is free"]) from None
    listener.set_inheritable(True)
    return listener
