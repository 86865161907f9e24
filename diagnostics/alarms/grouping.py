"""Super alarms: alarms that begin together and share attributes are one, with what they share as first hypothesis."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from diagnostics.alarms.events import Attributes, iso
from diagnostics.alarms.following import Found, alarmed_by, by_home, followed, joined_with, name_of
from diagnostics.alarms.lifecycle import Alarm, Match
from diagnostics.causes.ranking import Moved
from diagnostics.causes.rules import Findings, Remedy, Rule, remedies
from diagnostics.causes.services import Suspect
from diagnostics.causes.sharing import Flags, Hypothesis, Inventory, described, hypotheses, matching, score_of

Severity = Literal["page", "ticket", "log"]

_NAMES = ("cluster", "device", "host", "metric", "service", "workload")

MAX_KINDS = 12
"""Conditions of alarms that hypotheses tell apart, the commonest of a burst."""


@dataclass(frozen=True)
class Runbook:
    """Whom to call and what to do where an alarm matches: contact, steps in order."""

    match: Match
    contact: str
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class GroupPolicy:
    """How alarms become super alarms.

    Alarms that begin no more than `window` apart may belong together, and so do other metrics of the same places up to
    `follows` after the last began, while some still fire: a fault that grows shows in one after the other. At least
    `least_entities` share a hypothesis, whose `least_score` is in nats above what chance and the number of hypotheses
    tried explain. Somebody is paged from `page_users` affected on, never when they are unaffected and, unless
    `page_unknown`, not when nobody knows.
    """

    window: timedelta = timedelta(minutes=15)
    follows: timedelta = timedelta(hours=24)
    least_entities: int = 3
    least_score: float = 3.0
    most_hypotheses: int = 5
    page_users: float = 0.001
    page_unknown: bool = False
    refractory: timedelta = timedelta(hours=1)
    runbooks: tuple[Runbook, ...] = ()
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would group everything or nothing."""
        for name in ("window", "follows"):
            if getattr(self, name) <= timedelta(0):
                raise ValueError(f"{name}: {getattr(self, name)}: above 0")
        if self.least_entities < 2:
            raise ValueError(f"least_entities: {self.least_entities}: at least 2; one alone shares nothing")
        if not 0 < self.page_users <= 1:
            raise ValueError(f"page_users: {self.page_users}: a share above 0, at most 1")


@dataclass(frozen=True)
class SuperAlarm:
    """Alarms with one probable cause, from `since` to `until` (None: some last). `hypotheses` is empty where they share
    nothing. `told` are the moments somebody is told, none for severity log. `moved` are the metrics that moved most and
    `services` those to blame, where telemetry tells.
    """

    id: str
    since: datetime
    until: datetime | None
    severity: Severity
    why_severity: str
    summary: str
    alarms: tuple[Alarm, ...]
    counts: tuple[tuple[str, int], ...]
    hypotheses: tuple[Hypothesis, ...]
    remedies: tuple[Remedy, ...]
    runbook: Runbook | None
    users_affected: float | None
    told: tuple[datetime, ...] = field(default=())
    moved: tuple[Moved, ...] = ()
    services: tuple[Suspect, ...] = ()


def group(alarms: Sequence[Alarm], inventory: Inventory, policy: GroupPolicy | None = None) -> tuple[SuperAlarm, ...]:
    """Every alarm in exactly one super alarm, by beginning; the order alarms are given in makes no difference.

    Bursts are cut where no alarm begins for longer than the window. In a burst the best hypothesis takes its alarms,
    then the best one of what is left, until chance explains the rest. Of the rest, metrics of one host or cluster that
    follow each other are one; of those that are still alone, what users notice stands by itself and the others are one
    super alarm a day: alarms that share nothing.

    Raises:
        ValueError: an alarm is at no entity of the inventory.

    """
    policy = policy or GroupPolicy()
    ordered = sorted(alarms, key=lambda alarm: (alarm.since, alarm.fingerprint))
    for alarm in ordered:
        if alarm.attributes not in inventory.index:
            shown = ", ".join(f"{name}={value}" for name, value in alarm.attributes)
            raise ValueError(f"attributes: {shown}: no such entity in the inventory")
    found, left = list[Found](), list[Alarm]()
    for burst in _bursts(ordered, policy.window):
        some, others = _found(burst, inventory, policy)
        found, left = found + some, left + others
    made: list[SuperAlarm] = []
    found, left = followed(found, left, inventory, policy.follows)
    few, left = by_home(left, inventory, policy.follows)
    for one in found + few:
        further = _others(one.hypothesis, one.members, inventory, policy)
        made.append(_super(one.members, (one.hypothesis, *further), policy))
    rest: dict[str, list[Alarm]] = {}
    for alarm in left:
        if alarm.muted is None and (alarm.users_affected or 0.0) >= policy.page_users:
            made.append(_super([alarm], (), policy))
        else:
            rest.setdefault(iso(alarm.since)[:10], []).append(alarm)
    made += [_super(alone, (), policy) for alone in rest.values()]
    return tuple(sorted(made, key=lambda one: (one.since, one.id)))


def _bursts(alarms: list[Alarm], window: timedelta) -> list[list[Alarm]]:
    """Alarms in order of time, cut where the next begins later than the window."""
    bursts: list[list[Alarm]] = []
    for alarm in alarms:
        if bursts and alarm.since - bursts[-1][-1].since <= window:
            bursts[-1].append(alarm)
        else:
            bursts.append([alarm])
    return bursts


def _found(burst: list[Alarm], inventory: Inventory, policy: GroupPolicy) -> tuple[list[Found], list[Alarm]]:
    """Hypotheses about a burst with the alarms of each, and the alarms that chance explains."""
    found: list[Found] = []
    left = burst
    kinds = _kinds(burst)
    among = np.ones((len(kinds), len(inventory.entities)), dtype=bool)
    while (best := _best(left, among, kinds, inventory, policy)) is not None:
        found.append(best)
        taken = set(map(name_of, best.members))
        left = [alarm for alarm in left if name_of(alarm) not in taken]
        # What is explained says nothing for or against a further hypothesis.
        among[np.outer([kind in best.kinds for kind in range(len(kinds))], best.inside)] = False
    return joined_with(_settled(found, inventory, policy), left, inventory)


def _kinds(alarms: list[Alarm]) -> list[str]:
    """The commonest conditions, by name; all others, if there are, count as one more that has no name."""
    counts = Counter(alarm.condition for alarm in alarms)
    commonest = sorted(counts, key=lambda kind: (-counts[kind], kind))[:MAX_KINDS]
    return sorted(commonest) + [""] * (len(counts) > MAX_KINDS)


def _best(alarms: list[Alarm], among: Flags, kinds: list[str], inventory: Inventory,
          policy: GroupPolicy) -> Found | None:
    """The best hypothesis about some alarms and those of one burst that it takes, None where chance is enough."""
    alarmed = np.zeros_like(among)
    for alarm in alarms:
        alarmed[_kind(alarm, kinds), inventory.index[alarm.attributes]] = True
    for one in hypotheses(inventory, alarmed, policy.most_hypotheses, among):
        if one.score < policy.least_score:
            return None
        inside, own = matching(inventory, one.conditions), _own_kinds(one, alarmed, among, inventory, policy)
        its = [alarm for alarm in alarms if inside[inventory.index[alarm.attributes]] and _kind(alarm, kinds) in own]
        members = max(_bursts(its, policy.window), key=len, default=[])
        if len({alarm.attributes for alarm in members}) >= policy.least_entities:
            return Found(one, inside, own, members)
    return None


def _own_kinds(one: Hypothesis, alarmed: Flags, among: Flags, inventory: Inventory,
               policy: GroupPolicy) -> frozenset[int]:
    """Its kinds of alarm less those that have a better hypothesis of their own: another fault, in part at the same
    places. All of them, if none is left.
    """
    own = []
    for kind in one.kinds:
        best = hypotheses(inventory, alarmed[[kind]], 1, among[[kind]])
        here = score_of(inventory, alarmed[[kind]], among[[kind]], one.conditions)
        if not best or best[0].score <= here + policy.least_score:
            own.append(kind)
    return frozenset(own or one.kinds)


def _kind(alarm: Alarm, kinds: list[str]) -> int:
    return kinds.index(alarm.condition) if alarm.condition in kinds else len(kinds) - 1


def _settled(found: list[Found], inventory: Inventory, policy: GroupPolicy) -> list[Found]:
    """The same hypotheses after alarms that several could take went to the likeliest: the one that has more of its
    places alarmed and raises more alarms of that condition.
    """
    counts = [Counter(alarm.condition for alarm in one.members) for one in found]
    kinds = len({condition for count in counts for condition in count})
    begun = [(min(alarm.since for alarm in one.members) - policy.window,
              max(alarm.since for alarm in one.members) + policy.window) for one in found]
    full = [alarmed_by(one.members, inventory).sum() / one.inside.sum() for one in found]
    members: list[list[Alarm]] = [[] for _ in found]
    for number, one in enumerate(found):
        for alarm in one.members:
            row = inventory.index[alarm.attributes]
            odds = {other: full[other] * (counts[other][alarm.condition] + 1) / (len(found[other].members) + kinds)
                    for other in range(len(found)) if other == number or (
                        found[other].inside[row] and begun[other][0] <= alarm.since <= begun[other][1])}
            members[max(odds, key=lambda other: (odds[other], other == number, -other))].append(alarm)
    return [replace(one, hypothesis=described(inventory, alarmed_by(its, inventory), one.hypothesis.conditions,
                                              one.hypothesis.score),
                    members=sorted(its, key=lambda alarm: (alarm.since, alarm.fingerprint)))
            for one, its in zip(found, members, strict=True) if its]


def _others(best: Hypothesis, members: list[Alarm], inventory: Inventory,
            policy: GroupPolicy) -> tuple[Hypothesis, ...]:
    """What else the members share, after the hypothesis that gathered them."""
    further = hypotheses(inventory, alarmed_by(members, inventory)[None], policy.most_hypotheses)
    return tuple(one for one in further if one.conditions != best.conditions)[: policy.most_hypotheses - 1]


def _super(members: list[Alarm], found: tuple[Hypothesis, ...], policy: GroupPolicy) -> SuperAlarm:
    """The super alarm of some alarms."""
    loud = [alarm for alarm in members if alarm.muted is None]
    known = [alarm.users_affected for alarm in loud if alarm.users_affected is not None]
    users = max(known, default=None)
    severity, why = _severity(members, loud, users, policy)
    counts = tuple(sorted(Counter(map(_what, members)).items(), key=lambda one: (-one[1], one[0])))
    common = set.intersection(*(set(alarm.attributes) for alarm in members))
    shared: Attributes = found[0].conditions if found else tuple(sorted(common))
    findings = Findings(dict(counts), dict(shared), found[0].coverage if found else 0.0, users)
    ends = [alarm.until for alarm in members]
    identity = "\x1f".join([iso(members[0].since), members[0].fingerprint, *(f"{n}={v}" for n, v in shared)])
    return SuperAlarm(
        id=hashlib.sha256(identity.encode()).hexdigest()[:12],
        since=members[0].since,
        until=None if None in ends else max(end for end in ends if end is not None),
        severity=severity, why_severity=why,
        summary=_summary(members, counts, shared if found else _named(shared), (severity, why)),
        alarms=tuple(members), counts=counts, hypotheses=found,
        remedies=remedies(policy.rules, findings) if shared else (),
        runbook=_runbook(members, policy), users_affected=users,
        told=() if severity == "log" else _told(loud, policy.refractory),
    )


def _named(shared: Attributes) -> Attributes:
    """Those attributes that say where alarms are; the others follow from them."""
    return tuple(pair for pair in shared if pair[0] in _NAMES) or shared


def _what(alarm: Alarm) -> str:
    """The condition, with the metric it is about where that is an attribute."""
    return " ".join([*(value for name, value in alarm.attributes if name == "metric"), alarm.condition])


def _severity(members: list[Alarm], loud: list[Alarm], users: float | None,
              policy: GroupPolicy) -> tuple[Severity, str]:
    """How grave, by what users notice, and why."""
    if not loud:
        return "log", f"muted: {'; '.join(sorted({str(alarm.muted) for alarm in members}))}"
    if users is None:
        return ("page" if policy.page_unknown else "ticket"), "whether users are affected is not known"
    if users >= policy.page_users:
        return "page", f"{users:.2g} of users are affected"
    return "ticket", "users are not affected"


def _summary(members: list[Alarm], counts: tuple[tuple[str, int], ...], shared: Attributes,
             grave: tuple[Severity, str]) -> str:
    """One line: how many alarms of what, where, since when, how grave."""
    where = " and ".join(f"{name}={value}" for name, value in shared) or "places that share nothing"
    kinds = ", ".join(f"{count} {condition}" for condition, count in counts[:3])
    more = f" and {len(counts) - 3} more kinds" if len(counts) > 3 else ""
    lasting = sum(alarm.until is None for alarm in members)
    return (f"{len(members)} alarm{'s' * (len(members) > 1)} at {where} since {iso(members[0].since)} ({kinds}{more}),"
            f" {lasting} lasting: {grave[0]}, {grave[1]}")


def _runbook(members: list[Alarm], policy: GroupPolicy) -> Runbook | None:
    """The first of the runbooks that match most alarms, if that is half of them at least."""
    fits = [sum(book.match.holds(alarm.condition, alarm.attributes) for alarm in members) for book in policy.runbooks]
    return policy.runbooks[fits.index(max(fits))] if 2 * max(fits, default=0) >= len(members) else None


def _told(loud: list[Alarm], refractory: timedelta) -> tuple[datetime, ...]:
    """When somebody is told: at the first alarm, and at later news no sooner than the refractory time."""
    told: list[datetime] = []
    for moment in sorted(moment for alarm in loud for moment in alarm.told):
        if not told or moment >= told[-1] + refractory:
            told.append(moment)
    return tuple(told)
