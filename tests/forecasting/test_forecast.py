"""The engine as its users see it: frame in; quantiles, paths, choices and refusals out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import Forecast, History, default_models, forecast
from forecasting.ensemble import fit_past, rolling_origins
from forecasting.metrics import mase, pinball, scores, weighted_quantile_loss
from forecasting.models import boosting
from forecasting.panel import make_panel
from forecasting.paths import bootstrap


def series(name: str, values: np.ndarray, freq: str = "h") -> pd.DataFrame:
    ds = pd.date_range("2026-10-01", periods=len(values), freq=freq, tz="UTC")
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": values})


def wave(weeks: int, seed: int, noise: float = 4.0) -> np.ndarray:
    hours = np.arange(168 * weeks)
    shape = 60 + 30 * np.sin(2 * np.pi * hours / 24) + 12 * ((hours // 24) % 7 < 5)
    return np.maximum(shape + np.random.default_rng(seed).normal(0, noise, hours.size), 0)


HISTORY = History("a", np.datetime64("2026-10-01T00", "ns"), np.timedelta64(1, "h"), wave(4, 1))
FRAME = pd.concat([series("a", wave(4, 1)), series("b", wave(4, 2)), series("short", wave(4, 3)[:5])])


@pytest.fixture(scope="module")
def done() -> Forecast:
    """The day after the frame."""
    return forecast(FRAME, 24, (0.5, 0.9))


def test_every_series_is_forecast_or_refused(done: Forecast) -> None:
    """Three series in: two are forecast from the step after their last, and one is refused with its reason."""
    assert list(done.quantiles.columns) == ["unique_id", "ds", "model", "q0.5", "q0.9"]
    assert len(done.quantiles) == 48
    assert done.quantiles["ds"].iloc[0] == pd.Timestamp("2026-10-29T00:00:00Z")
    assert set(done.models) == set(done.paths) == {"a", "b"}
    assert done.refused.to_dict("records") == [
        {"unique_id": "short", "reason": "5 points of history in steps of 60 min; at least 10 are needed, "
         "48 where there are no longer series to borrow from"}
    ]
    assert set(done.backtest["model"]) == {"seasonal_naive", "recent", "boosting", "ridge", "mstl", "forecast"}


@pytest.mark.parametrize(("days", "horizon"), [(16, 24), (17, 48)])
def test_a_series_of_a_little_over_two_weeks_is_forecast(days: int, horizon: int) -> None:
    """Where few origins have two weeks before them, boosting learns from those with two days."""
    found = forecast(series("a", wave(4, 1)[: 24 * days]), horizon, n_paths=0)
    assert len(found.quantiles) == horizon
    assert "boosting" in set(found.backtest["model"])


def test_order_of_rows_and_columns_does_not_matter(done: Forecast) -> None:
    """Shuffled rows and other columns give the same frames and paths to the last bit."""
    shuffled = FRAME.sample(frac=1, random_state=7)[["y", "ds", "unique_id"]].assign(note="x")
    one, two = done, forecast(shuffled, 24, (0.5, 0.9))
    pd.testing.assert_frame_equal(one.quantiles, two.quantiles)
    pd.testing.assert_frame_equal(one.backtest, two.backtest)
    assert all(np.array_equal(one.paths[name], two.paths[name]) for name in one.paths)


def test_input_frame_is_unchanged() -> None:
    """Forecasting reads its frame and leaves it."""
    before = FRAME.copy(deep=True)
    forecast(FRAME, 12, models=("seasonal_naive",))
    pd.testing.assert_frame_equal(FRAME, before)


def test_the_forecast_is_no_worse_than_the_floor_on_the_backtest() -> None:
    """The weighted average lost no more than the seasonal naive forecast did from the same origins."""
    done = forecast(FRAME, 24, models=("seasonal_naive", "ridge", "ets"))
    loss = done.backtest.groupby("model")["wql"].mean()
    assert loss["forecast"] < loss["seasonal_naive"]


def test_models_of_one_series_are_tried_where_series_are_few() -> None:
    """Four series are looked at one by one by two models, eight by one, nine by none."""
    pooled = ("seasonal_naive", "recent", "boosting", "intermittent")
    assert default_models(4) == (*pooled, "ridge", "mstl")
    assert default_models(8) == (*pooled, "ridge")
    assert default_models(9) == pooled


def test_slow_models_are_not_tried_where_days_have_many_steps() -> None:
    """MSTL takes ten seconds a fit by 5 minutes: such a series is forecast without it, also beside one by the hour."""
    values = 60 + 30 * np.sin(2 * np.pi * np.arange(288 * 3) / 288)
    fine = series("fine", values + np.random.default_rng(0).normal(0, 2, values.size), "5min")
    for frame in (fine, pd.concat([fine, series("coarse", wave(2, 1))])):
        assert "mstl" not in set(forecast(frame, 24, n_paths=0).backtest["model"])
    assert "mstl" in default_models(1)


def test_a_single_model_is_used_as_asked() -> None:
    """Asking for one model by name gives that one; a name that is not there is an error that lists those that are."""
    assert forecast(FRAME, 24, models=("ridge",)).models["a"] == "ridge"
    with pytest.raises(ValueError, match="model 'arma': there are seasonal_naive, recent, boosting, ridge"):
        forecast(FRAME, 24, models=("arma",))
    with pytest.raises(ValueError, match=r"quantiles \[1.5\]"):
        forecast(FRAME, 24, (1.5,))
    with pytest.raises(ValueError, match="no models"):
        forecast(FRAME, 24, models=())
    with pytest.raises(ValueError, match="0 threads"):
        forecast(FRAME, 24, threads=0)


def test_ninety_percent_quantile_covers_about_ninety_percent() -> None:
    """On noise around a known shape, the share of steps under the 0.9 quantile is near 0.9 over many series."""
    whole = [wave(6, seed) for seed in range(12)]
    past = pd.concat([series(f"s{k}", values[:-24]) for k, values in enumerate(whole)])
    done = forecast(past, 24, (0.9,), models=("seasonal_naive", "ridge"))
    said = done.quantiles.set_index("unique_id")["q0.9"]
    under = [(values[-24:] <= said[f"s{k}"].to_numpy()).mean() for k, values in enumerate(whole)]
    assert 0.82 <= np.mean(under) <= 0.97


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    st.lists(st.floats(0, 1e6), min_size=48, max_size=120),
    st.lists(st.floats(0.01, 0.99), min_size=1, max_size=5, unique=True),
    st.integers(1, 40),
)
def test_quantiles_never_cross_nor_fall_below_zero(values: list[float], levels: list[float], horizon: int) -> None:
    """For any demand that is not negative, quantiles rise with their level and stay at or above 0."""
    done = forecast(series("s", np.array(values)), horizon, levels, models=("seasonal_naive",), n_paths=50)
    table = done.quantiles.filter(like="q0").to_numpy()
    assert (table >= 0).all()
    assert (np.diff(table, axis=1) >= 0).all()


def with_sales(count: int) -> pd.DataFrame:
    """Series with seven days of sales at random, each half as much again, and one more on the day ahead."""
    parts = []
    for k in range(count):
        days = [*np.random.default_rng(100 + k).choice(np.arange(2, 54), 7, replace=False), 56]
        sale = np.isin(np.arange(24 * 57) // 24, days)
        y = np.concatenate([wave(8, k) + 60 * sale[: 24 * 56], np.full(24, np.nan)])
        parts.append(series(f"s{k}", y).assign(sale=sale))
    return pd.concat(parts)


@pytest.mark.parametrize(("model", "count"), [("ridge", 1), ("boosting", 10)])
def test_what_is_known_ahead_is_forecast(model: str, count: int) -> None:
    """A sale of the day ahead lifts the forecast by what sales did; without its column the day is as any other."""
    frame = with_sales(count)
    told, untold = (forecast(frame, 24, (0.5,), models=(model,), n_paths=0, known=known).quantiles["q0.5"].mean()
                    for known in (("sale",), ()))
    assert 120 < told < 140  # 72 and 60 of the sale
    assert 65 < untold < 80


@pytest.mark.slow  # prophet
def test_prophet_knows_what_is_known_ahead() -> None:
    """Columns known ahead are regressors."""
    told = forecast(with_sales(1), 24, (0.5,), models=("prophet",), n_paths=0, known=("sale",))
    assert 120 < told.quantiles["q0.5"].mean() < 140


def test_paths_keep_what_belongs_together_in_time() -> None:
    """Errors that last a day last a day on the paths too: neighbouring hours of a path move together."""
    days = np.repeat(np.random.default_rng(0).normal(0, 10, 42), 24)
    paths = forecast(series("s", 100 + days), 24, models=("seasonal_naive",)).paths["s"]
    assert np.corrcoef(paths[:, 3], paths[:, 20])[0, 1] > 0.9


def test_paths_keep_what_belongs_together_across_series() -> None:
    """Two series that always moved together move together path by path, so that their sum is right."""
    common = np.random.default_rng(0).normal(0, 10, 24 * 42)
    both = pd.concat([series("a", 100 + common), series("b", 200 + 2 * common)])
    paths = forecast(both, 24, models=("seasonal_naive",)).paths
    assert np.corrcoef(paths["a"][:, 5], paths["b"][:, 5])[0, 1] > 0.99


def test_bootstrap_lays_whole_blocks_end_to_end() -> None:
    """With one block of errors every path is the point forecast plus that block, repeated."""
    point, block = np.full(5, 10.0), np.array([[1.0, -2.0]])
    assert bootstrap(point, block, 2, 0).tolist() == [[11, 8, 11, 8, 11]] * 2


def history(values: np.ndarray, name: str = "s") -> History:
    return History(name, np.datetime64("2026-10-01", "ns"), np.timedelta64(1, "h"), values)


def test_origins_lie_apart_at_the_phase_of_the_real_one() -> None:
    """Four origins of a day lie on four days, of two days still a day apart; a short history has none."""
    panel = make_panel([history(wave(4, 0))])
    assert rolling_origins(panel, 24)[1].tolist() == [96, 72, 48, 24]
    length, back = rolling_origins(panel, 48)
    assert length == 48
    assert back.tolist() == [120, 96, 72, 48]
    assert len(rolling_origins(make_panel([history(wave(4, 0)[:48])]), 24)[1]) == 0


def test_a_back_test_sees_nothing_after_its_origin() -> None:
    """What models said from an origin is the same whatever came after it; the truth is what came."""
    values = wave(4, 0)
    other = np.concatenate([values[:-48], np.zeros(48)])
    models = ("seasonal_naive", "boosting")
    panels = [make_panel([history(row)]) for row in (values, other)]
    pasts = [fit_past(panel, 24, models, 0, 1) for panel in panels]
    one, two = (past.ask(panel) for past, panel in zip(pasts, panels, strict=True))
    before = one.back >= 48
    np.testing.assert_array_equal(one.said[:, before], two.said[:, before])
    np.testing.assert_array_equal(one.truth[-1, 0], values[-24:])


def test_metrics_by_hand() -> None:
    """Losses of forecasts small enough to compute on paper."""
    truth = np.array([10.0, 20.0])
    assert pinball(truth, np.array([8.0, 24.0]), 0.9) == pytest.approx((0.9 * 2 + 0.1 * 4) / 2)
    assert weighted_quantile_loss(truth, np.array([[8.0, 24.0]]), (0.9,)) == pytest.approx(2 * 1.1 / 15)
    assert mase(truth, np.array([11.0, 19.0]), np.array([1.0, 2.0, 3.0, 5.0]), 1) == pytest.approx(1 / (4 / 3))
    assert mase(truth, truth, np.ones(4), 1) == 0


def test_scores_of_many_series_are_those_of_each() -> None:
    """Figures computed for all series at once are the plain ones."""
    rng = np.random.default_rng(1)
    truth, past, levels = rng.uniform(1, 9, (3, 5)), rng.uniform(1, 9, (3, 60)), np.array([0.1, 0.5, 0.9])
    said = np.sort(rng.uniform(1, 9, (3, 5, 3)), axis=2)
    found = scores(truth, said, levels, past, 24)
    for i in range(3):
        assert found.wql[i] == pytest.approx(weighted_quantile_loss(truth[i], said[i].T, tuple(levels)))
        assert found.mase[i] == pytest.approx(mase(truth[i], said[i, :, 1], past[i], 24))
        assert found.covered[i] == (truth[i] <= said[i, :, 2]).mean()


def test_a_system_without_openmp_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where LightGBM finds no OpenMP the error names the packages that bring it."""
    def missing(name: str) -> None:
        raise OSError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(boosting, "import_module", missing)
    with pytest.raises(OSError, match="libgomp1"):
        boosting.fit(make_panel([HISTORY]), 24, 0)
