"""Prices by ascent: whatever they are the bound holds, and they come near to those of the linear program."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.ascent import Ascent
from placement.bounding import Bounding, fluid_rent
from placement.checks.reprove import reprove
from placement.menu import Bar
from placement.needs import has_spot, unit_needs
from placement.payment import make_purse
from placement.problem import Problem
from placement.rents import settle, supply
from placement.result import Settings, Solution, Units
from placement.sample import chances
from placement.searcher import Searcher, placeable
from placement.solvers import brute

SEEDS = st.integers(0, 100_000)
CHECKED = settings(max_examples=8, deadline=None, derandomize=True)
TinyProblem = Callable[..., Problem]


class Quiet:
    """A watch that never stops the solver."""

    def report(self, phase: str, solution: Solution | None, objective: float, bound: float) -> None:
        """Ignore it."""

    def stopped(self) -> bool:
        """Never."""
        return False


def climbed(problem: Problem, blocks: int = 4, threads: int = 1) -> Ascent:
    """An ascent after some blocks."""
    ascent = Ascent(problem, 0, lambda: False, threads)
    for _ in range(blocks):
        if not ascent.done:
            ascent.advance()
    return ascent


@given(seed=SEEDS)
@CHECKED
def test_no_plan_is_cheaper_than_the_bound(tiny_problem: TinyProblem, seed: int) -> None:
    """The bound after any block is at most the cost of the cheapest plan."""
    problem = tiny_problem(seed, mode="min_cost", workloads=2)
    best = brute.solve(problem, Settings(), Quiet())
    if best.solution is not None:
        assert climbed(problem, 2).bound <= best.bound + 1e-6 * max(1.0, best.bound)


@given(seed=SEEDS, sample=st.integers(1, 3))
@CHECKED
def test_a_bound_by_samples_holds_for_all_streams(tiny_problem: TinyProblem, seed: int, sample: int) -> None:
    """Where only a sample makes the prices, they prove the bound over all streams, and a start has units of all."""
    problem = tiny_problem(seed, mode="min_cost", workloads=9)
    ascent = Ascent(problem, 0, lambda: False, sample=sample)
    for _ in range(3):
        ascent.advance()
    assert ascent._chance is not None
    if np.isfinite(ascent.bound):
        assert reprove(problem, ascent.certificate()).bound == pytest.approx(ascent.bound, rel=1e-9, abs=1e-6)
    listed = np.diff(ascent.shortlist().stream_first) > 0
    assert (listed == np.isfinite(ascent.choices.best)).all()


def test_a_sample_stands_for_all_streams() -> None:
    """Samples have about the size asked for, large streams are always in, and sums over them are right on average."""
    rng = np.random.default_rng(0)
    size = rng.lognormal(0.0, 2.0, 5000)
    chance = chances(size, 600)
    assert chance.sum() == pytest.approx(600, rel=0.01)
    assert (chance[np.argsort(-size)[:100]] == 1.0).all()
    sums = [(size / chance)[rng.random(5000) < chance].sum() for _ in range(50)]
    assert np.mean(sums) == pytest.approx(size.sum(), rel=0.02)
    assert np.std(sums) < 0.05 * size.sum()


@given(seed=SEEDS)
@CHECKED
def test_ascent_comes_near_the_linear_program(tiny_problem: TinyProblem, seed: int) -> None:
    """With time the ascent proves nearly what column generation proves."""
    problem = tiny_problem(seed, mode="min_cost")
    if not placeable(problem).all():
        return
    program = Bounding(problem, 0, lambda: False, float("inf"))
    while not program.done:
        program.advance()
    if np.isfinite(program.bound) and program.master.missing() < 1e-6:
        assert climbed(problem, 20).bound >= 0.9 * program.bound - 1e-6


@given(seed=SEEDS, warmth=st.sampled_from([0.1, 0.01]))
@CHECKED
def test_streams_take_whole_choices(tiny_problem: TinyProblem, seed: int, warmth: float) -> None:
    """Fractions of a stream's units add up to its copies, and the loads are what these fractions need."""
    problem = tiny_problem(seed, mode="min_cost")
    bar = Bar(problem)
    price = bar.places.narrow(fluid_rent(problem))
    with ThreadPoolExecutor(2) as executor:
        menu = bar.menu(bar.units(price, 1e9, 1e9, executor))
        answer = bar.answer(menu, price, warmth, executor, 2)
    row = np.repeat(np.arange(len(menu.copies)), np.diff(menu.unit_first))
    whole = np.zeros(len(problem.streams.shape))
    np.add.at(whole, bar.table.q_stream[row], answer.share / menu.copies[row])
    placed = answer.best < 1e299
    assert whole[placed] == pytest.approx(1.0, abs=0.05)
    assert not whole[~placed].any()
    nothing = np.zeros(len(row), np.int64)
    needs = unit_needs(problem, Units(nothing, nothing, menu.candidate, menu.variant, answer.start))
    load = np.zeros(price.shape)
    taken = answer.share >= 1e-3
    np.add.at(load, (menu.kind[taken], menu.pool[taken], menu.shape[taken]), needs[taken] * answer.share[taken, None])
    assert answer.load == pytest.approx(load, rel=1e-3, abs=1e-3)


@given(seed=SEEDS)
@CHECKED
def test_settled_machines_earn_no_more_than_they_cost_unless_full(tiny_problem: TinyProblem, seed: int) -> None:
    """After the proximal step a machine on demand earns at most its price, save where the pool or its offer is full."""
    problem, rng = tiny_problem(seed, mode="min_cost"), np.random.default_rng(seed)
    purse = make_purse(problem)
    sold = supply(purse, has_spot(problem))
    pools, slots = sold.run_usd.shape
    y = rng.random((pools, 3, slots)) * 5
    z = np.where(sold.has_spot[:, None, None], rng.random((pools, 3, slots)) * 5, 0.0)
    eta, level = rng.random((pools, slots)) + 0.1, sold.held.copy()
    firm, spot = np.zeros((2, pools, slots))
    settle(sold, 0, pools, y, z, eta, np.full(pools, 3), level, firm, spot)
    earned = y.sum(axis=1) + z.sum(axis=1)
    full = np.minimum(np.minimum(level[:, None], sold.fixed_max) + sold.loose_max, sold.most) - spot
    assert (firm <= np.minimum(level[:, None] + sold.loose_max, sold.most) + 1e-6).all()
    assert (y >= 0).all()
    assert (z >= 0).all()
    assert ((earned <= sold.loose_usd * 1.02 + 1e-2) | (firm >= full * 0.995 - 1e-2)).all()


@given(seed=SEEDS)
@CHECKED
def test_a_drawn_start_is_a_plan(tiny_problem: TinyProblem, seed: int) -> None:
    """A start drawn from the fractions places copies of a stream in distinct clusters, as many as it has."""
    problem = tiny_problem(seed, mode="min_cost")
    ascent = climbed(problem, 1)
    units = ascent.shortlist()
    if not len(units.candidate):
        return
    searcher = Searcher(problem, units, ascent.weights, np.zeros(len(problem.workloads.weight)))
    ascent.start()(searcher, np.random.default_rng(seed))
    for s, k in enumerate(searcher.copies):
        pools = units.pool[searcher.placed[s, :k]]
        assert len(np.unique(problem.pools.cluster[pools])) == k
        assert (problem.candidates.stream[units.candidate[searcher.placed[s, :k]]] == s).all()


def test_threads_do_not_change_prices(tiny_problem: TinyProblem) -> None:
    """One thread and two come to the same bound, but for rounding in single precision."""
    problem = tiny_problem(7, mode="min_cost", workloads=5)
    assert climbed(problem, 3, threads=2).bound == pytest.approx(climbed(problem, 3).bound, rel=1e-3)
