"""What the search pays for a pool's machines is the least that any level of fixed machines comes to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.payment import (
    DEMAND_MAX,
    DEMAND_USD,
    FIXED_MAX,
    NO_OFFER_USD,
    POOL_MAX,
    POOL_MIN,
    RUN_USD,
    SPOT_MAX,
    SPOT_USD,
    Purse,
    best_level,
    pool_cost,
)
from placement.problem import Floats

SLOTS, MOST = 6, 40
CHECKED = settings(deadline=None, max_examples=200, derandomize=True)
SEEDS, STARTS = st.integers(0, 10_000), st.integers(0, MOST)


def random_purse(rng: np.random.Generator, *, spot: bool) -> Purse:
    """One pool that has fixed machines in two steps, on demand, and maybe spot machines."""
    by_slot = np.zeros((1, 8, SLOTS))
    by_slot[0, RUN_USD], by_slot[0, POOL_MIN] = rng.uniform(0, 1, SLOTS), rng.integers(0, 3, SLOTS)
    by_slot[0, POOL_MAX], by_slot[0, FIXED_MAX] = rng.integers(5, MOST, SLOTS), rng.integers(MOST // 2, MOST)
    by_slot[0, DEMAND_USD], by_slot[0, DEMAND_MAX] = rng.uniform(0.2, 2, SLOTS), rng.integers(5, MOST, SLOTS)
    by_slot[0, SPOT_USD] = rng.uniform(0.1, 2) if spot else NO_OFFER_USD
    by_slot[0, SPOT_MAX] = rng.integers(1, 9, SLOTS) if spot else 0
    cheap, dear = np.sort(rng.uniform(1, 6, 2))
    steps = [rng.integers(1, MOST // 2), cheap, rng.integers(1, MOST // 2), dear]
    return Purse(by_slot, np.array([[rng.integers(0, 4), 7.0, *steps]], float), np.array([spot]))


def random_machines(rng: np.random.Generator, *, spot: bool) -> tuple[Floats, Floats]:
    """Machines wanted that must not be spot, and all of them."""
    every = rng.integers(0, MOST, SLOTS).astype(float)
    return np.minimum(every, rng.integers(0, MOST, SLOTS)) if spot else every, every


def cost_of(purse: Purse, level: int, firm: Floats, every: Floats) -> float:
    """USD at a level, slot by slot and machine kind by machine kind."""
    total, extra = float(purse.sunk_usd[0]), level - int(purse.held[0])
    for most, usd in zip(purse.step_max[0], purse.step_usd[0], strict=True):
        total, extra = total + min(extra, most) * usd, extra - min(extra, most)
    for t in range(SLOTS):
        slot = purse.by_slot[0, :, t]
        wanted = max(every[t], slot[POOL_MIN])
        more = max(wanted - min(level, slot[FIXED_MAX]), 0.0)
        loose = max(firm[t] - min(level, slot[FIXED_MAX]), more - slot[SPOT_MAX], 0.0)
        if slot[DEMAND_USD] <= slot[SPOT_USD]:
            loose = max(loose, min(more, slot[DEMAND_MAX]))
        over = max(0.0, wanted - slot[POOL_MAX]) + max(0.0, loose - slot[DEMAND_MAX])
        total += wanted * slot[RUN_USD] + over * purse.over_usd + min(loose, slot[DEMAND_MAX]) * slot[DEMAND_USD]
        total += (more - loose) * slot[SPOT_USD] if more > loose else 0.0
    return total


def drawn(seed: int, *, spot: bool) -> tuple[np.random.Generator, Purse, Floats, Floats]:
    """A purse and the machines wanted of it, with what drew them."""
    rng = np.random.default_rng(seed)
    return rng, random_purse(rng, spot=spot), *random_machines(rng, spot=spot)


def levels(purse: Purse) -> range:
    """All levels of fixed machines that can be had."""
    return range(int(purse.held[0]), int(purse.held[0] + purse.step_max.sum()) + 1)


@given(seed=SEEDS, spot=st.booleans(), start=STARTS)
@CHECKED
def test_the_level_found_is_the_cheapest_wherever_the_search_for_it_begins(seed: int, spot: bool, start: int) -> None:
    """From every start the cost found is that of the cheapest level, and the level found reaches it."""
    _, purse, firm, every = drawn(seed, spot=spot)
    usd, level = pool_cost(purse, 0, start, firm, every)
    assert usd == pytest.approx(min(cost_of(purse, one, firm, every) for one in levels(purse)))
    assert usd == pytest.approx(cost_of(purse, level, firm, every))


@given(seed=SEEDS, spot=st.booleans(), start=STARTS)
@CHECKED
def test_what_was_best_for_fewer_machines_may_be_taken_for_the_least_level(seed: int, spot: bool, start: int) -> None:
    """More machines never cost less at a lower level: the search may leave out all levels below."""
    rng, purse, firm, every = drawn(seed, spot=spot)
    more, extra = random_machines(rng, spot=spot)
    least = pool_cost(purse, 0, start, firm, every)[1]
    usd, _ = best_level(purse.by_slot, purse.by_level, 0, start, firm + more, every + extra, purse.over_usd, least)
    assert usd == pytest.approx(min(cost_of(purse, one, firm + more, every + extra) for one in levels(purse)))
