"""What models are set side by side by: losses at one budget of false alarms, whatever threshold a model came with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta

from diagnostics.training.exam import FEWEST_ABOVE, Exam, make_exam, take
from diagnostics.training.features import Scenario
from diagnostics.training.model import Candidate, FitSettings, HealthModel, Measured, fit, threshold_of
from diagnostics.training.rows import Rows

BUDGET = 0.1
"""False alarms a host and day."""


@pytest.fixture(scope="module")
def model(linear: Rows) -> HealthModel:
    """Fitted to the first days, without knowing b, which matters most: it misses some."""
    candidate = Candidate("some", ("a",), "none", "none", "linear_then_boosting")
    calibrate = Measured(linear.between(8 * 24, 10 * 24), 0)
    return fit(candidate, ["health"], linear.between(0, 8 * 24), calibrate, FitSettings(20, 4_000, BUDGET, 0))


@pytest.fixture(scope="module")
def exam(linear: Rows) -> Exam:
    """The last days, with faults and a scenario of each sort."""
    scenarios = {name: Scenario(expect=expect, multiply={"health": factor}, hosts=0.5, hours=12)
                 for name, expect, factor in (("slow", "fault", 1.2), ("same", "calm", 1.0))}  # fmt: skip
    return make_exam(Measured(linear.between(9 * 24, 14 * 24), 24), ["health"], scenarios, {}, 0, BUDGET)


def test_the_fewest_rows_above_a_threshold_follow_from_a_rule() -> None:
    """The least count at which the share of further rows above is within a factor of two of the one that is meant, with
    95 % confidence, however many rows there are.
    """

    def within(k: int, n: int) -> float:
        share = beta(k, n + 1 - k)
        return float(share.cdf(min(1.0, 2 * k / (n + 1))) - share.cdf(k / 2 / (n + 1)))

    many = [10**3, 10**5, 10**7]
    assert min(within(FEWEST_ABOVE, n) for n in [*range(FEWEST_ABOVE, 300), *many]) >= 0.95
    assert min(within(FEWEST_ABOVE - 1, n) for n in many) < 0.95


@pytest.mark.parametrize("seed", range(8))
def test_one_host_for_a_day_has_a_fault(linear: Rows, seed: int) -> None:
    """However the draw falls, there is something to miss."""
    day = Measured(linear.of([0]).between(0, 24), 0)
    assert make_exam(day, ["health"], {}, {}, seed, BUDGET).fault.any()


@pytest.mark.parametrize("threshold", [0.0, 2.0, 1e9])
def test_the_threshold_a_model_came_with_wins_and_loses_nothing(
    model: HealthModel, exam: Exam, threshold: float
) -> None:
    """Who alarms all the time misses no fault by its own threshold, and is judged like its twin otherwise."""
    plain = take(model, exam)
    twin = take(replace(model, threshold=threshold), exam)
    assert np.array_equal(twin.weights["missed_faults"], plain.weights["missed_faults"])
    if threshold == 0.0:
        assert twin.sums["missed_faults"].sum() == 0 < plain.sums["missed_faults"].sum()
        assert twin.sums["false_alarms"].sum() > 0.9 * twin.weights["false_alarms"].sum()
    for loss in ("missed_at_budget", "relative_error", "scenario/slow", "scenario/same"):
        assert np.array_equal(twin.sums[loss], plain.sums[loss]), loss


def test_the_common_threshold_keeps_the_budget_on_the_calm_rows(model: HealthModel, exam: Exam) -> None:
    """At most the budgeted share of calm rows is above it, or nine; faults are missed by block as over all."""
    scores = model.score(exam.calm.rows).score[:, exam.calm.first :]
    share = max(exam.false_alarm_share, FEWEST_ABOVE / (scores.size + 1))
    at_budget = threshold_of(scores.ravel(), share)
    assert (scores > at_budget).sum() <= max(FEWEST_ABOVE, exam.false_alarm_share * scores.size)
    found = model.score(exam.faulty).score > at_budget
    numbers = {*np.unique(exam.fault[exam.fault > 0]).tolist()}
    missed = numbers - {*np.unique(exam.fault[found]).tolist()}
    result = take(model, exam)
    assert result.sums["missed_at_budget"].sum() == len(missed) > 0
    assert result.metrics(24)["missed_at_budget"] == pytest.approx(len(missed) / len(numbers))
