"""Models fitted together: weighted by what they said from past origins, calibrated, and asked for quantiles and paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecasting.combining import combine, learn_weights
from forecasting.conformal import Calibration, calibrate, stretches, uncalibrated
from forecasting.history import WEEK, Floats, TooShortError, fewest_points
from forecasting.models import FLOOR, FORECASTERS, Fitted, load
from forecasting.panel import LEVELS, Ints, Panel

ORIGINS = 4
_KEPT = 0.02
"""Weights below this are not named."""


@dataclass(frozen=True, slots=True, eq=False)
class BackTest:
    """What models said from J past origins: `back` [J] steps before the end, each for `length` steps ahead.

    `said` [M, J, N, length, 3] and `truth` [J, N, length] are NaN where a series had not begun or a model could not.
    `mixed` [J, N, length, 3] is their weighted average.
    """

    models: tuple[str, ...]
    back: Ints
    truth: Floats
    said: Floats
    mixed: Floats

    def learn_weights(self, unit: Floats) -> Floats:
        """Weights [N, M] that would have done best, each row adding up to 1."""
        if len(self.models) == 1:
            return np.ones((self.truth.shape[1], 1))
        return learn_weights(self.truth, self.said, np.array(LEVELS), unit)


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """Fitted models, their weights [N, M] for the series of the panel they were fitted to, and the calibration."""

    models: tuple[str, ...]
    fitted: tuple[Fitted, ...]
    weights: Floats
    calibration: Calibration
    test: BackTest | None

    def quantiles(self, panel: Panel) -> Floats:
        """[N, H, Q] of the panel fitted to; NaN for series that no model can forecast."""
        used = self.weights.max(axis=0, initial=0.0) > 0
        said = np.stack([one.spread(panel) for one, wanted in zip(self.fitted, used, strict=True) if wanted])
        silent = ~np.isfinite(said).all(axis=(2, 3)).any(axis=0)
        found = self.calibration.quantiles(combine(said, self.weights[:, used]), *units(panel))
        found[silent] = np.nan
        return found

    def names(self) -> list[str]:
        """What each series is forecast with: `boosting`, or `0.7 boosting + 0.3 ets`."""
        return [_name(self.models, row) for row in self.weights]


def units(panel: Panel) -> tuple[Floats, Floats]:
    """What losses of a series count in [N], its mean change from day to day (or step to step), and its mean [N]."""
    season = panel.seasons[0]
    with np.errstate(invalid="ignore"):
        level = np.nanmean(panel.values, axis=1)
        lag = season if panel.columns > season else 1
        change = np.abs(panel.values[:, lag:] - panel.values[:, :-lag])
        seen = np.isfinite(change)
        unit = np.where(seen, change, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return np.maximum(unit, np.maximum(1e-3 * level, 1e-12)), level


def fit_ensemble(panel: Panel, horizon: int, levels: Sequence[float], models: Sequence[str], seed: int,
                 threads: int = 1) -> Ensemble:
    """Fit `models`, test them on rolling origins, learn their weights there and calibrate their average.

    A single model is used as asked, but calibrated all the same. Models that learn from all series learn from what lies
    before the oldest origin for the test, and anew from everything for the forecast.
    """
    names = tuple(name for name in FORECASTERS if name in models or (name == FLOOR and len(models) > 1))
    asked = np.array(sorted({*levels, 0.5}))
    test = back_test(panel, horizon, names, seed, threads)
    if test is None:
        weights, calibration = _only_floor(names, len(panel)), uncalibrated(asked, horizon)
    else:
        unit, level = units(panel)
        weights = test.learn_weights(unit)
        test = replace(test, mixed=np.stack([combine(test.said[:, j], weights) for j in range(len(test.back))]))
        calibration = calibrate(test.truth, test.mixed, asked, unit, level)
        calibration = replace(calibration, stretch=stretches(horizon))
    fitted = tuple(_fit_or_floor(name, panel, horizon, seed, threads) for name in names)
    return Ensemble(names, fitted, weights, calibration, test)


def back_test(panel: Panel, horizon: int, models: tuple[str, ...], seed: int, threads: int) -> BackTest | None:
    """What `models` would have said from past origins; None where the history holds nothing back."""
    length, back = rolling_origins(panel, horizon)
    if not len(back):
        return None
    shape = (len(models), len(back), len(panel), length, len(LEVELS))
    said, truth = np.full(shape, np.nan), np.full(shape[1:4], np.nan)
    oldest = panel.before(int(back.max()))
    enough = fewest_points(panel.step)
    for m, name in enumerate(models):
        try:
            fitted = load(name).fit(oldest, length, seed, threads)
        except TooShortError:
            continue
        for j, steps in enumerate(back.tolist()):
            old = panel.before(steps)
            old = old.pick(np.flatnonzero(old.count >= enough))
            if not len(old):
                continue
            rows = _rows_of(panel, old)
            said[m, j, rows] = fitted.spread(old)
            begin = panel.columns - steps
            truth[j, rows] = panel.values[rows, begin : begin + length]
    return BackTest(models, back, truth, said, said[0])


def rolling_origins(panel: Panel, horizon: int) -> tuple[int, Ints]:
    """How many steps are held back each time, and how many steps before the end each origin lies, oldest first.

    There are 4 of them, apart by whole seasons so that they have the phase of the real origin, and far enough for short
    horizons to fall on different days of a week. Where histories are short, blocks are shorter and closer.
    """
    room = int(np.median(panel.count)) - fewest_points(panel.step)
    if room < 1:
        return 0, np.zeros(0, np.int64)
    length = min(horizon, max(1, room // ORIGINS))
    season = panel.seasons[0]
    apart = max(length, int(WEEK // panel.step) // ORIGINS)
    whole = -(-apart // season) * season
    spacing = whole if length + (ORIGINS - 1) * whole <= room else length
    count = min(ORIGINS, (room - length) // spacing + 1)
    return length, length + spacing * np.arange(count - 1, -1, -1)


def _fit_or_floor(name: str, panel: Panel, horizon: int, seed: int, threads: int) -> Fitted:
    try:
        return load(name).fit(panel, horizon, seed, threads)
    except TooShortError:  # it has no weight then
        return load(FLOOR).fit(panel, horizon, seed, threads)


def _only_floor(names: tuple[str, ...], series: int) -> Floats:
    weights = np.zeros((series, len(names)))
    weights[:, 0] = 1.0
    return weights


def _rows_of(panel: Panel, part: Panel) -> Ints:
    at = {name: i for i, name in enumerate(panel.ids)}
    return np.array([at[name] for name in part.ids], np.int64)


def _name(models: tuple[str, ...], weights: Floats) -> str:
    used = [(weight, name) for weight, name in zip(weights.tolist(), models, strict=True) if weight >= _KEPT]
    used.sort(reverse=True)
    return used[0][1] if len(used) == 1 else " + ".join(f"{weight:.2f} {name}" for weight, name in used)
