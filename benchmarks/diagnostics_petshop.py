"""Which service a fault comes from, on PetShop (Hardt et al., 2023): faults injected into a web shop of 41 components.

A target is a latency or availability of the shop front that went wrong; the cause is one service. A method sees a
normal time, five steps around the fault, and the call graph (peers do not use it). Columns are permuted in every run,
twice, and both rankings have to be the same. `top1` and `top3` are shares of targets whose cause is among the first.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.table import Table

from benchmarks.diagnostics_files import HALVES, files_in, half_of, wanted
from benchmarks.harness import Row, table
from diagnostics.causes.services import ServiceWindow, suspects
from diagnostics.causes.shifts import mean_rank, shift_scores

METHODS = ("planner", "ranks", "robust-z", "ks", "baro", "random")
STEP_S = 300

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Target:
    """One fault: what was seen, in which unit, and the service it came from."""

    name: str
    half: str
    metric: str
    window: ServiceWindow
    cause: str


def measure(data: Path, instances: Sequence[str], methods: Sequence[str], seed: int,
            told: Callable[[str], None]) -> tuple[list[Row], Table]:
    """Shares of targets found, by metric and half and over all."""
    targets = read_targets(data, tuple(instances))
    rows: list[Row] = []
    shown = table(f"PetShop: {len(targets)} targets",
                  ("method", "targets", "top 1", "top 3", "same when permuted", "ms a target"))
    for method in methods:
        told(f"petshop: {method}")
        generator = np.random.default_rng(seed)
        begun, cpu = time.perf_counter(), time.process_time()
        twice = [[RANKINGS[method](_permuted(target.window, generator), generator) for target in targets]
                 for _ in range(2)]
        spent = time.perf_counter() - begun, time.process_time() - cpu
        places = np.array([ranking.index(target.cause) if target.cause in ranking else len(ranking)
                           for target, ranking in zip(targets, twice[0], strict=True)])
        same = np.array([one == other for one, other in zip(*twice, strict=True)])
        rows += [Row(target.name, method, "rank", float(place + 1), "place", 0.0, 0.0, 0.0)
                 for target, place in zip(targets, places, strict=True)]
        for name, chosen in _parts(targets).items():
            figures = {"top1": (places[chosen] < 1).mean(), "top3": (places[chosen] < 3).mean(),
                       "same_permuted": same[chosen].mean()}
            rows += [Row(name, method, metric, float(value), "share", round(spent[0], 2), round(spent[1], 2), 0.0)
                     for metric, value in figures.items()]
            shown.add_row(method, f"{name} ({chosen.sum()})", *(f"{value:.2f}" for value in figures.values()),
                          f"{500 * spent[1] / len(targets):.1f}", end_section=name == HALVES[-1])
    return rows, shown


def _parts(targets: Sequence[Target]) -> dict[str, npt.NDArray[np.bool_]]:
    """Which targets count in each row of the table."""
    parts = {"all": np.ones(len(targets), dtype=bool)}
    for metric in sorted({target.metric for target in targets}):
        parts[metric] = np.array([target.metric == metric for target in targets])
    for half in HALVES:
        parts[half] = np.array([target.half == half for target in targets])
    return {name: chosen for name, chosen in parts.items() if chosen.any()}


def _permuted(window: ServiceWindow, generator: np.random.Generator) -> ServiceWindow:
    """The same window with its services in another order."""
    order = generator.permutation(len(window.services))
    return replace(window, services=tuple(window.services[i] for i in order), before=window.before[order],
                   now=window.now[order], calls=window.calls[order])


# ---------------------------------------------------------------- the targets


def read_targets(data: Path, instances: tuple[str, ...]) -> list[Target]:
    """Every target under `data`. Raises ValueError where none is, or its normal time or graph is not there."""
    found = {path.split("dataset/")[-1]: content for path, content in files_in(data, "petshop*.tar.xz")}
    names = sorted(path.removesuffix("/target.json") for path in found if path.endswith("/target.json"))
    wanted(names, instances, data)
    normal: dict[str, tuple[pd.DataFrame, dict[str, tuple[str, ...]]]] = {}
    targets = []
    for name in names:
        traffic = str(Path(name).parent.parent)
        if traffic not in normal:
            lacking = [path for path in ("noissue/metrics.csv", "graph.csv") if f"{traffic}/{path}" not in found]
            if lacking:
                raise ValueError(f"--data {data}: {traffic}: no {', '.join(lacking)}")
            normal[traffic] = (_metrics(found[f"{traffic}/noissue/metrics.csv"]), _graph(found[f"{traffic}/graph.csv"]))
        if not instances or name in instances:
            targets.append(_target(name, json.loads(found[f"{name}/target.json"]),
                                   _metrics(found[f"{name}/metrics.csv"]), *normal[traffic]))
    return targets


def _metrics(content: bytes) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(content), header=[0, 1, 2], index_col=0)


def _graph(content: bytes) -> dict[str, tuple[str, ...]]:
    """Callees of every service: a row calls the columns that are not 0."""
    matrix = pd.read_csv(io.BytesIO(content), index_col=0)
    return {str(caller): tuple(str(callee) for callee in matrix.columns[matrix.loc[caller].to_numpy() > 0])
            for caller in matrix.index}


def _target(name: str, said: dict[str, dict[str, str]], now: pd.DataFrame, normal: pd.DataFrame,
            callees: dict[str, tuple[str, ...]]) -> Target:
    """Seconds a call or the share that failed, from the step on that holds the target's time."""
    metric, services = said["target"]["metric"], tuple(sorted({str(column[0]) for column in now.columns}))
    since = max(0, int((float(said["target"]["timestamp"]) - now.index[0]) // STEP_S))
    before, after = (_rows(frame, services, metric, "Average") for frame in (normal, now))
    if metric == "availability":
        before, after = 1 - before / 100, 1 - after / 100
    calls = _rows(now, services, "requests", "Sum")
    window = ServiceWindow(services, before, after[:, since:], calls[:, since:], said["target"]["node"], callees)
    return Target(name, half_of("/".join(name.split("/")[-2:])), metric, window, said["root_cause"]["node"])


def _rows(frame: pd.DataFrame, services: Sequence[str], metric: str, statistic: str) -> Floats:
    """One row a service [services, steps], NaN for what has no such column."""
    empty = np.full(len(frame), np.nan)
    return np.stack([frame[service, metric, statistic].to_numpy(dtype=np.float64)
                     if (service, metric, statistic) in frame.columns else empty for service in services])


# ---------------------------------------------------------------- methods


def _planner(window: ServiceWindow, _generator: np.random.Generator) -> list[str]:
    return [suspect.service for suspect in suspects(window)]


def _by_score(name: str) -> Callable[[ServiceWindow, np.random.Generator], list[str]]:
    """Services by one score of how far they moved, equal ones by name."""
    def ranking(window: ServiceWindow, _generator: np.random.Generator) -> list[str]:
        scores = shift_scores(window.before, window.now)
        score = np.round(mean_rank(scores) if name == "ranks" else scores[name], 9)
        return [window.services[i] for i in np.lexsort((np.array(window.services), -score))]

    return ranking


def _random(window: ServiceWindow, generator: np.random.Generator) -> list[str]:
    return [window.services[i] for i in generator.permutation(len(window.services))]


RANKINGS: dict[str, Callable[[ServiceWindow, np.random.Generator], list[str]]] = {
    "planner": _planner, "ranks": _by_score("ranks"), "robust-z": _by_score("mean_z"), "ks": _by_score("distance"),
    "baro": _by_score("worst_z"), "random": _random}
