"""What people say of alarms: that they have seen them, and whether they were right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Engine, func, insert, select
from sqlalchemy.exc import IntegrityError

from api.database.tables import alarm_feedback, alarm_seen

if TYPE_CHECKING:
    from diagnostics.feedback import Feedback

Verdict = Literal["true_positive", "false_positive"]


@dataclass(frozen=True)
class Mark:
    """Who said so, when (UTC), and what else."""

    by: str
    at: str
    note: str


@dataclass(frozen=True)
class Said:
    """A judgement of one alarm: the metric it was on, its chance `p` under calm, and whether it was right."""

    fingerprint: str
    since: str
    cluster: str
    metric: str
    workload: str
    p: float
    verdict: Verdict
    by: str
    at: str
    note: str


Key = tuple[str, str]
"""Fingerprint and beginning of an alarm: they stay the same however alarms are grouped."""


class Marks:
    """Marks of one tenant's alarms. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def see(self, alarms: Iterable[Key], by: str, note: str) -> None:
        """Note that somebody has seen alarms; who was first stays."""
        for fingerprint, since in sorted(alarms):
            row = {"fingerprint": fingerprint, "since": since, "by": by, "at": _now(), "note": note}
            try:
                with self._engine.begin() as connection:
                    connection.execute(insert(alarm_seen).values(**row))
            except IntegrityError:  # somebody has seen it before
                continue

    def seen(self) -> Mapping[Key, Mark]:
        """Alarms that somebody has seen."""
        columns = [column for column in alarm_seen.columns if column.name != "tenant"]
        with self._engine.connect() as connection:
            return {(row.fingerprint, row.since): Mark(row.by, row.at, row.note)
                    for row in connection.execute(select(*columns))}

    def judge(self, alarms: Sequence[Said]) -> None:
        """Keep judgements. A later one of the same alarm by the same person counts in place of the earlier."""
        with self._engine.begin() as connection:
            for one in alarms:
                connection.execute(insert(alarm_feedback).values(**vars(one)))

    def said(self) -> int:
        """How much was said so far: it changes with every judgement."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.max(alarm_feedback.c.seq))).scalar() or 0

    def judgements(self) -> list[Said]:
        """What was said, the oldest first: of each person the last word on an alarm."""
        columns = [column for column in alarm_feedback.columns if column.name not in ("tenant", "seq")]
        with self._engine.connect() as connection:
            rows = connection.execute(select(*columns).order_by(alarm_feedback.c.seq)).all()
        found = [Said(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name
        return list({(one.fingerprint, one.since, one.by): one for one in found}.values())

    def feedback(self) -> tuple[Feedback, ...]:
        """What was said, as thresholds are moved by it."""
        from diagnostics.feedback import Feedback

        return tuple(Feedback(one.cluster, one.metric, one.p, one.verdict, one.workload) for one in self.judgements())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
