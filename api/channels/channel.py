"""What every way of telling people has, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal

from pydantic import Field

from api.database.events import About, Event, Severity, at_least
from api.section import Section

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TIMEOUT_S = 10.0


class UndeliveredError(Exception):
    """A notice did not arrive; the text says why, without secrets. `again`: it may later."""

    def __init__(self, why: str, *, again: bool = True) -> None:
        super().__init__(why)
        self.again = again


@dataclass(frozen=True)
class Notice:
    """An event on its way: `id` is the same each time it is tried."""

    id: int
    at: datetime
    tenant: str
    about: About
    severity: Severity
    subject: str
    title: str
    text: str
    resolved: bool
    fingerprint: str
    fields: Mapping[str, str]

    @property
    def headline(self) -> str:
        """One line for people."""
        return f"resolved: {self.title}" if self.resolved else f"{self.severity}: {self.title}"


class Quiet(Section):
    """Hours in which notices wait."""

    begins: time = Field(description="when notices begin to wait, in UTC: 22:00")
    ends: time = Field(description="when they go out, in UTC: 06:00 (of the next day where that is earlier)")
    weekdays: tuple[Weekday, ...] = Field(WEEK, description="days on which it begins")

    def until(self, now: datetime) -> datetime | None:
        """When the quiet that `now` (UTC) falls into ends; None where it does not."""
        for back in (0, 1):
            day = (now - timedelta(days=back)).date()
            begins = datetime.combine(day, self.begins, UTC)
            ends = datetime.combine(day, self.ends, UTC)
            ends += timedelta(days=ends <= begins)
            if begins <= now < ends and WEEK[day.weekday()] in self.weekdays:
                return ends
        return None


class Channel(Section):
    """A way of telling people, and of what."""

    name: str = Field(min_length=1, max_length=100, description="of the channel, as records say it")
    tenant: str = Field("default", description="whose events it tells; `*`: those of all tenants")
    about: tuple[About, ...] = Field(("alarm", "plan", "run_out", "job"), description="what it tells of")
    least: Severity = Field("info", description="the least severity that it tells")
    again_after_s: float = Field(86_400.0, ge=0, description="the same again within so many seconds is not told")
    quiet: tuple[Quiet, ...] = Field((), description="hours in which notices wait")
    urgent: Severity = Field("critical", description="what is as grave as this does not wait")

    def tells(self, tenant: str, event: Event) -> bool:
        """Whether an event is for this channel."""
        if self.tenant not in (tenant, "*"):
            return False
        return event.about == "test" or (event.about in self.about and at_least(self.least, event.severity))

    def waits_until(self, event: Event, now: datetime) -> datetime | None:
        """When the quiet ends in which an event falls; None where it may be told now."""
        if event.about == "test" or at_least(self.urgent, event.severity):
            return None
        until: datetime | None = None
        for _ in range(len(WEEK) * len(self.quiet)):  # one quiet may follow another
            ends = max((end for one in self.quiet if (end := one.until(until or now))), default=None)
            if ends is None:
                break
            until = ends
        return until
