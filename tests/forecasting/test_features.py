"""What models pooled over series are told of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.features import make_table
from forecasting.history import History
from forecasting.panel import Panel, make_panel

START, HOUR = np.datetime64("2026-10-01T00:00:00", "ns"), np.timedelta64(3_600_000_000_000, "ns")


def panel(*series: np.ndarray) -> Panel:
    return make_panel([History(f"s{i}", START, HOUR, values) for i, values in enumerate(series)])


def wave(hours: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 2, hours)
    return np.maximum(50 + 30 * np.sin(2 * np.pi * np.arange(hours) / 24) + noise, 0)


@settings(deadline=None, max_examples=20, derandomize=True)
@given(st.integers(50, 500), st.integers(1, 48), st.integers(0, 99))
def test_nothing_after_the_origin_is_read(origin: int, step: int, seed: int) -> None:
    """Whatever comes at the origin and after it, the row is the same."""
    known = wave(600, seed)
    other = known.copy()
    other[origin:] = np.random.default_rng(seed).uniform(0, 1e4, 600 - origin)
    tables = [make_table(panel(one), np.array([0]), np.array([origin]), np.array([[step]])) for one in (known, other)]
    np.testing.assert_array_equal(tables[0].rows, tables[1].rows)
    assert tables[0].base == tables[1].base
    assert tables[0].scale == tables[1].scale


def test_a_unit_does_not_matter() -> None:
    """Rows of a series told in bytes are those of the same series in gigabytes."""
    values, steps = wave(400, 1), np.arange(1, 49)[None]
    small, large = (make_table(panel(values * unit), np.array([0]), np.array([400]), steps) for unit in (1.0, 2.0**30))
    np.testing.assert_allclose(large.rows, small.rows, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(large.base, small.base * 2.0**30)


def test_what_lies_before_the_begin_is_missing() -> None:
    """A series of three days has no week before, and says so; nothing else of it is missing that is there."""
    rows = make_table(panel(wave(72, 1), wave(900, 2)), np.array([0, 1]), np.array([900, 900]),
                      np.array([[5], [5]])).rows
    assert np.isnan(rows[0]).any()
    assert not np.isnan(rows[1]).any()
    assert np.isfinite(rows[0, :2]).all()


def test_the_base_is_the_same_time_of_the_last_day() -> None:
    """Step 1 looks back 24 hours, step 25 looks back 48 of its own: the last day that is known at the origin."""
    values = np.arange(100.0)
    table = make_table(panel(values), np.array([0]), np.array([100]), np.array([[1, 24, 25, 48]]))
    assert table.base.tolist() == [76.0, 99.0, 76.0, 99.0]


def test_a_panel_cut_off_is_what_was_known_then() -> None:
    """30 hours ago a series of 25 hours had not begun, and another ended 30 values earlier."""
    both = panel(wave(25, 1), wave(100, 2))
    then = both.before(30)
    assert then.ids == ("s1",)
    np.testing.assert_array_equal(then.history(0).values, wave(100, 2)[:70])
    assert then.history(0).start == START


def test_series_of_several_steps_make_no_panel() -> None:
    """A panel has one step."""
    with pytest.raises(ValueError, match="2 series with 2 different steps"):
        make_panel([History("a", START, HOUR, wave(50, 1)), History("b", START, 2 * HOUR, wave(50, 1))])
