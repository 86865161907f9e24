"""Quotas of Kueue become pools and limits that borrow and lend as Kueue does; mistakes in them are told."""

import copy
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.importers import importer
from planner.importers.draft import Asked, Draft
from planner.importers.kueue_quotas import Holder, Quota, Quotas

Samples = Callable[[str], list[str]]
Objects = list[dict[str, Any]]


@pytest.fixture
def draft_of(samples: Samples, asked: Asked, tmp_path: Path) -> Callable[..., Draft]:
    """The draft of the sample after an edit of its objects."""

    def make(edit: Callable[[Objects], object] = lambda _: None) -> Draft:
        objects = list(yaml.safe_load_all(Path(samples("kueue")[0]).read_text()))
        edit(objects)
        (tmp_path / "k.yaml").write_text(yaml.safe_dump_all(copy.deepcopy(objects)))
        return importer("kueue")([str(tmp_path / "k.yaml")], asked)

    return make


def named(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    return next(one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name))


def pools(draft: Draft) -> dict[str, dict[str, Any]]:
    return {pool["name"]: pool for pool in draft.clusters[0]["pools"]}


def told(draft: Draft, words: str) -> bool:
    return any(words in guess.line for guess in draft.guesses())


def test_the_sample_is_what_kueue_takes(shared: Path, samples: Samples) -> None:
    """Every object of the sample passes its published schema."""
    for found in yaml.safe_load_all(Path(samples("kueue")[0]).read_text()):
        if found["kind"] != "Workload":
            name = {"ClusterQueue": "clusterqueues", "Cohort": "cohorts", "LocalQueue": "localqueues",
                    "ResourceFlavor": "resourceflavors"}[found["kind"]]
            spec = yaml.safe_load((shared / "data" / "schemas" / "kueue" / f"{name}.yaml").read_text())["spec"]
            version = next(one for one in spec["versions"] if found["apiVersion"].endswith(one["name"]))
            schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
            jsonschema.Draft202012Validator(schema).validate(found["spec"])


def test_a_queue_has_its_quota_and_what_it_may_borrow(draft_of: Callable[..., Draft]) -> None:
    """64 + 32 CPUs are six machines of 16; without a limit all 208 of the cohort are thirteen, for both together."""
    draft = draft_of()
    assert (pools(draft)["research-x86"]["max"], pools(draft)["product-x86"]["max"]) == (6, 13)
    assert draft.more["limits"] == [{"name": "k-science-x86", "pools": ["k/research-x86", "k/product-x86"],
                                     "measure": "machines", "max": 13}]


def test_what_is_not_lent_is_kept(draft_of: Callable[..., Draft]) -> None:
    """Product lends 48 of its 128 CPUs: research has its own 64, the cohort's 16 and those: eight machines."""

    def lend(objects: Objects) -> None:
        quota = named(objects, "ClusterQueue", "research")["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]
        del quota["borrowingLimit"]
        quota = named(objects, "ClusterQueue", "product")["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]
        quota["lendingLimit"] = 48

    assert pools(draft_of(lend))["research-x86"]["max"] == 8


def test_a_quota_below_one_machine_is_a_part_of_one(draft_of: Callable[..., Draft]) -> None:
    """Four CPUs by themselves leave twelve of sixteen reserved, and it is told."""

    def small(objects: Objects) -> None:
        queue = named(objects, "ClusterQueue", "product")
        del queue["spec"]["cohortName"]
        queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"] = [
            {"name": "cpu", "nominalQuota": 4}, {"name": "memory", "nominalQuota": "8Gi"}]

    draft = draft_of(small)
    assert pools(draft)["product-x86"]["max"] == 1
    assert pools(draft)["product-x86"]["reserved"] == {"vcpu": 12, "memory_gib": 56}
    assert told(draft, "they neither borrow nor lend (k/product-x86)")


def test_quotas_above_the_nodes_give_the_nodes(draft_of: Callable[..., Draft]) -> None:
    """With three nodes there are three machines for all queues together, less what nodes keep for themselves."""

    def nodes(objects: Objects) -> None:
        flavor = named(objects, "ResourceFlavor", "x86")["spec"]["nodeLabels"]
        objects += [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n{at}", "labels": flavor},
                     "spec": {"providerID": "aws:///eu-west-1a/i-0"},
                     "status": {"capacity": {"cpu": "16", "memory": "64Gi"},
                                "allocatable": {"cpu": "15500m", "memory": "60Gi"}}} for at in range(3)]

    draft = draft_of(nodes)
    assert pools(draft)["product-x86-m6i.4xlarge"]["max"] == 3
    assert pools(draft)["product-x86-m6i.4xlarge"]["reserved"] == {"vcpu": 0.5, "memory_gib": 4}
    assert {"name": "k-m6i.4xlarge-nodes", "pools": ["k/research-x86-m6i.4xlarge", "k/product-x86-m6i.4xlarge"],
            "measure": "machines", "max": 3} in draft.more["limits"]
    assert told(draft, "quotas above what the nodes have")
    assert told(draft, "flavors whose labels no node has that takes pods (h100)")


def test_stopped_queues_and_finished_work_are_left_out(draft_of: Callable[..., Draft]) -> None:
    """A queue on hold takes nothing; a Workload that has ended is nobody's demand."""

    def stop(objects: Objects) -> None:
        named(objects, "LocalQueue", "main")["spec"]["stopPolicy"] = "Hold"
        named(objects, "Workload", "train-1")["status"] = {"conditions": [{"type": "Finished", "status": "True"}]}

    draft = draft_of(stop)
    assert [one["name"] for one in draft.workloads] == ["lab/lab"]
    assert told(draft, "LocalQueues that are stopped (shop/main)")


@pytest.mark.parametrize(("edit", "line"), [
    (lambda objects: named(objects, "LocalQueue", "lab")["spec"].update(clusterQueue="reserch"),
     "k.yaml: LocalQueue lab: spec.clusterQueue: reserch: no ClusterQueue of that name: did you mean research?"),
    (lambda objects: named(objects, "ClusterQueue", "product").update(apiVersion="kueue.x-k8s.io/v1alpha1"),
     "k.yaml: ClusterQueue product: apiVersion: kueue.x-k8s.io/v1alpha1: one of v1beta1, v1beta2"),
    (lambda objects: named(objects, "Cohort", "science")["spec"].update(parentName="science"),
     "k.yaml: Cohort science: spec.parentName: science: cohorts that are in each other"),
    (lambda objects: objects.remove(named(objects, "ResourceFlavor", "h100")),
     "k.yaml: ClusterQueue research: spec.resourceGroups[0].flavors[1].name: h100: no ResourceFlavor of that name"),
    (lambda objects: named(objects, "ClusterQueue", "product")["spec"]["resourceGroups"][0]["flavors"][0].update(
        resources=[{"name": "cpu", "nominalQuota": "16GB"}]),
     "k.yaml: ClusterQueue product: spec.resourceGroups[0].flavors[0].resources[0].nominalQuota: 16GB: a quantity"),
])
def test_bad_quotas_are_told(draft_of: Callable[..., Draft], edit: Callable[[Objects], object], line: str) -> None:
    """File, object, field, value and what is allowed, in one line."""
    with pytest.raises(InputError) as error:
        draft_of(edit)
    assert str(error.value).startswith(line)


amounts = st.integers(0, 50).map(Fraction)
limits = st.none() | amounts


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), st.builds(Quota, amounts, limits, limits), min_size=1))
def test_every_queue_may_use_its_own_quota(quotas: dict[str, Quota]) -> None:
    """Whatever is borrowed and lent in a cohort, all queues using what is theirs is within every bound."""
    made = Quotas({name: Holder(name, "all", {"f": {"cpu": quota}}) for name, quota in quotas.items()},
                  {"all": Holder("all", None, {})})
    for cap in made.caps("f"):
        assert sum(quotas[name].nominal for name in cap.queues) <= cap.amounts["cpu"]
