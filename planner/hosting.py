"""Diagnostics as workloads: a model and a drift monitor for the hardware that sends telemetry, placed like any other.

Telemetry of one hardware class is pooled within a country and never leaves it, so there is one diagnostics model and
one drift monitor for every (hardware class, country) with a cluster that opted in. Clusters that did not opt in add
none.
"""

from __future__ import annotations

import hashlib

import numpy as np

from planner.errors import InputError
from planner.scenario.model import Batch, Horizon, Request, Residency, Scenario, Workload
from planner.scenario.replica_rows import ReplicaRows

# Measured on one core of a small cloud machine: 1000 series of nine weeks of hours (1.5 million values) take 1.5 CPU
# seconds and 230 MiB, drift tests included. The requests below leave room for ten times that and for the interpreter.
VCPU = 0.5
MEMORY_GIB = 2.0
MINUTES_PER_DAY = 24 * 60


def with_diagnostics(scenario: Scenario) -> Scenario:
    """The scenario and a diagnostics model and a drift monitor for each hardware class and country that opted in.

    The model runs all the time on one replica; the monitor runs once a day for one slot, at whatever hour is cheapest,
    and may be interrupted. Clusters need their country: call this on a resolved scenario.

    Raises:
        InputError: no cluster opted in, one that did has no hardware class or country, or a name is taken.

    """
    problems = []
    groups: set[tuple[str, str]] = set()
    for cluster in scenario.clusters:
        if not cluster.telemetry_opt_in:
            continue
        if cluster.hardware_class is None:
            problems.append(f"clusters: {cluster.name}: hardware_class: not given: diagnostics need one; state it")
        elif cluster.country is None:
            problems.append(f"clusters: {cluster.name}: country: not given: diagnostics need one; state it")
        else:
            groups.add((cluster.hardware_class, cluster.country))
    if not groups and not problems:
        problems.append("clusters: telemetry_opt_in: no cluster sends telemetry: set it to true where that is allowed")
    added = tuple(workload for group in sorted(groups) for workload in _workloads(scenario.horizon, *group))
    taken = {workload.name for workload in scenario.workloads}
    problems += [
        f"workloads: {workload.name}: the name is needed for diagnostics: give the other workload another name"
        for workload in added
        if workload.name in taken
    ]
    if problems:
        raise InputError(problems)
    return _with_workloads(scenario, added)


def _workloads(horizon: Horizon, hardware_class: str, country: str) -> tuple[Workload, Workload]:
    """The model and the monitor of one hardware class in one country."""
    suffix = f"{hardware_class}-{country.lower()}"
    request, residency = Request(vcpu=VCPU, memory_gib=MEMORY_GIB), Residency(allow=(country,))
    always = (1,) * horizon.slots
    slots_per_day = MINUTES_PER_DAY // horizon.slot_minutes
    # A horizon of less than a day, or of slots that are days, leaves no hour to choose.
    daily = Batch(duration_slots=1, latest_slot=slots_per_day - 1, every_slots=slots_per_day)
    model = Workload(
        name=f"diagnostics-model-{suffix}",
        kind="diagnostics",
        description=f"Finds and explains what is wrong on {hardware_class} hardware in {country}",
        request=request,
        residency=residency,
        replicas=always,
    )
    monitor = Workload(
        name=f"drift-monitor-{suffix}",
        kind="drift_monitor",
        description=f"Compares this month with the month before on {hardware_class} hardware in {country}",
        request=request,
        residency=residency,
        replicas=always,
        batch=daily if 1 < slots_per_day <= horizon.slots else None,
        preemptible=True,
    )
    return model, monitor


def _with_workloads(scenario: Scenario, added: tuple[Workload, ...]) -> Scenario:
    """The scenario with more workloads, all of which need one replica in every slot; its hash says so."""
    rows = scenario.given_replicas
    ones = np.ones((len(added), scenario.horizon.slots), np.int32)
    row = dict(rows.row) | {workload.name: len(rows.row) + at for at, workload in enumerate(added)}
    counts = np.vstack([rows.counts, ones]) if len(rows.row) else ones
    digest = hashlib.sha256(f"{scenario.source_sha256} with diagnostics".encode()).hexdigest()
    larger = scenario.model_copy(update={"workloads": (*scenario.workloads, *added)})
    return larger.with_source(scenario.folder, digest, ReplicaRows(row, counts, rows.paths))
