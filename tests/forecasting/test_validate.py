"""What is accepted as a series and what is refused, with which words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecasting import BadFrameError, check


def frame(values: list[float] | np.ndarray, freq: str = "h", name: str = "s", tz: str | None = "UTC") -> pd.DataFrame:
    ds = pd.date_range("2026-11-01", periods=len(values), freq=freq, tz=tz)
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": np.asarray(values, float)})


def reason(given: pd.DataFrame, horizon: int = 24) -> str:
    checked = check(given, horizon)
    assert checked.series == ()
    return checked.refused[0].reason


GOOD = frame(np.arange(96.0))


def test_clean_series_is_read_in_order() -> None:
    """Rows in any order become one regular series with its step and start."""
    (series,) = check(GOOD.sample(frac=1, random_state=1), 24).series
    assert np.array_equal(series.values, np.arange(96.0))
    assert series.step == np.timedelta64(1, "h")
    assert series.start == np.datetime64("2026-11-01T00:00:00")
    assert series.seasons == (24,)


def test_one_bad_series_leaves_the_others() -> None:
    """A refused series is named with its reason, and its neighbours are accepted."""
    both = pd.concat([GOOD, frame([1.0, np.nan] * 40, name="bad")])
    checked = check(both, 24)
    assert [s.unique_id for s in checked.series] == ["s"]
    assert [r.unique_id for r in checked.refused] == ["bad"]


def test_times_in_another_zone_are_the_same_instants() -> None:
    """A zone of its own changes nothing: times are instants."""
    moved = GOOD.assign(ds=GOOD["ds"].dt.tz_convert("America/Sao_Paulo"))
    assert check(moved, 24).series[0].start == np.datetime64("2026-11-01T00:00:00")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0, np.nan, np.nan] + [1.0] * 90, "2 values are NaN, the first at 2026-11-01T01:00:00Z"),
        ([1.0, np.inf] + [1.0] * 90, "1 value is infinite"),
        ([1.0, 2.0, -3.0] + [1.0] * 90, "1 value is negative, the first at 2026-11-01T02:00:00Z"),
        ([1.0] * 5, "5 points of history; at least 48 are needed at 60 min"),
        ([1.0] * 1, "1 points of history"),
    ],
)
def test_bad_values_are_refused_with_place(values: list[float], words: str) -> None:
    """The reason counts the bad values and names the first."""
    assert words in reason(frame(values))


def test_gap_is_refused_with_place() -> None:
    """Missing steps are counted, and the last time before the first of them is named."""
    assert "2 steps of 60 min are missing, the first after 2026-11-01T09:00:00Z" in reason(GOOD.drop(index=[10, 11]))


def test_duplicate_time_is_refused() -> None:
    """Two values for one time are not averaged in secret."""
    assert "1 times appear twice, the first is 2026-11-01T00:00:00Z" in reason(pd.concat([GOOD, GOOD.head(1)]))


def test_mixed_frequency_is_refused() -> None:
    """Hours that turn into quarters of an hour are two series, not one with gaps."""
    later = frame(np.ones(60), "15min").assign(ds=lambda f: f["ds"] + pd.Timedelta(days=4))
    assert "mixed frequency: 15 min, and 60 min" in reason(pd.concat([GOOD, later]))


def test_horizon_longer_than_history_is_refused() -> None:
    """Nobody knows a week from four days."""
    assert reason(GOOD, 168) == "horizon of 168 steps is longer than the history of 96 points"


def test_frame_that_is_no_series_at_all() -> None:
    """Naive times, text for numbers and missing columns are said of the frame, with what was found."""
    with pytest.raises(BadFrameError, match="ds: times without a zone"):
        check(frame([1.0] * 60, tz=None), 1)
    with pytest.raises(BadFrameError, match="y: values of type object"):
        check(GOOD.assign(y=["1,5"] * 96), 1)
    with pytest.raises(BadFrameError, match="missing column unique_id: found workload, ds, y"):
        check(GOOD.rename(columns={"unique_id": "workload"}), 1)
    with pytest.raises(ValueError, match="horizon 0"):
        check(GOOD, 0)
