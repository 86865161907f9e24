"""Diagnostics are workloads of the plan: one model and one monitor per hardware class and country that opted in."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planner.errors import InputError
from planner.hosting import with_diagnostics
from planner.scenario.model import Scenario
from planner.scenario.replica_rows import ReplicaRows
from planner.watch import Watch, watched


def scenario(clusters: list[dict[str, Any]], slots: int = 168, slot_minutes: int = 60, name: str = "etl") -> Scenario:
    pool = {"name": "p", "machine": {"name": "m", "vcpu": 8, "memory_gib": 32}, "max": 4,
            "offers": [{"purchase": "on_demand", "price_usd_per_hour": 1.0}]}  # fmt: skip
    base = {"provider": "aws", "region": "eu-west-1", "pools": [pool]}
    made = Scenario.model_validate(
        {
            "name": "tiny",
            "horizon": {"start": "2026-11-02T00:00:00Z", "slots": slots, "slot_minutes": slot_minutes},
            "objective": {"mode": "min_cost"},
            "clusters": [base | cluster for cluster in clusters],
            "workloads": [{"name": name, "kind": "etl", "request": {"vcpu": 1, "memory_gib": 1},
                           "replicas": [2] * slots}],
        }
    )  # fmt: skip
    return made.with_source(Path("somewhere"), "0" * 64, ReplicaRows({name: 0}, np.full((1, slots), 2, np.int32)))


CLUSTERS = [
    {"name": "a", "country": "IE", "hardware_class": "general", "telemetry_opt_in": True},
    {"name": "b", "country": "IE", "hardware_class": "general", "telemetry_opt_in": True},
    {"name": "c", "country": "DE", "hardware_class": "all-flash", "telemetry_opt_in": True},
    {"name": "d", "country": "US", "hardware_class": "general"},
]


def test_one_model_and_one_monitor_per_class_and_country() -> None:
    """Clusters of one class and country share theirs, kept in that country; a cluster not opted in adds none."""
    before = scenario(CLUSTERS)
    after = with_diagnostics(before)
    added = after.workloads[1:]
    assert [(workload.name, workload.kind, workload.residency.allow) for workload in added] == [
        ("diagnostics-model-all-flash-de", "diagnostics", ("DE",)),
        ("drift-monitor-all-flash-de", "drift_monitor", ("DE",)),
        ("diagnostics-model-general-ie", "diagnostics", ("IE",)),
        ("drift-monitor-general-ie", "drift_monitor", ("IE",)),
    ]
    assert after.workloads[0] == before.workloads[0]
    assert len(before.workloads) == 1


def test_needs_and_source_are_carried() -> None:
    """The additions state one replica in every slot; the folder stays, and the hash tells the two scenarios apart."""
    before = scenario(CLUSTERS)
    after = with_diagnostics(before)
    names = [workload.name for workload in after.workloads]
    np.testing.assert_array_equal(after.given_replicas.stack(names), [[2] * 168, *[[1] * 168] * 4])
    assert after.folder == before.folder
    assert after.source_sha256 != before.source_sha256
    assert with_diagnostics(before).source_sha256 == after.source_sha256


@pytest.mark.parametrize(
    ("slots", "slot_minutes", "every"), [(168, 60, 24), (48, 30, 48), (12, 60, None), (7, 1440, None)]
)
def test_the_monitor_runs_once_a_day_where_there_are_hours_to_choose(
    slots: int, slot_minutes: int, every: int | None
) -> None:
    """With a day or more of shorter slots the monitor runs one slot a day; otherwise it simply runs."""
    monitor = with_diagnostics(scenario(CLUSTERS, slots, slot_minutes)).workloads[-1]
    assert (monitor.batch.every_slots if monitor.batch else None) == every


@pytest.mark.parametrize(
    ("clusters", "name", "says"),
    [
        ([CLUSTERS[3]], "etl", "clusters: telemetry_opt_in: no cluster sends telemetry"),
        ([{"name": "a", "country": "IE", "telemetry_opt_in": True}], "etl", "clusters: a: hardware_class: not given"),
        ([CLUSTERS[0] | {"country": None}], "etl", "clusters: a: country: not given"),
        (CLUSTERS, "drift-monitor-general-ie", "workloads: drift-monitor-general-ie: the name is needed"),
    ],
)
def test_what_is_missing_is_named(clusters: list[dict[str, Any]], name: str, says: str) -> None:
    """No telemetry, no hardware class, no country or a taken name is refused in one line."""
    with pytest.raises(InputError) as caught:
        with_diagnostics(scenario(clusters, name=name))
    assert caught.value.problems[0].startswith(says)


def test_diagnose_reads_the_example_and_refuses_in_one_line(tmp_path: Path) -> None:
    """What the command line calls answers for the example, and names what is wrong with a bad file."""
    example = Path(__file__).resolve().parents[2] / "examples" / "hybrid" / "telemetry.parquet"
    assert watched(Watch(example)).diagnosis.found
    with pytest.raises(InputError, match=r"none\.csv: no such file") as caught:
        watched(Watch(tmp_path / "none.csv"))
    assert len(caught.value.problems) == 1
