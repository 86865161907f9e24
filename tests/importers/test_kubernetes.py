"""What of a cluster becomes what, number by number, and how mistakes in it are told."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.cli import run
from planner.errors import InputError
from planner.importers import importer
from planner.importers.draft import Asked, Draft

Samples = Callable[[str], list[str]]
Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def cluster(samples: Samples) -> dict[str, Any]:
    """The sample cluster: eight nodes, eleven controllers."""
    found: dict[str, Any] = json.loads(Path(samples("kubernetes")[0]).read_text())
    return found


@pytest.fixture
def draft_of(cluster: dict[str, Any], asked: Asked, tmp_path: Path) -> Callable[..., Draft]:
    """The draft of the sample cluster after an edit."""

    def make(edit: Edit = lambda _: None, suffix: str = "json") -> Draft:
        changed = copy.deepcopy(cluster)
        edit(changed)
        (tmp_path / f"c.{suffix}").write_text(json.dumps(changed))
        return importer("kubernetes")([str(tmp_path / f"c.{suffix}")], asked)

    return make


def items(cluster: dict[str, Any], kind: str, start: str = "") -> list[dict[str, Any]]:
    return [one for one in cluster["items"] if one["kind"] == kind and one["metadata"]["name"].startswith(start)]


def workload(draft: Draft, name: str) -> dict[str, Any]:
    return next(one for one in draft.workloads if one["name"] == name)


def pool(draft: Draft, name: str) -> dict[str, Any]:
    return next(one for one in draft.clusters[0]["pools"] if one["name"] == name)


def told(draft: Draft) -> list[str]:
    return [guess.line for guess in draft.guesses()]


def test_nodes_that_take_no_pods_are_no_room(draft_of: Callable[..., Draft]) -> None:
    """Of five nodes one is cordoned and one not ready: three count, and it is told."""
    draft = draft_of()
    assert pool(draft, "general")["max"] == 3
    assert ("clusters.c.pools.general.max: 3: nodes that take pods; others are 1 cordoned and 1 not ready"
            in told(draft))


def test_daemons_and_the_kubelet_are_reserved(draft_of: Callable[..., Draft]) -> None:
    """16 CPUs less 15.89 allocatable is 0.11, and the network daemon takes 0.05; nothing of them is a workload."""
    draft = draft_of()
    assert pool(draft, "general")["reserved"]["vcpu"] == 0.16
    assert pool(draft, "general")["reserved"]["memory_gib"] == 3.0625
    assert not {"cni", "logs"} & {one["name"] for one in draft.workloads}
    assert any("DaemonSets with containers without requests (logs)" in line for line in told(draft))


def test_a_pod_asks_for_the_most_of_its_start_and_its_run(draft_of: Callable[..., Draft]) -> None:
    """Running: 1.5 + 0.1 + a sidecar's 0.2 = 1.8; starting: 2, before the sidecar: 2 CPUs count. Memory: 3.375 GiB."""
    assert workload(draft_of(), "shop")["request"] == {"vcpu": 2, "memory_gib": 3.375}

    def sidecar_first(cluster: dict[str, Any]) -> None:
        for one in items(cluster, "Pod", "shop"):
            one["spec"].get("initContainers", []).reverse()

    assert workload(draft_of(sidecar_first), "shop")["request"]["vcpu"] == 2.2

    def overhead(cluster: dict[str, Any]) -> None:
        for one in items(cluster, "Pod", "shop"):
            one["spec"] |= {"overhead": {"cpu": "250m"}, "resources": {"requests": {"memory": "5Gi"}}}

    assert workload(draft_of(overhead), "shop")["request"] == {"vcpu": 2.25, "memory_gib": 5}


def test_limits_stand_in_for_requests_and_a_stand_in_for_neither(draft_of: Callable[..., Draft]) -> None:
    """A limit without a request is the request; without both it counts as the scheduler scores it, and that is told."""
    assert workload(draft_of(), "debug")["request"] == {"vcpu": 0.1, "memory_gib": 0.1862645149}
    assert any(line.startswith("workloads.*.request.vcpu: 0.1:") and "(debug)" in line for line in told(draft_of()))

    def limited(cluster: dict[str, Any]) -> None:
        items(cluster, "Pod", "debug")[0]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": 3, "memory": "1G"}}

    draft = draft_of(limited)
    assert workload(draft, "debug")["request"] == {"vcpu": 3, "memory_gib": 0.9313225746}
    assert not any("(debug)" in line and "request" in line for line in told(draft))

    def nothing(cluster: dict[str, Any]) -> None:
        resources = {"requests": {"cpu": "0", "memory": 0}}
        items(cluster, "Pod", "debug")[0]["spec"]["containers"][0]["resources"] = resources

    assert workload(draft_of(nothing), "debug")["request"] == {"vcpu": 0.1, "memory_gib": 0.1862645149}


def test_finished_pods_are_nobodys_demand_and_replicas_what_is_wanted(draft_of: Callable[..., Draft]) -> None:
    """A failed pod does not count; a Deployment that is there says how many it wants; a pod on its way out goes."""
    assert workload(draft_of(), "shop")["replicas"] == [3] * 24

    def wanted(cluster: dict[str, Any]) -> None:
        cluster["items"] += [
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop", "namespace": "web"},
             "spec": {"replicas": 5, "template": {"spec": items(cluster, "Pod", "shop")[0]["spec"]}}},
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "idle", "namespace": "web"},
             "spec": {"replicas": 0, "template": {"spec": {"containers": []}}}}]
        items(cluster, "Pod", "db-1")[0]["metadata"]["deletionTimestamp"] = "2026-11-01T00:00:00Z"

    draft = draft_of(wanted)
    assert workload(draft, "shop")["replicas"] == [5] * 24
    assert workload(draft, "db")["replicas"] == [1] * 24
    assert "idle" not in {one["name"] for one in draft.workloads}


def test_work_runs_where_its_pods_may(draft_of: Callable[..., Draft]) -> None:
    """Selectors, affinities, taints and tolerations leave the pools that the scheduler would."""
    draft = draft_of()
    assert workload(draft, "shop")["clusters"] == {"pin": "c/general"}
    assert workload(draft, "batch-worker")["clusters"] == {"allow": ["c/general", "c/spot"]}
    assert workload(draft, "train")["clusters"] == {"pin": "c/gpu"}

    def everywhere(cluster: dict[str, Any]) -> None:
        for one in items(cluster, "Pod", "shop"):
            one["spec"]["tolerations"] = [{"operator": "Exists"}]

    assert "clusters" not in workload(draft_of(everywhere), "shop")

    def zone(cluster: dict[str, Any]) -> None:
        term = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["eu-west-1b"]}
        for one in items(cluster, "Pod", "db"):
            one["spec"]["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [term]}]}}}

    draft = draft_of(zone)
    assert workload(draft, "db")["clusters"] == {"pin": "c/general-eu-west-1b"}
    assert pool(draft, "general-eu-west-1b")["zone"] == "eu-west-1b"


def test_what_fits_nowhere_is_left_out_and_told(draft_of: Callable[..., Draft]) -> None:
    """500 GiB fit no node of 61: the pod has waited for ever, and would make every plan impossible."""
    draft = draft_of()
    assert "huge" not in {one["name"] for one in draft.workloads}
    assert any(line.startswith("workloads.*: left out: no node") and "(huge)" in line for line in told(draft))


def test_gpus_have_the_names_of_catalogs_and_slices_their_own(draft_of: Callable[..., Draft]) -> None:
    """NVIDIA-H100-80GB-HBM3 is an H100; seven slices of one are seven GPUs of another model."""
    assert pool(draft_of(), "gpu")["machine"] == {
        "name": "p5.48xlarge", "vcpu": 192, "memory_gib": 2048, "disk_gib": 99.9882621765, "gpu_model": "H100",
        "gpu_count": 8, "gpu_memory_gib": 79.6474609375}  # fmt: skip
    assert workload(draft_of(), "train")["request"]["gpu"] == 4

    def sliced(cluster: dict[str, Any]) -> None:
        status = items(cluster, "Node", "ip-10-0-2-0")[0]["status"]
        for part in ("capacity", "allocatable"):
            del status[part]["nvidia.com/gpu"]
            status[part]["nvidia.com/mig-1g.10gb"] = "7"
        container = items(cluster, "Pod", "train")[0]["spec"]["containers"][0]
        container["resources"]["limits"] = {"nvidia.com/mig-1g.10gb": 2}

    draft = draft_of(sliced)
    assert (pool(draft, "gpu")["machine"]["gpu_model"], pool(draft, "gpu")["machine"]["gpu_count"]) == (
        "H100-mig-1g.10gb", 7)
    assert workload(draft, "train")["request"]["gpu"] == 2


def test_cron_jobs_run_at_their_times(draft_of: Callable[..., Draft]) -> None:
    """Every night at two, for its deadline of 90 minutes rounded up; every six hours; suspended: not at all."""
    assert workload(draft_of(), "nightly")["batch"] == {"duration_slots": 2, "earliest_slot": 2, "latest_slot": 2}
    assert workload(draft_of(), "nightly")["replicas"] == [4] * 24

    def often(cluster: dict[str, Any]) -> None:
        items(cluster, "CronJob")[0]["spec"] |= {"schedule": "30 1-23/6 * * *", "timeZone": "Europe/Berlin"}

    assert workload(draft_of(often), "nightly")["batch"] == {
        "duration_slots": 2, "earliest_slot": 0, "latest_slot": 0, "every_slots": 6}

    def suspended(cluster: dict[str, Any]) -> None:
        items(cluster, "CronJob")[0]["spec"]["suspend"] = True

    draft = draft_of(suspended)
    assert "nightly" not in {one["name"] for one in draft.workloads}
    assert any("suspended" in line and "(nightly)" in line for line in told(draft))


def test_priorities_keep_their_order(draft_of: Callable[..., Draft]) -> None:
    """None is 50, the system's 95; of others the order stays; the planner's own classes say their number."""
    draft = draft_of()
    levels = {one["name"]: one["priority"] for one in draft.workloads}
    assert (levels["debug"], levels["shop"], levels["coredns"]) == (50, 90, 95)

    def own(cluster: dict[str, Any]) -> None:
        for one in items(cluster, "Pod", "shop"):
            one["spec"] |= {"priorityClassName": "planner-73", "priority": 73}

    assert workload(draft_of(own), "shop")["priority"] == 73


def test_several_clusters_stay_apart(cluster: dict[str, Any], asked: Asked, tmp_path: Path) -> None:
    """Each file is a cluster; names tell controllers apart; work stays where it runs; a folder is one cluster."""
    for name in ("east", "west"):
        (tmp_path / name).mkdir()
        nodes = [one for one in cluster["items"] if one["kind"] == "Node"]
        (tmp_path / name / "nodes.json").write_text(json.dumps({"kind": "NodeList", "items": nodes}))
        pods = [one for one in cluster["items"] if one["kind"] != "Node"]
        (tmp_path / name / "pods.json").write_text(json.dumps({"kind": "List", "items": pods}))
    draft = importer("kubernetes")([str(tmp_path / "east"), str(tmp_path / "west")], asked)
    assert [one["name"] for one in draft.clusters] == ["east", "west"]
    assert len({one["name"] for one in draft.workloads}) == 14
    assert workload(draft, "west/web/deployment/shop")["clusters"] == {"pin": "west/general"}
    with pytest.raises(InputError, match=r"pods: no Node in it, and there are several clusters: put the files"):
        importer("kubernetes")([str(tmp_path / "east"), str(tmp_path / "west"),
                                str(tmp_path / "east" / "pods.json")], asked)


def test_manifests_in_yaml_are_read_too(draft_of: Callable[..., Draft]) -> None:
    """The same cluster as YAML gives the same draft."""
    assert draft_of(suffix="yaml").workloads == draft_of().workloads


def _set(kind: str, start: str, path: list[str | int], value: object) -> Edit:
    def edit(cluster: dict[str, Any]) -> None:
        where: Any = items(cluster, kind, start)[0]
        for part in path[:-1]:
            where = where[part]
        where[path[-1]] = value

    return edit


@pytest.mark.parametrize(("edit", "line"), [
    (_set("Pod", "db-0", ["spec", "containers", 0, "resources", "requests", "cpu"], "4 cores"),
     "c.json: Pod db-0: spec.containers[0].resources.requests.cpu: 4 cores: a quantity such as 500m, 2 or 1.5Gi"),
    (_set("Pod", "db-0", ["spec", "containers", 0, "resources", "requests", "memory"], "16GB"),
     "c.json: Pod db-0: spec.containers[0].resources.requests.memory: 16GB: a quantity"),
    (_set("Pod", "db-0", ["spec", "containers", 0, "resources", "requests", "cpu"], "-1"),
     "c.json: Pod db-0: spec.containers[0].resources.requests.cpu: -1: a quantity of at least 0"),
    (_set("Pod", "db-0", ["metadata"], "none"), "c.json: Pod: metadata: none: a mapping of fields is needed"),
    (_set("Pod", "db-0", ["metadata"], {}), "c.json: Pod: metadata.name: nothing: a name is needed"),
    (_set("Pod", "db-0", ["spec", "tolerations"], ["all"]),
     "c.json: Pod db-0: spec.tolerations: a list of 1: a list of mappings is needed"),
    (_set("Node", "ip-10-0-0-0", ["status", "capacity", "memory"], "1e400"),
     "c.json: Node ip-10-0-0-0: status.capacity.memory: 1e400: a quantity of at most 1e+18 is needed"),
    (_set("Pod", "db-0", ["spec", "containers"], "none"),
     "c.json: Pod db-0: spec.containers: none: a list of mappings is needed"),
    (_set("Node", "ip-10-0-0-0", ["status", "capacity"], {}),
     "c.json: Node ip-10-0-0-0: status.capacity.cpu: nothing: what the node has is needed"),
    (_set("Node", "ip-10-0-0-0", ["metadata", "labels", "workload-planner/purchase"], "rented"),
     "c.json: Node ip-10-0-0-0: metadata.labels.workload-planner/purchase: rented: one of owned, on_demand, spot"),
    (_set("CronJob", "nightly", ["spec", "schedule"], "at night"),
     "c.json: CronJob nightly: spec.schedule: at night: a cron expression of five fields is needed"),
    (_set("CronJob", "nightly", ["spec", "timeZone"], "Mars/Olympus"),
     "c.json: CronJob nightly: spec.timeZone: Mars/Olympus: a time zone such as Etc/UTC is needed"),
    (_set("CronJob", "nightly", ["spec", "jobTemplate", "spec", "parallelism"], -4),
     "c.json: CronJob nightly: spec.jobTemplate.spec.parallelism: -4: a whole number of at least 0 is needed"),
])
def test_bad_input_is_told_with_file_field_value_and_what_is_allowed(
        draft_of: Callable[..., Draft], edit: Edit, line: str) -> None:
    """One line says what is wrong where."""
    with pytest.raises(InputError) as error:
        draft_of(edit)
    assert str(error.value).startswith(line)


def test_a_class_nobody_knows_is_asked_for(draft_of: Callable[..., Draft]) -> None:
    """A template names its class only; without the class its priority is not known."""
    def template(cluster: dict[str, Any]) -> None:
        cluster["items"].append({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "new", "namespace": "web"},
            "spec": {"replicas": 1, "template": {"spec": {"priorityClassName": "gold", "containers": []}}}})

    with pytest.raises(InputError, match=r"Deployment new: spec\.template\.spec\.priorityClassName: gold: its Prio"):
        draft_of(template)

    def known(cluster: dict[str, Any]) -> None:
        template(cluster)
        cluster["items"].append({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                                 "metadata": {"name": "gold"}, "value": 5000})

    assert workload(draft_of(known), "new")["priority"] == 90


def test_the_command_writes_a_scenario_that_plans(
    samples: Samples, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says how much it read and what it guessed, in words and as JSON; a time without a zone is refused."""
    command = ["import", "kubernetes", *samples("kubernetes"), "-o", str(tmp_path / "mine")]
    assert run([*command, "--start", "2026-11-02T00:00:00Z"]) == 0
    shown = capsys.readouterr().out
    assert "7 workloads, 1 clusters" in shown
    assert "guessed: clusters.prod-eu.pools.general.max: 3" in shown
    assert run([*command, "--slots", "48", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["workloads"], found["guessed"][1]["field"]) == (7, "clusters.prod-eu.pools.general.max")
    assert (tmp_path / "mine" / "guessed.txt").read_text().count("\n") == len(found["guessed"])
    assert run([*command, "--start", "tomorrow"]) == 2
    assert "--start: 'tomorrow': a time with its zone is needed" in capsys.readouterr().err


def test_a_job_that_is_done_is_nobodys_demand(draft_of: Callable[..., Draft]) -> None:
    """A Job stays for its record once it has completed or failed; only one that still runs counts."""

    def jobs(cluster: dict[str, Any]) -> None:
        pod = {"containers": [{"name": "a", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}
        for name, conditions in (("done", ["Complete"]), ("broken", ["Failed"]), ("running", [])):
            cluster["items"].append({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "web"},
                "spec": {"parallelism": 2, "template": {"spec": pod}},
                "status": {"conditions": [{"type": one, "status": "True"} for one in conditions]}})

    names = {one["name"] for one in draft_of(jobs).workloads}
    assert "running" in names
    assert not {"done", "broken"} & names
