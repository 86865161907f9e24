"""All metrics of a cluster together, against what calm looks like on its hardware class.

What is left of every metric when its usual value is taken off, in its own deviations, is alike on all clusters of a
hardware class; so they are learnt from together: clusters of one class and country with the same metrics. One that did
not agree teaches nobody but itself, steps in alarm teach nothing. Scores of the days that are learnt from come out of
folds, and every cluster is judged by its own scores before (`detectors.calm`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from diagnostics.budgets import FOLDS
from diagnostics.detectors import DetectorSettings, Scores
from diagnostics.detectors.calm import Floats, judge
from diagnostics.multivariate import MultivariateDetector, Pace
from diagnostics.telemetry import Series, Telemetry

ALL_METRICS = "all metrics"
"""The name of the series that stands for all metrics of a cluster."""
LEAST_METRICS = 3
LEARN_DAYS = 7


@dataclass(frozen=True, eq=False)
class Together:
    """A cluster's metrics as one series: `score` [steps], what is usual, and how unlikely a score is under calm."""

    series: Series
    score: Floats
    scores: Scores


@dataclass(frozen=True, eq=False)
class Group:
    """Clusters that are learnt from together: rows of the grid by cluster, in the same order of metrics."""

    hardware_class: str
    country: str
    rows: Mapping[str, list[int]]


def groups(telemetry: Telemetry) -> Iterator[Group]:
    """Clusters of one hardware class and country with the same metrics, where these are enough."""
    own: dict[tuple[str, str], list[int]] = {}
    for row, series in enumerate(telemetry.series):
        if series.whole:
            own.setdefault((series.hardware_class, series.cluster), []).append(row)
    alike: dict[tuple[str, str, tuple[str, ...]], dict[str, list[int]]] = {}
    for (hardware_class, cluster), rows in own.items():
        metrics = tuple(telemetry.series[row].metric for row in rows)
        if len(rows) >= LEAST_METRICS:
            key = hardware_class, telemetry.countries.get(cluster, ""), metrics
            alike.setdefault(key, {})[cluster] = rows
    for (hardware_class, country, _), members in alike.items():
        yield Group(hardware_class, country, members)


def read_together(telemetry: Telemetry, group: Group, alone: Scores, learn: MultivariateDetector,
                  split: tuple[int, int], settings: DetectorSettings) -> Iterator[Together]:
    """Learn from steps `split[0]` to before `split[1]` and score these and all after; `alone` are the scores of every
    series of the telemetry by itself.
    """
    clusters = list(group.rows)
    rest = np.stack([_rest(alone, group.rows[cluster]) for cluster in clusters])
    calm = np.stack([~alone.alarm[group.rows[cluster]].any(axis=0) for cluster in clusters])
    teachers = [at for at, cluster in enumerate(clusters) if cluster not in telemetry.opted_out]
    score = np.full(rest.shape[:2], np.nan)
    classes = {at: (*teachers, at) if at not in teachers else tuple(teachers) for at in range(len(clusters))}
    edges = np.linspace(split[0], split[1], FOLDS + 1).astype(np.int64).tolist()
    for a, b in [*pairwise(edges), (split[1], rest.shape[1])]:
        spans = [(split[0], min(a, split[1])), (b, split[1])]
        for by in sorted(set(classes.values())):
            lesson = [rest[at, first:after][calm[at, first:after]] for at in by for first, after in spans
                      if first < after]
            if sum(map(len, lesson)) < LEARN_DAYS * settings.steps_per_day // 2:
                return
            model = learn(np.concatenate(lesson), Pace(settings.steps_per_day))
            for at in (at for at, own in classes.items() if own == by):
                score[at, a:b] = model.begin().feed(np.ascontiguousarray(rest[at, a:b]))
    known = np.stack([np.isfinite(telemetry.values[group.rows[cluster]]).any(axis=0) for cluster in clusters])
    score[~known] = np.nan
    for at, cluster in enumerate(clusters):
        yield judged(Series(cluster, group.hardware_class, ALL_METRICS), score[at], settings, split[0])


def judged(series: Series, score: Floats, settings: DetectorSettings, first: int) -> Together:
    """A score [steps] against those before it; only stranger than usual is news."""
    begin = first + LEARN_DAYS * settings.steps_per_day // 2
    past = score[:begin]
    usual = float(np.nanmedian(past)) if np.isfinite(past).any() else np.nan
    found = judge(score[None].copy(), np.zeros((1, len(score))), settings, first=begin)
    p = np.where(found.z <= 0, 1.0, found.p)
    scores = Scores(np.full_like(found.z, usual), np.maximum(found.z, 0.0), p, p < settings.chance_per_step,
                    found.needs_days, found.limit)
    return Together(series, score, scores)


def _rest(alone: Scores, rows: list[int]) -> npt.NDArray[np.float64]:
    """What is left of every metric, in its deviations: [steps, metrics], 0 where nothing is known."""
    return np.nan_to_num(alone.z[rows].T)
