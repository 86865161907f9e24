"""Drift by month: every pair of months, and what a drift looks like."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.months import DriftBudget, drifts_of, shape_of
from diagnostics.telemetry import Series, Telemetry

START = np.datetime64("2026-08-31T00:00", "m")


def telemetry(days: np.ndarray) -> Telemetry:
    """Hourly values with a level a day."""
    generator = np.random.default_rng(0)
    values = np.repeat(days, 24) + generator.normal(size=24 * len(days))
    return Telemetry((Series("c", "h", "cpu"),), values[None], START, 60)


def test_every_month_is_set_against_the_one_before() -> None:
    """Of five months the fourth moved: it is named, the others are calm."""
    days = np.repeat([50.0, 50.0, 50.0, 53.0, 53.0], 28)
    (drift,) = drifts_of(telemetry(days), DriftBudget())
    assert [month.drifted for month in drift.months] == [False, False, True, False]
    assert drift.months[2].start == "2026-11-23T00:00Z"
    assert not drift.drifted
    assert drift.cause is None


@pytest.mark.parametrize(
    ("days", "cause", "began"),
    [
        (np.repeat([50.0, 53.0], 28), "update", "2026-09-28"),
        (np.repeat([50.0, 53.0], [40, 16]), "update", "2026-10-10"),
        (50 + np.maximum(0, np.arange(56) - 26) * 0.2, "degradation", "2026-09-26"),
    ],
)
def test_a_drift_is_a_step_or_a_slope_that_begins_somewhere(days: np.ndarray, cause: str, began: str) -> None:
    """A level that moves at once looks like an update, one that moves day by day like wear; within two days."""
    (drift,) = drifts_of(telemetry(days), DriftBudget())
    assert drift.drifted
    assert drift.cause == cause
    assert abs(np.datetime64(str(drift.began)[:10]) - np.datetime64(began)) <= np.timedelta64(2, "D")
    assert str(drift.began)[:10] in drift.sentence


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 50), st.floats(0.5, 9), st.sampled_from([-1.0, 1.0]), st.floats(-100, 100), st.floats(0.1, 10))
def test_neither_unit_nor_zero_changes_a_shape(begin: int, size: float, way: float, zero: float, unit: float) -> None:
    """A clear step is found on its day, whatever the unit, the zero and the direction."""
    days = np.where(np.arange(56) >= begin, way * size, 0.0) + 0.01 * np.random.default_rng(1).normal(size=56)
    assert shape_of(days) == shape_of(zero + unit * days) == ("update", begin)


def test_a_month_that_gets_worse_every_day_drifts() -> None:
    """A slope is no wandering level: it does not widen the null by its own dependence."""
    days = 50 + np.maximum(0, np.arange(56) - 28) * 0.3
    (drift,) = drifts_of(telemetry(days), DriftBudget())
    assert drift.drifted


def test_without_two_months_there_is_no_verdict() -> None:
    """Fifty days say so, and half a month without values does too."""
    (short,) = drifts_of(telemetry(np.full(50, 50.0)), DriftBudget())
    holed = telemetry(np.full(56, 50.0))
    holed.values[0, : 20 * 24] = np.nan
    (blank,) = drifts_of(holed, DriftBudget())
    assert "50 days are here" in short.sentence
    assert "less than half known" in blank.sentence
    assert short.months == blank.months == ()
