"""`planner serve`: one process that answers, on this machine only unless callers have keys."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import uvicorn

from api.app import create_app
from api.configured import read_settings
from api.context import owned
from api.listening import address_of, listen, need_keys
from api.observability.requests import log_as_json
from api.observability.tracing import opened
from api.pauses import looked_at_once
from api.settings import Settings
from api.web.protocol import BoundedHead

FINISH_S = 5
"""How long requests that are being answered may go on when the service is to end; streams of events would for ever."""


def serve(config: Path | None, given: Mapping[str, Any]) -> None:
    """Serve by a file of settings, the environment, and what is `given` with the command (None: not)."""
    run(read_settings(config, os.environ, given))


def run(settings: Settings) -> None:
    """Serve until interrupted. Prints the address when it is ready.

    Raises:
        InputError: others could ask and there is no key, the address is in use, or the data folder cannot be used.

    """
    host, proxies, traces = settings.host, list(settings.proxies), opened(os.environ)
    with owned(settings):  # a quick answer; the application holds it while it runs
        need_keys(settings, host, proxies)
    listener = listen(host, settings.port)
    sys.stderr.write(f"planner serves {address_of(listener, host)} from {settings.data}\n")
    log_as_json()
    app = create_app(settings, traces)
    config = uvicorn.Config(app, loop="uvloop", http=BoundedHead, ws="none", log_config=None, access_log=False,
                            proxy_headers=bool(proxies), forwarded_allow_ips=proxies, server_header=False,
                            date_header=True, timeout_graceful_shutdown=FINISH_S)
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
