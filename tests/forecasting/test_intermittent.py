"""Demand that comes now and then, beside Croston's method and those after it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import forecast, learn, look_back, predict
from forecasting.ensemble import fit_ensemble
from forecasting.history import History
from forecasting.models.intermittent import Fitted, is_intermittent
from forecasting.panel import Panel, make_panel

START, HOUR = np.datetime64("2026-10-05", "ns"), np.timedelta64(1, "h")
LEVELS = np.array([0.5, 0.9, 0.95, 0.99])


def jobs(count: int, weeks: int, seed: int) -> np.ndarray:
    """Jobs that mostly run at eight hours of the week, seldom at others, of sizes that vary [count, hours]."""
    rng, hours = np.random.default_rng(seed), np.arange(168 * weeks)
    often = np.array([np.isin(hours % 168, rng.choice(168, 8, replace=False)) for _ in range(count)])
    runs = rng.random(often.shape) < np.where(often, 0.7, 0.02)
    return np.where(runs, rng.lognormal(3, 0.8, often.shape), 0.0)


def panel(values: np.ndarray) -> Panel:
    return make_panel([History(f"s{i}", START, HOUR, row) for i, row in enumerate(values)])


def loss(truth: np.ndarray, said: np.ndarray) -> float:
    error = truth[..., None] - said
    return float(np.maximum(LEVELS * error, (LEVELS - 1) * error).mean())


WHOLE = jobs(24, 9, 1)
PAST, TRUTH = panel(WHOLE[:, :-168]), WHOLE[:, -168:]


def test_better_than_croston_and_those_after_him() -> None:
    """The next week's quantiles lose a fifth less than the rates of Croston, SBA and TSB with their past errors."""
    from statsforecast.models import TSB, CrostonClassic, CrostonSBA

    own = loss(TRUTH, Fitted(168).quantiles(PAST, LEVELS))
    for model in (CrostonClassic(), CrostonSBA(), TSB(0.1, 0.1)):
        rates = np.array([model.forecast(row, 1)["mean"][0] for row in PAST.values])
        errors = np.quantile(PAST.values - rates[:, None], LEVELS, axis=1).T
        said = np.maximum(rates[:, None] + errors, 0)[:, None]
        assert own < 0.8 * loss(TRUTH, np.broadcast_to(said, (*TRUTH.shape, len(LEVELS))))


def test_quantiles_hold_what_they_say() -> None:
    """Over a week of all series, the share of steps at or under each level is the level, or more where most are 0."""
    covered = (TRUTH[..., None] <= Fitted(168).quantiles(PAST, LEVELS)).mean(axis=(0, 1))
    assert (covered >= LEVELS - 0.01).all()
    assert covered[-1] < 0.999


def test_demand_at_one_hour_of_the_day_is_expected_then() -> None:
    """A job at two o'clock every day is certain at two and impossible at three."""
    values = np.where(np.arange(24 * 28) % 24 == 2, 40.0, 0.0)
    said = Fitted(24).quantiles(panel(values[None]), np.array([0.1, 0.5, 0.9]))[0]
    assert said[2].tolist() == [40, 40, 40]
    assert not said[3:].any()


def test_demand_that_ended_fades() -> None:
    """Half a year after the last run even the 0.9 quantile is 0."""
    values = np.concatenate([jobs(1, 8, 3)[0], np.zeros(168 * 26)])
    assert not Fitted(24).quantiles(panel(values[None]), np.array([0.9])).any()


def test_intermittent_by_how_far_demands_lie_apart() -> None:
    """Every hour and two of three are running demand; every other hour, and never, are told apart."""
    hours = np.arange(240)
    values = np.array([hours % 24 + 1.0, hours % 6 > 0, hours % 2, 0.0 * hours])
    assert is_intermittent(panel(values)).tolist() == [False, False, True, False]


def test_weight_is_learned_and_adds_up_to_one() -> None:
    """Among running demand only intermittent series are said anew, with a share between 0 and 1."""
    running = 50 + 20 * np.sin(2 * np.pi * np.arange(WHOLE.shape[1] - 168) / 24)
    both = panel(np.vstack([PAST.values[:6], running]))
    models = ("seasonal_naive", "intermittent")
    ensemble, _ = fit_ensemble(both, 24, LEVELS, models, 0)
    assert ensemble.sparse is not None
    shares = ensemble.sparse.shares_of(both)
    assert shares[-1] == 0
    assert ((shares[:-1] > 0.5) & (shares[:-1] <= 1)).all()
    plain, _ = fit_ensemble(both, 24, LEVELS, ("seasonal_naive",), 0)
    at = np.searchsorted(ensemble.calibration.levels, LEVELS)
    truth = WHOLE[:6, -168:-144]
    assert loss(truth, ensemble.quantiles(both)[:6][..., at]) < 0.9 * loss(truth, plain.quantiles(both)[:6][..., at])
    assert ensemble.names(both)[-1] == "seasonal_naive"


def test_scores_are_those_of_what_is_said_of_intermittent_demand() -> None:
    """From past origins too, what is told of jobs is their own quantiles, which hold more than running demand's do."""
    ds = pd.date_range("2026-10-05", periods=PAST.values.shape[1], freq="h", tz="UTC")
    frame = pd.concat([pd.DataFrame({"unique_id": f"s{i}", "ds": ds, "y": PAST.values[i]}) for i in range(8)])
    loss = []
    for models in (("seasonal_naive",), ("seasonal_naive", "intermittent")):
        learned = learn(frame, 24, (0.9, 0.99), models=models)
        table = predict(learned, frame, backtest=True).backtest
        back = look_back(learned, frame)
        error = back["y"].to_numpy() - back["q0.99"].to_numpy()
        loss.append([table[table["model"] == "forecast"]["pinball"].mean(),
                     np.maximum(0.99 * error, -0.01 * error).mean()])
    assert loss[1][0] < 0.97 * loss[0][0]
    assert loss[1][1] < 0.9 * loss[0][1]


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.lists(st.one_of(st.just(0.0), st.floats(0, 1e6)), min_size=48, max_size=120), st.integers(1, 30),
       st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4, unique=True))
def test_quantiles_never_cross_nor_fall_below_zero(values: list[float], horizon: int, levels: list[float]) -> None:
    """For any demand that comes now and then quantiles rise with their level and stay at or above 0."""
    ds = pd.date_range("2026-10-01", periods=len(values), freq="h", tz="UTC")
    frame = pd.DataFrame({"unique_id": "s", "ds": ds, "y": values})
    done = forecast(frame, horizon, levels, models=("intermittent",), n_paths=0)
    table = done.quantiles.filter(like="q0").to_numpy()
    assert (table >= 0).all()
    assert (np.diff(table, axis=1) >= 0).all()


def test_weekly_points_are_told() -> None:
    """Points a week apart have neither hours nor weekdays, and are told all the same."""
    rng = np.random.default_rng(1)
    values = np.where(rng.random(120) < 0.3, 10.0, 0.0)
    points = make_panel([History("s", START, np.timedelta64(7, "D"), values)])
    said = Fitted(4).quantiles(points, np.array([0.5, 0.9]))
    assert said[0].tolist() == [[0, pytest.approx(10)]] * 4
