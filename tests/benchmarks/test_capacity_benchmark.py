"""The capacity benchmark: limits know nothing of what comes, and hits are counted as its page says."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.capacity import figures
from benchmarks.capacity_data import Case, cases_of
from benchmarks.capacity_methods import METHODS, Said

INF = float("inf")


def case(reached: int, hours: int = 48) -> Case:
    ahead = np.zeros(hours)
    ahead[reached - 1 :] = 2.0 if reached else 0.0
    return Case("s", np.ones(240), 1.0, ahead)


def test_limits_do_not_know_what_comes() -> None:
    """The same cut gives the same limits, whatever follows it."""
    values = 50 + np.random.default_rng(3).normal(0, 10, 24 * 28)
    changed = np.concatenate([values[: 24 * 21], 100 * values[24 * 21 :]])
    one, two = (cases_of({"s": trace}) for trace in (values, changed))
    before = [(len(a.past), a.limit) for a in one if len(a.past) <= 24 * 21]
    assert before == [(len(a.past), a.limit) for a in two if len(a.past) <= 24 * 21]
    assert before


def test_hits_are_counted_as_the_page_says() -> None:
    """Of four cases: one inside, one early, one late, and one never passed with an open interval."""
    cases = [case(10), case(3), case(40), case(0)]
    said = [Said((5.0, 10.0, 20.0), (0.4, 0.6)), Said((5.0, 10.0, 20.0), (0.0, 0.05)),
            Said((5.0, 10.0, 20.0), (0.95, 0.96)), Said((30.0, INF, INF), (0.2, 0.2))]
    found = figures(cases, said)
    assert found["passed"] == 0.75
    assert found["interval_hit"] == pytest.approx(1 / 3)
    assert found["early"] == found["late"] == pytest.approx(1 / 3)
    assert found["interval_hit_all"] == 0.5
    assert found["calibrated_hit"] == pytest.approx((1 + 0 + 0 + 0.7 / 0.8) / 4)


def test_a_horizon_that_ends_first_moves_what_a_right_method_hits() -> None:
    """Chances of 1, 1/2 and 1/5 to pass by the end leave 0.8, 0.4 and 0.1 in the interval: of 1.7 passed, 1.3 hits."""
    said = [Said((5.0, 10.0, INF), (0.4, 0.6), by_end) for by_end in (1.0, 0.5, 0.2)]
    assert figures([case(10)] * 3, said)["expected_hit"] == pytest.approx(1.3 / 1.7)
    without = [Said((5.0, 10.0, INF))] * 3
    assert "expected_hit" not in figures([case(10)] * 3, without)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers_in_order(method: str) -> None:
    """P10 is never after P50, nor P50 after P90, and the same seed gives the same answer."""
    cases = cases_of({"s": 50 + np.cumsum(np.random.default_rng(1).normal(0.02, 0.3, 24 * 28)).clip(-40)})
    cut = [one for one in cases if len(one.past) == len(cases[-1].past)]
    said = METHODS[method](cut, 1)
    assert said == METHODS[method](cut, 1)
    assert all(one.hours[0] <= one.hours[1] <= one.hours[2] for one in said)
