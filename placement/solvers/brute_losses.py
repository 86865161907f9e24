"""Every way to survive every loss, for `placement.solvers.brute`: all fallback maps, and the machines they ask for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from placement.problem import Problem, Purchase

Unit = tuple[int, int, int]
"""(candidate, variant, start)."""
Plan = tuple[tuple[Unit, ...], ...]
"""Copies of each stream in order."""
Items = tuple[tuple[int, bool], ...]
"""Replicas in a slot: (shape, firm) of each, sorted."""
Fallback = tuple[int, int, int, Unit]
"""(loss, stream, copy, where it goes)."""


@dataclass(frozen=True)
class OnPaths:
    """The replicas of one slot on every sample path, of which `needed` must find room."""

    paths: tuple[Items, ...]
    needed: int

    def __len__(self) -> int:
        """The most replicas on any path."""
        return max(map(len, self.paths))


Demand = Items | OnPaths
"""What a pool is asked for in a slot."""


def maps(problem: Problem, plan: Plan, loss: int) -> Iterator[tuple[Fallback, ...]]:
    """Every map of the units that need a fallback for one loss; one empty map where none does."""
    homeless = [(s, copy) for s, choice in enumerate(plan) for copy in _homeless(problem, loss, s, choice)]
    options = [list(_options(problem, loss, s, plan[s][copy])) for s, copy in homeless]
    for chosen in itertools.product(*options):
        found = tuple((loss, s, copy, unit) for (s, copy), unit in zip(homeless, chosen, strict=True))
        if _apart(problem, plan, loss, found):
            yield found


def _cluster(problem: Problem, unit: Unit) -> int:
    return int(problem.pools.cluster[problem.candidates.pool[unit[0]]])


def _domain(problem: Problem, unit: Unit) -> int:
    domains, pool = problem.domains, problem.candidates.pool[unit[0]]
    return int(problem.pools.cluster[pool] if domains is None else domains.pool[pool])


def _is_lost(problem: Problem, loss: int, unit: Unit) -> bool:
    assert problem.survival is not None
    return bool(problem.survival.lost[loss, _cluster(problem, unit)])


def _homeless(problem: Problem, loss: int, stream: int, choice: tuple[Unit, ...]) -> list[int]:
    """Copies of a stream that need a fallback."""
    assert problem.survival is not None
    if problem.survival.asked[stream] != problem.survival.kind[loss]:
        return []
    gone = [copy for copy, unit in enumerate(choice) if _is_lost(problem, loss, unit)]
    return [] if len(choice) > 1 and len(gone) == 1 else gone


def _options(problem: Problem, loss: int, stream: int, unit: Unit) -> Iterator[Unit]:
    v, (_, variant, start) = problem.variants, unit
    first, end = problem.streams.candidate_first[stream:stream + 2]
    mine = range(int(problem.streams.variant_first[stream]), int(problem.streams.variant_first[stream + 1]))
    for candidate in range(int(first), int(end)):
        for other in mine:
            if (v.copies[other] == v.copies[variant] and v.speed[other] == problem.candidates.speed[candidate]
                    and (v.row[other] >= 0 or v.earliest[other] <= start <= v.latest[other])
                    and not _is_lost(problem, loss, (candidate, other, start))):
                yield candidate, other, start


def _apart(problem: Problem, plan: Plan, loss: int, found: tuple[Fallback, ...]) -> bool:
    for stream in {s for _, s, _, _ in found}:
        there = [_domain(problem, unit) for unit in plan[stream] if not _is_lost(problem, loss, unit)]
        there += [_domain(problem, unit) for _, s, _, unit in found if s == stream]
        if len(set(there)) < len(there):
            return False
    return True


class Surviving:
    """Ways to buy the machines of one pool that also hold what falls back to it.

    `offers` are rows of the problem's; `fits(items, firm, spot)` says whether machines hold replicas.
    """

    def __init__(self, problem: Problem, pool: int, offers: list[int],
                 fits: Callable[[Items, int, int], bool]) -> None:
        assert problem.survival is not None
        o = problem.offers
        self.fits, self.slots = fits, problem.slots
        self.kind = [Purchase(int(o.purchase[row])) for row in offers]
        self.fixed = [kind <= Purchase.COMMITTED for kind in self.kind]
        self.owned = [[int(n) for n in (o.owned[row].tolist() if o.owned.ndim > 1 else [o.owned[row]] * self.slots)]
                      for row in offers]
        self.max = [o.max_machines[row].tolist() for row in offers]
        self.assured = [problem.survival.assured[row].tolist() for row in offers]
        self.price = [o.price_usd[row].tolist() for row in offers]
        self.run_usd: list[float] = problem.pools.run_usd[pool].tolist()
        self.most: list[int] = problem.pools.max_machines[pool].tolist()
        self.least: list[int] = problem.pools.min_machines[pool].tolist()

    def buy(self, demand: tuple[Items, ...], after: tuple[tuple[Items, ...], ...]) -> tuple[float, list[list[int]]]:
        """(USD, machines of each offer slot by slot) that hold `demand`, and each of `after` after its loss."""
        best: tuple[float, list[list[int]]] = (float("inf"), [])
        levels = [range(min(owned), max(*owned, *most) + 1) if fixed else range(1)
                  for fixed, owned, most in zip(self.fixed, self.owned, self.max, strict=True)]
        for level in itertools.product(*levels):
            usd = sum(max(owned[t], n) * price[t] for fixed, n, owned, price in
                      zip(self.fixed, level, self.owned, self.price, strict=True) if fixed for t in range(self.slots))
            if usd < best[0]:
                running, counts = self._slots(level, demand, after)
                if usd + running < best[0]:
                    best = (usd + running, counts)
        return best

    def _slots(self, level: tuple[int, ...], demand: tuple[Items, ...],
               after: tuple[tuple[Items, ...], ...]) -> tuple[float, list[list[int]]]:
        """The cheapest slots in which every level above what is owned is reached at least once."""
        reached: dict[frozenset[int], tuple[float, list[list[int]]]] = {
            frozenset(o for o, n in enumerate(level) if not self.fixed[o] or n <= min(self.owned[o])): (0.0, [])}
        for slot in range(self.slots):
            then: dict[frozenset[int], tuple[float, list[list[int]]]] = {}
            for usd, counts in self._ways(slot, level, demand[slot], [items[slot] for items in after]):
                top = frozenset(o for o, n in enumerate(counts) if self.fixed[o] and n == level[o])
                for shown, (before, rows) in reached.items():
                    key = shown | top
                    if key not in then or before + usd < then[key][0]:
                        then[key] = (before + usd, [*rows, counts])
            reached = then
        return reached.get(frozenset(range(len(level))), (float("inf"), []))

    def _ways(self, slot: int, level: tuple[int, ...], items: Items,
              after: list[Items]) -> Iterator[tuple[float, list[int]]]:
        useful = max(self.least[slot], len(items), *(len(then) for then in after))
        caps = [min(most[slot], n if fixed else useful)
                for fixed, n, most in zip(self.fixed, level, self.max, strict=True)]
        for counts in itertools.product(*(range(cap + 1) for cap in caps)):
            if not self.least[slot] <= sum(counts) <= self.most[slot]:
                continue
            spot = sum(n for n, kind in zip(counts, self.kind, strict=True) if kind == Purchase.SPOT)
            if not self.fits(items, sum(counts) - spot, spot):
                continue
            if all(self._survives(slot, level, spot, then) for then in after):
                usd = sum(n * ((0.0 if fixed else price[slot]) + self.run_usd[slot])
                          for n, fixed, price in zip(counts, self.fixed, self.price, strict=True))
                yield usd, list(counts)

    def _survives(self, slot: int, level: tuple[int, ...], spot: int, items: Items) -> bool:
        firm = sum(min(max(n, owned[slot]), most[slot]) for n, fixed, owned, most in
                   zip(level, self.fixed, self.owned, self.max, strict=True) if fixed)
        firm += sum(sure[slot] for sure, kind in zip(self.assured, self.kind, strict=True)
                    if kind == Purchase.ON_DEMAND)
        firm = min(firm, self.most[slot])
        return self.fits(items, firm, min(spot, self.most[slot] - firm))
