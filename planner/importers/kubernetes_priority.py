"""Priorities of pods on the scale of scenarios, 0..100: the planner's own stay, of others the order does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from planner.importers.draft import Draft
from planner.importers.kubernetes_work import Spec
from planner.kube.objects import Thing

OWN = re.compile(r"planner-([0-9]{1,2}|100)")
"""Classes that `planner export kubernetes` writes."""
SYSTEM = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
NONE, ABOVE, BELOW, TOP = 50, 90, 10, 95
"""Level of pods without a priority, most and least of those above and below it, and the system's."""


@dataclass(frozen=True, slots=True)
class Priorities:
    """Values of PriorityClasses by name, and the level of every value."""

    classes: dict[str, int]
    levels: dict[int, int]

    @classmethod
    def of(cls, things: Iterable[Thing], specs: Sequence[Spec]) -> Priorities:
        """The classes among some objects, and levels for all values that some specs have."""
        found = {thing.name: thing.at("value") for thing in things if thing.kind == "PriorityClass"}
        classes = SYSTEM | {name: value for name, value in found.items() if isinstance(value, int)}
        first = cls(classes, {})
        values = sorted({value for spec in specs if (value := first._value(spec)) is not None})
        above = [value for value in values if 0 < value < min(SYSTEM.values())]
        below = [value for value in values if value < 0]
        levels = {value: TOP for value in values if value >= min(SYSTEM.values())} | {0: NONE}
        levels |= {value: NONE + (ABOVE - NONE) * rank // len(above) for rank, value in enumerate(above, 1)}
        levels |= {value: BELOW + (NONE - BELOW) * rank // len(below) for rank, value in enumerate(below)}
        return cls(classes, levels)

    def level(self, spec: Spec, name: str, draft: Draft) -> int:
        """The level of a pod; what was made of a priority of somebody else's is told."""
        own = OWN.fullmatch(str(spec.fields.get("priorityClassName") or ""))
        if own is not None:
            return int(own[1])
        value = self._value(spec) or 0
        if value:
            why = f"for priority {value}: the order of all stays"
            draft.guess("workloads.*.priority", self.levels[value], why, name)
        return self.levels[value]

    def _value(self, spec: Spec) -> int | None:
        """The priority of a pod; None where its class is the planner's own. Raises InputError for an unknown class."""
        word, value = spec.fields.get("priorityClassName"), spec.fields.get("priority")
        if OWN.fullmatch(str(word or "")):
            return None
        if isinstance(value, int):
            return value
        if word is not None and word not in self.classes:
            raise spec.thing.wrong(f"{spec.where}.priorityClassName", word, "its PriorityClass is needed, too: add "
                                   "`kubectl get priorityclasses -o json`")
        return self.classes.get(str(word), 0)
