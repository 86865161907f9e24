"""Slots as times and as cron expressions, for tools that keep a schedule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from planner.errors import InputError
from planner.plan import PlanHorizon

ZONE = "Etc/UTC"
YEAR = timedelta(days=365)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` up to `end` the value is this one."""

    start: datetime
    end: datetime
    value: int


@dataclass(frozen=True, slots=True)
class Cron:
    """Cron expressions between which a value holds: from each `start` up to the `end` that follows it."""

    start: str
    end: str
    value: int


def spans(values: Sequence[int], horizon: PlanHorizon) -> Iterator[Span]:
    """Stretches of time in which a value of each slot stays the same, in order; windows of a horizon stand apart."""
    step = timedelta(minutes=horizon.slot_minutes)
    held: Span | None = None
    for slot, value in enumerate(values):
        begin = horizon.moment(slot)
        assert begin is not None
        if held is not None and (held.value, held.end) == (value, begin):
            held = Span(held.start, begin + step, value)
            continue
        if held is not None:
            yield held
        held = Span(begin, begin + step, value)
    if held is not None:
        yield held


def cron(moments: Sequence[datetime]) -> str:
    """When the clock shows one of these moments, which share minute, hour and month and lie within a year."""
    first = moments[0]
    days = ",".join(str(day) for day in sorted({moment.day for moment in moments}))
    return f"{first.minute} {first.hour} {days} {first.month} *"


def crons(found: Sequence[Span]) -> Iterator[Cron]:
    """The same as cron expressions, days that are alike in one. They come true again a year later: there are no years.
    """
    groups: dict[tuple[object, ...], list[Span]] = {}
    for span in found:
        alike = (span.value, span.start.time(), span.end.time(), span.start.month, span.end.month,
                 (span.end.date() - span.start.date()).days)
        key = alike if span.end - span.start < DAY else (span.start,)
        groups.setdefault(key, []).append(span)
    for group in groups.values():
        yield Cron(cron([span.start for span in group]), cron([span.end for span in group]), group[0].value)


def check_year(horizon: PlanHorizon, tool: str) -> None:
    """Raises InputError where expressions that name no year and no seconds cannot say the horizon."""
    start, end = horizon.moment(0), horizon.moment(horizon.slots)
    assert start is not None
    assert end is not None
    if end - start > YEAR:
        days = (end - start).days
        raise InputError([f"plan: horizon: {days} days: schedules of {tool} name no year: at most {YEAR.days} days"])
    if start.second or start.microsecond:
        raise InputError([f"plan: horizon.start: {start}: schedules of {tool} name no seconds: start on a full minute"])
