"""Plans where workloads slow each other down: place as if they did not, then buy what they need, or move them apart.

Needs beside others are never less than alone, so the bound without interference holds. The plan without it is bought
with the needs that it really has; then units that slow others down or are slowed are tried elsewhere, one at a time,
against what the pools they leave and enter really cost. In two more turns those that still meet are kept out of the
pools where they met, the smaller one of each pair, and everything is placed again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from placement.complete import Packings, complete
from placement.domains import SLO_TOLERANCE, at_most_one_down, failure_domains
from placement.formulation import cost_usd
from placement.gap import OPTIMAL_GAP, relative_gap
from placement.interference import meetings
from placement.needs import needs_alone, pool_loads, unit_needs
from placement.packing import Effort
from placement.problem import Bools, Ints, Problem
from placement.purchase import buy, terms
from placement.restrict import keep_candidates
from placement.result import Result, Settings, Solution, Status, Units, Watch
from placement.survival import variants_at

Whole = Callable[[Problem, Settings, Watch], Result]
METHOD = "interference left out: "
_SHARES = (0.4, 0.5, 0.8)
"""Shares of the time left that each turn may take."""
_TRIES = 400_000
"""Pools packed again x slots."""
_LARGE = 50_000
"""Streams x slots from which simple orders pack."""
_LACKING_USD = 1e7
"""What a machine that no offer gives costs a search."""


def solve_with_interference(problem: Problem, settings: Settings, watch: Watch, whole: Whole) -> Result:
    """Plan a problem with interference, by a method that plans without."""
    deadline = time.monotonic() + settings.time_limit_s
    best, first = _Best(problem, watch), None
    keep = np.ones(len(problem.candidates.stream), bool)
    for share in _SHARES:
        rows = np.flatnonzero(keep)
        free = replace(keep_candidates(problem, keep), interference=None)
        limit = replace(settings, time_limit_s=share * (deadline - time.monotonic()))
        result = whole(free, limit, _Silent(watch, best))
        first = first or result
        if result.status == "infeasible" and first is result:
            return result
        if result.solution is None:
            break
        units = replace(result.solution.units, candidate=rows[result.solution.units.candidate])
        best.offer(units)
        search = _Search(problem, units)
        search.run(lambda: watch.stopped() or time.monotonic() > deadline)
        best.offer(search.units)
        apart = _apart(problem, units)
        if not apart.any() or watch.stopped():
            break
        keep &= ~apart
    assert first is not None
    if best.solution is None:
        return Result("unknown", None, first.bound, "no plan was found with room for what workloads need beside others")
    gap = relative_gap(problem.objective.mode, best.objective, first.bound)
    status: Status = "optimal" if gap <= OPTIMAL_GAP else "feasible"
    return Result(status, best.solution, first.bound, METHOD + first.method, first.worth)


class _Best:
    """The best plan so far."""

    def __init__(self, problem: Problem, watch: Watch) -> None:
        self.problem, self._watch = problem, watch
        self.solution: Solution | None = None
        self.usd = self.left_out = float("inf")

    @property
    def objective(self) -> float:
        """As the problem states it."""
        if self.problem.objective.mode == "min_cost":
            return self.usd
        return 1.0 - self.left_out / max(float(self.problem.workloads.weight.sum()), 1e-12)

    def offer(self, units: Units) -> None:
        """Buy for these units, and keep that when it holds and is better."""
        problem = self.problem
        found = complete(problem, units)
        if not isinstance(found, Solution):
            return
        placed = np.isin(np.arange(len(problem.streams.shape)), units.stream)
        out = np.unique(problem.streams.workload[~placed])
        usd, left_out = cost_usd(problem, found), float(problem.workloads.weight[out].sum())
        by_cost = problem.objective.mode == "min_cost"
        if not by_cost and usd > problem.objective.budget_usd * (1 + 1e-9):
            return
        mine, known = (usd, left_out), (self.usd, self.left_out)
        if (mine < known) if by_cost else (mine[::-1] < known[::-1]):
            self.solution, self.usd, self.left_out = found, usd, left_out
            self._watch.report("apart", found, self.objective, 0.0 if by_cost else 1.0)


class _Silent:
    """Tells how far a plan without interference is, but not the plan: it may lack machines."""

    def __init__(self, watch: Watch, best: _Best) -> None:
        self._watch, self._best = watch, best

    def report(self, phase: str, solution: Solution | None, objective: float, bound: float) -> None:  # noqa: ARG002
        """Pass on the phase."""
        told = self._best.objective if self._best.solution is not None else float("nan")
        self._watch.report(phase, None, told, 0.0 if self._best.problem.objective.mode == "min_cost" else 1.0)

    def stopped(self) -> bool:
        """As the watch says."""
        return self._watch.stopped()


def _apart(problem: Problem, units: Units) -> Bools:
    """[N] candidates that keep the smaller one of each pair that meets out of the pool; never a stream's last."""
    table, alone = problem.interference, needs_alone(problem, units)
    out: Bools = np.zeros(len(problem.candidates.stream), np.bool_)
    if table is None:
        return out
    workload, pool = problem.streams.workload[units.stream], problem.candidates.pool[units.candidate]
    for met in meetings(problem, units, alone):
        others = np.flatnonzero((workload == table.by[met.pair]) & (pool == met.pool))
        smaller = min((met.units, others), key=lambda rows: int(alone[rows].sum()))
        out[units.candidate[smaller]] = True
    left = np.zeros(len(problem.streams.shape), np.int64)
    np.add.at(left, problem.candidates.stream, ~out)
    copies = np.ones(len(left), np.int64)
    copies[units.stream] = problem.variants.copies[units.variant]
    return out & (left >= copies)[problem.candidates.stream]


class _Search:
    """Moves single units to other pools while that lowers what the pools and places cost."""

    def __init__(self, problem: Problem, units: Units) -> None:
        self.problem, self.units = problem, units
        self.offered, self.domains = terms(problem), failure_domains(problem)
        large = len(problem.streams.shape) * problem.slots >= _LARGE
        self.packings = Packings(problem, Effort.ORDERS if large else Effort.SEARCH)
        self.tries = _TRIES // problem.slots
        flows = np.concatenate([problem.flows.sender, problem.flows.receiver])
        self.fixed: Bools = np.isin(units.stream, flows)
        self.usd = {p: self._pool_usd(units, p) for p in np.unique(problem.candidates.pool[units.candidate]).tolist()}

    def run(self, stopped: Callable[[], bool]) -> None:
        """Try everybody who meets a partner, until a round changes nothing."""
        changed = True
        while changed and self.tries > 0:
            changed = False
            for u in self._involved():
                if stopped() or self.tries <= 0:
                    return
                changed = self._improve(u) or changed

    def _involved(self) -> list[int]:
        table, alone = self.problem.interference, needs_alone(self.problem, self.units)
        assert table is not None
        workload = self.problem.streams.workload[self.units.stream]
        pool = self.problem.candidates.pool[self.units.candidate]
        found: dict[int, None] = {}
        for met in meetings(self.problem, self.units, alone):
            partners = np.flatnonzero((workload == table.by[met.pair]) & (pool == met.pool))
            found.update(dict.fromkeys([*met.units.tolist(), *partners.tolist()]))
        return [u for u in found if not self.fixed[u]]

    def _improve(self, u: int) -> bool:
        """Put unit u where it costs least with all others in place; whether that is elsewhere."""
        c, here = self.problem.candidates, int(self.units.candidate[u])
        best, best_units, best_pools = -1e-7, self.units, dict[int, float]()
        for candidate, variant in self._places(u):
            to, of = self.units.candidate.copy(), self.units.variant.copy()
            to[u], of[u] = candidate, variant
            moved = replace(self.units, candidate=to, variant=of)
            pools = {p: self._pool_usd(moved, p) for p in (int(c.pool[here]), int(c.pool[candidate]))}
            change = sum(usd - self.usd.get(p, self._idle_usd(p)) for p, usd in pools.items())
            copies = int(self.problem.variants.copies[variant])
            change += c.cost_usd[candidate] - c.cost_usd[here] + (c.user_usd[candidate] - c.user_usd[here]) / copies
            if change < best:
                best, best_units, best_pools = change, moved, pools
        self.units = best_units
        self.usd |= best_pools
        return bool(best_pools)

    def _places(self, u: int) -> Iterator[tuple[int, int]]:
        """(candidate, variant) where a unit may be instead, apart from its stream's other copies and up often enough.
        """
        problem, s = self.problem, int(self.units.stream[u])
        rows = np.arange(*problem.streams.candidate_first[s:s + 2])
        rows = rows[rows != self.units.candidate[u]]
        variants = variants_at(problem, np.repeat(self.units.variant[u], len(rows)), rows,
                               np.repeat(self.units.start[u], len(rows)))
        domain = self.domains.pool[problem.candidates.pool]
        others = domain[self.units.candidate[(self.units.stream == s) & (np.arange(len(self.fixed)) != u)]]
        slo = float(problem.streams.availability[s])
        for candidate, variant in zip(rows.tolist(), variants.tolist(), strict=True):
            if variant < 0 or domain[candidate] in others or self.tries <= 0:
                continue
            if not len(others):
                up = bool(problem.candidates.single[candidate])
            else:
                chosen = np.append(others, domain[candidate])
                up = at_most_one_down(self.domains.path, self.domains.up, chosen) >= slo - SLO_TOLERANCE
            if up:
                yield candidate, variant

    def _idle_usd(self, pool: int) -> float:
        """What a pool costs with nobody in it."""
        nothing = np.zeros((1, self.problem.slots), np.int64)
        return buy(pool, self.offered, nothing, nothing).cost_usd

    def _pool_usd(self, units: Units, pool: int) -> float:
        """What a pool's machines cost with the needs that its units have beside each other."""
        self.tries -= 1
        here: Ints = np.flatnonzero(self.problem.candidates.pool[units.candidate] == pool)
        if not len(here):
            return self._idle_usd(pool)
        some = Units(units.stream[here], units.copy[here], units.candidate[here], units.variant[here],
                     units.start[here])
        load = pool_loads(self.problem, some, unit_needs(self.problem, some))[pool]
        needed = self.packings.needed(pool, load)
        bought = buy(pool, self.offered, needed.firm, needed.machines)
        return bought.cost_usd + _LACKING_USD * float(bought.lacking.sum())
