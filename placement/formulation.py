"""The placement problem as one mixed-integer program, for any solver that takes arrays.

Columns: x[option] places a copy; here[s, k, d] says that stream s keeps one of its k copies in domain d; some[s, k]
that it has k copies; attained[w]; first[s, d] that copy 0 of a sender is in d; sent[f, d, e] that flow f goes from d to
e; run[o, t] machines of an offer; held[o] machines paid in every slot; held[k] units of a commitment and pays[k, o, t]
machines that it pays for (`shared_rows`); and for packing uses[p, t, j] of pattern j, or replicas[p, c, t] of class c.

Rows:
    copies: sum_k some[s, k] = attained[w(s)];  sum_d here[s, k, d] = k some[s, k];  here[s, k, d] <= some[s, k]
    places: sum of x over the options of (s, k) in d = here[s, k, d]
    availability: of no k domains kept together is more than one down too often (`too_weak`, `bad_sets`)
    flows: sum_d sent[f, d, e] >= here[r, e] + attained[s] - 1;  sent[f, d, e] <= first[s, d] <= here[s, d]
    machines: sum_o run[o, t] <= max[p, t];  run[o, t] <= held[o] where the offer is paid in every slot
    packing, exact: sum_j pattern[j, c] uses[p, t, j] >= replicas of c;  sum_j uses <= sum_o run
    moves: sum_s places[s] attained[w(s)] - sum of x at places in force <= most moves
    shared limits: sum_p amount[p] sum_o run[o, t] <= max[t], or of prices x paid machines
    commitments: sum_o units[o] pays[k, o, t] <= held[k];  sum_k pays[k, o, t] <= run[o, t]
    packing, relaxed: sum_c weight[c] replicas[p, c, t] <= sum_o run, for weights of which no machine holds more than 1

A pool whose maximal patterns are few is packed exactly, else it is relaxed: the optimum is then a bound, and units are
completed by exact packing. Work that is not preemptible has packing rows of its own, on the machines that are not spot.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import Literal

import numpy as np

from placement.domains import SLO_TOLERANCE, cluster_of, failure_domains, lone_copy, share_parts, together
from placement.formulation_losses import Ways, add_losses, fallbacks_of, ways_back
from placement.mip import Draft, Model
from placement.moves import add_moves
from placement.options import Options
from placement.packing_rows import PoolWork, maximal_patterns, packing_weights, pool_work
from placement.problem import Bools, Domains, Floats, Ints, Problem, Purchase
from placement.result import Solution, Units
from placement.shared import best_bought, overlapping, shared_usd
from placement.shared_rows import Paid, add_commitments, add_limits, add_paid

MAX_USES = 30_000
"""Most pattern columns (patterns x slots, over all pools); pools beyond it are relaxed."""
MAX_SETS = 20_000
"""Most sets of domains that are looked at for a stream where domains share parts."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What to minimise: cost, or the weight not attained; the least weight attained; the most USD spent.

    `room` < 1 keeps that share of every pool's machines only: units found so are likelier to be packed.
    """

    minimise: Literal["cost", "unattained"]
    least_weight: float = 0.0
    budget_usd: float = float("inf")
    room: float = 1.0


@dataclass(frozen=True, slots=True)
class Formulation:
    """A model and where its decisions are: `x` [N], `attained` [W], `run` [O, T] (-1: never any).

    `held` [K] are the units of commitments. `exact` says that the model is the problem; otherwise its packing or the
    order of its commitments is relaxed, or survival left out. `back` [Y] are the columns of `ways` to survive losses.
    """

    problem: Problem
    options: Options
    model: Model
    exact: bool
    x: Ints
    attained: Ints
    run: Ints
    held: Ints
    ways: Ways | None = None
    back: Ints | None = None

    def units(self, values: Floats) -> Units:
        """The copies a solution of the model places, copy 0 of a sender where its flows are cheapest."""
        chosen = np.flatnonzero(values[self.x] > 0.5)
        o = self.options
        chosen = chosen[np.lexsort((o.candidate[chosen], o.stream[chosen]))]
        chosen = _senders_first(self.problem, o, chosen)
        stream = o.stream[chosen]
        copy = np.arange(len(stream)) - np.searchsorted(stream, stream)
        return Units(stream, copy, o.candidate[chosen], o.variant[chosen], o.start[chosen])

    def solution(self, values: Floats) -> Solution | None:
        """The plan a solution of an exact model is; None where it is none after rounding (a solver's tolerance)."""
        rounded = np.where(self.model.whole, np.round(values), values)
        if not self.exact or self.model.broken(rounded):
            return None
        machines = np.where(self.run >= 0, rounded[np.maximum(self.run, 0)], 0) if self.run.size else self.run
        counts = np.asarray(machines, np.int32)
        bought = best_bought(self.problem, counts) if len(self.held) else np.zeros(0)
        units, fallbacks = self.units(rounded), None
        if self.ways is not None and self.back is not None:
            chosen = np.flatnonzero(rounded[self.back] > 0.5)
            fallbacks = fallbacks_of(self.problem, self.options, self.ways, chosen, units)
        return Solution(units, counts, fallbacks, bought)

    def start(self, solution: Solution) -> tuple[Ints, Floats]:
        """Columns and values of x, attained and run that a known plan fixes: a start for a solver."""
        o, u = self.options, solution.units
        key = dict(zip(zip(o.candidate.tolist(), o.variant.tolist(), o.start.tolist(), strict=True), self.x.tolist(),
                       strict=True))
        x = np.zeros(len(self.x))
        chosen = [key[unit] for unit in zip(u.candidate.tolist(), u.variant.tolist(), u.start.tolist(), strict=True)]
        x[np.array(chosen, np.int64) - (self.x[0] if len(self.x) else 0)] = 1.0
        placed = np.ones(len(self.attained))
        placed[self.problem.streams.workload[np.setdiff1d(np.arange(len(self.problem.streams.workload)), u.stream)]] = 0
        there = self.run >= 0
        return (np.concatenate([self.x, self.attained, self.run[there]]),
                np.concatenate([x, placed, solution.machines[there].astype(np.float64)]))


def formulate(problem: Problem, options: Options, goal: Goal) -> Formulation:
    """Write the model for a goal."""
    draft = Draft()
    x = draft.add_columns(len(options.stream), cost=options.cost_usd, whole=True)
    attained = _attained(problem, draft, goal)
    places = _copies(problem, options, draft, x, attained)
    _availability(problem, draft, places)
    _flows(problem, draft, places, attained)
    add_moves(problem, options, draft, x, attained)
    run, paid = np.full(problem.offers.price_usd.shape, -1, np.int64), Paid.none(problem)
    ways = ways_back(problem, options) if problem.survival is not None else None
    exact, uses = not overlapping(problem) and (problem.survival is None or ways is not None), 0
    for pool in range(len(problem.pools.cluster)):
        work = pool_work(problem, options, pool)
        active = work.active()
        busy: Bools = np.asarray(active.any(axis=0))
        if ways is not None and (ways.pool == pool).any():
            busy[:] = True
        _machines(problem, draft, pool, busy, goal.room, run, paid)
        patterns = maximal_patterns(work)
        if patterns is not None and uses + patterns.shape[0] * int(active.any(axis=0).sum()) <= MAX_USES:
            uses += patterns.shape[0] * int(active.any(axis=0).sum())
            _exact_packing(problem, draft, work, patterns, run)
        else:
            exact = False
            _relaxed_packing(problem, draft, work, packing_weights(work), run)
    back = add_losses(problem, options, draft, ways, run, paid.held) if ways is not None else None
    exact = exact and (problem.survival is None or back is not None)
    add_limits(problem, draft, run, paid, goal.room)
    held = add_commitments(problem, draft, run)
    usd = draft.costs()
    if np.isfinite(goal.budget_usd):
        priced = np.flatnonzero(usd)
        draft.put(draft.add_rows(1, upper=goal.budget_usd), priced, usd[priced])
    cost = usd
    if goal.minimise == "unattained":
        cost = np.zeros(len(usd))
        cost[attained] = -problem.workloads.weight
    return Formulation(problem, options, draft.model(cost), exact, x, attained, run, held, ways, back)


def _attained(problem: Problem, draft: Draft, goal: Goal) -> Ints:
    """attained[w]; in `min_cost` what is not droppable is attained."""
    w = problem.workloads
    must = ~w.droppable if problem.objective.mode == "min_cost" else np.zeros(len(w.droppable), bool)
    attained = draft.add_columns(len(w.weight), lower=must.astype(float), whole=True)
    draft.put(draft.add_rows(1, lower=goal.least_weight), attained, w.weight)
    return attained


@dataclass(frozen=True, slots=True)
class _Places:
    """The columns here[s, k, d]: stream, copies, domain and position of each."""

    stream: Ints
    copies: Ints
    domain: Ints
    column: Ints

    def of(self, stream: int) -> Iterator[tuple[int, Ints]]:
        """(domain, columns of all k) for a stream."""
        mine = self.stream == stream
        for domain in np.unique(self.domain[mine]):
            yield int(domain), self.column[mine & (self.domain == domain)]


def _copies(problem: Problem, options: Options, draft: Draft, x: Ints, attained: Ints) -> _Places:
    domains, most = len(failure_domains(problem).path), int(options.copies.max(initial=1)) + 1
    place, at = np.unique((options.stream * most + options.copies) * domains + options.domain, return_inverse=True)
    group, of_place = np.unique(place // domains, return_inverse=True)
    some = draft.add_columns(len(group), whole=True)
    here = draft.add_columns(len(place))
    streams = draft.add_rows(len(problem.streams.workload), 0.0, 0.0)
    draft.put(streams, attained[problem.streams.workload], -1.0)
    draft.put(streams[group // most], some, 1.0)
    counts = draft.add_rows(len(group), 0.0, 0.0)
    draft.put(counts[of_place], here, 1.0)
    draft.put(counts, some, -(group % most))
    sums = draft.add_rows(len(place), 0.0, 0.0)
    draft.put(sums[at], x, 1.0)
    draft.put(sums, here, -1.0)
    several = np.flatnonzero(group[of_place] % most > 1)
    distinct = draft.add_rows(len(several), upper=0.0)
    draft.put(distinct, here[several], 1.0)
    draft.put(distinct, some[of_place[several]], -1.0)
    return _Places(group[of_place] // most, group[of_place] % most, place % domains, here)


def _availability(problem: Problem, draft: Draft, places: _Places) -> None:
    slo, domains = problem.streams.availability, failure_domains(problem)
    alone, lone = not share_parts(domains), lone_copy(domains)
    bound = (places.copies > 1) & (slo[places.stream] > 0)
    key = np.stack([places.stream[bound], places.copies[bound]], axis=1)
    for stream, copies in np.unique(key, axis=0):
        mine = np.flatnonzero((places.stream == stream) & (places.copies == copies))
        there, k, asked = places.domain[mine], int(copies), float(slo[stream])
        weak_sets = too_weak(tuple(lone[there].tolist()), k, asked) if alone else bad_sets(domains, there, k, asked)
        for weak in weak_sets:
            draft.put(draft.add_rows(1, upper=copies - 1.0), places.column[mine[list(weak)]], 1.0)


def up_enough(up: tuple[float, ...], slo: float) -> bool:
    """Whether at most one of these is down with chance `slo`, each being up with its own chance independently."""
    none, one = 1.0, 0.0
    for chance in up:
        none, one = none * chance, one * chance + none * (1 - chance)
    return none + one >= slo - SLO_TOLERANCE


@lru_cache(maxsize=4096)
def too_weak(up: tuple[float, ...], copies: int, slo: float) -> tuple[tuple[int, ...], ...]:
    """Sets of clusters of which fewer than `copies` may be kept, such that exactly the legal choices are left.

    A choice is bad by its members' chances only, and the worse a member the worse the choice. So for any `copies` - 1
    clusters, all that are no better than the worst of them and bad with them form one set: any `copies` of it are bad.
    """
    order = sorted(range(len(up)), key=lambda i: (-up[i], i))
    sets = []
    for base in itertools.combinations(range(len(order)), copies - 1):
        bad = [j for j in range(base[-1] + 1, len(order))
               if not up_enough(tuple(up[order[i]] for i in (*base, j)), slo)]
        if bad:
            sets.append(tuple(order[i] for i in (*base, *bad)))
    return tuple(sets)


def bad_sets(domains: Domains, there: Ints, copies: int, slo: float) -> tuple[tuple[int, ...], ...]:
    """Sets of `copies` of the domains `there` [n] (by position) in which more than one is down too often."""
    sets = np.array(list(itertools.combinations(range(len(there)), copies)), np.int64).reshape(-1, copies)
    weak = together(domains.path, domains.up, there[sets]) < slo - SLO_TOLERANCE
    return tuple(map(tuple, sets[weak].tolist()))


def too_many_sets(problem: Problem) -> str | None:
    """Why the availability of copies in domains that share parts cannot be written out; None where it can."""
    domains = failure_domains(problem)
    if not share_parts(domains):
        return None
    c, v, asked = problem.candidates, problem.variants, problem.streams.availability > 0
    pairs = np.unique(np.stack([c.stream, domains.pool[c.pool]], axis=1), axis=0)
    legal = np.bincount(pairs[:, 0], minlength=len(asked))[v.stream]
    most = max((comb(int(n), int(k)) for n, k, on in zip(legal, v.copies, asked[v.stream], strict=True)
                if on and k > 1), default=0)
    if most <= MAX_SETS:
        return None
    return f"a stream has {most} sets of failure domains to choose from, more than the {MAX_SETS} it can write out"


def _flows(problem: Problem, draft: Draft, places: _Places, attained: Ints) -> None:
    flows, workload, cluster = problem.flows, problem.streams.workload, cluster_of(problem)
    first = {int(s): _first(draft, places, int(s), int(attained[workload[s]])) for s in np.unique(flows.sender)}
    for sender, receiver, gb in zip(flows.sender.tolist(), flows.receiver.tolist(), flows.gb.tolist(), strict=True):
        for target, here in places.of(receiver):
            row = draft.add_rows(1, lower=-1.0)
            draft.put(row, here, -1.0)
            draft.put(row, int(attained[workload[sender]]), -1.0)
            for source, column in first[sender].items():
                usd = gb * float(problem.clusters.egress_usd_per_gb[cluster[source], cluster[target]])
                draft.put(row, _sent(draft, column, usd) if usd > 0 else column, 1.0)


def _first(draft: Draft, places: _Places, stream: int, attained: int) -> dict[int, int]:
    """first[s, d] by domain: shares that sum to 1, which an optimum never splits without need."""
    here = dict(places.of(stream))
    first = draft.add_columns(len(here))
    draft.put(draft.add_rows(1, 0.0, 0.0), np.append(first, attained), np.append(np.ones(len(here)), -1.0))
    for column, columns in zip(first, here.values(), strict=True):
        row = draft.add_rows(1, upper=0.0)
        draft.put(row, column, 1.0)
        draft.put(row, columns, -1.0)
    return dict(zip(here, first.tolist(), strict=True))


def _sent(draft: Draft, first: int, usd: float) -> int:
    sent = int(draft.add_columns(1, cost=usd)[0])
    draft.put(draft.add_rows(1, upper=0.0), [sent, first], [1.0, -1.0])
    return sent


def _machines(problem: Problem, draft: Draft, pool: int, busy: Bools, room: float, run: Ints, paid: Paid) -> None:
    """run[o, t] where the pool may be `busy` [T], held[o] and the pool's max; fills `run` [O, T] and `paid`."""
    offers = problem.offers
    mine = np.flatnonzero(offers.pool == pool)
    least = problem.pools.min_machines[pool]
    slots = np.flatnonzero(busy | (least > 0))
    most = np.maximum(np.floor(problem.pools.max_machines[pool] * room), least)
    for offer in mine:
        fixed = offers.purchase[offer] <= Purchase.COMMITTED
        upper = np.minimum(offers.max_machines[offer], most)[slots]
        usd = problem.pools.run_usd[pool, slots] + (0.0 if fixed else offers.price_usd[offer, slots])
        run[offer, slots] = draft.add_columns(len(slots), upper, cost=usd, whole=True)
        if fixed:
            add_paid(problem, draft, int(offer), run[offer, slots], float(upper.max(initial=0)), paid)
    if len(mine) > 1 or least.any():
        draft.put(draft.add_rows(len(slots), lower=least[slots], upper=most[slots]), run[mine][:, slots], 1.0)


def _exact_packing(problem: Problem, draft: Draft, work: PoolWork, patterns: Ints, run: Ints) -> None:
    active = work.active()
    slots = np.flatnonzero(active.any(axis=0))
    most = problem.pools.max_machines[work.pool, slots].astype(np.float64)
    uses = draft.add_columns(len(patterns) * len(slots), np.tile(most, len(patterns)), whole=True)
    uses = uses.reshape(len(patterns), len(slots))
    firm = (patterns[:, work.firm] > 0).any(axis=1)
    for among, offers in _machine_kinds(problem, work):
        rows = draft.add_rows(len(slots), upper=0.0)
        draft.put(rows, uses if among is None else uses[firm], 1.0)
        draft.put(rows, run[offers][:, slots], -1.0)
    cover = np.zeros(active.shape, np.int64)
    cover[active] = draft.add_rows(int(active.sum()), lower=0.0)
    j, c = np.nonzero(patterns)
    at, t = np.nonzero(active[c][:, slots])
    draft.put(cover[c[at], slots[t]], uses[j[at], t], patterns[j[at], c[at]])
    _put_needs(draft, work, cover)


def _relaxed_packing(problem: Problem, draft: Draft, work: PoolWork, weights: Floats, run: Ints) -> None:
    active = work.active()
    slots = np.flatnonzero(active.any(axis=0))
    cover, replicas = np.zeros(active.shape, np.int64), np.zeros(active.shape, np.int64)
    cover[active] = draft.add_rows(int(active.sum()), lower=0.0)
    replicas[active] = draft.add_columns(int(active.sum()), work.most[np.nonzero(active)[0]])
    draft.put(cover[active], replicas[active], 1.0)
    _put_needs(draft, work, cover)
    for among, offers in _machine_kinds(problem, work):
        counted = weights if among is None else weights * among
        for weight in counted[counted.any(axis=1)]:
            rows = np.zeros(active.shape[1], np.int64)
            rows[slots] = draft.add_rows(len(slots), upper=0.0)
            draft.put(rows[slots], run[offers][:, slots], -1.0)
            c, t = np.nonzero(active & (weight > 0)[:, None])
            draft.put(rows[t], replicas[c, t], weight[c])


def _machine_kinds(problem: Problem, work: PoolWork) -> Iterator[tuple[Bools | None, Ints]]:
    """(classes counted, offers that may hold them): all on all machines, firm ones on machines that are not spot."""
    mine = np.flatnonzero(problem.offers.pool == work.pool)
    yield None, mine
    if work.firm.any():
        yield work.firm, mine[problem.offers.purchase[mine] != Purchase.SPOT]


def _put_needs(draft: Draft, work: PoolWork, cover: Ints) -> None:
    at, t = np.nonzero(work.needs)
    draft.put(cover[work.of_class[at], t], work.option[at], -work.needs[at, t].astype(np.float64))


def _senders_first(problem: Problem, options: Options, chosen: Ints) -> Ints:
    """Reorder so that the first copy of each sender is the one its flows leave from at the least cost."""
    flows, egress = problem.flows, problem.clusters.egress_usd_per_gb
    stream, cluster = options.stream[chosen], problem.pools.cluster[options.pool[chosen]]
    ordered = chosen.copy()
    for sender in np.unique(flows.sender):
        mine = np.flatnonzero(stream == sender)
        if len(mine) < 2:
            continue
        usd = np.zeros(len(mine))
        for flow in np.flatnonzero(flows.sender == sender):
            targets = cluster[stream == flows.receiver[flow]]
            usd += flows.gb[flow] * egress[np.ix_(cluster[mine], targets)].sum(axis=1)
        best = int(usd.argmin())
        ordered[mine] = np.concatenate([chosen[mine[best:best + 1]], np.delete(chosen[mine], best)])
    return ordered


def cost_usd(problem: Problem, solution: Solution) -> float:
    """What a plan costs by the problem's tables: for comparing plans while solving; `verify` computes its own."""
    u, o = solution.units, problem.offers
    c, copies = problem.candidates, problem.variants.copies[u.variant]
    usd = float((c.cost_usd[u.candidate] + c.user_usd[u.candidate] / copies).sum())
    cluster = problem.pools.cluster[c.pool[u.candidate]]
    usd += _flows_usd(problem, u, cluster)
    fixed = (o.purchase <= Purchase.COMMITTED)[:, None]
    held = np.maximum(o.owned, solution.machines.max(axis=1, initial=0)[:, None])
    paid = np.where(fixed, held, solution.machines)
    usd += shared_usd(problem, solution)
    return usd + float((paid * o.price_usd).sum() + (solution.machines * problem.pools.run_usd[o.pool]).sum())


def _flows_usd(problem: Problem, units: Units, cluster: Ints) -> float:
    """Egress from every sender's copy 0 to all copies of its receivers; `cluster` [U] is that of each unit."""
    flows, edges = problem.flows, np.arange(len(problem.streams.shape) + 1)
    first = np.searchsorted(units.stream, edges)
    copies, sends = np.diff(first), first[:-1][flows.sender]
    on = (copies[flows.sender] > 0) & (copies[flows.receiver] > 0)
    many = copies[flows.receiver[on]]
    flow = np.repeat(np.flatnonzero(on), many)
    target = np.arange(len(flow)) - np.repeat(np.cumsum(many) - many, many) + first[flows.receiver[flow]]
    price = problem.clusters.egress_usd_per_gb[cluster[sends[flow]], cluster[target]]
    return float((flows.gb[flow] * price).sum())
