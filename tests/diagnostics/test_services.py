"""Which service is to blame: by its own burden, not by how loud it is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.causes.services import ServiceWindow, suspects
from diagnostics.causes.shifts import SHIFTS, mean_rank, shift_scores

CALLEES = {"shop": ("search", "pay"), "search": ("db", "cache"), "pay": ("db", "bank")}
NAMES = ("shop", "search", "pay", "db", "cache", "bank")
USUAL = {"shop": 0.10, "search": 0.05, "pay": 0.06, "db": 0.01, "cache": 0.002, "bank": 0.03}
CALLS = {"shop": 100, "search": 100, "pay": 100, "db": 200, "cache": 100, "bank": 100}


def waited(name: str, cause: str, delay_s: float) -> float:
    """Seconds a call that a service adds: its own, and those of all it calls."""
    return delay_s * (name == cause) + sum(waited(callee, cause, delay_s) for callee in CALLEES.get(name, ()))


def window(cause: str, seed: int = 1, delay_s: float = 0.2) -> ServiceWindow:
    """A fault at one service that all of its callers feel, the nearer the louder."""
    generator = np.random.default_rng(seed)
    level = np.array([USUAL[name] for name in NAMES])[:, None]
    before = level * (1 + 0.05 * generator.normal(size=(len(NAMES), 300)))
    now = level * (1 + 0.05 * generator.normal(size=(len(NAMES), 4)))
    now += np.array([waited(name, cause, delay_s) for name in NAMES])[:, None]
    calls = np.repeat(np.array([[CALLS[name]] for name in NAMES], dtype=float), 4, axis=1)
    return ServiceWindow(NAMES, before, now, calls, "shop", CALLEES)


@pytest.mark.parametrize("cause", NAMES)
def test_the_service_that_is_slow_by_itself_comes_first(cause: str) -> None:
    """Callers that only wait stand below what they wait for."""
    first, *rest = suspects(window(cause))
    assert first.service == cause
    assert first.own > 10 * max(one.own for one in rest)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), cause=st.sampled_from(NAMES), graph=st.booleans())
def test_the_order_of_services_makes_no_difference(seed: int, cause: str, graph: bool) -> None:
    """Permuted services give the same ranking with the same figures."""
    one = replace(window(cause, seed % 5), callees=CALLEES if graph else None)
    order = np.random.default_rng(seed).permutation(len(NAMES))
    other = replace(one, services=tuple(NAMES[i] for i in order), before=one.before[order], now=one.now[order],
                    calls=one.calls[order])
    assert suspects(other) == suspects(one)


def test_equal_services_stand_by_name() -> None:
    """Ties never hang on the order of columns."""
    flat = ServiceWindow(("b", "a", "c"), np.ones((3, 9)), np.ones((3, 2)), np.ones((3, 2)), "a")
    assert [one.service for one in suspects(flat)] == ["a", "b", "c"]


def test_what_the_target_never_reaches_is_no_suspect() -> None:
    """A loud service outside the target's call graph is left out."""
    one = window("db")
    other = replace(one, target="pay")
    assert {suspect.service for suspect in suspects(other)} == {"pay", "db", "bank"}


def test_a_callee_that_was_never_called_before_is_not_to_blame() -> None:
    """Who began to call something that fails is the cause."""
    one = window("search")
    before, now = one.before.copy(), one.now.copy()
    before[NAMES.index("cache")] = np.nan
    now[NAMES.index("cache")] = 9.0
    first, *_ = suspects(replace(one, before=before, now=now))
    assert first.service == "search"


def test_wrong_windows_are_refused() -> None:
    """Unknown targets, doubled names and shapes that differ are named."""
    one = window("db")
    with pytest.raises(ValueError, match="target: 'x'"):
        replace(one, target="x")
    with pytest.raises(ValueError, match="every name once"):
        replace(one, services=("shop",) * 6)
    with pytest.raises(ValueError, match="before, now, calls"):
        replace(one, calls=np.ones((6, 1)))


@pytest.mark.parametrize("shift", SHIFTS.values(), ids=SHIFTS)
def test_every_score_is_0_for_no_change_and_grows_with_it(shift: object) -> None:
    """No change scores (nearly) nothing, a larger one never less than a smaller."""
    before = np.linspace(0, 1, 101)
    assert shift(before, before) <= 2
    assert shift(np.full(9, 3.0), np.full(4, 3.0)) == 0
    assert shift(before, before + 5) >= shift(before, before + 0.5) > 0


def test_ranks_are_shared_by_equal_scores() -> None:
    """Equal metrics share their mean rank; one that is not measured scores 0."""
    scores = shift_scores(np.ones((3, 5)), np.array([[1.0, 2], [1, 2], [np.nan, np.nan]]))
    fused = mean_rank(scores)
    assert fused[0] == fused[1] > fused[2]
