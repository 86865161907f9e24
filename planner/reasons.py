"""One sentence for every workload: why it is where it is, and what the next best pool would cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from placement.problem import Ints
from placement.result import Solution
from planner.bill import Bill
from planner.formulate import Formulation
from planner.market import Elsewhere, Market
from planner.multiplex import Sharing
from planner.plan import Reason

CENT = 0.005
NAMED = 3
"""Workloads named of those that one shares machines with."""


@dataclass(frozen=True, slots=True)
class Option:
    """A unit at another pool: what it would cost more than here, and how much of that is egress."""

    unit: int
    pool: int
    extra_usd: float
    extra_egress_usd: float
    room: bool


def reasons(formulation: Formulation, solution: Solution, bill: Bill, groups: Sequence[Sharing]) -> tuple[Reason, ...]:
    """A sentence for every workload that has a unit, sorted by name.

    The runner-up is the pool to which one unit of the workload could go for the least extra cost, all else as it is, by
    the estimate of `planner.market`: below 0 where the unit by itself would be cheaper elsewhere.
    """
    problem, names = formulation.problem, formulation.names
    best, company = _best(formulation, solution, bill), Company(formulation, groups)
    workload = problem.streams.workload[solution.units.stream]
    found = []
    for w, unit in zip(*(part.tolist() for part in np.unique(workload, return_index=True)), strict=True):
        option = best.get(w)
        shared = company.of(w)
        why = _why(formulation, solution, option.unit if option else unit, option, shared)
        runner_up = "/".join(names.pools[option.pool]) if option else ""
        found.append(Reason(workload=names.workloads[w], why=why, runner_up=runner_up,
                            runner_up_extra_usd=round(option.extra_usd, 6) + 0.0 if option else 0.0))
    return tuple(sorted(found, key=lambda reason: reason.workload))


def _best(formulation: Formulation, solution: Solution, bill: Bill) -> Mapping[int, Option]:
    """The cheapest other place of any unit of a workload; of equals the first unit's."""
    problem = formulation.problem
    found = [part.cheapest() for part in Market(formulation, solution, bill).chunks()]
    options = sorted((option for part in found for option in options_of(problem.candidates.pool, part)),
                     key=lambda option: (option.extra_usd, option.unit, option.pool), reverse=True)
    workload = problem.streams.workload[solution.units.stream].tolist()
    return {workload[option.unit]: option for option in options}  # the cheapest comes last, and stays


def options_of(pool: Ints, pairs: Elsewhere) -> list[Option]:
    """Pairs one by one; `pool` [N] is that of candidates."""
    columns = (pairs.unit, pool[pairs.candidate], pairs.extra_usd, pairs.extra_egress_usd, pairs.room)
    return [Option(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


class Company:
    """Who shares machines with whom, over all pools: workloads of a pool are one row of bits, in order of names."""

    def __init__(self, formulation: Formulation, groups: Sequence[Sharing]) -> None:
        names = formulation.names.workloads
        order = np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
        self._names = [names[w] for w in order.tolist()]
        self._place = np.argsort(order)
        member = np.zeros((len(groups), len(names)), bool)
        self._groups: list[list[int]] = [[] for _ in names]
        for g, group in enumerate(groups):
            member[g, self._place[group.workloads]] = True
            for w in group.workloads.tolist():
                self._groups[w].append(g)
        self._bits = np.packbits(member, axis=1)
        self._known: dict[tuple[int, ...], tuple[int, list[int]]] = {}

    def of(self, workload: int) -> tuple[int, list[str]]:
        """How many workloads share machines with one, and the first few of their names."""
        key = tuple(self._groups[workload])
        if not key:
            return 0, []
        if key not in self._known:
            together = np.bitwise_or.reduce(self._bits[list(key)], axis=0)
            self._known[key] = int(np.bitwise_count(together).sum()), _first_bits(together, NAMED + 1)
        count, first = self._known[key]
        mine = int(self._place[workload])
        return count - 1, [self._names[place] for place in first if place != mine][:NAMED]

    def all_of(self, workload: int) -> list[str]:
        """Names of all that share machines with a workload."""
        together, mine = np.bitwise_or.reduce(self._bits[self._groups[workload]], axis=0), int(self._place[workload])
        places = np.flatnonzero(np.unpackbits(together, count=len(self._names)))
        return [self._names[place] for place in places.tolist() if place != mine]


def _first_bits(bits: np.ndarray, most: int) -> list[int]:
    """Positions of the first bits that are set."""
    at = np.flatnonzero(bits)[:most]
    found = (at[:, None] * 8 + np.arange(8))[np.unpackbits(bits[at, None], axis=1).astype(bool)]
    return [int(place) for place in found[:most]]


def _why(formulation: Formulation, solution: Solution, unit: int, best: Option | None,
         company: tuple[int, list[str]]) -> str:
    stream = int(solution.units.stream[unit])
    parts = [place_reason(formulation, stream, best)]
    copies = int(formulation.problem.variants.copies[solution.units.variant[unit]])
    if copies > 1:
        parts.append(f"{copies} copies{what_for(formulation, stream, copies)}")
    if company[0]:
        parts.append(f"shares machines with {listed(company[1], of=company[0])}")
    return "; ".join(parts)


def what_for(formulation: Formulation, stream: int, copies: int) -> str:
    """What copies are for, as the end of a sentence."""
    slo = float(formulation.problem.streams.availability[stream])
    if slo > 0:
        return f" keep availability {slo!r}"
    return f" of 1/{copies - 1} of the load each"


def place_reason(formulation: Formulation, stream: int, best: Option | None, about: str = "about ") -> str:
    """Why this pool: the only one, the only cluster, near its data, or the cheapest; `about` stands before figures."""
    problem = formulation.problem
    first, end = problem.streams.candidate_first[stream:stream + 2].tolist()
    if end - first == 1:
        return f"{_limits(formulation, stream)} this pool only"
    if best is None:
        return f"{_limits(formulation, stream)} no other cluster for it"
    rival = "/".join(formulation.names.pools[best.pool])
    cluster = problem.pools.cluster[problem.candidates.pool[[first, end - 1]]]
    if cluster[0] == cluster[1]:  # sorted by pool, and so by cluster
        return f"{_limits(formulation, stream)} this cluster only; {_compared(rival, best, about)}"
    return _compared(rival, best, about)


def _limits(formulation: Formulation, stream: int) -> str:
    limits = listed(formulation.legality.limits(stream)) or "the fleet"
    return f"{limits} {'leaves' if ',' not in limits and ' and ' not in limits else 'leave'}"


def _compared(rival: str, best: Option, about: str) -> str:
    extra = best.extra_usd
    if extra < -CENT:
        room = "the plan as a whole is the best found" if best.room else "there is no room for it"
        return f"{rival} would cost {about}{-extra:,.2f} USD less by itself, but {room}"
    if extra <= CENT:
        return f"as cheap as any: {rival} would cost about the same"
    if best.extra_egress_usd > extra / 2:
        return f"close to its data and users: at {rival} egress would cost {best.extra_egress_usd:,.2f} USD more"
    return f"cheapest: {rival} would cost {about}{extra:,.2f} USD more"


def listed(names: Iterable[str], most: int = NAMED, of: int | None = None) -> str:
    """The first few names in words, and how many more there are, `of` so many in all."""
    every = list(names)
    total = len(every) if of is None else of
    shown = every[:most] + ([f"{total - most} more"] if total > most else [])
    return ", ".join(shown[:-1]) + " and " + shown[-1] if len(shown) > 1 else "".join(shown)
