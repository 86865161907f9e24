"""Thresholds keep their budget on calm data that they were not set on."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.budgets import discoveries, out_of_fold, set_threshold


@pytest.mark.parametrize("share", [0.05, 0.01, 1e-3, 1e-4])
@pytest.mark.parametrize("draw", ["normal", "exponential", "heavy"])
def test_calm_days_stay_near_the_budget(share: float, draw: str) -> None:
    """New calm scores exceed the threshold about as often as stated; far beyond what was seen, at most that often."""
    generator = np.random.default_rng(4)
    drawn = {"normal": generator.normal, "exponential": generator.exponential,
             "heavy": lambda size: generator.standard_t(4, size=size)}[draw]
    threshold = set_threshold(drawn(size=5000), share, 1440)
    exceeded = (drawn(size=2_000_000) > threshold.value).mean()
    assert exceeded <= 2 * share
    assert exceeded >= 0.3 * share or share < 0.01
    assert threshold.alarms_per_day == pytest.approx(1440 * share)


def test_a_smaller_budget_is_a_higher_threshold() -> None:
    """Thresholds rise as the share falls, across the border between seen and fitted."""
    calm = np.random.default_rng(5).exponential(size=2000)
    values = [set_threshold(calm, share, 24).value for share in (0.1, 0.01, 0.006, 0.004, 0.001, 1e-5)]
    assert values == sorted(values)


def test_constant_scores_are_never_exceeded() -> None:
    """Scores that are all the same set the threshold at themselves, and unmeasured ones do not count."""
    calm = np.full(500, 2.0)
    calm[::5] = np.nan
    threshold = set_threshold(calm, 1e-3, 24)
    assert (threshold.value, threshold.seen_share, threshold.calm_steps) == (2.0, 0.0, 400)


def test_no_row_is_scored_by_what_learnt_from_it() -> None:
    """Every row is scored once, in order, by a model of the other rows."""
    calm = np.arange(103.0)[:, None]

    def score(learnt: np.ndarray, rows: np.ndarray) -> np.ndarray:
        assert not np.isin(rows, learnt).any()
        assert len(learnt) + len(rows) == len(calm)
        return rows[:, 0]

    assert np.array_equal(out_of_fold(calm, score), calm[:, 0])


def test_budgets_that_are_none_are_refused() -> None:
    """Shares outside 0..1, too few scores and one fold are refused by name."""
    with pytest.raises(ValueError, match="share"):
        set_threshold(np.arange(200.0), 0.0, 24)
    with pytest.raises(ValueError, match="99 scores"):
        set_threshold(np.arange(99.0), 0.1, 24)
    with pytest.raises(ValueError, match="folds"):
        out_of_fold(np.zeros((10, 1)), lambda _, rows: rows[:, 0], folds=1)


@given(st.integers(1, 6).flatmap(lambda tests: st.lists(st.tuples(
    st.one_of(st.floats(0, 1), st.sampled_from([1e-6, 1e-3, float("nan")])), st.sampled_from([0.0, 0.1, 1.0, 24.0])),
    min_size=tests, max_size=tests)), st.sampled_from([1e-4, 0.05, 0.5]))
def test_discoveries_are_those_of_the_definition(tests: list[tuple[float, float]], rate: float) -> None:
    """The largest k for which k chances lie below k shares of the rate, and those chances, counted out by hand."""
    chance, weight = np.array([c for c, _ in tests]), np.array([w for _, w in tests])
    scaled = [c / w if w > 0 and not np.isnan(c) else math.inf for c, w in tests]
    fits = [k for k in range(1, len(tests) + 1) if sum(s < rate * k / len(tests) for s in scaled) >= k]
    expected = [s < rate * max(fits, default=0) / len(tests) for s in scaled]
    assert discoveries(chance[:, None], rate, weight)[:, 0].tolist() == expected


def test_calm_steps_have_news_no_more_often_than_the_rate() -> None:
    """With ten calm metrics a step has news as often as stated, and where four are ill all four are found together."""
    chance = np.random.default_rng(2).random((10, 200_000))
    assert discoveries(chance, 0.01, np.ones(10)).any(axis=0).mean() == pytest.approx(0.01, rel=0.1)
    ill = np.full((10, 1), 0.5)
    ill[:4] = 0.0035  # too likely for a tenth of the rate, not for four tenths
    assert discoveries(ill, 0.01, np.ones(10))[:, 0].tolist() == [True] * 4 + [False] * 6


def test_rates_and_weights_that_are_none_are_refused() -> None:
    """A rate outside 0..1 and a weight below 0 are refused by name."""
    with pytest.raises(ValueError, match="rate"):
        discoveries(np.zeros((1, 1)), 0.0, np.ones(1))
    with pytest.raises(ValueError, match="weight"):
        discoveries(np.zeros((1, 1)), 0.1, np.full(1, -0.1))
