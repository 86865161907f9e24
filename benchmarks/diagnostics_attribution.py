"""Which attributes a fault shares, on the multi-dimensional cases of a video service (RobustSpot; RiskLoc's copy).

A case is a table of stalls (`value`) and viewers (`cnt`) by minute and attributes such as bitrate and CDN, with the
minute of the fault and its causes in `anomaly.yaml`. A method sees the minutes up to that one. A cause counts when all
its conditions are right and none is missing; F1 is over the causes of all cases together.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml
from rich.table import Table

from benchmarks.diagnostics_files import HALVES, files_in, half_of, wanted
from benchmarks.harness import Row, table
from diagnostics.causes.attribution import Cells, attribute, cells_of

METHODS = ("planner", "scan", "adtributor", "worst-value", "random")
COUNTS = ("min", "value", "cnt")

Answer = frozenset[frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Case:
    """One fault: rows up to its minute, which of them are of that minute, and what it came from."""

    name: str
    half: str
    frame: pd.DataFrame
    now: npt.NDArray[np.bool_]
    attributes: tuple[str, ...]
    truth: Answer


def measure(data: Path, instances: Sequence[str], methods: Sequence[str], seed: int,
            told: Callable[[str], None]) -> tuple[list[Row], Table]:
    """F1 over both halves and all; rows and columns of every case are permuted by the seed."""
    cases = read_cases(data, tuple(instances))
    rows: list[Row] = []
    shown = table(f"Attribution: {len(cases)} cases", ("method", "half", "F1", "precision", "recall", "ms a case"))
    for method in methods:
        told(f"attribution: {method}")
        generator = np.random.default_rng(seed)
        begun, cpu = time.perf_counter(), time.process_time()
        answers = [_answer(method, case, generator) for case in cases]
        spent = time.perf_counter() - begun, time.process_time() - cpu
        for case, answer in zip(cases, answers, strict=True):
            rows.append(Row(case.name, method, "attribution_f1", _figures([case], [answer])[0], "share", 0.0, 0.0, 0.0))
        for half in ("all", *HALVES):
            chosen = [i for i, case in enumerate(cases) if half in ("all", case.half)]
            if not chosen:
                continue
            f1, precision, recall = _figures([cases[i] for i in chosen], [answers[i] for i in chosen])
            rows.append(Row(half, method, "attribution_f1", f1, "share", round(spent[0], 2), round(spent[1], 2), 0.0))
            shown.add_row(method, f"{half} ({len(chosen)})", f"{f1:.3f}", f"{precision:.3f}", f"{recall:.3f}",
                          f"{1000 * spent[1] / len(cases):.1f}", end_section=half == HALVES[-1])
    return rows, shown


def _answer(method: str, case: Case, generator: np.random.Generator) -> Answer:
    """What a method says, told the rows and attributes in an order of their own."""
    order = generator.permutation(len(case.frame))
    attributes = [case.attributes[i] for i in generator.permutation(len(case.attributes))]
    cells = cells_of(case.frame.iloc[order], case.now[order], attributes, "value", "cnt")
    return ANSWERS[method](cells, generator)


def _figures(cases: Sequence[Case], answers: Sequence[Answer]) -> tuple[float, float, float]:
    """F1, precision, recall of causes over cases together."""
    right = sum(len(case.truth & answer) for case, answer in zip(cases, answers, strict=True))
    said, true = sum(map(len, answers)), sum(len(case.truth) for case in cases)
    return 2 * right / (said + true), right / max(1, said), right / true


# ---------------------------------------------------------------- the cases


def read_cases(data: Path, instances: tuple[str, ...]) -> list[Case]:
    """Every case whose table is there. Raises ValueError where none is."""
    found = dict(files_in(data, "rs_multidim*.tar.xz"))
    labels = {label["data"]: label for path, content in found.items() if path.endswith("anomaly.yaml")
              for label in yaml.safe_load(content)}
    tables = {Path(path).stem: content for path, content in found.items() if path.endswith(".csv")}
    names = [name for name in labels if name in tables]
    wanted(names, instances, data)
    return [_case(name, labels[name], tables[name]) for name in names if not instances or name in instances]


def _case(name: str, label: dict[str, Any], content: bytes) -> Case:
    """One case; siblings of one stream (the last word of the name) are in one half."""
    frame = pd.read_csv(io.BytesIO(content), dtype=str)
    frame = frame.astype({"min": "int64", "value": "float64", "cnt": "float64"})
    frame = frame[frame["min"] <= label["timestamp"]].reset_index(drop=True)
    # A viewer stalls once a minute at most; a row without a count counts nobody.
    frame["cnt"] = frame["cnt"].fillna(0)
    frame["value"] = frame["value"].fillna(0).clip(upper=frame["cnt"])
    attributes = tuple(column for column in frame.columns if column not in COUNTS)
    causes = label["cause"] if isinstance(label["cause"], list) else [label["cause"]]
    truth = frozenset(frozenset((key, str(value)) for key, value in cause.items()) for cause in causes)
    half = half_of(re.split(r"[_ ]", name)[-1])
    return Case(name, half, frame, (frame["min"] == label["timestamp"]).to_numpy(), attributes, truth)


# ---------------------------------------------------------------- methods


def _planner(cells: Cells, _generator: np.random.Generator) -> Answer:
    return frozenset(frozenset(cause.conditions) for cause in attribute(cells) if cause.conditions)


def _scan(cells: Cells, _generator: np.random.Generator) -> Answer:
    """The conjunction of the largest likelihood ratio (Kulldorff's scan, Poisson)."""
    def score(bad: float, foreseen: float, _total: float) -> float:
        return bad * np.log(bad / foreseen) - bad + foreseen if bad > foreseen > 0 else 0.0

    return _best_of(cells, score, most=4)


def _worst_value(cells: Cells, _generator: np.random.Generator) -> Answer:
    """The single value with the most excess."""
    return _best_of(cells, lambda bad, foreseen, _total: bad - foreseen, most=1)


def _best_of(cells: Cells, score: Callable[[float, float, float], float], most: int) -> Answer:
    """The conjunction that scores highest, then the shorter one, then by name."""
    foreseen = _foreseen(cells)
    best: tuple[float, int, str, frozenset[tuple[str, str]]] | None = None
    for size in range(1, min(most, len(cells.attributes)) + 1):
        for chosen in combinations(range(len(cells.attributes)), size):
            keys, group = np.unique(cells.codes[:, chosen], axis=0, return_inverse=True)
            sums = [np.bincount(group.ravel(), part) for part in (cells.bad, foreseen, cells.total)]
            for index, key in enumerate(keys):
                said = frozenset((cells.attributes[i], cells.values[i][code])
                                 for i, code in zip(chosen, key, strict=True))
                rank = (-round(score(*(float(part[index]) for part in sums)), 9), size, json.dumps(sorted(said)), said)
                if best is None or rank[:3] < best[:3]:
                    best = rank
    return frozenset() if best is None or best[0] >= 0 else frozenset({best[3]})


def _foreseen(cells: Cells) -> npt.NDArray[np.float64]:
    """Bad ones foreseen at each cell's rate before."""
    common = cells.bad_before.sum() / max(1.0, cells.total_before.sum())
    foreseen: npt.NDArray[np.float64] = cells.total * (cells.bad_before + 50 * common) / (cells.total_before + 50)
    return foreseen


def _adtributor(cells: Cells, _generator: np.random.Generator) -> Answer:
    """Adtributor (Bhagwan et al., NSDI 2014): the attribute of most surprise whose few values explain 67 % of the rise,
    each at least 10 %.
    """
    foreseen = _foreseen(cells)
    rise = cells.bad.sum() - foreseen.sum()
    best: tuple[float, str, Answer] | None = None
    for i, name in enumerate(cells.attributes):
        bad, expected = (np.bincount(cells.codes[:, i], part, len(cells.values[i])) for part in (cells.bad, foreseen))
        p, q = expected / max(expected.sum(), 1e-12), bad / max(bad.sum(), 1e-12)
        middle = (p + q) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            surprise = np.nan_to_num(0.5 * (p * np.log(p / middle))) + np.nan_to_num(0.5 * q * np.log(q / middle))
        explained, values = 0.0, []
        for value in np.lexsort((np.arange(len(surprise)), -surprise)):
            power = (bad[value] - expected[value]) / rise if rise > 0 else 0.0
            if power > 0.1:
                explained += power
                values.append(int(value))
            if explained > 0.67:
                rank = -round(float(surprise[values].sum()), 9), name
                if best is None or rank < best[:2]:
                    best = (*rank, frozenset(frozenset({(name, cells.values[i][v])}) for v in values))
                break
    return frozenset() if best is None else best[2]


def _random(cells: Cells, generator: np.random.Generator) -> Answer:
    """One value of one attribute of one cell."""
    i, row = int(generator.integers(len(cells.attributes))), int(generator.integers(len(cells.codes)))
    return frozenset({frozenset({(cells.attributes[i], cells.values[i][cells.codes[row, i]])})})


ANSWERS: dict[str, Callable[[Cells, np.random.Generator], Answer]] = {
    "planner": _planner, "scan": _scan, "adtributor": _adtributor, "worst-value": _worst_value, "random": _random}
