"""Certificates: whatever they say, what is proven from them holds; what solvers hand out proves what they claim."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.ascent import Ascent
from placement.bounding import Bounding
from placement.branching import Branching
from placement.certificate import Certificate, Decision, Leaf, PricedRows
from placement.checks.heaviest import heaviest
from placement.checks.reprove import NotProven, reprove, uncovered
from placement.problem import TOLERANCE, Problem
from placement.result import Settings
from placement.solvers import brute, price_guided
from placement.worker import Stopwatch

SEEDS = st.integers(0, 100_000)
TinyProblem = Callable[..., Problem]
MODES = st.sampled_from(["min_cost", "max_sla"])


def bounding_of(problem: Problem, rounds: int) -> Bounding:
    """A bound after some rounds of column generation."""
    bounding = Bounding(problem, 0, lambda: False, time.monotonic() + 60)
    for _ in range(rounds):
        bounding.advance()
    return bounding


def as_objective(problem: Problem, bound: float) -> float:
    """What `placement.bound` proves, as the objective reads."""
    return bound if problem.objective.mode == "min_cost" else 1 - bound / float(problem.workloads.weight.sum())


def some_certificate(problem: Problem, seed: int) -> Certificate:
    """Random prices for the plain shares of every resource, of all work and of firm work."""
    rng = np.random.default_rng(seed)
    pools, slots = problem.pools.run_usd.shape
    pool = np.repeat(np.arange(pools), 2 * problem.shapes.shape[1])
    vector = np.arange(len(pool)) // 2
    room = problem.pools.room + TOLERANCE
    weights = np.concatenate([(problem.shapes / room[p]).T for p in range(pools)])
    by_cost = problem.objective.mode == "min_cost"
    scale = 1.0 if by_cost else float(rng.choice([0.0, 0.01, 0.1]))
    price = rng.random((len(pool), slots)) * rng.choice([0.0, 1.0, 3.0], (len(pool), 1)) * (scale or 1.0)
    rows = PricedRows(pool, vector, np.arange(len(pool)) % 2 == 1, price)
    nothing = np.zeros((0, slots))
    return Certificate(weights, (Leaf((), rows, scale, float(rng.choice([0.0, 5.0])) * by_cost, nothing, nothing),))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=SEEDS, mode=MODES, floor=st.sampled_from([0.4, 1.0]), tight=st.booleans())
def test_any_prices_prove_a_bound_that_holds(tiny_problem: TinyProblem, seed: int, mode: str, floor: float,
                                             tight: bool) -> None:
    """No plan is cheaper, or attains more, than what random prices are found to prove."""
    problem = tiny_problem(seed, clusters=2, workloads=2, slots=2, most_copies=2, mode=mode, sla_floor=floor,
                           tight=tight)
    found = reprove(problem, some_certificate(problem, seed))
    best = brute.solve(problem, Settings(), Stopwatch())
    if best.solution is None:
        return
    if mode == "min_cost":
        assert found.bound <= best.bound + 1e-9 * max(1.0, best.bound)
    else:
        assert found.bound >= best.bound - 1e-12
    assert 0 <= found.margin < 1e-6


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=SEEDS, mode=MODES, rounds=st.integers(0, 4))
def test_column_generation_hands_out_what_it_proved(tiny_problem: TinyProblem, seed: int, mode: str,
                                                    rounds: int) -> None:
    """The prices kept prove the best bound, to a millionth; without any, what is paid anyway is proven."""
    problem = tiny_problem(seed, workloads=3, mode=mode, sla_floor=0.4)
    bounding = bounding_of(problem, rounds)
    found, stated = reprove(problem, bounding.certificate()).bound, as_objective(problem, bounding.bound)
    assert found == pytest.approx(stated, rel=1e-6, abs=1e-6) or (bounding.proof is None and found >= stated)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_ascent_hands_out_what_it_proved(tiny_problem: TinyProblem, seed: int) -> None:
    """The prices of the best block prove its bound, whatever blocks came after it."""
    problem = tiny_problem(seed, workloads=3, sla_floor=0.4)
    ascent = Ascent(problem, 0, lambda: False)
    for _ in range(3):
        ascent.advance()
    found = reprove(problem, ascent.certificate()).bound
    assert found == pytest.approx(ascent.bound, rel=1e-6, abs=1e-6)


def branched(problem: Problem) -> tuple[Branching, Bounding]:
    """A bound raised by some branches."""
    bounding = bounding_of(problem, 0)
    while not bounding.done:
        bounding.advance()
    branching = Branching(problem, bounding, lambda: False)
    for _ in range(6):
        branching.advance(np.inf)
    return branching, bounding


def test_branches_prove_their_bound_and_none_may_be_missing(tiny_problem: TinyProblem) -> None:
    """Leaves cover every plan and prove the bound together; without any one of them nothing is proven."""
    divided = 0
    for seed in range(12):
        problem = tiny_problem(seed, workloads=3)
        branching, bounding = branched(problem)
        certificate = branching.certificate()
        found = reprove(problem, certificate)
        assert found.bound == pytest.approx(bounding.bound, rel=1e-6, abs=1e-6) or found.bound > bounding.bound
        if len(certificate.leaves) > 1:
            divided += 1
            for gone in range(len(certificate.leaves)):
                left = certificate.leaves[:gone] + certificate.leaves[gone + 1:]
                with pytest.raises(NotProven, match="leave out plans in which stream"):
                    reprove(problem, replace(certificate, leaves=left))
    assert divided > 2


def test_the_planner_certifies_what_it_states(tiny_problem: TinyProblem) -> None:
    """Asked to certify, the planner's own method states just the bound that its certificate proves."""
    for seed, mode in product(range(3), ("min_cost", "max_sla")):
        problem = tiny_problem(seed, workloads=3, mode=mode)
        found = price_guided.solve(problem, Settings(time_limit_s=20, threads=1, certify=True), Stopwatch(20))
        if found.solution is None:
            continue
        assert found.certificate is not None
        assert reprove(problem, found.certificate).bound == pytest.approx(found.bound, rel=1e-6, abs=1e-6)


# ---------------------------------------------------------------- weights


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_the_heaviest_content_is_never_understated(seed: int) -> None:
    """The search agrees with trying every content of a machine, and says 1 + 1e-9 where none weighs more."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 5, (3, 2)) / 2
    sizes[sizes.max(axis=1) == 0] = 1.0
    room, weights = rng.integers(2, 6, 2) * 1.0, rng.choice([0.0, 0.2, 0.4, 0.5, 1.0], 3)
    true = max(float(np.array(counts) @ weights) for counts in product(range(13), repeat=3)
               if (np.array(counts) @ sizes <= room + TOLERANCE).all())
    found = heaviest(weights, sizes, room)
    assert found >= true
    assert found == pytest.approx(max(true, 1.0), rel=1e-8) or (true == 0 and found == 0)


def test_a_weight_without_size_is_no_weight() -> None:
    """A shape that takes no room may be there any number of times: no weight of it is valid."""
    assert heaviest(np.array([0.1]), np.zeros((1, 2)), np.ones(2)) == np.inf


# ---------------------------------------------------------------- what is refused


def only(certificate: Certificate, **change: object) -> Certificate:
    """The certificate with fields of its one leaf changed."""
    return replace(certificate, leaves=(replace(certificate.leaves[0], **change),))


def test_what_is_not_a_certificate_is_refused_in_one_line(tiny_problem: TinyProblem) -> None:
    """Weights that pack more than a machine, rows that are not there, negative or missing prices: none proves."""
    problem = tiny_problem(3)
    good = bounding_of(problem, 3).certificate()
    rows = good.leaves[0].rows
    assert len(rows.pool)
    price = rows.price.copy()
    price[0, 0] = -1.0
    cases = {
        "weight vector . counts": replace(good, weights=good.weights * 2),
        "a weight is not": replace(good, weights=-good.weights),
        "weight vectors have": replace(good, weights=good.weights[:, :0]),
        "there is no leaf": replace(good, leaves=()),
        "a row names a pool": only(good, rows=replace(rows, pool=rows.pool + 99)),
        "a row names a weight vector": only(good, rows=replace(rows, weight=rows.weight - 99)),
        "price is not a number of 0 or more": only(good, rows=replace(rows, price=price)),
        "prices have shape": only(good, rows=replace(rows, price=rows.price[:, :1])),
        "usd_price is 2": only(good, usd_price=2.0),
        "prices of limits have shape": only(good, limit=np.ones((1, problem.slots))),
        "failure domain that is not there": only(good, decisions=(Decision(0, 99, 0, yes=True),)),
        "names a pool": only(good, decisions=(Decision(0, 0, 0, yes=True, pool=0),)),
        "leave out plans": only(good, decisions=(Decision(0, 0, 0, yes=True),)),
    }
    for words, bad in cases.items():
        with pytest.raises(NotProven, match=words) as refused:
            reprove(problem, bad)
        assert "\n" not in str(refused.value)


def test_leaves_must_be_those_of_a_tree() -> None:
    """A question asked on one side only, or two different ones at a node, leave something out."""
    yes, no = (Decision(0, 1, 0, yes=answer) for answer in (True, False))
    few, many = (Decision(2, -1, 1, yes=answer) for answer in (True, False))
    assert uncovered([()]) is None
    assert uncovered([(yes,), (no, few), (no, many)]) is None
    assert uncovered([(yes,), (no, few)]) == "stream 0 avoids failure domain 1 and stream 2 has more than 1 copies"
    assert uncovered([(yes,), (few,), (many,)]) is not None


class Keeper(Stopwatch):
    """A watch that keeps the certificates it is handed."""

    def __init__(self, time_limit_s: float) -> None:
        super().__init__(time_limit_s)
        self.kept: list[Certificate] = []

    def prove(self, certificate: Certificate) -> None:
        """Keep it."""
        self.kept.append(certificate)


def test_certificates_are_handed_out_on_the_way(tiny_problem: TinyProblem) -> None:
    """Each of them proves a bound no better than the last: whoever ends the solver early has one in hand."""
    problem = tiny_problem(4, workloads=3, mode="max_sla")
    keeper = Keeper(60)
    found = price_guided.solve(problem, Settings(time_limit_s=60, threads=1, certify=True), keeper)
    assert keeper.kept
    for certificate in keeper.kept:
        assert reprove(problem, certificate).bound >= found.bound - 1e-6
