"""The cheapest ways out of a conflict: for each of its rules the least loosening that lets a plan be, with its cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import isfinite

from planner.conflict import Conflict, find_conflict
from planner.loosen import Ladder, ladders
from planner.plan import Relaxation
from planner.scenario.model import Scenario
from planner.trial import Trials

SHOWN = 12
"""Relaxations that are told, the cheapest of all that were tried."""
DEEP = 3
"""Rules loosened together at most, where one is not enough because there is more than one conflict."""
WAYS = 8
"""Ways tried to loosen one rule."""
COST_S = 5.0
"""Seconds spent on what one relaxed plan costs, at most."""


ANY_PLAN_S = 4.0
"""Seconds spent on whether a step suffices."""
DOUBTS = 2
"""Steps that may be given up undecided before the least step seen to suffice is taken as it is."""
_FIRST = ("pool", "limit", "offer", "budget", "floor", "survive")
"""Kinds that are loosened first: they help many workloads at once."""


@dataclass(frozen=True, slots=True)
class _Way:
    words: tuple[str, ...]
    scenario: Scenario
    usd: float


def relaxations(scenario: Scenario, conflict: Conflict, trials: Trials) -> tuple[Relaxation, ...]:
    """Ways to loosen rules of a conflict so that there is a plan, by what the plan then costs.

    Each was checked by finding and verifying a plan. The step is the least of its kind that was seen to suffice. Where
    a rule loosened by itself is not enough, because other rules conflict too, those are loosened with it.
    """
    found: dict[str, _Way] = {}
    for way in _ways_out(scenario, conflict, trials, ()):
        found["; and ".join(way.words)] = way
        if trials.left_s <= 0:
            break
    usd = {words: way.usd for words, way in found.items()}
    for words, way in found.items():
        best = trials.cost_usd(way.scenario, min(COST_S, trials.left_s / 2))
        usd[words] = way.usd if best is None else min(way.usd, best)
    cheapest = sorted((round(usd[words], 6), words) for words in found if isfinite(usd[words]))
    return tuple(Relaxation(what=words, cost_usd=cost) for cost, words in cheapest[:SHOWN])


def _ways_out(scenario: Scenario, conflict: Conflict, trials: Trials, before: tuple[str, ...]) -> Iterator[_Way]:
    """Single loosenings that suffice first; then, from each that does not, ways out of the conflict that is left."""
    most, stuck = _most_machines(trials), []
    for rule in sorted(conflict.rules, key=lambda rule: rule.kind not in _FIRST):
        for ladder in islice(ladders(rule, scenario, most), WAYS):
            step, _ = _least(ladder, conflict.scenario, trials, 0)
            if step is None:
                continue
            whole, usd = _least(ladder, scenario, trials, step)
            if whole is not None:
                yield _Way((*before, ladder.words(whole)), ladder.apply(scenario, whole), usd)
            else:
                stuck.append((ladder.words(step), ladder.apply(scenario, step)))
    if len(before) + 1 < DEEP:
        for words, lessened in stuck:
            if trials.left_s <= 0:
                return
            formulation = trials.formulated(lessened)
            if formulation is not None:
                left = find_conflict(lessened, formulation, trials)
                yield from _ways_out(lessened, left, trials, (*before, words))


def _least(ladder: Ladder, scenario: Scenario, trials: Trials, first: int) -> tuple[int | None, float]:
    """The least step from `first` on with which a plan was found, and its USD; strides grow, then halve.

    None where no plan was found with any step.
    """
    usd: dict[int, float] = {}
    doubts = 0

    def suffices(step: int) -> bool:
        nonlocal doubts
        answer = trials.possible(ladder.apply(scenario, step), ANY_PLAN_S) if trials.left_s > 0 else None
        doubts += answer is None
        usd[step] = trials.last_usd
        return answer is True

    low, stride, step = first, 1, first
    while not suffices(step):
        if step == ladder.steps - 1 or trials.left_s <= 0:
            return None, float("inf")
        low, step, stride = step + 1, min(step + stride, ladder.steps - 1), stride * (4 if doubts else 2)
    doubts = 0
    while low < step and doubts < DOUBTS:
        middle = (low + step) // 2
        low, step = (low, middle) if suffices(middle) else (middle + 1, step)
    return step, usd[step]


def _most_machines(trials: Trials) -> int:
    """More machines than all replicas of four copies of everything could use, one each."""
    return 4 * int(trials.profiles.replicas.max(axis=1, initial=0).sum()) + 1
