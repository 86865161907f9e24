"""What experts know: rules of what is normal and what is not, in order; the first that speaks of a value decides.

A `normal` rule silences alarms (the nightly backup, idle latencies below a millisecond); a `not_normal` rule raises one
whatever was usual (a disk nine tenths full every day is no less full). A rule file is YAML:

    rules:
      - name: nightly backup
        verdict: normal
        metric: "write_*"
        hours: [1, 2, 3]
        reason: the backup writes everything once
      - name: disk nearly full
        verdict: not_normal
        metric: disk_used_share
        above: 0.9
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from diagnostics.telemetry import Telemetry

Verdict = Literal["normal", "not_normal"]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
UNSAID = -1
"""Where no rule speaks of a value."""

_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


class ExpertRuleError(ValueError):
    """Rules cannot be used; the message is one line: what was found, where, what is allowed."""


@dataclass(frozen=True)
class ExpertRule:
    """Speaks of values of matching series (patterns with * and ?; a cluster's own metrics have no workload) that are
    above and below its limits, in its hours (UTC, 0 to 23) and on its weekdays. What is left out does not limit it.
    """

    name: str
    verdict: Verdict
    cluster: str = "*"
    hardware_class: str = "*"
    metric: str = "*"
    workload: str = "*"
    above: float | None = None
    below: float | None = None
    hours: tuple[int, ...] = ()
    weekdays: tuple[str, ...] = ()
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse verdicts, hours and weekdays that are none, limits that nothing is within, and rules against all."""
        if not self.name:
            raise ExpertRuleError("name: '': every rule has one, alarms say it")
        _one_of("verdict", self.verdict, get_args(Verdict))
        for hour in self.hours:
            if not 0 <= hour <= 23:
                raise ExpertRuleError(f"hours: {hour}: 0 to 23, UTC")
        for day in self.weekdays:
            _one_of("weekdays", day, WEEKDAYS)
        if self.above is not None and self.below is not None and not self.above < self.below:
            raise ExpertRuleError(f"above, below: {self.above}, {self.below}: nothing is above one and below the other")
        if self.verdict == "not_normal" and self.above is None and self.below is None:
            raise ExpertRuleError("above, below: neither is given: not every value can be wrong")

    def speaks_of(self, telemetry: Telemetry) -> npt.NDArray[np.bool_]:
        """Whether the rule is about a value: [series, steps]; never about one that was not measured."""
        patterns = self.cluster, self.hardware_class, self.metric, self.workload
        rows = np.array([all(map(fnmatchcase, series, patterns)) for series in telemetry.series], dtype=bool)
        values = telemetry.values
        within = np.isfinite(values) & rows[:, None]
        if self.above is not None:
            within &= values > self.above
        if self.below is not None:
            within &= values < self.below
        minutes = (telemetry.start.astype("datetime64[m]").astype(np.int64)
                   + telemetry.step_minutes * np.arange(values.shape[1]))
        if self.hours:
            within &= np.isin(minutes // 60 % 24, self.hours)
        if self.weekdays:
            days = (minutes // (24 * 60) + _EPOCH_WEEKDAY) % 7
            within &= np.isin(days, [WEEKDAYS.index(day) for day in self.weekdays])
        return np.asarray(within)


def deciding(rules: Sequence[ExpertRule], telemetry: Telemetry) -> npt.NDArray[np.int64]:
    """The number of the rule that decides on each value, `UNSAID` for none: [series, steps]."""
    decided = np.full(telemetry.values.shape, UNSAID, dtype=np.int64)
    for number, rule in enumerate(rules):
        decided[(decided == UNSAID) & rule.speaks_of(telemetry)] = number
    return decided


def read_rules(path: Path) -> tuple[ExpertRule, ...]:
    """Read a rule file. Raises ExpertRuleError with file, rule, field, value and what is allowed."""
    import yaml

    from diagnostics.strict import parse_yaml

    try:
        found = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ExpertRuleError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict) or set(found) != {"rules"} or not isinstance(found["rules"], list):
        raise ExpertRuleError(f"{path}: one key 'rules' with a list of rules is needed")
    rules = tuple(_rule(f"{path}: rules[{number}]", row) for number, row in enumerate(found["rules"]))
    names = [rule.name for rule in rules]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ExpertRuleError(f"{path}: name: {twice[0]!r}: two rules have it, and alarms could not say which")
    return rules


def _rule(where: str, row: object) -> ExpertRule:
    """One rule of a file."""
    if not isinstance(row, Mapping):
        raise ExpertRuleError(f"{where}: {row!r}: keys and values are needed")
    known = [field.name for field in fields(ExpertRule)]
    try:
        for key in row:
            _one_of("key", str(key), known)
        given = {key: _value(key, value) for key, value in row.items()}
        return ExpertRule(**{"name": "", "verdict": "not given"} | given)
    except ExpertRuleError as error:
        raise ExpertRuleError(f"{where}: {error}") from error


def _value(key: str, value: Any) -> Any:  # noqa: ANN401 - whatever YAML says
    """A value of the kind that its key has."""
    if key in ("above", "below"):
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise ExpertRuleError(f"{key}: {value!r}: a number")
        return float(value)
    if key in ("hours", "weekdays"):
        kind: type = int if key == "hours" else str
        if not isinstance(value, list) or not all(type(one) is kind for one in value):
            raise ExpertRuleError(f"{key}: {value!r}: a list of {'numbers 0 to 23' if kind is int else 'weekdays'}")
        return tuple(value)
    if not isinstance(value, str):
        raise ExpertRuleError(f"{key}: {value!r}: text")
    return value


def _one_of(field: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse what is not allowed, with the nearest that is."""
    if value not in allowed:
        near = get_close_matches(value, allowed, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ExpertRuleError(f"{field}: {value!r}: one of {', '.join(allowed)}{hint}")
