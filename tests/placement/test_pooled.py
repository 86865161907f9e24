"""Order statistics over paths: pairs of machines, rows from below, and rows about right."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from placement.pooled import quota_pairs
from placement.pooled_rows import relaxed
from placement.problem import (
    Candidates,
    Clusters,
    Flows,
    Objective,
    Offers,
    Paths,
    Pools,
    Problem,
    Purchase,
    Streams,
    Variants,
    Workloads,
)


def one_pool(loads: np.ndarray, share: float) -> Problem:
    """One pool, and a steady workload of one replica a machine for each of the loads [B, N, T]."""
    count, _, slots = loads.shape
    ints, zeros, ones = np.arange(count), np.zeros(count, np.int64), np.ones(count, np.int64)
    first = np.arange(count + 1)
    plenty = np.full((1, slots), 1000, np.int32)
    return Problem(
        slots, Objective("min_cost"), np.ones((1, 1)), Clusters(np.ones(1), np.zeros((1, 1))),
        Pools(np.zeros(1, np.int64), np.ones((1, 1)), plenty, np.zeros((1, slots))),
        Offers(np.zeros(1, np.int64), np.array([Purchase.ON_DEMAND]), np.zeros(1, np.int64), np.ones((1, slots)),
               plenty.copy()),
        Workloads(np.ones(count), np.zeros(count, bool)),
        Streams(ints, zeros, np.zeros(count, bool), np.zeros(count), first, first),
        Candidates(ints, zeros, zeros, np.zeros(count), np.zeros(count), np.ones(count, bool)),
        Variants(ints, ones, zeros, ints, zeros, zeros, zeros, zeros, zeros, zeros,
                 loads.max(axis=1).astype(np.int32)),
        Flows(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)),
        paths=Paths(share, loads.astype(np.int16), ints, np.ones(count), np.ones(count)))


LOADS = hnp.arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 3)),
                   elements=st.integers(0, 9))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(LOADS, st.sampled_from([0.5, 0.8, 0.9, 0.95, 1.0]))
def test_rows_from_below_never_exceed_what_a_pool_needs(loads: np.ndarray, share: float) -> None:
    """For every subset of units the rows add up to no more than the order statistic of their sum."""
    problem = one_pool(loads, share)
    assert problem.paths is not None
    rows = relaxed(problem).variants.rows
    for size in range(1, len(loads) + 1):
        for some in map(list, itertools.combinations(range(len(loads)), size)):
            needs = np.sort(loads[some].sum(axis=0), axis=0)[problem.paths.needed - 1]
            assert (rows[some].sum(axis=0) <= needs + 1e-9).all()


def test_rows_from_below_are_the_need_where_all_paths_agree() -> None:
    """Without anything random nothing is lost."""
    loads = np.repeat(np.array([[[3, 5]], [[2, 0]]]), 7, axis=1)
    assert relaxed(one_pool(loads, 0.9)).variants.rows.tolist() == [[3, 5], [2, 0]]


PAIRS = st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=2), min_size=1,
                 max_size=6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(PAIRS, st.integers(1, 6))
def test_pairs_hold_enough_paths_and_none_less_does(ways: list[list[tuple[int, int]]], needed: int) -> None:
    """Of all numbers of machines, those within no given pair hold too few paths, and every pair holds enough."""
    needed = min(needed, len(ways))
    firm = np.array([[f for f, _ in path] for path in ways]).T[:, :, None]
    total = firm + np.array([[s for _, s in path] for path in ways]).T[:, :, None]

    def holds(f: int, n: int) -> bool:
        return int(((firm <= f) & (total <= n)).any(axis=0).sum()) >= needed

    found = list(zip(*(pairs[:, 0].tolist() for pairs in quota_pairs(firm, total, needed)), strict=True))
    assert all(holds(f, n) for f, n in found)
    for f, n in itertools.product(range(6), range(9)):
        assert holds(f, n) == any(f >= mine and n >= all_ for mine, all_ in found)
