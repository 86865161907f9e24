"""Back-tests of series that direct models do not forecast: far horizons, young series, and why some have no scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecasting import Learned, learn, look_back, predict
from forecasting.models import boosting

LEVELS = (0.5, 0.9)
DAY = np.timedelta64(1, "D")


def wave(name: str, days: int, seed: int, step_hours: int = 1, growth: float = 0.0) -> pd.DataFrame:
    """What goes up and down by the day, and grows by the day; all end at the same time."""
    hours = np.arange(0, 24 * days, step_hours)
    shape = np.exp(growth * (hours - hours[-1]) / 24) * (2 + np.sin(2 * np.pi * hours / 24))
    values = 50 * shape * np.random.default_rng(seed).lognormal(0, 0.1, hours.size)
    ds = pd.date_range(end="2026-11-01T00:00:00Z", periods=hours.size, freq=f"{step_hours}h")
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": values})


def ours(scores: pd.DataFrame, name: str) -> pd.DataFrame:
    return scores[(scores["unique_id"] == name) & (scores["model"] == "forecast")]


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """How well direct models forecast does not matter here."""
    for name in ("LEAST_TREES", "MOST_TREES", "SPREAD_TREES"):
        monkeypatch.setattr(boosting, name, 8)


@pytest.fixture(scope="module")
def far() -> tuple[Learned, pd.DataFrame]:
    """Histories of 300, 120 and 70 days, by 6 hours, 60 days ahead."""
    lengths = {"long": 300, "short": 120, "shorter": 70}
    frame = pd.concat([wave(name, days, days, 6, 0.002) for name, days in lengths.items()])
    return learn(frame, 60 * DAY, LEVELS), frame


def test_far_horizons_are_scored_from_origins_that_leave_a_history(far: tuple[Learned, pd.DataFrame]) -> None:
    """From each of up to four origins the whole horizon is scored, beside seasonal naive, where two weeks are left."""
    scores = predict(*far, backtest=True).backtest
    assert set(scores["model"]) == {"forecast", "long", "seasonal_naive"}
    assert ours(scores, "long")["origin"].dt.strftime("%Y-%m-%d").tolist() == [
        "2026-06-04", "2026-07-04", "2026-08-03", "2026-09-02"]
    assert ours(scores, "short")["wql"].notna().sum() == 2
    kept = scores[scores["wql"].notna()].pivot_table("wql", "unique_id", "model")
    assert (kept["forecast"] < kept["seasonal_naive"]).all()
    assert (kept["forecast"] == kept["long"]).all()
    assert 0.7 < ours(scores, "long")["coverage_q0.9"].mean() <= 1


def test_what_is_scored_far_ahead_is_what_was_said_then(far: tuple[Learned, pd.DataFrame]) -> None:
    """The score of the latest origin is that of the forecast that a history cut there gets."""
    learned, frame = far
    origin = frame["ds"].max() - pd.Timedelta(days=60)
    then = predict(learned, frame[frame["ds"] <= origin]).quantiles
    both = then.merge(frame, on=["unique_id", "ds"])
    both = both[both["unique_id"] == "long"]
    assert len(both) == 60 * 4
    row = ours(predict(learned, frame, backtest=True).backtest, "long").iloc[-1]
    for level in LEVELS:
        assert row[f"coverage_q{level:g}"] == (both["y"] <= both[f"q{level:g}"]).mean()


def test_what_cannot_be_scored_is_a_row_with_the_reason(far: tuple[Learned, pd.DataFrame]) -> None:
    """Seventy days do not hold sixty back: no figures, no origin, and why; the series is forecast all the same."""
    done = predict(*far, backtest=True)
    (row,) = done.backtest[done.backtest["unique_id"] == "shorter"].to_dict("records")
    assert row["note"] == "history too short to hold back 240 steps and be forecast from what is left"
    assert pd.isna([row["origin"], row["wql"], row["mase"], row["pinball"]]).all()
    assert done.models["shorter"] == "long"


def test_young_series_are_scored_as_they_were_then() -> None:
    """A series of forty hours, twelve ahead, is told from its first twenty-eight; one of sixteen has a reason."""
    old = [wave(f"s{k:02d}", 20, k) for k in range(24)]
    frame = pd.concat([*old, wave("young", 2, 90).tail(40), wave("newborn", 2, 91).tail(16)])
    learned = learn(frame, 12, LEVELS)
    done = predict(learned, frame, backtest=True)
    assert [done.models[name] for name in ("young", "newborn")] == ["similar", "similar"]
    scored = done.backtest[done.backtest["unique_id"] == "young"]
    assert set(scored["model"]) == {"forecast", "similar", "seasonal_naive"}
    assert (scored["origin"] == pd.Timestamp("2026-10-31T13:00:00Z")).all()
    assert ours(scored, "young")["wql"].item() < 0.3
    (row,) = ours(done.backtest, "newborn").to_dict("records")
    assert row["note"] == "history too short to hold back 12 steps and be forecast from what is left"


def test_series_learned_one_by_one_are_scored() -> None:
    """Where the step of a series was not learned it is learned from alone, and scored by its own past."""
    learned = learn(wave("hours", 20, 1), 2 * DAY, LEVELS)
    scores = predict(learned, wave("days", 60, 2, 24), backtest=True).backtest
    assert ours(scores, "days")["wql"].notna().sum() == 4


def test_no_fan_of_the_past_shows_another_model(far: tuple[Learned, pd.DataFrame]) -> None:
    """What direct models would have said is not shown of series that they do not forecast."""
    near = pd.concat([wave("near", 200, 5, 6), wave("far", 40, 6, 6)])
    learned = learn(near, 25 * DAY, LEVELS)
    assert predict(learned, near).models["far"] == "long"
    assert set(look_back(learned, near)["unique_id"]) == {"near"}
    assert look_back(*far).empty
