"""What is wrong by what hosts said of the newest rows: super alarms, and from when on no row is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Engine

from api.hosting.results import newest_row, rows_in_alarm
from api.hosting.sealing import Sealing
from api.hosting.streams import watched_metrics
from planner.hosting import Hosted

if TYPE_CHECKING:
    from api.hosting.policy import Known
    from diagnostics.alarms import SuperAlarm

HOURS = 48.0
"""Rows before the newest that are looked at unless it is said otherwise: a fault goes on showing in other metrics for a
day.
"""
MOST_ROWS = 100_000
"""Rows with an alarm that are looked at, and so many without."""


class Looked(NamedTuple):
    """Super alarms of rows from `complete_from` (POSIX seconds) on; None where no row has a verdict. `cut`: rows before
    it were asked for, too, and were more than are looked at.
    """

    super_alarms: tuple[SuperAlarm, ...]
    complete_from: int | None
    cut: bool


def look(engine: Engine, hosted: Hosted, known: Known, sealing: Sealing, hours: float = HOURS,
         most: int = MOST_ROWS) -> Looked:
    """Super alarms of what a plan watches, by rows of so many hours before the newest."""
    from api.hosting.alarms import super_alarms  # numpy and more: the service answers before they are loaded

    watched = sorted({name for work in hosted.work.values() for name in work.watches.clusters})
    newest = newest_row(engine, watched)
    if not newest:
        return Looked((), None, cut=False)
    asked = newest + 1 - int(hours * 3600)
    rows, first = rows_in_alarm(engine, watched, asked, newest + 1, most)
    metrics = watched_metrics(engine, watched, sealing)
    return Looked(super_alarms(rows, hosted.clusters, metrics, known), first, cut=first > asked)
