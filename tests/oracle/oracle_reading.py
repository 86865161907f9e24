"""Read a scenario folder and a plan as plain dicts and lists, with nothing but what the format description says.

Only fully resolved scenarios are read: machine shapes, prices, countries, links and replicas are written out.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

Row = dict[str, Any]
LISTS = ("clusters", "workloads", "links", "domains", "limits", "commitments", "interference")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class OutOfScopeError(Exception):
    """The scenario leaves something to a catalog or a forecast, or asks for what this reading does not cover."""


def read_scenario(folder: Path) -> Row:
    """The scenario as nested dicts, tables expanded, every workload with `replicas` as a list of numbers."""
    folder = Path(folder)
    file = folder / "scenario.yaml" if folder.is_dir() else folder
    scenario = without_none(yaml.load(file.read_text(encoding="utf-8"), Loader=LOADER))
    for name in LISTS:
        if isinstance(scenario.get(name), str):
            scenario[name] = read_table(file.parent / scenario[name])
    _refuse(scenario)
    tables: dict[str, dict[str, list[float]]] = {}
    slots = sum(window["slots"] for window in scenario["horizon"].get("periods") or [scenario["horizon"]])
    for workload in scenario["workloads"]:
        workload["per_replica"] = _per_replica(workload)
        if isinstance(workload["replicas"], dict) and "paths" in workload["replicas"]:
            workload["paths"] = read_paths(workload, file.parent, slots)
            workload["replicas"] = own_quantile(workload["paths"], scenario.get("service_level", 0.95))
            continue
        workload["replicas"] = _replicas(workload, file.parent, tables, slots)
    return scenario


def read_plan(file: Path) -> Row:
    """The plan as nested dicts; assignments that lie in a table beside it are read in."""
    plan = json.loads(Path(file).read_text(encoding="utf-8"))
    table = (plan.get("tables") or {}).get("assignments")
    if table:
        plan["assignments"] = pq.read_table(Path(file).parent / table).to_pylist()
    return plan


def read_table(file: Path) -> list[Row]:
    """Rows of a YAML, CSV or Parquet table; `slo.latency_ms` becomes {slo: {latency_ms: ..}}, empty cells are left."""
    if file.suffix == ".parquet":
        rows = pq.read_table(file).to_pylist()
    elif file.suffix == ".csv":
        with file.open(newline="", encoding="utf-8") as lines:
            rows = [{key: _cell(text) for key, text in row.items()} for row in csv.DictReader(lines)]
    else:
        rows = yaml.load(file.read_text(encoding="utf-8"), Loader=LOADER)
    return [_nested(without_none(row)) for row in rows]


def without_none(value: Any) -> Any:
    """The value without empty entries, at any depth: None and NaN mean "not given"."""
    if isinstance(value, dict):
        return {key: without_none(entry) for key, entry in value.items() if not _empty(entry)}
    if isinstance(value, list):
        return [without_none(entry) for entry in value]
    return value


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _cell(text: str | None) -> Any:
    if text is None or text == "":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def _nested(row: Row) -> Row:
    out: Row = {}
    for name, value in row.items():
        *path, last = name.split(".")
        # A throughput key may be a machine pattern with dots of its own, such as m7i.*
        if path[:2] == ["hardware", "throughput"] and len(path) > 2:
            path, last = path[:2], ".".join([*path[2:], last])
        place = out
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
    return out


def _refuse(scenario: Row) -> None:
    asked: list[str] = []
    asked += ["machine by catalog name"] * any(
        not isinstance(pool["machine"], dict) for cluster in scenario["clusters"] for pool in cluster["pools"])
    if asked:
        raise OutOfScopeError(f"not covered by this reading: {', '.join(asked)}")


def read_paths(workload: Row, folder: Path, slots: int) -> dict[int, list[int]]:
    """Replicas in every slot on each path of a workload that names a table of them."""
    rows = read_table(folder / workload["replicas"]["paths"])
    mine = [{str(key): value for key, value in row.items()} for row in rows if row["workload"] == workload["name"]]
    return {row["path"]: [row[str(t)] for t in range(slots)] for row in sorted(mine, key=lambda row: row["path"])}


def own_quantile(paths: dict[int, list[int]], level: float) -> list[int]:
    """What a workload needs by itself in every slot: enough on that share of its paths."""
    enough = math.ceil(level * len(paths) - 1e-9)
    return [sorted(slot)[enough - 1] for slot in zip(*paths.values(), strict=True)]


def _per_replica(workload: Row) -> float | None:
    given = workload["replicas"]
    if not isinstance(given, dict):
        return None
    return given.get("per_replica", (given.get("history") or {}).get("per_replica"))


def _replicas(workload: Row, folder: Path, tables: dict[str, dict[str, list[float]]], slots: int) -> list[float]:
    given = workload["replicas"]
    if isinstance(given, list):
        return given
    if not isinstance(given, dict) or "from" not in given:
        raise OutOfScopeError(f"replicas of {workload['name']} are not written out")
    if given["from"] not in tables:
        tables[given["from"]] = {row["workload"]: [row[str(t)] for t in range(slots)]
                                 for row in _flat_rows(folder / given["from"])}
    return tables[given["from"]][workload["name"]]


def _flat_rows(file: Path) -> list[Row]:
    return [{str(key): value for key, value in row.items()} for row in read_table(file)]
