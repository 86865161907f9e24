"""Keys of callers in the database: made, listed, replaced and revoked. None is ever deleted.

A key is `pk_`, its id and 256 random bits. Of these bits only the SHA-256 is kept: a slow hash would protect words that
people choose, while nobody guesses a random number of that length; and a fast one can be checked on every request.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Row, func, insert, select, update

from api.database.engine import alone_in, engine_of
from api.database.recording import Deed, record
from api.database.tables import keys
from api.database.tenancy import EVERYONE, NAME, of_tenant
from api.roles import ROLES, Role
from planner.errors import InputError

PREFIX = "pk_"
_ID_BYTES, _SECRET_BYTES = 6, 32
_MOST_LETTERS = 100
_REVOKED, _EXPIRED = "revoked", "expired"


@dataclass(frozen=True)
class Key:
    """What is known of a key; `digest` is the SHA-256 of the whole of it, in hexadecimal."""

    id: str
    tenant: str
    name: str
    roles: tuple[Role, ...]
    digest: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        """`valid`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return _REVOKED
        return _EXPIRED if self.expires_at is not None and self.expires_at <= now else "valid"


class Keys:
    """The keys of all tenants in a database that is up to date; `by` is who makes changes, for the record."""

    def __init__(self, url: str, by: str) -> None:
        self._engine, self._by = engine_of(url), by
        self._all = of_tenant(self._engine, EVERYONE)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def create(self, name: str, roles: Iterable[str], tenant: str, lasts: timedelta | None) -> tuple[Key, str]:
        """A new key and its text, which is told now and never again. Raises InputError for a name or role that is not
        allowed.
        """
        key, text = _made(_checked(name), _known(roles), _tenant(tenant), lasts)
        with of_tenant(self._engine, key.tenant).begin() as connection:
            self._add(connection, key, "create key", _next_version(connection))
        return key, text

    def rotate(self, key_id: str, keep: timedelta) -> tuple[Key, str]:
        """A new key in the place of another, which goes on for `keep` at most; the new one lasts as long as it did.

        Raises InputError where there is none of that id that is valid.
        """
        with self._all.connect() as connection:
            old = self._one(connection, key_id)
        now = _now()
        if old.state(now) != "valid":
            raise InputError([f"key {key_id}: {old.state(now)}: only a valid one is replaced; make a new one"])
        lasts = None if old.expires_at is None else old.expires_at - old.created_at
        new, text = _made(old.name, old.roles, old.tenant, lasts)
        until = now + keep if old.expires_at is None else min(now + keep, old.expires_at)
        with of_tenant(self._engine, old.tenant).begin() as connection:
            version = _next_version(connection)
            self._add(connection, new, f"rotate key {old.id}", version)
            self._change(connection, replace(old, expires_at=until), version)
        return new, text

    def revoke(self, key_id: str) -> Key:
        """End a key now. Raises InputError where there is none of that id."""
        with self._all.connect() as connection:
            old = self._one(connection, key_id)
        if old.revoked_at is not None:
            return old
        ended = replace(old, revoked_at=_now())
        with of_tenant(self._engine, old.tenant).begin() as connection:
            self._change(connection, ended, _next_version(connection))
            record(connection, Deed(self._by, "revoke key", f"{old.id} ({old.name})"))
        return ended

    def all(self, tenant: str | None = None) -> list[Key]:
        """All keys, or those of a tenant, in the order in which they were made."""
        with (self._all if tenant is None else of_tenant(self._engine, tenant)).connect() as connection:
            return [_key(row) for row in connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id))]

    def changed(self, after: int) -> tuple[int, list[Key]]:
        """The version of the newest change, and the keys that were changed after one."""
        with self._all.connect() as connection:
            rows = connection.execute(select(keys).where(keys.c.version > after)).all()
        return max((row.version for row in rows), default=after), [_key(row) for row in rows]

    def _add(self, connection: Connection, key: Key, action: str, version: int) -> None:
        connection.execute(insert(keys).values(
            id=key.id, name=key.name, roles=" ".join(key.roles), digest=key.digest, created_at=_text(key.created_at),
            expires_at=_text(key.expires_at), revoked_at=None, version=version))
        record(connection, Deed(self._by, action, f"{key.id} ({key.name}): {', '.join(key.roles)}"))

    @staticmethod
    def _change(connection: Connection, key: Key, version: int) -> None:
        values = {"expires_at": _text(key.expires_at), "revoked_at": _text(key.revoked_at), "version": version}
        connection.execute(update(keys).where(keys.c.id == key.id).values(**values))

    @staticmethod
    def _one(connection: Connection, key_id: str) -> Key:
        row = connection.execute(select(keys).where(keys.c.id == key_id)).one_or_none()
        if row is None:
            raise InputError([f"key {key_id}: not known; `planner keys list` shows all"])
        return _key(row)


def digest_of(text: bytes) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(text).digest()


def id_of(text: bytes) -> str | None:
    """The id within the text of a key; None for what is none."""
    parts = text.split(b"_", 2)
    if len(parts) != 3 or parts[0] != b"pk":
        return None
    return parts[1].decode("latin-1")


def _made(name: str, roles: tuple[Role, ...], tenant: str, lasts: timedelta | None) -> tuple[Key, str]:
    key_id, now = secrets.token_hex(_ID_BYTES), _now()
    text = f"{PREFIX}{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    until = None if lasts is None else now + lasts
    return Key(key_id, tenant, name, roles, digest_of(text.encode()).hex(), now, until, None), text


def _next_version(connection: Connection) -> int:
    """Changes are numbered one after another over all tenants, so that who follows them misses none."""
    alone_in(connection, keys.name)
    newest = select(func.max(keys.c.version))
    latest: int | None = connection.execute(newest, execution_options={"tenant": EVERYONE}).scalar()
    return (latest or 0) + 1


def _key(row: Row[*tuple[object, ...]]) -> Key:
    return Key(row.id, row.tenant, row.name, tuple(row.roles.split()), row.digest,
               datetime.fromisoformat(row.created_at), _time(row.expires_at), _time(row.revoked_at))


def _checked(name: str) -> str:
    if not 1 <= len(name) <= _MOST_LETTERS or not name.isprintable():
        raise InputError([f"name: {name!r}: 1 to {_MOST_LETTERS} printable characters"])
    return name


def _known(roles: Iterable[str]) -> tuple[Role, ...]:
    asked = tuple(dict.fromkeys(roles))
    odd = [role for role in asked if role not in ROLES]
    if odd or not asked:
        raise InputError([f"--role: {', '.join(odd) or 'none given'}: allowed are {', '.join(ROLES)}"])
    return tuple(role for role in ROLES if role in asked)


def _tenant(name: str) -> str:
    if not NAME.fullmatch(name):
        raise InputError([f"--tenant: {name!r}: small letters, digits and hyphens within, 63 at most"])
    return name


def _now() -> datetime:
    return datetime.now(UTC)


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
