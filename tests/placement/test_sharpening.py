"""Rows that know machines to be whole raise the bound, and never past what a plan can cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.bound import Pricer
from placement.bounding import Bounding
from placement.branching import Branching
from placement.problem import Problem
from placement.result import Settings, Solution
from placement.sharpening import Sharpening, choose
from placement.solvers import brute
from placement.whole_rows import ApartPricer, gauge, may_use, whole_row

SEEDS = st.integers(0, 100_000)
TinyProblem = Callable[..., Problem]


class Quiet:
    """A watch that never stops the solver."""

    def report(self, phase: str, solution: Solution | None, objective: float, bound: float) -> None:
        """Ignore it."""

    def stopped(self) -> bool:
        """Never."""
        return False


def settled(problem: Problem) -> Bounding:
    """A bound that rounds raise no more."""
    bounding = Bounding(problem, 0, lambda: False, float("inf"))
    while not bounding.done:
        bounding.advance()
    return bounding


@given(seed=SEEDS)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_every_content_keeps_to_every_row(seed: int) -> None:
    """Whatever the streams weigh instead, as many machines as hold it satisfy the row."""
    rng = np.random.default_rng(seed)
    load = rng.choice([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.75, 1.0, 1.2, 2.5], (int(rng.integers(1, 7)), 1))
    row = whole_row(0, 0, 0, load, firm=False)
    weighs = load * rng.choice([0.0, 0.5, 1.0, 1.5], load.shape) + rng.choice([0.0, 0.3], load.shape)
    machines = np.ceil(weighs.sum() - 1e-9)
    streams = np.arange(len(load))
    assert row.rents(streams, weighs).sum() <= machines + row.most + 1e-6
    assert row.rents(streams, load).sum() == pytest.approx(row.machines[0] + row.most)  # reached by C itself


def test_a_row_counts_by_hand() -> None:
    """Weights 0.7 and 0.6 need 2 machines: without the second one is saved, with half of it still none."""
    row = whole_row(0, 0, 0, np.array([[0.7], [0.6]]), firm=False)
    assert row.machines[0] == 2
    assert row.last[0] == pytest.approx(0.3)
    assert row.rents(np.array([1]), np.array([[0.3]])) == pytest.approx(0.0, abs=1e-6)
    assert gauge(np.array([0.15]), row.last) == pytest.approx(0.5)


def test_the_streams_that_are_there_most_are_chosen() -> None:
    """Of three streams that a pool's fractions hold, those that are wholly there make the row."""
    chosen = choose(np.array([0.7, 0.6, 0.5]), np.array([1.0, 1.0, 0.1]), 1.35)
    assert chosen.tolist() == [0, 1]


@given(seed=SEEDS, tight=st.booleans())
@settings(max_examples=14, deadline=None, derandomize=True)
def test_sharpened_bound_holds(tiny_problem: TinyProblem, seed: int, tight: bool) -> None:
    """Whole rows, and branches after them, raise the bound, never past the optimum."""
    problem = tiny_problem(seed, clusters=2, workloads=3, slots=2, most_copies=2, tight=tight, sla_floor=0.8)
    best = brute.solve(problem, Settings(), Quiet())
    bounding = settled(problem)
    before = bounding.bound
    sharpening = Sharpening(problem, bounding, lambda: False)
    while not sharpening.done:
        sharpening.advance()
    assert bounding.bound >= before
    branching = Branching(problem, bounding, lambda: False, pools=True)
    for _ in range(6):
        branching.advance(np.inf)
    if best.status == "optimal":
        assert bounding.bound <= best.bound + 1e-6


@given(seed=SEEDS)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_telling_copies_apart_changes_nothing(tiny_problem: TinyProblem, seed: int) -> None:
    """At plain prices, spread over rows of choices, the pricer that tells them apart says what the plain one does."""
    problem = tiny_problem(seed, clusters=3, workloads=3, slots=3)
    prices = settled(problem).master.prices()
    apart = ApartPricer(problem)
    spread = apart.raised(prices, [], np.zeros(0), settled(problem).master.groups, [])
    plain, told = Pricer(problem).cheapest(prices), apart.cheapest(spread)
    for name in ("stream", "copies", "cost", "unit_cost", "candidate", "variant", "start", "best"):
        assert np.array_equal(getattr(plain, name), getattr(told, name)), name


def test_whole_rows_find_what_fractions_hide(tiny_problem: TinyProblem) -> None:
    """On some tiny problems the sharpened bound is higher than what the linear program proved."""
    raised = 0
    for seed in range(12):
        problem = tiny_problem(seed, clusters=2, workloads=3, slots=2, most_copies=2)
        assert may_use(problem)
        bounding = settled(problem)
        before, sharpening = bounding.bound, Sharpening(problem, bounding, lambda: False)
        while not sharpening.done:
            sharpening.advance()
        raised += bounding.bound > before * (1 + 1e-3)
    assert raised >= 3


def test_large_problems_and_others_do_without(tiny_problem: TinyProblem) -> None:
    """Whole rows serve problems by cost; in `max_sla` they are not used."""
    assert not may_use(tiny_problem(0, mode="max_sla"))
