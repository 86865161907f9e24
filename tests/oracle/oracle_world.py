"""What a scenario means, worked out one question at a time: streams, legal options, needs, prices, promises."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache, cached_property
from itertools import product
from typing import Any

from oracle_packing import TOLERANCE, Request

Row = dict[str, Any]
RESOURCES = ("vcpu", "memory_gib", "gpu", "disk_gib", "network_gbps")
SHAPE_FIELD = {"gpu": "gpu_count"}


def ceil(x: float) -> int:
    """Rounded up, except that a billionth above a whole number counts as that number."""
    return math.ceil(x - 1e-9)


@dataclass(frozen=True)
class Stream:
    """A workload, or what one of its user regions sends (`region`), with its share of the load."""

    workload: str
    region: str | None
    share: float


@dataclass(frozen=True)
class Unit:
    """One placed copy of a stream: `pool` is (cluster, pool), `start` the first slot of a batch run.

    Or a part of one: of the replicas that `below` leaves it takes `cap` at most (None: all).
    """

    stream: Stream
    copy: int
    pool: tuple[str, str]
    start: int | None
    part: int = 0
    cap: int | None = None
    below: int = 0

    @property
    def number(self) -> tuple[int, int]:
        """Copy and part."""
        return self.copy, self.part


def copies_in(units: list[Unit]) -> int:
    """How many copies these units of a stream are."""
    return len({unit.copy for unit in units})


class World:
    """A scenario that answers questions. Raises LookupError for a link that is needed and not given."""

    def __init__(self, scenario: Row) -> None:
        self.scenario = scenario
        horizon = scenario["horizon"]
        self.slot_minutes: float = horizon.get("slot_minutes", 60)
        self.slot_hours = self.slot_minutes / 60
        windows = horizon.get("periods") or [horizon]
        own_days = [window["slots"] * self.slot_minutes / 1440 for window in windows]
        stands = [window.get("stands_for_days", own) for window, own in zip(windows, own_days, strict=True)]
        self.days: float = sum(stands)
        self.hours = self.days * 24
        self.slots: int = sum(window["slots"] for window in windows)
        # For each slot: the window it lies in, how often it is paid, and on which day from the first it begins.
        self.window = [at for at, window in enumerate(windows) for _ in range(window["slots"])]
        self.weight = [stands[at] / own_days[at] for at in self.window]
        first = _instant(windows[0].get("start"))
        self.day = [(_instant(window.get("start")) - first).total_seconds() / 86400 + i * self.slot_minutes / 1440
                    for window in windows for i in range(window["slots"])]
        self.clusters: dict[str, Row] = {c["name"]: c for c in scenario["clusters"]}
        self.pools: dict[tuple[str, str], Row] = {(c["name"], p["name"]): p
                                                  for c in scenario["clusters"] for p in c["pools"]}
        self.workloads: dict[str, Row] = {w["name"]: w for w in scenario["workloads"]}
        self.links: dict[tuple[str, str], Row] = {(k["from"], k["to"]): k for k in scenario.get("links", [])}
        # A plan in force: pools of every stream's units by (workload, user region), and how many may be left.
        self.in_force: dict[tuple[str, str | None], list[tuple[str, str]]] = {}
        self.most_moves: int | None = None

    # ------------------------------------------------------------ who is to be placed

    @cached_property
    def streams(self) -> dict[tuple[str, str | None], Stream]:
        """Every stream by (workload, user region)."""
        found = [stream for workload in self.workloads for stream in self.streams_of(workload)]
        return {(stream.workload, stream.region): stream for stream in found}

    def streams_of(self, workload: str) -> list[Stream]:
        """One stream per user region; one with the whole load when no users are listed."""
        users = self.workloads[workload].get("users") or []
        if not users:
            return [Stream(workload, None, 1.0)]
        return [Stream(workload, user["region"], user.get("share", 1.0)) for user in users]

    # ------------------------------------------------------------ distances and transfer prices

    def place(self, cluster: str) -> str:
        """The region key of a cluster."""
        return f"{self.clusters[cluster]['provider']}/{self.clusters[cluster]['region']}"

    def rtt_ms(self, a: str, b: str) -> float:
        """Round trip between two regions: the link's, else the reverse link's, else 0 within a region."""
        for pair in ((a, b), (b, a)):
            if "rtt_ms" in self.links.get(pair, {}):
                return float(self.links[pair]["rtt_ms"])
        if a == b:
            return 0.0
        raise LookupError(f"no round trip between {a} and {b}")

    def egress_usd_per_gb(self, sender: str, receiver: str) -> float:
        """What the sender's link charges; nothing within a region unless a link says so."""
        if "egress_usd_per_gb" in self.links.get((sender, receiver), {}):
            return float(self.links[sender, receiver]["egress_usd_per_gb"])
        if sender == receiver:
            return 0.0
        raise LookupError(f"no egress price from {sender} to {receiver}")

    # ------------------------------------------------------------ legal options

    @cache  # noqa: B019 - a World lives as long as one check
    def room(self, pool: tuple[str, str]) -> Request:
        """What one machine of the pool offers: (shape - reserved) x (1 - headroom), headroom on vcpu and memory."""
        machine, reserved = self.pools[pool]["machine"], self.pools[pool].get("reserved") or {}
        keep = 1 - self.pools[pool].get("headroom", 0)
        left = {r: machine.get(SHAPE_FIELD.get(r, r), 0) - reserved.get(r, 0) for r in RESOURCES}
        return tuple(have * keep if r in ("vcpu", "memory_gib") else have for r, have in left.items())

    @cache  # noqa: B019
    def request(self, workload: str) -> Request:
        """What one replica takes."""
        wants = self.workloads[workload]["request"]
        return tuple(float(wants.get(r, 0)) for r in RESOURCES)

    def whynot(self, stream: Stream, pool: tuple[str, str]) -> list[str]:
        """Why the stream may not run in the pool; empty when it may."""
        workload, cluster = self.workloads[stream.workload], self.clusters[pool[0]]
        reasons, wants = self._hardware(workload, pool), self.request(stream.workload)
        if any(want > have + TOLERANCE for want, have in zip(wants, self.room(pool), strict=True)):
            reasons.append("fit: a replica is larger than a machine")
        rule = workload.get("residency") or {}
        if not _allowed(cluster.get("country"), rule.get("allow"), rule.get("deny")):
            reasons.append(f"residency: {cluster.get('country')} is not allowed")
        rule = workload.get("clusters") or {}
        pinned = rule.get("pin") in (None, pool[0], "/".join(pool))
        if not pinned or not _matches(pool[0], rule.get("allow"), rule.get("deny")):
            reasons.append(f"clusters: {pool[0]} is not allowed")
        limit = (workload.get("slo") or {}).get("latency_ms")
        if stream.region and limit is not None and self.latency_ms(stream, pool[0]) > limit + 1e-9:
            reasons.append(f"latency: {self.latency_ms(stream, pool[0])} ms is over {limit} ms")
        return reasons

    def latency_ms(self, stream: Stream, cluster: str) -> float:
        """Round trip from the users to the cluster plus the service time; 0 for work without users."""
        if stream.region is None:
            return 0.0
        service_ms = (self.workloads[stream.workload].get("slo") or {}).get("service_ms", 0)
        return self.rtt_ms(stream.region, self.place(cluster)) + service_ms

    def _hardware(self, workload: Row, pool: tuple[str, str]) -> list[str]:
        hardware, machine = workload.get("hardware") or {}, self.pools[pool]["machine"]
        reasons = []
        models = hardware.get("gpu_models")
        if models is not None and machine.get("gpu_model") not in models:
            reasons.append(f"hardware: {machine.get('gpu_model')} is not among {models}")
        if machine.get("arch", "x86_64") not in hardware.get("arch", ["x86_64"]):
            reasons.append(f"hardware: {machine.get('arch')} is not allowed")
        return reasons

    # ------------------------------------------------------------ needs

    @cache  # noqa: B019
    def throughput(self, workload: str, pool: tuple[str, str]) -> float:
        """Speed on this hardware: by GPU model for work with GPUs, else by the first matching machine pattern."""
        table = (self.workloads[workload].get("hardware") or {}).get("throughput") or {}
        machine = self.pools[pool]["machine"]
        if self.workloads[workload]["request"].get("gpu", 0) > 0:
            return float(table.get(machine.get("gpu_model"), 1.0))
        name = machine.get("name", "")
        return float(next((factor for pattern, factor in table.items() if fnmatchcase(name, pattern)), 1.0))

    def batch_window(self, workload: str, pool: tuple[str, str]) -> tuple[int, int, int, int, int]:
        """(length, earliest, latest, runs, period) in slots of a workload with `batch` on this pool's hardware."""
        batch = self.workloads[workload]["batch"]
        duration, every = batch["duration_slots"], batch.get("every_slots")
        latest = batch.get("latest_slot", self.slots - duration)
        runs = max(1, 1 + math.floor((self.slots - duration - latest) / every)) if every else 1
        length = ceil(duration / self.throughput(workload, pool))
        return length, batch.get("earliest_slot", 0), latest, runs, every or 0

    def whynot_start(self, workload: str, pool: tuple[str, str], start: int | None) -> list[str]:
        """Why the work may not start in this slot; empty when it may."""
        if not self.workloads[workload].get("batch"):
            return [] if start is None else [f"start: {workload} has no batch window, yet start_slot is {start}"]
        if start is None:
            return [f"start: {workload} has a batch window, yet no start_slot"]
        length, earliest, latest, runs, period = self.batch_window(workload, pool)
        reasons = []
        if not earliest <= start <= latest:
            reasons.append(f"start: slot {start} is outside {earliest}..{latest}")
        if runs > 1 and length > period:
            reasons.append(f"start: runs of {length} slots every {period} overlap")
        if start + (runs - 1) * period + length > self.slots:
            reasons.append(f"start: from slot {start} the last run ends after the horizon")
            return reasons
        return reasons + [f"start: the run from slot {first} lies in two windows"
                          for first in (start + run * period for run in range(runs))
                          if self.window[first] != self.window[first + length - 1]]

    @cache  # noqa: B019
    def need(self, unit: Unit, copies: int) -> tuple[int, ...]:
        """Replicas of one of `copies` copies in every slot."""
        return self.need_of(unit, copies, self.workloads[unit.stream.workload]["replicas"])

    def need_of(self, unit: Unit, copies: int, rows: list[int]) -> tuple[int, ...]:
        """The same where the workload as a whole asks for `rows`."""
        name, part = unit.stream.workload, unit.stream.share / max(1, copies - 1)
        if not self.workloads[name].get("batch"):
            speed = self.throughput(name, unit.pool)
            return tuple(ceil(taken / speed) for taken in self._taken(unit, [r * part for r in rows]))
        length, _, _, runs, period = self.batch_window(name, unit.pool)
        out = [0] * self.slots
        for run in range(runs):
            first = (unit.start or 0) + run * period
            for t in range(max(0, first), min(self.slots, first + length)):
                out[t] = ceil(max(rows) * part)
        return tuple(out)

    def _taken(self, unit: Unit, load: list[float]) -> list[float]:
        """What a part takes of the replicas before throughput: its cap at most of what the parts before it leave."""
        left = [max(0.0, r - unit.below) for r in load]
        return left if unit.cap is None else [min(unit.cap, r) for r in left]

    def part_share(self, unit: Unit) -> float:
        """The share of its copy's replicas that a part takes, over all slots."""
        if self.workloads[unit.stream.workload].get("batch"):
            return 1.0
        load = [r * unit.stream.share for r in self.workloads[unit.stream.workload]["replicas"]]
        return sum(self._taken(unit, load)) / sum(load) if sum(load) else float(unit.below == 0)

    @cache  # noqa: B019
    def slowed(self, workload: str, other: str, pool: tuple[str, str]) -> float:
        """What is left of a workload's throughput beside another where both may share a machine of the pool."""
        wants = zip(self.request(workload), self.request(other), self.room(pool), strict=True)
        if workload == other or any(a + b > have + TOLERANCE for a, b, have in wants):
            return 1.0
        left, model = [1.0], self.pools[pool]["machine"].get("gpu_model")
        for row in self.scenario.get("interference") or []:
            if row.get("gpu_model") in (None, model):
                if fnmatchcase(workload, row["workload"]) and fnmatchcase(other, row["other"]):
                    left.append(row.get("throughput", 1.0))
                if fnmatchcase(workload, row["other"]) and fnmatchcase(other, row["workload"]):
                    left.append(row.get("other_throughput", 1.0))
        return min(left)

    def beside(self, pool: tuple[str, str], load: dict[Any, int], name: Any = None) -> dict[Any, int]:
        """Replicas in one slot of a pool by key, as many as they need beside each other; `name` gives a key's workload.
        """
        name = name or (lambda key: key)
        there = {name(key) for key, replicas in load.items() if replicas}
        return {key: ceil(n / min([1.0, *(self.slowed(name(key), other, pool) for other in there)]))
                for key, n in load.items()}

    # ------------------------------------------------------------ promises

    def broken_promises(self, workload: str, placed: dict[Stream, list[Unit]]) -> list[str]:
        """Which of its SLOs a workload misses; `placed` are its units by stream."""
        slo = self.workloads[workload].get("slo") or {}
        units = [unit for stream in self.streams_of(workload) for unit in placed.get(stream, [])]
        missed = ["placement" for stream in self.streams_of(workload) if not placed.get(stream)]
        missed += ["availability" for stream in self.streams_of(workload) if placed.get(stream)
                   and self.availability(placed[stream]) < slo.get("availability", 0) - 1e-12]
        missed += ["deadline" for unit in units if self._late(unit, slo.get("deadline_slot"))]
        for promise, sign in (("deploy_minutes", 1), ("durability", -1)):
            stated = [self.clusters[unit.pool[0]].get(promise) for unit in units]
            if promise in slo:
                missed += [promise for has in stated if has is None or sign * has > sign * slo[promise]]
        if slo.get("min_throughput", 0) > 0 and self._least_throughput(workload) < slo["min_throughput"] - 1e-9:
            missed.append("min_throughput")
        return missed

    def crowded(self, units: list[Unit]) -> bool:
        """Whether two copies lie in one failure domain; parts of one copy may."""
        return any(a.copy != b.copy and self.domain(a.pool) == self.domain(b.pool) for a in units for b in units)

    def domain(self, pool: tuple[str, str]) -> tuple[str, str | None]:
        """The failure domain of a pool: its zone where the cluster has zones, else the cluster."""
        return pool[0], self.pools[pool].get("zone")

    def leans_on(self, pool: tuple[str, str]) -> dict[tuple[str, ...], float]:
        """What must be up for a pool to be up, and the chance of each: provider, region, cluster, zone."""
        cluster, zone = self.clusters[pool[0]], self.pools[pool].get("zone")
        stated = {row["name"]: row.get("availability", 1.0) for row in self.scenario.get("domains") or []}
        zones = {row["name"]: row.get("availability", 1.0) for row in cluster.get("zones") or []}
        return {("provider", cluster["provider"]): stated.get(cluster["provider"], 1.0),
                ("region", self.place(pool[0])): stated.get(self.place(pool[0]), 1.0),
                ("cluster", pool[0]): cluster.get("availability", 1.0), ("zone", pool[0], zone): zones.get(zone, 1.0)}

    def availability(self, units: list[Unit]) -> float:
        """The chance that at most one copy is down; for a single copy that it is up. All states are added up.

        A copy is up while all of its parts are.
        """
        needs = [{part: up for unit in units if unit.copy == copy for part, up in self.leans_on(unit.pool).items()}
                 for copy in sorted({unit.copy for unit in units})]
        parts = {part: up for need in needs for part, up in need.items() if up < 1}
        allowed, chance = min(1, len(needs) - 1), 0.0
        for states in product((True, False), repeat=len(parts)):
            is_up = dict(zip(parts, states, strict=True))
            down = sum(not all(is_up.get(part, True) for part in need) for need in needs)
            if down <= allowed:
                chance += math.prod(up if is_up[part] else 1 - up for part, up in parts.items())
        return chance

    def _late(self, unit: Unit, deadline: int | None) -> bool:
        name = unit.stream.workload
        if deadline is None or not self.workloads[name].get("batch") or unit.start is None:
            return False
        return unit.start + self.batch_window(name, unit.pool)[0] - 1 > deadline

    def _least_throughput(self, workload: str) -> float:
        row = self.workloads[workload]
        busy = [r for r in row["replicas"] if r > 0]
        if not busy:
            return math.inf
        least = max(busy) if row.get("batch") else min(busy)
        return least * (row.get("per_replica") or 0.0)


def at(value: Any, t: int) -> float:
    """What an input is in slot t: one number for all slots, or a list with a number for each."""
    return value[t] if isinstance(value, list) else value


def _instant(text: str | datetime | None) -> datetime:
    if isinstance(text, datetime):
        return text
    return datetime.fromisoformat(text or "2026-01-01T00:00:00+00:00")


def _allowed(value: str | None, allow: list[str] | None, deny: list[str] | None) -> bool:
    return (allow is None or value in allow) and value not in (deny or [])


def _matches(value: str, allow: list[str] | None, deny: list[str] | None) -> bool:
    def hit(patterns: list[str]) -> bool:
        return any(fnmatchcase(value, pattern) for pattern in patterns)
    return (allow is None or hit(allow)) and not hit(deny or [])
