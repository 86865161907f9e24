"""What the search pays for a pool's machines is the least that any level of fixed machines comes to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.payment import Purse, _level_cost, pool_cost

SLOTS, MOST = 6, 40


def random_purse(rng: np.random.Generator, *, spot: bool) -> Purse:
    """One pool that has fixed machines in two steps, on demand, and maybe spot machines."""
    def over_time(values: np.ndarray) -> np.ndarray:
        return values[None]

    steps = np.sort(rng.uniform(1, 6, 2))[None]
    return Purse(
        np.array([int(rng.integers(0, 4))]), np.array([7.0]), steps, rng.integers(1, MOST // 2, (1, 2)),
        np.full((1, SLOTS), MOST), over_time(rng.uniform(0.2, 2, SLOTS)), over_time(rng.integers(5, MOST, SLOTS)),
        over_time(np.full(SLOTS, rng.uniform(0.1, 2) if spot else np.inf)),
        over_time(rng.integers(1, 9, SLOTS) if spot else np.zeros(SLOTS, np.int64)),
        over_time(rng.integers(5, MOST, SLOTS)), over_time(rng.integers(0, 3, SLOTS)),
        over_time(rng.uniform(0, 1, SLOTS)), np.array([spot]),
    )  # fmt: skip


@given(seed=st.integers(0, 10_000), spot=st.booleans(), start=st.integers(0, MOST))
@settings(deadline=None, max_examples=200, derandomize=True)
def test_the_level_found_is_the_cheapest_wherever_the_search_for_it_begins(seed: int, spot: bool, start: int) -> None:
    """From every start the cost found is that of the cheapest level, and the level found reaches it."""
    rng = np.random.default_rng(seed)
    purse = random_purse(rng, spot=spot)
    every = rng.integers(0, MOST, SLOTS)
    firm = np.minimum(every, rng.integers(0, MOST, SLOTS)) if spot else every
    held, peak = int(purse.held[0]), max(int(every.max()), int(purse.pool_min.max()))
    levels = range(held, max(held, min(held + int(purse.step_max.sum()), peak)) + 1)
    usd, level = pool_cost(purse, 0, start, firm, every)
    assert usd == pytest.approx(min(_level_cost(purse, 0, one, firm, every) for one in levels))
    assert usd == pytest.approx(_level_cost(purse, 0, level, firm, every))
