"""Likeness of tasks: fields that tell are found, intervals hold, quantiles are in order, little evidence is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.profiles.similar import (
    Past,
    bucket_of,
    conformal_interval,
    distances,
    evidence,
    guess,
    learn_weights,
    likeness,
    widened,
)


def past_of(features: list[dict[str, float | str]], application: list[int] | None = None) -> Past:
    codes = list(range(len(features))) if application is None else application
    return Past(tuple(features), np.array(codes, np.int64), np.ones(len(features)))


def left_out(past: Past, weights: np.ndarray) -> np.ndarray:
    alike = likeness(weights, distances(past.features, past.features))
    return np.where(past.application[:, None] == past.application, 0.0, alike)


def test_the_field_that_tells_gets_weight_and_noise_gets_none() -> None:
    """Of a role that decides the size and a random number, only the role is kept."""
    rng = np.random.default_rng(1)
    roles = rng.integers(0, 2, 40)
    past = past_of([{"role": "ab"[r], "noise": float(rng.normal())} for r in roles])
    weights = learn_weights(distances(past.features, past.features), past, roles)
    noise, role = weights
    assert role >= 1
    assert noise == 0


def test_a_conformal_interval_holds_what_it_says() -> None:
    """Over many draws the 80 % interval of a new application holds its amount 75 to 92 % of the time."""
    rng = np.random.default_rng(2)
    held = []
    for _ in range(150):
        x, noise = rng.uniform(0, 6, 31), rng.standard_t(3, 31)
        past = past_of([{"x": float(value)} for value in x[:30]])
        amount = x[:30] + noise[:30]
        alike = likeness(np.ones(1), distances([{"x": float(x[30])}], past.features))
        found = guess(alike, past, amount, None, 0.0)
        calibration = guess(left_out(past, np.ones(1)), past, amount, None, 0.0)
        interval = conformal_interval(found, calibration, amount, past, 0.8)
        assert interval.level == 0.8
        held.append(interval.low[0] <= x[30] + noise[30] <= interval.high[0])
    assert 0.75 <= np.mean(held) <= 0.92


def test_too_few_applications_leave_an_interval_uncalibrated() -> None:
    """With three applications no 80 % can be promised, and none is."""
    past = past_of([{"x": 1.0}, {"x": 1.1}, {"x": 0.9}])
    amount = np.array([1.0, 2.0, 3.0])
    found = guess(left_out(past, np.ones(1)), past, amount, None, 0.0)
    assert conformal_interval(found, found, amount, past, 0.8).level is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-20, 20), st.floats(0, 1)), min_size=1, max_size=30), st.booleans())
def test_quantiles_rise_with_their_level(tasks: list[tuple[float, float]], formula: bool) -> None:
    """Whatever past tasks say, a higher level is never a smaller amount, and the mass is all counted."""
    past = past_of([{} for _ in tasks])
    amount, alike = np.array([value for value, _ in tasks]), np.array([[like for _, like in tasks]])
    found = guess(alike + 1e-9, past, amount, np.linspace(-2, 2, 9) if formula else None, 2.0)
    levels = [float(found.quantile(level)[0]) for level in (0.05, 0.1, 0.5, 0.9, 0.95)]
    assert levels == sorted(levels)
    assert found.evidence[0] <= len(tasks) + 1e-6


def test_runs_of_one_application_are_one_piece_of_evidence() -> None:
    """A thousand runs of one application are no more evidence than its closest run."""
    assert evidence(np.full((1, 1000), 0.9), np.zeros(1000, np.int64))[0] == pytest.approx(0.9)


def test_one_looks_further_off_only_where_little_is_near() -> None:
    """Similarities stay where they suffice, rise where they do not, and far from everything they stay small."""
    codes = np.arange(3)
    alike = np.exp(-np.array([[0.1, 0.1, 0.1], [0.7, 0.7, 0.7], [40.0, 40.0, 40.0]]))
    wide = widened(alike, codes, 2.0)
    assert (wide[0] == alike[0]).all()
    assert wide[1].sum() >= 2 > alike[1].sum()
    assert (wide[2] == alike[2]).all()


def test_texts_about_the_same_are_nearer_than_others() -> None:
    """Claims are nearer to claims than to clicks; a task without words is equally far from all."""
    past = [{"words": "transform hospital claims"}, {"words": "count web clicks"}]
    near, far = distances([{"words": "nightly claims of hospitals"}], past)[0, 0]
    assert near < far
    assert len(set(distances([{}], past)[0, 0])) == 1


def test_buckets_are_powers_of_two_that_include_their_top() -> None:
    """48 vCPU are within 64, 64 too, and less than one counts as one."""
    assert bucket_of(np.log2([48.0, 64.0, 65.0, 0.3])).tolist() == [6, 6, 7, 0]
