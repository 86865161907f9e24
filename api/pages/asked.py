"""What was asked of a job, in words instead of names of fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple


class Fact(NamedTuple):
    """One thing that was asked; a `long` one is a document."""

    words: str
    value: str
    long: bool


WORDS: Final[dict[str, str]] = {
    "sla_floor": "SLA floor", "budget_usd": "Budget", "time_limit_s": "Time limit", "horizon_minutes": "Ahead",
    "mode": "Objective", "thorough": "Uses all of its time", "seed": "Seed of chance", "known": "Known ahead",
    "holidays": "Holidays of", "backtest": "Back-test of every series", "against": "Compared with",
    "days": "Looks ahead", "growth": "Growth on top", "incumbent": "Replaces", "max_moves": "Moves at most",
    "now": "From", "plan": "Of plan", "down": "Lost", "restore": "Back again", "versions": "Model versions",
    "why": "Reason", "shadow": "On live rows", "step_minutes": "Step", "opted_out": "Left out",
    "false_alarms_per_host_day": "False alarms a host and day",
}  # fmt: skip
"""Names of fields that do not say it themselves."""
VALUES: Final[dict[object, str]] = {"min_cost": "least cost", "max_sla": "most SLA attainment",
                                    "in_force": "the plan in force"}


def _minutes(value: float) -> str:
    for unit, length in (("days", 1440), ("hours", 60)):
        if value >= 2 * length and value % length == 0:
            return f"{value / length:g} {unit}"
    return f"{value:g} minutes"


UNITS: Final[dict[str, Callable[[Any], str]]] = {
    "time_limit_s": lambda value: f"{value:g} s", "budget_usd": lambda value: f"USD {value:,.2f}",
    "horizon_minutes": _minutes, "step_minutes": _minutes, "days": lambda value: f"{value} days",
}  # fmt: skip


def facts(settings: Mapping[str, Any]) -> list[Fact]:
    """What was said; what was left as it is by itself is left out."""
    return [_fact(name, value) for name, value in settings.items() if value not in (None, [], {}, "", False)]


def _fact(name: str, value: Any) -> Fact:  # noqa: ANN401 - JSON
    words = WORDS.get(name, name.replace("_", " ").capitalize())
    if name in UNITS and isinstance(value, int | float):
        return Fact(words, UNITS[name](value), long=False)
    if isinstance(value, Mapping) or (_many(value) and not all(isinstance(one, str | int | float) for one in value)):
        return Fact(words, json.dumps(value, indent=2, ensure_ascii=False), long=True)
    if _many(value):
        return Fact(words, "; ".join(map(str, value)), long=False)
    return Fact(words, "yes" if value is True else VALUES.get(value, str(value)), long=False)


def _many(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
