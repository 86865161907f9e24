"""A second reading of the plan's meaning, written from the format description alone.

It shares no code with the planner: it reads scenario.yaml and plan.json, works out needs, packings, costs and promises
in its own plain way, and lists what is wrong. `check(scenario_folder, plan_file)` is the whole face.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from oracle_bill import Counts, Placed, bill, moves
from oracle_losses import check_losses, losses, moved_by_loss, placed_after, purchases_after
from oracle_packing import TOLERANCE, packs, per_machine
from oracle_paths import Joint, held, misses
from oracle_reading import read_plan, read_scenario
from oracle_shared import bought_of, commitment_bill, overruns, wrong_commitments
from oracle_world import RESOURCES, Unit, World, at, copies_in

Row = dict[str, Any]
PARTS = ("machines", "egress", "storage", "moves", "carbon")


@dataclass(frozen=True)
class Violation:
    """What rule is broken (`kind`) and how."""

    kind: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """All violations, the cost by part and the attainment as recomputed."""

    violations: tuple[Violation, ...]
    costs: dict[str, float]
    attainment: float

    @property
    def cost_usd(self) -> float:
        """All parts together."""
        return sum(self.costs.values())

    @property
    def kinds(self) -> set[str]:
        """The rules that are broken."""
        return {violation.kind for violation in self.violations}


def check(folder: Path, plan_file: Path) -> Verdict:
    """Read both from disk and compare."""
    return check_plan(World(read_scenario(folder)), read_plan(plan_file), Path(plan_file).parent)


def check_plan(world: World, plan: Row, folder: Path | None = None) -> Verdict:
    """`folder` is where tables named in the plan lie."""
    return Checker(world, plan, folder).verdict()


def agree(a: float, b: float) -> bool:
    """Within 0.01 USD or one part in a million."""
    return abs(a - b) <= max(0.01, 1e-6 * max(abs(a), abs(b)))


class Checker:
    """Goes through a plan from top to bottom and notes what is wrong."""

    def __init__(self, world: World, plan: Row, folder: Path | None) -> None:
        self.world, self.plan, self.folder = world, plan, folder
        self.violations: list[Violation] = []

    def note(self, kind: str, text: str) -> None:
        """Put a broken rule on the list."""
        self.violations.append(Violation(kind, text))

    def verdict(self) -> Verdict:
        """Check everything; a plan that says `infeasible` promises nothing that can be checked here."""
        if self.plan["status"] == "infeasible":
            return Verdict((), dict.fromkeys(PARTS, 0.0), 0.0)
        placed, counts = self.units(), self.machines()
        self.packing(placed, counts)
        self.losses(placed, counts)
        self.shared(counts)
        if self.world.most_moves is not None and moves(self.world, placed) > self.world.most_moves:
            self.note("moves", f"{moves(self.world, placed)} places are left; {self.world.most_moves} may be")
        costs = bill(self.world, placed, counts)
        costs["machines"] += commitment_bill(self.world, counts, bought_of(self.plan))[0]
        attainment = self.attainment(placed)
        self.figures(costs, attainment)
        self.objective(sum(costs.values()), attainment)
        self.unplaced(placed)
        self.groups(placed, counts)
        return Verdict(tuple(self.violations), costs, attainment)

    # ------------------------------------------------------------ assignments

    def units(self) -> Placed:
        """Units by stream, each checked on its own and copies against each other."""
        placed: Placed = defaultdict(list)
        for row in self.plan["assignments"]:
            unit = self._unit(row)
            if unit is not None:
                placed[unit.stream].append(unit)
        for stream, units in placed.items():
            who = f"{stream.workload} {stream.region or ''}".strip()
            if len({unit.number for unit in units}) < len(units):
                self.note("copies", f"{who}: two units have the same copy number")
            if self.world.crowded(units):
                self.note("domains", f"{who}: two copies in one failure domain")
            placed[stream] = self._parts(who, units)
        return dict(placed)

    def _parts(self, who: str, units: list[Unit]) -> list[Unit]:
        """The units with what the parts before each of them take; a split that is not allowed is noted."""
        out, row = [], self.world.workloads[units[0].stream.workload]
        for copy in sorted({unit.copy for unit in units}):
            parts, below = sorted((unit for unit in units if unit.copy == copy), key=lambda unit: unit.part), 0
            capped = all(isinstance(unit.cap, int) and unit.cap >= 1 for unit in parts[:-1])
            if [unit.part for unit in parts] != list(range(len(parts))) or not capped or parts[-1].cap is not None:
                self.note("parts", f"{who}: parts are numbered from 0, and each but the last has a cap of 1 or more")
            if len(parts) > row.get("max_parts", 1) or (len(parts) > 1 and row.get("batch")):
                self.note("parts", f"{who}: {len(parts)} parts, {row.get('max_parts', 1)} are allowed")
            if len(parts) > 1 and copies_in(units) > 1:
                self.note("parts", f"{who}: split, though it has {copies_in(units)} copies")
            for unit in parts:
                out.append(replace(unit, below=below))
                below += unit.cap or 0
        return out

    def _unit(self, row: Row) -> Unit | None:
        stream = self.world.streams.get((row["workload"], row.get("user_region")))
        pool = (row["cluster"], row["pool"])
        if stream is None or pool not in self.world.pools:
            self.note("names", f"no such stream or pool: {row}")
            return None
        unit = Unit(stream, row["copy"], pool, row.get("start_slot"), row.get("part", 0), row.get("cap"))
        for reason in self.world.whynot(stream, pool) + self.world.whynot_start(stream.workload, pool, unit.start):
            kind, text = reason.split(": ", 1)
            self.note(kind, f"{row['workload']} in {'/'.join(pool)}: {text}")
        return unit

    # ------------------------------------------------------------ machines

    def machines(self) -> Counts:
        """Machines per offer and slot, each within its limits."""
        counts: Counts = {}
        for row in self.plan["machines"]:
            pool, name = (row["cluster"], row["pool"]), f"{row['cluster']}/{row['pool']} {row['purchase']}"
            offer = self._offer(pool, row["purchase"])
            if offer is None or (pool, row["purchase"]) in counts:
                self.note("names", f"no such offer, or listed twice: {name}")
                continue
            if len(row["count"]) != self.world.slots or any(n != int(n) or n < 0 for n in row["count"]):
                self.note("count", f"{name}: needs one whole number for each of {self.world.slots} slots")
                continue
            counts[pool, row["purchase"]] = row["count"]
            self._offer_limits(name, self.world.pools[pool], offer, row["count"])
        for pool, row in self.world.pools.items():
            for t, total in enumerate(total_machines(self.world, pool, counts)):
                if total > at(row["max"], t):
                    self.note("max", f"{'/'.join(pool)} slot {t}: {total} machines, at most {at(row['max'], t)} exist")
                if total < at(row.get("min", 0), t):
                    self.note("min", f"{'/'.join(pool)} slot {t}: {total} machines, {at(row['min'], t)} always run")
        return counts

    def _offer(self, pool: tuple[str, str], purchase: str) -> Row | None:
        offers = self.world.pools.get(pool, {}).get("offers", [])
        return next((offer for offer in offers if offer["purchase"] == purchase), None)

    def _offer_limits(self, name: str, pool: Row, offer: Row, count: list[int]) -> None:
        wait_days = pool.get("lead_time_days", 0) if offer["purchase"] != "owned" else 0
        for t, n in enumerate(count):
            if n > at(offer.get("max", pool["max"]), t):
                self.note("max", f"{name} slot {t}: {n} machines, at most {offer.get('max', pool['max'])} are offered")
        for t, n in enumerate(count):
            if n > at(offer.get("owned", 0), t) and self.world.day[t] < wait_days - 1e-9:
                self.note("lead_time", f"{name}: slot {t} comes before {wait_days} days have passed")
                break

    def shared(self, counts: Counts) -> None:
        """Limits over several pools, and what is bought of commitments."""
        for text in overruns(self.world, counts):
            self.note("limit", text)
        for text in wrong_commitments(self.world, counts, self.plan):
            self.note("commitment", text)

    # ------------------------------------------------------------ packing

    def packing(self, placed: Placed, counts: Counts) -> None:
        """Every pool and slot holds its replicas; the plan's own table is read where simple means do not show it."""
        if self.world.scenario.get("sizing", "each") == "pooled":
            self.on_paths(placed, counts)
            return
        shown = self._shown(placed, counts)
        for pool, loads in pool_loads(self.world, placed).items():
            total, spots = total_machines(self.world, pool, counts), counts.get((pool, "spot"), [0] * self.world.slots)
            for t, load in enumerate(loads):
                spot, firm = spots[t], total[t] - spots[t]
                items = as_items(self.world, load)
                if items and (pool, t) not in shown and packs(items, self.world.room(pool), firm, spot) is not True:
                    self.note("packing", f"{'/'.join(pool)} slot {t}: {firm} + {spot} spot machines are not enough")

    def on_paths(self, placed: Placed, counts: Counts) -> None:
        """Every pool and slot holds enough of the joint paths, and misses no more often than the plan states."""
        joint = Joint(self.world, (self.plan.get("provenance") or {}).get("seed", 0))
        pools: dict[tuple[str, str], dict[Unit, int]] = {}
        for units in placed.values():
            for unit in units:
                pools.setdefault(unit.pool, {})[unit] = len(units)
        machines = {pool: self._firm_and_spot(pool, counts) for pool in pools}
        for pool, units in pools.items():
            for t, items in enumerate(joint.items(units)):
                if sum(held(items, self.world.room(pool), *machines[pool][t])) < joint.needed:
                    self.note("packing", f"{'/'.join(pool)} slot {t}: too few of the paths are held")
        stated = {row["workload"]: row for row in self.plan.get("misses") or []}
        for name, true in misses(joint, pools, machines).items():
            for field, value in zip(("chance", "mean", "held_out"), true, strict=True):
                if value > stated.get(name, {}).get(field, 0.0) + 1e-6:
                    self.note("misses", f"{name}: {field} is {value}, more than stated")

    def _firm_and_spot(self, pool: tuple[str, str], counts: Counts) -> list[tuple[int, int]]:
        total, spots = total_machines(self.world, pool, counts), counts.get((pool, "spot"), [0] * self.world.slots)
        return [(every - spot, spot) for every, spot in zip(total, spots, strict=True)]

    def _shown(self, placed: Placed, counts: Counts) -> set[tuple[tuple[str, str], int]]:
        """Pools and slots whose packing the plan's table proves; a wrong row is a violation."""
        name = (self.plan.get("tables") or {}).get("packings")
        if not name or self.folder is None:
            return set()
        rows = pq.read_table(self.folder / name).to_pylist()
        by_slot: dict[tuple[tuple[str, str], int], list[Row]] = defaultdict(list)
        for row in rows:
            if row["lost"] is None:
                by_slot[(row["cluster"], row["pool"]), row["slot"]].append(row)
        loads = pool_loads(self.world, placed, by_unit=True)
        return {key for key, part in by_slot.items() if self._proven(key, part, loads, counts)}

    def losses(self, placed: Placed, counts: Counts) -> None:
        """Every single loss that is to be survived: fallbacks, and room for them."""
        given = self.plan.get("fallbacks") or []
        for kind, text in check_losses(self.world, given, placed, counts, self._shown_after(given, placed, counts)):
            self.note(kind, text)

    def _shown_after(self, given: list[Row], placed: Placed, counts: Counts) -> dict[tuple, bool]:
        """(lost, pool, slot) whose packing the plan's table proves."""
        name = (self.plan.get("tables") or {}).get("packings")
        by_slot: dict[tuple, list[Row]] = defaultdict(list)
        for row in pq.read_table(self.folder / name).to_pylist() if name and self.folder is not None else ():
            if row["lost"] is not None:
                by_slot[row["lost"], (row["cluster"], row["pool"]), row["slot"]].append(row)
        moved, shown = moved_by_loss(self.world, given), {}
        for level, lost in losses(self.world):
            after = placed_after(self.world, placed, level, lost, moved.get(lost, {}))
            copies = {stream: copies_in(units) for stream, units in placed.items()}
            loads = pool_loads(self.world, after, by_unit=True, copies=copies)
            for key, part in by_slot.items():
                if key[0] == lost:
                    pool, t = key[1:]
                    there = purchases_after(self.world, pool, counts, t)
                    held = {(pool, purchase): [n] * self.world.slots for purchase, n in there.items()}
                    few = len({row["machine"] for row in part}) <= at(self.world.pools[pool]["max"], t)
                    shown[key] = few and self._proven((pool, t), part, loads, held)
        return shown

    def _proven(self, key: tuple[tuple[str, str], int], rows: list[Row], loads: dict, counts: Counts) -> bool:
        pool, t = key
        if pool not in self.world.pools or not 0 <= t < self.world.slots:
            self.note("packings", f"no such pool or slot: {key}")
            return False
        used: dict[tuple[str, int], list[float]] = defaultdict(lambda: [0.0] * len(RESOURCES))
        packed: Counter = Counter()
        wrong = []
        for row in rows:
            stream = self.world.streams.get((row["workload"], row["user_region"]))
            if stream is None:
                wrong.append(f"no such stream: {row['workload']}")
                continue
            packed[stream, (row["copy"], row["part"])] += row["replicas"]
            machine = used[row["purchase"], row["machine"]]
            for r, want in enumerate(self.world.request(row["workload"])):
                machine[r] += want * row["replicas"]
            if row["purchase"] == "spot" and not self.world.workloads[row["workload"]].get("preemptible", False):
                wrong.append(f"{row['workload']} is not preemptible")
        room = self.world.room(pool)
        if any(load > have + TOLERANCE for machine in used.values() for load, have in zip(machine, room, strict=True)):
            wrong.append("a machine is too full")
        held = Counter(purchase for purchase, _ in used)
        if any(n > counts.get((pool, purchase), [0] * self.world.slots)[t] for purchase, n in held.items()):
            wrong.append("more machines than run")
        if packed != (loads[pool][t] if pool in loads else Counter()):
            wrong.append("not the replicas that are needed")
        for text in wrong:
            self.note("packings", f"{'/'.join(pool)} slot {t}: {text}")
        return not wrong

    # ------------------------------------------------------------ figures

    def attainment(self, placed: Placed) -> float:
        """Weight of the workloads that keep all their promises over the weight of all."""
        kept = total = 0.0
        for name, row in self.world.workloads.items():
            missed = self.world.broken_promises(name, placed)
            total += row.get("weight", 1)
            kept += 0 if missed else row.get("weight", 1)
            if missed and self.plan["mode"] == "min_cost" and not row.get("droppable", False):
                self.note("sla", f"{name} may not be dropped and misses: {', '.join(dict.fromkeys(missed))}")
        return kept / total if total else 1.0

    def figures(self, costs: dict[str, float], attainment: float) -> None:
        """What the plan states against what was recomputed."""
        stated = self.plan["costs"]
        for part in PARTS:
            if not agree(stated.get(part, 0.0), costs[part]):
                self.note("cost", f"{part}: the plan says {stated.get(part, 0.0)}, it is {costs[part]}")
        if not agree(self.plan["cost_usd"], sum(costs.values())):
            self.note("cost", f"the plan says {self.plan['cost_usd']}, it is {sum(costs.values())}")
        if abs(self.plan["sla_attainment"] - attainment) > 1e-6:
            self.note("attainment", f"the plan says {self.plan['sla_attainment']}, it is {attainment}")
        owners = self.plan.get("costs_by_owner") or {}
        if owners and sum(owners.values()) > sum(costs.values()) + max(0.01, 1e-6 * sum(costs.values())):
            self.note("owners", f"owners pay {sum(owners.values())} of {sum(costs.values())}")

    def objective(self, cost: float, attainment: float) -> None:
        """Mode, floor or budget, bound, gap and what `optimal` needs."""
        goal = self.world.scenario["objective"]
        bound, best = self.plan["bound"], cost if goal["mode"] == "min_cost" else attainment
        if self.plan["mode"] != goal["mode"]:
            self.note("mode", f"the plan's mode is {self.plan['mode']}, the scenario's {goal['mode']}")
        if goal["mode"] == "min_cost":
            if attainment < goal.get("sla_floor", 1.0) - 1e-9:
                self.note("floor", f"attainment {attainment} is below {goal.get('sla_floor', 1.0)}")
            if bound > cost and not agree(bound, cost):
                self.note("bound", f"the bound {bound} is above the cost {cost}")
            stated = self.plan["cost_usd"]  # which is the true cost to the cent, or is noted as wrong
            gap = (stated - bound) / stated if stated else 0.0
        else:
            if cost > goal["budget_usd"] and not agree(cost, goal["budget_usd"]):
                self.note("budget", f"{cost} USD is over {goal['budget_usd']}")
            if bound < best - 1e-6:
                self.note("bound", f"the bound {bound} is below the attainment {best}")
            gap = (bound - attainment) / bound if bound else 0.0
        if abs(self.plan["gap"] - gap) > 1e-6:
            self.note("gap", f"the plan says {self.plan['gap']}, it is {gap}")
        if self.plan["status"] == "optimal" and gap > 1e-4 + 1e-9:
            self.note("gap", f"not optimal with a gap of {gap}")

    def unplaced(self, placed: Placed) -> None:
        """A workload is listed exactly when one of its streams has no unit."""
        missing = {stream.workload for stream in self.world.streams.values() if not placed.get(stream)}
        listed = [row["workload"] for row in self.plan.get("unplaced", [])]
        if set(listed) != missing or len(listed) != len(set(listed)):
            self.note("unplaced", f"the plan lists {sorted(listed)}, it is {sorted(missing)}")

    def groups(self, placed: Placed, counts: Counts) -> None:
        """Who shares a pool, the machines each would need alone at its peak, and the most that run together."""
        alone = alone_in_pools(self.world, placed)
        for row in self.plan.get("groups", []):
            pool = (row["cluster"], row["pool"])
            name = "/".join(pool)
            there = {stream.workload for stream, units in placed.items() for unit in units if unit.pool == pool}
            if pool not in self.world.pools or not set(alone.get(pool, {})) <= set(row["workloads"]) <= there:
                self.note("groups", f"{name}: {row['workloads']} are not the workloads that run there")
                continue
            if row["sum_of_peaks"] != sum(alone[pool].values()):
                self.note("groups", f"{name}: sum of peaks is {sum(alone[pool].values())}, not {row['sum_of_peaks']}")
            together = max(total_machines(self.world, pool, counts))
            if row["peak_of_sum"] != together:
                self.note("groups", f"{name}: peak of sum is {together}, not {row['peak_of_sum']}")


# ---------------------------------------------------------------- loads


def total_machines(world: World, pool: tuple[str, str], counts: Counts) -> list[int]:
    """Machines of all purchases that run in each slot."""
    rows = [count for (where, _), count in counts.items() if where == pool]
    return [sum(row[t] for row in rows) for t in range(world.slots)]


def pool_loads(world: World, placed: Placed, *, by_unit: bool = False,
               copies: dict | None = None, alone: bool = False) -> dict[tuple[str, str], list[Counter]]:
    """Replicas in each pool and slot, by workload or by (stream, copy); `copies` of a stream where not all are there.

    With what they need more beside others, unless each is looked at `alone`.
    """
    loads: dict[tuple[str, str], list[Counter]] = {}
    for stream, units in placed.items():
        for unit in units:
            slots = loads.setdefault(unit.pool, [Counter() for _ in range(world.slots)])
            for t, replicas in enumerate(world.need(unit, (copies or {}).get(stream, copies_in(units)))):
                if replicas:
                    slots[t][(stream, unit.number)] += replicas
    return {pool: [_counted(world, pool, load, by_unit=by_unit, alone=alone) for load in slots]
            for pool, slots in loads.items()}


def _counted(world: World, pool: tuple[str, str], load: Counter, *, by_unit: bool, alone: bool) -> Counter:
    """Replicas of one slot by unit, or by workload; every unit is rounded up by itself."""
    needed = load if alone else Counter(world.beside(pool, load, lambda key: key[0].workload))
    if by_unit:
        return needed
    total: Counter = Counter()
    for (stream, _), replicas in needed.items():
        total[stream.workload] += replicas
    return total


def as_items(world: World, load: Counter) -> tuple:
    """Replicas by what they take and whether they may run on spot machines, in a fixed order."""
    items: Counter = Counter()
    for workload, replicas in load.items():
        items[world.request(workload), bool(world.workloads[workload].get("preemptible", False))] += replicas
    return tuple(sorted((request, preemptible, count) for (request, preemptible), count in items.items()))


def alone_in_pools(world: World, placed: Placed) -> dict[tuple[str, str], dict[str, int]]:
    """Machines each workload in a pool would need there alone, in its own busiest slot."""
    alone: dict[tuple[str, str], dict[str, int]] = {}
    for pool, slots in pool_loads(world, placed, alone=True).items():
        for workload in {name for load in slots for name in load}:
            most = max(load[workload] for load in slots)
            holds = per_machine(world.request(workload), world.room(pool))
            alone.setdefault(pool, {})[workload] = -(-most // max(1, holds))
    return alone
