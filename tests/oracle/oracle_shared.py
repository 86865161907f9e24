"""What pools share: caps over several of them in every slot, and commitments that pay for their on_demand machines."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from oracle_bill import PAID_ALWAYS, Counts, offer_price
from oracle_world import World, at

Row = dict[str, Any]
Pool = tuple[str, str]


def matches(pool: Pool, patterns: list[str]) -> bool:
    """Whether `cluster/pool` is named by one of the patterns."""
    return any(fnmatchcase("/".join(pool), pattern) for pattern in patterns)


def offer_of(world: World, pool: Pool, purchase: str) -> Row:
    """The pool's offer of that purchase."""
    return next(offer for offer in world.pools[pool]["offers"] if offer["purchase"] == purchase)


def measure(world: World, limit: Row, counts: Counts, t: int) -> float:
    """What a limit counts in slot t."""
    total = 0.0
    for pool, row in world.pools.items():
        if not matches(pool, limit["pools"]):
            continue
        for offer in row["offers"]:
            total += _counted(world, limit["measure"], pool, offer, counts.get((pool, offer["purchase"])), t)
    return total


def _counted(world: World, what: str, pool: Pool, offer: Row, count: list[int] | None, t: int) -> float:
    machine, running = world.pools[pool]["machine"], count[t] if count else 0
    if what == "usd_per_hour":
        if offer["purchase"] in PAID_ALWAYS:
            running = max(at(offer.get("owned", 0), t), *(count or [0]))
        return running * offer_price(world, offer, t) / (world.slot_hours * world.weight[t])
    each = {"machines": 1, "vcpu": machine["vcpu"], "gpu": machine.get("gpu_count", 0),
            "kw": machine.get("watts", 0) * world.clusters[pool[0]].get("pue", 1.0) / 1000}[what]
    return float(each * running)


def overruns(world: World, counts: Counts) -> Iterator[str]:
    """Limits that are passed, and where."""
    for limit in world.scenario.get("limits") or []:
        for t in range(world.slots):
            found = measure(world, limit, counts, t)
            if found > limit["max"] + 1e-6 * max(1.0, limit["max"]):
                yield f"{limit['name']} slot {t}: {found} {limit['measure']}, at most {limit['max']}"


def unit_price(world: World, row: Row, t: int) -> float:
    """USD that one unit of a commitment costs in slot t."""
    each = row["price_usd_per_hour"] if row["unit"] == "machines" else 1.0
    return float(each * world.slot_hours * world.weight[t])


def pays_for(world: World, row: Row, counts: Counts, left: dict[Pool, float], units: float,
             t: int) -> tuple[float, float]:
    """USD of machines that so many units pay for in slot t, dearest first, and units used.

    `left` holds the on_demand machines that commitments before left, and is brought up to date.
    """
    for pool in world.pools:
        left.setdefault(pool, (counts.get((pool, "on_demand")) or [0] * world.slots)[t])
    here = [pool for pool in world.pools if matches(pool, row["covers"]) and left[pool] > 0]
    saved = used = 0.0
    for pool in sorted(here, key=lambda pool: -offer_price(world, offer_of(world, pool, "on_demand"), t)):
        usd = offer_price(world, offer_of(world, pool, "on_demand"), t)
        each = 1.0 if row["unit"] == "machines" else (1 - row["discount"]) * usd / unit_price(world, row, t)
        paid = left[pool] if each == 0 else min(left[pool], (units - used) / each)
        left[pool] -= paid
        used += paid * each
        saved += paid * usd
    return saved, used


def commitment_bill(world: World, counts: Counts,
                    bought: dict[str, float]) -> tuple[float, dict[str, tuple[float, float]]]:
    """USD that commitments add to machines at their offers' prices, and of each (USD paid, USD used)."""
    rows = world.scenario.get("commitments") or []
    total, parts = 0.0, {}
    lefts: list[dict[Pool, float]] = [{} for _ in range(world.slots)]
    for row in rows:
        units = row.get("owned", 0) + bought.get(row["name"], 0.0)
        paid = sum(units * unit_price(world, row, t) for t in range(world.slots))
        saved = used = 0.0
        for t in range(world.slots):
            usd, taken = pays_for(world, row, counts, lefts[t], units, t)
            saved, used = saved + usd, used + taken * unit_price(world, row, t)
        total += paid - saved
        parts[row["name"]] = (paid, used)
    return total, parts


def bought_of(plan: Row) -> dict[str, float]:
    """What a plan buys of commitments, by name."""
    return {row["name"]: row["bought"] for row in plan.get("commitments") or []}


def wrong_commitments(world: World, counts: Counts, plan: Row) -> Iterator[str]:
    """Rows of a plan's commitments that cannot be or state other figures than they have."""
    rows = {row["name"]: row for row in world.scenario.get("commitments") or []}
    stated = [row["name"] for row in plan.get("commitments") or []]
    if len(set(stated)) < len(stated) or set(stated) - set(rows):
        yield f"no such commitments, or listed twice: {stated}"
        return
    _, parts = commitment_bill(world, counts, bought_of(plan))
    for row in plan.get("commitments") or []:
        given, (paid, used) = rows[row["name"]], parts[row["name"]]
        if not -1e-6 <= row["bought"] <= given.get("max_buy", 0) + 1e-6:
            yield f"{row['name']}: {row['bought']} bought, at most {given.get('max_buy', 0)} can be"
        if given["unit"] == "machines" and abs(row["bought"] - round(row["bought"])) > 1e-6:
            yield f"{row['name']}: {row['bought']} machines bought"
        if abs(row["used_share"] - (used / paid if paid else 0.0)) > 1e-5:
            yield f"{row['name']}: used_share {row['used_share']}, {used} of {paid} USD are used"
        if abs(row["cost_usd"] - paid) > max(0.01, 1e-6 * paid) or abs(row["owned"] - given.get("owned", 0)) > 1e-6:
            yield f"{row['name']}: {row['owned']} owned for {row['cost_usd']} USD, it is {paid}"
    for name, (paid, _) in parts.items():
        if paid and name not in stated:
            yield f"{name} is paid for and not listed"
