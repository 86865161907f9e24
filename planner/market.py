"""What units would cost at other pools, as arrays over (unit, candidate) pairs: an estimate for whole fleets.

A pair's estimate is what the unit would pay there with machines of its own, at the pool's cheapest price for it (as it
runs, or held throughout), less its share of the machines it uses here; egress, storage and moves are exact. The exact
price of one move is in `planner.moving`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from placement.domains import SLO_TOLERANCE, failure_domains, together
from placement.needs import variants_at
from placement.problem import Bools, Floats, Ints, Problem, Purchase
from placement.result import Solution
from planner.bill import HELD, Bill
from planner.formulate import Formulation
from planner.multiplex import per_machine

PAIRS = 1 << 19
"""Pairs looked at together: they bound the memory."""
_KINDS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Elsewhere:
    """Legal pairs of a unit and a candidate that is not its own, [M] each, sorted by unit, then pool.

    `extra_usd` is the estimate of what the unit would cost more there, `extra_egress_usd` the part of it that is
    egress; `room` says that the pool can still run that many machines in its busiest slot.
    """

    unit: Ints
    candidate: Ints
    extra_usd: Floats
    extra_egress_usd: Floats
    room: Bools

    def cheapest(self) -> Elsewhere:
        """The cheapest pair of every unit, the first of equals."""
        if not len(self.unit):
            return self
        begin = np.flatnonzero(np.append(True, np.diff(self.unit) != 0))
        least = np.repeat(np.minimum.reduceat(self.extra_usd, begin), np.diff(np.append(begin, len(self.unit))))
        return self.at(_first_of(self.unit, self.extra_usd <= least))

    def at(self, rows: Ints | Bools) -> Elsewhere:
        """Some of the pairs."""
        return Elsewhere(self.unit[rows], self.candidate[rows], self.extra_usd[rows], self.extra_egress_usd[rows],
                         self.room[rows])


def _first_of(group: Ints, chosen: Bools) -> Ints:
    """The first chosen row of every group; `group` is sorted."""
    rows = np.flatnonzero(chosen)
    _, first = np.unique(group[rows], return_index=True)
    return rows[first]


class Market:
    """Prices of a solution's units at other pools."""

    def __init__(self, formulation: Formulation, solution: Solution, bill: Bill) -> None:
        problem, units = formulation.problem, solution.units
        self.problem, self.units, self.parts, self.bill = problem, units, formulation.cost_parts, bill
        self.cluster = problem.pools.cluster[problem.candidates.pool[units.candidate]]
        self.free = free_machines(problem, solution)
        self.copies = problem.variants.copies[units.variant]
        self.of_stream = np.searchsorted(units.stream, np.arange(len(problem.streams.workload) + 1))
        self._prices = [cheapest_prices(problem, spot=spot) for spot in (False, True)]

    def chunks(self) -> Iterator[Elsewhere]:
        """All units' other places, some units at a time."""
        pairs = np.cumsum(np.diff(self.problem.streams.candidate_first)[self.units.stream])
        cuts = np.searchsorted(pairs, np.arange(PAIRS, pairs[-1] if len(pairs) else 0, PAIRS), side="right")
        for units in np.split(np.arange(len(pairs)), np.unique(cuts)):
            if len(units):
                yield self.elsewhere(units)

    def elsewhere(self, units: Ints) -> Elsewhere:
        """Other legal places of `units` (rows of the solution's units, ascending), other copies where they are."""
        unit, rows = self._pairs(units)
        here = self.units.candidate[unit]
        egress = self._egress(unit, rows, units)
        at_home = self._egress(units, self.units.candidate[units], units)[np.searchsorted(units, unit)]
        peak, machines = self._own_machines(unit, rows)
        kept = self.parts.storage_usd + self.parts.moves_usd
        extra = machines + egress + kept[rows] - (self.bill.unit_machine_usd[unit] + at_home + kept[here])
        room = self.free[self.problem.candidates.pool[rows]] >= peak
        return Elsewhere(unit, rows, extra, egress - at_home, room)

    def _pairs(self, units: Ints) -> tuple[Ints, Ints]:
        """(unit, candidate) of every legal pair apart from where the unit is."""
        first = self.problem.streams.candidate_first
        begin, count = first[self.units.stream[units]], np.diff(first)[self.units.stream[units]]
        unit = np.repeat(units, count)
        rows = np.arange(len(unit)) + np.repeat(begin - (np.cumsum(count) - count), count)
        kept = (rows != self.units.candidate[unit]) & self._apart(unit, rows)
        return unit[kept], rows[kept]

    def _apart(self, unit: Ints, rows: Ints) -> Bools:
        """No other copy in the same failure domain, and the availability SLO still kept."""
        problem, domains = self.problem, failure_domains(self.problem)
        domain = domains.pool[problem.candidates.pool]
        there, taken = domain[rows], domain[self.units.candidate]
        first, number = self.of_stream[self.units.stream[unit]], self._number[unit]
        clash = np.zeros(len(rows), bool)
        chosen = np.full((len(rows), int(self.copies[unit].max(initial=1))), -1, np.int64)
        for k in range(chosen.shape[1]):
            here = taken[np.minimum(first + k, len(taken) - 1)]
            other = (k < self.copies[unit]) & (number != k)
            chosen[:, k] = np.where(number == k, there, np.where(other, here, -1))
            clash |= other & (here == there)
        chance = together(domains.path, domains.up, chosen)
        enough = chance >= problem.streams.availability[self.units.stream[unit]] - SLO_TOLERANCE
        kept: Bools = ~clash & np.where(self.copies[unit] == 1, problem.candidates.single[rows], enough)
        return kept

    @cached_property
    def _number(self) -> Ints:
        """Place of every unit among its stream's."""
        return np.arange(len(self.units.stream)) - self.of_stream[self.units.stream]

    def _own_machines(self, unit: Ints, rows: Ints) -> tuple[Ints, Floats]:
        """Machines of its own that each unit needs at its peak at each candidate, and what they cost."""
        problem, stream = self.problem, self.units.stream[unit]
        variant = variants_at(problem, stream, self.copies[unit], problem.candidates.speed[rows])
        peak, total = own_machines(problem, stream, rows, variant)
        pool, spot = problem.candidates.pool[rows], problem.streams.preemptible[stream]
        run, held = (np.where(spot, with_spot[pool], firm[pool]) for firm, with_spot in zip(*self._prices, strict=True))
        with np.errstate(invalid="ignore"):
            usd = np.where(total > 0, np.minimum(run * total, held * peak), 0.0)
        return peak, usd

    def _egress(self, unit: Ints, rows: Ints, among: Ints) -> Floats:
        """Data, users and flows of each unit at each candidate; all units are `among` these."""
        there = self.problem.pools.cluster[self.problem.candidates.pool[rows]]
        own = self.parts.egress_usd[rows] + self.problem.candidates.user_usd[rows] / self.copies[unit]
        flows: Floats = self._flows_usd(among)[np.searchsorted(among, unit), there]
        return own + flows

    def _flows_usd(self, units: Ints) -> Floats:
        """Egress with other streams [n, G] of `units` [n], were each in cluster g."""
        price, flows = self.problem.clusters.egress_usd_per_gb, self.problem.flows
        usd = np.zeros((len(units), len(price)))
        placed = np.diff(self.of_stream) > 0
        at, flow = _matches(self.units.stream[units], flows.receiver)
        at, flow = at[placed[flows.sender[flow]]], flow[placed[flows.sender[flow]]]
        sender = self.cluster[np.minimum(self.of_stream[flows.sender[flow]], len(self.cluster) - 1)]
        np.add.at(usd, at, flows.gb[flow, None] * price[sender])
        first = np.flatnonzero(self._number[units] == 0)
        sends, flow = _matches(self.units.stream[units[first]], flows.sender)
        which, receiver = _matches(flows.receiver[flow], self.units.stream)
        np.add.at(usd, first[sends[which]], flows.gb[flow[which], None] * price[:, self.cluster[receiver]].T)
        return usd


def _matches(keys: Ints, table: Ints) -> tuple[Ints, Ints]:
    """(position in `keys`, row of `table`) of every equal pair, by position, then row."""
    order = np.argsort(table, kind="stable")
    begin, end = (np.searchsorted(table[order], keys, side=side) for side in ("left", "right"))
    count = end - begin
    at = np.repeat(np.arange(len(keys)), count)
    return at, order[np.arange(len(at)) + np.repeat(begin - (np.cumsum(count) - count), count)]


def own_machines(problem: Problem, stream: Ints, rows: Ints, variant: Ints) -> tuple[Ints, Ints]:
    """Machines of its own that one copy of `stream` [n] needs at candidates `rows` [n] with `variant` [n].

    The most in any slot, and machine-slots in all.
    """
    each = per_machine(problem, problem.streams.shape[stream], problem.candidates.pool[rows])
    base = int(each.max(initial=0)) + 1
    kinds, place = np.unique(variant * base + each, return_inverse=True)
    found = np.zeros((2, len(kinds)), np.int64)
    for at in range(0, len(kinds), _KINDS):
        found[:, at:at + _KINDS] = _machine_slots(problem, *np.divmod(kinds[at:at + _KINDS], base))
    peak, total = found[:, place.reshape(-1)]
    return peak, total


def _machine_slots(problem: Problem, variant: Ints, each: Ints) -> tuple[Ints, Ints]:
    v = problem.variants
    gang = -(-v.level[variant] // each)
    peak, total = gang, gang * v.length[variant] * v.runs[variant]
    steady = np.flatnonzero(v.row[variant] >= 0)
    machines = -(-v.rows[v.row[variant[steady]]] // each[steady, None].astype(np.int32))
    peak[steady], total[steady] = machines.max(axis=1, initial=0), machines.sum(axis=1, dtype=np.int64)
    return peak, total


def free_machines(problem: Problem, solution: Solution) -> Ints:
    """Machines that every pool could still run in its busiest slot [P]."""
    running = np.zeros(problem.pools.max_machines.shape, np.int64)
    np.add.at(running, problem.offers.pool, solution.machines)
    free: Ints = (problem.pools.max_machines - running).min(axis=1)
    return free


def cheapest_prices(problem: Problem, *, spot: bool) -> tuple[Floats, Floats]:
    """Cheapest price per machine and slot as it runs, and of one held throughout, carbon included [P]; inf for none."""
    offers, pools = problem.offers, len(problem.pools.cluster)
    run, held = np.full(pools, np.inf), np.full(pools, np.inf)
    steady = np.isin(offers.purchase, HELD)
    usable = ~steady & (spot | (offers.purchase != Purchase.SPOT))
    np.minimum.at(run, offers.pool[usable], offers.price_usd[usable].mean(axis=1))
    np.minimum.at(held, offers.pool[steady], offers.price_usd[steady].sum(axis=1))
    carbon = problem.pools.run_usd
    return run + carbon.mean(axis=1), held + carbon.sum(axis=1)
