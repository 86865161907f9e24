"""From a folder of files to a `Scenario`, or to every mistake in them at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from planner.errors import InputError
from planner.scenario.checks import Names, findings
from planner.scenario.fields import fields_of, model_in
from planner.scenario.model import Replicas, Scenario
from planner.scenario.path_tables import read_paths
from planner.scenario.refused import refuse
from planner.scenario.replica_files import check_rows, read_replicas
from planner.scenario.replica_rows import ReplicaRows
from planner.scenario.sample_paths import SamplePaths
from planner.scenario.tables import SUFFIXES, read_table, without_nulls
from planner.scenario.words import Places, real_path, shown, translate
from planner.scenario.yaml_file import read_yaml

LISTS = ("domains", "limits", "commitments", "links", "clusters", "workloads", "interference")
"""Lists that may be kept in a table of their own."""

MAIN = "scenario.yaml"


def read_scenario(path: Path, objective: Mapping[str, Any] | None = None) -> Scenario:
    """Read a scenario from its folder or its YAML file, with all its tables.

    `objective` holds fields that win over those of the file (`{"mode": "max_sla", "budget_usd": 25000}`); a mode given
    so drops the fields of the other mode. Raises InputError with every mistake found.
    """
    file = _main_file(Path(path))
    raw = read_yaml(file)
    if not isinstance(raw, dict):
        raise InputError([f"{file.name}: {shown(raw)}: a mapping of fields is needed: name: ..., horizon: ..."])
    return parse_scenario(raw, file.parent, file.name, objective)


def parse_scenario(raw: Mapping[str, Any], folder: Path = Path(), file: str = MAIN,
                   objective: Mapping[str, Any] | None = None) -> Scenario:
    """Read a scenario from the fields of its YAML file; its tables lie in `folder`. Raises InputError."""
    content: dict[str, Any] = without_nulls(dict(raw))
    _override(content, objective or {})
    problems: list[str] = []
    tables = tuple(content[name] for name in LISTS if isinstance(content.get(name), str))
    places = Places(file, _expand(content, folder, file, problems))
    problems += refuse(content, places)
    names = Names.of(content)
    scenario, wrong = _validate(content, places)
    problems += wrong
    if scenario is None:
        raise InputError(problems)
    problems += [places.line(*finding) for finding in findings(scenario, names)]
    rows = _replica_rows(scenario, folder, places, problems)
    history = _history_files(scenario, folder, places, problems)
    if problems:
        raise InputError(problems)
    return scenario.with_source(folder, _content_sha256(scenario, rows, history), rows, file, tables)


def _main_file(path: Path) -> Path:
    if path.is_dir():
        if not (path / MAIN).is_file():
            others = sorted(found.name for found in path.glob("*.y*ml"))
            hint = f"did you mean {path / others[0]}?" if len(others) == 1 else f"a scenario is a folder with {MAIN}"
            raise InputError([f"{path}: {MAIN}: not there: {hint}"])
        return path / MAIN
    if not path.exists():
        raise InputError([f"{path}: no such file or folder: a scenario is a folder with {MAIN}{_nearby(path)}"])
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        raise InputError([f"{path}: file: a folder with {MAIN}, or a .yaml file, is needed"])
    return path


def _nearby(path: Path) -> str:
    from difflib import get_close_matches
    siblings = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
    found = get_close_matches(path.name, siblings, n=1)
    return f": did you mean {path.parent / found[0]}?" if found else ""


def _override(content: dict[str, Any], objective: Mapping[str, Any]) -> None:
    if not objective:
        return
    given = dict(content["objective"]) if isinstance(content.get("objective"), dict) else {}
    if "mode" in objective:
        given.pop({"min_cost": "budget_usd", "max_sla": "sla_floor"}.get(str(objective["mode"]), ""), None)
    for field, mode, other in (("budget_usd", "min_cost", "max_sla"), ("sla_floor", "max_sla", "min_cost")):
        if field in objective and objective.get("mode", given.get("mode")) == mode:
            raise InputError([f"{field}: {shown(objective[field])}: mode {mode} has none; ask for mode {other}"])
    content["objective"] = {**given, **objective}


def _named_file(folder: Path, name: str, field: str, places: Places) -> Path | str:
    """The path of a file that a field names, or what is wrong with it: it stays in the scenario's folder."""
    plain = Path(os.path.normpath(name))
    if plain.is_absolute() or plain.parts[:1] == ("..",):
        return places.line(field, name, "leads out of the scenario's folder", "put the file into it")
    path = folder / plain
    if not path.is_file():
        return places.line(field, name, f"there is no file {path}", "paths start at the scenario's folder")
    return path


def _expand(content: dict[str, Any], folder: Path, file: str, problems: list[str]) -> dict[str, str]:
    """Put the items of tables in the place of their paths; the file of every list that had one."""
    tables: dict[str, str] = {}
    for name in LISTS:
        value = content.get(name)
        if not isinstance(value, str) or not value.lower().endswith(SUFFIXES):
            continue
        path = _named_file(folder, value, name, Places(file, {}))
        model = model_in(fields_of(Scenario)[name].annotation)
        assert model is not None
        try:
            if isinstance(path, str):
                raise InputError([path])  # noqa: TRY301  (told with the others)
            content[name] = read_table(path, model)
            tables[name] = path.name
        except InputError as error:
            problems.extend(error.problems)
            del content[name]
            tables[name] = ""
    return tables


def _validate(content: dict[str, Any], places: Places) -> tuple[Scenario | None, list[str]]:
    """The scenario, without the clusters and workloads that have mistakes of their own, and these mistakes."""
    try:
        return Scenario.model_validate(content), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    told = [one for one in errors if not (one["type"] == "missing" and places.tables.get(str(one["loc"][0])) == "")]
    lines = translate(told, content, places)
    bad = {name: {path[1] for one in errors if (path := real_path(one["loc"]))[:1] == (name,) and len(path) > 1}
           for name in ("clusters", "workloads", "links")}
    rest = dict(content)
    for name, positions in bad.items():
        if positions:
            rest[name] = [item for at, item in enumerate(content[name]) if at not in positions]
    for one in errors:
        if one["type"] == "extra_forbidden" and len(one["loc"]) == 1:
            rest.pop(str(one["loc"][0]), None)
    try:
        return Scenario.model_validate(rest), lines
    except ValidationError:
        return None, lines


def _replica_rows(scenario: Scenario, folder: Path, places: Places, problems: list[str]) -> ReplicaRows:
    """Replicas of all workloads that give them as numbers, in the scenario's order."""
    parts = [_listed(scenario)]
    for name, workloads in _readers(scenario).items():
        path = _named_file(folder, name, f"workloads.{workloads[0]}.replicas.from", places)
        if isinstance(path, str):
            problems.append(path)
            continue
        try:
            parts.append(read_replicas(path, scenario.horizon.slots))
        except InputError as error:
            problems.extend(error.problems)
        else:
            fields = {reader: places.line(f"workloads.{reader}.replicas.from") for reader in workloads}
            problems.extend(check_rows(path.name, parts[-1], fields))
    paths = _sample_paths(scenario, folder, places, problems)
    parts.append(ReplicaRows(paths.row, paths.quantile(scenario.service_level)))
    return replace(ReplicaRows.join(parts, [workload.name for workload in scenario.workloads]), paths=paths)


def _sample_paths(scenario: Scenario, folder: Path, places: Places, problems: list[str]) -> SamplePaths:
    """The sample paths of all workloads that name a table of them."""
    files: dict[str, Path] = {}
    readers: dict[str, dict[str, str]] = {}
    for workload in scenario.workloads:
        if isinstance(workload.replicas, Replicas) and (name := workload.replicas.paths):
            field = f"workloads.{workload.name}.replicas.paths"
            readers.setdefault(name, {})[workload.name] = places.line(field)
            if name not in files:
                path = _named_file(folder, name, field, places)
                if isinstance(path, str):
                    problems.append(path)
                    return SamplePaths.empty()
                files[name] = path
    try:
        return read_paths(files, readers, scenario.horizon.slots)
    except InputError as error:
        problems.extend(error.problems)
        return SamplePaths.empty()


def _listed(scenario: Scenario) -> ReplicaRows:
    """Replicas that are lists of the right length."""
    slots = scenario.horizon.slots
    found = {workload.name: workload.replicas for workload in scenario.workloads
             if isinstance(workload.replicas, tuple) and len(workload.replicas) == slots}
    return ReplicaRows({name: at for at, name in enumerate(found)},
                       np.array(list(found.values()), np.int32).reshape(len(found), slots))


def _readers(scenario: Scenario) -> dict[str, list[str]]:
    """Workloads by the replica table that they name."""
    found: dict[str, list[str]] = {}
    for workload in scenario.workloads:
        if isinstance(workload.replicas, Replicas) and workload.replicas.from_:
            found.setdefault(workload.replicas.from_, []).append(workload.name)
    return found


def _history_files(scenario: Scenario, folder: Path, places: Places, problems: list[str]) -> dict[str, Path]:
    """Files of past demand and of past tasks, by the names that the scenario gives them."""
    found: dict[str, Path] = {}
    for workload in scenario.workloads:
        if isinstance(workload.replicas, Replicas) and workload.replicas.history is not None:
            name = workload.replicas.history.file
            path = _named_file(folder, name, f"workloads.{workload.name}.replicas.history.file", places)
            if isinstance(path, str):
                problems.append(path)
            else:
                found[name] = path
    if scenario.library is not None:
        path = _named_file(folder, scenario.library, "library", places)
        if isinstance(path, str):
            problems.append(path)
        else:
            found[scenario.library] = path
    return found


def _content_sha256(scenario: Scenario, rows: ReplicaRows, history: dict[str, Path]) -> str:
    """Hash of the fields, of the replicas and of the history files: layout, comments and defaults do not change it."""
    digest = hashlib.sha256(scenario.model_dump_json(by_alias=True, exclude_defaults=True).encode())
    for name in sorted(rows.row):
        digest.update(name.encode() + b"\0" + rows.of(name).astype("<i4").tobytes())
    for name in sorted(rows.paths.row):
        numbers = np.array(rows.paths.path, "<i8").tobytes()
        digest.update(name.encode() + b"\0" + numbers + rows.paths.counts[rows.paths.row[name]].astype("<i4").tobytes())
    for name, path in sorted(history.items()):
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
