"""Biggest first, each into the cheapest legal pool with room: what a careful script would do, as a yardstick.

Workloads are taken by what they would cost where they are cheapest, in `max_sla` by their weight for that cost. Each
stream takes the fewest copies that its availability allows, in the pools where its shares of machines cost least, and
the first start with room. Room is judged by packing: what the pool holds with the newcomer must fit the machines that
can be bought there. Nothing placed is moved, save that all start anew
after a workload that must be placed and found no room; and nothing is proven.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations, islice

import numpy as np

from placement.complete import Shortfall, complete
from placement.domains import SLO_TOLERANCE, at_most_one_down, failure_domains
from placement.formulation import cost_usd
from placement.interference import LEFT_OUT
from placement.needs import Load, has_spot
from placement.options import needs_of, no_paths
from placement.packing import Effort, needed
from placement.problem import TOLERANCE, Counts, Floats, Ints, Problem, Purchase
from placement.purchase import buy, terms
from placement.result import Result, Settings, Solution, Units, Watch

METHOD = "no bound: first fit proves nothing"
_TURNS = 10
_MOST_SETS = 5000
"""Sets of pools that are looked at for a stream's copies."""

Unit = tuple[int, int, int]
"""(candidate, variant, start)."""
Kind = tuple[int, bool]
"""(shape, whether spot machines may hold it): what a pool's load is made of."""


def supports(problem: Problem) -> str | None:
    """None, or why this problem is refused: a pool with two offers of one purchase, limits that pools share, a limit on
    moves, or sample paths.
    """
    if (why := no_paths(problem)) is not None:
        return why
    if problem.incumbent is not None and problem.incumbent.most_moves is not None:
        return "it limits moves from a plan in force; first fit places everything anew"
    if problem.interference is not None:
        return LEFT_OUT
    if len(problem.limits.paid):
        return "pools share limits; first fit fills each pool by itself"
    pairs = np.stack([problem.offers.pool, problem.offers.purchase], axis=1)
    if len(np.unique(pairs, axis=0)) < len(pairs):
        return "a pool has two offers of one purchase; one of each is supported"
    return None


def solve(problem: Problem, settings: Settings, watch: Watch) -> Result:  # noqa: ARG001 (there is nothing to set)
    """Place workload after workload; a workload whose streams do not all find room is left out whole.

    Where one that must be placed is left out, all start anew after it, `_TURNS` times at most.
    """
    trivial = 0.0 if problem.objective.mode == "min_cost" else 1.0
    first: list[int] = []
    for _ in range(_TURNS):
        best, left_out = _filled(problem, first, watch)
        if watch.stopped():
            return Result("unknown", None, trivial, "stopped before every workload was tried")
        if problem.objective.mode == "max_sla" or problem.workloads.droppable[left_out].all():
            break
        if left_out == first[:len(left_out)]:
            break
        first = [*left_out, *(workload for workload in first if workload not in left_out)]
    if best is None or not _allowed(problem, best):
        return Result("unknown", None, trivial, f"first fit left out {len(left_out)} workloads for want of room")
    return Result("feasible", best, trivial, METHOD)


def _filled(problem: Problem, first: list[int], watch: Watch) -> tuple[Solution | None, list[int]]:
    """The plan that comes of placing the workloads in order, some `first`, and those left out."""
    shelf, left_out = _Shelf(problem), list[int]()
    best = shelf.solution()
    for workload in [*first, *(w for w in _order(problem, shelf).tolist() if w not in first)]:
        if watch.stopped():
            break
        before = dict(shelf.placed)
        if not all(shelf.place(int(s)) for s in np.flatnonzero(problem.streams.workload == workload)):
            shelf.restore(before)
            left_out.append(workload)
        elif problem.objective.mode == "max_sla":
            solution = shelf.solution()
            if solution is None or cost_usd(problem, solution) > problem.objective.budget_usd:
                shelf.restore(before)
            else:
                best = solution
    return (shelf.solution() if problem.objective.mode == "min_cost" else best), left_out


def _order(problem: Problem, shelf: _Shelf) -> Ints:
    """Workloads, the dearest first; in `max_sla` those with the most weight for their cost."""
    usd = np.zeros(len(problem.workloads.weight))
    for stream, workload in enumerate(problem.streams.workload):
        choices = shelf.choices(stream)
        usd[workload] += min((price for _, price in choices), default=0.0)
    if problem.objective.mode == "min_cost":
        return np.argsort(-usd, kind="stable")
    return np.argsort(-problem.workloads.weight / np.maximum(usd, 1e-9), kind="stable")


def _allowed(problem: Problem, solution: Solution) -> bool:
    """Whether what is left out may be: droppable and within the floor, or, in `max_sla`, whether the budget is kept."""
    if problem.objective.mode == "max_sla":
        return cost_usd(problem, solution) <= problem.objective.budget_usd
    missing = np.setdiff1d(np.arange(len(problem.streams.workload)), solution.units.stream)
    lost = np.unique(problem.streams.workload[missing])
    return bool(problem.workloads.droppable[lost].all() and problem.workloads.weight[lost].sum() <= problem.slack)


@dataclass
class _Shelf:
    """What is placed so far: each stream's units."""

    problem: Problem
    placed: dict[int, tuple[Unit, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problem = self.problem
        self._offered, self._spot = terms(problem), has_spot(problem)
        self._loads: list[dict[Kind, Counts]] = [{} for _ in problem.pools.cluster]
        self._share_usd, self._domains = _share_usd(problem), failure_domains(problem)
        self._ranked: dict[int, list[tuple[Unit, float]]] = {}

    def restore(self, before: dict[int, tuple[Unit, ...]]) -> None:
        """Go back to an earlier state."""
        for stream in self.placed.keys() - before.keys():
            for unit in self.placed.pop(stream):
                self._book(stream, unit, -1)

    def solution(self) -> Solution | None:
        """The plan so far with the cheapest machines; None when they cannot be had."""
        made = complete(self.problem, _units(self.placed), effort=Effort.ORDERS)
        return None if isinstance(made, Shortfall) else made

    def place(self, stream: int) -> bool:
        """Put the stream's copies where they are cheapest and have room; False when there is no such place."""
        variants = self.problem.variants
        for copies in sorted({int(variants.copies[unit[1]]) for unit, _ in self.choices(stream)}):
            first_start = cache(lambda unit: self._first_start(stream, unit))
            for units in self._sets(stream, copies):
                if all(first_start(unit) is not None for unit in units):
                    self.placed[stream] = tuple(unit for unit in map(first_start, units) if unit is not None)
                    for unit in self.placed[stream]:
                        self._book(stream, unit, 1)
                    return True
        return False

    def _book(self, stream: int, unit: Unit, sign: int) -> None:
        load, kind = self._loads[self._pool(unit)], self._kind(stream, self._pool(unit))
        load[kind] = load.get(kind, 0) + sign * _needs(self.problem, unit)

    def _kind(self, stream: int, pool: int) -> Kind:
        streams = self.problem.streams
        return int(streams.shape[stream]), bool(streams.preemptible[stream] and self._spot[pool])

    def choices(self, stream: int) -> list[tuple[Unit, float]]:
        """The stream's legal units at their earliest start with what they would cost there, cheapest first."""
        if stream not in self._ranked:
            problem = self.problem
            first, end = problem.streams.variant_first[stream:stream + 2]
            found = [choice for v in range(int(first), int(end)) for choice in self._estimated(stream, v)]
            self._ranked[stream] = sorted(found, key=lambda choice: choice[1])
        return self._ranked[stream]

    def _sets(self, stream: int, copies: int) -> Iterator[tuple[Unit, ...]]:
        """Units of `copies` copies in distinct failure domains that are up often enough, cheap ones first."""
        ranked = [unit for unit, _ in self.choices(stream) if self.problem.variants.copies[unit[1]] == copies]
        for units in islice(combinations(ranked, copies), _MOST_SETS):
            chosen = self._domains.pool[[self._pool(unit) for unit in units]]
            if len(np.unique(chosen)) == copies and self._up(stream, units, chosen):
                yield units

    def _up(self, stream: int, units: tuple[Unit, ...], chosen: Ints) -> bool:
        if len(units) == 1:
            return bool(self.problem.candidates.single[units[0][0]])
        chance = at_most_one_down(self._domains.path, self._domains.up, chosen)
        return bool(chance >= self.problem.streams.availability[stream] - SLO_TOLERANCE)

    def _pool(self, unit: Unit) -> int:
        return int(self.problem.candidates.pool[unit[0]])

    def _estimated(self, stream: int, variant: int) -> Iterator[tuple[Unit, float]]:
        """A variant's units at its earliest start, and for all its copies together their shares of machines at the
        lowest price that the stream may use, with what the copies cost beside.
        """
        problem, variants, candidates = self.problem, self.problem.variants, self.problem.candidates
        first, end = problem.streams.candidate_first[stream:stream + 2]
        here = first + np.flatnonzero(candidates.speed[first:end] == variants.speed[variant])
        start = int(variants.earliest[variant]) if variants.row[variant] < 0 else 0
        rate = self._share_usd[int(problem.streams.preemptible[stream])][problem.streams.shape[stream]]
        machines = rate[candidates.pool[here]] @ needs_of(problem, variant)[0]
        copies = int(variants.copies[variant])
        usd = copies * (machines + candidates.cost_usd[here]) + candidates.user_usd[here]
        for candidate, price in zip(here.tolist(), usd.tolist(), strict=True):
            yield (candidate, variant, start), price

    def _first_start(self, stream: int, unit: Unit) -> Unit | None:
        """The unit at the first start that leaves room for everything in its pool."""
        candidate, variant, _ = unit
        batch = self.problem.variants.row[variant] < 0
        starts = range(self.problem.variants.earliest[variant], self.problem.variants.latest[variant] + 1)
        return next(((candidate, variant, int(start)) for start in (starts if batch else (0,))
                     if self._has_room(stream, (candidate, variant, int(start)))), None)

    def _has_room(self, stream: int, unit: Unit) -> bool:
        pool, kind = self._pool(unit), self._kind(stream, self._pool(unit))
        loads = self._loads[pool]
        load = _load({**loads, kind: loads.get(kind, 0) + _needs(self.problem, unit)})
        if self._too_much(pool, load):
            return False
        need = needed(load, self.problem.shapes, self.problem.pools.room[pool], effort=Effort.ORDERS)
        return not buy(pool, self._offered, need.firm, need.machines).lacking.any()

    def _too_much(self, pool: int, load: Load) -> bool:
        """Whether the sum of what is wanted is already more than all machines have."""
        wanted = (load.firm + load.flexible).T @ self.problem.shapes[load.shapes]
        have = self._offered.pool_most[pool][:, None] * (self.problem.pools.room[pool] + TOLERANCE)
        return bool((wanted > have + 1e-9).any())


def _needs(problem: Problem, unit: Unit) -> Counts:
    """Replicas of a unit in each slot."""
    _, variant, start = unit
    first = int(problem.variants.earliest[variant]) if problem.variants.row[variant] < 0 else 0
    row: Counts = needs_of(problem, variant)[start - first]
    return row


def _load(kinds: dict[Kind, Counts]) -> Load:
    shapes = sorted({shape for shape, _ in kinds})
    none = np.zeros(len(next(iter(kinds.values()))), np.int32)
    firm, flexible = ([kinds.get((shape, spot), none) for shape in shapes] for spot in (False, True))
    return Load(np.array(shapes, np.int64), np.array(firm, np.int32), np.array(flexible, np.int32))


def _share_usd(problem: Problem) -> tuple[Floats, Floats]:
    """USD of one replica's share of a machine in each slot, [C, P, T], for firm and for preemptible work."""
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = problem.shapes[:, None]
        holds = np.where(sizes > 0, (problem.pools.room + TOLERANCE) / sizes, np.inf)
    share = 1 / np.maximum(np.floor(holds.min(axis=2) + 1e-9), 1e-9)
    lowest = np.full((2, len(problem.pools.cluster), problem.slots), np.inf)
    offers = problem.offers
    for pool, purchase, price in zip(offers.pool, offers.purchase, offers.price_usd, strict=True):
        lowest[1, pool] = np.minimum(lowest[1, pool], price)
        if purchase != Purchase.SPOT:
            lowest[0, pool] = np.minimum(lowest[0, pool], price)
    lowest += problem.pools.run_usd
    lowest[np.isinf(lowest)] = 1e9  # nothing to buy: judged by room, and last in any order
    return share[:, :, None] * lowest[0], share[:, :, None] * lowest[1]


def _units(placed: dict[int, tuple[Unit, ...]]) -> Units:
    rows = [(stream, copy, *unit) for stream, units in sorted(placed.items()) for copy, unit in enumerate(units)]
    table = np.array(rows, np.int64).reshape(-1, 5).T
    return Units(*(column.copy() for column in table))
