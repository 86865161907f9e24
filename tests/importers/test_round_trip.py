"""A cluster exported to manifests, and those imported again, give the same scenario."""

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.catalog import builtin_catalog
from planner.errors import InputError
from planner.exporters import exporter
from planner.exporters.planned import Machines, Planned, Run, Unit
from planner.importers import importer
from planner.importers.complete import files_of
from planner.importers.draft import Asked
from planner.kube.labels import dns_label
from planner.plan import Costs, Plan, PlanHorizon
from planner.scenario import Scenario, parse_scenario, read_scenario

START, SLOTS = datetime(2026, 11, 2, tzinfo=UTC), 24
names = st.text("abcXYZ019-_. é", min_size=1, max_size=70).filter(lambda text: text.strip() == text)
yes = st.just(value=True)
cpus = st.integers(1, 400).map(lambda n: n / 8)
gibs = st.integers(1, 4000).map(lambda n: n / 16)
odd_gibs = st.integers(1, 2**36).map(lambda count: round(count / 2**30, 10))


@st.composite
def pools(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """A pool with a machine of any size, GPUs or none, some of it reserved."""
    memory_gib = round(512 + draw(st.one_of(gibs, odd_gibs)), 10)  # a sum has digits that no byte stands for
    machine = {"name": draw(names), "vcpu": 64 + draw(cpus), "memory_gib": memory_gib}
    if draw(st.booleans()):
        model = draw(st.sampled_from(["H100", "A100", "MI300X"]))
        machine |= {"gpu_count": draw(st.integers(1, 8)), "gpu_model": model}
    if draw(st.booleans()):
        machine["disk_gib"] = draw(gibs)
    reserved = draw(st.fixed_dictionaries({}, optional={"vcpu": st.integers(1, 16).map(lambda n: n / 10),
                                                        "memory_gib": st.integers(1, 64).map(lambda n: n / 16)}))
    most = draw(st.integers(1, 9))
    offers = [{"purchase": draw(st.sampled_from(["on_demand", "spot", "owned"])),
               "price_usd_per_hour": draw(st.integers(0, 100)) / 10}]
    if offers[0]["purchase"] == "owned":
        offers[0]["owned"] = draw(st.integers(0, most))
    return {"name": name, "machine": machine, "max": most, "headroom": draw(st.sampled_from([0.0, 0.1])),
            "lead_time_days": draw(st.sampled_from([0.0, 30.0])), "reserved": reserved, "offers": offers}


@st.composite
def workloads(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """A workload that needs the same all the time, or runs as a gang at its start."""
    request: dict[str, Any] = {"vcpu": draw(cpus), "memory_gib": draw(st.one_of(gibs, odd_gibs))}
    request |= draw(st.fixed_dictionaries({}, optional={"gpu": st.integers(1, 4), "disk_gib": gibs,
                                                        "network_gbps": st.just(2.5)}))
    more = draw(st.fixed_dictionaries({}, optional={
        "droppable": yes, "preemptible": yes, "owner": names, "weight": st.just(2.5),
        "description": st.text(max_size=20), "slo": st.just({"availability": 0.99, "latency_ms": 200.0}),
        "residency": st.just({"allow": ["IE"]}), "runbook": st.just({"contact": "#a", "steps": ["roll back"]}),
        "pipeline": names, "hardware": st.just({"throughput": {"m*": 1.5}}), "max_parts": st.just(2),
        "batch": st.just({"duration_slots": 2, "earliest_slot": 1, "latest_slot": 20, "every_slots": 12})}))
    if "batch" in more:
        more.pop("max_parts", None)
    kind = draw(st.sampled_from(["etl", "serving", "training", "feature"]))
    return {"name": name, "kind": kind, "priority": draw(st.integers(0, 100)), "request": request,
            "replicas": [draw(st.integers(1, 50))] * SLOTS} | more


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    """A cluster with pools and workloads of any names."""
    some = draw(st.lists(names, min_size=1, max_size=3, unique_by=str.lower))
    work = draw(st.lists(names, min_size=1, max_size=4, unique_by=str.lower))
    cluster = {"name": draw(st.sampled_from(["hall", "Hall_1"])), "provider": "onprem", "region": "dublin",
               "country": "IE", "availability": 0.999, "pools": [draw(pools(name)) for name in some]}
    return {"name": "imported", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": SLOTS, "slot_minutes": 60},
            "objective": {"mode": "min_cost"}, "clusters": [cluster],
            "workloads": [draw(workloads(name)) for name in work]}


def planned(scenario: Scenario, counts: list[int], places: list[int]) -> Planned:
    """A plan of it that somebody made: each workload in one pool, so many machines of every offer."""
    (cluster,) = scenario.clusters
    units = []
    for at, workload in enumerate(scenario.workloads):
        assert workload.request is not None
        needs = tuple(int(count) for count in scenario.given_replicas.of(workload.name))
        runs = (Run(3, 5, needs[0]), Run(15, 17, needs[0])) if workload.batch else ()
        pool = cluster.pools[places[at] % len(cluster.pools)]
        name = dns_label(workload.name, 52)
        units.append(Unit(name, workload, workload.request, None, 0, 0, cluster, pool, needs, runs))
    machines = tuple(Machines(cluster, pool, offer.purchase, (counts[at % len(counts)],) * SLOTS)
                     for at, pool in enumerate(cluster.pools) for offer in pool.offers)
    plan = Plan(name="made", plan_id="0" * 64, horizon=PlanHorizon(start=START, slots=SLOTS, slot_minutes=60),
                status="feasible", mode="min_cost", cost_usd=0, costs=Costs(), sla_attainment=1, bound=0, gap=0,
                assignments=(), machines=())
    return Planned(plan, scenario.clusters, scenario.workloads, tuple(units), machines, {})


def written(made: Planned, folder: Path) -> Path:
    """The manifests of the plan's one cluster."""
    for path, content in exporter("kubernetes")(made, None).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (found,) = [path for path in folder.iterdir() if path.is_dir()]
    return found


def imported(folder: Path) -> Scenario:
    """What the importer makes of manifests, read as `planner plan` reads it."""
    asked = Asked("imported", START, SLOTS, 60, builtin_catalog())
    files = files_of(importer("kubernetes")([str(folder)], asked), asked, "manifests")
    with TemporaryDirectory() as made:
        for name, content in files.items():
            (Path(made) / name).write_bytes(content)
        return read_scenario(Path(made))


def by_name(scenario: Scenario) -> tuple[object, ...]:
    """A scenario whatever the order of its workloads."""
    rows = {one.name: (one, tuple(scenario.given_replicas.of(one.name))) for one in scenario.workloads}
    return scenario.name, scenario.horizon, scenario.objective, scenario.clusters, rows


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios(), st.lists(st.integers(1, 4), min_size=3, max_size=3),
       st.lists(st.integers(0, 9), min_size=4, max_size=4))
def test_manifests_give_the_same_scenario(fields: dict[str, Any], counts: list[int], places: list[int]) -> None:
    """Clusters, pools, machines, prices, workloads, needs and rules come back as they were, whatever their names."""
    scenario = parse_scenario(fields)
    with TemporaryDirectory() as folder:
        again = imported(written(planned(scenario, counts, places), Path(folder)))
    assert by_name(again) == by_name(scenario)


def sample() -> Scenario:
    return parse_scenario({
        "name": "imported", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": SLOTS, "slot_minutes": 60},
        "objective": {"mode": "min_cost"},
        "clusters": [{"name": "hall", "provider": "onprem", "region": "dublin", "country": "IE", "pools": [
            {"name": "racks", "machine": {"name": "r640", "vcpu": 32, "memory_gib": 128, "gpu_count": 2,
                                          "gpu_model": "A100"}, "max": 4, "reserved": {"vcpu": 0.5, "memory_gib": 2},
             "offers": [{"purchase": "owned", "owned": 3, "price_usd_per_hour": 0.5}]}]}],
        "workloads": [{"name": "shop", "kind": "serving", "priority": 73, "request": {"vcpu": 1.5, "memory_gib": 3},
                       "replicas": [5] * SLOTS, "slo": {"latency_ms": 200}}]})


def test_what_was_changed_in_the_manifests_counts(tmp_path: Path) -> None:
    """Replicas, requests and nodes that somebody edited win over what annotations remember."""
    folder = written(planned(sample(), [3], [0]), tmp_path)
    text = (folder / "deployments.yaml").read_text()
    text = text.replace("replicas: 5", "replicas: 8").replace("cpu: 1500m", "cpu: '2'")
    (folder / "deployments.yaml").write_text(text)
    nodes = (folder / "simulated-nodes.yaml").read_text()
    (folder / "simulated-nodes.yaml").write_text(nodes.replace("cpu: 31500m", "cpu: '30'"))
    again = imported(folder)
    assert list(again.given_replicas.of("shop")) == [8] * SLOTS
    request, reserved = again.workloads[0].request, again.clusters[0].pools[0].reserved
    assert request is not None
    assert (request.vcpu, again.workloads[0].slo.latency_ms, reserved.vcpu) == (2, 200, 2)


def test_without_annotations_objects_say_what_they_can(tmp_path: Path) -> None:
    """Without ConfigMap and annotations: the same machines, counts, reserves, needs, kind and priority."""
    folder = written(planned(sample(), [3], [0]), tmp_path)
    (folder / "cluster.yaml").unlink()
    found = list(yaml.safe_load_all((folder / "deployments.yaml").read_text()))
    for one in found:
        del one["metadata"]["annotations"]
    (folder / "deployments.yaml").write_text(yaml.safe_dump_all(found))
    again, was = imported(folder), sample()
    (pool,), (before,) = again.clusters[0].pools, was.clusters[0].pools
    assert (pool.name, pool.max, pool.reserved) == ("racks", 3, before.reserved)
    machine = pool.machine
    assert (machine.vcpu, machine.memory_gib, machine.gpu_count, machine.gpu_model) == (32, 128, 2, "A100")
    (shop,) = again.workloads
    assert (shop.name, shop.kind, shop.priority, shop.request) == ("shop", "serving", 73, was.workloads[0].request)
    assert list(again.given_replicas.of("shop")) == [5] * SLOTS


def test_a_spoilt_annotation_is_told(tmp_path: Path) -> None:
    """File, object, field and what is needed."""
    folder = written(planned(sample(), [3], [0]), tmp_path)
    text = (folder / "deployments.yaml").read_text()
    (folder / "deployments.yaml").write_text(text.replace(json.dumps("name"), "name"))
    with pytest.raises(InputError, match=r"deployments\.yaml: Deployment shop: metadata\.annotations\.workload"):
        imported(folder)
