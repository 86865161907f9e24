"""Pipelines of Kubeflow, compiled (`pipeline.yaml`, the intermediate representation of KFP 2), as workloads.

Tasks of nested pipelines count as tasks of their own; what waits for a nested pipeline waits for all of its last ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.importers.draft import Asked, Draft
from planner.importers.kubernetes_nodes import model_of
from planner.importers.pipelines import Pipeline, Step, add_pipeline
from planner.importers.stand_in import add_cluster
from planner.kube.labels import GPU
from planner.kube.objects import Fields, read_values
from planner.kube.pods import Needs
from planner.kube.quantities import GIB, parse_quantity
from planner.scenario.words import shown

DEEPEST = 20
"""Pipelines within pipelines beyond this are taken for a loop."""


def read(sources: Sequence[str], asked: Asked) -> Draft:
    """Every compiled pipeline among some files, on a cluster of the catalog. Raises InputError."""
    draft = Draft()
    for path in map(Path, sources):
        documents = read_values(path)
        found = [one for one in documents if isinstance(one, Mapping) and "pipelineInfo" in one]
        if not found:
            held = shown(documents[0]) if documents else "nothing"
            needed = "a compiled pipeline with pipelineInfo is needed, as `kfp dsl compile` writes it"
            raise InputError([f"{path.name}: {held}: {needed}"])
        for spec in found:
            pipeline = _Pipeline(spec, path.name)
            steps = list(pipeline.steps())
            if not steps:
                raise InputError([f"{path.name}: root.dag.tasks: none: a pipeline has at least one task"])
            add_pipeline(Pipeline(pipeline.name, tuple(steps)), f"{path.name}: root.dag.tasks", asked, draft)
    add_cluster(draft, asked)
    return draft


@dataclass(frozen=True, slots=True)
class _Pipeline:
    """A compiled pipeline and the file it stands in."""

    spec: Fields
    file: str

    @property
    def name(self) -> str:
        """Its name."""
        return str(_at(self.spec, "pipelineInfo", "name") or Path(self.file).stem)

    def steps(self) -> Iterator[Step]:
        """All tasks that run a container, with those they wait for."""
        return iter(self._dag(_at(self.spec, "root", "dag"), "", (), maybe=False, path="root.dag")[0])

    def _dag(self, dag: Any, prefix: str, before: tuple[str, ...], maybe: bool,  # noqa: ANN401  (parsed YAML)
             path: str) -> tuple[list[Step], tuple[str, ...]]:
        """Steps of a DAG that starts after some steps, and its last steps, which what comes after waits for."""
        tasks = _at(dag, "tasks") or {}
        if not isinstance(tasks, Mapping) or not all(isinstance(task, Mapping) for task in tasks.values()):
            raise InputError([f"{self.file}: {path}.tasks: {shown(tasks)}: a mapping of tasks is needed"])
        if path.count(".dag") > DEEPEST:
            raise InputError([f"{self.file}: {path}: pipelines within pipelines deeper than {DEEPEST}: a loop?"])
        made: dict[str, tuple[list[Step], tuple[str, ...]]] = {}
        for name, task in tasks.items():
            waits = task.get("dependentTasks") or []
            if not isinstance(waits, list) or not all(isinstance(one, str) for one in waits):
                where = f"{self.file}: {path}.tasks.{name}.dependentTasks"
                raise InputError([f"{where}: {shown(waits)}: a list of names of tasks is needed"])
        for name in _order(tasks, f"{self.file}: {path}.tasks"):
            task = tasks[name]
            waits = task.get("dependentTasks") or ()
            after = tuple(last for one in waits for last in made[one][1]) if waits else before
            made[name] = self._task(task, f"{prefix}{name}", after, maybe, f"{path}.tasks.{name}")
        waited = {one for task in tasks.values() for one in task.get("dependentTasks") or ()}
        ends = tuple(last for name in tasks if name not in waited for last in made[name][1])
        return [step for name in tasks for step in made[name][0]], ends

    def _task(self, task: Fields, name: str, after: tuple[str, ...], maybe: bool,
              path: str) -> tuple[list[Step], tuple[str, ...]]:
        reference = _at(task, "componentRef", "name")
        component = _at(self.spec, "components", str(reference))
        if not isinstance(component, Mapping):
            raise InputError([f"{self.file}: {path}.componentRef.name: {shown(reference)}: no component of that name"])
        maybe = maybe or _at(task, "triggerPolicy", "condition") is not None
        times = _times(task)
        if "dag" in component:
            steps, ends = self._dag(component["dag"], f"{name}/", after, maybe, f"{path}.dag")
            return [replace(step, replicas=step.replicas * times) for step in steps], ends or after
        label = component.get("executorLabel")
        executor = _at(self.spec, "deploymentSpec", "executors", str(label))
        if not isinstance(executor, Mapping):
            raise InputError([f"{self.file}: components.{reference}.executorLabel: {shown(label)}: no such executor"])
        if "container" not in executor:  # an importer or resolver takes no machine
            return [], after
        needs, models = self._needs(executor["container"], f"deploymentSpec.executors.{label}.container.resources")
        return [Step(name, needs, tuple(dict.fromkeys(after)), times, maybe, models)], (name,)

    def _needs(self, container: Fields, path: str) -> tuple[Needs, tuple[str, ...]]:
        """What a container asks for: its requests, else its limits; GPUs by their model."""
        found = self._fields(container, path.removesuffix(".resources"), "resources")
        cpu = self._amount(found, path, ("resourceCpuRequest", "resourceCpuLimit"), ("cpuRequest", "cpuLimit"), 1)
        memory = self._amount(found, path, ("resourceMemoryRequest", "resourceMemoryLimit"),
                              ("memoryRequest", "memoryLimit"), 10**9)
        chip = self._fields(found, path, "accelerator")
        count = self._amount(chip, f"{path}.accelerator", ("resourceCount",), ("count",), 1)
        kind = str(chip.get("resourceType") or chip.get("type") or "")
        model = model_of(kind) if count and kind and "/" not in kind else None
        return (Needs(float(cpu), float(memory / GIB), 0.0, {GPU: int(count)} if count else {}, frozenset()),
                (model,) if model else ())

    def _fields(self, holder: Any, path: str, name: str) -> Fields:  # noqa: ANN401  (parsed YAML)
        """A mapping within another; empty where there is none. Raises InputError for anything else."""
        for field, value in ((path, holder), (f"{path}.{name}", _at(holder, name))):
            if value is not None and not isinstance(value, Mapping):
                raise InputError([f"{self.file}: {field}: {shown(value)}: a mapping of fields is needed"])
        return _at(holder, name) or {}

    def _amount(self, holder: Fields, path: str, texts: Sequence[str], numbers: Sequence[str], unit: int) -> Fraction:
        """The first of some fields that is given: quantities as texts, or numbers of a unit (memory: GB)."""
        for name, scale in (*((name, 1) for name in texts), *((name, unit) for name in numbers)):
            if name in holder and holder[name] not in (None, ""):
                try:
                    amount = parse_quantity(holder[name]) * scale
                except ValueError:
                    amount = Fraction(-1)
                if amount < 0:
                    where = f"{self.file}: {path}.{name}"
                    raise InputError([f"{where}: {shown(holder[name])}: a quantity of at least 0 is needed"])
                return amount
        return Fraction(0)


def _times(task: Fields) -> int:
    """How many of a task run side by side: as many as its iterator has items at once, where that is stated."""
    limit = _at(task, "iteratorPolicy", "parallelismLimit")
    return limit if isinstance(limit, int) and limit > 0 else 1


def _order(tasks: Fields, where: str) -> list[str]:
    """Names of tasks, those that are waited for first."""
    from graphlib import CycleError, TopologicalSorter

    graph = {name: list(task.get("dependentTasks") or ()) for name, task in tasks.items()}
    for name, waits in graph.items():
        if unknown := [one for one in waits if one not in tasks]:
            raise InputError([f"{where}.{name}.dependentTasks: {unknown[0]}: no task of that name"])
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise InputError([f"{where}: {' -> '.join(error.args[1])}: these tasks wait for each other"]) from None


def _at(value: Any, *path: str) -> Any:  # noqa: ANN401  (parsed YAML)
    """The value at a path; None where there is none."""
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
