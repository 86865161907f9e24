"""Learning from some series and forecasting others in parts: cut anyhow, the same figures come out."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from forecasting import Learned, forecast, learn, predict

LEVELS = (0.5, 0.9)


def series(name: str, weeks: int, seed: int, freq: str = "h") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    hours = np.arange(168 * weeks)
    values = rng.uniform(20, 200) * (2 + np.sin(2 * np.pi * hours / 24) + 0.2 * rng.normal(size=hours.size))
    ds = pd.date_range("2026-10-01", periods=hours.size, freq=freq, tz="UTC")
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": np.maximum(values, 0)})


NAMES = [f"s{k:02d}" for k in range(12)]
FRAME = pd.concat([series(name, 3 + k % 2, k) for k, name in enumerate(NAMES)])


@pytest.fixture(scope="module")
def learned() -> Learned:
    """What the first nine series teach."""
    return learn(FRAME[FRAME["unique_id"].isin(NAMES[:9])], 24, LEVELS)


def test_forecast_is_learn_and_predict() -> None:
    """The two halves give what the whole gives, back-test and all."""
    whole, learned = forecast(FRAME, 24, LEVELS, n_paths=0), learn(FRAME, 24, LEVELS)
    found = predict(learned, FRAME)
    pd.testing.assert_frame_equal(found.quantiles, whole.quantiles, check_exact=True)
    pd.testing.assert_frame_equal(learned.backtest, whole.backtest)
    assert found.models == whole.models


@settings(deadline=None, max_examples=6, derandomize=True, phases=(Phase.explicit, Phase.generate))
@given(st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_parts_may_be_cut_anyhow(learned: Learned, part: list[int]) -> None:
    """Forecasts and scores of a series do not hang on which others are in the frame."""
    whole = predict(learned, FRAME, backtest=True)
    cut = dict(zip(NAMES, part, strict=True))
    parts = [predict(learned, FRAME[FRAME["unique_id"].map(cut) == k], backtest=True) for k in sorted(set(part))]
    for name in ("quantiles", "backtest"):
        joined = pd.concat([getattr(one, name) for one in parts]).sort_values("unique_id", kind="stable")
        pd.testing.assert_frame_equal(joined.reset_index(drop=True), getattr(whole, name), rtol=1e-9)


def test_what_was_learned_may_go_to_another_process(learned: Learned) -> None:
    """Pickled and read again it says the same, to the last bit; models of one series too."""
    for one in (learned, learn(FRAME[FRAME["unique_id"] == "s00"], 24, LEVELS, models=("ridge", "ets"))):
        again = pickle.loads(pickle.dumps(one))
        pd.testing.assert_frame_equal(predict(again, FRAME).quantiles, predict(one, FRAME).quantiles, check_exact=True)


def test_a_step_that_nobody_taught_is_learned_series_by_series(learned: Learned) -> None:
    """Daily series among hourly ones are forecast, each by what it teaches itself; a span is as many steps as it takes.
    """
    daily = pd.concat([series("day1", 1, 1, "D"), series("day2", 1, 2, "D")])
    both = predict(learned, pd.concat([daily, FRAME]))
    alone = predict(learned, daily[daily["unique_id"] == "day2"])
    kept = both.quantiles[both.quantiles["unique_id"] == "day2"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, alone.quantiles, rtol=1e-9)
    spanned = forecast(pd.concat([daily, series("s", 3, 1)]), np.timedelta64(2, "D"), models=("seasonal_naive",))
    assert spanned.quantiles.groupby("unique_id").size().to_dict() == {"day1": 2, "day2": 2, "s": 48}


def test_coverage_of_the_levels_asked_for_is_told(learned: Learned) -> None:
    """The calibrated average has the share under each level; models, which say three levels of their own, have none."""
    told = predict(learned, FRAME, backtest=True).backtest
    mine = told["model"] == "forecast"
    assert told.loc[mine, ["coverage_q0.5", "coverage_q0.9"]].notna().all(axis=None)
    assert told.loc[~mine, "coverage_q0.9"].isna().all()
    np.testing.assert_allclose(told["wql"], 2 * told["pinball"] / told["size"])
    assert 0.8 < told.loc[mine, "coverage_q0.9"].mean() < 0.97
