"""Scalings: what is not a number stays none, what is constant is left, and back is back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from diagnostics.training.scaling import BOX_COX, NONE, SCALINGS, YEO_JOHNSON, ZSCORE

columns = arrays(np.float64, st.tuples(st.integers(3, 30), st.integers(1, 3)), elements=st.one_of(
    st.floats(-1e6, 1e6).map(lambda value: value if abs(value) > 1e-9 else 0.0), st.just(0.0), st.just(5.0),
    st.just(float("nan"))))
"""No power is undone over more orders of magnitude than a float has digits."""


@pytest.mark.parametrize("name", SCALINGS)
@settings(max_examples=60, deadline=None)
@given(values=columns)
def test_every_scaling_comes_back_and_keeps_gaps(name: str, values: np.ndarray) -> None:
    """Zeros, negative values, constants and gaps: finite where the input is, and `back` undoes `forward`."""
    before = values.copy()
    scaler = SCALINGS[name](values)
    scaled = scaler.forward(values)
    assert np.array_equal(values, before, equal_nan=True)
    assert np.array_equal(np.isnan(scaled), np.isnan(values))
    known = np.isfinite(values)
    size = max(1.0, float(np.abs(values[known]).max())) if known.any() else 1.0
    assert np.allclose(scaler.back(scaled)[known], values[known], rtol=1e-5, atol=1e-5 * size)


@pytest.mark.parametrize("name", SCALINGS)
@settings(max_examples=40, deadline=None)
@given(values=arrays(np.float64, 25, elements=st.floats(-1e4, 1e4)))
def test_every_scaling_keeps_the_order(name: str, values: np.ndarray) -> None:
    """A larger value is never scaled to a smaller one."""
    scaled = SCALINGS[name](values[:, None]).forward(np.sort(values)[:, None])[:, 0]
    assert (np.diff(scaled) >= -1e-9 * np.maximum(1, np.abs(scaled[1:]))).all()


def test_power_takes_box_cox_above_zero_and_yeo_johnson_else() -> None:
    """Positive columns by Box-Cox; with zeros or negatives by Yeo-Johnson; constants and empty ones not at all."""
    generator = np.random.default_rng(0)
    skewed = np.exp(generator.normal(0, 1, 500))
    values = np.stack([skewed, np.where(skewed < 0.5, 0, skewed), skewed - 2, np.full(500, 7.0),
                       np.full(500, np.nan), np.zeros(500)], axis=1)
    scaler = SCALINGS["power"](values)
    assert scaler.method.tolist() == [BOX_COX, YEO_JOHNSON, YEO_JOHNSON, NONE, NONE, NONE]
    assert abs(scaler.power[0]) < 0.1  # a log-normal column needs a logarithm
    scaled = scaler.forward(values)
    assert scaled[:, 0].mean() == pytest.approx(0, abs=1e-9)
    assert scaled[:, 0].std() == pytest.approx(1, abs=1e-9)
    assert (scaled[:, 3] == 7.0).all()
    assert SCALINGS["zscore"](values).method.tolist() == [ZSCORE, ZSCORE, ZSCORE, NONE, NONE, NONE]


def test_lambdas_agree_with_scipy() -> None:
    """The likeliest power is that of scipy, for both families."""
    from scipy import stats

    generator = np.random.default_rng(1)
    above = generator.gamma(2, 3, 800)
    mixed = generator.normal(1, 2, 800) ** 3
    scaler = SCALINGS["power"](np.stack([above, mixed], axis=1))
    assert scaler.power[0] == pytest.approx(stats.boxcox_normmax(above, method="mle"), abs=2e-3)
    assert scaler.power[1] == pytest.approx(stats.yeojohnson_normmax(mixed), abs=2e-3)


def test_a_value_never_seen_is_far_but_finite() -> None:
    """Zero where only positive values were learned, and a wild reading, do not break anything."""
    values = np.linspace(1, 2, 50)[:, None]
    scaled = SCALINGS["power"](values).forward(np.array([[0.0], [-5.0], [1e300]]))
    assert np.isfinite(scaled).all()
    assert scaled[0, 0] < -3
    assert scaled[2, 0] > 3
