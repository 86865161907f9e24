"""When a limit is first passed: dates from whole paths, peaks held against the past."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import History
from forecasting.exhaustion import Stretch, date_quantiles, first_passage, learn_stretch, peak_paths
from forecasting.panel import Panel, make_panel

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2026-01-05T00:00:00")


def panel(series: int = 8, days: int = 42, jumps: float = 0.0) -> Panel:
    """Days of office hours; with `jumps`, every day has a peak of its own."""
    rows = []
    for i in range(series):
        rng = np.random.default_rng(i)
        shape = 50 + 40 * np.sin(2 * np.pi * np.arange(24 * days) / 24) + rng.normal(0, 2, 24 * days)
        level = np.repeat(np.exp(rng.normal(0, jumps, days)), 24)
        rows.append(History(f"s{i}", START, HOUR, np.maximum(shape * level, 0)))
    return make_panel(rows)


def paths(given: Panel, hours: int) -> np.ndarray:
    return np.concatenate(list(peak_paths(given, hours, 200, 3)), axis=2)


def test_first_passage_is_that_of_each_path() -> None:
    """The first step above the limit counts, from 1; to touch it is not to pass it."""
    steps = first_passage(np.array([[1.0, 3.0, 2.0, 5.0], [1.0, 2.0, 2.0, 2.0], [9.0, 0.0, 0.0, 0.0]]), 2.0)
    assert steps.tolist() == [2.0, np.inf, 1.0]


def test_marginal_quantiles_are_another_question() -> None:
    """Ten paths that each peak at another hour all pass the limit, though no hour is high on half of them."""
    each = np.eye(10) * 5
    assert date_quantiles(first_passage(each, 1.0), (0.5,))[0] == 5
    assert np.isinf(first_passage(np.quantile(each, [0.5], axis=0), 1.0))[0]


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(1, 100).map(float), st.just(float("inf"))), min_size=1, max_size=50))
def test_dates_rise_with_their_level(steps: list[float]) -> None:
    """P10 is never after P50, nor P50 after P90; each is the least step by which that share has passed."""
    low, middle, high = date_quantiles(np.array(steps), (0.1, 0.5, 0.9))
    assert low <= middle <= high
    assert np.mean(np.array(steps) <= middle) >= 0.5
    assert np.mean(np.array(steps) < middle) < 0.5


def test_higher_limits_are_passed_later() -> None:
    """On the same paths no limit is passed before a lower one."""
    drawn = paths(panel(1), 24 * 20)[0]
    dates = [date_quantiles(first_passage(drawn, limit), (0.1, 0.5, 0.9)) for limit in (80.0, 90.0, 95.0, 100.0)]
    assert all((one <= two).all() for one, two in pairwise(dates))


def test_peaks_are_stretched_where_the_past_was_wilder() -> None:
    """Calm series are left about as they are, and calibrated scores rise with the score."""
    calm = learn_stretch(panel(40), 24 * 7, 0)
    assert (np.diff(calm.came) >= 0).all()
    assert np.abs(calm(np.array([0.0]))).max() < 1.5
    wild = Stretch(np.array([-1.0, 0.0, 1.0]), np.array([-1.0, 0.5, 3.0]))
    assert wild(np.array([-2.0, 0.0, 2.0])).tolist() == [-2.0, 0.5, 4.0]


def test_half_of_new_maxima_lie_above_the_middle() -> None:
    """Over many series, maxima of the next week lie where the paths have them: between P10 and P90 most of the time."""
    whole = panel(60, days=49, jumps=0.15)
    drawn = paths(whole.before(24 * 7), 24 * 7).max(axis=2)
    came = whole.values[:, -24 * 7 :].max(axis=1)
    low, high = np.quantile(drawn, (0.1, 0.9), axis=1)
    assert 0.65 <= np.mean((came >= low) & (came <= high)) <= 0.95


def test_a_week_of_history_is_enough_and_nothing_is_learnt_from_it() -> None:
    """Where no past origin has a week before it, paths stay as they are."""
    few = panel(2, days=7)
    assert np.array_equal(learn_stretch(few, 24 * 30, 0).came, np.array([-1.0, 1.0]))
    assert np.isfinite(paths(few, 24 * 30)).all()
