"""Argo Workflows, CronWorkflows and WorkflowTemplates as workloads: DAGs and steps, nested ones flattened.

Templates that take no machine (`suspend`, `http`, `resource`, ...) are passed over: what waits for one waits for what
that waits for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.importers.draft import Asked, Draft
from planner.importers.kubernetes_batch import gap_of, starts_of
from planner.importers.kubernetes_nodes import GPU_LABELS, model_of
from planner.importers.pipelines import Pipeline, Step, add_pipeline
from planner.importers.stand_in import add_cluster
from planner.kube.objects import Fields, Thing, listed, read_values, things_of
from planner.kube.pods import needs

KINDS = ("Workflow", "CronWorkflow", "WorkflowTemplate", "ClusterWorkflowTemplate")
DEEPEST = 20
"""Templates within templates beyond this are taken for a loop."""
Made = tuple[list[Step], tuple[str, ...]]
"""Steps, and the last ones of them, which what comes after waits for."""


def read(sources: Sequence[str], asked: Asked) -> Draft:
    """Every workflow among some files, on a cluster of the catalog; templates count where no workflow is. Raises
    InputError.
    """
    draft = Draft()
    things = [thing for path in map(Path, sources) for value in read_values(path)
              for thing in things_of(value, path.name) if thing.kind in KINDS]
    if not things:
        names = ", ".join(Path(source).name for source in sources)
        raise InputError([f"{names}: no {', '.join(KINDS[:3])}: a workflow of Argo is needed"])
    runs = [thing for thing in things if thing.kind in KINDS[:2]] or things
    for thing in runs:
        spec = thing.fields("spec", "workflowSpec") if thing.kind == "CronWorkflow" else thing.fields("spec")
        workflow = _Workflow.of(thing, spec, things)
        steps = workflow.steps()
        if not steps:
            raise thing.wrong("spec.templates", None, "no template of it runs a container")
        begin, every = _when(thing, workflow.name, asked, draft)
        add_pipeline(Pipeline(workflow.name, tuple(steps), begin, every), thing.where, asked, draft)
    add_cluster(draft, asked)
    return draft


def _when(thing: Thing, name: str, asked: Asked, draft: Draft) -> tuple[int, int | None]:
    """The first slot of a workflow, and after how many slots it comes again."""
    schedules = thing.at("spec", "schedules") or [thing.at("spec", "schedule")]
    if thing.kind != "CronWorkflow" or not isinstance(schedules, list):
        return 0, None
    zone = str(thing.at("spec", "timezone") or "UTC")
    starts = sorted({slot for one in schedules for slot in starts_of(thing, str(one or ""), zone, asked)})
    if not starts:
        draft.guess("workloads.*.batch", "once", "its schedule does not come true within the horizon", name)
        return 0, None
    return starts[0], gap_of(starts, name, draft) if len(starts) > 1 else None


@dataclass(frozen=True, slots=True)
class _Workflow:
    """A workflow, its templates and those of others, by name."""

    thing: Thing
    name: str
    spec: Fields
    others: Mapping[str, Mapping[str, Fields]]

    @classmethod
    def of(cls, thing: Thing, spec: Fields, things: Sequence[Thing]) -> _Workflow:
        """A workflow with what the WorkflowTemplates beside it hold."""
        others = {one.name: _by_name(one, one.fields("spec")) for one in things if one.kind.endswith("Template")}
        name = thing.name or str(thing.metadata.get("generateName", "workflow")).rstrip("-")
        reference = spec.get("workflowTemplateRef")
        if isinstance(reference, Mapping):
            known = next((one for one in things if one.kind.endswith("Template")
                          and one.name == reference.get("name")), None)
            if known is None:
                raise thing.wrong("spec.workflowTemplateRef.name", reference.get("name"), "add its WorkflowTemplate")
            spec = {**known.fields("spec"), **spec}
        return cls(thing, name, spec, others)

    def steps(self) -> list[Step]:
        """All its steps that run a container."""
        entry = self.spec.get("entrypoint")
        return self._template({"template": entry}, "", (), _by_name(self.thing, self.spec), "spec.entrypoint", 0)[0]

    def _template(self, call: Fields, name: str, after: tuple[str, ...], own: Mapping[str, Fields], where: str,
                  depth: int) -> Made:
        """Steps of what a task calls: a template by name, of another object, or written in place."""
        if depth > DEEPEST:
            why = f"templates within templates deeper than {DEEPEST}: a loop?"
            raise self.thing.wrong(where, call.get("template"), why)
        template, own = self._called(call, own, where)
        prefix = f"{name}/" if name else ""
        if isinstance(template.get("dag"), Mapping):
            return self._dag(template["dag"], prefix, after, own, f"{where}.dag.tasks", depth)
        if template.get("steps") is not None:
            return self._lists(template["steps"], prefix, after, own, f"{where}.steps", depth)
        return self._leaf(template, name or str(template.get("name", "main")), after, where)

    def _called(self, call: Fields, own: Mapping[str, Fields], where: str) -> tuple[Fields, Mapping[str, Fields]]:
        if isinstance(call.get("inline"), Mapping):
            return call["inline"], own
        if isinstance(reference := call.get("templateRef"), Mapping):
            own = self.others.get(str(reference.get("name")), {})
            named = reference.get("template")
        else:
            named = call.get("template")
        if str(named) not in own:
            raise self.thing.wrong(where, named, "no template of that name: add what defines it")
        return own[str(named)], own

    def _dag(self, dag: Fields, prefix: str, before: tuple[str, ...], own: Mapping[str, Fields], where: str,
             depth: int) -> Made:
        tasks = {str(task.get("name")): task for task in listed(self.thing, dag.get("tasks"), where)}
        waits = {name: self._waits(task, tasks, where) for name, task in tasks.items()}
        try:
            order = list(TopologicalSorter(waits).static_order())
        except CycleError as error:
            loop = " -> ".join(error.args[1])
            raise InputError([f"{self.thing.where}: {where}: {loop}: these tasks wait for each other"]) from None
        made: dict[str, Made] = {}
        for name in order:
            after = tuple(last for one in waits[name] for last in made[one][1]) if waits[name] else before
            made[name] = self._task(tasks[name], f"{prefix}{name}", after, own, f"{where}.{name}", depth)
        waited = {one for found in waits.values() for one in found}
        ends = tuple(last for name in tasks if name not in waited for last in made[name][1])
        return [step for name in tasks for step in made[name][0]], ends

    def _waits(self, task: Fields, tasks: Mapping[str, Fields], where: str) -> tuple[str, ...]:
        """Tasks that a task waits for: its `dependencies`, or those that its `depends` names."""
        given = task.get("dependencies") or []
        if not isinstance(given, list):
            where = f"{where}.{task.get('name')}.dependencies"
            raise self.thing.wrong(where, given, "a list of names of tasks is needed")
        listed_ones = [str(one) for one in given]
        words = re.findall(r"[A-Za-z0-9_-]+(?:\.[A-Za-z]+)?", str(task.get("depends") or ""))
        found = tuple(dict.fromkeys([*listed_ones, *(word.split(".")[0] for word in words)]))
        if unknown := [one for one in found if one not in tasks]:
            raise self.thing.wrong(f"{where}.{task.get('name')}.depends", unknown[0], "no task of that name")
        return found

    def _lists(self, groups: Any, prefix: str, before: tuple[str, ...],  # noqa: ANN401  (parsed YAML)
               own: Mapping[str, Fields], where: str, depth: int) -> Made:
        """Groups of steps one after another, those of a group side by side."""
        if not isinstance(groups, list):
            raise self.thing.wrong(where, groups, "a list of lists of steps is needed")
        steps, after = list[Step](), before
        for number, group in enumerate(groups):
            calls = listed(self.thing, group if isinstance(group, list) else [group], f"{where}[{number}]")
            made = [self._task(call, f"{prefix}{call.get('name')}", after, own, f"{where}[{number}]", depth)
                    for call in calls]
            steps += [step for found, _ in made for step in found]
            after = tuple(last for _, ends in made for last in ends) or after
        return steps, after

    def _task(self, task: Fields, name: str, after: tuple[str, ...], own: Mapping[str, Fields], where: str,
              depth: int) -> Made:
        steps, ends = self._template(task, name, after, own, where, depth + 1)
        times, maybe = _times(task), bool(task.get("when"))
        return [replace(step, replicas=step.replicas * times, maybe=step.maybe or maybe) for step in steps], ends

    def _leaf(self, template: Fields, name: str, after: tuple[str, ...], where: str) -> Made:
        """A step that runs containers; nothing, for a template that takes no machine."""
        containers = list(_containers(self.thing, template, where))
        if not containers:
            return [], after
        spec = {"containers": [*containers, *(template.get("sidecars") or ())],
                "initContainers": template.get("initContainers")}
        selector = {**(self.spec.get("nodeSelector") or {}), **(template.get("nodeSelector") or {})}
        model = next((model_of(str(selector[label])) for label in GPU_LABELS if label in selector), None)
        deadline = template.get("activeDeadlineSeconds")
        minutes = deadline / 60 if isinstance(deadline, int) and deadline > 0 else None
        asks = needs(self.thing, spec, f"spec.templates.{template.get('name')}")
        step = Step(name, asks, tuple(dict.fromkeys(after)), minutes=minutes,
                    gpu_models=(model,) if model and asks.devices else ())
        return [step], (name,)


def _containers(thing: Thing, template: Fields, where: str) -> Iterator[Fields]:
    for part in ("container", "script"):
        if isinstance(template.get(part), Mapping):
            yield template[part]
    if isinstance(template.get("containerSet"), Mapping):
        yield from listed(thing, template["containerSet"].get("containers"), f"{where}.containerSet.containers")


def _by_name(thing: Thing, spec: Fields) -> dict[str, Fields]:
    return {str(one.get("name")): one for one in listed(thing, spec.get("templates"), "spec.templates")}


def _times(task: Fields) -> int:
    """How many of a task run side by side: its items, or its sequence, where they are written out; else one."""
    if isinstance(items := task.get("withItems"), list):
        return max(1, len(items))
    sequence = task.get("withSequence")
    if isinstance(sequence, Mapping):
        try:
            if sequence.get("count") is not None:
                return max(1, int(sequence["count"]))
            return abs(int(sequence["end"]) - int(sequence.get("start", 0))) + 1
        except (KeyError, ValueError):
            return 1
    return 1
