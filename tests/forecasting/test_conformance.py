"""One suite for every entry of FORECASTERS: a new model arrives tested."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from forecasting import FORECASTERS, History, TooShortError
from forecasting.models import load

MODELS = [pytest.param(name, marks=pytest.mark.slow if name == "prophet" else ()) for name in FORECASTERS]
START = np.datetime64("2026-10-01T00:00:00", "ns")
HOUR = np.timedelta64(3_600_000_000_000, "ns")

pytestmark = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("cmdstanpy").setLevel(logging.ERROR)


def hourly(values: np.ndarray) -> History:
    return History("s", START, HOUR, values)


def daily_wave(days: int, seed: int = 1) -> np.ndarray:
    hours = np.arange(24 * days)
    noise = np.random.default_rng(seed).normal(0, 2, hours.size)
    return np.maximum(50 + 30 * np.sin(2 * np.pi * hours / 24) + noise, 0)


def test_shape_is_paths_by_horizon(name: str) -> None:
    """A model returns n_paths rows of horizon steps, also for a horizon that is no whole number of seasons."""
    for horizon in (1, 24, 31):
        assert load(name).forecast(hourly(daily_wave(21)), horizon, 7, 0).shape == (7, horizon)


def test_same_seed_same_paths(name: str) -> None:
    """Two calls with one seed agree to the last bit, another seed does not."""
    history = hourly(daily_wave(21))
    first, second, other = (load(name).forecast(history, 24, 20, seed) for seed in (3, 3, 4))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_input_and_global_state_are_left_alone(name: str) -> None:
    """Neither the history nor numpy's global generator is changed."""
    history, state = hourly(daily_wave(21)), np.random.get_state()[1].copy()  # noqa: NPY002
    before = history.values.copy()
    load(name).forecast(history, 24, 5, 0)
    assert np.array_equal(history.values, before)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_never_negative_never_nan(name: str) -> None:
    """Demand that is mostly zero with noise around it gives paths that are finite and at least 0."""
    values = np.maximum(daily_wave(21) - 60, 0)
    paths = load(name).forecast(hourly(values), 48, 50, 0)
    assert np.isfinite(paths).all()
    assert (paths >= 0).all()


@pytest.mark.parametrize("level", [0.0, 7.0, 1e9])
def test_constant_history_gives_the_constant(name: str, level: float) -> None:
    """What never moved is forecast not to move, on every path."""
    paths = load(name).forecast(hourly(np.full(24 * 14, level)), 30, 10, 0)
    np.testing.assert_allclose(paths, level, rtol=1e-6)


def test_noiseless_season_is_continued(name: str) -> None:
    """A perfect daily wave goes on as it was, within a twentieth of its height."""
    values = 50 + 30 * np.sin(2 * np.pi * np.arange(24 * 28) / 24)
    median = np.median(load(name).forecast(hourly(values), 24, 50, 0), axis=0)
    assert np.abs(median - values[:24]).max() < 3


def test_scale_of_the_unit_does_not_matter(name: str) -> None:
    """Bytes instead of gigabytes give the same forecast, in bytes."""
    values = daily_wave(21)
    small, large = (load(name).forecast(hourly(values * unit), 24, 20, 0) for unit in (1.0, 2.0**30))
    np.testing.assert_allclose(large / 2.0**30, small, rtol=1e-3, atol=0.1)


def test_short_history_is_forecast_or_refused(name: str) -> None:
    """At the least length that is accepted a model gives proper paths or says that it needs more."""
    history = hourly(daily_wave(2))
    if name == "ets":
        with pytest.raises(TooShortError, match="ets needs 53 points, there are 48"):
            load(name).forecast(history, 24, 5, 0)
    else:
        paths = load(name).forecast(history, 24, 5, 0)
        assert paths.shape == (5, 24)
        assert np.isfinite(paths).all()


def test_series_without_a_season(name: str) -> None:
    """Weekly points have no day or week within them, and are forecast all the same."""
    values = 100 + np.random.default_rng(0).normal(0, 5, 60)
    history = History("s", START, np.timedelta64(7, "D"), values)
    paths = load(name).forecast(history, 8, 50, 0)
    assert 80 < np.median(paths) < 120
