"""Models fitted together: weighted by what they said from past origins, calibrated, and asked for quantiles and paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecasting.combining import combine, learn_weights
from forecasting.conformal import Calibration, calibrate, learn_widths, stretches, uncalibrated, widen
from forecasting.history import Floats, TooShortError, fewest_points
from forecasting.models import FLOOR, FORECASTERS, SPARSE, Fitted, load
from forecasting.panel import LEVELS, Ints, Panel
from forecasting.sparse import Sparse, fit_sparse

ORIGINS = 4
SAMPLE = 2000
"""Of more series so many, drawn by chance, are learned from; what they teach is told of all."""
BLOCK = 2000
"""Series asked for at a time: rows of features take memory."""
_KEPT = 0.02
"""Weights below this are not named."""


@dataclass(frozen=True, slots=True, eq=False)
class BackTest:
    """What models said of `panel` from J past origins: `back` [J] steps before the end, each for `length` steps ahead.

    `said` [M, J, N, length, 3] and `truth` [J, N, length] are NaN where a series had not begun or a model could not.
    `mixed` [J, N, length, 3] is their weighted average, as wide as the other origins say.
    """

    panel: Panel
    models: tuple[str, ...]
    back: Ints
    truth: Floats
    said: Floats
    mixed: Floats

    @property
    def length(self) -> int:
        """Steps ahead that were said."""
        return int(self.truth.shape[2])

    def learn_weights(self, unit: Floats) -> Floats:
        """Weights [N, M] that would have done best, each row adding up to 1."""
        if len(self.models) == 1:
            return np.ones((self.truth.shape[1], 1))
        return learn_weights(self.truth, self.said, np.array(LEVELS), unit)


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """Models as they were before the oldest of J past origins, `back` [J] steps before the end, `length` steps each."""

    models: tuple[str, ...]
    fitted: tuple[Fitted, ...]
    length: int
    back: Ints

    def ask(self, panel: Panel) -> BackTest:
        """What they would have said of any series from each origin; not weighted yet."""
        shape = (len(self.models), len(self.back), len(panel), self.length, len(LEVELS))
        said, truth = np.full(shape, np.nan), np.full(shape[1:4], np.nan)
        enough = fewest_points(panel.step)
        for j, steps in enumerate(self.back.tolist()):
            old = panel.before(steps)
            old = old.pick(np.flatnonzero(old.count >= enough))
            if not len(old):
                continue
            rows = _rows_of(panel, old)
            begin = panel.columns - steps
            truth[j, rows] = panel.values[rows, begin : begin + self.length]
            for m, one in enumerate(self.fitted):
                said[m, j, rows] = one.spread(old)
        return BackTest(panel, self.models, self.back, truth, said, said[0])


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """Fitted models, their weights [N, M] and widths [N] for the series `ids` that were learned from, the calibration.

    Other series have the mean of these weights, and width 1. `past` is what weights and calibration were learned with;
    None where histories hold nothing back. `sparse` weighs anew what is said of intermittent series.
    """

    models: tuple[str, ...]
    fitted: tuple[Fitted, ...]
    ids: tuple[str, ...]
    weights: Floats
    widths: Floats
    calibration: Calibration
    past: Past | None
    sparse: Sparse | None

    def weights_of(self, panel: Panel) -> Floats:
        """Weights [N, M] of any series, each row adding up to 1."""
        return np.vstack([self.weights, self.weights.mean(axis=0)])[self._places(panel)]

    def widths_of(self, panel: Panel) -> Floats:
        """Widths [N] of any series: what spreads are multiplied by."""
        return np.append(self.widths, 1.0)[self._places(panel)]

    def _places(self, panel: Panel) -> list[int]:
        """Where each series is in `ids`; behind the last where it was not learned from."""
        at = {name: i for i, name in enumerate(self.ids)}
        return [at.get(name, len(self.ids)) for name in panel.ids]

    def quantiles(self, panel: Panel) -> Floats:
        """[N, H, Q] of any series; NaN for those that no model can forecast."""
        parts = np.array_split(np.arange(len(panel)), -(-len(panel) // BLOCK))
        return np.concatenate([self._some(panel.pick(rows)) for rows in parts])

    def _some(self, panel: Panel) -> Floats:
        weights = self.weights_of(panel)
        used = weights.max(axis=0, initial=0.0) > 0
        said = np.stack([one.spread(panel) for one, wanted in zip(self.fitted, used, strict=True) if wanted])
        silent = ~np.isfinite(said).all(axis=(2, 3)).any(axis=0)
        unit, level = panel.units()
        mixed = widen(combine(said, weights[:, used]), unit, self.widths_of(panel))
        found = self.calibration.quantiles(mixed, unit, level)
        found[silent] = np.nan
        return found if self.sparse is None else self.sparse.blend(panel, found)

    def back_test(self, panel: Panel) -> BackTest | None:
        """What the models, and their weighted average, would have said of any series from past origins."""
        if self.past is None:
            return None
        test = _mixed(self.past.ask(panel), self.weights_of(panel))
        return replace(test, mixed=widen(test.mixed, panel.units()[0], self.widths_of(panel)))

    def names(self, panel: Panel) -> list[str]:
        """What each series is forecast with: `boosting`, or `0.7 boosting + 0.3 ets`."""
        weights = self.weights_of(panel)
        if self.sparse is None:
            return [_name(self.models, row) for row in weights]
        share = self.sparse.shares_of(panel)[:, None]
        return [_name((*self.models, SPARSE), row) for row in np.hstack([weights * (1 - share), share])]


@dataclass(frozen=True, slots=True)
class _Silent:
    """A model that had too little to learn from."""

    horizon: int

    def spread(self, panel: Panel) -> Floats:
        return np.full((len(panel), self.horizon, len(LEVELS)), np.nan)

    def update(self, panel: Panel) -> _Silent:  # noqa: ARG002
        return self


def fit_ensemble(panel: Panel, horizon: int, levels: Sequence[float], models: Sequence[str], seed: int,
                 threads: int = 1) -> tuple[Ensemble, BackTest | None]:
    """Fit `models`, test them on rolling origins, learn their weights there and calibrate their average.

    A single model is used as asked, but calibrated all the same. Models learn from what lies before the oldest origin;
    after the test they learn from what came since. Returns the test too.
    """
    asked_for = tuple(name for name in FORECASTERS if name in models or (name == FLOOR and len(models) > 1))
    names = tuple(name for name in asked_for if name != SPARSE) or (SPARSE,)
    asked = np.array(sorted({*levels, 0.5}))
    panel = _sample(panel, seed)
    past, test = fit_past(panel, horizon, names, seed, threads), None
    sparse = None
    if past is None:
        weights, widths, calibration = _only_floor(names, len(panel)), np.ones(len(panel)), uncalibrated(asked, horizon)
    else:
        unit, level = panel.units()
        test = past.ask(panel)
        weights = test.learn_weights(unit)
        test = _mixed(test, weights)
        widths, without = learn_widths(test.truth, test.mixed, unit)
        test = replace(test, mixed=widen(test.mixed, unit, without))
        calibration = calibrate(test.truth, test.mixed, asked, unit, level)
        if SPARSE in asked_for:
            said = np.stack([calibration.quantiles(mixed, unit, level) for mixed in test.mixed])
            sparse = fit_sparse(panel, test.back, test.truth, said, asked, unit, horizon)
        calibration = replace(calibration, stretch=stretches(horizon))
    if past is not None and past.length == horizon:
        fitted = tuple(one.update(panel) for one in past.fitted)
    else:
        fitted = tuple(_fit(name, panel, horizon, seed, threads) for name in names)
    return Ensemble(names, fitted, panel.ids, weights, widths, calibration, past, sparse), test


def fit_past(panel: Panel, horizon: int, models: tuple[str, ...], seed: int, threads: int) -> Past | None:
    """`models` fitted to what lies before the oldest past origin; None where the history holds nothing back."""
    length, back = rolling_origins(panel, horizon)
    if not len(back):
        return None
    oldest = panel.before(int(back.max()))
    return Past(models, tuple(_fit(name, oldest, length, seed, threads) for name in models), length, back)


def rolling_origins(panel: Panel, horizon: int) -> tuple[int, Ints]:
    """How many steps are held back each time, and how many steps before the end each origin lies, oldest first.

    There are 4 of them, half a horizon or a day apart, by whole seasons, so that they have the phase of the real
    origin; what lies after the oldest is not learned before the test, so they do not reach back far. Where histories
    are short, blocks are shorter and closer.
    """
    room = int(np.median(panel.count)) - fewest_points(panel.step)
    if room < 1:
        return 0, np.zeros(0, np.int64)
    length = min(horizon, max(1, room // ORIGINS))
    season = panel.seasons[0]
    whole = -(-max(1, length // 2) // season) * season
    spacing = whole if length + (ORIGINS - 1) * whole <= room else length
    count = min(ORIGINS, (room - length) // spacing + 1)
    return length, length + spacing * np.arange(count - 1, -1, -1)


def _mixed(test: BackTest, weights: Floats) -> BackTest:
    """The test with the weighted average of what the models said."""
    return replace(test, mixed=np.stack([combine(test.said[:, j], weights) for j in range(len(test.back))]))


def _sample(panel: Panel, seed: int) -> Panel:
    if len(panel) <= SAMPLE:
        return panel
    return panel.pick(np.sort(np.random.default_rng(seed).choice(len(panel), SAMPLE, replace=False)))


def _fit(name: str, panel: Panel, horizon: int, seed: int, threads: int) -> Fitted:
    try:
        return load(name).fit(panel, horizon, seed, threads)
    except TooShortError:
        return _Silent(horizon)


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
