"""Where a process listens, on this machine only unless callers have keys."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import UTC, datetime

from api.database.engine import upgrade
from api.security.keys import Keys
from api.settings import Settings, is_loopback
from planner.errors import InputError


def need_keys(settings: Settings, host: str, proxies: Sequence[str] = ()) -> None:
    """Refuse to listen where others can ask, themselves or through proxies, while there is nothing that they could be
    known by. Raises InputError.
    """
    if (is_loopback(host) and not proxies) or settings.oidc is not None:
        return
    upgrade(settings.store)
    keys = Keys(settings.store, "service")
    now = datetime.now(UTC)
    valid = any(key.state(now) == "valid" for key in keys.all())
    keys.close()
    if not valid:
        how = "make one with `planner keys create NAME --role admin`, or name who signs tokens (oidc)"
        where = f"proxies: {proxies[0]}" if is_loopback(host) else f"--host: {host}"
        raise InputError([f"{where}: others could ask, and there is no valid key: {how}"])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens, on any free port for 0: a port in use is told in one line (InputError), and who asks
    before there is an answer waits.
    """
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


def address_of(listener: socket.socket, host: str) -> str:
    """The address of what listens, as it was named."""
    return f"http://{host if ':' not in host else f'[{host}]'}:{listener.getsockname()[1]}"
