"""A plan in the making: keeps the search's state, starts it from the master's fractions, and teaches it what packs."""

from __future__ import annotations

import numpy as np

from placement.booking import Links, Rules, State, Tables, book_all, new_state
from placement.bound import may_drop
from placement.columns import Column, UnitTable
from placement.domains import SLO_TOLERANCE, failure_domains, survives, together
from placement.jit import read_only
from placement.payment import make_purse
from placement.picking import least_priced
from placement.problem import Bools, Floats, Ints, Problem
from placement.result import Units
from placement.search import draw, improve
from placement.shortlist import Shortlist, keys, listed_again
from placement.weights import stack, undominated


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


def make_rules(problem: Problem, drop_usd: Floats, units: Shortlist | None = None) -> Rules:
    """`drop_usd` [W]: what the search pays for leaving a workload out; prices of `units` guide a search."""
    s, w, domains = problem.streams, problem.workloads, failure_domains(problem)
    by_cost = problem.objective.mode == "min_cost"
    order = np.argsort(s.workload, kind="stable")
    first = np.searchsorted(s.workload[order], np.arange(len(w.weight) + 1))
    pool_domain, least = read_only(domains.pool), np.zeros(len(s.shape))
    if units is not None:
        least = least_priced(units, pool_domain, len(domains.path))
    never = np.where(w.droppable, w.weight, np.inf)
    return Rules(
        read_only(s.shape), ~s.preemptible, read_only(s.availability), pool_domain,
        read_only(domains.path), read_only(domains.up), read_only(s.workload),
        first.astype(np.int64), order.astype(np.int64), may_drop(problem) & placeable(problem),
        drop_usd.copy(), never if by_cost else np.zeros(len(w.weight)), problem.slack if by_cost else np.inf,
        problem.objective.budget_usd, least,
    )  # fmt: skip


def placeable(problem: Problem) -> Bools:
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
        self._priced = problem
        self._rules = make_rules(problem, drop_usd, units)
        self._purse, self._links = make_purse(problem), make_links(problem)
        self._budget_usd = problem.objective.budget_usd
        streams, copies = len(problem.streams.shape), max(1, int(units.block_copies.max(initial=1)))
        self.placed = np.zeros((streams, copies), np.int64)
        self.copies = np.zeros(streams, np.int64)
        self.dropped = ~placeable(problem)
        self.teach(weights)

    def teach(self, weights: list[list[Floats]]) -> None:
        """Count machines by these weight vectors from now on."""
        shapes, slots = len(self.problem.shapes), self.problem.slots
        kept = [undominated(stack(vectors, shapes)) for vectors in weights]
        counts = np.array([len(w) for w in kept], np.int64)
        width = int(counts.max(initial=1))
        self._weights, self._counts = np.zeros((len(weights), shapes, width)), counts
        for p, vectors in enumerate(kept):
            self._weights[p, :, : len(vectors)] = vectors.T
        self._state = new_state(self.placed, self.copies, self.dropped, self._weights, self._purse.held, slots)
        self.book()

    @property
    def _tables(self) -> Tables:
        return Tables(self.units, self._rules, self._purse, self._links, self._weights, self._counts)

    def book(self) -> float:
        """Recount the plan held; returns its cost in USD (missing streams not counted)."""
        book_all(self._state, self._tables)
        return float(self._state.totals[0])

    @property
    def books(self) -> tuple[State, Tables]:
        """What compiled steps work on: the plan held, and what stays the same."""
        return self._state, self._tables

    @property
    def missing(self) -> int:
        """Streams without a place that must have one: all those of dropped workloads, when too much is dropped."""
        rules = self._rules
        too_much = rules.drop_weight[self.dropped].sum() > rules.slack
        out = np.zeros_like(self.dropped) if too_much else self.dropped
        return int(((self.copies == 0) & ~out[rules.workload]).sum())

    @property
    def machines(self) -> tuple[Ints, Ints]:
        """Machines that must not be spot, and all machines, as the weights count them: [P, T] each."""
        return self._state.firm_machines.astype(np.int64), self._state.machines.astype(np.int64)

    @property
    def limits(self) -> Ints:
        """Machines that the search may use: [P, T], fewer where it was told to do with less."""
        return self._purse.pool_max.astype(np.int64)

    @property
    def crowded(self) -> bool:
        """Whether the plan held takes more machines somewhere than it may."""
        return bool((self.machines[1] > self.limits).any())

    def mind(self, over_usd: float) -> None:
        """Pay so much for a machine and slot over a limit from now on."""
        self._purse = self._purse._replace(over_usd=over_usd)
        self.book()

    def squeeze(self, pool: Ints, slot: Ints, lacking: Ints) -> None:
        """Do with fewer machines from now on: in `pool` and `slot` `lacking` fewer than are used now, [k] each."""
        used = self.machines[1][pool, slot]
        limit = np.minimum(self._purse.pool_max[pool, slot], used)
        self._purse.pool_max[pool, slot] = np.maximum(limit - lacking, 0)
        self.book()

    def save(self, packed_usd: float) -> bool:
        """Do with less money from now on: the plan held counts less than the `packed_usd` it comes to. Always False."""
        less = max(0.0, packed_usd - self.book())
        self._rules = self._rules._replace(budget_usd=min(self._rules.budget_usd, self._budget_usd - less))
        return False

    def price(self, problem: Problem) -> None:
        """Pay for machines as this problem does from now on: the same one, with its machines at other prices."""
        self._priced = problem
        before, self._purse = self._purse, make_purse(problem)._replace(over_usd=self._purse.over_usd)
        self._purse.pool_max[:] = before.pool_max
        self.book()

    def relax(self) -> None:
        """Forget what `squeeze` and `save` took away."""
        self._purse = make_purse(self._priced)
        self._rules = self._rules._replace(budget_usd=self._budget_usd)
        self.book()

    def need_as(self, problem: Problem) -> None:
        """Units need from now on what this problem says: the same one, with other rows."""
        self.units = listed_again(self.units, problem)
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
            if value > 1e-6 and self._survives(column, table):
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

    def draw(self, units: Units, share: Floats, rng: np.random.Generator) -> None:
        """Start from fractions of units: each stream draws how many copies and which, by the units' `share` [n]."""
        listed = self.units
        key = keys(self.problem, listed.candidate, listed.variant, listed.start)
        order = np.argsort(key, kind="stable")
        mine = keys(self.problem, units.candidate, units.variant, units.start)
        at = order[np.minimum(np.searchsorted(key[order], mine), len(key) - 1)]
        chance = np.zeros(len(key))
        found = key[at] == mine
        chance[at[found]] = share[found]
        self.clear()
        draw(listed, chance, rng.random(2 * len(self.copies)), self._rules.workload, self.dropped, self.placed,
             self.copies)
        self._take_out_weak()
        self.book()

    def _take_out_weak(self) -> None:
        """Streams whose copies miss their availability together go out."""
        rules = self._rules
        asked = np.flatnonzero((self.copies > 1) & (rules.target > 0))
        there = np.arange(int(self.copies[asked].max(initial=1))) < self.copies[asked, None]
        pools = self.units.pool[self.placed[asked, : there.shape[1]]]
        chosen = np.where(there, rules.pool_domain[pools], -1)
        weak = together(rules.path, rules.up, chosen) < rules.target[asked] - SLO_TOLERANCE
        self.copies[asked[weak]] = 0

    def _survives(self, column: Column, table: UnitTable) -> bool:
        """Whether the copies meet their availability together: the master does not ask for that."""
        pools = self.problem.candidates.pool[[table.units[u][0] for u in column.units]]
        rules = self._rules
        chosen = rules.pool_domain[pools]
        return len(chosen) == 1 or survives(rules.path, rules.up, chosen, float(rules.target[column.stream]))

    def improve(self, rounds: int, seed: int, hot: float, cold: float, most: int, noise: float) -> float:
        """Ruin and recreate; keeps the best plan met and returns its score."""
        placed, copies, dropped = self.placed.copy(), self.copies.copy(), self.dropped.copy()
        score = improve(
            self._state, self._tables, rounds, seed, hot, cold, most, noise, placed, copies, dropped
        )
        self.placed[:], self.copies[:], self.dropped[:] = placed, copies, dropped
        self.book()
        return float(score)

    def plan(self) -> Units:
        """The plan held as units, sorted by stream and copy."""
        stream = np.repeat(np.arange(len(self.copies)), self.copies)
        copy = np.concatenate([np.arange(k) for k in self.copies]) if len(self.copies) else np.zeros(0)
        at = self.placed[stream, copy.astype(np.int64)]
        units = self.units
        return Units(stream, copy.astype(np.int64), units.candidate[at], units.variant[at], units.start[at])
