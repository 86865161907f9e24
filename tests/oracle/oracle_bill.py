"""What a plan costs, part by part, in USD over the horizon."""

from __future__ import annotations

from typing import Any

from oracle_world import Stream, Unit, World, at, copies_in

Row = dict[str, Any]
Placed = dict[Stream, list[Unit]]
Counts = dict[tuple[tuple[str, str], str], list[int]]  # ((cluster, pool), purchase) -> machines that run in each slot
PAID_ALWAYS = ("owned", "committed")


def bill(world: World, placed: Placed, counts: Counts) -> dict[str, float]:
    """Cost by part."""
    units = [unit for copies in placed.values() for unit in copies]
    return {
        "machines": sum(offer_cost(world, pool, offer, counts.get((pool, offer["purchase"]), [0] * world.slots))
                        for pool, row in world.pools.items() for offer in row["offers"]),
        "egress": sum(egress(world, unit, placed) for unit in units),
        "storage": sum(storage(world, unit) for unit in units),
        "moves": sum(move(world, unit) for unit in units),
        "carbon": sum(carbon_per_machine_slot(world, pool, t) * n for (pool, _), count in counts.items()
                      for t, n in enumerate(count)),
    }


def offer_cost(world: World, pool: tuple[str, str], offer: Row, count: list[int]) -> float:
    """Owned and committed: the larger of what is owned and the peak, in every slot. Others: the slots they run."""
    paid = count
    if offer["purchase"] in PAID_ALWAYS:
        paid = [max(at(offer.get("owned", 0), t), *count, 0) for t in range(world.slots)]
    return float(sum(offer_price(world, offer, t) * n for t, n in enumerate(paid)))


def offer_price(world: World, offer: Row, t: int) -> float:
    """USD for one machine in slot t, as often as the slot counts, with the work that interruptions repeat."""
    redo = offer.get("interruption_per_hour", 0) * offer.get("redo_hours", 0) if offer["purchase"] == "spot" else 0
    return float(at(offer["price_usd_per_hour"], t) * world.slot_hours * (1 + redo) * world.weight[t])


def egress(world: World, unit: Unit, placed: Placed) -> float:
    """gb_per_day x days x share, at the sender's price: from the data, from the upstream's first copy, to the users.

    Every copy needs the stream's whole share of data; what users are sent is sent once, by each copy its part. Where a
    copy is split, each part sends and gets by the replicas that it takes.
    """
    row, own = world.workloads[unit.stream.workload], world.part_share(unit)
    share = unit.stream.share * own
    here, total = world.place(unit.pool[0]), 0.0
    data = row.get("data") or {}
    if data.get("gb_per_day_in"):
        total += data["gb_per_day_in"] * world.days * share * world.egress_usd_per_gb(data["location"], here)
    for before in row.get("after") or []:
        for upstream in world.streams_of(before["workload"]):
            if placed.get(upstream) and before.get("gb_per_day"):
                first = min(sent.copy for sent in placed[upstream])
                for sender in (sent for sent in placed[upstream] if sent.copy == first):
                    price = world.egress_usd_per_gb(world.place(sender.pool[0]), here) * world.part_share(sender)
                    total += before["gb_per_day"] * world.days * share * upstream.share * price
    for user in row.get("users") or []:
        if user["region"] == unit.stream.region and user.get("gb_per_day"):
            sent_gb = user["gb_per_day"] * world.days * own / copies_in(placed[unit.stream])
            total += sent_gb * world.egress_usd_per_gb(here, user["region"])
    return float(total)


def storage(world: World, unit: Unit) -> float:
    """The stream's share of what is stored, kept where the unit is."""
    stored = (world.workloads[unit.stream.workload].get("data") or {}).get("stored_gb", 0)
    price = world.clusters[unit.pool[0]].get("storage_usd_per_gb_month", 0)
    return float(stored * unit.stream.share * world.part_share(unit) * price * world.hours / 730)


def move(world: World, unit: Unit) -> float:
    """The move's price when the unit is not where its incumbent says, or the plan in force, where there is one."""
    incumbent = world.workloads[unit.stream.workload].get("incumbent") or {}
    if (force := world.in_force.get((unit.stream.workload, unit.stream.region))) is not None:
        return 0.0 if unit.pool in force else float(incumbent.get("move_cost_usd", 0))
    stays = all(incumbent.get(key, here) == here for key, here in zip(("cluster", "pool"), unit.pool, strict=True))
    return 0.0 if not incumbent or stays else float(incumbent.get("move_cost_usd", 0))


def carbon_per_machine_slot(world: World, pool: tuple[str, str], t: int) -> float:
    """Power drawn in slot t, with what the building adds, as the grid's carbon at its price, as often as it counts."""
    cluster, watts = world.clusters[pool[0]], world.pools[pool]["machine"].get("watts", 0)
    kwh = watts / 1000 * world.slot_hours * cluster.get("pue", 1.0)
    tonnes = kwh * at(cluster.get("grid_g_per_kwh", 0), t) / 1e6
    return float(tonnes * world.scenario.get("carbon_usd_per_tonne", 0) * world.weight[t])


def moves(world: World, placed: Placed) -> int:
    """Places of the plan in force that placed streams have left."""
    left = 0
    for stream, units in placed.items():
        if units:
            left += len({*world.in_force.get((stream.workload, stream.region), [])} - {unit.pool for unit in units})
    return left
