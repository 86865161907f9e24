"""What happens when a cluster, region or provider is lost: who must go elsewhere, where they may, is there room.

Read from the format description: single losses of the level that a workload survives; a stream that keeps all of its
copies but one needs nothing; else every lost unit has one fallback outside the loss, in another failure domain than any
other copy, legal like the unit itself, from the same start slot, and everything in a pool that takes fallbacks fits
onto what is there then.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from oracle_bill import Counts, Placed
from oracle_packing import packs
from oracle_world import Stream, Unit, World, at, copies_in

Row = dict[str, Any]
Pool = tuple[str, str]
Finding = tuple[str, str]
Moved = dict[tuple[Stream, tuple[int, int]], Pool]  # fallbacks after one loss by stream and (copy, part)


def level_of(world: World, workload: str) -> str:
    """The losses a workload survives: its own word, else the scenario's for all that are important enough."""
    row = world.workloads[workload]
    if row.get("survive") is not None:
        return str(row["survive"])
    important = row.get("priority", 50) >= world.scenario.get("survive_priority", 50)
    return str(world.scenario.get("survive", "none")) if important else "none"


def domain(world: World, cluster: str, level: str) -> str:
    """What is lost with a cluster at this level."""
    return {"cluster": cluster, "region": world.place(cluster), "provider": world.clusters[cluster]["provider"]}[level]


def losses(world: World) -> list[tuple[str, str]]:
    """(level, name) of every single loss that some workload survives."""
    levels = {level_of(world, name) for name in world.workloads} - {"none"}
    return sorted({(level, domain(world, cluster, level)) for level in levels for cluster in world.clusters})


def homeless(world: World, placed: Placed, level: str, name: str) -> list[Unit]:
    """Units that need a fallback when `name` is lost."""
    found = []
    for stream, units in placed.items():
        gone = [unit for unit in units if level_of(world, stream.workload) == level
                and domain(world, unit.pool[0], level) == name]
        if copies_in(units) == 1 or copies_in(gone) > 1:
            found += gone
    return found


def whynot(world: World, unit: Unit, pool: Pool) -> list[str]:
    """Why a pool is no fallback for a unit, by the rules that hold for the unit itself."""
    name = unit.stream.workload
    workload, cluster = world.workloads[name], world.clusters[pool[0]]
    slo = workload.get("slo") or {}
    reasons = world.whynot(unit.stream, pool) + world.whynot_start(name, pool, unit.start)
    if slo.get("deploy_minutes") is not None and not (cluster.get("deploy_minutes") or 1e9) <= slo["deploy_minutes"]:
        reasons.append("deploy: takes too long")
    if slo.get("durability") is not None and not cluster.get("durability", 0) >= slo["durability"]:
        reasons.append("durability: too low")
    may_miss = workload.get("droppable", False) or world.scenario["objective"]["mode"] == "max_sla"
    must_by = None if may_miss or unit.start is None else slo.get("deadline_slot")
    if must_by is not None and unit.start + world.batch_window(name, pool)[0] - 1 > must_by:
        reasons.append("deadline: too late")
    return reasons


def number_of(row: Row) -> tuple[int, int]:
    """Copy and part that a row of a plan names."""
    return row.get("copy", 0), row.get("part", 0)


def moved_by_loss(world: World, rows: list[Row]) -> dict[str, Moved]:
    """Fallbacks by what is lost, those that name what is there."""
    given: dict[str, Moved] = defaultdict(dict)
    for row in rows:
        stream = world.streams.get((row["workload"], row.get("user_region")))
        if stream is not None and (row["cluster"], row["pool"]) in world.pools:
            given[row["lost"]][stream, number_of(row)] = (row["cluster"], row["pool"])
    return given


def check_losses(world: World, rows: list[Row], placed: Placed, counts: Counts,
                 shown: dict[tuple[str, Pool, int], bool] | None = None) -> Iterator[Finding]:
    """What is wrong with a plan's fallbacks; `shown` are (lost, pool, slot) whose packing the plan's table proves."""
    units = {(unit.stream, unit.number): unit for copies in placed.values() for unit in copies}
    given: dict[str, Moved] = defaultdict(dict)
    for row in rows:
        stream = world.streams.get((row["workload"], row.get("user_region")))
        key = (stream, number_of(row))
        if stream is None or key not in units or (row["cluster"], row["pool"]) not in world.pools:
            yield "fallback", f"names nothing that is there: {row}"
        elif key in given[row["lost"]]:
            yield "fallback", f"two fallbacks for one unit: {row}"
        else:
            given[row["lost"]][stream, number_of(row)] = (row["cluster"], row["pool"])
    for lost in sorted(set(given) - {name for _, name in losses(world)}):
        yield "fallback", f"nobody asks to survive the loss of {lost}"
    for level, name in losses(world):
        yield from _one_loss(world, placed, counts, level, name, given.get(name, {}), shown or {})


def _one_loss(world: World, placed: Placed, counts: Counts, level: str, name: str, moved: Moved,
              shown: dict[tuple[str, Pool, int], bool]) -> Iterator[Finding]:
    for unit in homeless(world, placed, level, name):
        if (unit.stream, unit.number) not in moved:
            yield "fallback", f"{unit.stream.workload} copy {unit.copy} has none when {name} is lost"
    after = placed_after(world, placed, level, name, moved)
    for stream, units in placed.items():
        stay = [unit for unit in units if domain(world, unit.pool[0], level) != name]
        go = [unit for unit in units if (stream, unit.number) in moved]
        for unit in go:
            pool = moved[stream, unit.number]
            if unit in stay:
                yield "fallback", f"{stream.workload} copy {unit.copy} is not lost with {name}"
            if domain(world, pool[0], level) == name:
                yield "fallback", f"{stream.workload} falls back into {name}, which is lost"
            for reason in whynot(world, unit, pool):
                yield "fallback", f"{stream.workload} may not fall back to {'/'.join(pool)}: {reason}"
        if go and world.crowded(after[stream]):
            yield "fallback", f"{stream.workload} has two copies in one failure domain when {name} is lost"
    for pool in sorted(set(moved.values())):
        if not fits_after(world, pool, loads_after(world, pool, placed, after), counts, name, shown):
            yield "fallback room", f"{'/'.join(pool)} has no room when {name} is lost"


def placed_after(world: World, placed: Placed, level: str, name: str, moved: Moved) -> Placed:
    """Units after a loss: those that stay, and those with a fallback there."""
    return {stream: [unit for unit in units if domain(world, unit.pool[0], level) != name]
            + [replace(unit, pool=moved[stream, unit.number]) for unit in units
               if (stream, unit.number) in moved] for stream, units in placed.items()}


def loads_after(world: World, pool: Pool, placed: Placed, after: Placed) -> list[Counter]:
    """Replicas by workload in one pool and each slot; every unit is sized for as many copies as its stream has."""
    slots: list[Counter] = [Counter() for _ in range(world.slots)]
    for stream, units in after.items():
        for unit in units:
            if unit.pool == pool:
                for t, replicas in enumerate(world.need(unit, copies_in(placed[stream]))):
                    if replicas:
                        slots[t][stream.workload] += replicas
    return slots


def fits_after(world: World, pool: Pool, loads: list[Counter], counts: Counts, name: str = "",
               shown: dict[tuple[str, Pool, int], bool] | None = None) -> bool:
    """Whether the pool's machines after a loss hold these replicas in every slot."""
    for t, load in enumerate(loads):
        firm, spot = machines_after(world, pool, counts, t)
        proven = (shown or {}).get((name, pool, t), False)
        if not proven and packs(_items(world, load), world.room(pool), firm, spot) is not True:
            return False
    return True


def machines_after(world: World, pool: Pool, counts: Counts, t: int) -> tuple[int, int]:
    """(machines not spot, spot machines), together within the pool's max."""
    there, most = purchases_after(world, pool, counts, t), int(at(world.pools[pool]["max"], t))
    firm = min(sum(n for purchase, n in there.items() if purchase != "spot"), most)
    return firm, min(there.get("spot", 0), most - firm)


def purchases_after(world: World, pool: Pool, counts: Counts, t: int) -> dict[str, int]:
    """Machines by purchase after a loss: held ones, what is sure to come on demand, spot that runs."""
    row, there = world.pools[pool], {}
    come = world.day[t] >= row.get("lead_time_days", 0) - 1e-9
    for offer in row["offers"]:
        most = int(min(at(row["max"], t), at(offer.get("max", row["max"]), t)))
        owned = int(at(offer.get("owned", 0), t))
        count = counts.get((pool, offer["purchase"]), [0] * world.slots)
        early = most if come or offer["purchase"] == "owned" else min(most, owned)
        sure = {"on_demand": offer.get("assured_max", most), "spot": count[t]}
        there[offer["purchase"]] = min(early, sure.get(offer["purchase"], max(owned, *count)))
    return there


def _items(world: World, load: Counter) -> tuple:
    items: Counter = Counter()
    for workload, replicas in load.items():
        items[world.request(workload), bool(world.workloads[workload].get("preemptible", False))] += replicas
    return tuple(sorted((request, preemptible, count) for (request, preemptible), count in items.items()))
