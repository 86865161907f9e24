"""Blocks of a problem that can be solved by themselves: some clusters, and the streams that lie wholly in them.

A stream with a copy outside stays as it is, and what it has inside is *background*: load that takes room and never
moves. Blocks of one division share no pool and no stream, so their plans together are a plan; what they share beside
pools is divided: each block keeps what it uses now of limits, of the weight that may be left out and of the budget, and
gets an equal part of what is to spare. Divisions change from turn to turn, so that every stream can go anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from placement.domains import failure_domains
from placement.needs import unit_needs
from placement.problem import (
    NO_COMMITMENTS,
    Bools,
    Candidates,
    Counts,
    Floats,
    Flows,
    Ints,
    Limits,
    Objective,
    Problem,
    Streams,
    Variants,
    Workloads,
)
from placement.result import Solution, Units, unattained
from placement.shared import measured

_KNOWN = ("slots", "objective", "shapes", "clusters", "pools", "offers", "workloads", "streams", "candidates",
          "variants", "flows", "domains", "limits", "commitments")
"""What this module understands of a problem; anything else must ask for nothing."""
AS_MANY_AS_NEEDED = 0
"""Asked for instead of a number of blocks: their number follows from the size of the problem."""
CELLS = 250_000
"""Streams x slots of one block, about."""
_LEAST_CLUSTERS = 3
"""Clusters of a block, at least, so that streams can move inside it."""


def unsplittable(problem: Problem) -> str | None:
    """Why a problem cannot be solved in blocks; None where it can."""
    if problem.survival is not None:
        return "losses must be survived, and the room for that lies in other blocks"
    if problem.incumbent is not None and problem.incumbent.most_moves is not None:
        return "it limits moves from a plan in force"
    for part in fields(Problem):
        if part.name not in (*_KNOWN, "survival", "incumbent") and getattr(problem, part.name) != part.default:
            return f"it has {part.name}, which blocks do not know yet"
    return None


def block_count(problem: Problem, asked: int) -> int:
    """So many blocks as asked for (0: as the size tells), and no more than clusters allow."""
    wanted = asked or max(2, -(-len(problem.streams.shape) * problem.slots // CELLS))
    return max(1, min(wanted, len(problem.clusters.availability) // _LEAST_CLUSTERS))


def divide(problem: Problem, units: Units, blocks: int, rng: np.random.Generator) -> list[Ints]:
    """The pools of each block, [n] each: clusters at random, with about as many units in each block."""
    cluster, clusters = problem.pools.cluster, len(problem.clusters.availability)
    load = np.bincount(cluster[problem.candidates.pool[units.candidate]], minlength=clusters)
    block, filled = np.zeros(clusters, np.int64), np.zeros(blocks)
    for g in rng.permutation(clusters).tolist():
        at = int(filled.argmin())
        block[g], filled[at] = at, filled[at] + load[g] + 1
    return [np.flatnonzero(block[cluster] == b) for b in range(blocks)]


@dataclass(frozen=True, slots=True)
class Share:
    """What a block may use of what all share: of each limit `most` [L, T], weight that may be left out beside what is,
    USD to spare (`max_sla`), and `workloads` [n] that are left out now and that it may take in.
    """

    most: Floats
    slack: float
    spare_usd: float
    workloads: Ints


def shares(problem: Problem, solution: Solution, usd: float, blocks: list[Ints], turn: int) -> list[Share]:
    """What each of some blocks may use, beside a plan of the whole that costs `usd`."""
    count, out = len(blocks), unattained(problem, solution.units)
    spare = max(0.0, problem.slack - float(problem.workloads.weight[out].sum())) / count
    money = max(0.0, problem.objective.budget_usd - usd) / count
    left = problem.limits.most - measured(problem, solution.machines) if len(problem.limits.paid) else None
    found = []
    for b, pools in enumerate(blocks):
        mine = np.flatnonzero(out)[(np.flatnonzero(out) + turn) % count == b]
        kept = np.zeros_like(solution.machines)
        here = np.isin(problem.offers.pool, pools)
        kept[here] = solution.machines[here]
        most = problem.limits.most if left is None else measured(problem, kept) + np.maximum(left, 0.0) / count
        found.append(Share(most, spare, money, mine))
    return found


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a problem as a problem of its own, and what its rows are called in the whole.

    The first streams are `streams` [s] of the whole, the rest background; candidates and variants likewise
    (`candidates`, `variants`); `workloads` [w] of the whole, the last one of the part being background. `units` is what
    is placed now, in rows of the part.
    """

    problem: Problem
    pools: Ints
    streams: Ints
    candidates: Ints
    variants: Ints
    workloads: Ints
    units: Units

    def whole(self, units: Units) -> Units:
        """Units of the part in rows of the whole, without background."""
        own = np.flatnonzero(units.stream < len(self.streams))
        return Units(self.streams[units.stream[own]], units.copy[own], self.candidates[units.candidate[own]],
                     self.variants[units.variant[own]], units.start[own])


def cut(problem: Problem, pools: Ints, units: Units, share: Share) -> Block:
    """One block of a problem beside a plan of the whole, `units`."""
    inside = np.zeros(len(problem.pools.cluster), bool)
    inside[pools] = True
    here = inside[problem.candidates.pool[units.candidate]]
    own = _own_streams(problem, units, here, inside, share.workloads)
    candidates = np.flatnonzero(own[problem.candidates.stream] & inside[problem.candidates.pool])
    variants = np.flatnonzero(own[problem.variants.stream])
    workloads = np.unique(problem.streams.workload[own])
    ground = _background(problem, _some(units, here & ~own[units.stream]))
    rows = _Rows(problem, np.flatnonzero(own), candidates, variants, workloads, pools)
    part = rows.problem(ground, units, share)
    return Block(part, pools, rows.streams, candidates, variants, workloads,
                 rows.units(_some(units, own[units.stream]), ground))


def _own_streams(problem: Problem, units: Units, here: Bools, inside: Bools, taken: Ints) -> Bools:
    """[S] streams all of whose units are inside; and those of workloads `taken` that can be."""
    streams = len(problem.streams.shape)
    placed = np.bincount(units.stream, minlength=streams)
    own = (placed > 0) & (np.bincount(units.stream[here], minlength=streams) == placed)
    possible = np.zeros(streams, bool)
    possible[problem.candidates.stream[inside[problem.candidates.pool]]] = True
    asked = np.isin(problem.streams.workload, taken)
    able = ~np.isin(problem.streams.workload, problem.streams.workload[asked & ~possible])
    found: Bools = own | (asked & able & (placed == 0))
    return found


@dataclass(frozen=True, slots=True)
class _Ground:
    """Background load by pool, shape and whether spot may hold it: `pool`, `shape`, `preemptible` [b], `needs` [b, T].
    """

    pool: Ints
    shape: Ints
    preemptible: Bools
    needs: Counts


def _background(problem: Problem, units: Units) -> _Ground:
    pool, stream = problem.candidates.pool[units.candidate], units.stream
    shape, preemptible = problem.streams.shape[stream], problem.streams.preemptible[stream]
    kinds, of = np.unique(np.stack([pool, shape, preemptible]), axis=1, return_inverse=True)
    needs = np.zeros((kinds.shape[1], problem.slots), np.int32)
    np.add.at(needs, of.reshape(-1), unit_needs(problem, units))
    return _Ground(kinds[0], kinds[1], kinds[2].astype(bool), needs)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Which rows of the whole are in a part."""

    whole: Problem
    streams: Ints
    candidates: Ints
    variants: Ints
    workloads: Ints
    pools: Ints

    def problem(self, ground: _Ground, units: Units, share: Share) -> Problem:
        """The part: the pools and what may come into them; background is a workload that must be placed."""
        whole, offers = self.whole, self.whole.offers
        here = np.isin(offers.pool, self.pools)
        sold = {f.name: getattr(offers, f.name)[here] for f in fields(offers)}
        sold["pool"] = np.searchsorted(self.pools, offers.pool[here])
        pools = replace(whole.pools, **{f.name: getattr(whole.pools, f.name)[self.pools] for f in fields(whole.pools)})
        domains = failure_domains(whole)
        limits = Limits(whole.limits.amount[:, self.pools], whole.limits.paid, share.most) if len(
            whole.limits.paid) else whole.limits
        workloads = self._workloads()
        out = float(workloads.weight[:-1][unattained(whole, units)[self.workloads]].sum())  # of what may be taken in
        slack = (share.slack + out) / max(float(workloads.weight.sum()), 1e-12)
        objective = (Objective("min_cost", sla_floor=1 - min(1.0, slack)) if whole.objective.mode == "min_cost"
                     else replace(whole.objective, budget_usd=share.spare_usd))
        return replace(
            whole, objective=objective, pools=pools, offers=replace(offers, **sold), workloads=workloads,
            streams=self._streams(ground), candidates=self._candidates(ground, units), variants=self._variants(ground),
            flows=self._flows(), domains=replace(domains, pool=domains.pool[self.pools]), limits=limits,
            commitments=NO_COMMITMENTS, incumbent=None)

    def _workloads(self) -> Workloads:
        """Only workloads all of whose streams are here may be left out; the last one is background, and stays."""
        whole, of = self.whole, self.whole.streams.workload
        every = np.bincount(of, minlength=len(whole.workloads.weight))
        mine = np.bincount(of[self.streams], minlength=len(every))
        weight = np.where(mine == every, whole.workloads.weight, 0.0)[self.workloads]
        droppable = (whole.workloads.droppable & (mine == every))[self.workloads]
        stays = float(whole.workloads.weight.sum()) if whole.objective.mode == "max_sla" else 0.0
        return Workloads(np.append(weight, stays), np.append(droppable, False))

    def _streams(self, ground: _Ground) -> Streams:
        s, grounds = self.whole.streams, len(ground.pool)
        count = len(self.streams) + grounds
        workload = np.append(np.searchsorted(self.workloads, s.workload[self.streams]),
                             np.full(grounds, len(self.workloads)))
        first = np.searchsorted(self._candidate_streams(grounds), np.arange(count + 1))
        variants = np.searchsorted(self._variant_streams(grounds), np.arange(count + 1))
        return Streams(workload, np.append(s.shape[self.streams], ground.shape),
                       np.append(s.preemptible[self.streams], ground.preemptible),
                       np.append(s.availability[self.streams], np.zeros(grounds)), first, variants)

    def _candidate_streams(self, grounds: int) -> Ints:
        mine = np.searchsorted(self.streams, self.whole.candidates.stream[self.candidates])
        return np.append(mine, len(self.streams) + np.arange(grounds))

    def _variant_streams(self, grounds: int) -> Ints:
        mine = np.searchsorted(self.streams, self.whole.variants.stream[self.variants])
        return np.append(mine, len(self.streams) + np.arange(grounds))

    def _candidates(self, ground: _Ground, units: Units) -> Candidates:
        c, nothing = self.whole.candidates, np.zeros(len(ground.pool))
        outside_usd, per_copy_usd = self._flows_outside(units)
        return Candidates(
            self._candidate_streams(len(nothing)),
            np.append(np.searchsorted(self.pools, c.pool[self.candidates]), np.searchsorted(self.pools, ground.pool)),
            np.append(c.speed[self.candidates], nothing.astype(np.int64)),
            np.append(c.cost_usd[self.candidates] + per_copy_usd, nothing),
            np.append(c.user_usd[self.candidates] + outside_usd, nothing),
            np.append(c.single[self.candidates], nothing == 0))

    def _flows_outside(self, units: Units) -> tuple[Floats, Floats]:
        """What flows to streams that do not move cost at each candidate [n]: those that it sends (shared by its copies,
        of which one sends), and those that each copy receives.
        """
        whole, flows = self.whole, self.whole.flows
        clusters = len(whole.clusters.availability)
        cluster = whole.pools.cluster[whole.candidates.pool[units.candidate]]
        mine = np.zeros(len(whole.streams.shape), bool)
        mine[self.streams] = True
        sent, received = np.zeros((2, len(whole.streams.shape), clusters))
        egress = whole.clusters.egress_usd_per_gb
        first = np.full(len(mine), -1)
        first[units.stream[units.copy == 0]] = cluster[units.copy == 0]
        ends = np.searchsorted(units.stream, np.arange(len(mine) + 1))
        for f in np.flatnonzero(mine[flows.sender] != mine[flows.receiver]).tolist():
            sender, receiver, gb = int(flows.sender[f]), int(flows.receiver[f]), float(flows.gb[f])
            if mine[sender]:
                sent[sender] += gb * egress[:, cluster[ends[receiver]:ends[receiver + 1]]].sum(axis=1)
            elif first[sender] >= 0:
                received[receiver] += gb * egress[first[sender]]
        stream = whole.candidates.stream[self.candidates]
        there = whole.pools.cluster[whole.candidates.pool[self.candidates]]
        return sent[stream, there], received[stream, there]

    def _variants(self, ground: _Ground) -> Variants:
        v, grounds = self.whole.variants, len(ground.pool)
        columns = {f.name: np.append(getattr(v, f.name)[self.variants], np.zeros(grounds, np.int64))
                   for f in fields(v) if f.name != "rows"}
        columns["stream"] = self._variant_streams(grounds)
        columns["copies"][len(self.variants):] = 1
        steady = np.flatnonzero(v.row[self.variants] >= 0)
        used, row = np.unique(v.row[self.variants[steady]], return_inverse=True)
        columns["row"][steady] = row.reshape(-1)
        columns["row"][len(self.variants):] = len(used) + np.arange(grounds)
        return Variants(**columns, rows=np.concatenate([v.rows[used], ground.needs]).astype(np.int32))

    def _flows(self) -> Flows:
        flows = self.whole.flows
        inner = np.isin(flows.sender, self.streams) & np.isin(flows.receiver, self.streams)
        return Flows(np.searchsorted(self.streams, flows.sender[inner]),
                     np.searchsorted(self.streams, flows.receiver[inner]), flows.gb[inner])

    def units(self, own: Units, ground: _Ground) -> Units:
        """What is placed now, in rows of the part."""
        grounds, nothing = len(ground.pool), np.zeros(len(ground.pool), np.int64)
        return Units(
            np.append(np.searchsorted(self.streams, own.stream), len(self.streams) + np.arange(grounds)),
            np.append(own.copy, nothing),
            np.append(np.searchsorted(self.candidates, own.candidate), len(self.candidates) + np.arange(grounds)),
            np.append(np.searchsorted(self.variants, own.variant), len(self.variants) + np.arange(grounds)),
            np.append(own.start, nothing))


def merge(units: Units, moved: list[Units], streams: list[Ints]) -> Units:
    """A plan in which `streams` of each block lie where the block moved them; all others stay."""
    gone = np.concatenate(streams) if streams else np.zeros(0, np.int64)
    stay = _some(units, ~np.isin(units.stream, gone))
    parts = [stay, *moved]
    columns = [np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Units)]
    order = np.lexsort((columns[1], columns[0]))
    return Units(*(np.ascontiguousarray(column[order]) for column in columns))


def _some(units: Units, keep: Bools) -> Units:
    return Units(*(getattr(units, f.name)[keep] for f in fields(Units)))
