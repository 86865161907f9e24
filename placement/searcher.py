"""A plan in the making: keeps the search's state, starts it from the master's fractions, and teaches it what packs."""

from __future__ import annotations

import numpy as np

from placement.jit import jit
from placement.master import Column, UnitTable
from placement.problem import Floats, Ints, Problem
from placement.result import Units
from placement.search import Links, Purse, Rules, State, _move_unit, _pool_cost, _received_usd, improve, purse
from placement.shortlist import Shortlist
from placement.weights import stack, undominated


@jit
def _book_all(
    state: State, units: Shortlist, rules: Rules, purse: Purse, links: Links, weights: Floats, counts: Ints
) -> None:
    """Recompute loads, machines and money of the state from `placed` and `copies` alone."""
    state.used[:] = 0.0
    state.firm_used[:] = 0.0
    state.machines[:] = 0
    state.firm_machines[:] = 0
    state.totals[:] = 0.0
    for s in range(len(state.copies)):
        for c in range(state.copies[s]):
            u = state.placed[s, c]
            p = units.pool[u]
            _move_unit(state, units, weights, counts[p], u, rules.shape[s], rules.firm[s], 1)
            state.totals[0] += units.usd[u]
    for s in range(len(state.copies)):
        for c in range(state.copies[s]):
            g = links.pool_cluster[units.pool[state.placed[s, c]]]
            state.totals[0] += _received_usd(state, units, links, s, g)
    for p in range(len(state.pool_usd)):
        usd, level = _pool_cost(purse, p, state.level[p], state.firm_machines[p], state.machines[p])
        state.pool_usd[p], state.level[p] = usd, level
        state.totals[0] += usd
    for w in range(len(state.dropped)):
        if state.dropped[w]:
            state.totals[1] += rules.drop_usd[w]


def make_links(problem: Problem) -> Links:
    """The flows by receiver and by sender."""
    flows, count = problem.flows, len(problem.streams.shape)
    into, out = np.argsort(flows.receiver, kind="stable"), np.argsort(flows.sender, kind="stable")
    edges = np.arange(count + 1)
    return Links(
        np.searchsorted(flows.receiver[into], edges).astype(np.int64), flows.sender[into], flows.gb[into],
        np.searchsorted(flows.sender[out], edges).astype(np.int64), flows.receiver[out], flows.gb[out],
        problem.clusters.egress_usd_per_gb.copy(), problem.pools.cluster.copy(),
    )  # fmt: skip


def make_rules(problem: Problem, drop_usd: Floats) -> Rules:
    """`drop_usd` [W]: what the search pays for leaving a workload out."""
    s, w = problem.streams, problem.workloads
    by_cost = problem.objective.mode == "min_cost"
    order = np.argsort(s.workload, kind="stable")
    first = np.searchsorted(s.workload[order], np.arange(len(w.weight) + 1)).astype(np.int64)
    may = w.droppable & (w.weight <= problem.slack) if by_cost else np.ones(len(w.weight), bool)
    return Rules(
        s.shape, ~s.preemptible, s.availability, problem.clusters.availability, s.workload, first, order.astype(np.int64),
        may & placeable(problem), drop_usd, w.weight if by_cost else np.zeros(len(w.weight)),
        problem.slack if by_cost else np.inf, problem.objective.budget_usd,
    )  # fmt: skip


def placeable(problem: Problem) -> np.ndarray:
    """Workloads [W] of which every stream has a variant and a candidate."""
    s = problem.streams
    has = (np.diff(s.candidate_first) > 0) & (np.diff(s.variant_first) > 0)
    ok = np.ones(len(problem.workloads.weight), bool)
    np.logical_and.at(ok, s.workload, has)
    return ok


class Searcher:
    """One search over one problem: the plan it holds, and how it counts machines."""

    def __init__(self, problem: Problem, units: Shortlist, weights: list[list[Floats]], drop_usd: Floats) -> None:
        self.problem, self.units = problem, units
        self.rules, self.purse, self.links = make_rules(problem, drop_usd), purse(problem), make_links(problem)
        streams, copies = len(problem.streams.shape), max(1, int(units.block_copies.max(initial=1)))
        self.placed = np.zeros((streams, copies), np.int64)
        self.copies = np.zeros(streams, np.int64)
        self.dropped = ~placeable(problem)
        self.teach(weights)

    def teach(self, weights: list[list[Floats]]) -> None:
        """Count machines by these weight vectors from now on."""
        shapes = len(self.problem.shapes)
        kept = [undominated(stack(vectors, shapes)) for vectors in weights]
        self._counts = np.array([len(w) for w in kept], np.int64)
        self._weights = np.zeros((len(weights), shapes, int(self._counts.max(initial=1))))
        for p, vectors in enumerate(kept):
            self._weights[p, :, : len(vectors)] = vectors.T
        self._state = self._fresh()
        self.book()

    def _fresh(self) -> State:
        pools, slots, width = len(self.problem.pools.cluster), self.problem.slots, self._weights.shape[2]
        return State(
            self.placed, self.copies, self.dropped, np.zeros((pools, slots, width)), np.zeros((pools, slots, width)),
            np.zeros((pools, slots), np.int64), np.zeros((pools, slots), np.int64), np.zeros(pools),
            self.purse.held.copy(), np.zeros(2),
        )  # fmt: skip

    def book(self) -> float:
        """Recount the plan held; returns its cost in USD (missing streams not counted)."""
        _book_all(self._state, self.units, self.rules, self.purse, self.links, self._weights, self._counts)
        return float(self._state.totals[0])

    @property
    def missing(self) -> int:
        """Streams without a place whose workload is not left out."""
        return int(((self.copies == 0) & ~self.dropped[self.problem.streams.workload]).sum())

    @property
    def machines(self) -> tuple[Ints, Ints]:
        """Machines that must not be spot, and all machines, as the weights count them: [P, T] each."""
        return self._state.firm_machines, self._state.machines

    def squeeze(self, pool: Ints, slot: Ints, lacking: Ints) -> None:
        """Do with fewer machines from now on: `lacking` [k] fewer in `pool` [k] and `slot` [k] than are used there now."""
        used = self.machines[1][pool, slot]
        limit = np.minimum(self.purse.pool_max[pool, slot], used)
        self.purse.pool_max[pool, slot] = np.maximum(limit - lacking, 0)
        self.book()

    def relax(self) -> None:
        """Forget what `squeeze` took away."""
        self.purse = purse(self.problem)
        self.book()

    def clear(self) -> None:
        """Take everything out; workloads that cannot be placed at all stay left out."""
        self.copies[:] = 0
        self.dropped[:] = ~placeable(self.problem)
        self.book()

    def round_columns(
        self, columns: list[Column], fraction: Floats, table: UnitTable, rng: np.random.Generator
    ) -> None:
        """Start from the master: every stream takes one of its columns with the chance the fraction gives it."""
        where = {(int(c), int(v), int(t)): i for i, (c, v, t) in enumerate(
            zip(self.units.candidate, self.units.variant, self.units.start, strict=True))}  # fmt: skip
        mine: dict[int, list[tuple[float, Column]]] = {}
        for column, value in zip(columns, fraction, strict=False):
            if value > 1e-6:
                mine.setdefault(column.stream, []).append((float(value), column))
        self.clear()
        for s in range(len(self.copies)):
            chance = np.array([value for value, _ in mine.get(s, [])])
            if chance.sum() < 0.3:
                continue
            column = mine[s][int(rng.choice(len(chance), p=chance / chance.sum()))][1]
            units = [where[table.units[u]] for u in column.units]
            self.copies[s] = len(units)
            self.placed[s, : len(units)] = units
        gone = np.ones(len(self.dropped), bool)
        gone[self.problem.streams.workload[self.copies > 0]] = False
        if self.problem.objective.mode == "max_sla":
            self.dropped |= gone
        self.book()

    def improve(self, rounds: int, seed: int, hot: float, cold: float, most: int, noise: float) -> float:
        """Ruin and recreate; keeps the best plan met and returns its score."""
        placed, copies, dropped = self.placed.copy(), self.copies.copy(), self.dropped.copy()
        score = improve(
            self._state, self.units, self.rules, self.purse, self.links, self._weights, self._counts,
            rounds, seed, hot, cold, most, noise, placed, copies, dropped,
        )  # fmt: skip
        self.placed[:], self.copies[:], self.dropped[:] = placed, copies, dropped
        self.book()
        return float(score)

    def plan(self) -> Units:
        """The plan held as units, sorted by stream and copy."""
        stream = np.repeat(np.arange(len(self.copies)), self.copies)
        copy = np.concatenate([np.arange(k) for k in self.copies]) if len(self.copies) else np.zeros(0)
        at = self.placed[stream, copy.astype(np.int64)]
        return Units(stream, copy.astype(np.int64), self.units.candidate[at], self.units.variant[at], self.units.start[at])
