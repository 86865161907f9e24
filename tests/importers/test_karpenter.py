"""What of NodePools becomes what: machine types by requirements, numbers by limits."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.errors import InputError
from planner.importers import importer
from planner.importers.draft import Asked, Draft

Edit = Callable[[dict[str, Any]], None]
Samples = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def things(samples: Samples) -> list[dict[str, Any]]:
    """The sample: two NodePools, two nodes that were started, three Deployments."""
    return list(yaml.safe_load_all(Path(samples("karpenter")[0]).read_text()))


@pytest.fixture
def draft_of(things: list[dict[str, Any]], asked: Asked, tmp_path: Path) -> Callable[..., Draft]:
    """The draft after an edit of the NodePool `general`."""

    def make(edit: Edit = lambda _: None, without: str = "") -> Draft:
        changed = copy.deepcopy(things)
        edit(changed[0])
        (tmp_path / "shop.yaml").write_text(yaml.safe_dump_all(one for one in changed if one["kind"] != without))
        return importer("karpenter")([str(tmp_path / "shop.yaml")], asked)

    return make


def pools(draft: Draft) -> dict[str, dict[str, Any]]:
    return {pool["name"]: pool for pool in draft.clusters[0]["pools"]}


def wants(key: str, operator: str, *values: object) -> Edit:
    """One more requirement."""

    def edit(pool: dict[str, Any]) -> None:
        pool["spec"]["template"]["spec"]["requirements"].append(
            {"key": key, "operator": operator, "values": [str(value) for value in values]})

    return edit


def spec(**fields: object) -> Edit:
    return lambda pool: pool["spec"].update(fields)


def told(draft: Draft) -> str:
    return "\n".join(guess.line for guess in draft.guesses())


def test_a_node_pool_is_what_it_may_start(draft_of: Callable[..., Draft]) -> None:
    """Types as the requirements want them, by each way to pay, with the labels and taints that decide who may run."""
    draft = draft_of()
    general = {name.removeprefix("general-") for name in pools(draft) if name.startswith("general-")}
    types = {"c6i.2xlarge", "c6i.4xlarge", "m6i.large", "m6i.xlarge", "m6i.2xlarge", "m6i.4xlarge"}
    assert general == types | {f"{name}-spot" for name in types}
    assert {"gpu-g5.xlarge", "gpu-g5.12xlarge"} == pools(draft).keys() - {f"general-{name}" for name in general}
    assert pools(draft)["general-m6i.large-spot"]["offers"][0]["purchase"] == "spot"
    work = {one["name"]: one for one in draft.workloads}
    assert work["ranker"]["clusters"]["allow"] == ["shop/gpu-g5.12xlarge", "shop/gpu-g5.xlarge"]
    assert not any("spot" in name for name in work["search"]["clusters"]["allow"])
    assert work["front"]["incumbent"] == {"cluster": "shop", "pool": "general-c6i.2xlarge-spot"}


@pytest.mark.parametrize(("edit", "left"), [
    (wants("karpenter.k8s.aws/instance-family", "In", "m6i"), {"m6i.large", "m6i.2xlarge", "m6i.4xlarge"}),
    (wants("karpenter.k8s.aws/instance-size", "NotIn", "large", "xlarge", "4xlarge"), {"c6i.2xlarge", "m6i.2xlarge"}),
    (wants("karpenter.k8s.aws/instance-memory", "Gt", 32767), {"c6i.4xlarge", "m6i.2xlarge", "m6i.4xlarge"}),
    (wants("karpenter.k8s.aws/instance-cpu", "Lt", 4), {"m6i.large"}),
    (wants("karpenter.k8s.aws/instance-cpu", "Gte", 16), {"c6i.4xlarge", "m6i.4xlarge"}),
    (wants("karpenter.sh/capacity-type", "In", "on-demand"), None),
    (wants("karpenter.k8s.aws/instance-local-nvme", "Gt", 100), None),
])
def test_every_requirement_narrows(draft_of: Callable[..., Draft], edit: Edit, left: set[str] | None) -> None:
    """Operators mean what they mean in Karpenter; what is not known of types narrows nothing, and is told."""
    found = {name.removeprefix("general-").removesuffix("-spot") for name in pools(draft_of(edit))
             if name.startswith("general-")}
    everything = {name.removeprefix("general-") for name in pools(draft_of()) if name.startswith("general-")}
    # the two nodes that were started before stay what they are
    assert found == (left or {name.removesuffix("-spot") for name in everything}) | {"m6i.xlarge", "c6i.2xlarge"}
    assert "instance-local-nvme" not in told(draft_of())
    assert "instance-local-nvme (general)" in told(draft_of(wants("karpenter.k8s.aws/instance-local-nvme", "Gt", 1)))


def test_limits_hold_for_each_type_and_for_all(draft_of: Callable[..., Draft]) -> None:
    """`max` is what the limit leaves of one type; rows hold what all types use together."""
    draft = draft_of()
    assert [pools(draft)[f"general-m6i.{size}"]["max"] for size in ("large", "4xlarge")] == [100, 12]
    assert [pools(draft)[f"gpu-g5.{size}"]["max"] for size in ("xlarge", "12xlarge")] == [4, 2]
    rows = {row["name"]: (row["measure"], row["max"], len(row["pools"])) for row in draft.more["limits"]}
    assert rows == {"shop-general-cpu": ("vcpu", 200, 12), "shop-gpu-nvidia-com-gpu": ("gpu", 8, 2),
                    "shop-gpu-nodes": ("machines", 4, 2)}
    assert "limits on memory" in told(draft)
    small = draft_of(spec(limits={"cpu": "8"}))
    assert "general-m6i.4xlarge" not in pools(small)
    assert "one machine is more than the limits of its NodePool (general-c6i.4xlarge" in told(small)
    assert pools(draft_of(spec(limits={})))["general-m6i.large"]["max"] == 1000
    assert pools(draft_of(spec(limits={}, replicas=3)))["general-m6i.large"]["max"] == 3
    assert "example.com/fpga" in told(draft_of(spec(limits={"example.com/fpga": 3})))


def test_pools_are_apart_by_zone_where_pods_are(things: list[dict[str, Any]], asked: Asked, tmp_path: Path) -> None:
    """A pod that selects a zone makes zones of the pools; each is within the limits."""
    changed = copy.deepcopy(things)
    front = next(one for one in changed if one["kind"] == "Deployment")
    front["spec"]["template"]["spec"]["nodeSelector"] = {"topology.kubernetes.io/zone": "eu-west-1b"}
    changed = [one for one in changed if one["kind"] != "Pod"]
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump_all(changed))
    draft = importer("karpenter")([str(tmp_path / "shop.yaml")], asked)
    assert pools(draft)["general-m6i.large-eu-west-1b"]["max"] == 100
    work = next(one for one in draft.workloads if one["name"] == "front")
    assert all(name.endswith("eu-west-1b") for name in work["clusters"]["allow"])


def test_without_nodes_zones_tell_the_region(draft_of: Callable[..., Draft]) -> None:
    """NodePools alone are enough; without a zone or a region the region is guessed, and told."""
    assert draft_of(without="Node").clusters[0]["region"] == "eu-west-1"

    def nowhere(pool: dict[str, Any]) -> None:
        rules = pool["spec"]["template"]["spec"]["requirements"]
        rules[:] = [rule for rule in rules if "zone" not in rule["key"]]

    assert "clusters.shop.region" in told(draft_of(nowhere, without="Node"))


@pytest.mark.parametrize(("edit", "says"), [
    (lambda pool: pool["spec"]["template"]["spec"]["nodeClassRef"].update(group="karpenter.k8s.gcp"),
     "nodeClassRef.group: karpenter.k8s.gcp: machine types of karpenter.k8s.aws and karpenter.azure.com are read"),
    (wants("topology.kubernetes.io/region", "In", "eu-west-1", "us-east-1"), "eu-west-1, us-east-1: one region"),
    (wants("node.kubernetes.io/instance-type", "In", "x1.tiny"), "no machine type of the catalog in aws/eu-west-1"),
    (wants("karpenter.k8s.aws/instance-cpu", "Near", 4), "instance-cpu Near 4"),
    (spec(limits={"cpu": "many"}), "spec.limits.cpu: many: a quantity"),
    (spec(limits={"cpu": "-1"}), "spec.limits.cpu: -1: a quantity of at least 0"),
    (spec(replicas=-1), "spec.replicas: -1: a whole number"),
    (spec(template=[]), "spec.template"),
])
def test_mistakes_are_told(draft_of: Callable[..., Draft], edit: Edit, says: str) -> None:
    """File, NodePool, field, value and what is allowed, in one line."""
    with pytest.raises(InputError) as found:
        draft_of(edit)
    assert len(found.value.problems) == 1
    assert says in found.value.problems[0]
    assert "shop.yaml: NodePool general" in found.value.problems[0]


def test_kubernetes_says_who_reads_node_pools(samples: Samples, asked: Asked) -> None:
    """The importer of nodes names the one of NodePools."""
    assert "`planner import karpenter` does" in told(importer("kubernetes")(samples("karpenter"), asked))
