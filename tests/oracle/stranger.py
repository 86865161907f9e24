"""A stranger's re-proof of a bound: written from docs/certificate.md and the scenario alone, for tiny scenarios.

Plain Python: the archive is read by hand, patterns and copies are tried one by one. Nothing of the planner's is used.
"""

from __future__ import annotations

import ast
import json
import math
import struct
import zipfile
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

from oracle_bill import PAID_ALWAYS, carbon_per_machine_slot, move, offer_price, storage
from oracle_packing import TOLERANCE, per_machine
from oracle_shared import matches, unit_price
from oracle_world import SHAPE_FIELD, Stream, Unit, World, at

Row = dict[str, Any]
Pool = tuple[str, str]
Numbers = list[Any]
CODES = {"<f8": "d", "<i4": "i", "|u1": "B"}


class WrongError(Exception):
    """The certificate proves nothing."""


def proven_bound(world: World, file: Path) -> float:
    """The bound on the objective that the file proves. Raises WrongError where it proves none."""
    header, tables = unpack(file)
    if not header["leaves"] or not covered([leaf["decisions"] for leaf in header["leaves"]]):
        raise WrongError("branches leave something out")
    bounds = [LeafProof(world, header, tables, number).bound() for number in range(len(header["leaves"]))]
    if world.scenario["objective"]["mode"] == "min_cost":
        return min(bounds)
    total = sum(row.get("weight", 1) for row in world.workloads.values())
    return 1 - max(0.0, min(bounds)) / total if total else 1.0


def unpack(file: Path) -> tuple[Row, dict[str, Numbers]]:
    """Header and arrays, as nested lists."""
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        return json.loads(archive.read("certificate.json")), {name[:-4]: array(archive.read(name)) for name in names}


def array(content: bytes) -> Numbers:
    """An array in .npy format, version 1.0."""
    assert content[:8] == b"\x93NUMPY\x01\x00"
    length = struct.unpack("<H", content[8:10])[0]
    about = ast.literal_eval(content[10:10 + length].decode())
    assert not about["fortran_order"]
    code = CODES[about["descr"]]
    flat = list(struct.unpack(f"<{math.prod(about['shape'])}{code}", content[10 + length:]))

    def nested(shape: tuple[int, ...], values: Numbers) -> Numbers:
        if len(shape) == 1:
            return values
        size = math.prod(shape[1:])
        return [nested(shape[1:], values[i * size:(i + 1) * size]) for i in range(shape[0])]

    return nested(tuple(about["shape"]), flat)


def question(decision: Row) -> tuple[Any, bool]:
    """What a decision is on, and its answer."""
    who = decision["workload"], decision["user_region"]
    for yes, no in (("uses", "avoids"), ("copies_at_most", "copies_above")):
        for key in (yes, no):
            if decision[key] is not None:
                return (*who, yes, decision[key]), key == yes
    raise WrongError("a decision decides nothing")


def covered(leaves: list[list[Row]]) -> bool:
    """Whether leaves are those of a tree with both answers to every question."""
    if any(not leaf for leaf in leaves):
        return True
    if not leaves or len({question(leaf[0])[0] for leaf in leaves}) > 1:
        return False
    return all(covered([leaf[1:] for leaf in leaves if question(leaf[0])[1] == answer]) for answer in (True, False))


class LeafProof:
    """The formula of the page, for one leaf."""

    def __init__(self, world: World, header: Row, tables: dict[str, Numbers], number: int) -> None:
        self.world, self.leaf = world, header["leaves"][number]
        self.limit_price = dict(zip(header["limits"], tables["limit_price"][number], strict=True))
        self.unit_price = dict(zip(header["commitments"], tables["unit_price"][number], strict=True))
        self.usd, self.rows = self.leaf["usd_price"], []
        requests = [tuple(row[header["resources"].index(r)] if r in header["resources"] else 0.0
                          for r in ("vcpu", "memory_gib", "gpu", "disk_gib", "network_gbps"))
                    for row in header["requests"]]
        for i in range(*self.leaf["rows"]):
            pool = tuple(header["pools"][tables["pool"][i]])
            weights = dict(zip(requests, tables["weights"][tables["vector"][i]], strict=True))
            if min([*weights.values(), *tables["price"][i]], default=0.0) < 0:
                raise WrongError("a negative price or weight")
            self.rows.append((pool, self._valid(pool, weights), bool(tables["firm"][i]), tables["price"][i]))

    def _valid(self, pool: Pool, weights: dict[Any, float]) -> dict[Any, float]:
        """The vector, divided by its heaviest content where that is a little more than 1."""
        legal = sorted({self.world.request(stream.workload) for stream in self.world.streams.values()
                        if not self.world.whynot(stream, pool)})
        room = [have + TOLERANCE for have in self.world.room(pool)]

        def heaviest(i: int, left: list[float]) -> float:
            if i == len(legal):
                return 0.0
            best, count = 0.0, 0
            while count <= 1000 and all(have >= -1e-12 for have in left):
                best = max(best, count * weights[legal[i]] + heaviest(i + 1, left))
                left, count = [have - want for have, want in zip(left, legal[i], strict=True)], count + 1
            return best

        found = heaviest(0, room)
        if found > 1 + 1e-6:
            raise WrongError(f"a vector weighs {found} on a machine of {pool}")
        return {request: weight / max(1.0, found) for request, weight in weights.items()}

    def bound(self) -> float:
        """The leaf's bound."""
        goal, world = self.world.scenario["objective"], self.world
        total = sum(row.get("weight", 1) for row in world.workloads.values())
        bound = sum(map(self._workload, world.workloads)) + sum(map(self._pool, world.pools)) + self._shared()
        if goal["mode"] == "min_cost":
            return bound - self.leaf["weight_price"] * self._slack(total)
        return bound - self.usd * goal["budget_usd"]

    def _slack(self, total: float) -> float:
        return (1 - self.world.scenario["objective"].get("sla_floor", 1.0)) * total + 1e-9

    # ------------------------------------------------------------ streams

    def _workload(self, name: str) -> float:
        row, world = self.world.workloads[name], self.world
        total, weight = sum(row.get("weight", 1) for row in world.workloads.values()), row.get("weight", 1)
        placed = sum(self._best(stream) for stream in world.streams_of(name))
        if world.scenario["objective"]["mode"] == "max_sla":
            return min(placed, weight)
        may_go = row.get("droppable", False) and weight <= self._slack(total)
        return min(placed, self.leaf["weight_price"] * weight) if may_go else placed

    def _best(self, stream: Stream) -> float:
        domains = sorted({self.world.domain(pool) for pool in self.world.pools}, key=str)
        return min((self._with_copies(stream, k, domains) for k in range(1, len(domains) + 1)), default=math.inf)

    def _with_copies(self, stream: Stream, k: int, domains: list[Any]) -> float:
        slo = (self.world.workloads[stream.workload].get("slo") or {}).get("availability", 0)
        costs: dict[Any, float] = {}
        for pool in self.world.pools:
            for unit in self._places(stream, pool, k):
                if k > 1 or self.world.availability([unit]) >= slo - 1e-12:
                    here = self.world.domain(pool)
                    costs[here] = min(costs.get(here, math.inf), self._copy(unit, k))
        legal = {self.world.domain(pool): pool for pool in self.world.pools if not self.world.whynot(stream, pool)}
        reachable = any(self.world.availability([Unit(stream, i, legal[d], None) for i, d in enumerate(chosen)])
                        >= slo - 1e-12 for chosen in combinations([d for d in domains if d in legal], k))
        if k > 1 and not reachable:
            return math.inf
        return min((sum(costs[d] for d in chosen) for chosen in combinations(sorted(costs, key=str), k)
                    if self._allowed(stream, chosen)), default=math.inf)

    def _places(self, stream: Stream, pool: Pool, k: int) -> Iterator[Unit]:
        if self.world.whynot(stream, pool):
            return
        starts: Numbers = [None, *range(self.world.slots)]
        for start in starts:
            unit = Unit(stream, 0, pool, start)
            if self.world.whynot_start(stream.workload, pool, start) or self._breaks(unit):
                continue
            if max(self.world.need(unit, k)) <= self._holds(unit):
                yield unit

    def _breaks(self, unit: Unit) -> bool:
        """Whether this place by itself breaks a promise other than the availability of all copies."""
        missed = self.world.broken_promises(unit.stream.workload, {unit.stream: [unit]})
        return bool({"deadline", "deploy_minutes", "durability", "min_throughput"} & set(missed))

    def _holds(self, unit: Unit) -> float:
        row, slots = self.world.pools[unit.pool], range(self.world.slots)
        preemptible = self.world.workloads[unit.stream.workload].get("preemptible", False)
        offers = [offer for offer in row["offers"] if preemptible or offer["purchase"] != "spot"]
        offered = sum(max(self._offered(unit.pool, offer, t) for t in slots) for offer in offers)
        machines = min(max(at(row["max"], t) for t in slots), offered)
        return machines * per_machine(self.world.request(unit.stream.workload), self.world.room(unit.pool))

    def _copy(self, unit: Unit, k: int) -> float:
        world, row = self.world, self.world.workloads[unit.stream.workload]
        request, firm = world.request(unit.stream.workload), not row.get("preemptible", False)
        rent = [sum(weights.get(request, 0.0) * price[t] for pool, weights, only_firm, price in self.rows
                    if pool == unit.pool and (firm or not only_firm)) for t in range(world.slots)]
        here, beside = world.place(unit.pool[0]), storage(world, unit) + move(world, unit)
        data = row.get("data") or {}
        if data.get("gb_per_day_in"):
            sent = data["gb_per_day_in"] * world.days * unit.stream.share
            beside += sent * world.egress_usd_per_gb(data["location"], here)
        for user in row.get("users") or []:
            if user["region"] == unit.stream.region and user.get("gb_per_day"):
                beside += user["gb_per_day"] * world.days / k * world.egress_usd_per_gb(here, user["region"])
        return sum(usd * count for usd, count in zip(rent, world.need(unit, k), strict=True)) + self.usd * beside

    def _allowed(self, stream: Stream, chosen: tuple[Any, ...]) -> bool:
        names = {"/".join(part for part in domain if part is not None) for domain in chosen}
        for decision in self.leaf["decisions"]:
            if (decision["workload"], decision["user_region"]) != (stream.workload, stream.region):
                continue
            broken = (decision["uses"] is not None and decision["uses"] not in names,
                      decision["avoids"] is not None and decision["avoids"] in names,
                      decision["copies_at_most"] is not None and len(chosen) > decision["copies_at_most"],
                      decision["copies_above"] is not None and len(chosen) <= decision["copies_above"])
            if any(broken):
                return False
        return True

    # ------------------------------------------------------------ machines

    def _offered(self, pool: Pool, offer: Row, t: int) -> int:
        """Machines of an offer there can be in slot t: beyond those owned only after the lead time."""
        most = at(offer.get("max", self.world.pools[pool]["max"]), t)
        waits = self.world.pools[pool].get("lead_time_days", 0) if offer["purchase"] != "owned" else 0
        early = self.world.day[t] < waits - 1e-9
        return int(min(most, at(offer.get("owned", 0), t)) if early else most)

    def _price(self, pool: Pool, offer: Row, t: int) -> float:
        """What one machine costs in slot t beside what running it does."""
        world, usd = self.world, offer_price(self.world, offer, t)
        price = self.usd * usd
        for row in world.scenario.get("commitments") or []:
            if offer["purchase"] == "on_demand" and matches(pool, row["covers"]):
                each = 1.0 if row["unit"] == "machines" else (1 - row["discount"]) * usd / unit_price(world, row, t)
                price = min(price, self.unit_price[row["name"]][t] * each)
        for row in world.scenario.get("limits") or []:
            if row["measure"] == "usd_per_hour" and matches(pool, row["pools"]):
                price += self.limit_price[row["name"]][t] * usd
        return price

    def _run(self, pool: Pool, t: int) -> float:
        """What running a machine costs in slot t beside its price."""
        world, machine = self.world, self.world.pools[pool]["machine"]
        counts = {"machines": 1, "vcpu": machine["vcpu"], "gpu": machine.get(SHAPE_FIELD["gpu"], 0),
                  "kw": machine.get("watts", 0) * world.clusters[pool[0]].get("pue", 1.0) / 1000}
        return self.usd * carbon_per_machine_slot(world, pool, t) + sum(
            self.limit_price[row["name"]][t] * counts[row["measure"]] for row in world.scenario.get("limits") or []
            if row["measure"] != "usd_per_hour" and matches(pool, row["pools"]))

    def _pool(self, pool: Pool) -> float:
        """The least over every number held of each owned or committed offer: no cheaper order is needed here."""
        slots, offers = range(self.world.slots), self.world.pools[pool]["offers"]
        held = [offer for offer in offers if offer["purchase"] in PAID_ALWAYS]
        levels = [range(max(self._offered(pool, offer, t) for t in slots) + 1) for offer in held]
        best = math.inf
        for level in product(*levels):
            paid = sum(self._price(pool, offer, t) * max(n, at(offer.get("owned", 0), t))
                       for offer, n in zip(held, level, strict=True) for t in slots)
            best = min(best, paid - sum(self._gain(pool, held, level, t) for t in slots))
        return best

    def _gain(self, pool: Pool, held: list[Row], level: tuple[int, ...], t: int) -> float:
        earns = {firm: sum(price[t] for name, _, only_firm, price in self.rows
                           if name == pool and (firm or not only_firm)) - self._run(pool, t) for firm in (True, False)}
        kinds = [(earns[True], min(n, self._offered(pool, offer, t))) for offer, n in zip(held, level, strict=True)]
        kinds += [(earns[offer["purchase"] != "spot"] - self._price(pool, offer, t), self._offered(pool, offer, t))
                  for offer in self.world.pools[pool]["offers"] if offer["purchase"] not in PAID_ALWAYS]
        most, least = at(self.world.pools[pool]["max"], t), at(self.world.pools[pool].get("min", 0), t)
        running, gain = 0, 0.0
        for each, count in sorted(kinds, reverse=True):
            run = max(0, min(count, (most if each > 0 else least) - running))
            running, gain = running + run, gain + run * each
        return gain if running >= least else -math.inf

    def _shared(self) -> float:
        world, slots, total = self.world, range(self.world.slots), 0.0
        for row in world.scenario.get("limits") or []:
            hours = [world.slot_hours * world.weight[t] if row["measure"] == "usd_per_hour" else 1 for t in slots]
            total -= sum(self.limit_price[row["name"]][t] * row["max"] * hours[t] for t in slots)
        for row in world.scenario.get("commitments") or []:
            lost = sum(self.usd * unit_price(world, row, t) - self.unit_price[row["name"]][t] for t in slots)
            total += lost * row.get("owned", 0) + min(0.0, lost) * row.get("max_buy", 0)
        return total

