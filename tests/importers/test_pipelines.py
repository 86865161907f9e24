"""Pipelines of Kubeflow and Argo become batch workloads whose steps start when those before them are done."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.errors import InputError
from planner.importers import importer
from planner.importers.complete import check, files_of
from planner.importers.draft import Asked, Draft
from planner.planning import PlanRequest, make_plan

Samples = Callable[[str], list[str]]


@pytest.fixture
def draft_of(samples: Samples, asked: Asked, tmp_path: Path) -> Callable[..., Draft]:
    """The draft of a sample after an edit of its documents."""

    def make(name: str, edit: Callable[[list[Any]], None] = lambda _: None) -> Draft:
        documents = list(yaml.safe_load_all(Path(samples(name)[0]).read_text()))
        edit(documents)
        (tmp_path / "p.yaml").write_text(yaml.safe_dump_all(copy.deepcopy(documents)))
        return importer(name)([str(tmp_path / "p.yaml")], asked)

    return make


def step(draft: Draft, name: str) -> dict[str, Any]:
    return next(one for one in draft.workloads if one["name"].split("/", 1)[1] == name)


def test_tasks_of_kubeflow_are_workloads(draft_of: Callable[..., Draft]) -> None:
    """Nested pipelines are flattened, importers passed over, iterators run side by side, limits stand for requests."""
    draft = draft_of("kubeflow")
    after = {one["name"]: [before["workload"] for before in one.get("after", ())] for one in draft.workloads}
    assert after == {
        "cancer-odds/clean": [], "cancer-odds/features": ["cancer-odds/clean"],
        "cancer-odds/tune/train-model": ["cancer-odds/features"],
        "cancer-odds/tune/evaluate": ["cancer-odds/tune/train-model"],
        "cancer-odds/condition-1/deploy": ["cancer-odds/tune/evaluate"]}  # fmt: skip
    assert step(draft, "clean")["request"] == {"vcpu": 8, "memory_gib": 29.8023223877}
    assert step(draft, "features")["request"] == {"vcpu": 0.5, "memory_gib": 2}
    assert step(draft, "features")["replicas"] == [4] * 24
    train = step(draft, "tune/train-model")
    assert (train["kind"], train["request"]["gpu"], train["hardware"]) == ("training", 1, {"gpu_models": ["A10G"]})
    assert step(draft, "condition-1/deploy")["probability"] == 0.5


def test_tasks_of_argo_are_workloads(draft_of: Callable[..., Draft]) -> None:
    """Items run side by side, steps wait for the group before, a template of another object is found, waits passed."""
    draft = draft_of("argo")
    after = {one["name"].split("/", 1)[1]: [before["workload"].split("/", 1)[1] for before in one.get("after", ())]
             for one in draft.workloads}
    assert after == {"extract": [], "clean": ["extract"], "model/split": ["clean", "extract"],
                     "model/train": ["model/split"], "model/baseline": ["model/split"],
                     "model/publish": ["model/train", "model/baseline"]}
    assert step(draft, "extract")["replicas"] == [3] * 24
    assert step(draft, "extract")["batch"]["duration_slots"] == 2
    assert step(draft, "model/train")["request"] == {"vcpu": 8.5, "memory_gib": 32.5, "gpu": 1}
    assert step(draft, "model/train")["hardware"] == {"gpu_models": ["L4"]}
    assert step(draft, "model/baseline")["probability"] == 0.5
    assert all(one["batch"]["every_slots"] == 12 for one in draft.workloads)
    assert min(one["batch"]["earliest_slot"] for one in draft.workloads) == 3


@pytest.mark.parametrize("name", ["kubeflow", "argo"])
def test_a_step_starts_when_those_before_it_are_done(name: str, samples: Samples, asked: Asked) -> None:
    """In a plan no step starts before a step that it waits for has ended, wherever in their windows they start."""
    draft = importer(name)(samples(name), asked)
    for one in draft.workloads:
        for before in one.get("after", ()):
            batch = next(other["batch"] for other in draft.workloads if other["name"] == before["workload"])
            assert batch["latest_slot"] + batch["duration_slots"] <= one["batch"]["earliest_slot"]
    scenario = check(files_of(draft, asked, name), asked)
    plan = make_plan(scenario, PlanRequest(time_limit_s=60, solver="first-fit"), catalog=asked.catalog).plan
    starts = {unit.workload: unit.start_slot for unit in plan.assignments}
    assert starts.keys() == {one["name"] for one in draft.workloads}


def _kubeflow(path: list[str], value: object) -> Callable[[list[Any]], None]:
    def edit(documents: list[Any]) -> None:
        where = documents[0]
        for part in path[:-1]:
            where = where[part]
        where[path[-1]] = value

    return edit


ROOT = ["root", "dag", "tasks"]


@pytest.mark.parametrize(("name", "edit", "line"), [
    ("kubeflow", _kubeflow([*ROOT, "clean", "dependentTasks"], ["nobody"]),
     "p.yaml: root.dag.tasks.clean.dependentTasks: nobody: no task of that name"),
    ("kubeflow", _kubeflow([*ROOT, "clean", "dependentTasks"], ["features"]),
     "p.yaml: root.dag.tasks: "),
    ("kubeflow", _kubeflow([*ROOT, "clean", "componentRef"], {"name": "comp-x"}),
     "p.yaml: root.dag.tasks.clean.componentRef.name: comp-x: no component of that name"),
    ("kubeflow", _kubeflow(["deploymentSpec", "executors", "exec-clean", "container", "resources"],
                           {"resourceCpuLimit": "many"}),
     "p.yaml: deploymentSpec.executors.exec-clean.container.resources.resourceCpuLimit: many: a quantity of at"),
    ("kubeflow", _kubeflow(ROOT, {}), "p.yaml: root.dag.tasks: none: a pipeline has at least one task"),
    ("kubeflow", _kubeflow(["deploymentSpec", "executors", "exec-clean", "container", "resources"],
                           {"resourceCpuLimit": "5000"}),
     "workloads.cancer-odds/clean.request: 5000 vCPU, 4 GiB: no machine of the catalog has that"),
    ("argo", lambda documents: documents.pop(),
     "p.yaml: CronWorkflow claims: spec.entrypoint.dag.tasks.clean: clean: no template of that name"),
    ("argo", lambda documents: documents[0]["spec"].update(schedule="3 o'clock"),
     "p.yaml: CronWorkflow claims: spec.schedule: 3 o'clock: a cron"),
    ("argo", lambda documents: documents[0]["spec"]["workflowSpec"].update(entrypoint="mian"),
     "p.yaml: CronWorkflow claims: spec.entrypoint: mian: no template of that name"),
    ("argo", lambda documents: documents[0]["spec"]["workflowSpec"]["templates"][0]["dag"]["tasks"][0].update(
        depends="model"), "p.yaml: CronWorkflow claims: spec.entrypoint.dag.tasks: "),
    ("argo", lambda documents: documents[0]["spec"].update(schedule="0 * * * *"),
     "p.yaml: CronWorkflow claims: 5 levels of steps take 6 slots, a run has 1: give more --slots"),
])
def test_bad_pipelines_are_told(draft_of: Callable[..., Draft], name: str, edit: Callable[[list[Any]], None],
                                line: str) -> None:
    """File, field, value and what is allowed, in one line."""
    with pytest.raises(InputError) as error:
        draft_of(name, edit)
    assert str(error.value).startswith(line)
