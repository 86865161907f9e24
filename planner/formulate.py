"""From a scenario in people's words to the placement problem in arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from placement.domains import failure_domains, lone_copy
from placement.parts import cut
from placement.problem import (
    Bools,
    Candidates,
    Clusters,
    Domains,
    Floats,
    Flows,
    Ints,
    Objective,
    Parts,
    Paths,
    Problem,
    Streams,
    Variants,
    Workloads,
)
from planner.demand import Demand, group, throughput
from planner.legal import Legality, legality
from planner.pairs import problem_interference
from planner.scenario.model import Objective as StatedObjective
from planner.scenario.model import Scenario
from planner.shared import problem_commitments, problem_limits
from planner.supply import (
    RESOURCES,
    Links,
    Supply,
    missing_link,
    problem_clusters,
    problem_domains,
    problem_offers,
    problem_pools,
)
from planner.survival import Losses
from planner.variants import CopyRule, Speeds, reachable, variants

if TYPE_CHECKING:
    from planner.profiles import Profiles

HOURS_PER_MONTH = 730

Copies = Mapping[tuple[str, str | None], int]
"""Number of copies by (workload, user region)."""
Cuts = Mapping[tuple[str, str | None], tuple[int, ...]]
"""Caps of all parts but the last of split streams, in order, by (workload, user region)."""
InForce = Mapping[tuple[str, str | None], frozenset[tuple[str, str]]]
"""Pools (cluster, pool) in which the plan in force has copies, by (workload, user region)."""


@dataclass(frozen=True, eq=False)
class Names:
    """What the rows of a problem are called: workloads [W], clusters [G], pools [P] (cluster, pool), streams [S],
    losses [L], limits, commitments [K].
    """

    workloads: tuple[str, ...]
    clusters: tuple[str, ...]
    pools: tuple[tuple[str, str], ...]
    streams: tuple[tuple[str, str | None], ...]
    losses: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    commitments: tuple[str, ...] = ()

    @cached_property
    def stream_row(self) -> Mapping[tuple[str, str | None], int]:
        """Row of a stream by (workload, user region), of its part 0 where it is split; other parts follow it."""
        return {name: row for row, name in reversed([*enumerate(self.streams)])}

    @cached_property
    def pool_row(self) -> Mapping[tuple[str, str], int]:
        """Row of a pool by (cluster, pool)."""
        return {name: row for row, name in enumerate(self.pools)}


@dataclass(frozen=True, slots=True, eq=False)
class CostParts:
    """`Candidates.cost_usd` by what it pays for, each [N]: data egress, storage, moves."""

    egress_usd: Floats
    storage_usd: Floats
    moves_usd: Floats


@dataclass(frozen=True, eq=False)
class Formulation:
    """A problem, the names of its rows, and what is needed to explain it.

    `rejections` holds, for every workload that has no option at all, the reasons in words. `cost_parts` splits the cost
    of candidates. `reachable` [S, D] says which numbers of copies keep the availability SLO. `losses` are what is
    to be survived. Where streams are cut into parts, parts are streams, and `uncut` is the problem before that.
    """

    problem: Problem
    names: Names
    cost_parts: CostParts
    rejections: Mapping[str, tuple[str, ...]]
    supply: Supply
    demand: Demand
    legality: Legality
    losses: Losses
    _reachable: Bools = field(repr=False)
    uncut: Problem | None = None

    def cut(self, cuts: Ints) -> Formulation:
        """The same with streams cut at `cuts` (`placement.result.Solution.cuts`). Raises WrongCutError."""
        if not len(cuts):
            return self
        made = cut(self.problem, cuts)
        of, row = made.stream, made.candidate
        share = made.share[made.problem.candidates.stream]
        parts = self.cost_parts
        return replace(
            self, problem=made.problem, names=replace(self.names, streams=tuple(self.names.streams[s] for s in of)),
            cost_parts=CostParts(parts.egress_usd[row] * share, parts.storage_usd[row] * share, parts.moves_usd[row]),
            demand=self.demand.taking(of), legality=self.legality.taking(of),
            losses=replace(self.losses, asked=self.losses.asked[of]), _reachable=self._reachable[of],
            uncut=self.problem)

    def why_not(self, workload: int) -> tuple[str, ...]:
        """Which rules take how many pools from a workload, for every stream of it."""
        streams = np.flatnonzero(self.problem.streams.workload == workload)
        return tuple(dict.fromkeys(
            sentence for s in streams.tolist()
            for sentence in _stream_reasons(self.demand, self.legality, self._reachable, self._up, s)))

    @cached_property
    def _up(self) -> Floats:
        """Chance [P] that a copy in each pool is up."""
        domains = failure_domains(self.problem)
        return lone_copy(domains)[domains.pool]


def formulate(scenario: Scenario, profiles: Profiles, kept_copies: Copies | None = None,
              in_force: InForce | None = None, cuts: Cuts | None = None) -> Formulation:
    """State a resolved scenario as a problem.

    Numbers of copies that can never be better than fewer are left out, save those in `kept_copies`, which somebody
    else's plan may hold. With a plan `in_force` moves are counted from where it has every stream, not from what the
    workloads say of their incumbents. Streams are cut at those of `cuts` that are allowed. Raises InputError when a
    price or a link is needed and not there.
    """
    supply, demand, links = Supply.of(scenario), Demand.of(profiles, scenario.horizon), Links(scenario.links)
    speed_rule, speed_table = throughput(demand.workloads, demand.requests, supply.machines)
    losses = Losses.of(scenario, supply, demand)
    legal = legality(supply, demand, links, (speed_rule, speed_table), losses)
    clusters = problem_clusters(supply, links)
    slo = np.array([workload.slo.availability or 0.0 for workload in demand.workloads])[demand.workload]
    stated = problem_domains(scenario, supply)
    domains = stated or Domains(supply.cluster, np.arange(len(supply.clusters))[:, None], clusters.availability)
    up = lone_copy(domains)[domains.pool]
    reach = reachable(_any_domain(legal.pairs, domains), domains, slo)
    pairs = np.where((reach.any(axis=1) | _kept(demand, kept_copies).astype(bool))[:, None], legal.pairs, np.False_)

    stream, pool = np.nonzero(pairs)
    value = speed_table[speed_rule[demand.workload[stream]], pool]
    speeds, speed = _speeds(stream, value, len(pairs))
    single = up[pool] >= slo[stream] - 1e-12
    flows = _flows(scenario, demand)
    rule = _copy_rule(demand, reach, flows, stream, single, losses, kept_copies)
    table = variants(demand, speeds, rule)
    parts, user_usd = _costs(scenario, supply, demand, links, stream, pool)
    if in_force is not None:
        parts = replace(parts, moves_usd=_moves_from(in_force, supply, demand, stream, pool))
    shapes, resources, shape = _shapes(demand)
    beside_usd = parts.egress_usd + parts.storage_usd + parts.moves_usd
    candidates = Candidates(stream, pool, speed, beside_usd, user_usd, single)
    offers = problem_offers(scenario, supply)
    survival = losses.problem_survival(supply, offers.max_machines, offers.pool, offers.purchase)
    problem = Problem(
        scenario.horizon.slots, problem_objective(scenario.objective), shapes, _priced(clusters, supply, flows, pairs),
        problem_pools(scenario, supply, resources), offers, _workloads(demand),
        _streams(demand, shape, slo, candidates, table), candidates, table, flows, domains=stated,
        survival=survival, limits=problem_limits(scenario, supply), commitments=problem_commitments(scenario, supply),
        parts=_parts(demand, table, speeds, parts.moves_usd),
        interference=problem_interference(scenario.interference, demand, supply),
        paths=_paths(profiles, demand, table, speeds))
    names = Names(tuple(workload.name for workload in demand.workloads), tuple(c.name for c in supply.clusters),
                  supply.names, demand.names, losses.names, tuple(limit.name for limit in scenario.limits),
                  tuple(commitment.name for commitment in scenario.commitments))
    rejections = _rejections(demand, legal, reach, up)
    made = Formulation(problem, names, parts, rejections, supply, demand, legal, losses, reach)
    return made.cut(_allowed(made, cuts)) if cuts else made


def _parts(demand: Demand, table: Variants, speeds: Speeds, moves_usd: Floats) -> Parts | None:
    """Streams of workloads with `max_parts` above 1 that may have a lone copy; None where there are none."""
    most = np.array([workload.max_parts for workload in demand.workloads], np.int64)[demand.workload]
    alone = np.zeros(len(most), bool)
    alone[table.stream[(table.copies == 1) & (table.row >= 0)]] = True
    stream = np.flatnonzero((most > 1) & alone)
    if not len(stream):
        return None
    load = demand.replicas[demand.workload[stream]] * demand.share[stream][:, None]
    return Parts(stream, most[stream], load, speeds.value[speeds.first[table.stream] + table.speed], moves_usd)


def _allowed(made: Formulation, cuts: Cuts) -> Ints:
    """The cuts, as rows of the problem, of streams that may be split so; the others a plan's reader finds missing."""
    parts, rows = made.problem.parts, list[tuple[int, int]]()
    most = {} if parts is None else dict(zip(parts.stream.tolist(), parts.most.tolist(), strict=True))
    for name, caps in cuts.items():
        s = made.names.stream_row.get(name, -1)
        if len(caps) < most.get(s, 1) and all(cap >= 1 for cap in caps):
            rows += [(s, cap) for cap in caps]
    return np.array(sorted(rows, key=lambda row: row[0]), np.int64).reshape(-1, 2)


def _any_pool(pairs: Bools, supply: Supply) -> Bools:
    """Legal clusters [S, G] from legal pools [S, P]; every cluster has pools, and they are sorted by cluster."""
    return np.logical_or.reduceat(pairs, np.searchsorted(supply.cluster, np.arange(len(supply.clusters))), axis=1)


def _any_domain(pairs: Bools, domains: Domains) -> Bools:
    """Legal failure domains [S, D] from legal pools [S, P]."""
    found = np.zeros((len(pairs), len(domains.path)), bool)
    for d in range(found.shape[1]):
        found[:, d] = pairs[:, domains.pool == d].any(axis=1)
    return found


def _kept(demand: Demand, copies: Copies | None) -> Ints:
    return np.array([(copies or {}).get(name, 0) for name in demand.names], np.int64)


def _speeds(stream: Ints, value: Floats, streams: int) -> tuple[Speeds, Ints]:
    """Distinct speeds by stream, slowest first, and the position of every candidate's among its stream's."""
    values, code = np.unique(value, return_inverse=True)
    distinct, place = np.unique(stream * len(values) + code, return_inverse=True)
    first = np.searchsorted(distinct, np.arange(streams + 1) * len(values))
    return Speeds(first, values[distinct % len(values)]), place - first[stream]


def _copy_rule(demand: Demand, reach: Bools, flows: Flows, stream: Ints, single: Bools, losses: Losses,
               kept: Copies | None) -> CopyRule:
    """More copies than needed can only pay where they lower egress: cheap for users in one place, cheap for the next
    workload in another. For streams with both, no number of copies is left out. Two copies, where one would do, may
    also take the place of a fallback.
    """
    alone = np.ones(len(reach), bool)
    np.logical_and.at(alone, stream, single)
    sends = np.zeros(len(reach), bool)
    sends[flows.sender] = True
    return CopyRule(reach, ~(sends & (demand.user_gb_per_day > 0)), alone & (losses.asked == 0), _kept(demand, kept))


def _costs(scenario: Scenario, supply: Supply, demand: Demand, links: Links, stream: Ints,
           pool: Ints) -> tuple[CostParts, Floats]:
    """What one copy costs at each candidate beside machines, by part, and the egress to users that k copies share."""
    w, share, cluster = demand.workload[stream], demand.share[stream], supply.cluster[pool]
    keys = [c.region_key for c in supply.clusters]
    data = [workload.data for workload in demand.workloads]
    places = sorted({d.location for d in data if d is not None and d.location is not None})
    at = np.array([places.index(d.location) if d is not None and d.location is not None else -1 for d in data])
    gb_in = np.array([d.gb_per_day_in if d is not None and d.location is not None else 0.0 for d in data])
    inward = _egress(links, places, keys, at[w], cluster, gb_in[w] * scenario.horizon.days * share, "data")
    outward = _egress(links, keys, demand.regions, cluster, demand.region[stream],
                      demand.user_gb_per_day[stream] * scenario.horizon.days, "users")
    month = np.array([c.storage_usd_per_gb_month or 0.0 for c in supply.clusters])
    stored = np.array([d.stored_gb if d is not None else 0.0 for d in data])
    storage = stored[w] * share * month[cluster] * scenario.horizon.hours / HOURS_PER_MONTH
    return CostParts(inward, storage, _moves(supply, demand, w, pool)), outward


def _egress(links: Links, senders: list[str], receivers: list[str] | tuple[str, ...], sender: Ints, receiver: Ints,
            gb: Floats, why: str) -> Floats:
    """USD of sending `gb` [N] between regions by position; raises InputError where a price is needed and missing."""
    usd, used = np.zeros(len(gb)), gb > 0
    price = links.egress(senders, receivers)[sender[used], receiver[used]] if used.any() else np.zeros(0)
    if np.isnan(price).any():
        bad = int(np.flatnonzero(used)[np.isnan(price).argmax()])
        raise missing_link(senders[sender[bad]], receivers[receiver[bad]], "egress_usd_per_gb", why)
    usd[used] = gb[used] * price
    return usd


def _moves(supply: Supply, demand: Demand, workload: Ints, pool: Ints) -> Floats:
    """move_cost_usd of every placed unit that is not where its incumbent says."""
    now = [w.incumbent for w in demand.workloads]
    row, places = group((i.cluster, i.pool) if i else None for i in now)
    home = np.array([[place is not None and place[0] == cluster and place[1] in (None, name)
                      for cluster, name in supply.names] for place in places])
    usd = np.array([i.move_cost_usd if i else 0.0 for i in now])
    return np.where(home[row[workload], pool], 0.0, usd[workload])


def _moves_from(in_force: InForce, supply: Supply, demand: Demand, stream: Ints, pool: Ints) -> Floats:
    """move_cost_usd of every placed unit that is not where the plan in force has one of its stream."""
    row = {name: p for p, name in enumerate(supply.names)}
    home = np.zeros((len(demand.names), len(row)), bool)
    for s, name in enumerate(demand.names):
        home[s, [row[place] for place in in_force.get(name, ()) if place in row]] = True
    known = np.array([name in in_force for name in demand.names])
    usd = np.array([w.incumbent.move_cost_usd if w.incumbent else 0.0 for w in demand.workloads])
    return np.where(~known[stream] | home[stream, pool], 0.0, usd[demand.workload[stream]])


def _flows(scenario: Scenario, demand: Demand) -> Flows:
    """gb_per_day x days x share of the sender's stream x share of the receiver's, for every pair of their streams."""
    first = np.searchsorted(demand.workload, np.arange(len(demand.workloads) + 1))
    row = {workload.name: w for w, workload in enumerate(demand.workloads)}
    table = [(s, r, after.gb_per_day * scenario.horizon.days * float(demand.share[s] * demand.share[r]))
             for w, workload in enumerate(demand.workloads) for after in workload.after if after.gb_per_day > 0
             for s in range(first[row[after.workload]], first[row[after.workload] + 1])
             for r in range(first[w], first[w + 1])]
    sender, receiver, gb = zip(*sorted(table), strict=True) if table else ((), (), ())
    return Flows(np.array(sender, np.int64), np.array(receiver, np.int64), np.array(gb, float))


def _priced(clusters: Clusters, supply: Supply, flows: Flows, pairs: Bools) -> Clusters:
    """Egress prices with zeros where no data can flow; raises InputError where some can and no price is known."""
    price, legal = clusters.egress_usd_per_gb.copy(), _any_pool(pairs, supply)
    missing = np.isnan(price)
    if missing.any():
        needed = legal[flows.sender].T.astype(float) @ legal[flows.receiver].astype(float) > 0
        if (needed & missing).any():
            a, b = np.argwhere(needed & missing)[0]
            raise missing_link(supply.clusters[a].region_key, supply.clusters[b].region_key, "egress_usd_per_gb",
                               "after")
        price[missing] = 0.0
    return Clusters(clusters.availability, price)


def _shapes(demand: Demand) -> tuple[Floats, list[int], Ints]:
    """Distinct requests [C, R] over the resources that anybody asks for, those resources, and shape by workload [W]."""
    amounts = np.array([[getattr(request, name) for name in RESOURCES] for request in demand.requests], float)
    resources = np.flatnonzero(amounts.any(axis=0)).tolist() or [RESOURCES.index("vcpu")]
    shapes, shape = np.unique(amounts[:, resources], axis=0, return_inverse=True)
    return shapes, resources, shape.reshape(-1)


def _paths(profiles: Profiles, demand: Demand, table: Variants, speeds: Speeds) -> Paths | None:
    """Joint sample paths, where pools are sized on them."""
    needs = profiles.paths
    if needs is None:
        return None
    row = np.full(len(demand.workloads), -1)
    row[needs.workload] = np.arange(len(needs.workload))
    batch = np.array([workload.batch is not None for workload in demand.workloads])[demand.workload[table.stream]]
    speed = speeds.value[speeds.first[table.stream] + table.speed]
    loads = needs.loads if len(needs.workload) else np.zeros((0, needs.count, demand.replicas.shape[1]), np.int16)
    return Paths(needs.level, loads, row[demand.workload], demand.share, np.where(batch, 1.0, speed))


def _workloads(demand: Demand) -> Workloads:
    return Workloads(np.array([workload.weight for workload in demand.workloads], float),
                     np.array([workload.droppable for workload in demand.workloads]))


def _streams(demand: Demand, shape: Ints, slo: Floats, candidates: Candidates, table: Variants) -> Streams:
    every = np.arange(len(demand.workload) + 1)
    preemptible = np.array([workload.preemptible for workload in demand.workloads])
    return Streams(demand.workload, shape[demand.workload], preemptible[demand.workload], slo,
                   np.searchsorted(candidates.stream, every), np.searchsorted(table.stream, every))


def problem_objective(asked: StatedObjective) -> Objective:
    """The objective as the problem states it. Raises ValueError for `max_sla` without a budget."""
    if asked.mode == "max_sla":
        if asked.budget_usd is None:
            raise ValueError("objective.budget_usd is not given: max_sla needs it")
        return Objective("max_sla", budget_usd=asked.budget_usd)
    return Objective("min_cost", sla_floor=1.0 if asked.sla_floor is None else asked.sla_floor)


def _rejections(demand: Demand, legal: Legality, reach: Bools, up: Floats) -> Mapping[str, tuple[str, ...]]:
    """Reasons for every workload that has a stream without any option."""
    found: dict[str, tuple[str, ...]] = {}
    for s in np.flatnonzero(~reach.any(axis=1)).tolist():
        name = demand.workloads[demand.workload[s]].name
        found[name] = (*found.get(name, ()), *_stream_reasons(demand, legal, reach, up, s))
    return {name: tuple(dict.fromkeys(reasons)) for name, reasons in found.items()}


def _stream_reasons(demand: Demand, legal: Legality, reach: Bools, up: Floats, stream: int) -> tuple[str, ...]:
    """What the rules say about a stream, and where its availability SLO is out of reach, that."""
    region = demand.region[stream]
    whose = f"users in {demand.regions[region]}: " if region >= 0 else ""
    reasons = [whose + sentence for sentence in legal.reasons(stream)]
    if legal.pairs[stream].any() and not reach[stream].any():
        best = float(up[legal.pairs[stream]].max())
        slo = demand.workloads[demand.workload[stream]].slo.availability
        reasons.insert(0, f"{whose}no set of legal clusters gives slo.availability {slo!r}; the best has {best!r}")
    return tuple(reasons)
