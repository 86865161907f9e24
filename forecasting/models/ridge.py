"""Ridge regression (scikit-learn) on lags and the calendar, one model for all steps ahead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from forecasting.history import Floats, History, TooShortError
from forecasting.models.each_series import PATHS, of_paths
from forecasting.paths import bootstrap

Ints = NDArray[np.int64]

MOST_ROWS = 4_000
FEWEST_ORIGINS = 8
FOLDS = 4
WAVES = 3
"""Pairs of sine and cosine for each natural season."""


@dataclass(frozen=True, slots=True)
class _Data:
    """`y` is the history; `day` and `week` are its seasons, `week` = `day` where it is too short.

    `known` [n + H, K] are columns known ahead, each over its largest.
    `steps_before` is the number of steps from 1970 to its start, so that waves do not depend on where a history begins.
    """

    y: Floats
    day: int
    week: int
    steps_before: int
    known: Floats


def spread(history: History, horizon: int, seed: int) -> Floats:
    """[H, 3]: a regression on what is known at the origin, plus blocks of its past errors.

    The errors are those on parts of the history that it was not fitted to (blocked cross-validation). Raises
    TooShortError under 8 origins.
    """
    data = _prepare(history)
    length = _block_length(data, horizon)
    origins = _origins(data, length)
    inputs, targets = _inputs(data, origins, length), _targets(data, origins, length)
    errors = _errors_out_of_sample(inputs, targets, origins, length)
    point = _fit(inputs, targets).predict(_rows(_inputs(data, np.array([data.y.size]), horizon)))
    return of_paths(bootstrap(point, errors, PATHS, seed))


def _prepare(history: History) -> _Data:
    day, week = history.seasons[0], history.seasons[-1]
    steps_before = (history.start - np.datetime64(0, "ns")) // history.step
    known = history.known / np.maximum(np.abs(history.known).max(axis=0, initial=0.0), 1e-12)
    return _Data(history.values, day, week, int(steps_before), known)


def _block_length(data: _Data, horizon: int) -> int:
    """The horizon, or where the history is too short for that, as many steps as leave enough origins."""
    return min(horizon, data.y.size - data.week - FEWEST_ORIGINS)


def _origins(data: _Data, length: int) -> Ints:
    """Origins of training, counted back from the last that has all its steps: at most so many that rows stay few."""
    first, last = data.week + 1, data.y.size - length
    if length < 1 or last - first + 1 < FEWEST_ORIGINS:
        raise TooShortError(
            f"ridge needs {FEWEST_ORIGINS} origins after {data.week} points, there are {data.y.size} points"
        )
    stride = max(1, (last - first) * length // MOST_ROWS + 1)
    stride = min(stride, (last - first) // (FEWEST_ORIGINS - 1))
    return np.arange(last, first - 1, -stride)[::-1]


def _inputs(data: _Data, origins: Ints, length: int) -> Floats:
    """What is known at each origin about each of the steps ahead: [B, length, features]."""
    ahead = np.arange(length)
    target = origins[:, None] + ahead
    mean = np.concatenate(([0.0], np.cumsum(data.y)))
    news = data.y[origins - 1] - data.y[origins - 1 - data.day]
    fading = 0.5 ** (ahead / max(1.0, data.day / 12))
    features = [
        _season_ago(data, origins, ahead, data.day),
        _season_ago(data, origins, ahead, data.week),
        np.broadcast_to(((mean[origins] - mean[origins - data.day]) / data.day)[:, None], target.shape),
        np.broadcast_to(((mean[origins] - mean[origins - data.week]) / data.week)[:, None], target.shape),
        news[:, None] * fading,
        *_waves(data, target),
        *_events(data, origins, ahead),
    ]
    return np.stack(features, axis=-1)


def _season_ago(data: _Data, origins: Ints, ahead: Ints, season: int) -> Floats:
    """The last value known at the origin that has the phase of the target."""
    values: Floats = data.y[origins[:, None] - season + ahead % season]
    return values


def _events(data: _Data, origins: Ints, ahead: Ints) -> list[Floats]:
    """What is known ahead of each step, and of those a day and a week before that it is compared with."""
    now = origins[:, None]
    times = [now + ahead, *(now - season + ahead % season for season in (data.day, data.week))]
    return [data.known[at, i] for i in range(data.known.shape[1]) for at in times]


def _waves(data: _Data, target: Ints) -> list[Floats]:
    seasons = sorted({season for season in (data.day, data.week) if season > 1})
    turns = [k * (target + data.steps_before) / season for season in seasons for k in range(1, WAVES + 1)]
    return [wave(2 * np.pi * turn) for turn in turns for wave in (np.sin, np.cos)]


def _targets(data: _Data, origins: Ints, length: int) -> Floats:
    values: Floats = data.y[origins[:, None] + np.arange(length)]
    return values


def _rows(inputs: Floats) -> Floats:
    return inputs.reshape(-1, inputs.shape[-1])


def _fit(inputs: Floats, targets: Floats) -> Ridge:
    return Ridge(alpha=1.0, solver="cholesky").fit(_rows(inputs), targets.ravel())


def _errors_out_of_sample(inputs: Floats, targets: Floats, origins: Ints, length: int) -> Floats:
    """Errors [B, length] on each quarter of the origins by a fit to the others whose steps do not overlap it.

    Where no origin is left after taking out those that overlap, all but the quarter itself are used.
    """
    errors = np.empty_like(targets)
    for fold in np.array_split(np.arange(origins.size), FOLDS):
        begin, end = origins[fold[0]] - length, origins[fold[-1]] + length
        apart = (origins < begin) | (origins > end)
        rest = apart if apart.any() else ~np.isin(np.arange(origins.size), fold)
        model = _fit(inputs[rest], targets[rest])
        errors[fold] = targets[fold] - model.predict(_rows(inputs[fold])).reshape(fold.size, length)
    return errors
