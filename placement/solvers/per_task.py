"""Every stream for itself, on machines of its own: the choice that a per-task optimiser makes, as a yardstick.

The rule is that of SkyPilot's optimiser (`sky/optimizer.py`, and https://docs.skypilot.co/en/stable/examples/
auto-failover.html for what follows when there is no room), put on top of this problem's rules:

- A task takes as many machines as its own peak needs, alone on them, for as long as it runs. Nothing is shared.
- Of all offers that are legal for it, it takes the cheapest: price x machines x time, machines that are held and idle
  counted as free, egress to where its sender already is included.
- Where the cheapest has no room left, the next cheapest is taken, at the earliest start that has any. When a task
  that must run finds no room at all, everybody chooses anew after it, ten times at most.

Copies, failure domains and availability are kept, which that optimiser does not know: of all numbers of copies the
cheapest is taken, each copy in the cheapest domain left. Senders choose before receivers, else streams in their order;
in `max_sla` workloads choose by weight for what they would pay, as long as the budget lasts. Nothing is proven.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import merge
from itertools import combinations, count, islice, pairwise, repeat

import numpy as np

from placement.domains import SLO_TOLERANCE, at_most_one_down, failure_domains
from placement.formulation import cost_usd
from placement.interference import LEFT_OUT
from placement.needs import replicas_per_machine
from placement.problem import Floats, Ints, Problem, Purchase
from placement.purchase import buy, terms
from placement.result import Result, Settings, Solution, Units, Watch

METHOD = "no bound: a choice per task proves nothing"
_TURNS = 10
"""Times that all choose anew, those first that found no room."""
_MOST_SETS = 200
"""Sets of failure domains that are looked at for a stream's copies."""
_SPARE_DOMAINS = 4
"""Failure domains beyond the number of copies among which sets are looked for."""
_MANY = np.iinfo(np.int64).max


def supports(problem: Problem) -> str | None:
    """None, or why this problem is refused: what a choice per task cannot see."""
    if problem.interference is not None:
        return LEFT_OUT
    if problem.survival is not None:
        return "losses are to be survived; a choice per task keeps no room for fallbacks"
    if problem.incumbent is not None and problem.incumbent.most_moves is not None:
        return "moves from a plan in force are limited; a choice per task is made without one"
    if len(problem.limits.paid):
        return "pools share limits; a choice per task knows its own pool only"
    pairs = np.stack([problem.offers.pool, problem.offers.purchase], axis=1)
    if len(np.unique(pairs, axis=0)) < len(pairs):
        return "a pool has two offers of one purchase; one of each is supported"
    return None


def solve(problem: Problem, settings: Settings, watch: Watch) -> Result:  # noqa: ARG001 (there is nothing to set)
    """Let workload after workload choose; one with a stream that finds no room is left out whole."""
    by_cost = problem.objective.mode == "min_cost"
    trivial = 0.0 if by_cost else 1.0
    first: list[int] = []
    for _ in range(_TURNS):
        tasks, left_out = _Tasks(problem), list[int]()
        for workload in [*first, *np.setdiff1d(_order(problem, tasks), first, assume_unique=True).tolist()]:
            if watch.stopped():
                return Result("unknown", None, trivial, "stopped before every task had chosen")
            if not tasks.choose_all(workload):
                left_out.append(workload)
        if not by_cost or problem.workloads.droppable[left_out].all() or left_out == first[:len(left_out)]:
            break
        first = [*left_out, *(workload for workload in first if workload not in left_out)]
    solution, weight = tasks.solution(), float(problem.workloads.weight[left_out].sum())
    if by_cost and not (problem.workloads.droppable[left_out].all() and weight <= problem.slack):
        why = f"{len(left_out)} workloads find no room on machines of their own, even first of all"
        return Result("unknown", None, trivial, f"{why}; the others would pay {cost_usd(problem, solution):,.0f} USD")
    if tasks.short or (not by_cost and cost_usd(problem, solution) > problem.objective.budget_usd):
        return Result("unknown", None, trivial, "what must run in any case is more than can be bought")
    return Result("feasible", solution, trivial, METHOD)


def _streams_of(problem: Problem) -> list[Ints]:
    """Streams of every workload."""
    order = np.argsort(problem.streams.workload, kind="stable")
    ends = np.searchsorted(problem.streams.workload[order], np.arange(len(problem.workloads.weight) + 1))
    return [order[a:b] for a, b in pairwise(ends)]


def _order(problem: Problem, tasks: _Tasks) -> Ints:
    """Workloads, senders before receivers; in `max_sla` those with the most weight for what they would pay."""
    if problem.objective.mode == "max_sla":
        usd = [sum(tasks.least_usd(int(s)) for s in streams) for streams in tasks.streams_of]
        return np.argsort(-problem.workloads.weight / np.maximum(usd, 1e-9), kind="stable")
    workload, depth = problem.streams.workload, np.zeros(len(problem.workloads.weight), np.int64)
    sender, receiver = workload[problem.flows.sender], workload[problem.flows.receiver]
    for _ in range(len(depth)):
        before = depth.copy()
        np.maximum.at(depth, receiver, depth[sender] + 1)
        if (before == depth).all():
            break
    return np.argsort(depth, kind="stable")


@dataclass(frozen=True, slots=True)
class _Copy:
    """One copy's choice: `counts` [4, b] machines by purchase in its slots `busy` [b]; `usd` is what it goes by."""

    usd: float
    candidate: int
    variant: int
    start: int
    pool: int
    busy: Ints
    counts: Ints


@dataclass(frozen=True, slots=True)
class _Offers:
    """What a copy could take at one start, each [n], cheapest first: `free` of its `machines` are held anyway."""

    variant: int
    start: int
    busy: Ints
    usd: Floats
    candidate: Ints
    kind: Ints
    machines: Ints
    free: Ints


@dataclass(frozen=True, slots=True)
class _Pools:
    """The pools [n] of a stream's candidates in the slots `busy`: what a machine costs by purchase, `usd` [n, 4], and
    to run; machines held and `idle`, and those `left` to have by purchase [n, 4] (-1: never) and in all.
    """

    busy: Ints
    pool: Ints
    idle: Ints
    left: Ints
    pool_left: Ints
    usd: Floats
    run_usd: Floats
    egress_usd: Floats


class _Tasks:
    """What has been chosen: `placed` by stream, and machines `running` by purchase [P, 4, T]."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.offered = problem, terms(problem)
        self.placed: dict[int, tuple[_Copy, ...]] = {}
        self.running = np.zeros(self.offered.most.shape, np.int64)
        self.short = False
        self.streams_of = _streams_of(problem)
        self._domains = failure_domains(problem)
        self._per = replicas_per_machine(problem)
        self._all_slots_usd = self.offered.price_usd.sum(axis=2)
        self._receives = np.argsort(problem.flows.receiver, kind="stable")

    def choose_all(self, workload: int) -> bool:
        """Let all streams of a workload choose, or none: False when one has no room, or the budget is spent."""
        objective, streams = self.problem.objective, self.streams_of[workload].tolist()
        if all(self._choose(stream) for stream in streams) and (
                objective.mode == "min_cost" or cost_usd(self.problem, self.solution()) <= objective.budget_usd):
            return True
        for stream in streams:
            for copy in self.placed.pop(stream, ()):
                self.running[copy.pool][:, copy.busy] -= copy.counts
        return False

    def _choose(self, stream: int) -> bool:
        """Take the cheapest legal choice with room; False when there is none at any start."""
        for later in range(self._starts(stream)):
            sets = [self._set(stream, copies, offers) for copies, offers in self._offers(stream, later).items()]
            best = min((found for found in sets if found), key=_usd, default=None)
            if best is not None:
                self.placed[stream] = best
                for copy in best:
                    self.running[copy.pool][:, copy.busy] += copy.counts
                return True
        return False

    def least_usd(self, stream: int) -> float:
        """What the stream would pay where it is cheapest; infinite where nothing is legal."""
        return min((copies * float(offer.usd[0]) for copies, offers in self._offers(stream, 0).items()
                    for offer in offers if len(offer.usd)), default=np.inf)

    def solution(self) -> Solution:
        """Everybody's machines together; where a pool must run more, the cheapest ones beside (or it is `short`)."""
        running, least = self.running.copy(), self.problem.pools.min_machines
        for pool in np.flatnonzero((running.sum(axis=1) < least).any(axis=1)).tolist():
            firm = running[pool, :Purchase.SPOT].sum(axis=0)
            bought = buy(pool, self.offered, firm[None], running[pool].sum(axis=0)[None])
            running[pool], self.short = bought.counts, self.short or bool(bought.lacking.any())
        machines = np.zeros((len(self.problem.offers.pool), self.problem.slots), np.int32)
        there = self.offered.offer >= 0
        machines[self.offered.offer[there]] = running[there]
        rows = [(stream, number, copy.candidate, copy.variant, copy.start)
                for stream, copies in sorted(self.placed.items()) for number, copy in enumerate(copies)]
        table = np.array(rows, np.int64).reshape(-1, 5).T
        return Solution(Units(*(column.copy() for column in table)), machines)

    def _starts(self, stream: int) -> int:
        """Starts to try: as many as the widest window has."""
        first, end = self.problem.streams.variant_first[stream:stream + 2]
        v = self.problem.variants
        steady = v.row[first:end] >= 0
        return int(np.where(steady, 1, v.latest[first:end] - v.earliest[first:end] + 1).max(initial=0))

    def _offers(self, stream: int, later: int) -> dict[int, list[_Offers]]:
        """What each number of copies could take, `later` slots after the earliest start."""
        v, found, seen = self.problem.variants, dict[int, list[_Offers]](), dict[bytes, _Pools]()
        pool = self.problem.candidates.pool[slice(*self.problem.streams.candidate_first[stream:stream + 2])]
        for variant in range(*self.problem.streams.variant_first[stream:stream + 2].tolist()):
            steady = v.row[variant] >= 0
            start = 0 if steady else int(v.earliest[variant]) + later
            if (steady and later == 0) or (not steady and start <= v.latest[variant]):
                peak, busy = self._peak(variant, start)
                if (key := busy.tobytes()) not in seen:
                    seen[key] = self._pools(stream, pool, busy)
                found.setdefault(int(v.copies[variant]), []).append(
                    self._priced(stream, variant, start, peak, seen[key]))
        return found

    def _pools(self, stream: int, pool: Ints, busy: Ints) -> _Pools:
        """The pools of a stream's candidates while it would run."""
        offered, running = self.offered, self.running[pool][:, :, busy]
        idle = np.maximum(offered.owned[pool][:, :Purchase.ON_DEMAND, busy] - running[:, :Purchase.ON_DEMAND], 0)
        left = (offered.most[pool][:, :, busy] - running).min(axis=2, initial=_MANY)
        left[offered.offer[pool] < 0] = -1
        if not self.problem.streams.preemptible[stream]:
            left[:, Purchase.SPOT] = -1
        pool_left = (offered.pool_most[pool][:, busy] - running.sum(axis=1)).min(axis=1, initial=_MANY)
        usd: Floats = self._all_slots_usd[pool]
        if len(busy) < self.problem.slots:
            by_slot = slice(Purchase.ON_DEMAND, None)
            usd[:, by_slot] = offered.price_usd[pool, by_slot][:, :, busy].sum(axis=2)
        return _Pools(busy, pool, idle.sum(axis=1).min(axis=1, initial=_MANY), left, pool_left, usd,
                      offered.run_usd[pool][:, busy].sum(axis=1), self._egress(stream, pool))

    def _priced(self, stream: int, variant: int, start: int, peak: int, pools: _Pools) -> _Offers:
        """What may have room for one variant at one start, cheapest first."""
        streams, c = self.problem.streams, self.problem.candidates
        first, end = streams.candidate_first[stream:stream + 2]
        copies = self.problem.variants.copies[variant]
        legal = c.speed[first:end] == self.problem.variants.speed[variant]
        if copies == 1:
            legal = legal & c.single[first:end]
        at = np.flatnonzero(legal)
        candidate = first + at
        machines = -(-peak // np.maximum(self._per[pools.pool[at], streams.shape[stream]], 1))
        free = np.minimum(machines, pools.idle[at])
        beside = (c.cost_usd[candidate] + c.user_usd[candidate] / copies + pools.egress_usd[at]
                  + machines * pools.run_usd[at])
        usd = (machines - free)[:, None] * pools.usd[at] + beside[:, None]
        usd[pools.left[at] < (machines - free)[:, None]] = np.inf
        usd[pools.pool_left[at] < machines] = np.inf
        order = np.argsort(usd, axis=None, kind="stable")[: int(np.isfinite(usd).sum())]
        row, kind = np.divmod(order, usd.shape[1])
        return _Offers(variant, start, pools.busy, usd.ravel()[order], candidate[row], kind, machines[row], free[row])

    def _peak(self, variant: int, start: int) -> tuple[int, Ints]:
        """Most replicas at once, and the slots in which there are any."""
        v = self.problem.variants
        if v.row[variant] >= 0:
            row = v.rows[v.row[variant]]
            return int(row.max(initial=0)), np.flatnonzero(row)
        begins = start + np.arange(v.runs[variant]) * v.period[variant]
        return int(v.level[variant]), (begins[:, None] + np.arange(v.length[variant])).ravel()

    def _egress(self, stream: int, pool: Ints) -> Floats:
        """USD of what comes from senders that have chosen, to each pool [n]."""
        flows, usd = self.problem.flows, np.zeros(len(pool))
        receivers = flows.receiver[self._receives]
        for flow in self._receives[slice(*np.searchsorted(receivers, (stream, stream + 1)))].tolist():
            sender = self.placed.get(int(flows.sender[flow]))
            if sender:
                at = self.problem.pools.cluster[[sender[0].pool, *pool]]
                usd += flows.gb[flow] * self.problem.clusters.egress_usd_per_gb[at[0], at[1:]]
        return usd

    def _set(self, stream: int, copies: int, offers: list[_Offers]) -> tuple[_Copy, ...] | None:
        """The cheapest copies with room in distinct failure domains that are up often enough."""
        by_domain: dict[int, _Copy] = {}
        for _, which, i in merge(*(zip(offer.usd, repeat(which), count()) for which, offer in enumerate(offers))):
            domain = int(self._domains.pool[self.problem.candidates.pool[offers[which].candidate[i]]])
            if domain not in by_domain and (copy := self._fitted(offers[which], i)) is not None:
                by_domain[domain] = copy
                if len(by_domain) == (1 if copies == 1 else copies + _SPARE_DOMAINS):
                    break
        for domains in islice(combinations(by_domain, copies), _MOST_SETS):
            if copies == 1 or self._up(stream, domains):
                return tuple(by_domain[domain] for domain in domains)
        return None

    def _up(self, stream: int, domains: tuple[int, ...]) -> bool:
        chance = at_most_one_down(self._domains.path, self._domains.up, np.array(domains))
        return bool(chance >= self.problem.streams.availability[stream] - SLO_TOLERANCE)

    def _fitted(self, offers: _Offers, i: int) -> _Copy | None:
        """The i-th offer as machines by purchase; None when held and bought together are more than may be."""
        candidate, free, busy = int(offers.candidate[i]), int(offers.free[i]), offers.busy
        pool = int(self.problem.candidates.pool[candidate])
        running = self.running[pool][:, busy]
        counts = np.zeros_like(running)
        idle = self.offered.owned[pool, Purchase.OWNED, busy] - running[Purchase.OWNED]
        counts[Purchase.OWNED] = np.clip(idle, 0, free)
        counts[Purchase.COMMITTED] = free - counts[Purchase.OWNED]
        counts[offers.kind[i]] += offers.machines[i] - free
        after = running + counts
        if ((after > self.offered.most[pool][:, busy]) & (counts > 0)).any():
            return None
        return _Copy(float(offers.usd[i]), candidate, offers.variant, offers.start, pool, busy, counts)


def _usd(copies: tuple[_Copy, ...]) -> float:
    return sum(copy.usd for copy in copies)
