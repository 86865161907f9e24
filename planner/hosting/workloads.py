"""Diagnostics as workloads: what every watched cluster and hardware class needs, placed like any other work.

Telemetry never leaves its country, neither to be scored nor to be trained on, so all of it is resident there. There is
one `diagnostics` workload for every watched cluster, one `drift_monitor` for its stream, and one recurring `training`
for every hardware class and country with a cluster that opted in: clusters of one country are pooled, countries not.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from math import ceil, floor

import numpy as np

from planner.errors import InputError
from planner.hosting.cost import MEASURED, Cost, replicas_of
from planner.scenario.model import (
    Batch,
    Cluster,
    Data,
    Horizon,
    Request,
    Residency,
    Scenario,
    Slo,
    Telemetry,
    User,
    Watches,
    Workload,
)
from planner.scenario.replica_rows import ReplicaRows

OWNER = "diagnostics"
MINUTES_PER_DAY = 24 * 60
VERDICT_MS = 2000.0
"""What may pass from a row to its verdict, the way to the host included."""
ROW_BYTES = 400
"""Of one host's row as it is sent: some ten metrics with their names."""


def watched(cluster: Cluster) -> Telemetry | None:
    """What a cluster sends that is watched, None for one that sends nothing."""
    if cluster.telemetry is not None:
        return cluster.telemetry
    return Telemetry() if cluster.telemetry_opt_in else None


def with_diagnostics(scenario: Scenario, cost: Cost = MEASURED) -> Scenario:
    """The scenario and the diagnostics of all its clusters that send telemetry, sized by what was measured: by what the
    scenario says of a hardware class (`diagnostics_costs`), else by `cost`.

    Scoring runs all the time, within reach of the cluster it watches and as available, and has somewhere to go when its
    own place is lost. Drift is compared and models are trained once a day, at whatever hour is cheapest, and may be
    interrupted (`planner.nearness` says where, of places that cost the same). Clusters that did not opt in are scored,
    and never trained on. What a workload of the scenario does already is left to it. Call this on a resolved scenario:
    clusters need their country.

    Raises:
        InputError: no cluster sends telemetry, one that does has no hardware class or country, or a name is taken.

    """
    problems, sending = [], []
    for cluster in scenario.clusters:
        if watched(cluster) is None:
            continue
        missing = [name for name in ("hardware_class", "country") if getattr(cluster, name) is None]
        problems += [f"clusters: {cluster.name}: {name}: not given: diagnostics need one; state it" for name in missing]
        sending.append(cluster)
    if not sending:
        problems.append(
            "clusters: telemetry_opt_in: no cluster sends telemetry: set it to true where that is allowed, "
            "or give telemetry to one that is only to be watched"
        )
    by_class: dict[str, Cost] = defaultdict(lambda: cost)
    for name, told in scenario.diagnostics_costs.items():
        try:
            by_class[name] = Cost.from_dict(told)
        except InputError as error:
            problems += [f"diagnostics_costs: {name}: {line}" for line in error.problems]
    added = () if problems else tuple(_added(scenario, sending, by_class))
    taken = {workload.name for workload in scenario.workloads}
    problems += [
        f"workloads: {workload.name}: the name is needed for diagnostics: give the other workload another name"
        for workload in added
        if workload.name in taken
    ]
    if problems:
        raise InputError(problems)
    return _with_workloads(scenario, added)


def _added(scenario: Scenario, sending: list[Cluster], costs: Mapping[str, Cost]) -> Iterator[Workload]:
    inside: dict[str, int] = defaultdict(int)
    for cluster in scenario.clusters:
        inside[cluster.country or ""] += 1
    pools: dict[tuple[str, str], list[Cluster]] = defaultdict(list)
    own = [workload.watches for workload in scenario.workloads if workload.watches is not None]
    done = {(name, watches.purpose) for watches in own for name in watches.clusters}
    for cluster in sorted(sending, key=lambda one: one.name):
        cost = costs[cluster.hardware_class or ""]
        if (cluster.name, "score") not in done:
            yield _scoring(scenario, cluster, cost, elsewhere=inside[cluster.country or ""] > 1)
        if (cluster.name, "drift") not in done:
            yield _monitor(scenario.horizon, cluster, cost)
        if cluster.telemetry_opt_in:
            pools[cluster.hardware_class or "", cluster.country or ""].append(cluster)
    for (hardware_class, country), clusters in sorted(pools.items()):
        yield _training(scenario.horizon, (hardware_class, country), clusters, costs[hardware_class])


def _watches(cluster: Cluster, purpose: str) -> Watches:
    return Watches.model_validate(
        {
            "hardware_class": cluster.hardware_class,
            "clusters": (cluster.name,),
            "country": cluster.country,
            "purpose": purpose,
        }
    )


def _scoring(scenario: Scenario, cluster: Cluster, cost: Cost, *, elsewhere: bool) -> Workload:
    """Scores every row of a cluster; `elsewhere`: another cluster of the country may take it over."""
    sends = watched(cluster)
    assert sends is not None
    replicas, vcpu = replicas_of(cost.score_load(sends.rows_per_hour, sends.hosts))
    trained = "" if cluster.telemetry_opt_in else "; its rows are never trained on: telemetry_opt_in is not set"
    gb_per_day = sends.rows_per_hour * sends.hosts * 24 * ROW_BYTES / 1e9
    return Workload(
        name=f"diagnostics-{cluster.name}",
        kind="diagnostics",
        description=f"Says of every row of {cluster.name} ({cluster.hardware_class}) whether it is well{trained}",
        owner=OWNER,
        survive="cluster" if elsewhere else "none",
        request=Request(vcpu=vcpu, memory_gib=cost.score_memory_gib),
        residency=Residency(allow=(cluster.country or "",)),
        replicas=(replicas,) * scenario.horizon.slots,
        users=(User(region=cluster.region_key),),
        slo=Slo(latency_ms=VERDICT_MS, service_ms=cost.verdict_ms, availability=_availability(scenario, cluster)),
        data=Data(location=cluster.region_key, gb_per_day_in=gb_per_day),
        watches=_watches(cluster, "score"),
    )


def _availability(scenario: Scenario, cluster: Cluster) -> float:
    """That of a cluster by itself in its failure domains: what watches it need not be up more often."""
    up = cluster.availability * min((zone.availability for zone in cluster.zones), default=1.0)
    for domain in scenario.domains:
        if domain.name in (cluster.provider, cluster.region_key):
            up *= domain.availability
    return floor(up * 1e9) / 1e9


def _monitor(horizon: Horizon, cluster: Cluster, cost: Cost) -> Workload:
    sends = watched(cluster)
    assert sends is not None
    batch, replicas = _daily(horizon, cost.drift_s(sends.rows_per_hour, sends.hosts))
    return Workload(
        name=f"drift-monitor-{cluster.name}",
        kind="drift_monitor",
        description=f"Compares this month of {cluster.name} with the month before",
        owner=OWNER,
        survive="none",
        request=Request(vcpu=1.0, memory_gib=cost.drift_memory_gib),
        residency=Residency(allow=(cluster.country or "",)),
        replicas=(replicas,) * horizon.slots,
        batch=batch,
        preemptible=True,
        watches=_watches(cluster, "drift"),
    )


def _training(horizon: Horizon, group: tuple[str, str], clusters: list[Cluster], cost: Cost) -> Workload:
    hardware_class, country = group
    streams = [sends for sends in map(watched, clusters) if sends is not None]
    cpu_s = cost.train_s(sum(sends.rows_per_hour * sends.hosts for sends in streams))
    batch, replicas = _daily(horizon, cpu_s)
    return Workload(
        name=f"training-{hardware_class}-{country.lower()}",
        kind="training",
        description=f"Trains the model of {hardware_class} hardware on rows of {len(clusters)} clusters in {country}",
        owner=OWNER,
        survive="none",
        request=Request(vcpu=1.0, memory_gib=cost.train_gib(sum(sends.hosts for sends in streams))),
        residency=Residency(allow=(country,)),
        replicas=(replicas,) * horizon.slots,
        batch=batch,
        preemptible=True,
        watches=Watches(hardware_class=hardware_class, clusters=tuple(one.name for one in clusters), country=country,
                        purpose="train"),
    )  # fmt: skip


def _daily(horizon: Horizon, cpu_s: float) -> tuple[Batch | None, int]:
    """When so many CPU seconds a day are worked off, and on how many processors: once a day on one; where a day is no
    longer than a run or the horizon shorter than a day, all the time, on as many as it takes.
    """
    per_day = MINUTES_PER_DAY // horizon.slot_minutes
    duration = max(1, ceil(cpu_s / (60.0 * horizon.slot_minutes) - 1e-9))
    if not duration < per_day <= horizon.slots:
        return None, max(1, ceil(cpu_s / (60.0 * MINUTES_PER_DAY) - 1e-9))
    return Batch(duration_slots=duration, latest_slot=per_day - duration, every_slots=per_day), 1


def _with_workloads(scenario: Scenario, added: tuple[Workload, ...]) -> Scenario:
    """The scenario with more workloads, whose replicas are given; its hash says so."""
    rows = scenario.given_replicas
    counts = np.array([workload.replicas for workload in added], np.int32)
    row = dict(rows.row) | {workload.name: len(rows.row) + at for at, workload in enumerate(added)}
    stacked = np.vstack([rows.counts, counts]) if len(rows.row) else counts
    digest = scenario.source_sha256  # where the scenario itself asks for them, it is still the same
    if not scenario.with_diagnostics:
        said = "".join(workload.model_dump_json() for workload in added)
        digest = hashlib.sha256(f"{digest} with {said}".encode()).hexdigest()
    larger = scenario.model_copy(update={"workloads": (*scenario.workloads, *added), "with_diagnostics": False})
    return larger.with_source(scenario.folder, digest, ReplicaRows(row, stacked, rows.paths))
