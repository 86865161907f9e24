"""`planner serve`: one process that answers, on this machine only."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

import uvicorn

from api.app import create_app
from api.context import owned
from api.database import checked_url
from api.protocol import BoundedHead
from api.settings import Settings, is_loopback
from api.watching import log_as_json
from planner.errors import InputError

DATA_VARIABLE, DATABASE_VARIABLE = "PLANNER_DATA", "PLANNER_DATABASE"


def default_data_dir() -> Path:
    """$PLANNER_DATA, else `planner` in the user's data folder ($XDG_DATA_HOME or ~/.local/share)."""
    given = os.environ.get(DATA_VARIABLE)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "planner"


def run(
    host: str = "127.0.0.1",
    port: int = 8080,
    data_dir: Path | None = None,
    scenarios: Path | None = None,
    telemetry: Path | None = None,
    database: str | None = None,
    planners: int = 1,
    niceness: int = 10,
) -> None:
    """Serve until interrupted. Prints the address when it is ready; port 0 takes a free one.

    `database` is the address of a PostgreSQL database ($PLANNER_DATABASE if not given), else the data folder has one.

    Raises:
        InputError: the address is not this machine's own or in use, or the data folder cannot be used.

    """
    if not is_loopback(host):
        allowed = "only this machine (127.0.0.1, ::1, localhost) until clients have keys; put a proxy before it"
        raise InputError([f"--host: {host}: {allowed}"])
    named = database or os.environ.get(DATABASE_VARIABLE)
    address = checked_url(named) if named else None
    settings = Settings(data_dir or default_data_dir(), scenarios, telemetry, planners, address=address,
                        niceness=niceness)
    with owned(settings):  # a quick answer; the application holds it while it runs
        pass
    listener = _listen(host, port)
    address = f"http://{host if ':' not in host else f'[{host}]'}:{listener.getsockname()[1]}"
    sys.stderr.write(f"planner serves {address} from {settings.data_dir}\n")
    log_as_json()
    config = uvicorn.Config(create_app(settings), loop="uvloop", http=BoundedHead, ws="none", log_config=None,
                            access_log=False, proxy_headers=False, server_header=False, date_header=True)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again after an orderly end, which is what was asked for
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    """A socket that is bound, so that a port in use is told in one line."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
    except OSError as error:
        listener.close()
        raise InputError([f"--port: {port}: {error.strerror}; name another, or 0 for any that is free"]) from None
    listener.set_inheritable(True)
    return listener
