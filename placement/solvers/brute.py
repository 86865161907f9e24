"""Trying everything: the cheapest plan of a tiny problem by plain enumeration, to hold the real solvers against.

Shares no code with the formulation, the packing or the purchase of the others, and no cleverness either: every choice
of places for every stream, machines filled one replica at a time, every number of machines held.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import ceil

import numpy as np

from placement.parts import cut, cuts_in
from placement.problem import Floats, Problem, Purchase
from placement.result import Fallbacks, Result, Settings, Solution, Units, Watch
from placement.shared import has_shared
from placement.solvers import brute_shared
from placement.solvers.brute_losses import Demand, Fallback, Items, OnPaths, Surviving, maps

MOST_PLANS = 300_000
"""Largest number of plans that are tried."""

Choice = tuple[tuple[int, int, int], ...]
"""A stream's copies in order, each (candidate, variant, start); empty when it is not placed."""


def supports(problem: Problem) -> str | None:
    """Problems with few plans."""
    if (why := brute_shared.supports(problem)) is not None:
        return why
    total = 0
    for made in _cut_in_every_way(problem):
        plans = 1
        for stream in range(len(made.streams.workload)):
            plans *= 1 + sum(1 for _ in itertools.islice(_choices(made, stream), MOST_PLANS))
            if total + plans > MOST_PLANS:
                return f"more than {MOST_PLANS} plans to try"
        total += plans
    return None


def _cut_in_every_way(problem: Problem) -> Iterator[Problem]:
    """The problem itself, and cut at every choice of caps for every choice of streams that may be split."""
    if problem.parts is None:
        yield problem
        return
    peaks = problem.parts.load.max(axis=1, initial=0.0).tolist()
    ways = [[caps for count in range(most) for caps in itertools.product(range(1, ceil(peak)), repeat=count)
             if not caps or sum(caps) < peak] for most, peak in zip(problem.parts.most, peaks, strict=True)]
    for chosen in itertools.product(*ways):
        rows = [(s, cap) for s, caps in zip(problem.parts.stream, chosen, strict=True) for cap in caps]
        yield cut(problem, np.array(rows, np.int64).reshape(-1, 2)).problem


def solve(problem: Problem, settings: Settings, watch: Watch) -> Result:  # noqa: ARG001 (there is nothing to set)
    """Try every plan; stops unfinished when the watch says so, and then proves nothing."""
    best, best_rank, finished = None, (float("inf"), float("inf")), True
    for made in _cut_in_every_way(problem):
        found, rank, all_tried = _try_all(made, watch, best_rank)
        best, best_rank = (found, rank) if found is not None else (best, best_rank)
        finished = finished and all_tried
    trivial = 0.0 if problem.objective.mode == "min_cost" else 1.0
    if best is None:
        return (Result("infeasible", None, trivial, "every plan was tried") if finished
                else Result("unknown", None, trivial, "stopped before every plan was tried"))
    value = best_rank[1] if problem.objective.mode == "min_cost" else -best_rank[0]
    if not finished:
        return Result("feasible", best, trivial, "stopped before every plan was tried")
    return Result("optimal", best, value, "every plan was tried")


def _try_all(problem: Problem, watch: Watch, best_rank: tuple[float, float],
             ) -> tuple[Solution | None, tuple[float, float], bool]:
    """(best plan, its rank, whether all were tried); the rank is (-attainment in `max_sla`, cost).

    None where no plan ranks before `best_rank`.
    """
    shops = [_Shop(problem, pool) for pool in range(len(problem.pools.cluster))]
    cheap, together = shops, None
    if has_shared(problem):
        at_least = brute_shared.least_prices(problem)
        cheap, together = [_Shop(at_least, pool) for pool in range(len(shops))], brute_shared.Together(problem, shops)
    idle = sum(shop.buy(((),) * problem.slots)[0] for shop in cheap)
    streams = [[*_choices(problem, stream), ()] for stream in range(len(problem.streams.workload))]
    best = None
    for count, plan in enumerate(itertools.product(*streams)):
        if count % 1000 == 0 and watch.stopped():
            return best, best_rank, False
        if (share := _attained(problem, plan)) is None or _moves_too_much(problem, plan):
            continue
        if not _parts_up(problem, plan):
            continue
        usd = _place_usd(problem, plan)
        least = usd + idle  # machines that are paid whether they run or not
        first = 0.0 if problem.objective.mode == "min_cost" else -share
        limit = problem.objective.budget_usd + 1e-9 if problem.objective.mode == "max_sla" else float("inf")
        if (first, least) >= best_rank or least > limit:
            continue
        demands = [_demand(problem, plan, pool) for pool in range(len(shops))]
        bought, units = [shop.buy(demand) for demand, shop in zip(demands, cheap, strict=True)], np.zeros(0)
        machines, fallbacks = [counts for _, counts in bought], None
        place_usd, usd = usd, usd + sum(price for price, _ in bought)
        if together is not None and (first, usd) < best_rank:
            paid, machines, units = together.buy(demands)
            usd = place_usd + paid
        if problem.survival is not None and (first, usd) < best_rank and usd <= limit:
            more, machines, fallbacks = _survive(problem, plan, shops, [price for price, _ in bought])
            usd = place_usd + more
        if (first, usd) < best_rank and usd <= limit and usd < float("inf"):
            best, best_rank = _solution(problem, plan, machines, fallbacks, units), (first, usd)
            cheapest = problem.objective.mode == "min_cost"
            watch.report("brute", best, usd if cheapest else share, 0.0 if cheapest else 1.0)
    return best, best_rank, True


def _survive(problem: Problem, plan: tuple[Choice, ...], shops: list[_Shop],
             least: list[float]) -> tuple[float, list[list[tuple[int, ...]]], tuple[Fallback, ...]]:
    """(USD, machines slot by slot of each pool, fallbacks) of the cheapest way to survive every loss.

    `least` is what each pool costs without.
    """
    assert problem.survival is not None
    best: tuple[float, list[list[tuple[int, ...]]], tuple[Fallback, ...]] = (float("inf"), [], ())
    ways = [{_signature(problem, found): found for found in maps(problem, plan, loss)}.values()
            for loss in range(len(problem.survival.kind))]
    for chosen in itertools.product(*ways):
        rows = tuple(row for found in chosen for row in found)
        usd, machines = sum(least), []
        for pool, shop in enumerate(shops):
            usd -= least[pool]
            after = {_demand(problem, plan, pool, found) for found in chosen
                     if any(problem.candidates.pool[row[3][0]] == pool for row in found)}
            price, counts = shop.buy_surviving(_demand(problem, plan, pool), tuple(sorted(after)))
            usd += price
            machines.append(counts)
            if usd >= best[0]:
                break
        else:
            best = (usd, machines, rows)
    return best


def _signature(problem: Problem, found: tuple[Fallback, ...]) -> tuple[tuple[int, ...], ...]:
    """What a map comes to for the pools: maps that swap equal work between them are one."""
    streams = problem.streams
    return tuple(sorted((int(problem.candidates.pool[unit[0]]), int(streams.shape[s]), int(streams.preemptible[s]),
                         unit[1], unit[2]) for _, s, _, unit in found))


def _choices(problem: Problem, stream: int) -> Iterator[Choice]:
    """Every legal way to place a stream: any number of copies, any places, any copy as copy 0 where it counts."""
    variants, streams = problem.variants, problem.streams
    mine = range(int(streams.variant_first[stream]), int(streams.variant_first[stream + 1]))
    sends = stream in problem.flows.sender
    for copies in sorted({int(variants.copies[v]) for v in mine}):
        units = [unit for v in mine if variants.copies[v] == copies for unit in _units(problem, stream, v)]
        for chosen in itertools.combinations(units, copies):
            if _legal(problem, stream, chosen):
                for first in chosen if sends else chosen[:1]:
                    yield (first, *(unit for unit in chosen if unit is not first))


def _units(problem: Problem, stream: int, variant: int) -> Iterator[tuple[int, int, int]]:
    first, end = problem.streams.candidate_first[stream:stream + 2]
    variants = problem.variants
    batch = variants.row[variant] < 0
    starts = range(int(variants.earliest[variant]), int(variants.latest[variant]) + 1) if batch else range(1)
    for candidate in range(int(first), int(end)):
        if problem.candidates.speed[candidate] == variants.speed[variant]:
            yield from ((candidate, variant, start) for start in starts)


def _legal(problem: Problem, stream: int, chosen: Choice) -> bool:
    """Copies lie in distinct failure domains, and at most one is down often enough."""
    if len(chosen) == 1:
        return bool(problem.candidates.single[chosen[0][0]])
    domains, needs, up = _leans_on(problem, chosen)
    if len(set(domains)) < len(domains):
        return False
    return _up_often(needs, up) >= float(problem.streams.availability[stream]) - 1e-12


def _leans_on(problem: Problem, chosen: Choice) -> tuple[list[int], list[set[int]], Floats]:
    """The failure domain of each unit, what must be up for it to be up, and the chances of that."""
    pools = [int(problem.candidates.pool[unit[0]]) for unit in chosen]
    if problem.domains is None:
        domains = problem.pools.cluster[pools].tolist()
        return domains, [{domain} for domain in domains], problem.clusters.availability
    domains = problem.domains.pool[pools].tolist()
    needs = [{part for part in problem.domains.path[domain].tolist() if part >= 0} for domain in domains]
    return domains, needs, problem.domains.up


def _all_up(problem: Problem, chosen: Choice) -> float:
    """Chance that all of these units are up at once."""
    _, needs, up = _leans_on(problem, chosen)
    return float(np.prod([up[part] for part in set().union(*needs)]))


def _up_often(needs: list[set[int]], up: Floats) -> float:
    """Chance that at most one copy is down, each up when all parts it needs are, over all states of these parts."""
    parts, enough = sorted(set().union(*needs)), 0.0
    for states in itertools.product((True, False), repeat=len(parts)):
        broken = {part for part, is_up in zip(parts, states, strict=True) if not is_up}
        if sum(bool(mine & broken) for mine in needs) <= 1:
            enough += float(np.prod([1 - up[part] if part in broken else up[part] for part in parts]))
    return enough


def _attained(problem: Problem, plan: tuple[Choice, ...]) -> float | None:
    """The share of weight whose streams are all placed; None where the plan drops what it must not."""
    weight = problem.workloads.weight
    lost = sorted({int(problem.streams.workload[s]) for s, choice in enumerate(plan) if not choice})
    lost_weight = float(sum(weight[w] for w in lost))
    if problem.objective.mode == "min_cost" and (
            lost_weight > problem.slack or not all(problem.workloads.droppable[w] for w in lost)):
        return None
    return 1 - lost_weight / float(weight.sum()) if weight.sum() > 0 else 1.0


def _moves_too_much(problem: Problem, plan: tuple[Choice, ...]) -> bool:
    """Whether the plan leaves more places of the plan in force than it may."""
    force = problem.incumbent
    if force is None or force.most_moves is None:
        return False
    left = 0
    for s, choice in enumerate(plan):
        mine = np.flatnonzero(force.stream == s)
        if choice and len(mine) and len(mine) == problem.variants.copies[force.variant[mine[0]]]:
            left += len({*force.candidate[mine].tolist()} - {unit[0] for unit in choice})
    return left > force.most_moves


def _parts_up(problem: Problem, plan: tuple[Choice, ...]) -> bool:
    """Whether copies that are split are up often enough: while all of their parts are. Those left out are not asked."""
    if problem.layers is None:
        return True
    for group in set(problem.layers.group[problem.layers.part > 0].tolist()):
        own = [s for s in range(len(plan)) if problem.layers.group[s] == group]
        chosen = tuple(plan[s][0] for s in own if plan[s])
        if chosen and not _all_up(problem, chosen) >= float(problem.streams.availability[own[0]]) - 1e-12:
            return False
    return True


def _place_usd(problem: Problem, plan: tuple[Choice, ...]) -> float:
    """What the copies and the flows between them cost."""
    cluster = [[int(problem.pools.cluster[problem.candidates.pool[unit[0]]]) for unit in choice] for choice in plan]
    usd = sum(problem.candidates.cost_usd[unit[0]] + problem.candidates.user_usd[unit[0]] / len(choice)
              for choice in plan for unit in choice)
    for sender, receiver, gb in zip(problem.flows.sender, problem.flows.receiver, problem.flows.gb, strict=True):
        for source, target in itertools.product(cluster[sender][:1], cluster[receiver]):
            usd += gb * problem.clusters.egress_usd_per_gb[source, target]
    return float(usd)


Rooms = tuple[tuple[float, ...], ...]
"""What is left of each resource on each machine."""


def _demand(problem: Problem, plan: tuple[Choice, ...], pool: int,
            fallbacks: tuple[Fallback, ...] = ()) -> tuple[Demand, ...]:
    """What a pool is asked for, slot by slot: its replicas, on every sample path where it is sized on those."""
    if problem.paths is None:
        return _items(problem, plan, pool, fallbacks)
    on_each = [_items(problem, plan, pool, path=i) for i in range(problem.paths.loads.shape[1])]
    return tuple(OnPaths(slot, problem.paths.needed) for slot in zip(*on_each, strict=True))


def _items(problem: Problem, plan: tuple[Choice, ...], pool: int, fallbacks: tuple[Fallback, ...] = (),
           path: int = -1) -> tuple[Items, ...]:
    """The replicas in a pool, slot by slot, with those that fall back to it."""
    slots: list[list[tuple[int, bool]]] = [[] for _ in range(problem.slots)]
    slower = _slower(problem, plan, pool)
    come = [(s, (unit,)) for _, s, _, unit in fallbacks]
    for stream, choice in itertools.chain(enumerate(plan), come):
        item = (int(problem.streams.shape[stream]), not problem.streams.preemptible[stream])
        for candidate, variant, start in choice:
            if problem.candidates.pool[candidate] == pool:
                for slot, count in _replicas(problem, variant, start, path):
                    factor = slower.get((int(problem.streams.workload[stream]), slot), 1.0)
                    slots[slot].extend([item] * ceil(count / factor - 1e-9))
    return tuple(tuple(sorted(items)) for items in slots)


def _slower(problem: Problem, plan: tuple[Choice, ...], pool: int) -> dict[tuple[int, int], float]:
    """What is left of a workload's throughput in a pool, by (workload, slot), beside its worst partner there."""
    table, left = problem.interference, dict[tuple[int, int], float]()
    if table is None:
        return left
    there = {(int(problem.streams.workload[stream]), slot) for stream, choice in enumerate(plan)
             for candidate, variant, start in choice if problem.candidates.pool[candidate] == pool
             for slot, count in _replicas(problem, variant, start, -1) if count}
    for slowed, by, factor, pools in zip(table.slowed, table.by, table.factor, table.pools, strict=True):
        for slot in range(problem.slots):
            if pools[pool] and {(slowed, slot), (by, slot)} <= there:
                left[int(slowed), slot] = min(float(factor), left.get((int(slowed), slot), 1.0))
    return left


def _replicas(problem: Problem, variant: int, start: int, path: int) -> Iterator[tuple[int, int]]:
    """(slot, replicas) of a copy, on a sample path if there are any."""
    v, row = problem.variants, _on_path(problem, variant, path)
    if v.row[variant] >= 0:
        yield from enumerate(v.rows[v.row[variant]].tolist() if row is None else row)
        return
    level = int(v.level[variant]) if row is None else max(row)
    for run in range(int(v.runs[variant])):
        for slot in range(int(v.length[variant])):
            yield start + run * int(v.period[variant]) + slot, level


def _on_path(problem: Problem, variant: int, path: int) -> list[int] | None:
    """Replicas in every slot that a copy asks for on a path; None where its stream has no paths."""
    paths, v = problem.paths, problem.variants
    stream = int(v.stream[variant])
    if paths is None or paths.load[stream] < 0:
        return None
    each = float(paths.portion[stream]), max(1, int(v.copies[variant]) - 1), float(paths.throughput[variant])
    loads = paths.loads[paths.load[stream], path].tolist()
    return [math.ceil(load * each[0] / each[1] / each[2] - 1e-9) for load in loads]


class _Shop:
    """The cheapest machines of one pool for given replicas, remembered."""

    def __init__(self, problem: Problem, pool: int) -> None:
        o, mine = problem.offers, np.flatnonzero(problem.offers.pool == pool)
        self.size: list[list[float]] = problem.shapes.tolist()
        self.room = tuple((problem.pools.room[pool] + 1e-6).tolist())
        self.most: list[int] = problem.pools.max_machines[pool].tolist()
        self.spot = [kind == Purchase.SPOT for kind in o.purchase[mine].tolist()]
        self.fixed = [kind <= Purchase.COMMITTED for kind in o.purchase[mine].tolist()]
        run = problem.pools.run_usd[pool]
        self.run_usd: list[list[float]] = [(run if fixed else run + price).tolist()
                                           for fixed, price in zip(self.fixed, o.price_usd[mine], strict=True)]
        self.owned: list[list[int]] = o.owned[mine].tolist()
        self.price: list[list[float]] = o.price_usd[mine].tolist()
        self.least: list[int] = problem.pools.min_machines[pool].tolist()
        self.max: list[list[int]] = o.max_machines[mine].tolist()
        self.buy = lru_cache(maxsize=None)(self._buy)
        if problem.survival is not None:
            surviving = Surviving(problem, pool, mine.tolist(), lru_cache(maxsize=None)(self._fits))
            self.surviving = lru_cache(maxsize=None)(surviving.buy)
        self.run = lru_cache(maxsize=None)(self._run)
        self.firm_needed = lru_cache(maxsize=None)(self._firm_needed)

    def buy_surviving(self, demand: tuple[Demand, ...],
                      after: tuple[tuple[Demand, ...], ...]) -> tuple[float, list[tuple[int, ...]]]:
        """The same with room for each of `after` after its loss."""
        if not after:
            return self.buy(demand)
        usd, counts = self.surviving(demand, after)
        return usd, [tuple(row) for row in counts]

    def _buy(self, demand: tuple[Demand, ...]) -> tuple[float, list[tuple[int, ...]]]:
        """(USD, machines of each offer slot by slot): the cheapest over all numbers of machines held."""
        levels: list[Sequence[int | None]] = [
            range(min(owned), max(min(owned), *most) + 1) if fixed else [None]
            for fixed, owned, most in zip(self.fixed, self.owned, self.max, strict=True)]
        best: tuple[float, list[tuple[int, ...]]] = (float("inf"), [(0,) * len(self.spot)] * len(demand))
        for held in itertools.product(*levels):
            usd = sum(each * max(own, n) for n, price, owned in zip(held, self.price, self.owned, strict=True)
                      if n is not None for each, own in zip(price, owned, strict=True))
            useful = [max(len(items), least) for items, least in zip(demand, self.least, strict=True)]
            caps = [tuple(min(most[slot], useful[slot], useful[slot] if n is None else n)
                          for most, n in zip(self.max, held, strict=True)) for slot in range(len(demand))]
            run = [self.run(slot, items, caps[slot]) for slot, items in enumerate(demand)]
            usd += sum(price for price, _ in run)
            if usd < best[0]:
                best = (usd, [machines for _, machines in run])
        return best

    def _run(self, slot: int, items: Demand, caps: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        """(USD, machines of each offer) in one slot, at most `caps` of each."""
        best: tuple[float, tuple[int, ...]] = (float("inf"), ())
        price = [usd[slot] for usd in self.run_usd]
        for counts in itertools.product(*(range(cap + 1) for cap in caps)):
            usd = sum(n * each for n, each in zip(counts, price, strict=True))
            if usd >= best[0] or not self.least[slot] <= sum(counts) <= self.most[slot]:
                continue
            spot = sum(n for n, is_spot in zip(counts, self.spot, strict=True) if is_spot)
            if self.firm_needed(items, spot) <= sum(counts) - spot:
                best = (usd, counts)
        return best

    def _firm_needed(self, items: Demand, spot: int) -> int:
        """The fewest machines that are not spot, beside so many spot machines, that hold these replicas."""
        if isinstance(items, OnPaths):
            return sorted(self.firm_needed(one, spot) for one in items.paths)[items.needed - 1]
        return next(firm for firm in range(len(items) + 1) if self._fits(items, firm, spot))

    def _fits(self, items: Items, firm: int, spot: int) -> bool:
        """Put the replicas into machines one by one, in every way; a state that failed is not tried again."""
        failed: set[tuple[int, Rooms, Rooms]] = set()

        def put(at: int, firm_left: Rooms, spot_left: Rooms) -> bool:
            if at == len(items):
                return True
            if (at, firm_left, spot_left) in failed:
                return False
            shape, is_firm = items[at]
            done = any(put(at + 1, left, spot_left) for left in self._with(shape, firm_left)) or (
                not is_firm and any(put(at + 1, firm_left, left) for left in self._with(shape, spot_left)))
            if not done:
                failed.add((at, firm_left, spot_left))
            return done

        return put(0, (self.room,) * firm, (self.room,) * spot)

    def _with(self, shape: int, rooms: Rooms) -> Iterator[Rooms]:
        """The rooms left on machines after one of them took a replica, machines in order of their room."""
        for room in sorted(set(rooms)):
            left = tuple(have - take for have, take in zip(room, self.size[shape], strict=True))
            if min(left) >= 0:
                rest = list(rooms)
                rest.remove(room)
                yield tuple(sorted([*rest, left]))


def _solution(problem: Problem, plan: tuple[Choice, ...], bought: list[list[tuple[int, ...]]],
              fallbacks: tuple[Fallback, ...] | None, bought_units: Floats) -> Solution:
    rows = [(s, copy, *unit) for s, choice in enumerate(plan) for copy, unit in enumerate(choice)]
    table = np.array(rows, np.int64).reshape(-1, 5).T
    machines = np.zeros((len(problem.offers.pool), problem.slots), np.int32)
    for pool, slots in enumerate(bought):
        machines[problem.offers.pool == pool] = np.array(slots, np.int32).reshape(problem.slots, -1).T
    units, cuts = Units(*(column.copy() for column in table)), cuts_in(problem)
    if fallbacks is None:
        return Solution(units, machines, bought=bought_units, cuts=cuts)
    row = {(s, copy): u for u, (s, copy) in enumerate(zip(units.stream.tolist(), units.copy.tolist(), strict=True))}
    given = sorted((loss, row[s, copy], unit[0]) for loss, s, copy, unit in fallbacks)
    return Solution(units, machines, Fallbacks(*np.array(given, np.int64).reshape(-1, 3).T.copy()), bought_units,
                    cuts)
