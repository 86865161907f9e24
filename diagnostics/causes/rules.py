"""Expert rules: what a pattern of alarms means and what to do about it, declared in order.

A rule file is YAML, so that people who know the systems write it:

    rules:
      - name: slow disks
        when: {condition: "*latency*", shares: [hardware_class], least_coverage: 0.3}
        cause: "all {hardware_class} are slow: firmware, or a bad batch of disks"
        remedies: ["compare the firmware with that of a healthy class", "drain hosts of {hardware_class}"]

`condition` is a pattern of what is alarmed (`read_latency_ms above usual`), or a list of such, one of which fits. The
first rule that holds is the likely cause, those after it are further ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from string import Formatter

from diagnostics.strict import FileError, items, mapping, number, read_yaml, text, texts

BUILT_IN = Path(__file__).with_name("rules.yaml")
_RULE = ("name", "when", "cause", "remedies")
_WHEN = ("condition", "share", "shares", "not_shares", "where", "least_alarms", "least_coverage",
         "least_users_affected")


@dataclass(frozen=True)
class Findings:
    """What rules look at: counts of alarms by condition, the conditions of the first hypothesis (attribute to value),
    the share of its entities that are alarmed, and the share of users affected (None: unknown).
    """

    conditions: Mapping[str, int]
    shared: Mapping[str, str]
    coverage: float = 0.0
    users_affected: float | None = None

    @property
    def alarms(self) -> int:
        """How many alarms there are."""
        return sum(self.conditions.values())


@dataclass(frozen=True)
class Rule:
    """One rule.

    It holds when at least `share` of the alarms fit one of the patterns `conditions`, the hypothesis names every
    attribute of `shares`, none of `not_shares` and those of `where` with a value that fits its pattern, and counts and
    shares reach the least ones. An unknown share of users is never enough.
    """

    name: str
    cause: str
    remedies: tuple[str, ...]
    conditions: tuple[str, ...] = ("*",)
    share: float = 0.5
    shares: tuple[str, ...] = ()
    not_shares: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    least_alarms: int = 1
    least_coverage: float = 0.0
    least_users_affected: float = 0.0

    def holds(self, findings: Findings) -> bool:
        """Whether all that the rule asks for is so."""
        fitting = sum(count for what, count in findings.conditions.items()
                      if any(fnmatchcase(what, pattern) for pattern in self.conditions))
        users = findings.users_affected
        return (findings.alarms >= self.least_alarms and fitting >= max(1e-9, self.share * findings.alarms)
                and all(name in findings.shared for name in self.shares)
                and not any(name in findings.shared for name in self.not_shares)
                and all(name in findings.shared and fnmatchcase(findings.shared[name], pattern)
                        for name, pattern in self.where.items())
                and findings.coverage >= self.least_coverage
                and (self.least_users_affected <= 0 or (users is not None and users >= self.least_users_affected)))


@dataclass(frozen=True)
class Remedy:
    """A rule that held, with the names of what it was found at."""

    rule: str
    cause: str
    steps: tuple[str, ...]


def remedies(rules: tuple[Rule, ...], findings: Findings) -> tuple[Remedy, ...]:
    """Every rule that holds, in the order of the file, with values in place of `{attribute}`."""
    return tuple(Remedy(rule.name, rule.cause.format_map(findings.shared),
                        tuple(step.format_map(findings.shared) for step in rule.remedies))
                 for rule in rules if rule.holds(findings))


def read_rules(path: Path = BUILT_IN) -> tuple[Rule, ...]:
    """Read a rule file, in order.

    Raises:
        FileError: it is no rule file; one line says where and why.

    """
    content = read_yaml(path)
    return rules_of(f"{path}: rule", mapping(str(path), content, ("rules",)).get("rules"))


def rules_of(at: str, given: object) -> tuple[Rule, ...]:
    """Rules from a list, in order. Raises FileError."""
    rules = tuple(_rule(f"{at} {place}", one) for place, one in enumerate(items(at, given), 1))
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise FileError(f"{at}: name: {name!r}: every rule has a name of its own")
    return rules


def _rule(at: str, given: object) -> Rule:
    """One rule from its mapping."""
    parts = mapping(at, given, _RULE)
    when = mapping(f"{at}: when", parts.get("when", {}), _WHEN)
    shares, others = (tuple(texts(f"{at}: when.{name}", when.get(name, []))) for name in ("shares", "not_shares"))
    places = mapping(f"{at}: when.where", when.get("where", {}), None)
    named = {str(name): str(pattern) for name, pattern in places.items()}
    numbers = {name: number(f"{at}: when.{name}", when[name]) for name in
               ("share", "least_coverage", "least_users_affected") if name in when}
    least = number(f"{at}: when.least_alarms", when.get("least_alarms", 1), 1e9)
    rule = Rule(text(f"{at}: name", parts.get("name")), text(f"{at}: cause", parts.get("cause")),
                tuple(texts(f"{at}: remedies", parts.get("remedies", []))),
                _patterns(f"{at}: when.condition", when.get("condition", "*")), shares=shares, not_shares=others,
                where=named, least_alarms=int(least), **numbers)
    known = {*shares, *named}
    for words in (rule.cause, *rule.remedies):
        try:
            fields = {name for _, name, _, _ in Formatter().parse(words) if name is not None}
        except ValueError as error:
            raise FileError(f"{at}: {words!r}: {error}; write {{{{ and }}}} for braces") from error
        if unknown := sorted(fields - known):
            raise FileError(f"{at}: {{{unknown[0]}}}: only attributes of when.shares and when.where have a value: "
                            f"{', '.join(sorted(known)) or 'none here'}")
    return rule


def _patterns(at: str, given: object) -> tuple[str, ...]:
    """One pattern, or several of which one must fit."""
    patterns = (text(at, given),) if isinstance(given, str) else tuple(texts(at, given))
    if not patterns:
        raise FileError(f"{at}: []: at least one pattern; leave it out where all alarms count")
    return patterns
