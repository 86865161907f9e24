"""Do the waves of a plan lead from the plan in force to it, with room for everything on the way?

Read from the format description: applying is not atomic. While a wave is on its way its units take room both where they
were and where they are going; all else stays. A stream moves with all its copies; work that runs before and after a
wave runs in between, unless the wave says that it stops. What machines may be rented meanwhile is what offers, pools
and limits over several pools allow; where an hourly budget is shared, only what must be paid at least is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from itertools import product
from typing import Any

from oracle import as_items
from oracle_bill import PAID_ALWAYS, offer_price
from oracle_packing import packs
from oracle_shared import matches
from oracle_world import Unit, World, at

Row = dict[str, Any]
Key = tuple[str, str | None]
Pool = tuple[str, str]
Spot = tuple[Pool, int | None]
State = dict[Key, tuple[frozenset[Spot], int]]
"""By stream, where its units are and how many copies it was made of."""


def state_of(plan: Row) -> State:
    """Where a plan has its units."""
    found: dict[Key, list[Spot]] = {}
    for row in plan["assignments"]:
        spot = (row["cluster"], row["pool"]), row.get("start_slot")
        found.setdefault((row["workload"], row.get("user_region")), []).append(spot)
    return {key: (frozenset(spots), len(spots)) for key, spots in found.items()}


def left_standing(world: World, state: State, down: Collection[str]) -> tuple[State, dict[Key, frozenset[Spot]]]:
    """What of a state is still there, and the places that are gone: in clusters that are down, or no longer legal."""
    stays, gone = {}, {}
    for key, (spots, copies) in state.items():
        legal = frozenset(spot for spot in spots if key in world.streams and spot[0][0] not in down
                          and not _illegal(world, key, spot))
        gone[key] = spots - legal
        if legal:
            stays[key] = legal, copies
    return stays, {key: spots for key, spots in gone.items() if spots}


def _illegal(world: World, key: Key, spot: Spot) -> bool:
    pool, start = spot
    return pool not in world.pools or bool(
        world.whynot(world.streams[key], pool) or world.whynot_start(key[0], pool, start))


def check_waves(world: World, force: State, plan: Row) -> Iterator[str]:
    """What is wrong with the waves from a state in force to a plan that replaces it."""
    state, gone = left_standing(world, force, (plan.get("provenance") or {}).get("down") or ())
    end = state_of(plan)
    for number, wave in enumerate(plan["waves"], 1):
        who = f"wave {wave['wave']}"
        if wave["wave"] != number:
            yield f"{who}: is number {number}"
        after = dict(state)
        yield from (f"{who}: {text}" for text in _apply(world, wave, state, after, gone))
        stops = bool(wave.get("stops"))
        for key in sorted(set(state) & set(end), key=str):
            if key not in after and not stops:
                yield f"{who}: {key[0]} runs before and after, and not in between"
        yield from (f"{who}: {text}" for text in _crowded(world, state, {} if stops else after, after))
        state = after
    if {key: spots for key, (spots, _) in state.items()} != {key: spots for key, (spots, _) in end.items()}:
        yield "the waves do not end where the plan has its units"


def _apply(world: World, wave: Row, state: State, after: State, gone: dict[Key, frozenset[Spot]]) -> Iterator[str]:
    """Make the moves of a wave in `after`."""
    spots = {key: set(found) for key, (found, _) in state.items()}
    touched = set()
    for move in wave["moves"]:
        key = move["workload"], move.get("user_region")
        touched.add(key)
        if (left := _spot(move.get("from"))) is not None:
            if left in gone.get(key, ()):
                gone[key] -= {left}
            elif left in spots.get(key, ()):
                spots[key].discard(left)
            else:
                yield f"{key[0]} is not at {'/'.join(left[0])}"
    for move in wave["moves"]:
        key = move["workload"], move.get("user_region")
        if (to := _spot(move.get("to"))) is not None:
            if key not in world.streams or _illegal(world, key, to):
                yield f"{key[0]} may not be at {'/'.join(to[0])}"
                continue
            spots.setdefault(key, set()).add(to)
    for key in touched:
        after.pop(key, None)
        if spots.get(key):
            after[key] = frozenset(spots[key]), len(spots[key])


def _spot(place: Row | None) -> Spot | None:
    return None if place is None else ((place["cluster"], place["pool"]), place.get("start_slot"))


# ---------------------------------------------------------------- room


def _crowded(world: World, before: State, after: State, now: State) -> Iterator[str]:
    """Pools and limits that cannot hold what was there before a wave, where it stays, and what comes with it.

    `after` is empty where the wave stops what moves: then only what is left of it, `now`, takes room.
    """
    loads: dict[Pool, list[Counter[str]]] = {}
    states = (now,) if not after else (before, after)
    for key in {key for state in states for key in state}:
        units: dict[Spot, list[int]] = {}
        for state in states:
            spots, copies = state.get(key, (frozenset(), 0))
            for spot in spots:
                unit = Unit(world.streams[key], 0, spot[0], spot[1])
                units[spot] = [max(pair) for pair in zip(units.get(spot, [0] * world.slots),
                                                         world.need(unit, copies), strict=True)]
        for (pool, _), needs in units.items():
            slots = loads.setdefault(pool, [Counter() for _ in range(world.slots)])
            for t, replicas in enumerate(needs):
                slots[t][key[0]] += replicas
    for t in range(world.slots):
        ways = {pool: list(_ways(world, pool, load[t], t)) for pool, load in loads.items() if any(load[t].values())}
        yield from (f"{'/'.join(pool)} has no room in slot {t}" for pool, found in ways.items() if not found)
        if all(ways.values()) and not _within_limits(world, ways, t):
            yield f"limits over several pools leave no room in slot {t}"


def _ways(world: World, pool: Pool, load: Counter[str], t: int) -> Iterator[tuple[int, int]]:
    """Numbers of machines, not spot and spot, within offers and the pool that hold a load; none that holds with fewer.
    """
    items, room, most = as_items(world, load), world.room(pool), int(at(world.pools[pool]["max"], t))
    offered = _offered(world, pool, t)
    most_spot = offered.get("spot", 0)
    most_firm = sum(n for purchase, n in offered.items() if purchase != "spot")
    for firm in range(min(most, most_firm) + 1):
        for spot in range(min(most - firm, most_spot) + 1):
            if packs(items, room, firm, spot) is not False:
                yield firm, spot
                break


def _offered(world: World, pool: Pool, t: int) -> dict[str, int]:
    """Machines of each purchase that may run in slot t."""
    row, found = world.pools[pool], {}
    for offer in row["offers"]:
        waits = row.get("lead_time_days", 0) if offer["purchase"] != "owned" else 0
        most, owned = at(offer.get("max", row["max"]), t), at(offer.get("owned", 0), t)
        found[offer["purchase"]] = int(most if world.day[t] >= waits - 1e-9 else min(most, owned))
    return found


def _within_limits(world: World, ways: dict[Pool, list[tuple[int, int]]], t: int) -> bool:
    """Whether some choice of machines keeps to every limit over several pools in slot t."""
    limits = world.scenario.get("limits") or []
    if not limits:
        return True
    return any(all(sum(_least(world, limit, pool, *way, t) for pool, way in zip(ways, chosen, strict=True))
                   <= at(limit["max"], t) * (1 + 1e-6) + 1e-6 for limit in limits)
               for chosen in product(*ways.values()))


def _least(world: World, limit: Row, pool: Pool, firm: int, spot: int, t: int) -> float:
    """What so many machines of a pool count for a limit at least."""
    if not matches(pool, limit["pools"]):
        return 0.0
    row = world.pools[pool]
    machine = row["machine"]
    if limit["measure"] != "usd_per_hour":
        each = {"machines": 1, "vcpu": machine["vcpu"], "gpu": machine.get("gpu_count", 0),
                "kw": machine.get("watts", 0) * world.clusters[pool[0]].get("pue", 1.0) / 1000}[limit["measure"]]
        return float(each * (firm + spot))
    offered, usd = _offered(world, pool, t), {o["purchase"]: offer_price(world, o, t) for o in row["offers"]}
    owned = {o["purchase"]: int(at(o.get("owned", 0), t)) for o in row["offers"] if o["purchase"] in PAID_ALWAYS}
    paid = sum(n * usd[purchase] for purchase, n in owned.items()) + spot * usd.get("spot", 0.0)
    more = sorted(price for purchase, price in usd.items() if purchase != "spot"
                  for _ in range(offered[purchase] - min(offered[purchase], owned.get(purchase, 0))))
    paid += sum(more[:max(0, firm - sum(owned.values()))])
    return paid / (world.slot_hours * world.weight[t])
