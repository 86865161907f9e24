"""The true optimum of a tiny scenario: every assignment is tried, and for each the cheapest machines of every pool.

Two steps are skipped because they cannot help when no price is negative: a workload that misses a promise need not be
placed at all, and an assignment whose first units already cost more than the best plan known need not be completed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, pairwise, permutations, product
from math import inf
from typing import Any

from brute_shared import TooManyMixesError, cheapest_together, least_price, shares
from oracle import agree, as_items
from oracle_bill import Counts, Placed, bill, carbon_per_machine_slot, moves, offer_price
from oracle_losses import Moved, domain, homeless, losses, machines_after, placed_after, whynot
from oracle_packing import packs
from oracle_paths import Joint, held
from oracle_shared import commitment_bill
from oracle_world import Stream, Unit, World, at, ceil, copies_in

Row = dict[str, Any]
Choice = tuple[Unit, ...]  # all units of one workload; empty: it is not placed
Pool = tuple[str, str]


class TooManyError(Exception):
    """There are more assignments than anyone would try."""


@dataclass(frozen=True)
class Optimum:
    """The best plan's cost, attainment, and the plan itself in the plan format (None: there is none)."""

    cost_usd: float
    attainment: float
    plan: Row | None


def optimum(world: World, limit: int = 20_000) -> Optimum:
    """The best plan of all. Raises TooManyError when more than `limit` assignments would have to be looked at."""
    return Enumeration(world, limit).best()


class Enumeration:
    """Workload by workload, every choice, cutting branches that cannot win."""

    def __init__(self, world: World, limit: int) -> None:
        self.world, self.limit, self.looked = world, limit, 0
        self.goal = world.scenario["objective"]
        self.names = list(world.workloads)
        self.weights = [row.get("weight", 1) for row in world.workloads.values()]
        self.choices = [self._choices(name) for name in self.names]
        self.found: tuple[float, float, list[Choice]] | None = None  # (attained weight, cost, choices)
        self.machinery: tuple[Counts, list[Row]] = ({}, [])
        self.machines = cache(lambda pool, units: cheapest_machines(world, pool, dict(units)))
        self.after = cache(lambda pool, units, after: cheapest_after(
            world, pool, dict(units), [pool_loads_of(world, pool, dict(units) | dict(come)) for come in after]))
        self.bought: Row = {}

    def best(self) -> Optimum:
        """Run through everything."""
        self._extend([], 0.0)
        if self.found is None:
            return Optimum(inf, 0.0, None)
        attained, cost, chosen = self.found
        attainment = attained / sum(self.weights) if sum(self.weights) else 1.0
        return Optimum(cost, attainment, self._plan(chosen, cost, attainment))

    # ------------------------------------------------------------ what may be chosen

    def _choices(self, name: str) -> list[Choice]:
        per_stream = [self._copies(stream) for stream in self.world.streams_of(name)]
        if any(len(options) > self.limit for options in per_stream):
            raise TooManyError
        whole = []
        for parts in product(*per_stream):
            placed = {part[0].stream: list(part) for part in parts}
            if not self.world.broken_promises(name, placed):
                whole.append(tuple(unit for part in parts for unit in part))
        may_go = self.goal["mode"] == "max_sla" or self.world.workloads[name].get("droppable", False)
        return whole + [()] * may_go

    def _copies(self, stream: Stream) -> list[Choice]:
        spots = [(pool, start) for pool in self.world.pools if not self.world.whynot(stream, pool)
                 for start in self._starts(stream, pool)]
        sends = any(before["workload"] == stream.workload for row in self.world.workloads.values()
                    for before in row.get("after", []))
        options: list[Choice] = []
        for k in range(1, len({self.world.domain(pool) for pool in self.world.pools}) + 1):
            options += [tuple(Unit(stream, i, pool, start) for i, (pool, start) in enumerate(chosen))
                        for chosen in (permutations if sends else combinations)(spots, k)
                        if len({self.world.domain(pool) for pool, _ in chosen}) == k]
        return options + self._splits(stream, [pool for pool, _ in spots])

    def _splits(self, stream: Stream, pools: list[Pool]) -> list[Choice]:
        """A lone copy split over up to `max_parts` pools at any whole caps; neighbouring parts in one pool are one."""
        row, found = self.world.workloads[stream.workload], []
        peak = max(row["replicas"]) * stream.share
        for count in range(2, (1 if row.get("batch") else row.get("max_parts", 1)) + 1):
            for caps in product(range(1, ceil(peak)), repeat=count - 1):
                if sum(caps) < peak:
                    below = [sum(caps[:i]) for i in range(count)]
                    found += [tuple(Unit(stream, 0, pool, None, i, (*caps, None)[i], below[i])
                                    for i, pool in enumerate(chosen))
                              for chosen in product(pools, repeat=count)
                              if all(a != b for a, b in pairwise(chosen))]
        return found

    def _starts(self, stream: Stream, pool: Pool) -> list[int | None]:
        every: list[int | None] = [None, *range(self.world.slots)]
        return [start for start in every if not self.world.whynot_start(stream.workload, pool, start)]

    # ------------------------------------------------------------ search

    def _extend(self, chosen: list[Choice], attained: float) -> None:
        self.looked += 1
        if self.looked > self.limit:
            raise TooManyError
        cost = self._cost(chosen)
        if not self._may_win(cost, attained + sum(self.weights[len(chosen):])):
            return
        if len(chosen) == len(self.names):
            if self.world.most_moves is not None and moves(self.world, as_placed(chosen)) > self.world.most_moves:
                return
            placed, counts, rows = as_placed(chosen), self._counts(chosen), []
            if shares(self.world) and losses(self.world):
                raise TooManyError  # machines of all pools for every way to survive
            if shares(self.world):
                cost, counts, bought = self._together(chosen, cost)
            if losses(self.world):
                cost, counts, rows = self._survive(placed, cost, counts)
            if self._may_win(cost, attained):
                self.found, self.machinery = (attained, cost, list(chosen)), (counts, rows)
                self.bought = bought if shares(self.world) else {}
            return
        for choice in self.choices[len(chosen)]:
            self._extend([*chosen, choice], attained + (self.weights[len(chosen)] if choice else 0.0))

    def _may_win(self, cost: float, reach: float) -> bool:
        """Whether a plan of at least this cost and at most this attained weight would be legal and better."""
        if cost == inf:
            return False
        if self.goal["mode"] == "min_cost":
            enough = reach >= self.goal.get("sla_floor", 1.0) * sum(self.weights) - 1e-9
            return enough and (self.found is None or cost < self.found[1] - 1e-9)
        if cost > self.goal["budget_usd"] + 1e-9:
            return False
        if self.found is None or reach > self.found[0] + 1e-9:
            return True
        return reach > self.found[0] - 1e-9 and cost < self.found[1] - 1e-9

    def _counts(self, chosen: list[Choice]) -> Counts:
        placed, counts = as_placed(chosen), {}
        for pool in self.world.pools:
            counts |= self.machines(pool, units_in(placed, pool))[1]
        return counts

    def _survive(self, placed: Placed, cost: float, counts: Counts) -> tuple[float, Counts, list[Row]]:
        """The least cost, the machines and the fallbacks with which every loss is survived."""
        ways, best = list(product(*(all_maps(self.world, placed, *loss) for loss in losses(self.world)))), (inf, {}, [])
        self.looked += len(ways)
        for moved in ways:
            total, machines, names = cost, dict(counts), [name for _, name in losses(self.world)]
            for pool in {pool for one in moved for pool in one.values()}:
                units = units_in(placed, pool)
                after = frozenset(frozenset((replace(unit_of(placed, *key), pool=to), copies_in(placed[key[0]]))
                                            for key, to in one.items() if to == pool) for one in moved)
                usd, run = self.after(pool, units, after)
                total, machines = total + usd - self.machines(pool, units)[0], machines | run
            if total < best[0] - 1e-9:
                best = (total, machines, [fallback_row(name, key, to) for name, one in zip(names, moved, strict=True)
                                          for key, to in one.items()])
        return best

    def _cost(self, chosen: list[Choice]) -> float:
        placed = as_placed(chosen)
        total = sum(bill(self.world, placed, {})[part] for part in ("egress", "storage", "moves"))
        for pool in self.world.pools:
            total += self.machines(pool, units_in(placed, pool))[0]
        return total

    def _together(self, chosen: list[Choice], least: float) -> tuple[float, Counts, Row]:
        """The cost when limits are kept and commitments paid for, instead of the `least` that it may be."""
        placed, world = as_placed(chosen), self.world
        units = {pool: units_in(placed, pool) for pool in world.pools}
        loads = {pool: pool_loads_of(world, pool, dict(units[pool])) for pool in world.pools}
        levels = {pool: held_levels(world, pool) for pool in world.pools}
        try:
            usd, counts, bought = cheapest_together(world, levels, lambda pool, level, t: slot_mixes(
                world, pool, level, t, loads[pool][t]))
        except TooManyMixesError:
            raise TooManyError from None
        return least + usd - sum(self.machines(pool, units[pool])[0] for pool in world.pools), counts, bought

    def _plan(self, chosen: list[Choice], cost: float, attainment: float) -> Row:
        placed, (counts, rows) = as_placed(chosen), self.machinery
        costs = bill(self.world, placed, counts)
        extra, parts = commitment_bill(self.world, counts, self.bought)
        costs["machines"] += extra
        assert agree(sum(costs.values()), cost)
        held = [{"name": row["name"], "owned": row.get("owned", 0), "bought": self.bought[row["name"]],
                 "used_share": parts[row["name"]][1] / parts[row["name"]][0] if parts[row["name"]][0] else 0.0,
                 "cost_usd": parts[row["name"]][0]} for row in self.world.scenario.get("commitments") or []]
        plan = as_plan(self.world, placed, counts, costs, attainment)
        return plan | {"fallbacks": rows, "commitments": held}


def as_placed(chosen: list[Choice]) -> Placed:
    """Units by stream."""
    placed: Placed = {}
    for choice in chosen:
        for unit in choice:
            placed.setdefault(unit.stream, []).append(unit)
    return placed


def unit_of(placed: Placed, stream: Stream, number: tuple[int, int]) -> Unit:
    """The unit with this copy and part."""
    return next(unit for unit in placed[stream] if unit.number == number)


def units_in(placed: Placed, pool: Pool) -> tuple[tuple[Unit, int], ...]:
    """The units in a pool, each with the number of copies its stream has."""
    return tuple((unit, copies_in(units)) for units in placed.values() for unit in units if unit.pool == pool)


# ---------------------------------------------------------------- machines of one pool


def cheapest_machines(world: World, pool: Pool, units: dict[Unit, int]) -> tuple[float, Counts]:
    """The least cost of machines (carbon included) that hold these units, and the counts; infinite when none do.

    Where pools share commitments it is what they cost at least; limits that pools share are left out.
    """
    offers = {offer["purchase"]: offer for offer in world.pools[pool]["offers"]}
    loads = pool_loads_of(world, pool, units)
    best: tuple[float, Counts] = (inf, {})
    for level in held_levels(world, pool):
        paid = sum(offer_price(world, offers[p], t) * max(n, at(offers[p].get("owned", 0), t))
                   for p, n in level.items() for t in range(world.slots))
        slots = [one_slot(world, pool, offers, level, t, load) for t, load in enumerate(loads)]
        cost = paid + sum(slot[0] for slot in slots)
        if cost < best[0]:
            best = (cost, {(pool, p): [slot[1].get(p, 0) for slot in slots] for p in offers})
    return best


def all_maps(world: World, placed: Placed, level: str, name: str) -> list[Moved]:
    """Every way to give each unit that needs one a fallback when `name` is lost."""
    lost = homeless(world, placed, level, name)
    options = [[pool for pool in world.pools if domain(world, pool[0], level) != name
                and not whynot(world, unit, pool)] for unit in lost]
    found = []
    for chosen in product(*options):
        moved = {(unit.stream, unit.number): pool for unit, pool in zip(lost, chosen, strict=True)}
        after = placed_after(world, placed, level, name, moved)
        if not any(world.crowded(after[stream]) for stream, _ in moved):
            found.append(moved)
    return found


def fallback_row(name: str, key: tuple[Stream, tuple[int, int]], pool: Pool) -> Row:
    """A row of a plan's fallbacks."""
    return {"lost": name, "workload": key[0].workload, "user_region": key[0].region, "copy": key[1][0],
            "part": key[1][1], "cluster": pool[0], "pool": pool[1]}


def cheapest_after(world: World, pool: Pool, units: dict[Unit, int], after: list[list[tuple]]) -> tuple[float, Counts]:
    """The least cost of machines that hold these units and, after some loss, each of the loads `after` by slot.

    A level above what is owned is only held if so many run in some slot: which one is tried out.
    """
    offers = {offer["purchase"]: offer for offer in world.pools[pool]["offers"]}
    loads, room = pool_loads_of(world, pool, units), world.room(pool)
    held = [purchase for purchase in ("owned", "committed") if purchase in offers]
    best: tuple[float, Counts] = (inf, {})
    highest = {p: max(most(world, pool, offers[p], t) for t in range(world.slots)) for p in held}
    for levels in product(*(range(highest[p] + 1) for p in held)):
        level = dict(zip(held, levels, strict=True))
        paid = sum(offer_price(world, offers[p], t) * max(n, at(offers[p].get("owned", 0), t))
                   for p, n in level.items() for t in range(world.slots))
        if paid >= best[0]:
            continue
        full = {(pool, p): [n] * world.slots for p, n in level.items()}

        def holds(t: int, run: dict[str, int], full: Counts = full) -> bool:
            firm, spot = machines_after(world, pool, full | {(pool, "spot"): [run.get("spot", 0)] * world.slots}, t)
            return all(packs(load[t], room, firm, spot) for load in after)

        raised = [p for p, n in level.items() if n > min(at(offers[p].get("owned", 0), t) for t in range(world.slots))]
        for where in product(range(world.slots), repeat=len(raised)):
            shown = [{p: level[p] for p, slot in zip(raised, where, strict=True) if slot == t}
                     for t in range(world.slots)]
            slots = [one_slot(world, pool, offers, level, t, load, lambda run, t=t: holds(t, run), shown[t])
                     for t, load in enumerate(loads)]
            cost = paid + sum(slot[0] for slot in slots)
            if cost < best[0]:
                best = (cost, {(pool, p): [slot[1].get(p, 0) for slot in slots] for p in offers})
    return best


def held_levels(world: World, pool: Pool) -> list[dict[str, int]]:
    """Every number of machines that may be held of each offer paid in every slot."""
    offers = {offer["purchase"]: offer for offer in world.pools[pool]["offers"]}
    held = [purchase for purchase in ("owned", "committed") if purchase in offers]
    highest = {p: max(most(world, pool, offers[p], t) for t in range(world.slots)) for p in held}
    return [dict(zip(held, levels, strict=True)) for levels in product(*(range(highest[p] + 1) for p in held))]


def pool_loads_of(world: World, pool: Pool, units: dict[Unit, int]) -> list[tuple]:
    """Items to pack in each slot; on joint paths ("paths", how many must be held, the items on each)."""
    if world.scenario.get("sizing", "each") == "pooled":
        joint = Joint(world, 0)
        return [("paths", joint.needed, tuple(items)) for items in joint.items(units)]
    slots: list[dict[Unit, int]] = [{} for _ in range(world.slots)]
    for unit, copies in units.items():
        for t, replicas in enumerate(world.need(unit, copies)):
            if replicas:
                slots[t][unit] = replicas
    found = []
    for slot in slots:
        total: dict[str, int] = {}
        for unit, replicas in world.beside(pool, slot, lambda unit: unit.stream.workload).items():
            total[unit.stream.workload] = total.get(unit.stream.workload, 0) + replicas
        found.append(as_items(world, total))
    return found


def most(world: World, pool: Pool, offer: Row, t: int) -> int:
    """The most machines of an offer in slot t."""
    return int(min(at(world.pools[pool]["max"], t), at(offer.get("max", world.pools[pool]["max"]), t)))


def one_slot(world: World, pool: Pool, offers: dict[str, Row], levels: dict[str, int], t: int,
             items: tuple, also: Callable[[dict[str, int]], bool] = lambda _: True,
             least: dict[str, int] | None = None) -> tuple[float, dict[str, int]]:
    """Cheapest counts in one slot when `levels` of held machines are paid already; at least `least` of some run.

    `also` is asked of the counts beside.
    """
    carbon = carbon_per_machine_slot(world, pool, t)
    best: tuple[float, dict[str, int]] = (inf, {})
    for run in allowed_counts(world, pool, offers, levels, t, least):
        cost = carbon * sum(run.values()) + sum(n * least_price(world, pool, offers[p], t) for p, n in run.items()
                                                if p not in levels)
        if cost < best[0] and holds(world, pool, run, items) and also(run):
            best = (cost, run)
    return best


def holds(world: World, pool: Pool, run: dict[str, int], items: tuple) -> bool:
    """Whether the machines that run hold the items."""
    spot = run.get("spot", 0)
    firm = sum(run.values()) - spot
    if items and items[0] == "paths":
        return sum(held(list(items[2]), world.room(pool), firm, spot)) >= items[1]
    return packs(items, world.room(pool), firm, spot) is True


def slot_mixes(world: World, pool: Pool, levels: dict[str, int], t: int, items: tuple) -> list[dict[str, int]]:
    """Counts by purchase that hold the items in slot t, of which none can do with less."""
    offers = {offer["purchase"]: offer for offer in world.pools[pool]["offers"]}
    found: list[dict[str, int]] = []
    for run in allowed_counts(world, pool, offers, levels, t):  # smaller counts come first
        if not any(all(known[p] <= run[p] for p in run) for known in found) and holds(world, pool, run, items):
            found.append(run)
    return found


def allowed_counts(world: World, pool: Pool, offers: dict[str, Row], levels: dict[str, int],
                   t: int, least: dict[str, int] | None = None) -> Iterator[dict[str, int]]:
    """Counts by purchase within the limits of the pool and its offers in slot t, at least `least` of some."""
    come, row = world.day[t] >= world.pools[pool].get("lead_time_days", 0) - 1e-9, world.pools[pool]
    can = {p: most(world, pool, offer, t) if come or p == "owned"
           else int(min(most(world, pool, offer, t), at(offer.get("owned", 0), t))) for p, offer in offers.items()}
    can |= {p: min(can[p], level) for p, level in levels.items()}
    for counts in product(*(range((least or {}).get(p, 0), n + 1) for p, n in can.items())):
        if at(row.get("min", 0), t) <= sum(counts) <= at(row["max"], t):
            yield dict(zip(can, counts, strict=True))


# ---------------------------------------------------------------- as a plan


def as_plan(world: World, placed: Placed, counts: Counts, costs: dict[str, float], attainment: float) -> Row:
    """The choices in the plan format, called optimal, with its own value as the bound."""
    goal, cost = world.scenario["objective"], sum(costs.values())
    missing = sorted({stream.workload for stream in world.streams.values() if stream not in placed})
    return {
        "schema": 1, "status": "optimal", "mode": goal["mode"], "cost_usd": cost, "costs": costs,
        "sla_attainment": attainment, "bound": cost if goal["mode"] == "min_cost" else attainment, "gap": 0.0,
        "assignments": [{"workload": unit.stream.workload, "user_region": unit.stream.region, "copy": unit.copy,
                         "part": unit.part, "cap": unit.cap, "cluster": unit.pool[0], "pool": unit.pool[1],
                         "start_slot": unit.start}
                        for units in placed.values() for unit in units],
        "machines": [{"cluster": pool[0], "pool": pool[1], "purchase": purchase, "count": count}
                     for (pool, purchase), count in counts.items()],
        "groups": [], "unplaced": [{"workload": name, "reasons": []} for name in missing],
    }


