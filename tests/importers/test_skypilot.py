"""Tasks and catalogs of SkyPilot: which places a task is offered, at which prices, and how mistakes are told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.errors import InputError
from planner.importers import importer
from planner.importers.draft import Asked, Draft

Samples = Callable[[str], list[str]]


@pytest.fixture
def draft_of(samples: Samples, asked: Asked, tmp_path: Path) -> Callable[..., Draft]:
    """The draft of one task on the sample's catalog."""
    catalog = next(path for path in samples("skypilot") if path.endswith("aws"))

    def make(**task: Any) -> Draft:
        (tmp_path / "task.yaml").write_text(yaml.safe_dump({"name": "t", **task}))
        return importer("skypilot")([catalog, str(tmp_path / "task.yaml")], asked)

    return make


def places(draft: Draft) -> dict[str, list[str]]:
    return {one["name"]: [pool["name"] for pool in one["pools"]] for one in draft.clusters}


def test_alternatives_become_places_at_the_catalogs_prices(samples: Samples, asked: Asked) -> None:
    """H100 in one region, A100 in two; the lower zone's price; a spot price equal to the list price is none."""
    draft = importer("skypilot")(samples("skypilot"), asked)
    assert places(draft) == {"aws-eu-west-1": ["m6i.2xlarge", "p4d.24xlarge"],
                             "aws-us-east-1": ["m6i.2xlarge", "p4d.24xlarge", "p5.48xlarge"]}
    east = draft.clusters[1]["pools"]
    assert east[0]["offers"] == [{"purchase": "on_demand", "price_usd_per_hour": 0.384},
                                 {"purchase": "spot", "price_usd_per_hour": 0.14}]
    assert draft.clusters[0]["pools"][1]["offers"] == [{"purchase": "on_demand", "price_usd_per_hour": 24.15}]
    train = next(one for one in draft.workloads if one["name"] == "train")
    assert train["request"] == {"vcpu": 32, "memory_gib": 256, "gpu": 8}
    assert train["hardware"] == {"gpu_models": ["A100", "H100"]}
    assert (train["preemptible"], train["replicas"][0]) == (True, 2)
    assert any("aws/mars-north-1" in guess.line for guess in draft.guesses())


def test_a_place_may_be_named(draft_of: Callable[..., Draft]) -> None:
    """A region, a machine type and a cloud leave only what they name; a service has replicas."""
    assert places(draft_of(resources={"infra": "aws/eu-west-1"})) == {"aws-eu-west-1": ["m6i.2xlarge"]}
    named = draft_of(resources={"instance_type": "p4d.24xlarge", "accelerators": {"A100": 8}, "cloud": "aws"})
    assert places(named) == {
        "aws-eu-west-1": ["p4d.24xlarge"], "aws-us-east-1": ["p4d.24xlarge"]}
    served = draft_of(service={"replica_policy": {"min_replicas": 3}}, resources={"cpus": "4", "memory": "2x"})
    assert (served.workloads[0]["kind"], served.workloads[0]["replicas"][0]) == ("serving", 3)
    assert served.workloads[0]["request"] == {"vcpu": 4, "memory_gib": 8}


@pytest.mark.parametrize(("task", "line"), [
    ({"resource": {}}, "task.yaml: resource: no field of a SkyPilot task: did you mean resources?"),
    ({"num_nodes": "two"}, "task.yaml: num_nodes: two: a whole number of at least 1 is needed"),
    ({"resources": {"cpus": "many"}}, "task.yaml: resources.cpus: many: a number is needed, with + for at least"),
    ({"resources": {"accelerators": "H100:x"}}, "task.yaml: resources.accelerators: H100:x: MODEL:COUNT is needed"),
    ({"resources": {"accelerators": "B200:8"}}, "task.yaml: resources: 1 vcpu, 4 memory_gib, 8 gpu (B200): no place"),
    ({"resources": {"any_of": [{}], "ordered": [{}]}}, "task.yaml: resources: any_of and ordered: one of them only"),
])
def test_a_wrong_task_is_told(draft_of: Callable[..., Draft], task: dict[str, Any], line: str) -> None:
    """File, field, value and what is allowed, in one line."""
    with pytest.raises(InputError) as error:
        draft_of(**task)
    assert str(error.value).startswith(line)


def test_alternatives_that_nobody_sells_are_left_out(draft_of: Callable[..., Draft]) -> None:
    """Of several the others count, and it is told which do not."""
    draft = draft_of(resources={"any_of": [{"accelerators": "B200:8"}, {"accelerators": "A100:8"}]})
    assert draft.workloads[0]["hardware"]["gpu_models"] == ["A100"]
    assert any("8 gpu (B200)" in guess.why for guess in draft.guesses())


def test_a_catalog_alone_is_nothing_to_plan(samples: Samples, asked: Asked) -> None:
    """A task is asked for."""
    with pytest.raises(InputError, match="no task: a task YAML of SkyPilot says what is to run"):
        importer("skypilot")(samples("skypilot")[:1], asked)
