"""Steps of a pipeline as batch workloads with `after`: every level of it in its own part of the horizon."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from planner.errors import InputError
from planner.importers.draft import Asked, Draft, Fields, number, plain
from planner.kube.pods import Needs

KINDS = (("training", re.compile(r"train|tune|fit\b|finetun")), ("feature", re.compile(r"feature|embed")))
STAND_IN = {"cpu": 1.0, "memory": 4.0}
"""vCPU and GiB of a step that states none."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what a replica of it asks for, how many run at once, and the steps it waits for.

    `maybe`: it runs only where a condition holds. `gpu_models`: only these will do. `minutes` is the longest that it
    may take, where that is stated.
    """

    name: str
    needs: Needs
    after: tuple[str, ...] = ()
    replicas: int = 1
    maybe: bool = False
    gpu_models: tuple[str, ...] = ()
    minutes: float | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Steps that belong together, from slot `begin` on, again every `every_slots`."""

    name: str
    steps: tuple[Step, ...]
    begin: int = 0
    every_slots: int | None = None


def add_pipeline(pipeline: Pipeline, where: str, asked: Asked, draft: Draft) -> None:
    """Put the steps of a pipeline into the draft. Raises InputError for steps that wait for each other.

    Every level (steps that wait for nothing, then those that wait for them, ...) has its own share of the period, in
    which its steps start and end: so every step starts when those before it are done, whatever slot a plan chooses.
    """
    level = _levels(pipeline.steps, where)
    lengths = {step.name: _slots(step, pipeline.name, asked, draft) for step in pipeline.steps}
    needed = [max(lengths[step.name] for step in pipeline.steps if level[step.name] == at)
              for at in range(max(level.values()) + 1)]
    period = min(asked.slots - pipeline.begin, pipeline.every_slots or asked.slots)
    if sum(needed) > period:
        takes = f"{len(needed)} levels of steps take {sum(needed)} slots, a run has {period}"
        raise InputError([f"{where}: {takes}: give more --slots, or longer ones with --slot-minutes"])
    spare = (period - sum(needed)) // len(needed)
    first = [pipeline.begin + sum(needed[:at]) + spare * at for at in range(len(needed))]
    for step in pipeline.steps:
        begin, width = first[level[step.name]], needed[level[step.name]] + spare
        length = lengths[step.name]
        batch = {"duration_slots": length, "earliest_slot": begin, "latest_slot": begin + width - length,
                 "every_slots": pipeline.every_slots}
        draft.workloads.append(_workload(pipeline.name, step, plain(batch), asked, draft))
    why = "each level of steps has its own part of a run, so that what comes after starts when what is before is done"
    draft.guess(f"workloads.{pipeline.name}/*.batch", f"{len(needed)} levels", why)


def _workload(pipeline: str, step: Step, batch: Fields, asked: Asked, draft: Draft) -> Fields:
    name = f"{pipeline}/{step.name}"
    if step.maybe:
        draft.guess("workloads.*.probability", 0.5, "it runs only where a condition holds", name)
    if step.after:
        draft.guess("workloads.*.after.gb_per_day", 0, "what steps hand on is not stated", name)
    kind = next((kind for kind, words in KINDS if words.search(step.name.lower())), "etl")
    if step.needs.devices:
        kind = "training"
    draft.guess("workloads.*.kind", kind, "by the step's name and GPUs", name)
    return plain({
        "name": name, "kind": kind, "pipeline": pipeline, "probability": 0.5 if step.maybe else None,
        "request": _request(step.needs, name, draft), "hardware": plain({"gpu_models": list(step.gpu_models)}),
        "replicas": [step.replicas] * asked.slots, "after": [{"workload": f"{pipeline}/{one}"} for one in step.after],
        "batch": batch})


def _request(needs: Needs, name: str, draft: Draft) -> Fields:
    vcpu, memory = needs.vcpu, needs.memory_gib
    if not vcpu:
        vcpu = STAND_IN["cpu"]
        draft.guess("workloads.*.request.vcpu", number(vcpu), "steps that state no CPU", name)
    if not memory:
        memory = STAND_IN["memory"]
        draft.guess("workloads.*.request.memory_gib", number(memory), "steps that state no memory", name)
    return plain({"vcpu": number(vcpu), "memory_gib": number(memory),
                  "gpu": max(needs.devices.values(), default=0) or None, "disk_gib": number(needs.disk_gib) or None})


def _slots(step: Step, pipeline: str, asked: Asked, draft: Draft) -> int:
    """How many slots a step takes: up to its time limit, else one."""
    if step.minutes is not None:
        draft.guess("workloads.*.batch.duration_slots", "its time limit", "how long a step really takes is not stated",
                    f"{pipeline}/{step.name}")
        return max(1, -(-int(step.minutes) // asked.slot_minutes))
    draft.guess("workloads.*.batch.duration_slots", 1, "how long a step takes is not stated", f"{pipeline}/{step.name}")
    return 1


def _levels(steps: Sequence[Step], where: str) -> dict[str, int]:
    """How many steps lie before each, on the longest way."""
    level: dict[str, int] = {}
    after = {step.name: step.after for step in steps}
    try:
        for name in TopologicalSorter(after).static_order():
            level[name] = 1 + max((level[one] for one in after[name]), default=-1)
    except CycleError as error:
        raise InputError([f"{where}: {' -> '.join(error.args[1])}: these steps wait for each other"]) from None
    return level
