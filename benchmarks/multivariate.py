"""Machines with many features: scores of every step against labels, without point adjustment.

A file `NAME.npz.xz` holds `train` (calm), `test` [steps, features] and `label` [steps] of one machine. Every method
learns from the training part alone, scores the test part forwards, and keeps one setting for all files of a set: of
the two sets only the length of the faults that are looked for differs (`Pace.lasting`). Its threshold is fixed before:
five steps a day may be in alarm while all is calm, judged on scores of the training part out of folds
(`diagnostics.budgets`). `f1` is that of single steps at that threshold, `auc_pr` the area under precision and recall
over all thresholds (average precision), `f1_hindsight` what the best threshold would have given: a limit, not a result.
"""

from __future__ import annotations

import io
import lzma
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.table import Table

from benchmarks.harness import Row, table
from diagnostics.budgets import out_of_fold, set_threshold
from diagnostics.multivariate import MULTIVARIATE_DETECTORS, Model, Pace

DETECTORS = {"planner": "forecast_errors", "neighbours": "neighbours", "pca": "pca", "top_z": "top_z"}
METHODS = tuple(DETECTORS)
ALARMS_PER_DAY = 5.0
UNITS = {"f1": "share", "auc_pr": "share", "f1_hindsight": "share", "false_alarms_per_day": "steps"}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Machine:
    """One file: calm rows, rows to score, and which of those are labelled."""

    name: str
    calm: Floats
    rows: Floats
    label: npt.NDArray[np.bool_]


def read_machines(folder: Path, instances: Sequence[str]) -> list[Machine]:
    """All files, or those asked for. Raises ValueError where there are none."""
    found = []
    for path in sorted(folder.glob("*.npz.xz")):
        name = path.name.removesuffix(".npz.xz")
        if not instances or name in instances:
            with lzma.open(path) as packed, np.load(io.BytesIO(packed.read())) as arrays:
                found.append(Machine(name, arrays["train"].astype(np.float64), arrays["test"].astype(np.float64),
                                     arrays["label"] > 0))
    if not found:
        raise ValueError(f"{folder}: no {', '.join(instances) or 'file'} as NAME.npz.xz")
    return found


def area(label: npt.NDArray[np.bool_], score: Floats) -> float:
    """Average precision, equal scores taken together."""
    right, taken = _steps(label, score)
    recall = right / max(label.sum(), 1)
    return float(np.sum(right / taken * np.diff(recall, prepend=0.0)))


def best_f1(label: npt.NDArray[np.bool_], score: Floats) -> float:
    """F1 at the best of all thresholds."""
    right, taken = _steps(label, score)
    return float((2 * right / (taken + label.sum())).max())


def f1(label: npt.NDArray[np.bool_], alarm: npt.NDArray[np.bool_]) -> float:
    """F1 of single steps; 0 where nothing is labelled and nothing is in alarm."""
    return float(2 * (alarm & label).sum() / max(alarm.sum() + label.sum(), 1))


def _steps(label: npt.NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats]:
    """Labelled steps and all steps at or above each score, from the highest."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)
    return np.cumsum(label[order])[last].astype(np.float64), np.flatnonzero(last) + 1.0


def figures_of(machine: Machine, detector: str, pace: Pace) -> tuple[dict[str, float], float]:
    """Figures of one detector on one machine, and the processor seconds of scoring its rows."""
    def learn(calm: Floats) -> Model:
        return MULTIVARIATE_DETECTORS[detector](calm, pace)

    steps_per_day = pace.day
    calm = out_of_fold(machine.calm, lambda learnt, rows: learn(learnt).begin().feed(rows))
    threshold = set_threshold(calm, ALARMS_PER_DAY / steps_per_day, steps_per_day)
    watch = learn(machine.calm).begin()
    cpu = time.process_time()
    score = watch.feed(machine.rows)
    cpu = time.process_time() - cpu
    alarm = score > threshold.value
    days = (~machine.label).sum() / steps_per_day
    return {"f1": f1(machine.label, alarm), "auc_pr": area(machine.label, score),
            "f1_hindsight": best_f1(machine.label, score),
            "false_alarms_per_day": float((alarm & ~machine.label).sum() / max(days, 1e-9))}, cpu


def measure_set(folder: Path, instances: Sequence[str], methods: Sequence[str], told: Callable[[str], None],
                pace: Pace, development: frozenset[str], title: str) -> tuple[list[Row], Table]:
    """Means over all machines, over those looked at and the others, and the figures of each."""
    machines = read_machines(folder, instances)
    shown = table(title, ("machines", "method", *UNITS, "rows/CPU s"),
                  f"steps, no point adjustment; threshold for {ALARMS_PER_DAY:g} steps a day in alarm while calm;"
                  " f1_hindsight: the best threshold, known afterwards")
    rows: list[Row] = []
    for method in methods:
        told(f"{method} on {len(machines)} machines")
        figures_of(_few(machines[0]), DETECTORS[method], pace)  # compiled before the clock starts
        begun, cpu = time.monotonic(), time.process_time()
        measured = [figures_of(machine, DETECTORS[method], pace) for machine in machines]
        spent = (round(time.monotonic() - begun, 2), round(time.process_time() - cpu, 2),
                 round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1))
        speed = sum(len(machine.rows) for machine in machines) / max(sum(one for _, one in measured), 1e-9)
        groups = {"all": list(range(len(machines)))}
        for i, machine in enumerate(machines):
            groups.setdefault("development" if machine.name in development else "check", []).append(i)
        groups |= {machine.name: [i] for i, machine in enumerate(machines)}
        for group, members in groups.items():
            means = {name: float(np.mean([measured[i][0][name] for i in members])) for name in UNITS}
            rows += [Row(group, method, name, value, UNITS[name], *spent) for name, value in means.items()]
            shown.add_row(group, method, *(f"{value:.3f}" for value in means.values()),
                          f"{speed:.0f}" if group == "all" else "", end_section=group == list(groups)[-1])
        rows.append(Row("all", method, "points_per_cpu_s", speed, "rows/s", *spent))
    return rows, shown


def _few(machine: Machine) -> Machine:
    """A small piece of a machine."""
    return Machine(machine.name, machine.calm[:1000], machine.rows[:100], machine.label[:100])
