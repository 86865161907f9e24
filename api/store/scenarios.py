"""Scenarios that were sent to the service: versions by the hash of their content, the last one sent the newest."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update

from api.database.engine import alone_in
from api.database.recording import about
from api.database.tables import jobs
from api.database.tables import scenario_versions as kept
from api.database.times import written
from diagnostics.sealing import Sealer, SealError
from planner.errors import InputError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names of scenarios that are kept: they stand in addresses."""
VersionRow = Row[*tuple[Any, ...]]
"""Columns of `scenario_versions`, by name, without the content."""
_SHOWN = [column for column in kept.columns if column.name not in ("tenant", "content")]


class AmbiguousError(Exception):
    """Several versions begin so."""


class UsedError(Exception):
    """A job refers to the version: its id."""


class FullError(Exception):
    """The versions that are kept have so many bytes already."""


@dataclass(frozen=True)
class Sent:
    """A scenario as it was sent: content, what it is, who sent it and why, and how much there is in it."""

    name: str
    version: str
    media_type: str
    content: bytes
    by: str
    why: str
    clusters: int
    workloads: int
    slots: int


@dataclass(frozen=True)
class Versions:
    """What there is under a name: the newest version that is not retired, if any, and how many there are and were."""

    name: str
    newest: VersionRow | None
    count: int
    retired: int

    @property
    def state(self) -> str:
        """Changes with every version that is sent, retired or removed."""
        return "none" if self.newest is None else f"{self.newest.version[:32]}-{self.count}-{self.retired}"


class SentScenarios:
    """The scenarios in the database of an engine, whose contents are sealed at rest; at most `quota` bytes are kept."""

    def __init__(self, engine: Engine, sealer: Sealer | None = None, quota: float = math.inf) -> None:
        self._engine, self._sealer, self._quota = engine, sealer or Sealer(), quota

    def names(self) -> list[str]:
        """Of all scenarios, sorted."""
        with self._engine.connect() as connection:
            return list(connection.execute(select(kept.c.name).distinct().order_by(kept.c.name)).scalars())

    def of(self, name: str) -> Versions:
        """What there is under a name."""
        with self._engine.connect() as connection:
            return _versions(connection, name)

    def history(self, name: str, limit: int, before: int | None) -> list[VersionRow]:
        """Versions of a scenario, the newest first, those older than `before` (a `seq`) if given."""
        query = select(*_SHOWN).where(kept.c.name == name).order_by(kept.c.seq.desc()).limit(limit)
        with self._engine.connect() as connection:
            return list(connection.execute(query if before is None else query.where(kept.c.seq < before)))

    def find(self, name: str, version: str) -> VersionRow | None:
        """A version by its first letters, the newest one by none. Raises AmbiguousError where several begin so."""
        if not version:
            return self.of(name).newest
        query = select(*_SHOWN).where(kept.c.name == name, kept.c.version.startswith(version, autoescape=True)).limit(2)
        with self._engine.connect() as connection:
            found = connection.execute(query).all()
        if len(found) > 1:
            raise AmbiguousError(version)
        return found[0] if found else None

    def content(self, row: VersionRow) -> bytes:
        """What was sent. Raises InputError where it was sealed with a key that is not here."""
        query = select(kept.c.content).where(kept.c.name == row.name, kept.c.version == row.version)
        with self._engine.connect() as connection:
            content = bytes(connection.execute(query).scalar_one())
        try:
            return self._sealer.unseal(content)
        except SealError as error:
            raise InputError([f"scenario {row.name}: version {row.version[:12]}: {error}"]) from None

    def add(self, sent: Sent, expected: Callable[[Versions], None]) -> tuple[Versions, bool]:
        """Keep a version, which is the newest from now on, and say what there is then, and whether that is new. What
        `expected` raises of what there was is raised, and nothing has changed. Raises FullError.
        """
        with self._engine.begin() as connection:
            alone_in(connection, "scenario_versions")
            before = _versions(connection, sent.name)
            expected(before)
            if before.newest is not None and before.newest.version == sent.version:
                return before, False
            about(connection, f"/v1/scenarios/{sent.name}/versions/{sent.version}")
            connection.execute(delete(kept).where(kept.c.name == sent.name, kept.c.version == sent.version))
            held = connection.execute(select(func.coalesce(func.sum(kept.c.bytes), 0))).scalar_one()
            if held + len(sent.content) > self._quota:
                raise FullError(held)
            content = {"content": self._sealer.seal(sent.content), "bytes": len(sent.content)}
            connection.execute(insert(kept).values(**vars(sent) | content, at=written(datetime.now(UTC))))
            return _versions(connection, sent.name), True

    def retire(self, row: VersionRow, by: str) -> None:
        """Let nothing new be asked of a version; it stays retired since the first time."""
        mine = kept.c.name == row.name, kept.c.version == row.version, kept.c.retired_at.is_(None)
        with self._engine.begin() as connection:
            values = {"retired_at": written(datetime.now(UTC)), "retired_by": by}
            connection.execute(update(kept).where(*mine).values(**values))

    def remove(self, row: VersionRow) -> None:
        """Forget a version. Raises UsedError while a job refers to it."""
        referred = f"{row.name}@{row.version}"
        with self._engine.begin() as connection:
            alone_in(connection, "scenario_versions")
            using = select(jobs.c.id).where(jobs.c.request.contains(f'"{referred}"', autoescape=True)).limit(1)
            job_id = connection.execute(using).scalar()
            if job_id is not None:
                raise UsedError(job_id)
            connection.execute(delete(kept).where(kept.c.name == row.name, kept.c.version == row.version))


def _versions(connection: Connection, name: str) -> Versions:
    counted = select(func.count(), func.count(kept.c.retired_at)).where(kept.c.name == name)
    count, retired = connection.execute(counted).one()
    newest = select(*_SHOWN).where(kept.c.name == name, kept.c.retired_at.is_(None))
    row = connection.execute(newest.order_by(kept.c.seq.desc()).limit(1)).one_or_none()
    return Versions(name, row, count, retired)
