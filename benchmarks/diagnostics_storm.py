"""A storm: 1,000 alarms from 5 faults, with noise, delays and doubles, into few super alarms that name the faults.

Storms are drawn from a seed: a fleet of four providers, 24 clusters and services that call each other; five faults of
different kinds that begin within an hour; alarms that spread with a delay; a tenth of all alarms of no fault. No data
are read. Storms 0 to 19 of seed 1 were looked at when choices were made (development), the others were not (check).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from rich.table import Table

from benchmarks.diagnostics_files import HALVES
from benchmarks.harness import Row, table
from diagnostics.alarms import Event, GroupPolicy, Ledger, LifePolicy, alarms_at, group, where
from diagnostics.causes.sharing import Attributes, Inventory, matching

METHODS = ("planner", "by-cluster", "by-condition", "by-time")
STORMS, DEVELOPMENT = 60, 20
ALARMS, FAULTS = 1000, 5
START = datetime(2026, 11, 2, 8, tzinfo=UTC)
SPAN_MINUTES = 60
NOISE = 0.1
DOUBLES = 0.05
KINDS = ("region", "cluster", "hardware_class", "device", "service", "provider_hardware")
CONDITIONS = {
    "region": ("unreachable", "packet_loss high", "rtt_ms high"),
    "cluster": ("cpu_util high", "queue_depth high", "read_latency_ms high"),
    "hardware_class": ("read_latency_ms high", "write_latency_ms high"),
    "device": ("read_errors high", "read_latency_ms high"),
    "service": ("error_rate high", "p99_ms high"),
    "provider_hardware": ("cpu_util high", "throttled high"),
}
HARDWARE = ("nvme", "mixed", "gpu")
DEVICES = ("d1", "d2", "d3", "d4", "d5", "d6")
ALL_CONDITIONS = tuple(sorted({condition for some in CONDITIONS.values() for condition in some}))


@dataclass(frozen=True)
class Storm:
    """What happened (a conjunction a fault) and the events that tell of it, in the order they come in; `fault` has the
    number of the fault that each fingerprint comes from, -1 for noise.
    """

    inventory: Inventory
    faults: tuple[Attributes, ...]
    events: tuple[Event, ...]
    fault: dict[str, int]


@dataclass(frozen=True)
class Grouped:
    """One group of alarms: fingerprints, and what it says is the cause."""

    members: frozenset[str]
    first: Attributes


def measure(data: Path, instances: Sequence[str], methods: Sequence[str], seed: int,
            told: Callable[[str], None]) -> tuple[list[Row], Table]:
    """How many super alarms there are, and the shares of faults found and of first hypotheses that are right."""
    unknown = [name for name in instances if not (name.isdigit() and int(name) < STORMS)]
    if unknown:
        raise ValueError(f"--instances {unknown[0]}: storms are numbered from 0 to {STORMS - 1}")
    numbers = [int(name) for name in instances] or list(range(STORMS))
    storms = {number: draw(1000 * seed + number) for number in numbers}
    rows: list[Row] = []
    shown = table(f"Storm: {len(storms)} of {ALARMS} alarms from {FAULTS} faults (nothing is read from {data.name})",
                  ("method", "storms", "super alarms", "most", "in 5..10", "faults found", "first right", "4 of 5",
                   "ms"))
    for method in methods:
        told(f"storm: {method}")
        begun, cpu = time.perf_counter(), time.process_time()
        figures = {number: _figures(storm, GROUPINGS[method](storm)) for number, storm in storms.items()}
        spent = round(time.perf_counter() - begun, 2), round(time.process_time() - cpu, 2)
        for name in ("all", *HALVES):
            chosen = [made for number, made in figures.items()
                      if name == "all" or (number < DEVELOPMENT) == (name == HALVES[0])]
            if not chosen:
                continue
            groups, found, right = np.array(chosen).T
            values = {"super_alarms": groups.mean(), "super_alarms_most": groups.max(),
                      "within_5_10": ((groups >= 5) & (groups <= 10)).mean(), "faults_found": found.mean(),
                      "first_right": right.mean(), "four_of_five": (right >= 0.8).mean(),
                      "no_fault_lost": (found >= 1).mean()}
            rows += [Row(name, method, metric, round(float(value), 4), "alarms" if "super" in metric else "share",
                         *spent, 0.0) for metric, value in values.items()]
            shown.add_row(method, f"{name} ({len(chosen)})", f"{values['super_alarms']:.1f}",
                          f"{values['super_alarms_most']:.0f}",
                          *(f"{values[key]:.3f}"
                            for key in ("within_5_10", "faults_found", "first_right", "four_of_five")),
                          f"{1000 * spent[1] / len(storms):.0f}", end_section=name == HALVES[1])
    return rows, shown


def _figures(storm: Storm, groups: list[Grouped]) -> tuple[float, float, float]:
    """Number of groups; share of faults that have a group of their own (most of their alarms are in it, and most of it
    are theirs); share of faults whose group names them first: the same entities, whatever the words.
    """
    found = right = 0
    for number, truth in enumerate(storm.faults):
        its = {mark for mark, fault in storm.fault.items() if fault == number}
        own = max(groups, key=lambda one: len(one.members & its))
        here = len(own.members & its)
        if 2 * here > len(its) and 2 * here > len(own.members):
            found += 1
            right += bool(own.first) and bool((matching(storm.inventory, own.first)
                                               == matching(storm.inventory, truth)).all())
    return float(len(groups)), found / FAULTS, right / FAULTS


# ---------------------------------------------------------------- storms


def draw(seed: int) -> Storm:
    """One storm."""
    generator = np.random.default_rng(seed)
    inventory = _fleet(generator)
    faults = _faults(generator, inventory)
    marks: dict[str, int] = {}
    events: list[Event] = []
    begun = np.sort(generator.uniform(0, SPAN_MINUTES, FAULTS))
    sizes = generator.dirichlet(np.full(FAULTS, 3.0)) * (ALARMS * (1 - NOISE) - 60 * FAULTS) + 60
    for number, (kind, truth) in enumerate(faults):
        inside = np.flatnonzero(matching(inventory, truth))
        places = [(row, condition) for row in generator.permutation(inside) for condition in CONDITIONS[kind]]
        reach = generator.uniform(0.5, 0.95)
        places = [place for place in places if generator.random() < reach]
        for row, condition in [places[i % len(places)] for i in range(int(sizes[number]))]:
            delay = generator.exponential(3.0) + (generator.exponential(4.0) if kind == "service" else 0.0)
            event = _event(generator, inventory.entities[row], condition, float(begun[number]) + delay)
            if marks.setdefault(event.fingerprint, number) == number:
                events.append(event)
    while len(events) < ALARMS:
        row, condition = int(generator.integers(len(inventory.entities))), str(generator.choice(ALL_CONDITIONS))
        event = _event(generator, inventory.entities[row], condition, float(generator.uniform(0, SPAN_MINUTES + 20)))
        if marks.setdefault(event.fingerprint, -1) == -1:
            events.append(event)
    events = events[:ALARMS]
    doubled = [events[i] for i in generator.integers(0, len(events), int(DOUBLES * ALARMS))]
    known = {event.fingerprint for event in events}
    order = generator.permutation(len(events) + len(doubled))
    every = [*events, *doubled]
    return Storm(inventory, tuple(truth for _, truth in faults), tuple(every[i] for i in order),
                 {mark: number for mark, number in marks.items() if mark in known})


def _event(generator: np.random.Generator, entity: Attributes, condition: str, minutes: float) -> Event:
    at = START + timedelta(seconds=round(60 * minutes))
    return Event(at, condition, entity, strength=float(generator.uniform(4, 20)), users_affected=None)


def _fleet(generator: np.random.Generator) -> Inventory:
    """Service instances on hosts: 4 providers, 12 regions, 24 clusters, 12 hosts each, two services a host."""
    services = [f"service-{number:02}" for number in range(24)]
    # A service calls later ones only, so that calls have no cycle.
    callees = {name: [services[j] for j in generator.choice(np.arange(i + 1, 24), size=min(2, 23 - i), replace=False)]
               for i, name in enumerate(services)}
    depends: dict[str, set[str]] = {}
    for name in reversed(services):
        depends[name] = {name}.union(*(depends[callee] for callee in callees[name]))
    entities = []
    for cluster in range(24):
        region = cluster // 2
        for host in range(12):
            hardware, device = (str(generator.choice(names)) for names in (HARDWARE, DEVICES))
            entities += [where({
                "provider": f"provider-{region // 3}", "region": f"region-{region:02}",
                "cluster": f"cluster-{cluster:02}", "host": f"host-{cluster:02}-{host:02}", "hardware_class": hardware,
                "device": device, "service": str(service), "depends_on": tuple(sorted(depends[str(service)]))})
                for service in generator.choice(services, size=2, replace=False)]
    return Inventory(tuple(sorted(set(entities))))


def _faults(generator: np.random.Generator, inventory: Inventory) -> list[tuple[str, Attributes]]:
    """Faults of different kinds, each at 15 to 220 entities, at most half of which are another fault's, too."""
    while True:
        faults: list[tuple[str, Attributes]] = []
        taken = np.zeros(len(inventory.entities), dtype=bool)
        for kind in generator.permutation(KINDS)[:FAULTS]:
            entity = dict(inventory.entities[int(generator.integers(len(inventory.entities)))])
            names = {"provider_hardware": ("provider", "hardware_class")}.get(kind, (str(kind),))
            truth: Attributes = tuple((name, entity[name]) for name in names)
            if kind == "service":
                truth = (("depends_on", entity["service"]),)
            inside = matching(inventory, truth)
            if not 15 <= inside.sum() <= 220 or (inside & taken).sum() > inside.sum() / 2:
                break
            faults.append((str(kind), truth))
            taken |= inside
        if len(faults) == FAULTS:
            return faults


# ---------------------------------------------------------------- methods


def _planner(storm: Storm) -> list[Grouped]:
    end = START + timedelta(hours=2)
    found = group(alarms_at(Ledger().take(storm.events), end, LifePolicy()), storm.inventory, GroupPolicy())
    return [Grouped(frozenset(alarm.fingerprint for alarm in one.alarms),
                    one.hypotheses[0].conditions if one.hypotheses else ()) for one in found]


def _by(key: Callable[[Event], object]) -> Callable[[Storm], list[Grouped]]:
    """Group by one thing, as is usual; the cause is the attribute value that most of the group have."""
    def grouping(storm: Storm) -> list[Grouped]:
        parts: dict[object, list[Event]] = {}
        for event in sorted(storm.events):
            parts.setdefault(key(event), []).append(event)
        return [Grouped(frozenset(event.fingerprint for event in events), (_commonest(events),))
                for events in parts.values()]

    return grouping


def _commonest(events: list[Event]) -> tuple[str, str]:
    counts = Counter(pair for event in events for pair in event.attributes)
    return min(counts, key=lambda pair: (-counts[pair], pair))


GROUPINGS: dict[str, Callable[[Storm], list[Grouped]]] = {
    "planner": _planner,
    "by-cluster": _by(lambda event: dict(event.attributes)["cluster"]),
    "by-condition": _by(lambda event: event.condition),
    "by-time": _by(lambda event: (event.at - START) // timedelta(minutes=10)),
}
