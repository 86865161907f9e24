"""What is accepted as a series, what is mended and what is refused, with which words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import BadFrameError, check, forecast
from forecasting.history import History
from forecasting.panel import Panel, make_panel
from forecasting.shifts import describe, find_shifts, follow_shifts


def frame(values: list[float] | np.ndarray, freq: str = "h", name: str = "s", tz: str | None = "UTC") -> pd.DataFrame:
    ds = pd.date_range("2026-11-01", periods=len(values), freq=freq, tz=tz)
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": np.asarray(values, float)})


def reason(given: pd.DataFrame, horizon: int = 24, known: tuple[str, ...] = ()) -> str:
    checked = check(given, horizon, known)
    assert checked.series == ()
    return checked.refused[0].reason


def accepted(given: pd.DataFrame, horizon: int = 24, known: tuple[str, ...] = ()) -> tuple[History, list[str]]:
    """The one series, and what was made of it."""
    checked = check(given, horizon, known)
    assert not checked.refused
    return checked.series[0], [one.note for one in checked.notes]


GOOD = frame(np.arange(96.0))
DAYS = frame(np.tile(np.arange(24.0), 4))
"""Four days that are all the same."""


def test_clean_series_is_read_in_order() -> None:
    """Rows in any order become one regular series with its step and start, and nothing to note."""
    series, notes = accepted(GOOD.sample(frac=1, random_state=1))
    assert np.array_equal(series.values, np.arange(96.0))
    assert series.step == np.timedelta64(1, "h")
    assert series.start == np.datetime64("2026-11-01T00:00:00")
    assert series.seasons == (24,)
    assert notes == []


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


TOO_SHORT = ("5 points of history in steps of 60 min; at least 10 are needed, 48 where there are no longer series to "
             "borrow from")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0, np.inf] + [1.0] * 90, "1 value is infinite, the first at 2026-11-01T01:00:00Z; numbers >= 0 are needed"),
        ([1.0, 2.0, -3.0] + [1.0] * 90,
         "1 value is negative, the first at 2026-11-01T02:00:00Z; numbers >= 0 are needed"),
        ([np.nan] * 90, "no value is a number"),
        ([1.0] * 5, TOO_SHORT),
        ([1.0] * 1, "1 point of history; at least 10 are needed"),
    ],
)
def test_bad_values_are_refused_with_place(values: list[float], words: str) -> None:
    """The reason counts the bad values and names the first."""
    assert reason(frame(values)) == words


def test_steps_without_a_value_are_filled_in_and_told() -> None:
    """Two rows left out and one NaN become what other days say of that time."""
    holes = DAYS.assign(y=DAYS["y"].where(DAYS.index != 40)).drop(index=[10, 11])
    series, notes = accepted(holes)
    np.testing.assert_array_equal(series.values, DAYS["y"])
    assert notes == [("3 steps have no value, the first at 2026-11-01T10:00:00Z: "
                     "filled in from the same time of other days")]


def test_too_many_steps_without_a_value_are_refused() -> None:
    """A day and an hour in a row, and more than a tenth in all, are not made up; jobs that seldom run are told how."""
    words = ("of 960 steps have no value, 25 in a row from 2026-11-03T02:00:00Z; up to a tenth and 24 in a row are "
             "filled in. Where no row means no demand, write rows of 0")
    assert reason(frame(np.ones(960)).drop(index=range(50, 75))) == "25 " + words
    assert "12 of 96 steps have no value" in reason(GOOD.drop(index=range(30, 42)))


def test_nan_at_the_ends_is_no_gap() -> None:
    """A series that begins later or is not known up to the last row begins and ends there."""
    whole = np.concatenate([[np.nan] * 30, np.arange(60.0), [np.nan] * 2])
    series, notes = accepted(frame(whole))
    np.testing.assert_array_equal(series.values, np.arange(60.0))
    assert notes == ["30 values are NaN before the first number: the series begins at 2026-11-02T06:00:00Z",
                     "2 values are NaN after the last number: the forecast begins after 2026-11-04T17:00:00Z"]


def test_a_fault_of_measurement_is_taken_out_and_told() -> None:
    """A value of 1e12 among values under 24 is filled in; a peak of 500 is demand."""
    faulty = DAYS.assign(y=DAYS["y"].where(DAYS.index != 40, 1e12))
    series, notes = accepted(faulty)
    np.testing.assert_array_equal(series.values, DAYS["y"])
    assert notes == [("1 value is over 1000 times any other, the first 1e+12 at 2026-11-02T16:00:00Z: "
                     "taken for a fault and filled in from the same time of other days")]
    assert accepted(DAYS.assign(y=DAYS["y"].where(DAYS.index != 40, 500)))[1] == []


def test_constant_series_is_forecast_to_stay() -> None:
    """What never moved is accepted, with a note."""
    assert accepted(frame([7.0] * 60))[1] == ["every value is 7: it is forecast to stay so"]


def test_duplicate_time_is_refused() -> None:
    """Two values for one time are not averaged in secret."""
    assert reason(pd.concat([GOOD, GOOD.head(1)])) == (
        "1 time appears twice, the first is 2026-11-01T00:00:00Z; one value for each time is needed")


def test_mixed_frequency_is_refused() -> None:
    """Hours that turn into quarters of an hour are two series, not one with gaps."""
    later = frame(np.ones(60), "15min").assign(ds=lambda f: f["ds"] + pd.Timedelta(days=4))
    assert reason(pd.concat([GOOD, later])) == (
        "mixed frequency: 15 min, and 60 min at 2026-11-01T00:00:00Z; one step is needed")


def test_horizon_longer_than_history_is_refused() -> None:
    """Nobody knows a week from four days."""
    assert reason(GOOD, 168) == ("horizon of 168 steps is longer than the history of 96 points; from 14 days on, up to "
                                 "26 times its length is forecast")


def test_frame_that_is_no_series_at_all() -> None:
    """Naive times, text for numbers and missing columns are said of the frame, with what was found."""
    for wrong, words in (
        (frame([1.0] * 60, tz=None), "ds: times without a zone; times with a zone are needed, as 2026-11-02T00:00:00Z"),
        (GOOD.assign(ds="2026"), "ds: values of type object; times with a zone are needed, as 2026-11-02T00:00:00Z"),
        (GOOD.assign(y=["1,5"] * 96), "y: values of type object; numbers are needed"),
        (GOOD.rename(columns={"unique_id": "unique_ids"}), ("missing column unique_id: found unique_ids, ds, y; needed "
         "are unique_id, ds, y; unique_id: did you mean unique_ids?")),
    ):
        with pytest.raises(BadFrameError) as error:
            check(wrong, 1)
        assert str(error.value) == words
    with pytest.raises(ValueError, match="horizon 0"):
        check(GOOD, 0)


AHEAD = frame([*np.arange(96.0), *[np.nan] * 24]).assign(sale=[0.0] * 100 + [1.0] * 20)
"""Four days of history, and a day ahead of which the last 20 hours are a sale."""


def test_columns_known_ahead_reach_over_the_horizon() -> None:
    """Rows after the last value are no gap where columns known ahead are given; both are kept."""
    series, notes = accepted(AHEAD, 24, ("sale",))
    assert len(series) == 96
    np.testing.assert_array_equal(series.known[:, 0], AHEAD["sale"])
    assert notes == []


def test_columns_known_ahead_that_do_not_reach_are_refused() -> None:
    """A column that ends before the horizon does, or has a hole, refuses its series; text refuses the frame."""
    assert reason(AHEAD.iloc[:110], 24, ("sale",)) == (
        "known column sale is given up to 2026-11-05T13:00:00Z; it is needed up to 2026-11-05T23:00:00Z, "
        "24 steps after the last value")
    assert reason(AHEAD.assign(sale=AHEAD["sale"].where(AHEAD.index != 50)), 24, ("sale",)) == (
        "known column sale has no number at 2026-11-03T02:00:00Z; numbers, or true and false, are needed in every row")
    with pytest.raises(BadFrameError, match="known column sale: values of type object; numbers, or true and false"):
        check(AHEAD.assign(sale="yes"), 24, ("sale",))
    with pytest.raises(BadFrameError, match="missing column sales: found unique_id, ds, y, sale; needed are unique_id, "
                                            r"ds, y, sales; sales: did you mean sale\?"):
        check(AHEAD, 24, ("sales",))


def test_holidays_are_days_of_the_zone_of_the_times() -> None:
    """Christmas Day in São Paulo begins at 03:00 UTC."""
    ds = pd.date_range("2026-12-20", periods=24 * 4, freq="h", tz="America/Sao_Paulo")
    (series,) = check(pd.DataFrame({"unique_id": "s", "ds": ds, "y": 1.0}), 48, holidays=("BR",)).series
    times = np.concatenate([series.times(), series.times_ahead(48)])
    marked = times[series.known[:, 0] == 1]
    assert (marked[0], marked[-1]) == (np.datetime64("2026-12-25T03:00"), np.datetime64("2026-12-26T02:00"))
    with pytest.raises(ValueError, match="holidays 'XX': Country XX not available; country codes are needed, as BR"):
        check(GOOD, 1, holidays=("XX",))


def weeks(count: int, seed: int = 1) -> np.ndarray:
    hours = np.arange(168 * count)
    shape = 60 + 30 * np.sin(2 * np.pi * hours / 24) + 12 * ((hours // 24) % 7 < 5)
    return np.maximum(shape + np.random.default_rng(seed).normal(0, 4, hours.size), 0)


def panel(values: np.ndarray) -> Panel:
    return make_panel([History("s", np.datetime64("2026-10-05", "ns"), np.timedelta64(1, "h"), values)])


@pytest.mark.parametrize("ago", [60, 100, 150])
def test_level_shift_of_the_last_week_is_found_where_it_was(ago: int) -> None:
    """Demand that doubled so many hours ago: the hour is found, and what came before is doubled too."""
    values = weeks(5)
    values[-ago:] *= 2
    (shift,) = find_shifts(panel(values))
    assert abs(840 - shift.column - ago) <= 2
    assert shift.after / shift.before == pytest.approx(2, rel=0.05)
    mended, _ = follow_shifts(panel(values))
    np.testing.assert_allclose(mended.values[0, :300].mean(), 2 * values[:300].mean(), rtol=0.1)


def test_level_shift_is_told() -> None:
    """The forecast says when the level shifted and what that means, and is at the new level."""
    values = np.tile(50 + 10 * np.sin(np.arange(24) / 24 * 2 * np.pi), 28)
    values[-72:] += 100
    done = forecast(frame(values), 24, models=("seasonal_naive",), n_paths=0)
    assert done.notes.to_dict("records") == [{"unique_id": "s", "note": (
        "level shift at 2026-11-26T00:00:00Z, from 50 to 150 at the same times: what came before is brought to the new "
        "level")}]
    assert done.quantiles["q0.5"].mean() == pytest.approx(150, rel=0.02)


@pytest.mark.parametrize("kind", ["growth", "noise", "one day", "ended", "weekend"])
def test_what_is_no_level_shift_is_left(kind: str) -> None:
    """Steady growth, noise, a single odd day, an end of demand and a weekend are no shift of level."""
    values = weeks(5)
    if kind == "growth":
        values *= np.linspace(1, 2, values.size)
    if kind == "one day":
        values[-40:-16] *= 3
    if kind == "ended":
        values[-60:] = 0
    if kind == "weekend":
        values = values[: -168 + 24] * (1 - 0.8 * ((np.arange(values.size - 144) // 24) % 7 >= 5))
    assert find_shifts(panel(values)) == []


def test_shifts_of_weekly_points_are_not_looked_for() -> None:
    """Points a week apart have no day of a week before."""
    points = History("s", np.datetime64("2026-10-05", "ns"), np.timedelta64(7, "D"), np.arange(1.0, 99.0))
    assert find_shifts(make_panel([points])) == []


def test_shift_of_daily_points() -> None:
    """Days are looked at as days: three that are four times what they were."""
    values = np.tile([100.0, 110, 105, 120, 115, 60, 50], 6)
    values[-3:] *= 4
    one = make_panel([History("s", np.datetime64("2026-10-05", "ns"), np.timedelta64(1, "D"), values)])
    (shift,) = find_shifts(one)
    assert shift.column == 39
    assert describe(one, shift).startswith("level shift at 2026-11-13T00:00:00Z, from 75 to 300 at the same times")


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.lists(st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.just(float("nan")), st.floats(0, 100)),
                min_size=1, max_size=120))
def test_every_series_is_accepted_or_refused_and_never_raises(values: list[float]) -> None:
    """Whatever numbers come, a series is clean afterwards or refused with a reason."""
    checked = check(frame(values), 5)
    assert len(checked.series) + len(checked.refused) == 1
    for one in checked.series:
        assert np.isfinite(one.values).all()
        assert one.values.min() >= 0
