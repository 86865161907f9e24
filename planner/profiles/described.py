"""Files of described tasks: one, or several of which each may work on the result of one before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from planner.errors import InputError, NotEnoughEvidenceError
from planner.profiles.build import WEEK_OF_HOURS, predict_profile
from planner.profiles.demanded import PastDemand, as_stated, counted, undescribed, week_ahead, with_load, without_runs
from planner.profiles.library import Library
from planner.profiles.model import Dataset, Profile
from planner.profiles.parts import Stated
from planner.scenario.model import Hardware, Model, Request, Slo
from planner.scenario.values import Name, Some
from planner.scenario.words import Places, translate
from planner.scenario.yaml_file import read_yaml


class DescribedTask(Model):
    """A task that is to run: fields (`task`) and words (`description`) together, or its past demand, or both.

    `application` groups its runs in a library (its name, when left out). `request` is what one replica is given, where
    that is settled.
    """

    name: Name = "task"
    kind: Name
    application: Name | None = None
    description: str = ""
    task: dict[str, Any] = Field(default_factory=dict)
    slo: Slo = Field(default_factory=Slo)
    hardware: Hardware = Field(default_factory=Hardware)
    history: PastDemand | None = None
    request: Request | None = None


class DescribedTasks(Model):
    """Several tasks, each after those it works on (`task.input_from`)."""

    tasks: Some[DescribedTask]


def describes_tasks(raw: object) -> bool:
    """Whether the content of a file is described tasks, not a scenario."""
    return isinstance(raw, Mapping) and ("tasks" in raw or "kind" in raw) and "clusters" not in raw


def read_tasks(path: Path) -> tuple[DescribedTask, ...]:
    """The tasks of a file. Raises InputError with a line for each mistake."""
    return parse_tasks(read_yaml(path), path.name)


def parse_tasks(raw: object, where: str) -> tuple[DescribedTask, ...]:
    """The tasks that the content of a file, or a request, describes. Raises InputError with a line for each mistake."""
    if not isinstance(raw, Mapping) or not describes_tasks(raw):
        raise InputError([f"{where}: kind: missing; a task has kind and task: {{}}, several are under tasks: []"])
    root: type[DescribedTask | DescribedTasks] = DescribedTasks if "tasks" in raw else DescribedTask
    try:
        read = root.model_validate(raw)
    except ValidationError as error:
        raise InputError(translate(error.errors(include_url=False), raw, Places(where, {}), root)) from None
    tasks = read.tasks if isinstance(read, DescribedTasks) else (read,)
    names = [task.name for task in tasks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError([f"{where}: name: {name!r} is there twice; names are told apart" for name in twice])
    return tasks


def predict_tasks(tasks: tuple[DescribedTask, ...], library: Library | None, where: str, find: Callable[[str], Path]
                  ) -> dict[str, Profile]:
    """Profiles by name; what a task makes is what the task that names it works on. Histories are in files where `find`
    says. Raises InputError, NotEnoughEvidenceError.
    """
    found: dict[str, Profile] = {}
    for task in tasks:
        place = where if task.name == "task" else f"{where}: {task.name}"
        found[task.name] = _predict(task, _upstream(task, found, place), library, place, find)
    return found


def _predict(task: DescribedTask, upstream: Profile | None, library: Library | None, where: str,
             find: Callable[[str], Path]) -> Profile:
    stated = Stated(task.slo, task.hardware, task.description)
    demand = None if task.history is None else week_ahead(task.history, task.name, find)
    fields = task.task if demand is None else with_load(task.kind, task.task, demand)
    try:
        made = predict_profile(task.kind, fields, WEEK_OF_HOURS, upstream, stated, where=where, library=library)
    except NotEnoughEvidenceError as error:
        if task.history is None:
            raise
        if task.history.per_replica is None or task.request is None:
            enough = "request and history.per_replica say what one replica is and does, where the description does not"
            raise NotEnoughEvidenceError([*error.problems, f"{where}: history: {enough}"]) from None
        made = undescribed(task.kind, stated, task.request)
    if task.request is not None:
        made = as_stated(made, task.request)
    if demand is None or task.history is None:
        return made
    if not (task.task or task.description):
        made = without_runs(made)
    return counted(made, demand, task.history.per_replica, where)


def row_of_run(task: DescribedTask, upstream: Profile | None, used: Mapping[str, Any]) -> dict[str, Any]:
    """A flat row of a library: the task as described, with the data of the task before it, and what it used."""
    fields = {name: value for name, value in task.task.items() if name != "input_from"}
    made = upstream.produces if upstream else None
    if task.kind == "training" and isinstance(made, Dataset):
        known = fields.get("data") if isinstance(fields.get("data"), dict) else {}
        fields["data"] = {**made.model_dump(exclude_none=True), **(known or {})}
    row: dict[str, Any] = {"application": task.application or task.name, "kind": task.kind,
                           "description": task.description}
    row |= {name: value for name, value in used.items() if name != "used"}
    row |= {f"task.{name}": value for name, value in _flat(fields).items()}
    return row | {f"used.{name}": value for name, value in dict(used.get("used") or {}).items()}


def _upstream(task: DescribedTask, found: Mapping[str, Profile], where: str) -> Profile | None:
    source = task.task.get("input_from")
    if source is None:
        return None
    if source not in found:
        near = get_close_matches(str(source), found, n=1)
        hint = f"did you mean {near[0]}?" if near else "put the task that it works on before it"
        raise InputError([f"{where}: task.input_from: {source!r}: no task before it has this name; {hint}"])
    return found[source]


def _flat(fields: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping) and not name.endswith("_schema"):
            found |= _flat(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = dict(value) if isinstance(value, Mapping) else value
    return found
