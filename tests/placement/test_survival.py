"""Survival of every single loss: fallbacks that hold pass the check, each way of breaking one is named, and what is
found is as cheap as trying everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.complete import Shortfall, complete
from placement.problem import (
    Candidates,
    Clusters,
    Flows,
    Ints,
    Objective,
    Offers,
    Pools,
    Problem,
    Purchase,
    Streams,
    Survival,
    Variants,
    Workloads,
)
from placement.result import Fallbacks, Settings, Solution, Units
from placement.shown import packing_rows
from placement.solvers import brute
from placement.survival import lost_units
from placement.verify import verify
from placement.worker import Stopwatch

Build = Callable[..., Problem]

# Four clusters with a pool each of machines that hold two replicas; 0 and 1 are one region. Two slots.
# Stream 0: 2 replicas, one copy, or 2 for each of two copies. Stream 1: a batch of one slot, 2 replicas, which starts
# in slot 0 or 1, in pool 3 only in slot 0. Both may go anywhere.
# On demand costs 3 USD in every pool, of which `assured` machines come after a loss; pool 2 offers committed at 1 USD.
CLUSTERS, SLOTS = 4, 2


def hand_made(assured: tuple[int, ...] = (2, 2, 2, 2), kind: tuple[int, int] = (1, 1), most: int = 2) -> Problem:
    """The problem above; kind 1 are losses of one cluster, kind 2 of a region."""
    alone = np.eye(CLUSTERS, dtype=bool)
    lost = np.vstack([alone, alone[0] | alone[1], alone[2], alone[3]])
    variants = Variants(*(np.array(column) for column in zip(
        (0, 1, 0, 0, 0, 0, 0, 0, 0, 0), (0, 2, 0, 1, 0, 0, 0, 0, 0, 0), (1, 1, 0, -1, 2, 1, 0, 1, 0, 1),
        (1, 1, 1, -1, 2, 1, 0, 1, 0, 0), strict=True)), rows=np.array([[2, 2], [2, 2]], np.int32))
    speed = np.array([0, 0, 0, 0, 0, 0, 0, 1])
    offers = Offers(np.array([0, 1, 2, 2, 3]), np.array([2, 2, 1, 2, 2]), np.zeros(5, np.int64),
                    np.array([[3.0] * 2, [3] * 2, [1] * 2, [3] * 2, [3] * 2]), np.full((5, 2), most, np.int32))
    sure = np.array([assured[0], assured[1], 0, assured[2], assured[3]])
    return Problem(
        slots=SLOTS, objective=Objective("min_cost"), shapes=np.array([[4.0, 8.0]]),
        clusters=Clusters(np.full(CLUSTERS, 0.99), np.zeros((CLUSTERS, CLUSTERS))),
        pools=Pools(np.arange(4), np.array([[8.0, 16.0]] * 4), np.full((4, 2), most, np.int32), np.zeros((4, 2))),
        offers=offers, workloads=Workloads(np.ones(2), np.zeros(2, bool)),
        streams=Streams(np.array([0, 1]), np.zeros(2, np.int64), np.zeros(2, bool), np.zeros(2), np.array([0, 4, 8]),
                        np.array([0, 2, 4])),
        candidates=Candidates(np.repeat([0, 1], 4), np.tile(np.arange(4), 2), speed, np.zeros(8), np.zeros(8),
                              np.ones(8, bool)),
        variants=variants, flows=Flows(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)),
        survival=Survival(lost, np.array([1, 1, 1, 1, 2, 2, 2]), np.array(kind),
                          np.repeat(sure[:, None], SLOTS, axis=1).astype(np.int32)))


def units(*rows: tuple[int, int, int, int, int]) -> Units:
    """Units from rows (stream, copy, candidate, variant, start)."""
    return Units(*np.array(rows, np.int64).T.copy())


ONE_COPY = units((0, 0, 0, 0, 0), (1, 0, 4, 2, 1))
TWO_COPIES = units((0, 0, 0, 1, 0), (0, 1, 1, 1, 0), (1, 0, 6, 2, 1))


def kinds(problem: Problem, solution: Solution) -> set[str]:
    """What is broken."""
    return {violation.kind for violation in verify(problem, solution).violations}


def given_by(problem: Problem, chosen: Units, *rows: tuple[int, int, int]) -> Solution:
    """The cheapest machines for the units without any loss, with fallback rows (loss, unit, candidate)."""
    plain = complete(replace(problem, survival=None), chosen)
    assert isinstance(plain, Solution)
    return replace(plain, fallbacks=Fallbacks(*np.array(rows, np.int64).reshape(-1, 3).T.copy()))


GOOD = ((0, 0, 1), (0, 1, 5))  # both units are in cluster 0 and fall back to pool 1


def test_fallbacks_with_room_hold() -> None:
    """Two machines are assured in pool 1, and the two units need one each there."""
    problem = hand_made()
    assert verify(problem, given_by(problem, ONE_COPY, *GOOD)).violations == ()


BROKEN: dict[str, tuple[tuple[tuple[int, int, int], ...], str]] = {
    "a missing row": (GOOD[:1], "fallback"),
    "a row too many for one unit": ((*GOOD, (0, 0, 2)), "fallback"),
    "a fallback inside the loss": (((0, 0, 0), GOOD[1]), "fallback"),
    "a candidate of another stream": (((0, 0, 5), GOOD[1]), "fallback"),
    "a pool where it may not start then": ((GOOD[0], (0, 1, 7)), "fallback"),
    "a unit that is not lost": ((*GOOD, (1, 0, 2)), "fallback"),
    "a loss that does not exist": ((*GOOD, (9, 0, 2)), "rows"),
    "a candidate that does not exist": ((GOOD[0], (0, 1, 99)), "rows"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_fallback_map_that_is_wrong_is_named(name: str) -> None:
    """Each broken row is a violation of its kind, and nothing else is found wrong."""
    rows, kind = BROKEN[name]
    assert kinds(hand_made(), given_by(hand_made(), ONE_COPY, *rows)) == {kind}


def test_a_map_without_room_is_named() -> None:
    """One machine assured in pool 1 holds one of the two units; with the second there is no room in the shared slot."""
    problem = hand_made(assured=(2, 1, 2, 2))
    assert kinds(problem, given_by(problem, ONE_COPY, *GOOD)) == {"fallback room"}
    assert kinds(problem, given_by(problem, ONE_COPY, GOOD[0], (0, 1, 6))) == set()


def test_what_runs_in_the_fallback_pool_takes_room_too() -> None:
    """The batch runs in pool 1 in slot 1, so only one of two machines is left there."""
    problem = hand_made(assured=(2, 1, 2, 2))
    beside = units((0, 0, 0, 0, 0), (1, 0, 5, 2, 1))
    assert kinds(problem, given_by(problem, beside, (0, 0, 1), (1, 1, 6))) == {"fallback room"}
    assert kinds(problem, given_by(problem, beside, (0, 0, 3), (1, 1, 6))) == set()


def test_a_stream_that_keeps_all_copies_but_one_needs_nothing() -> None:
    """Two copies survive the loss of either cluster; the region of both takes two, and each then needs a pool."""
    problem = hand_made()
    assert lost_units(problem, TWO_COPIES)[1].tolist() == [2]
    assert kinds(problem, given_by(problem, TWO_COPIES, (2, 2, 4))) == set()
    regional = hand_made(kind=(2, 0))
    assert lost_units(regional, TWO_COPIES)[1].tolist() == [0, 1]
    assert kinds(regional, given_by(regional, TWO_COPIES, (4, 0, 2), (4, 1, 3))) == set()


def test_fallbacks_lie_apart_from_other_copies() -> None:
    """Two lost copies may not fall back to one cluster, nor one to where the stream still has a copy."""
    regional = hand_made(kind=(2, 0))
    assert kinds(regional, given_by(regional, TWO_COPIES, (4, 0, 3), (4, 1, 3))) == {"fallback"}
    near = hand_made()
    assert kinds(near, given_by(near, TWO_COPIES, (0, 0, 1), (2, 2, 4))) == {"fallback"}


def test_fallbacks_nobody_asked_for_are_named() -> None:
    """A problem that asks to survive nothing has no fallbacks."""
    assert kinds(replace(hand_made(), survival=None), given_by(hand_made(), ONE_COPY, *GOOD)) == {"fallback"}


# ---------------------------------------------------------------- finding them


def test_room_that_is_free_is_taken() -> None:
    """With machines assured on demand survival costs nothing."""
    plain, found = (complete(problem, ONE_COPY) for problem in (replace(hand_made(), survival=None), hand_made()))
    assert isinstance(plain, Solution)
    assert isinstance(found, Solution)
    assert (plain.machines == found.machines).all()
    assert verify(hand_made(), found).violations == ()


def test_where_nothing_is_assured_machines_are_held() -> None:
    """Only committed machines of pool 2 can be there: two are held, at 2 USD each over both slots."""
    problem = hand_made(assured=(0, 0, 0, 0))
    found = complete(problem, ONE_COPY)
    assert isinstance(found, Solution)
    verdict = verify(problem, found)
    assert verdict.violations == ()
    assert problem.candidates.pool[found.fallbacks.candidate].tolist() == [2, 2]  # type: ignore[union-attr]
    assert found.machines[problem.offers.purchase == Purchase.COMMITTED].max() == 2
    assert verdict.costs.total_usd == 3 + 6 + 4  # one machine for the gang, one for two slots, and two that are held


def test_what_is_held_for_one_loss_serves_another() -> None:
    """Units in two clusters that are never lost together share the one machine that is held."""
    problem = hand_made(assured=(0, 0, 0, 0))
    apart = units((0, 0, 0, 0, 0), (1, 0, 5, 2, 1))
    found = complete(problem, apart)
    assert isinstance(found, Solution)
    assert found.machines[problem.offers.purchase == Purchase.COMMITTED].max() == 1
    assert verify(problem, found).violations == ()


def test_a_lack_of_room_says_which_loss_leaves_whom_where() -> None:
    """With one machine in a pool and both units lost together, one finds room and the other is named."""
    problem = hand_made(assured=(0, 0, 0, 0), most=1)
    both = units((0, 0, 2, 0, 0), (1, 0, 4, 2, 1))
    short = complete(problem, both)
    assert isinstance(short, Shortfall)
    assert short.homeless is not None
    assert "after loss" in short.why
    assert "stream" in short.why


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), kind=st.sampled_from(({}, {"tight": True})))
def test_fallbacks_for_given_units_hold_and_cost_little_more_than_the_least(
        tiny_problem: Build, seed: int, kind: dict[str, Any]) -> None:
    """For the units of the best plan of all, the plan found holds, and never beats trying everything."""
    problem = tiny_problem(seed, workloads=1, slots=2, clusters=3, most_copies=2, survive=True, **kind)
    best = brute.solve(problem, Settings(), Stopwatch(2))
    if best.status != "optimal" or best.solution is None:
        return
    assert verify(problem, best.solution, best.bound).violations == ()
    found = complete(problem, best.solution.units)
    assert isinstance(found, Solution)
    verdict = verify(problem, found)
    assert verdict.violations == ()
    assert best.bound - 1e-6 <= verdict.costs.total_usd <= 1.3 * best.bound + 1e-6


@pytest.mark.parametrize("seed", range(12))
def test_packings_after_a_loss_are_shown_and_read(tiny_problem: Build, seed: int) -> None:
    """The plan holds with the rows that are shown for slots that simple orders may miss, and they name its losses."""
    problem = tiny_problem(seed, workloads=3, slots=3, clusters=3, most_copies=2, survive=True)
    units_found = _anywhere(problem)
    found = complete(problem, units_found)
    if isinstance(found, Shortfall):
        return
    rows = packing_rows(problem, found, hard_only=True)
    assert verify(problem, found, packings=rows).violations == ()
    assert rows.loss is not None
    assert found.fallbacks is not None
    assert set(rows.loss[rows.loss >= 0].tolist()) <= set(found.fallbacks.loss.tolist())


def _anywhere(problem: Problem) -> Units:
    """The first candidate of each stream where one copy is enough, and the earliest start."""
    rows, v = [], problem.variants
    for s in range(len(problem.streams.shape)):
        first, end = problem.streams.candidate_first[s:s + 2]
        n = int(first + np.flatnonzero(problem.candidates.single[first:end])[0])
        mine: Ints = np.flatnonzero((v.stream == s) & (v.copies == 1) & (v.speed == problem.candidates.speed[n]))
        rows.append((s, 0, n, int(mine[0]), int(v.earliest[mine[0]]) if v.row[mine[0]] < 0 else 0))
    return units(*rows)
