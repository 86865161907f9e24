"""Shadow prices: proven where they promise, right where they can be worked out by hand, and no more than they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.bound import Pricer
from placement.bounding import Bounding
from placement.problem import (
    Candidates,
    Clusters,
    Flows,
    Objective,
    Offers,
    Pools,
    Problem,
    Purchase,
    Streams,
    Variants,
    Workloads,
)
from placement.result import Settings
from placement.scarcity import bought_again_usd, more_in_pools, more_of, reached, worth
from placement.solvers import brute
from placement.verify import costs
from placement.worker import Stopwatch, solve_here

Tiny = Callable[..., Problem]


def two_pools(most: int, spot: int = 0) -> Problem:
    """Five replicas of one machine each, in four slots: one machine costs 1 USD here (`most` of them) and 3 there.

    With `spot` machines at 0.25 USD here.
    """
    slots, ints = 4, np.int64
    rows = [(0, Purchase.ON_DEMAND, 1.0, most), (1, Purchase.ON_DEMAND, 3.0, 9)]
    rows += [(0, Purchase.SPOT, 0.25, spot)] if spot else []
    rows.sort()
    pool, purchase, price, limit = (np.array(column) for column in zip(*rows, strict=True))
    one = np.zeros(5, ints)
    return Problem(
        slots, Objective("min_cost"), np.array([[1.0]]), Clusters(np.ones(2), np.zeros((2, 2))),
        Pools(np.arange(2), np.ones((2, 1)), np.full((2, slots), [[max(most, spot)], [9]], np.int32),
              np.zeros((2, slots))),
        Offers(pool, purchase.astype(ints), np.zeros(len(rows), ints), np.repeat(price[:, None], slots, axis=1),
               np.repeat(limit[:, None], slots, axis=1).astype(np.int32)),
        Workloads(np.ones(5), np.zeros(5, bool)),
        Streams(np.arange(5), one, np.full(5, bool(spot)), np.zeros(5), np.arange(6) * 2, np.arange(6)),
        Candidates(np.repeat(np.arange(5), 2), np.tile(np.arange(2), 5), np.zeros(10, ints), np.zeros(10),
                   np.zeros(10), np.ones(10, bool)),
        Variants(np.arange(5), one + 1, one, np.arange(5), one, one, one, one, one, one,
                 np.ones((5, slots), np.int32)),
        Flows(np.zeros(0, ints), np.zeros(0, ints), np.zeros(0)))


def raised(problem: Problem) -> Bounding:
    """The bound, raised as far as it goes."""
    bounding = Bounding(problem, 0, lambda: False, Stopwatch(60).stop_at)
    for _ in range(30):
        if not bounding.done:
            bounding.advance()
    return bounding


def least_usd(problem: Problem) -> float:
    """The cost of the cheapest plan, everything tried."""
    found = brute.solve(problem, Settings(), Stopwatch())
    return found.bound if found.solution is not None else float("inf")


def test_a_full_pool_is_worth_what_the_next_one_costs_more() -> None:
    """A third cheap machine saves 2 USD in each of 4 slots, and so does everything tried."""
    problem = two_pools(2)
    found = worth(problem, raised(problem).prices)
    assert found.pool_usd == pytest.approx([8.0, 0.0], abs=1e-6)
    assert least_usd(two_pools(2)) - least_usd(two_pools(3)) == pytest.approx(8.0)
    assert worth(two_pools(6), raised(two_pools(6)).prices).pool_usd == pytest.approx([0.0, 0.0], abs=1e-6)


def test_a_full_offer_is_worth_what_the_next_one_costs_more() -> None:
    """One more spot machine saves 0.75 USD in each of 4 slots, as a price and when the machines are bought anew."""
    problem = two_pools(5, spot=2)
    best = brute.solve(problem, Settings(), Stopwatch()).solution
    assert best is not None
    spot = problem.offers.purchase == Purchase.SPOT
    assert reached(problem, best).offers[spot].all()
    assert bought_again_usd(problem, best)[spot] == pytest.approx(3.0)
    assert worth(problem, raised(problem).prices).offer_usd[spot] == pytest.approx(3.0, abs=1e-6)


def _same_choices(problem: Problem, more: Problem) -> bool:
    """Whether one machine more lets no copy in that was too large for the whole pool before."""
    prices = raised(problem).prices
    before, after = (Pricer(one).cheapest(prices).best for one in (problem, more))
    return bool(np.allclose(before, after))


@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_no_plan_saves_more_than_the_price_below_the_bound(tiny_problem: Tiny, seed: int) -> None:
    """With one machine more in a pool, or of an offer, the cheapest plan costs at least the bound less the price."""
    problem = tiny_problem(seed, tight=True, workloads=2, clusters=2)
    if brute.supports(problem) is not None or least_usd(problem) == float("inf"):
        return
    bounding = raised(problem)
    found, bound = worth(problem, bounding.prices), Pricer(problem).bound(
        bounding.prices, Pricer(problem).cheapest(bounding.prices))
    assert (found.pool_usd >= 0).all()
    assert (found.offer_usd >= 0).all()
    every = more_in_pools(problem)
    for p in range(len(problem.pools.cluster)):
        here = (problem.offers.pool == p)[:, None]
        more = replace(
            problem, pools=replace(problem.pools, max_machines=np.where(
                np.arange(len(found.pool_usd))[:, None] == p, every.pools.max_machines, problem.pools.max_machines)),
            offers=replace(problem.offers, max_machines=np.where(
                here, every.offers.max_machines, problem.offers.max_machines)))
        if _same_choices(problem, more):
            assert least_usd(more) >= bound - found.pool_usd[p] - 1e-6


@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_buying_again_saves_what_a_plan_then_costs_less(tiny_problem: Tiny, seed: int) -> None:
    """What one more machine of an offer saves at once is a saving that a cheaper plan really has."""
    problem = tiny_problem(seed, tight=True, workloads=2, clusters=2)
    best = brute.solve(problem, Settings(), Stopwatch()).solution if brute.supports(problem) is None else None
    if best is None:
        return
    saved, now = bought_again_usd(problem, best), costs(problem, best).total_usd
    for o in np.flatnonzero(saved > 1e-9).tolist():
        more = more_of(problem, Purchase(int(problem.offers.purchase[o])))
        assert least_usd(more) <= now - saved[o] + 1e-6


def test_the_planners_own_method_tells_shadow_prices() -> None:
    """They come with the plan, also where the exact solver made it."""
    found = solve_here(two_pools(2), "planner", Settings(time_limit_s=20), Stopwatch(20))
    assert found.worth is not None
    assert found.worth.pool_usd == pytest.approx([8.0, 0.0], abs=1e-6)
