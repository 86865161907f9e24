"""Telemetry read: every series by the detector that fits it, and the metrics of each cluster together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from diagnostics.detectors import DetectorSettings, Scores
from diagnostics.detectors.calm import NEEDS_DAYS, Floats
from diagnostics.reading.cadence import pace_of
from diagnostics.reading.choice import AUTO, JOINT, SEASONAL, SINGLE, STREAM, fitting, together
from diagnostics.reading.joint import ALL_METRICS, LEARN_DAYS, Together, groups, read_together
from diagnostics.reading.streamed import LEARN_STEPS
from diagnostics.telemetry import Series, Telemetry
from diagnostics.words import figure
from diagnostics.workloads import WORKLOAD_DETECTORS

if TYPE_CHECKING:
    from diagnostics.reading.trained import Trained


class ReadingError(ValueError):
    """A series holds what its detector cannot read; the message names both."""


@dataclass(frozen=True)
class ReadSettings:
    """`false_alarms_per_day` is the budget of a cluster, shared among what is read of it; steps from `reported` on are
    those that alarms are wanted of. `models` read the metrics of the clusters of their hardware class together.
    """

    false_alarms_per_day: float
    detector: str = AUTO
    reported: int = 0
    models: Mapping[str, Trained] = field(default_factory=dict)


WORDS = {
    SEASONAL: "is usual at that hour of the week",
    "surprise": "came before, unlike its course so far",
    "rolling_z": "came before, far from the 200 steps before",
    "etl": "is usual for that run",
    "feature": "is the median of the five batches before",
    "training": "is usual of its batches",
    "serving": "is the nearest of yesterday, last week and last year",
}
"""What a detector means by the value that it foresaw."""


@dataclass(frozen=True, eq=False)
class Reading:
    """`telemetry` with a series more for each cluster whose metrics are read together (its values are scores); `scores`
    of all its series, p NaN for those that no test is made of; the detector of each series, empty for those.
    `by_stream` [series, steps] is where the stream detector stands in for it; `needs_days` of history come first.
    `paces` are the steps from value to value of each series: runs come more rarely than hours.
    """

    telemetry: Telemetry
    scores: Scores
    detectors: tuple[str, ...]
    by_stream: npt.NDArray[np.bool_]
    needs_days: float
    paces: tuple[int, ...]

    def detector(self, row: int, step: int) -> str:
        """Who read a step."""
        return STREAM if self.by_stream[row, step] else self.detectors[row]

    def words(self, row: int, step: int) -> str:
        """What was found at a step, as the beginning of a sentence."""
        series, value = self.telemetry.series[row], self.telemetry.values[row, step]
        z, p, expected = (one[row, step] for one in (self.scores.z, self.scores.p, self.scores.expected))
        if series.metric == ALL_METRICS:
            most = ", ".join(f"{one.name} (z {far:+.1f})" for one, far in self.standing_out(row, step))
            return (f"{ALL_METRICS} together are unlike calm days of {series.hardware_class}: {self.detectors[row]} "
                    f"{value:.3g} where {expected:.3g} is usual (chance {p:.1g}), most of all {most}")
        if np.isnan(p):
            return f"{series.name} was {figure(value)}"
        usual = WORDS[self.detector(row, step)]
        return f"{series.name} was {figure(value)} where {figure(expected)} {usual} (z {z:+.1f}, chance {p:.1g})"

    def standing_out(self, row: int, step: int, most: int = 3) -> list[tuple[Series, float]]:
        """The metrics of the cluster of a series that are farthest from usual at a step, with their z."""
        cluster = self.telemetry.series[row].cluster
        z = [(series, float(self.scores.z[other, step])) for other, series in enumerate(self.telemetry.series)
             if series.cluster == cluster and other != row and np.isfinite(self.scores.z[other, step])]
        return sorted(z, key=lambda one: -abs(one[1]))[:most]


def read(telemetry: Telemetry, settings: ReadSettings) -> Reading:
    """Score every series, and those of clusters together.

    Raises:
        ReadingError: a detector cannot read the values of a series.

    """
    names = [fitting(series, settings.detector) for series in telemetry.series]
    joint = together(settings.detector)
    alike = list(groups(telemetry)) if joint or settings.models else []
    whole = {cluster for group in alike for cluster in group.rows}
    counts = Counter(series.cluster for series, name in zip(telemetry.series, names, strict=True) if name)
    tests = {cluster: max(1, counts[cluster] + (cluster in whole)) for cluster in telemetry.clusters}
    alone = _alone(telemetry, [name or SEASONAL for name in names], tests, settings)
    by_stream = np.zeros(telemetry.values.shape, dtype=bool)
    if settings.detector == AUTO:
        alone = _filled(telemetry, alone, by_stream, tests, settings)
    split = NEEDS_DAYS * telemetry.steps_per_day, settings.reported
    found: list[tuple[Together, str]] = []
    for group in alike:
        budget = _budget(telemetry, settings, max(tests[cluster] for cluster in group.rows))
        trained = settings.models.get(group.hardware_class)
        if trained is not None:
            found += [(one, trained.name) for one in trained.read(telemetry, group.rows, budget)]
        elif joint and split[1] - split[0] >= LEARN_DAYS * telemetry.steps_per_day:
            found += [(one, joint) for one in read_together(telemetry, group, alone, JOINT[joint], split, budget)]
    detectors = [name or "" for name in names]
    needs = float(NEEDS_DAYS + LEARN_DAYS) if joint and not any(detectors) else alone.needs_days
    return _joined(telemetry, alone, detectors, found, by_stream, needs)


def _budget(telemetry: Telemetry, settings: ReadSettings, tests: int) -> DetectorSettings:
    return DetectorSettings(settings.false_alarms_per_day / tests, telemetry.steps_per_day)


def _alone(telemetry: Telemetry, names: list[str], tests: Mapping[str, int], settings: ReadSettings) -> Scores:
    """Scores of every series by itself; those with one detector and one budget are read at once."""
    parts: dict[tuple[str, int], list[int]] = {}
    for row, series in enumerate(telemetry.series):
        parts.setdefault((names[row], tests[series.cluster]), []).append(row)
    board = _Board(telemetry.values.shape)
    for (name, count), rows in parts.items():
        board.put(rows, _read_by(name, telemetry, rows, _budget(telemetry, settings, count)))
    return board.scores()


def _read_by(name: str, telemetry: Telemetry, rows: list[int], budget: DetectorSettings) -> Scores:
    """Scores of some series by one detector. Raises ReadingError naming the first series that it cannot read."""
    try:
        return SINGLE[name](telemetry.values[rows], budget)
    except ValueError:
        for row in rows:
            try:
                SINGLE[name](telemetry.values[[row]], budget)
            except ValueError as error:
                series = telemetry.series[row]
                raise ReadingError(f"{series.cluster}: {series.name}: detector {name}: {error}") from error
        raise


def _filled(telemetry: Telemetry, alone: Scores, by_stream: npt.NDArray[np.bool_], tests: Mapping[str, int],
            settings: ReadSettings) -> Scores:
    """The scores, and where there is no week to compare with yet, those of streams that have learnt; it is noted in
    `by_stream` [series, steps] where that is so.
    """
    first, steps = max(settings.reported, LEARN_STEPS), telemetry.values.shape[1]
    blank = np.isfinite(telemetry.values[:, first:]) & ~np.isfinite(alone.p[:, first:])
    rows = np.flatnonzero(blank.any(axis=1)).tolist() if first < steps else []
    if not rows:
        return alone
    streams = _alone(replace(telemetry, series=tuple(telemetry.series[row] for row in rows),
                             values=telemetry.values[rows]), [STREAM] * len(rows), tests, settings)
    by_stream[rows] = np.isfinite(streams.p) & ~np.isfinite(alone.p[rows])
    arrays = {}
    for name in ("expected", "z", "p", "alarm"):
        arrays[name] = getattr(alone, name).copy()
        arrays[name][rows] = np.where(by_stream[rows], getattr(streams, name), arrays[name][rows])
    return replace(alone, **arrays)


def _joined(telemetry: Telemetry, alone: Scores, detectors: list[str], found: list[tuple[Together, str]],
            by_stream: npt.NDArray[np.bool_], needs_days: float) -> Reading:
    """All series, those of whole clusters last."""
    board = _Board((len(telemetry.series) + len(found), telemetry.values.shape[1]))
    untested = np.array([not name for name in detectors], dtype=bool)[:, None]
    board.put(range(len(detectors)), replace(alone, p=np.where(untested, np.nan, alone.p),
                                             alarm=alone.alarm & ~untested))
    for row, (one, _) in enumerate(found, len(detectors)):
        board.put([row], one.scores)
    day = telemetry.steps_per_day
    paces = (*(pace_of(row, day)[0] if name in WORKLOAD_DETECTORS else 1
               for row, name in zip(telemetry.values, detectors, strict=True)), *(1 for _ in found))
    series = (*telemetry.series, *(one.series for one, _ in found))
    values = np.vstack([telemetry.values, *(one.score[None] for one, _ in found)])
    return Reading(replace(telemetry, series=series, values=values), board.scores(),
                   (*detectors, *(name for _, name in found)),
                   np.vstack([by_stream, np.zeros((len(found), by_stream.shape[1]), dtype=bool)]), needs_days, paces)


class _Board:
    """Scores of parts of the series, put together."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._arrays = {name: np.full(shape, np.nan) for name in ("expected", "z", "p")}
        self._alarm = np.zeros(shape, dtype=bool)
        self._parts: list[tuple[list[int], Scores]] = []

    def put(self, rows: range | list[int], scores: Scores) -> None:
        """Take in the scores of some series."""
        members = list(rows)
        for name, array in self._arrays.items():
            array[members] = getattr(scores, name)
        self._alarm[members] = scores.alarm
        self._parts.append((members, scores))

    def scores(self) -> Scores:
        """The scores of all."""
        parts, rows = list(self._parts), len(self._alarm)

        def limit(chance: Floats) -> Floats:
            found = np.full(rows, np.nan)
            for members, scores in parts:
                found[members] = scores.limit(chance[members])
            return found

        needs = max((scores.needs_days for _, scores in parts), default=float(NEEDS_DAYS))
        return Scores(self._arrays["expected"], self._arrays["z"], self._arrays["p"], self._alarm, needs, limit)
