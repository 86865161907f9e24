"""From events to alarms: what fires, since when, what came back, what was told to whom.

A `Ledger` is the set of events known so far. Taking in events is set union, so that late ones, doubles and any order of
arrival lead to the same ledger, and alarms are a function of ledger, policy and time: replay gives the same again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from diagnostics.alarms.events import Attributes, Event, iso


@dataclass(frozen=True)
class Match:
    """Where an alarm is: a pattern (`*`, `?`) for each attribute named; `condition` counts as one."""

    patterns: Attributes

    def holds(self, condition: str, attributes: Attributes) -> bool:
        """Whether some value of every attribute named fits its pattern."""
        return all(any(name == asked and fnmatchcase(value, pattern)
                       for name, value in (("condition", condition), *attributes)) for asked, pattern in self.patterns)


@dataclass(frozen=True)
class Inhibition:
    """While an alarm of `source` fires, alarms of `target` with the same values of `equal` are not told."""

    source: Match
    target: Match
    equal: tuple[str, ...] = ()


@dataclass(frozen=True)
class Maintenance:
    """Alarms at `match` that begin from `start` up to `end` are expected: kept, not told."""

    match: Match
    start: datetime
    end: datetime
    reason: str


@dataclass(frozen=True)
class LifePolicy:
    """How long an alarm lives.

    It is told again no sooner than `refractory` after it was told, ends by itself `expires` after its last event, and
    one that returns within `reopens` of its end is the same alarm.
    """

    refractory: timedelta = timedelta(hours=1)
    expires: timedelta = timedelta(hours=3)
    reopens: timedelta = timedelta(minutes=30)
    inhibitions: tuple[Inhibition, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()

    def __post_init__(self) -> None:
        """Refuse spans that run backwards."""
        for name in ("refractory", "expires", "reopens"):
            if getattr(self, name) < timedelta(0):
                raise ValueError(f"{name}: {getattr(self, name)}: at least 0")
        for one in self.maintenance:
            if one.end <= one.start:
                raise ValueError(f"maintenance {one.reason!r}: ends {one.end.isoformat()}, before it starts")


@dataclass(frozen=True)
class Alarm:
    """One condition at one place, from `since` to `until` (None: it lasts). `told` are the moments somebody is to be
    told; none where it is `muted` (why, else None). `strength` and `users_affected` are the most of any event.
    """

    fingerprint: str
    condition: str
    attributes: Attributes
    since: datetime
    last: datetime
    until: datetime | None
    events: int
    reopened: int
    strength: float
    users_affected: float | None
    sentence: str
    told: tuple[datetime, ...] = ()
    muted: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Fingerprint and beginning: they stay the same however alarms are grouped."""
        return self.fingerprint, iso(self.since)

    def fires_at(self, moment: datetime) -> bool:
        """Whether it fires then."""
        return self.since <= moment and (self.until is None or moment < self.until)


@dataclass(frozen=True)
class Ledger:
    """The events known so far."""

    events: frozenset[Event] = field(default_factory=frozenset)

    def take(self, events: Iterable[Event]) -> Ledger:
        """The ledger with these too; in any order and however often gives the same."""
        return Ledger(self.events | frozenset(events))


def alarms_at(ledger: Ledger, at: datetime, policy: LifePolicy | None = None) -> tuple[Alarm, ...]:
    """Every alarm as it stands at a time, by beginning and fingerprint; events after it are not looked at."""
    policy = policy or LifePolicy()
    places: dict[str, list[Event]] = {}
    for event in ledger.events:
        if event.at <= at:
            places.setdefault(event.fingerprint, []).append(event)
    alarms = [alarm for events in places.values()
              for alarm in _lives(sorted(events, key=lambda one: one.key), at, policy)]
    alarms.sort(key=lambda alarm: (alarm.since, alarm.fingerprint))
    return tuple(_muted(alarm, alarms, policy) for alarm in alarms)


def _lives(events: list[Event], at: datetime, policy: LifePolicy) -> list[Alarm]:
    """The alarms of one fingerprint, one after the other, from its events in order of time."""
    lives: list[Alarm] = []
    for event in events:
        now = _expired(lives[-1], event.at, policy) if lives else None
        if now is not None:
            lives[-1] = now
        if not event.firing:
            if now is not None and now.until is None:
                lives[-1] = replace(now, until=event.at, last=event.at)
        elif now is None or (now.until is not None and event.at > now.until + policy.reopens):
            lives.append(Alarm(event.fingerprint, event.condition, event.attributes, event.at, event.at, None, 1, 0,
                               event.strength, event.users_affected, event.sentence, (event.at,)))
        else:
            lives[-1] = _fires_again(now, event, policy)
    if lives:
        lives[-1] = _expired(lives[-1], at, policy)
    return lives


def _expired(alarm: Alarm, moment: datetime, policy: LifePolicy) -> Alarm:
    """The alarm, ended if nothing was heard of it for too long."""
    if alarm.until is None and moment > alarm.last + policy.expires:
        return replace(alarm, until=alarm.last + policy.expires)
    return alarm


def _fires_again(alarm: Alarm, event: Event, policy: LifePolicy) -> Alarm:
    """The alarm after one more event, told again when it was quiet about it for long enough."""
    told = alarm.told if event.at < alarm.told[-1] + policy.refractory else (*alarm.told, event.at)
    stronger = abs(event.strength) > abs(alarm.strength)
    known = [share for share in (alarm.users_affected, event.users_affected) if share is not None]
    return replace(alarm, last=event.at, until=None, events=alarm.events + 1, told=told,
                   reopened=alarm.reopened + (alarm.until is not None),
                   strength=event.strength if stronger else alarm.strength,
                   users_affected=max(known, default=None),
                   sentence=event.sentence if stronger and event.sentence else alarm.sentence)


def _muted(alarm: Alarm, alarms: list[Alarm], policy: LifePolicy) -> Alarm:
    """The alarm, told nobody when maintenance or another alarm explains it."""
    for window in policy.maintenance:
        if window.start <= alarm.since < window.end and window.match.holds(alarm.condition, alarm.attributes):
            return replace(alarm, told=(), muted=f"maintenance: {window.reason}")
    for rule in policy.inhibitions:
        if not rule.target.holds(alarm.condition, alarm.attributes):
            continue
        for other in alarms:
            if (other.fingerprint != alarm.fingerprint and other.fires_at(alarm.since)
                    and rule.source.holds(other.condition, other.attributes)
                    and not rule.target.holds(other.condition, other.attributes)
                    and _equal(alarm.attributes, other.attributes, rule.equal)):
                return replace(alarm, told=(), muted=f"explained by {other.condition}")
    return alarm


def _equal(one: Attributes, other: Attributes, names: tuple[str, ...]) -> bool:
    """Whether both have the same values of every name."""
    return all({pair for pair in one if pair[0] == name} == {pair for pair in other if pair[0] == name}
               for name in names)
