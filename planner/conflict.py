"""Why no plan is possible: a smallest set of rules that cannot hold together.

Rules are left out, many at once and then fewer, as long as no plan is possible without them (the deletion filter, by
halves; Chinneck, "Feasibility and Infeasibility in Optimization", 2008). What is left is irreducible: without any one
of its rules there is a plan, which was found and verified. First whole workloads are left out, so that what follows is
small.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from placement.overload import overload
from planner.formulate import Formulation
from planner.rules import Rule, only, rules_of, without
from planner.scenario.model import Scenario
from planner.trial import Trials, hopeless, replicas_of


@dataclass(frozen=True, slots=True, eq=False)
class Conflict:
    """Rules of `scenario` (the workloads that matter alone) that no plan can keep together.

    `proven`: that no plan keeps them all is proven. `irreducible`: for each rule there is a plan that keeps all others.
    """

    scenario: Scenario
    rules: tuple[Rule, ...]
    proven: bool
    irreducible: bool

    def words(self) -> tuple[str, ...]:
        """The rules in words; where time was short, what is not proven."""
        said = tuple(rule.words for rule in self.rules)
        if not self.proven:
            return (*said, "(time was too short to prove that these alone are in conflict)")
        return said if self.irreducible else (*said, "(time was too short to see whether fewer are in conflict)")


def find_conflict(scenario: Scenario, formulation: Formulation, trials: Trials,
                  suspects: Iterable[str] = ()) -> Conflict:
    """A conflict of a scenario for which there is no plan; its workloads are profiled, `formulation` is its own.

    `suspects` are workloads that stay out when as many as possible are placed.
    """
    size = replicas_of(trials.profiles)
    rejected = hopeless(formulation)
    names = _isolated(scenario, formulation, trials, suspects)
    small = only(scenario, names)
    sure = trials.possible(small) is False
    if not sure:
        small, sure = scenario, rejected is not None or trials.possible(scenario) is False
    if len(small.workloads) > 1:
        order = sorted((workload.name for workload in small.workloads), key=lambda name: (size[name], name))
        kept, _ = _shrunk(order, lambda left: trials.possible(only(small, left)) is False)
        small = only(small, kept)
    every = [rule for rule in rules_of(small) if rule.kind != "request" or rejected is not None]
    rules = sorted(every, key=_last_to_go)
    kept_rules, certain = _shrunk(rules, lambda left: _impossible(small, every, left, trials))
    return Conflict(small, tuple(rule for rule in every if rule in set(kept_rules)), sure, certain and sure)


def _impossible(scenario: Scenario, every: Sequence[Rule], left: Sequence[Rule], trials: Trials) -> bool | None:
    """Whether no plan keeps the rules that are left: None when neither is known."""
    kept = set(left)
    answer = trials.possible(_lessened(scenario, [rule for rule in every if rule not in kept]))
    return None if answer is None else not answer


def _lessened(scenario: Scenario, dropped: Sequence[Rule]) -> Scenario:
    """The scenario without rules; workloads that need not be placed are gone, with their other rules."""
    gone = {rule.subject for rule in dropped if rule.kind == "must"}
    rest = without(scenario, [rule for rule in dropped if rule.subject not in gone])
    left = [workload.name for workload in rest.workloads if workload.name not in gone]
    return only(rest, left) if left else rest.model_copy(update={"workloads": ()})


_LAST = ("must", "pool", "offer", "limit", "budget", "floor")
"""Kinds that are left out last, so that a conflict rather names them than what follows from them."""


def _last_to_go(rule: Rule) -> int:
    return _LAST.index(rule.kind) + 1 if rule.kind in _LAST else 0


def _isolated(scenario: Scenario, formulation: Formulation, trials: Trials, suspects: Iterable[str]) -> list[str]:
    """Workloads whose rules are likely in conflict: one without a legal place, else those that compete for pools."""
    if scenario.objective.mode == "max_sla":  # where nothing must be placed, workloads conflict with nothing
        return [scenario.workloads[0].name]
    if (rejected := hopeless(formulation)) is not None:
        firm = sorted(w.name for w in scenario.workloads if w.name in set(rejected) and not w.droppable)
        return firm[:1] or sorted(rejected)
    if (crowd := overload(formulation.problem)) is not None:
        return sorted({formulation.names.streams[stream][0] for stream in crowd.streams.tolist()})
    return _rivals(scenario, trials, sorted(suspects)[:1]) or [workload.name for workload in scenario.workloads]


def _rivals(scenario: Scenario, trials: Trials, suspects: list[str]) -> list[str]:
    """A workload that found no room, and all that may run only where it may, or where those may, and so on."""
    formulation = trials.formulated(scenario)
    if formulation is None or not suspects:
        return []
    problem, names = formulation.problem, formulation.names
    legal: dict[str, set[int]] = {name: set() for name in names.workloads}
    for stream, pool in zip(problem.candidates.stream.tolist(), problem.candidates.pool.tolist(), strict=True):
        legal[names.streams[stream][0]].add(pool)
    pools = set().union(*(legal[name] for name in suspects))
    while True:
        inside = sorted(name for name, where in legal.items() if where and where <= pools)
        if trials.possible(only(scenario, inside)) is False:
            return inside
        near = sorted((len(where - pools), name) for name, where in legal.items() if where & pools and where - pools)
        if not near or trials.left_s <= 0:
            return []
        pools |= legal[near[0][1]]


Item = TypeVar("Item", bound=Hashable)


def _shrunk(items: Sequence[Item], impossible: Callable[[Sequence[Item]], bool | None]) -> tuple[list[Item], bool]:
    """Items that cannot be left out while it stays `impossible`; and whether each of them was seen to be needed.

    `impossible` never turns true by leaving more out.
    """
    left, certain = list(items), True
    waiting = [list(items)[len(items) // 2:], list(items)[:len(items) // 2]]
    while waiting:
        chunk = waiting.pop()
        if not chunk:
            continue
        rest = [item for item in left if item not in set(chunk)]
        answer = impossible(rest)
        if answer:
            left = rest
        elif len(chunk) > 1:
            middle = len(chunk) // 2
            waiting += [chunk[middle:], chunk[:middle]]
        else:
            certain = certain and answer is False
    return left, certain
