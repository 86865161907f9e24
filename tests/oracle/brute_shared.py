"""The cheapest machines of pools that share limits or commitments, by trying every mix of all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from math import inf, prod
from typing import Any

from oracle_bill import Counts, carbon_per_machine_slot, offer_price
from oracle_shared import matches, measure, pays_for, unit_price
from oracle_world import World, at

Row = dict[str, Any]
Pool = tuple[str, str]
Mix = dict[Pool, dict[str, int]]  # machines that run in one slot, by pool and purchase
Tried = Callable[[Pool, dict[str, int], int], list[dict[str, int]]]  # mixes of one pool, given what is held, in a slot
MOST = 60_000


class TooManyMixesError(Exception):
    """There are more mixes than anyone would try."""


def shares(world: World) -> bool:
    """Whether pools share anything."""
    return bool(world.scenario.get("limits") or world.scenario.get("commitments"))


def least_price(world: World, pool: Pool, offer: Row, t: int) -> float:
    """The least that a machine may come to in slot t when commitments pay for it, and are themselves paid for."""
    usd = offer_price(world, offer, t)
    for row in world.scenario.get("commitments") or []:
        if offer["purchase"] == "on_demand" and matches(pool, row["covers"]):
            usd = min(usd, unit_price(world, row, t) if row["unit"] == "machines"
                      else (1 - row["discount"]) * offer_price(world, offer, t))
    return usd


def cheapest_together(world: World, levels: dict[Pool, list[dict[str, int]]],
                      mixes: Tried) -> tuple[float, Counts, Row]:
    """The least cost (carbon included) over all pools' `levels` of held machines, the counts, and what is bought."""
    best: tuple[float, Counts, Row] = (inf, {}, {})
    if prod(len(options) for options in levels.values()) > MOST:
        raise TooManyMixesError
    work = 0
    for held in product(*levels.values()):
        level = dict(zip(levels, held, strict=True))
        slots = [list(_kept(world, level, mixes, t)) for t in range(world.slots)]
        if not all(slots):
            continue
        paid = sum(offer_price(world, offer, t) * max(level[pool][offer["purchase"]], at(offer.get("owned", 0), t))
                   for pool, row in world.pools.items() for offer in row["offers"]
                   if offer["purchase"] in level[pool] for t in range(world.slots))
        tries = list(_units(world, slots))
        work += len(tries) * sum(map(len, slots))
        if work > MOST:
            raise TooManyMixesError
        for units in tries:
            cost, run = paid, []
            for t, options in enumerate(slots):
                usd, mix = min(((_usd(world, mix, level, units, t), i) for i, mix in enumerate(options)))
                cost, run = cost + usd, [*run, options[mix]]
                if cost >= best[0]:
                    break
            else:
                best = (cost, _counts(world, run), _bought(world, units))
    return best


def _kept(world: World, level: dict[Pool, dict[str, int]], mixes: Tried, t: int) -> Iterator[Mix]:
    """Mixes of all pools in slot t within every limit; a limit on money also counts what is held."""
    options = [mixes(pool, level[pool], t) for pool in level]
    if prod(map(len, options)) > MOST:
        raise TooManyMixesError
    for parts in product(*options):
        mix = dict(zip(level, parts, strict=True))
        counts = {(pool, purchase): [0] * t + [n] for pool, run in mix.items() for purchase, n in run.items()}
        for pool, held in level.items():
            for purchase, n in held.items():
                counts[pool, purchase] = [n] * (t + 1)
        running = {(pool, purchase): [0] * t + [n] for pool, run in mix.items() for purchase, n in run.items()}
        if all(measure(world, limit, counts if limit["measure"] == "usd_per_hour" else running, t)
               <= limit["max"] + 1e-6 * max(1.0, limit["max"]) for limit in world.scenario.get("limits") or []):
            yield mix


def _units(world: World, slots: list[list[Mix]]) -> Iterator[tuple[float, ...]]:
    """Units of every commitment worth trying: what some mix would use of it, if there were enough."""
    options = []
    for row in world.scenario.get("commitments") or []:
        low, more = row.get("owned", 0), row.get("max_buy", 0)
        if row["unit"] == "machines":
            options.append([float(n) for n in range(int(low), int(low + more) + 1)])
            continue
        wanted = {round(_use(world, row, mix, t), 6) for t, mixes in enumerate(slots) for mix in mixes}
        options.append(sorted({float(low), float(low + more), *(use for use in wanted if low < use < low + more)}))
    return product(*options)


def _use(world: World, row: Row, mix: Mix, t: int) -> float:
    return pays_for(world, row, _one_slot(mix, t), {}, inf, t)[1]


def _one_slot(mix: Mix, t: int) -> Counts:
    return {(pool, purchase): [0] * t + [n] for pool, run in mix.items() for purchase, n in run.items()}


def _usd(world: World, mix: Mix, level: dict[Pool, dict[str, int]], units: tuple[float, ...], t: int) -> float:
    """What a slot costs beside the machines held: those that run, carbon, commitments less what they pay for."""
    total, left, counts = 0.0, dict[Pool, float](), _one_slot(mix, t)
    for pool, run in mix.items():
        total += carbon_per_machine_slot(world, pool, t) * sum(run.values())
        total += sum(n * offer_price(world, offer, t) for offer in world.pools[pool]["offers"]
                     if (n := run.get(offer["purchase"], 0)) and offer["purchase"] not in level[pool])
    for row, have in zip(world.scenario.get("commitments") or [], units, strict=True):
        total += have * unit_price(world, row, t) - pays_for(world, row, counts, left, have, t)[0]
    return total


def _counts(world: World, run: list[Mix]) -> Counts:
    return {(pool, offer["purchase"]): [mix[pool].get(offer["purchase"], 0) for mix in run]
            for pool, row in world.pools.items() for offer in row["offers"]}


def _bought(world: World, units: tuple[float, ...]) -> Row:
    return {row["name"]: have - row.get("owned", 0)
            for row, have in zip(world.scenario.get("commitments") or [], units, strict=True)}
