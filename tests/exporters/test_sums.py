"""What exporters write adds up to the plan's whole replicas and machines, in every slot."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import partial
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.exporters import exporter
from planner.exporters.division import stretches
from planner.exporters.planned import Planned
from planner.exporters.schedule import crons, spans
from planner.kube.labels import dns_label
from planner.kube.quantities import parse_quantity
from planner.plan import PlanHorizon, PlanPeriod

few = settings(max_examples=25, deadline=None)
starts = st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(second=0, microsecond=0, tzinfo=UTC))


@st.composite
def horizons(draw: st.DrawFn) -> PlanHorizon:
    """A stretch of slots, or two windows with a gap between them."""
    start, minutes = draw(starts), draw(st.sampled_from([60, 240, 1440]))
    slots = draw(st.integers(1, 20))
    if draw(st.booleans()):
        return PlanHorizon(start=start, slots=slots, slot_minutes=minutes)
    more = draw(st.integers(1, 6))
    later = start + timedelta(minutes=minutes * slots) + timedelta(days=draw(st.integers(0, 60)))
    return PlanHorizon(start=start, slots=slots + more, slot_minutes=minutes, periods=(
        PlanPeriod(start=start, slots=slots, stands_for_days=300), PlanPeriod(start=later, slots=more,
                                                                             stands_for_days=60)))


def keda_replicas(spec: dict[str, Any], now: datetime) -> int:
    """What KEDA makes of cron triggers: the most of those whose end comes before their next start, else the least."""
    active = [int(trigger["metadata"]["desiredReplicas"]) for trigger in spec["triggers"]
              if _next(trigger["metadata"]["end"], now) < _next(trigger["metadata"]["start"], now)]
    return max([spec["minReplicaCount"], *active])


def _next(expression: str, now: datetime) -> datetime:
    found: datetime = croniter(expression, now).get_next(datetime)
    return found


@few
@given(horizons(), st.data())
def test_cron_expressions_say_every_slot(horizon: PlanHorizon, data: st.DataObject) -> None:
    """In the middle of every slot exactly the expressions with the slot's value hold, whatever the calendar."""
    values = data.draw(st.lists(st.integers(0, 3), min_size=horizon.slots, max_size=horizon.slots))
    found = list(crons(list(spans(values, horizon))))
    half = timedelta(minutes=horizon.slot_minutes / 2)
    for slot, value in enumerate(values):
        begin = horizon.moment(slot)
        assert begin is not None
        holding = {cron.value for cron in found if _next(cron.end, begin + half) < _next(cron.start, begin + half)}
        assert holding == {value}, (slot, found)


def with_needs(planned: Planned, needs: Sequence[Sequence[int]]) -> Planned:
    """The plan with other replicas of its units that are not batch work."""
    rows = iter(needs)
    units = tuple(unit if unit.batch else replace(unit, replicas=tuple(next(rows))) for unit in planned.units)
    return replace(planned, units=units)


def test_schedules_add_up_to_replicas_and_machines(planned: Planned) -> None:
    """KEDA's replicas are those of each unit, Terraform's sizes the machines of each offer, whatever they are."""
    row = st.lists(st.integers(0, 300), min_size=6, max_size=6)

    @few
    @given(st.lists(row, min_size=7, max_size=7), st.lists(row, min_size=5, max_size=5))
    def check(needs: list[list[int]], counts: list[list[int]]) -> None:
        made = with_needs(planned, needs)
        made = replace(made, machines=tuple(
            replace(offer, count=tuple(count)) for offer, count in zip(made.machines, counts, strict=True)))
        scaled = {found["metadata"]["name"]: found["spec"]
                  for content in exporter("keda")(made, None).values() for found in yaml.safe_load_all(content)}
        pools = json.loads(exporter("terraform")(made, None)["planner.auto.tfvars.json"])["planner_node_pools"]
        for slot in range(6):
            now = made.moment(slot) + timedelta(minutes=30)
            for unit in made.units:
                if unit.name in scaled:
                    assert keda_replicas(scaled[unit.name], now) == unit.replicas[slot]
                else:
                    assert unit.batch or len(set(unit.replicas)) == 1
            for offer in made.machines:
                entry = pools[f"{offer.cluster.name}/{offer.pool.name}/{offer.purchase}"]
                sizes = [span["size"] for span in entry["schedule"]
                         if datetime.fromisoformat(span["from"]) <= now < datetime.fromisoformat(span["until"])]
                assert sizes == [offer.count[slot]]

    check()


def taken_by_weight(replicas: int, weights: dict[str, int], order: Sequence[str]) -> dict[str, int]:
    """Karmada's rule, chance deciding ties as `order` has it."""
    ranks = sorted(weights, key=lambda name: (-weights[name], order.index(name)))
    total = sum(weights.values())
    result = [weights[name] * replicas // total for name in ranks]
    for at in range(replicas - sum(result)):
        result[at] += 1
    return dict(zip(ranks, result, strict=True))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.fixed_dictionaries({name: st.integers(0, 40) for name in "abc"}), min_size=1, max_size=8), st.data())
def test_weights_divide_every_split(splits: list[dict[str, int]], data: st.DataObject) -> None:
    """In every slot the weights of its stretch give each cluster its whole replicas, whatever ties make of it."""
    found = stretches(splits)
    assert [first for first, _ in found] == sorted({first for first, _ in found})
    assert found[0][0] == 0
    for slot, split in enumerate(splits):
        weights = [weights for first, weights in found if first <= slot][-1]
        assert min(weights.values()) >= 1
        order = data.draw(st.permutations(sorted(weights)))
        made = taken_by_weight(sum(split.values()), weights, order)
        assert {name: made.get(name, 0) for name in split} == split


def test_copies_and_shares_need_one_policy() -> None:
    """Equal copies, and users that are split 0.7 to 0.3 and rounded up, keep their weights the whole day."""
    loads = [10, 12, 37, 4, 80, 55, 1, 0]
    assert len(stretches([{"a": load, "b": load, "c": load} for load in loads])) == 1
    shares = [{"a": -(-7 * load // 10), "b": -(-3 * load // 10)} for load in (10, 20, 40, 80, 200)]
    assert len(stretches(shares)) == 1


def test_karmada_gives_every_cluster_its_replicas(planned: Planned) -> None:
    """Policies in force in a slot divide the scheduled replicas as the plan has them, whatever it needs."""
    row = st.lists(st.integers(0, 60), min_size=6, max_size=6)

    @few
    @given(st.lists(row, min_size=7, max_size=7))
    def check(needs: list[list[int]]) -> None:
        made = with_needs(planned, needs)
        files = exporter("karmada")(made, None)
        totals = {found["metadata"]["name"]: found["spec"]["replicas"]
                  for found in yaml.safe_load_all(files["deployments.yaml"])}
        rules = {found["metadata"]["name"]: found["spec"]["rules"]
                 for found in yaml.safe_load_all(files.get("schedules.yaml", b""))}
        policies: dict[str, Any] = {}
        for slot in range(6):
            changes = [path for path in files if path.startswith(f"changes/{slot:05d}-")]
            for path in ["policies.yaml"] if slot == 0 else changes:
                for found in yaml.safe_load_all(files[path]):
                    policies[found["metadata"]["name"]] = found["spec"]["placement"]
            for name, total in totals.items():
                units = [unit for unit in made.units if dns_label(unit.workload.name) == name]
                at = made.moment(slot)
                now = [rule["targetReplicas"] for rule in rules.get(name, ())
                       if croniter.match(rule["schedule"], at)]
                totals[name] = now[0] if now else total
                placement = policies[name]
                clusters = placement.get("clusterAffinity") or placement["clusterAffinities"][0]
                weights = {share["targetCluster"]["clusterNames"][0]: share["weight"] for share in
                           placement["replicaScheduling"]["weightPreference"]["staticWeightList"]
                           if share["targetCluster"]["clusterNames"][0] in clusters["clusterNames"]}
                given_out = taken_by_weight(totals[name], weights, sorted(weights))
                want: dict[str, int] = {}
                for unit in units:
                    want[unit.cluster.name] = want.get(unit.cluster.name, 0) + unit.replicas[slot]
                assert {cluster: given_out.get(cluster, 0) for cluster in want} == want, (name, slot)

    check()


def check_quotas(planned: Planned, slot: int | None) -> None:
    """Quotas of clusters are machines times the room on one, those of the manager the replicas of each workload."""
    files = exporter("kueue")(planned, slot)
    for cluster in planned.clusters:
        machines = planned.machines_in(cluster.name)
        if not machines:
            continue
        queue = next(yaml.safe_load_all(files[f"{dns_label(cluster.name)}/queues.yaml"]))
        (group,) = queue["spec"]["resourceGroups"]
        flavors = list(yaml.safe_load_all(files[f"{dns_label(cluster.name)}/flavors.yaml"]))
        for row, flavor, quotas in zip(machines, flavors, group["flavors"], strict=True):
            count = max(row.count) if slot is None else row.count[slot]
            assert flavor["spec"]["nodeLabels"]["workload-planner/pool"] == row.pool.name
            assert quotas["name"] == flavor["metadata"]["name"]
            quota = {one["name"]: parse_quantity(one["nominalQuota"]) for one in quotas["resources"]}
            shape, less, kept = row.pool.machine, row.pool.reserved, 1 - row.pool.headroom
            assert quota["cpu"] == count * Fraction(round(1000 * (shape.vcpu - less.vcpu) * kept), 1000)
            assert float(quota["memory"]) == pytest.approx(count * (shape.memory_gib - less.memory_gib) * kept * 2**30)
            assert quota.get("nvidia.com/gpu", 0) == count * shape.gpu_count
    manager = {found["metadata"]["name"]: found["spec"]["resourceGroups"][0]["flavors"][0]["resources"]
               for found in yaml.safe_load_all(files["manager/queues.yaml"]) if found["kind"] == "ClusterQueue"}
    for name in {unit.workload.name for unit in planned.units}:
        units = planned.units_of(name)
        needs = [sum(unit.replicas[t] for unit in units) for t in range(6)]
        quota = {one["name"]: parse_quantity(one["nominalQuota"]) for one in manager[dns_label(name)]}
        assert quota["cpu"] == (max(needs) if slot is None else needs[slot]) * Fraction(units[0].request.vcpu)


def test_quotas_are_whole_machines(planned: Planned) -> None:
    """Every quota of a cluster is the plan's machine count times the room on one, every workload's the most it needs
    at once, in a slot or over all of them, whatever the counts are.
    """
    row = st.lists(st.integers(0, 300), min_size=6, max_size=6)

    @few
    @given(st.lists(row, min_size=7, max_size=7), st.lists(row, min_size=5, max_size=5),
           st.sampled_from([None, *range(6)]))
    def check(needs: list[list[int]], counts: list[list[int]], slot: int | None) -> None:
        made = with_needs(planned, needs)
        check_quotas(replace(made, machines=tuple(
            replace(offer, count=tuple(count)) for offer, count in zip(made.machines, counts, strict=True))), slot)

    check_quotas(planned, None)
    check()


def test_cron_jobs_start_at_every_run(planned: Planned) -> None:
    """Between the plan's first moment and its last, CronJobs fire at the starts of the plan's runs and at no others."""
    first, last = planned.moment(0) - timedelta(minutes=1), planned.moment(6)
    jobs: dict[str, list[datetime]] = {}
    for path, content in exporter("kubernetes")(planned, None).items():
        for found in yaml.safe_load_all(content) if path.endswith("jobs.yaml") else []:
            times, at = croniter(found["spec"]["schedule"], first), first
            while (at := times.get_next(datetime)) < last:
                jobs.setdefault(found["metadata"]["labels"]["workload-planner/unit"], []).append(at)
            gang = found["spec"]["jobTemplate"]["spec"]
            assert gang["parallelism"] == gang["completions"]
    runs = {unit.name: [planned.moment(run.start) for run in unit.runs] for unit in planned.units if unit.batch}
    assert runs == {name: sorted(found) for name, found in jobs.items()}
    assert {unit.name: unit.runs[0].replicas for unit in planned.units if unit.batch} == {"claims": 5, "model": 2}


def test_nodes_are_the_machines_of_the_slot(planned: Planned) -> None:
    """As many nodes as the plan runs in the slot, by cluster, pool and purchase; replicas are those of the slot too."""
    for slot in range(6):
        nodes: dict[tuple[str, ...], int] = {}
        replicas = {}
        for path, content in exporter("kubernetes")(planned, slot).items():
            for found in yaml.safe_load_all(content):
                if found["kind"] == "Node":
                    labels = found["metadata"]["labels"]
                    key = labels["workload-planner/pool"], labels["workload-planner/purchase"]
                    nodes[path.split("/")[0], *key] = nodes.get((path.split("/")[0], *key), 0) + 1
                elif found["kind"] == "Deployment":
                    replicas[found["metadata"]["name"]] = found["spec"]["replicas"]
        assert nodes == {(row.cluster.name, row.pool.name, row.purchase): row.count[slot]
                         for row in planned.machines if row.count[slot]}
        assert replicas == {unit.name: unit.replicas[slot] for unit in planned.units if not unit.batch}


@pytest.mark.skipif(which("terraform") is None, reason="terraform is not installed: the variable is not read by it")
def test_terraform_reads_the_variable(planned: Planned, tmp_path: Path) -> None:
    """Terraform itself takes the file for its variable and finds every pool's most machines."""
    for path, content in exporter("terraform")(planned, None).items():
        (tmp_path / path).write_bytes(content)
    (tmp_path / "main.tf").write_text('output "most" { value = { for k, p in var.planner_node_pools : k => p.max } }\n')
    run = partial(subprocess.run, cwd=tmp_path, check=True, capture_output=True,
                  env={**os.environ, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"})
    run(["terraform", "init", "-input=false"])
    run(["terraform", "apply", "-input=false", "-auto-approve"])
    most = json.loads(run(["terraform", "output", "-json", "most"]).stdout)
    assert most == {f"{row.cluster.name}/{row.pool.name}/{row.purchase}": max(row.count) for row in planned.machines}


def test_clusters_come_in_the_plans_order(planned: Planned) -> None:
    """MultiKueue tries a workload's own clusters first, then its fallback, then the next best; scores rank alike."""
    order = {found["metadata"]["name"]: found["spec"]["clusters"]
             for found in yaml.safe_load_all(exporter("kueue")(planned, None)["manager/order.yaml"])
             if found["kind"] == "MultiKueueConfig"}
    west = dns_label("Azure_West")
    assert order["queue"] == ["hall", west]
    assert order[dns_label("Ledger")] == ["hall", "aws-ireland", west]
    scores = {found["metadata"]["namespace"]: {one["name"]: one["value"] for one in found["status"]["scores"]}
              for found in yaml.safe_load_all(exporter("ocm")(planned, None)["scores.yaml"])}
    assert [scores[cluster]["queue"] for cluster in ("hall", west, "aws-ireland")] == [100, 50, 0]
    assert scores["hall"]["model"] == -100
    tasks = yaml.safe_load(exporter("skypilot")(planned, None)["queue.yaml"])["resources"]["ordered"]
    assert [entry["infra"] for entry in tasks] == ["k8s/hall", "azure/westeurope", "k8s/hall"]
