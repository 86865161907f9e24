"""When a limit is first passed, from sample paths whose peaks were held against the past.

The date is a property of whole paths: where the quantiles of each hour pass the limit is another question, as it asks
that the same hour be high on that share of paths. On each path the first step above the limit is taken; quantiles of
these steps are the dates. What does not pass within the horizon is passed later: infinite.

A limit is passed by a time exactly when the highest demand up to it is above the limit, so it is the running maximum
that must be right. From past origins it is known how many spreads above the middle of its paths the maximum really lay;
paths keep their order and their means, and what is above the mean is stretched so that maxima lie as they did:
conformal calibration by quantile, as in `forecasting.conformal`, pooled over series, since one has few origins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.history import DAY, Floats
from forecasting.long import fit_far
from forecasting.panel import Panel

KNOTS = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98])
"""Levels at which maxima are held against the past."""
ORIGINS = 3
FEWEST_DAYS = 7
"""Days of history that an origin, past or present, needs."""
_TRUST = 8.0
"""Points beyond a level that count as much as the uncalibrated paths do."""
_PATHS = 200
_LEAST = 0.01
"""Spread of the logarithm of a maximum at least."""
_WIDEST = 8.0
"""Spreads from the middle that a maximum may lie."""


def first_passage(paths: Floats, limit: float | Floats) -> Floats:
    """The first step [K], from 1, at which each path [K, H] is above `limit` (one, or [H]); infinite where none is."""
    above = paths > limit
    return np.where(above.any(axis=1), above.argmax(axis=1) + 1.0, np.inf)


def date_quantiles(steps: Floats, levels: Sequence[float]) -> Floats:
    """By which step [Q] the limit is passed on at least the share `levels` of the paths; infinite where on fewer.

    They rise with their level.
    """
    ordered = np.sort(steps)
    at = np.ceil(np.asarray(levels) * len(ordered) - 1e-9).astype(np.int64) - 1
    found: Floats = ordered[np.maximum(at, 0)]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Where maxima of paths lie, in spreads from their middle (`said`, rising), and where they should (`came`)."""

    said: Floats
    came: Floats

    def __call__(self, score: Floats) -> Floats:
        """The calibrated score; beyond the outermost knots it is moved as much as there."""
        inside = np.interp(score, self.said, self.came)
        beyond: Floats = inside + (score - np.clip(score, self.said[0], self.said[-1]))
        return beyond


def peak_paths(panel: Panel, horizon: int, n_paths: int, seed: int) -> Iterator[Floats]:
    """Joint sample paths [N, n_paths, steps] some days at a time, as `Far.weeks`, with maxima held against the past."""
    stretch = learn_stretch(panel, horizon, seed)
    highest = np.zeros((len(panel), n_paths))
    for block in fit_far(panel).weeks(horizon, n_paths, seed):
        peak = block.max(axis=2)
        highest = np.maximum(highest, peak)
        middle, spread, score = _scores(highest)
        wanted = np.exp(middle + spread * np.clip(stretch(score), -_WIDEST, _WIDEST))
        mean = block.mean(axis=2)
        room = np.maximum(highest - mean, 1e-12)
        by = np.clip((wanted - mean) / room, 0.0, None)
        above = block - mean[:, :, None]
        yield np.where(above > 0, mean[:, :, None] + above * by[:, :, None], block)


def learn_stretch(panel: Panel, horizon: int, seed: int) -> Stretch:
    """How maxima lay at up to `ORIGINS` past origins that do not overlap, over all series together."""
    a_day = int(DAY // panel.step)
    days = int(np.median(panel.count)) // a_day
    said, came = [], []
    for back in _origins(days, -(-horizon // a_day)):
        old = panel.before(back * a_day)
        old = old.pick(np.flatnonzero(old.count >= FEWEST_DAYS * a_day))
        if not len(old):
            break
        at = {name: i for i, name in enumerate(panel.ids)}
        rows = np.array([at[name] for name in old.ids])
        begin, length = panel.columns - back * a_day, min(back * a_day, horizon)
        truth = panel.values[rows, begin : begin + length].max(axis=1)
        highest = np.zeros((len(old), _PATHS))
        for block in fit_far(old).weeks(length, _PATHS, seed):  # whole paths of many series would fill the memory
            np.maximum(highest, block.max(axis=2), out=highest)
        middle, spread, score = _scores(highest)
        moves = panel.values[rows, :begin].max(axis=1, where=np.isfinite(panel.values[rows, :begin]), initial=0.0) > 0
        said.append(score[moves].ravel())
        came.append(((np.log(truth + 1e-12)[:, None] - middle) / spread)[moves].ravel())
    pooled = np.concatenate(said) if said else np.zeros(0)
    if not pooled.size:
        return Stretch(np.array([-1.0, 1.0]), np.array([-1.0, 1.0]))
    seen = np.clip(np.concatenate(came), -_WIDEST, _WIDEST)
    knots, found = np.quantile(pooled, KNOTS), np.quantile(seen, KNOTS)
    beyond = len(seen) * np.minimum(KNOTS, 1 - KNOTS)
    found = np.maximum.accumulate(knots + (found - knots) * beyond / (beyond + _TRUST))
    return Stretch(np.maximum.accumulate(knots + 1e-9 * np.arange(len(knots))), found)


def _origins(days: int, ahead: int) -> list[int]:
    """Days back of past origins: a horizon apart as far as history goes, else as far back as can be, and half."""
    most = days - FEWEST_DAYS
    if most >= 2 * ahead:
        return [k * ahead for k in range(1, ORIGINS + 1) if k * ahead <= most]
    return [back for back in (most, most // 2) if back > 0]


def _scores(highest: Floats) -> tuple[Floats, Floats, Floats]:
    """Middle [N, 1] and spread [N, 1] of the logarithm of maxima [N, K], and where each lies [N, K]."""
    logs = np.log(highest + 1e-12)
    low, middle, high = np.quantile(logs, [0.16, 0.5, 0.84], axis=1)[:, :, None]
    spread = np.maximum((high - low) / 2, _LEAST)
    return middle, spread, np.clip((logs - middle) / spread, -_WIDEST, _WIDEST)
