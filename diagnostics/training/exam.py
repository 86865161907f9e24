"""What candidates are set side by side by: rows they have not seen, faults put into them, and scenarios.

Nobody labels a month of telemetry, so faults are made: on some host-days one health metric is raised for some hours, by
half to twice its usual spread, which the hour of day alone would hide. Same rows and seed, same faults for everybody.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from diagnostics.training.errors import TrainingError
from diagnostics.training.features import Scenario, nearest
from diagnostics.training.model import HealthModel, Measured, Scored, threshold_of
from diagnostics.training.rows import Rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LOSSES = 3
"""Grows when a loss comes to mean something else, so that results of before are not compared with those of after."""
FEWEST_ABOVE = 9
"""Calm rows that are above the threshold of an exam, at least. The share of further calm rows above a threshold that
k of n exceed is spread as Beta(k, n + 1 - k) around k / (n + 1), whatever the scores are (Vovk 2012, for exchangeable
rows); 9 is the least k for which it is within a factor of two of that with 95 % confidence for every n.
"""
FAULT_HOURS = 4
FAULTS_A_HOST_DAY = 0.5
SMALLEST_FAULT, LARGEST_FAULT = 0.5, 2.0
"""Sizes of faults, in robust standard deviations of the metric over all rows of the exam."""
_MAD_OF_NORMAL = 0.6745


@dataclass(frozen=True, eq=False)
class Trial:
    """Rows of a scenario: those that count [hosts, steps], and what a good model does there."""

    name: str
    rows: Rows
    counts: Bools
    expect: Literal["calm", "fault"]


@dataclass(frozen=True, eq=False)
class Exam:
    """`calm` rows, and the same with faults: `fault` [hosts, steps] is the number of the fault, 0 for none. `spread`
    [targets] is how much each target varies. `sha256` names the exam: results of equal exams compare.
    """

    calm: Measured
    faulty: Rows
    fault: Ints
    targets: tuple[str, ...]
    spread: Floats
    trials: tuple[Trial, ...]
    false_alarm_share: float
    sha256: str


@dataclass(frozen=True, eq=False)
class Result:
    """Losses by block, as a store keeps them. `false_alarms` and `missed_faults` are those of a model's own threshold;
    `missed_at_budget`, which candidates are chosen by, and scenarios those of the threshold that meets the exam's
    budget of false alarms (or of `FEWEST_ABOVE`) on its calm rows: whoever alarms all the time has no advantage there.
    Over all rows: `average_precision` in finding rows with faults (larger is better), NaN where none were put in.
    """

    blocks: tuple[str, ...]
    sums: Mapping[str, Floats]
    weights: Mapping[str, Floats]
    average_precision: float = float("nan")

    def metrics(self, steps_per_day: int) -> dict[str, float]:
        """Every figure over all blocks."""
        weighed = {name: float(weight.sum()) for name, weight in self.weights.items()}
        found = {name: float(self.sums[name].sum()) / weight for name, weight in weighed.items() if weight}
        if "false_alarms" in found:
            found["false_alarms_per_host_day"] = found["false_alarms"] * steps_per_day
        if np.isfinite(self.average_precision):
            found["average_precision"] = self.average_precision
        return found


def make_exam(calm: Measured, targets: Sequence[str], scenarios: Mapping[str, Scenario], recorded: Mapping[str, Rows],
              seed: int, false_alarms_per_host_day: float, faults: bool = True) -> Exam:
    """Set an exam on rows; `recorded` has the rows of scenarios that name a file.

    Raises:
        TrainingError: a scenario changes a metric that is not there, or a target is never known.

    """
    rows = calm.rows
    values = rows.columns(targets)[:, calm.first :].reshape(-1, len(targets))
    if not np.isfinite(values).any(axis=0).all():
        missing = [name for at, name in enumerate(targets) if not np.isfinite(values[:, at]).any()]
        raise TrainingError(f"{', '.join(missing)}: no value in the rows to measure on")
    centre = np.nanmedian(values, axis=0)
    spread = np.nanmedian(np.abs(values - centre), axis=0) / _MAD_OF_NORMAL
    spread = np.where(spread > 0, spread, np.maximum(np.nanstd(values, axis=0), 1e-12))
    faulty, fault = rows, np.zeros((len(rows.hosts), rows.values.shape[1]), dtype=np.int64)
    if faults:
        faulty, fault = _with_faults(calm, targets, spread, np.random.default_rng([seed, 1]))
    share = min(1.0, false_alarms_per_host_day / rows.steps_per_day)
    trials = tuple(_trial(name, scenario, calm, recorded, seed) for name, scenario in sorted(scenarios.items()))
    told = json.dumps([LOSSES, rows.sha256, calm.first, list(targets), seed, share,
                       [[trial.name, trial.rows.sha256, trial.expect] for trial in trials]])
    return Exam(calm, faulty, fault, tuple(targets), spread, trials, share, hashlib.sha256(told.encode()).hexdigest())


def _with_faults(calm: Measured, targets: Sequence[str], spread: Floats,
                 generator: np.random.Generator) -> tuple[Rows, Ints]:
    """A copy with faults, one at least, and which fault each cell is in."""
    rows, day = calm.rows, calm.rows.steps_per_day
    values = rows.values.copy()
    length = max(1, FAULT_HOURS * 60 // rows.step_minutes)
    fault = np.zeros((len(rows.hosts), rows.values.shape[1]), dtype=np.int64)
    columns = [rows.metrics.index(target) for target in targets]
    number = 0
    for begin in range(calm.first, rows.values.shape[1] - day + 1, day):
        drawn = generator.random(len(rows.hosts))
        chosen = np.flatnonzero(drawn < FAULTS_A_HOST_DAY)
        if not number and not len(chosen) and begin + 2 * day > rows.values.shape[1]:  # the last day, and none yet
            chosen = np.array([drawn.argmin()])
        starts = begin + generator.integers(0, max(1, day - length), len(chosen))
        which = generator.integers(0, len(targets), len(chosen))
        sizes = np.exp(generator.uniform(np.log(SMALLEST_FAULT), np.log(LARGEST_FAULT), len(chosen)))
        for host, start, target, size in zip(chosen, starts, which, sizes, strict=True):
            number += 1
            values[host, start : start + length, columns[target]] += size * spread[target]
            fault[host, start : start + length] = number
    return replace(rows, values=values), fault


def _trial(name: str, scenario: Scenario, calm: Measured, recorded: Mapping[str, Rows], seed: int) -> Trial:
    """The rows of one scenario."""
    if scenario.file is not None:
        rows = recorded[name]
        steps = rows.values.shape[1]
        after = np.arange(steps) >= min(calm.first, max(0, steps - rows.steps_per_day))
        return Trial(name, rows, np.tile(after, (len(rows.hosts), 1)), scenario.expect)
    rows = calm.rows
    for metric in (*scenario.multiply, *scenario.add):
        if metric not in rows.metrics:
            raise TrainingError(f"scenarios.{name}: {metric!r} is not in the telemetry{nearest(metric, rows.metrics)}")
    generator = np.random.default_rng([seed, 2, *name.encode()])
    share = max(1, round(scenario.hosts * len(rows.hosts)))
    chosen = np.sort(generator.permutation(len(rows.hosts))[:share])
    length = min(scenario.hours * 60 // rows.step_minutes, rows.values.shape[1] - calm.first)
    starts = calm.first + generator.integers(0, rows.values.shape[1] - calm.first - length + 1, len(chosen))
    values, counts = rows.values.copy(), np.zeros(rows.values.shape[:2], dtype=bool)
    for host, start in zip(chosen, starts, strict=True):
        counts[host, start : start + length] = True
    for metric, factor in scenario.multiply.items():
        values[counts, rows.metrics.index(metric)] *= factor
    for metric, amount in scenario.add.items():
        values[counts, rows.metrics.index(metric)] += amount
    return Trial(name, replace(rows, values=values), counts, scenario.expect)


def take(model: HealthModel, exam: Exam) -> Result:
    """Set a model to an exam."""
    tally = _Tally()
    calm = model.score(exam.calm.rows)
    after = np.arange(exam.calm.rows.values.shape[1]) >= exam.calm.first
    known = np.isfinite(calm.score) & after
    blocks = exam.calm.rows.blocks()
    tally.add("relative_error", blocks, *_errors(model, calm, exam, after))
    tally.add("false_alarms", blocks, (calm.alarm & known).astype(np.float64), known.astype(np.float64))
    overall: tuple[float, ...] = ()
    at_budget = _at_budget(calm.score[known], exam.false_alarm_share)
    if exam.fault.any():
        found = model.score(exam.faulty)
        tally.add("missed_faults", blocks, *_missed(found.alarm, exam.fault))
        there = np.isfinite(found.score) & after
        tally.add("missed_at_budget", blocks, *_missed(there & (found.score > at_budget), exam.fault))
        overall = (_average_precision(found.score[there], exam.fault[there] > 0),)
    for trial in exam.trials:
        scored = model.score(trial.rows)
        counts = trial.counts & np.isfinite(scored.score)
        wrong = counts & ((scored.score > at_budget) == (trial.expect == "calm"))
        tally.add(f"scenario/{trial.name}", trial.rows.blocks(), wrong.astype(np.float64), counts.astype(np.float64))
    return tally.result(*overall)


def _at_budget(scores: Floats, share: float) -> float:
    """The threshold that a share of calm scores exceed, or as few of them as can be told."""
    return threshold_of(scores, max(share, min(1.0, FEWEST_ABOVE / (len(scores) + 1)))) if len(scores) else np.inf


def _errors(model: HealthModel, scored: Scored, exam: Exam, after: Bools) -> tuple[Floats, Floats]:
    """Mean absolute error over targets, in spreads of each: sums and weights [hosts, steps]."""
    values = exam.calm.rows.columns(exam.targets)
    expected = np.full_like(values, np.nan)
    for at, target in enumerate(exam.targets):
        if target in model.targets:
            expected[:, :, at] = scored.expected[:, :, model.targets.index(target)]
    error = np.abs(values - expected) / exam.spread
    known = np.isfinite(error) & after[None, :, None]
    return np.where(known, error, 0.0).sum(axis=2), known.sum(axis=2).astype(np.float64)


def _missed(alarm: Bools, fault: Ints) -> tuple[Floats, Floats]:
    """Faults without any alarm, each counted where it begins."""
    number, first = np.unique(fault, return_index=True)
    found = np.zeros(int(fault.max()) + 1, dtype=bool)
    found[np.unique(fault[alarm])] = True
    sums, weights = np.zeros(fault.size), np.zeros(fault.size)
    faults = number > 0
    weights[first[faults]] = 1.0
    sums[first[faults]] = ~found[number[faults]]
    return sums.reshape(fault.shape), weights.reshape(fault.shape)


def _average_precision(score: Floats, fault: Bools) -> float:
    """Area under precision against recall, ties together."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(fault, score))


class _Tally:
    """Sums and weights by loss and block, as they come."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._cells: dict[str, list[tuple[Ints, Floats, Floats]]] = {}

    def add(self, loss: str, blocks: tuple[tuple[str, ...], Ints], sums: Floats, weights: Floats) -> None:
        """Add one loss, [hosts, steps]."""
        names, at = blocks
        here = np.array([self._names.setdefault(name, len(self._names)) for name in names])
        sums, weights = (np.bincount(at.ravel(), weights=part.ravel(), minlength=len(names)).astype(np.float64)
                         for part in (sums, weights))
        self._cells.setdefault(loss, []).append((here, sums, weights))

    def result(self, *overall: float) -> Result:
        """Everything; blocks without any weight are left out."""
        sums, weights = ({loss: np.zeros(len(self._names)) for loss in self._cells} for _ in range(2))
        for loss, cells in self._cells.items():
            for here, total, weight in cells:
                sums[loss][here] += total
                weights[loss][here] += weight
        used = np.any([weight > 0 for weight in weights.values()], axis=0)
        blocks = tuple(name for name, one in zip(self._names, used.tolist(), strict=True) if one)
        return Result(blocks, {loss: part[used] for loss, part in sums.items()},
                      {loss: part[used] for loss, part in weights.items()}, *overall)
