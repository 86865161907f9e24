"""Demand far ahead: levels by day, shapes of weeks, and paths that belong together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import History, forecast
from forecasting.history import goes_far
from forecasting.long import fit_far
from forecasting.panel import Panel, make_panel

HOUR = np.timedelta64(1, "h")
MONDAY = np.datetime64("2026-01-05T00:00:00")


def wave(weeks: int, seed: int, growth: float = 0.0, noise: float = 4.0) -> np.ndarray:
    """Office hours, with a growth of the logarithm a day."""
    hours = np.arange(168 * weeks)
    shape = 60 + 30 * np.sin(2 * np.pi * hours / 24) + 20 * ((hours // 24) % 7 < 5)
    return np.maximum(shape * np.exp(growth * hours / 24) + np.random.default_rng(seed).normal(0, noise, hours.size), 0)


def panel(*rows: np.ndarray) -> Panel:
    return make_panel([History(f"s{i}", MONDAY, HOUR, row) for i, row in enumerate(rows)])


def frame(values: np.ndarray, name: str = "a") -> pd.DataFrame:
    ds = pd.date_range("2026-01-05", periods=len(values), freq="h", tz="UTC")
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": values})


def test_a_year_from_half_a_year() -> None:
    """A horizon of a year is forecast; days keep their shape, Sundays stay low, and where the level wandered it grows
    less and less sure.
    """
    level = np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.01, 7 * 26))).repeat(24)
    done = forecast(frame(wave(26, 1) * level), 24 * 364, (0.1, 0.5, 0.9), n_paths=0)
    assert done.models == {"a": "long"}
    said = done.quantiles[["q0.1", "q0.5", "q0.9"]].to_numpy().reshape(52, 7, 24, 3)
    assert np.isfinite(said).all()
    assert (np.diff(said, axis=-1) >= 0).all()
    middle = said[:, :, :, 1].mean(axis=(0, 1))
    assert middle[6] > 1.8 * middle[18]
    assert said[:, 2, :, 1].mean() > 1.2 * said[:, 6, :, 1].mean()
    width = (said[..., 2] - said[..., 0]).mean(axis=(1, 2))
    assert width[-8:].mean() > 1.5 * width[:8].mean()
    still = forecast(frame(wave(26, 1)), 24 * 364, (0.1, 0.5, 0.9), n_paths=0).quantiles
    kept = (still["q0.9"] - still["q0.1"]).to_numpy().reshape(52, -1).mean(axis=1)
    assert width[-8:].mean() > 1.5 * kept[-8:].mean()
    assert kept[-8:].mean() > kept[:8].mean()


def test_growth_goes_on_for_a_while() -> None:
    """What grew by a tenth a month grows on; what did not stays where it is."""
    grown, still = (fit_far(panel(wave(26, 3, growth))).paths(24 * 60, 200, 0) for growth in (0.0032, 0.0))
    last = np.median(grown[0, :, -168:].mean(axis=1)) / wave(26, 3, 0.0032)[-168:].mean()
    assert 1.1 < last < 1.35
    assert 0.93 < np.median(still[0, :, -168:].mean(axis=1)) / wave(26, 3)[-168:].mean() < 1.07


def test_sums_are_as_unsure_as_they_are() -> None:
    """Two series that move together keep doing so on paths: their sum is unsurer than of two that do not."""
    shared = np.repeat(np.exp(np.random.default_rng(5).normal(0, 0.2, 182)), 24)
    one, two = wave(26, 1) * shared, wave(26, 2) * shared
    alone = wave(26, 2) * np.repeat(np.exp(np.random.default_rng(6).normal(0, 0.2, 182)), 24)
    together = fit_far(panel(one, two)).paths(24 * 90, 400, 0).reshape(2, 400, 90, 24).mean(axis=3)
    apart = fit_far(panel(one, alone)).paths(24 * 90, 400, 0).reshape(2, 400, 90, 24).mean(axis=3)
    assert np.corrcoef(together[0, :, 40], together[1, :, 40])[0, 1] > 0.6
    assert abs(np.corrcoef(apart[0, :, 40], apart[1, :, 40])[0, 1]) < 0.3


def test_paths_of_a_series_do_not_depend_on_its_neighbours() -> None:
    """Forecast with others or alone, with more steps or fewer, a series has the same paths: chunks belong together."""
    both = fit_far(panel(wave(12, 1), wave(12, 2))).paths(24 * 70, 50, 7)
    alone = make_panel([History("s1", MONDAY, HOUR, wave(12, 2))])
    assert np.array_equal(both[1], fit_far(alone).paths(24 * 70, 50, 7)[0])
    assert np.array_equal(both[1], np.concatenate(list(fit_far(alone).weeks(24 * 70, 50, 7)), axis=2)[0])


def test_coverage_of_wandering_levels() -> None:
    """Of many levels that wander, 80 % lie between the 0.1 and the 0.9 quantile 60 days ahead, give or take."""
    rng = np.random.default_rng(11)
    inside = []
    for _ in range(60):
        level = np.exp(np.cumsum(rng.normal(0, 0.03, 240)) + rng.normal(0, 0.1, 240))
        days = History("s", MONDAY, np.timedelta64(24, "h"), 100 * level[:180])
        paths = fit_far(make_panel([days])).paths(60, 400, 0)[0]
        low, high = np.quantile(paths[:, 59], (0.1, 0.9))
        inside.append(low <= 100 * level[239] <= high)
    assert 0.65 <= np.mean(inside) <= 0.95


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=14 * 4, max_size=30 * 4), st.integers(1, 400))
def test_any_history_has_finite_paths(values: list[float], horizon: int) -> None:
    """Zeros, spikes and constants: paths are finite, never negative, and of the length asked for."""
    history = History("s", MONDAY, np.timedelta64(6, "h"), np.array(values))
    paths = fit_far(make_panel([history])).paths(horizon, 20, 1)
    assert paths.shape == (1, 20, horizon)
    assert np.isfinite(paths).all()
    assert (paths >= 0).all()


@pytest.mark.parametrize(
    ("count", "step", "horizon", "far"),
    [(24 * 28, HOUR, 48, False), (24 * 28, HOUR, 24 * 15, True), (24 * 365, HOUR, 24 * 57, True),
     (24 * 10, HOUR, 24 * 9, False), (24 * 28, HOUR, 24 * 728, True), (24 * 28, HOUR, 24 * 729, False),
     (100, np.timedelta64(7, "h"), 90, False)],
)  # fmt: skip
def test_when_a_horizon_is_far(count: int, step: np.timedelta64, horizon: int, far: bool) -> None:
    """Beyond eight weeks or half the history, from two weeks on, up to 26 times the history, for steps of a day."""
    assert goes_far(count, step, horizon) is far


def test_named_models_are_not_replaced() -> None:
    """A model asked for by name forecasts, or the series is refused: nothing else steps in."""
    done = forecast(frame(wave(4, 1)), 24 * 30, models=("seasonal_naive",))
    assert done.models == {}
    assert "longer than the history" in done.refused["reason"][0]
