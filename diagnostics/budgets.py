"""Thresholds from a stated budget of false alarms, for scores and for chances.

Scores of calm days come out of folds: each of several spans of days is scored by a model of the others (cross-
conformal prediction, Vovk, Annals of Mathematics and Artificial Intelligence 2015), so that what a model knows by
heart does not pass for calm. The threshold is the score that the stated share of them exceeds; where the share is too
small for the number of scores, a generalized Pareto tail on the largest tenth says it (probability-weighted moments,
Hosking and Wallis 1987).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FOLDS = 4
_TAIL = 0.1
_SEEN = 10  # scores above the threshold that make its share a measured one
_HEAVIEST, _LIGHTEST = 0.5, 1e-9


@dataclass(frozen=True)
class Threshold:
    """Scores above `value` are alarms. `share` of calm steps are expected above it, `alarms_per_day` of them a day; of
    the calm scores it was set on, `seen_share` are.
    """

    value: float
    share: float
    alarms_per_day: float
    seen_share: float
    calm_steps: int


def set_threshold(calm: Floats, share: float, steps_per_day: int) -> Threshold:
    """The threshold that `share` of calm scores [steps] exceed; NaN are left out.

    Raises ValueError for fewer than 100 scores and for a share that is none.
    """
    calm = np.sort(calm[np.isfinite(calm)])
    if len(calm) < 100:
        raise ValueError(f"calm: {len(calm)} scores: at least 100 to set a threshold on")
    if not 0 < share < 1:
        raise ValueError(f"share: {share}: between 0 and 1")
    value = float(np.quantile(calm, 1 - share))
    if share * len(calm) < _SEEN:
        value = _tail_value(calm, share)
    return Threshold(value, share, share * steps_per_day, float((calm > value).mean()), len(calm))


def _tail_value(calm: Floats, share: float) -> float:
    """The score that `share` exceed by the tail fitted to the largest tenth of `calm`, in rising order."""
    members = int(_TAIL * len(calm))
    start = calm[-members - 1]
    excess = calm[-members:] - start
    mean = excess.mean()
    if mean <= 0:
        return float(calm[-1])
    weighted = (excess * np.arange(members - 1, -1, -1)).mean() / (members - 1)
    shape = np.clip(2 - mean / (mean - 2 * weighted) if mean > 2 * weighted else _HEAVIEST, _LIGHTEST, _HEAVIEST)
    scale = mean * (1 - shape)
    return float(start + scale / shape * ((_TAIL / share) ** shape - 1))


def out_of_fold(calm: Floats, score: Callable[[Floats, Floats], Floats], folds: int = FOLDS) -> Floats:
    """Score every row of `calm` [steps, features] by what was learnt from the other spans: [steps].

    `score(learnt, rows)` learns from the first and scores the second. Raises ValueError for fewer than two folds.
    """
    if folds < 2:
        raise ValueError(f"folds: {folds}: at least 2")
    edges = np.linspace(0, len(calm), folds + 1).astype(np.int64)
    return np.concatenate([score(np.vstack([calm[:a], calm[b:]]), calm[a:b]) for a, b in pairwise(edges)])


def discoveries(chance: Floats, rate: float, weight: Floats) -> npt.NDArray[np.bool_]:
    """Which of many chances under calm are news, step by step: [tests, steps], NaN where nothing is known.

    Benjamini and Hochberg (1995), with weights as by Genovese, Roeder and Wasserman (Biometrika 2006): while all is
    calm a step has any news at most as often as `rate`, as when the rate is shared among the tests; where much is
    wrong, more is found, and at most that share of it is wrongly so. `weight` [tests] is how much of its share a test
    may use: 1 for all of it, more for a test that is made at few steps only.

    Raises ValueError for a rate that is none and for weights below 0.
    """
    if not 0 < rate <= 1:
        raise ValueError(f"rate: {rate}: above 0, at most 1")
    if not ((weight >= 0) & np.isfinite(weight)).all():
        raise ValueError(f"weight: {weight.min()} to {weight.max()}: 0 or above")
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.where(np.isfinite(chance) & (weight[:, None] > 0), chance / weight[:, None], np.inf)
    ordered = np.sort(scaled, axis=0)
    tests = len(chance)
    small = ordered < rate * np.arange(1, tests + 1)[:, None] / tests
    many = np.where(small, np.arange(1, tests + 1)[:, None], 0).max(axis=0, initial=0)
    return np.asarray(scaled < rate * many / tests)
