"""An alarm policy as people write it: remedies, maintenance, inhibition, users affected and runbooks in one YAML file.

    page_users: 0.001
    rules: []                      # of remedies, see diagnostics.causes.rules; the built-in ones when left out
    maintenance:
      - {match: {cluster: "onprem-*"}, start: 2026-11-01T18:00Z, end: 2026-11-01T22:00Z, reason: new switches}
    inhibit:
      - {source: {metric: reachable}, target: {metric: "*latency*"}, equal: [cluster]}
    users:                         # share of users affected while such an alarm fires; `value`: the alarm's own value
      - {match: {metric: error_share}, affected: value}
      - {match: {metric: "batch_*"}, affected: 0}
    runbooks:
      - {match: {cluster: aws-saopaulo}, contact: "#claims-oncall", steps: [roll back to last-known-good]}

A match has a pattern for each attribute named: cluster, hardware_class, metric, condition and what the scenario adds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from diagnostics.alarms.events import Attributes, utc
from diagnostics.alarms.grouping import GroupPolicy, Runbook
from diagnostics.alarms.lifecycle import Inhibition, LifePolicy, Maintenance, Match
from diagnostics.causes.rules import read_rules, rules_of
from diagnostics.strict import FileError, items, mapping, number, read_yaml, text, texts

_SECTIONS = ("page_users", "page_unknown", "rules", "maintenance", "inhibit", "users", "runbooks")
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Impact:
    """Alarms at `match` affect this share of users, or as many as the alarm's own value says (None)."""

    match: Match
    affected: float | None


@dataclass(frozen=True)
class AlarmPolicy:
    """How alarms live, how they are grouped, and what they do to users; the first impact that matches counts."""

    life: LifePolicy = field(default_factory=LifePolicy)
    group: GroupPolicy = field(default_factory=GroupPolicy)
    impacts: tuple[Impact, ...] = ()

    def users_affected(self, condition: str, attributes: Attributes, value: float) -> float | None:
        """The share of users that an alarm affects, None where nobody said."""
        for impact in self.impacts:
            if impact.match.holds(condition, attributes):
                return min(1.0, max(0.0, value)) if impact.affected is None else impact.affected
        return None


def default_policy() -> AlarmPolicy:
    """The policy without a file: the built-in remedies, nothing known of users."""
    return AlarmPolicy(group=GroupPolicy(rules=read_rules()))


def read_policy(path: Path) -> AlarmPolicy:
    """Read a policy file.

    Raises:
        FileError: it cannot be used; one line says where and why.

    """
    given = mapping(str(path), read_yaml(path) or {}, _SECTIONS)

    def each(section: str, known: tuple[str, ...],
             make: Callable[[str, dict[str, object]], _Made]) -> tuple[_Made, ...]:
        rows = items(f"{path}: {section}", given.get(section, []))
        return tuple(make(at, mapping(at, row, known))
                     for at, row in ((f"{path}: {section} {place}", row) for place, row in enumerate(rows, 1)))

    rules = rules_of(f"{path}: rule", given["rules"]) if "rules" in given else read_rules()
    unknown = given.get("page_unknown", False)
    if not isinstance(unknown, bool):
        raise FileError(f"{path}: page_unknown: {unknown!r}: true or false")
    group = GroupPolicy(rules=rules, page_unknown=unknown,
                        runbooks=each("runbooks", ("match", "contact", "steps"), _runbook))
    if "page_users" in given:
        share = number(f"{path}: page_users", given["page_users"])
        if share == 0:
            raise FileError(f"{path}: page_users: 0: above 0, or every alarm would page")
        group = replace(group, page_users=share)
    life = LifePolicy(maintenance=each("maintenance", ("match", "start", "end", "reason"), _maintenance),
                      inhibitions=each("inhibit", ("source", "target", "equal"), _inhibition))
    return AlarmPolicy(life, group, each("users", ("match", "affected"), _impact))


def _match(at: str, given: object) -> Match:
    patterns = mapping(at, given, None)
    return Match(tuple(sorted((str(name), text(f"{at}.{name}", pattern)) for name, pattern in patterns.items())))


def _maintenance(at: str, row: dict[str, object]) -> Maintenance:
    start, end = (_time(f"{at}: {name}", row.get(name)) for name in ("start", "end"))
    if end <= start:
        raise FileError(f"{at}: end: {end.isoformat()}: must be after the start")
    return Maintenance(_match(f"{at}: match", row.get("match")), start, end, text(f"{at}: reason", row.get("reason")))


def _time(at: str, given: object) -> datetime:
    try:
        return utc(given.isoformat() if isinstance(given, datetime) else text(at, given))
    except ValueError as error:
        raise FileError(f"{at}: {given!r}: must be a time with its zone, such as 2026-11-01T19:00Z") from error


def _inhibition(at: str, row: dict[str, object]) -> Inhibition:
    return Inhibition(_match(f"{at}: source", row.get("source")), _match(f"{at}: target", row.get("target")),
                      tuple(texts(f"{at}: equal", row.get("equal", []))))


def _impact(at: str, row: dict[str, object]) -> Impact:
    affected = row.get("affected")
    return Impact(_match(f"{at}: match", row.get("match")),
                  None if affected == "value" else number(f"{at}: affected", affected))


def _runbook(at: str, row: dict[str, object]) -> Runbook:
    return Runbook(_match(f"{at}: match", row.get("match")), text(f"{at}: contact", row.get("contact")),
                   tuple(texts(f"{at}: steps", row.get("steps", []))))
