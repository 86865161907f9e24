"""Sizing on joint sample paths, read once more: what is needed on a path, who holds it, and how often a plan misses."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from typing import Any

from oracle_packing import packs
from oracle_world import Unit, World

Row = dict[str, Any]
DRAWN = 200  # paths where no workload gives any
FOLDS = 5  # of the back-test


class Joint:
    """The joint paths of a scenario; `seed` is the plan's."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.seed = world, seed
        given = next((row["paths"] for row in world.workloads.values() if "paths" in row), None)
        random = any(row.get("probability", 1) < 1 for row in world.workloads.values())
        self.numbers = list(given) if given else list(range(DRAWN if random else 1))
        self.level = world.scenario.get("service_level", 0.95)

    @property
    def needed(self) -> int:
        """How many paths must find room."""
        return math.ceil(self.level * len(self.numbers) - 1e-9)

    def rows(self, workload: str, number: int) -> list[int]:
        """Replicas of a workload on a path, before shares and hardware."""
        row = self.world.workloads[workload]
        digest = hashlib.sha256(f"{self.seed}/{workload}/{number}".encode()).digest()
        if int.from_bytes(digest[:8], "big") / 2**64 >= row.get("probability", 1):
            return [0] * self.world.slots
        return row["paths"][number] if "paths" in row else row["replicas"]

    def has_spot(self, pool: tuple[str, str]) -> bool:
        """Whether the pool sells spot machines; else all of them are firm, whoever works there."""
        return any(offer["purchase"] == "spot" for offer in self.world.pools[pool]["offers"])

    def items(self, units: dict[Unit, int], spot: bool = True) -> list[list[tuple]]:
        """What the units of one pool, with their numbers of copies, ask for: items by slot and path.

        Without `spot` machines everything has to be on firm ones.
        """
        found: list[list[tuple]] = [[] for _ in range(self.world.slots)]
        for number in self.numbers:
            loads = [Counter() for _ in range(self.world.slots)]
            for unit, copies in units.items():
                rows = self.rows(unit.stream.workload, number)
                for t, replicas in enumerate(self.world.need_of(unit, copies, rows)):
                    loads[t][unit.stream.workload] += replicas
            for t, load in enumerate(loads):
                found[t].append(self.as_items(load, spot))
        return found

    def as_items(self, load: Counter, spot: bool) -> tuple:
        """Replicas by what they take and whether they may run on spot machines."""
        items: Counter = Counter()
        for workload, replicas in load.items():
            if replicas:
                row = self.world.workloads[workload]
                items[self.world.request(workload), spot and bool(row.get("preemptible", False))] += replicas
        return tuple(sorted((request, preemptible, count) for (request, preemptible), count in items.items()))


def held(items: list[tuple], room: tuple, firm: int, spot: int) -> list[bool]:
    """For every path whether the machines hold it."""
    return [packs(one, room, firm, spot) is True for one in items]


def misses(joint: Joint, pools: dict[tuple[str, str], dict[Unit, int]],
           machines: dict[tuple[str, str], list[tuple[int, int]]]) -> dict[str, tuple[float, float, float]]:
    """(chance in the worst slot, mean, mean on held-out paths) by workload; `machines` are (firm, spot) by slot."""
    parts: dict[str, list[tuple[float, float]]] = {}
    for pool, units in pools.items():
        slots, room = joint.items(units, joint.has_spot(pool)), joint.world.room(pool)
        missed = [1 - sum(held(items, room, *machines[pool][t])) / len(items) for t, items in enumerate(slots)]
        out = [held_out(joint, items, room, *machines[pool][t]) for t, items in enumerate(slots)]
        for unit, copies in units.items():
            asked = {t for number in joint.numbers for t, n in enumerate(joint.world.need_of(
                unit, copies, joint.rows(unit.stream.workload, number))) if n}
            parts.setdefault(unit.stream.workload, []).extend((missed[t], out[t]) for t in sorted(asked))
    return {name: (max((m for m, _ in own), default=0.0), _mean([m for m, _ in own]), _mean([o for _, o in own]))
            for name, own in parts.items()}


def held_out(joint: Joint, items: list[tuple], room: tuple, firm: int, spot: int) -> float:
    """Share of paths that miss when a slot is sized without the fifth that they lie in, as the plan's is with all."""
    needs = [_least(one, room) for one in items]
    if len(needs) < 2:
        return 0.0
    now_firm, now = _size(needs, joint.level)
    spare_firm, spare = max(0, firm - now_firm), max(0, firm + spot - now)
    missed = 0
    for fold in range(FOLDS):
        kept = [need for i, need in enumerate(needs) if i % FOLDS != fold]
        if len(kept) < len(needs):
            most_firm, most = _size(kept, joint.level)
            missed += sum(f > most_firm + spare_firm or n > most + spare
                          for i, (f, n) in enumerate(needs) if i % FOLDS == fold)
    return missed / len(needs)


def _size(needs: list[tuple[int, int]], level: float) -> tuple[int, int]:
    enough = math.ceil(level * len(needs) - 1e-9)
    most = sorted(n for _, n in needs)[enough - 1]
    return sorted(f for f, n in needs if n <= most)[enough - 1], most


def _least(items: tuple, room: tuple) -> tuple[int, int]:
    """The fewest machines in all, and of these the fewest that are not spot."""
    most = sum(count for _, _, count in items)
    total = next(n for n in range(most + 1) if packs(items, room, n, 0) is True)
    return next(f for f in range(total + 1) if packs(items, room, f, total - f) is True), total


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
