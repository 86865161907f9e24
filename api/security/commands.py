"""`planner keys …`: open the database, change the keys, show what was done."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer
from sqlalchemy.exc import SQLAlchemyError

from api.configured import read_settings
from api.database.engine import upgrade
from api.security.keys import Key, Keys
from planner.commands.basic import DONE, print_json, show_table
from planner.errors import InputError
from planner.outlook import MINUTES, SPAN

_ONCE = "This is shown once; only its hash is kept."


@dataclass(frozen=True)
class Where:
    """Where the service keeps its keys: its file of settings, and what the command says over that."""

    config: Path | None
    data: Path | None
    database: str | None


def create(where: Where, name: str, roles: list[str], tenant: str, expires: str, as_json: bool) -> int:
    """Make a key and print it."""
    lasts = None if expires == "never" else _span("--expires", expires, "never")
    with _opened(where) as keys:
        _tell(*keys.create(name, roles, tenant, lasts), as_json)
    return DONE


def show_all(where: Where, tenant: str | None, as_json: bool) -> int:
    """Show all keys."""
    with _opened(where) as keys:
        found = [_shown(key) for key in keys.all(tenant)]
    if as_json:
        print_json(found)
        return DONE
    columns = ("id", "name", "tenant", "roles", "state", "created_at", "expires_at", "revoked_at")
    rows = [[", ".join(one["roles"]) if column == "roles" else one[column] or "" for column in columns]
            for one in found]
    show_table(f"{len(found)} keys", [column.removesuffix("_at").capitalize() for column in columns], rows)
    return DONE


def rotate(where: Where, key_id: str, keep: str, as_json: bool) -> int:
    """Put a new key in the place of another."""
    goes_on = timedelta(0) if keep == "none" else _span("--keep", keep, "none")
    with _opened(where) as keys:
        _tell(*keys.rotate(key_id, goes_on), as_json)
    return DONE


def revoke(where: Where, key_id: str, as_json: bool) -> int:
    """End a key."""
    with _opened(where) as keys:
        ended = _shown(keys.revoke(key_id))
    if as_json:
        print_json(ended)
    else:
        typer.echo(f"Revoked {ended['id']} ({ended['name']}) at {ended['revoked_at']}")
    return DONE


@contextmanager
def _opened(where: Where) -> Iterator[Keys]:
    """The keys of the service's database, which is made where it is not there yet. Raises InputError."""
    settings = read_settings(where.config, os.environ, {"data": where.data, "database": where.database})
    address = settings.store
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        upgrade(address)
        keys = Keys(address, f"command line/{getpass.getuser()}")
        try:
            yield keys
        finally:
            keys.close()
    except (SQLAlchemyError, RuntimeError) as error:
        raise InputError([f"database: {str(error).splitlines()[0]}"]) from error


def _tell(key: Key, text: str, as_json: bool) -> None:
    if as_json:
        print_json(_shown(key) | {"key": text})
    else:
        typer.echo(text)
        until = _shown(key)["expires_at"] or "never"
        typer.echo(f"{', '.join(key.roles)} of {key.tenant}; ends: {until}. {_ONCE}", err=True)


def _shown(key: Key) -> dict[str, Any]:
    """A key for people and machines, without what it could be guessed by."""
    times = {name: _text(getattr(key, name)) for name in ("created_at", "expires_at", "revoked_at")}
    state = key.state(datetime.now(UTC))
    return {"id": key.id, "name": key.name, "tenant": key.tenant, "roles": list(key.roles), "state": state} | times


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _span(option: str, text: str, otherwise: str) -> timedelta:
    found = SPAN.match(text.strip().lower())
    if found is None or not 0 < int(found[1]) * MINUTES[found[2]] <= 100 * 525_600:
        raise InputError([f"{option}: {text!r}: a whole number and min, h, d or w, as 90d; or {otherwise}"])
    return timedelta(minutes=int(found[1]) * MINUTES[found[2]])
