"""Weights of models and calibration of their average, both learned on past origins."""

from __future__ import annotations

import numpy as np
import pytest

from forecasting.combining import combine, learn_weights
from forecasting.conformal import calibrate, learn_widths, normal_factors, uncalibrated, widen
from forecasting.panel import LEVELS

ORIGINS, SERIES, HORIZON = 4, 80, 24
THREE = np.array(LEVELS)
OUT = 1.959963984540054
"""Standard deviations from the middle to low and high."""


def spread(middle: np.ndarray, width: float) -> np.ndarray:
    """Low, middle and high of normal errors of this width."""
    return middle[..., None] + width * np.array([-OUT, 0.0, OUT])


def truth_around(middle: np.ndarray, width: float, seed: int) -> np.ndarray:
    return middle + np.random.default_rng(seed).normal(0, width, middle.shape)


@pytest.fixture
def middle() -> np.ndarray:
    return 50 + 20 * np.random.default_rng(1).random((ORIGINS, SERIES, HORIZON))


def test_a_model_that_knows_gets_the_weight(middle: np.ndarray) -> None:
    """Beside one that is off by ten, the one that is right gets nearly all of it."""
    truth = truth_around(middle, 2.0, 2)
    said = np.stack([spread(middle + 10, 2.0), spread(middle, 2.0)])
    weights = learn_weights(truth, said, THREE, np.ones(SERIES))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert weights[:, 1].min() > 0.95


def test_errors_that_cancel_are_averaged(middle: np.ndarray) -> None:
    """Two models that err by as much to either side are taken half and half, and lose less than each alone."""
    truth = truth_around(middle, 1.0, 3)
    said = np.stack([spread(middle + 5, 1.0), spread(middle - 5, 1.0)])
    weights = learn_weights(truth, said, THREE, np.ones(SERIES))
    assert 0.4 < weights.mean(axis=0)[0] < 0.6
    mixed = combine(said[:, 0], weights)
    assert np.abs(mixed[..., 1] - truth[0]).mean() < 0.5 * np.abs(said[0, 0, ..., 1] - truth[0]).mean()


def test_a_series_leans_to_what_does_well_on_it(middle: np.ndarray) -> None:
    """Where one model knows half of the series and another the other half, weights differ by series."""
    truth = truth_around(middle, 1.0, 4)
    off = np.where(np.arange(SERIES) < SERIES // 2, 0.0, 15.0)[None, :, None]
    said = np.stack([spread(middle + off, 1.0), spread(middle + 15 - off, 1.0)])
    weights = learn_weights(truth, said, THREE, np.ones(SERIES))
    assert weights[: SERIES // 2, 0].mean() > 0.8
    assert weights[SERIES // 2 :, 1].mean() > 0.8


def test_a_model_that_cannot_say_has_no_weight(middle: np.ndarray) -> None:
    """One that is silent on a series gets nothing there, however good it is elsewhere."""
    truth = truth_around(middle, 2.0, 5)
    said = np.stack([spread(middle + 4, 2.0), spread(middle, 2.0)])
    said[1, 0, 3] = np.nan
    weights = learn_weights(truth, said, THREE, np.ones(SERIES))
    assert weights[3].tolist() == [1.0, 0.0]
    assert weights[4, 1] > 0.5


@pytest.mark.parametrize("width", [0.5, 1.0, 3.0])
def test_calibrated_quantiles_cover_what_they_say(middle: np.ndarray, width: float) -> None:
    """Whether models say too narrow, right or too wide: over new draws, each level covers its share."""
    levels = np.array([0.025, 0.1, 0.5, 0.9, 0.975, 0.99])
    unit, level = np.full(SERIES, 5.0), np.full(SERIES, 60.0)
    learned = calibrate(truth_around(middle, 2.0, 6), spread(middle, 2.0 * width), levels, unit, level)
    said = learned.quantiles(spread(middle[0], 2.0 * width), unit, level)
    new = np.stack([truth_around(middle[0], 2.0, seed) for seed in range(100, 130)])
    covered = (new[..., None] <= said).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(covered, levels, atol=0.02)
    assert (np.diff(said, axis=-1) >= 0).all()


def test_series_that_are_off_together_are_said_wider(middle: np.ndarray) -> None:
    """Where each origin has a shift of its own, new ones are covered better than by quantiles of the past ones."""
    levels, draws = np.array([0.1, 0.5, 0.9]), np.random.default_rng(1)
    unit, level, said = np.full(SERIES, 5.0), np.full(SERIES, 60.0), spread(middle, 2.0)
    within, past_within = [], []
    for seed in range(40):
        truth = truth_around(middle, 2.0, seed) + draws.normal(0, 2.0, (len(middle), 1, 1))
        new = truth_around(middle[0], 2.0, 100 + seed) + draws.normal(0, 2.0)
        found = calibrate(truth, said, levels, unit, level).quantiles(said[0], unit, level)
        low, high = np.quantile(truth - middle, [0.1, 0.9])
        within.append(((found[..., 0] <= new) & (new <= found[..., 2])).mean())
        past_within.append(((low <= new - middle[0]) & (new - middle[0] <= high)).mean())
    assert np.mean(past_within) + 0.02 < np.mean(within) < 0.86


def test_few_points_say_little() -> None:
    """From one origin of three steps, the 0.99 quantile stays near that of a normal distribution."""
    truth = np.array([[[10.0, 10.0, 10.0]]])
    learned = calibrate(truth, spread(truth, 1.0), np.array([0.5, 0.99]), np.ones(1), np.ones(1))
    np.testing.assert_allclose(learned.factors[..., 1], normal_factors(np.array([0.99]))[0], rtol=0.05)


def test_without_a_past_quantiles_are_normal() -> None:
    """Nothing held back: low, middle and high stay what they are, and 0.99 lies 1.19 times as far out as high."""
    said = uncalibrated(np.array([0.025, 0.5, 0.975, 0.99]), 3).quantiles(
        np.array([[[8.0, 10.0, 12.0]] * 3]), np.ones(1), np.full(1, 10.0))
    np.testing.assert_allclose(said[0, 0], [8.0, 10.0, 12.0, 10 + 2 * 2.3263478740408408 / OUT])


def test_the_middle_stays_where_it_is(middle: np.ndarray) -> None:
    """Truth that lay above the middle at every origin widens what lies above, and moves the middle nowhere."""
    said = spread(middle, 2.0)
    learned = calibrate(middle + 3.0, said, np.array([0.5, 0.9]), np.ones(SERIES), np.full(SERIES, 60.0))
    np.testing.assert_allclose(learned.quantiles(said[0], np.ones(SERIES), np.full(SERIES, 60.0))[..., 0], middle[0])


def test_a_series_that_was_off_by_more_is_said_wider(middle: np.ndarray) -> None:
    """Half of the series err three times as much as said of all: their spreads grow, those of the others shrink."""
    wild = np.arange(SERIES) < SERIES // 2
    noise = np.random.default_rng(9).normal(0, 1.0, middle.shape)
    truth, said = middle + noise * np.where(wild, 3.0, 1.0)[None, :, None], spread(middle, 2.0)
    widths, without = learn_widths(truth, said, np.ones(SERIES))
    assert widths[wild].min() > 1 > widths[~wild].max()
    assert without.shape == (ORIGINS, SERIES)
    wide = widen(said[0], np.ones(SERIES), widths)
    np.testing.assert_array_equal(wide[..., 1], said[0, ..., 1])
    np.testing.assert_allclose(np.diff(wide, axis=2), widths[:, None, None] * np.diff(said[0], axis=2))


def test_the_width_for_an_origin_does_not_know_what_came_after_it(middle: np.ndarray) -> None:
    """Whatever came after the last origin, the width that it is judged with moves by what others share at most."""
    truth, said = truth_around(middle, 1.0, 10), spread(middle, 1.0)
    wild = truth.copy()
    wild[-1, 0] += 100.0
    (calm, calm_without), (own, without) = (learn_widths(one, said, np.ones(SERIES)) for one in (truth, wild))
    assert own[0] > 1.1 * calm[0]
    np.testing.assert_allclose(without[-1, 0], calm_without[-1, 0], rtol=0.02)


def test_series_of_which_nothing_came_are_as_wide_as_said(middle: np.ndarray) -> None:
    """Without a truth there is nothing to learn: the width is 1."""
    truth = truth_around(middle, 1.0, 11)
    truth[:, 3] = np.nan
    widths, without = learn_widths(truth, spread(middle, 1.0), np.ones(SERIES))
    assert widths[3] == 1.0
    np.testing.assert_array_equal(without[:, 3], 1.0)
