"""One suite for every entry of FORECASTERS, pooled or of one series: a new model arrives tested."""

from __future__ import annotations

import logging
from functools import cache

import numpy as np
import pytest

from forecasting import FORECASTERS, History, TooShortError
from forecasting.models import Fitted, boosting, load
from forecasting.panel import LEVELS, Panel, make_panel

SHAPELESS = {"recent", "intermittent"}
"""Models that know of no shape in how much there is."""
SLOW = {"auto_ets", "arima", "structural", "prophet"}
MODELS = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FORECASTERS]
START = np.datetime64("2026-10-01T00:00:00", "ns")
HOUR = np.timedelta64(3_600_000_000_000, "ns")

pytestmark = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("cmdstanpy").setLevel(logging.ERROR)


def hourly(*series: np.ndarray) -> Panel:
    return make_panel([History(f"s{i}", START, HOUR, values) for i, values in enumerate(series)])


def daily_wave(days: int, seed: int = 1) -> np.ndarray:
    hours = np.arange(24 * days)
    noise = np.random.default_rng(seed).normal(0, 2, hours.size)
    return np.maximum(50 + 30 * np.sin(2 * np.pi * hours / 24) + noise, 0)


HORIZON, SEED = 31, 3
"""No whole number of seasons."""


@cache
def two_series(unit: float = 1.0) -> Panel:
    return hourly(unit * daily_wave(21), unit * daily_wave(30, 2))


@cache
def fitted(name: str) -> Fitted:
    """A model that has learned from the two series."""
    return load(name).fit(two_series(), HORIZON, SEED)


@cache
def said_of_two(name: str) -> np.ndarray:
    """What it says of them, worked out once for all tests."""
    said = fitted(name).spread(two_series())
    said.setflags(write=False)
    return said


def spread(name: str, panel: Panel, horizon: int = 24, seed: int = 0) -> np.ndarray:
    """What a model says of the panel that it was fitted to."""
    return load(name).fit(panel, horizon, seed).spread(panel)


def test_low_middle_and_high_of_every_step(name: str) -> None:
    """A row a series and step, also for a horizon that is no whole number of seasons; low <= middle <= high."""
    for said, shape in ((spread(name, hourly(daily_wave(21)), 1), (1, 1)), (said_of_two(name), (2, HORIZON))):
        assert said.shape == (*shape, len(LEVELS))
        assert (np.diff(said, axis=2) >= 0).all()


def test_same_seed_same_answer(name: str) -> None:
    """Two fits with one seed agree to the last bit."""
    np.testing.assert_array_equal(spread(name, two_series(), HORIZON, SEED), said_of_two(name))


def test_threads_do_not_matter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads give what one gives, to the last bit: the same model, or one that says the same."""
    for trees in ("LEAST_TREES", "MOST_TREES", "SPREAD_TREES"):  # threads wait for each other at every leaf
        monkeypatch.setattr(boosting, trees, 6)
    one, two = (load(name).fit(two_series(), HORIZON, SEED, threads) for threads in (1, 2))
    if one != two:
        np.testing.assert_array_equal(one.spread(two_series()), two.spread(two_series()))


def test_input_and_global_state_are_left_alone(name: str) -> None:
    """Neither the panel nor numpy's global generator is changed."""
    panel, state = hourly(daily_wave(15)), np.random.get_state()[1].copy()  # noqa: NPY002
    before = panel.values.copy()
    spread(name, panel)
    np.testing.assert_array_equal(panel.values, before)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_what_is_said_of_a_series_does_not_hang_on_its_place(name: str) -> None:
    """A fitted model says the same of a series alone and among others."""
    alone = fitted(name).spread(two_series().pick(np.array([1])))
    np.testing.assert_allclose(alone[0], said_of_two(name)[1], rtol=1e-9)


def test_never_negative_never_nan(name: str) -> None:
    """Demand that is mostly zero with noise around it gives figures that are finite and at least 0."""
    said = spread(name, hourly(np.maximum(daily_wave(21) - 60, 0)), 48)
    assert np.isfinite(said).all()
    assert (said >= 0).all()


def test_series_that_stood_still_and_start_again_send_none_beyond_bounds(name: str) -> None:
    """Machines that were off for weeks and now run keep forecasts of all within ten times what was seen."""
    waves = [daily_wave(35, seed) for seed in range(8)]
    for i, wave in enumerate(waves[:6]):
        wave[: 24 * (20 + 2 * i)] = 0.0
        if i % 2:
            wave[-24 * 3 :] = 0.0
    assert spread(name, hourly(*waves)).max() < 10 * max(wave.max() for wave in waves)


@pytest.mark.parametrize("level", [0.0, 7.0, 1e9])
def test_constant_history_gives_the_constant(name: str, level: float) -> None:
    """What never moved is forecast not to move."""
    np.testing.assert_allclose(spread(name, hourly(np.full(24 * 21, level)), 30), level, rtol=1e-6)


def test_noiseless_season_is_continued(name: str) -> None:
    """A perfect daily wave goes on as it was, within a twentieth of its height."""
    values = 50 + 30 * np.sin(2 * np.pi * np.arange(24 * 28) / 24)
    said = spread(name, hourly(values))
    assert name in SHAPELESS or np.abs(said[0, :, 1] - values[:24]).max() < 3
    assert (said[0, :, 0] - 3 <= values[:24]).all()
    assert (values[:24] <= said[0, :, 2] + 3).all()


def test_scale_of_the_unit_does_not_matter(name: str) -> None:
    """Bytes instead of gigabytes give the same forecast, in bytes."""
    large = spread(name, two_series(2.0**30), HORIZON, SEED)
    np.testing.assert_allclose(large / 2.0**30, said_of_two(name), rtol=1e-3, atol=0.1)


def test_short_history_is_forecast_or_refused(name: str) -> None:
    """At the least length that is accepted a model says something, or is silent, or says that it needs more."""
    panel = hourly(daily_wave(2))
    try:
        said = spread(name, panel)
    except TooShortError as reason:
        assert name in str(reason)  # noqa: PT017 - not every model needs more
    else:
        assert np.isfinite(said).all() or np.isnan(said).all()


def test_series_without_a_season(name: str) -> None:
    """Weekly points have no day or week within them, and are forecast all the same."""
    values = 100 + np.random.default_rng(0).normal(0, 5, 200)
    panel = make_panel([History("s", START, np.timedelta64(7, "D"), values)])
    assert 80 < np.median(spread(name, panel, 8)[0, :, 1]) < 120


def test_an_update_learns_from_what_came_since(name: str) -> None:
    """A model fitted a week ago and updated says a proper forecast from now, and the same each time."""
    panel = hourly(daily_wave(28), daily_wave(30, 2))
    old = load(name).fit(panel.before(168), 24, 0)
    new, again = (old.update(panel) for _ in range(2))
    said = new.spread(panel)
    if again != new:
        np.testing.assert_array_equal(again.spread(panel), said)
    assert (said[0, :, 0] - 6 <= daily_wave(28)[-24:]).all()
    assert (daily_wave(28)[-24:] <= said[0, :, 2] + 6).all()
