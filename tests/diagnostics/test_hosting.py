"""Diagnostics are workloads of the plan: one model and one monitor per hardware class and country that opted in."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog import builtin_catalog
from planner.errors import InputError
from planner.hosting import MEASURED, Cost, hosted_of, hosted_text, parse_hosted, with_diagnostics
from planner.planning import PlanRequest, make_plan
from planner.resolve import resolve
from planner.scenario import parse_scenario
from planner.scenario.model import Scenario, User, Watches, Workload
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
SUPPLIES = {"name": "e", "country": "IE", "hardware_class": "mixed-disk", "telemetry": {"rows_per_hour": 60.0}}
"""Is watched and did not opt in."""


def test_every_watched_cluster_and_every_class_has_its_workloads() -> None:
    """A cluster that sends telemetry is scored and watched for drift; classes are trained on those that opted in."""
    before = scenario([*CLUSTERS, SUPPLIES])
    after = with_diagnostics(before)
    found = {workload.name: workload for workload in after.workloads[1:]}
    assert {name: (one.kind, one.residency.allow) for name, one in found.items()} == {
        "diagnostics-a": ("diagnostics", ("IE",)), "drift-monitor-a": ("drift_monitor", ("IE",)),
        "diagnostics-b": ("diagnostics", ("IE",)), "drift-monitor-b": ("drift_monitor", ("IE",)),
        "diagnostics-c": ("diagnostics", ("DE",)), "drift-monitor-c": ("drift_monitor", ("DE",)),
        "diagnostics-e": ("diagnostics", ("IE",)), "drift-monitor-e": ("drift_monitor", ("IE",)),
        "training-all-flash-de": ("training", ("DE",)), "training-general-ie": ("training", ("IE",)),
    }  # fmt: skip
    assert found["training-general-ie"].watches == Watches(
        hardware_class="general", clusters=("a", "b"), country="IE", purpose="train")
    assert "never trained on: telemetry_opt_in is not set" in found["diagnostics-e"].description
    assert (found["diagnostics-a"].survive, found["diagnostics-c"].survive) == ("cluster", "none")
    assert found["diagnostics-a"].users == (User(region="aws/eu-west-1"),)
    assert after.workloads[0] == before.workloads[0]
    assert len(before.workloads) == 1


def test_what_is_watched_already_is_not_watched_twice() -> None:
    """A workload of the scenario scores a, so none is added that does; months are compared by one that is added."""
    before = scenario(CLUSTERS)
    by_hand = before.workloads[0].model_copy(update={
        "name": "mine", "watches": Watches(hardware_class="general", clusters=("a",), country="IE", purpose="score")})
    after = with_diagnostics(before.model_copy(update={"workloads": (*before.workloads, by_hand)}))
    assert {one.name for one in after.workloads if one.watches and "a" in one.watches.clusters} == {
        "mine", "drift-monitor-a", "training-general-ie"}


@given(rows=st.floats(0.1, 1e6), hosts=st.integers(1, 5000), cost=st.floats(1e-5, 0.1))
def test_replicas_and_requests_hold_the_measured_load_twice(rows: float, hosts: int, cost: float) -> None:
    """Whatever a cluster sends, its replicas together request twice the processors that scoring it keeps busy."""
    sends = {"rows_per_hour": rows, "hosts": hosts}
    after = with_diagnostics(scenario([SUPPLIES | {"telemetry": sends}], slots=2), replace(MEASURED, score_cpu_s=cost))
    work = after.workloads[1]
    assert isinstance(work.replicas, tuple)
    assert work.request is not None
    assert 0.05 <= work.request.vcpu <= 1.0
    assert work.replicas[0] * (work.request.vcpu + 0.0005) >= 2 * cost * rows * hosts / 3600


def processor_seconds(work: Workload) -> float:
    """What a workload requests of processors, a day."""
    assert work.request is not None
    assert isinstance(work.replicas, tuple)
    slots = 24 if work.batch is None else work.batch.duration_slots
    return work.replicas[0] * work.request.vcpu * slots * 3600.0


@given(rows=st.floats(0.1, 1e5), hosts=st.integers(1, 5000), times=st.floats(1, 100), more=st.integers(0, 5000))
def test_drift_and_training_request_what_their_telemetry_takes(
    rows: float, hosts: int, times: float, more: int
) -> None:
    """Whatever two clusters send: processors for two months of rows, and memory for what training keeps of each host;
    who sends more never requests less.
    """

    def added(rows: float, hosts: int) -> dict[str, Workload]:
        sends = {"telemetry": {"rows_per_hour": rows, "hosts": hosts}}
        after = with_diagnostics(scenario([cluster | sends for cluster in CLUSTERS[:2]], slots=24))
        return {one.kind: one for one in after.workloads}

    less, larger = added(rows, hosts), added(rows * times, hosts + more)
    sent = rows * hosts
    assert processor_seconds(less["drift_monitor"]) >= MEASURED.drift_cpu_s * sent / 4
    assert processor_seconds(less["training"]) >= MEASURED.train_cpu_s + 2 * sent * 56 * 24 * MEASURED.train_row_cpu_s
    training, drift = less["training"].request, less["drift_monitor"].request
    assert training is not None
    assert drift is not None
    assert training.memory_gib >= MEASURED.train_memory_gib + 2 * hosts * MEASURED.train_host_gib - 0.0005
    assert drift.memory_gib == MEASURED.drift_memory_gib
    for kind in ("drift_monitor", "training"):
        before, after = less[kind], larger[kind]
        assert processor_seconds(after) >= processor_seconds(before)
        assert before.request is not None
        assert after.request is not None
        assert after.request.memory_gib >= before.request.memory_gib


def test_figures_without_those_of_rows_have_the_usual_ones() -> None:
    """What was measured or stated before there were any is read as before; unknown ones are refused."""
    newer = {"train_row_cpu_s", "train_host_gib"}
    older = {name: value for name, value in asdict(MEASURED).items() if name not in newer}
    assert Cost.from_dict(older) == MEASURED
    with pytest.raises(InputError, match="known beside them train_row_cpu_s, train_host_gib"):
        Cost.from_dict(older | {"train_rows": 1.0})


def test_a_scenario_may_ask_for_them_itself() -> None:
    """With `with_diagnostics: true` they are there once resolved, once however often, and the scenario is the same."""
    asked = scenario(CLUSTERS).model_copy(update={"with_diagnostics": True})
    asked = asked.with_source(Path("somewhere"), "1" * 64, ReplicaRows({"etl": 0}, np.full((1, 168), 2, np.int32)))
    made = resolve(asked, builtin_catalog())
    assert len(made.workloads) == 9
    assert made.source_sha256 == asked.source_sha256
    assert resolve(made, builtin_catalog()) == made


def test_what_hosts_need_of_a_plan() -> None:
    """Of a plan stays what it hosts; lost places are served by their fallback, and by nobody where all are lost."""
    planned = make_plan(with_diagnostics(scenario(CLUSTERS[:2], slots=24)), PlanRequest(solver="highs"))
    hosted = parse_hosted(hosted_text(hosted_of(planned.plan, planned.scenario)), "plan")
    assert sorted(hosted.work) == ["diagnostics-a", "diagnostics-b", "drift-monitor-a", "drift-monitor-b",
                                   "training-general-ie"]
    assert hosted.clusters["a"].opted_in
    work = hosted.work["diagnostics-a"]
    home = work.places[0].cluster
    other = {"a": "b", "b": "a"}[home]
    assert work.served_on({"a", "b"}, hosted.losses()) == {home}
    assert work.served_on({other}, hosted.losses()) == {other}
    assert work.served_on(set(), hosted.losses()) == set()


def test_needs_and_source_are_carried() -> None:
    """The additions state their replicas in every slot; the folder stays, the hash tells the scenarios apart."""
    before = scenario(CLUSTERS)
    after = with_diagnostics(before)
    names = [workload.name for workload in after.workloads]
    np.testing.assert_array_equal(after.given_replicas.stack(names), [[2] * 168, *[[1] * 168] * 8])
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
    monitor = with_diagnostics(scenario(CLUSTERS, slots, slot_minutes)).workloads[2]
    assert (monitor.batch.every_slots if monitor.batch else None) == every


def test_scoring_is_where_its_rows_are_and_the_rest_on_own_machines() -> None:
    """Of places that cost the same: who scores a cluster is on it, beside what runs there anyway; who compares months
    and trains is on machines that are owned, which are paid anyway.
    """

    def cluster(name: str, **offer: Any) -> dict[str, Any]:
        pool = {"name": "p", "machine": {"name": "m", "vcpu": 8, "memory_gib": 64}, "max": 4, "offers": [offer]}
        return {"name": name, "provider": "aws", "region": "eu-west-1", "country": "IE", "hardware_class": "general",
                "telemetry_opt_in": name != "own", "pools": [pool]}  # fmt: skip

    by_hour = {"purchase": "on_demand", "price_usd_per_hour": 1.0}
    clusters = [cluster("own", purchase="owned", price_usd_per_hour=3.0, owned=2),
                *(cluster(name, **by_hour) for name in "abcd")]  # fmt: skip
    work = [{"name": f"web-{name}", "kind": "serving", "request": {"vcpu": 2, "memory_gib": 2}, "replicas": [2] * 24,
             "clusters": {"pin": name}} for name in "abc"]  # fmt: skip
    told = {"name": "near", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 24, "slot_minutes": 60},
            "with_diagnostics": True, "objective": {"mode": "min_cost"}, "clusters": clusters, "workloads": work}
    plan = make_plan(parse_scenario(told, Path(), "near"), PlanRequest(time_limit_s=20)).plan
    where: dict[str, set[str]] = {}
    for unit in plan.assignments:
        where.setdefault(unit.workload, set()).add(unit.cluster)
    assert all(name in where[f"diagnostics-{name}"] for name in "abc")
    assert "d" not in where["diagnostics-d"]  # nothing runs there: a machine for it would cost
    assert all(where[name] == {"own"} for name in where if name.startswith(("drift", "training")))
    assert plan.costs.machines == pytest.approx(24 * (3 * 1.0 + 2 * 3.0))


@pytest.mark.parametrize(
    ("clusters", "name", "says"),
    [
        ([CLUSTERS[3]], "etl", "clusters: telemetry_opt_in: no cluster sends telemetry"),
        ([{"name": "a", "country": "IE", "telemetry_opt_in": True}], "etl", "clusters: a: hardware_class: not given"),
        ([CLUSTERS[0] | {"country": None}], "etl", "clusters: a: country: not given"),
        (CLUSTERS, "drift-monitor-a", "workloads: drift-monitor-a: the name is needed"),
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
    assert watched(Watch(example)).findings.diagnosis.found
    with pytest.raises(InputError, match=r"none\.csv: no such file") as caught:
        watched(Watch(tmp_path / "none.csv"))
    assert len(caught.value.problems) == 1
