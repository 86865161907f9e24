"""What units need, by unit and by pool."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.needs import Load, firm_without_spot, pool_loads, unit_needs
from placement.problem import Problem, Purchase
from placement.result import Units

QUICK = settings(max_examples=50, deadline=None, derandomize=True)


def _anywhere(problem: Problem, seed: int) -> Units:
    """One copy of every stream at a random candidate and start."""
    rng = np.random.default_rng(seed)
    streams = problem.streams
    rows = []
    for s in range(len(streams.shape)):
        n = int(rng.integers(streams.candidate_first[s], streams.candidate_first[s + 1]))
        own = np.arange(streams.variant_first[s], streams.variant_first[s + 1])
        fits = (problem.variants.copies[own] == 1) & (problem.variants.speed[own] == problem.candidates.speed[n])
        v = int(own[fits][0])
        rows.append((s, 0, n, v, int(rng.integers(problem.variants.earliest[v], problem.variants.latest[v] + 1))))
    return Units(*np.array(rows, np.int64).T)


@QUICK
@given(seed=st.integers(0, 10**6))
def test_pools_hold_what_their_units_need(tiny_problem: Callable[..., Problem], seed: int) -> None:
    """Replicas by pool and shape add up to what units need, and only spot pools have flexible ones."""
    problem = tiny_problem(seed)
    units = _anywhere(problem, seed)
    needs, pool = unit_needs(problem, units), problem.candidates.pool[units.candidate]
    spot = set(problem.offers.pool[problem.offers.purchase == Purchase.SPOT].tolist())
    for p, load in enumerate(pool_loads(problem, units)):
        for place, shape in enumerate(load.shapes):
            own = (pool == p) & (problem.streams.shape[units.stream] == shape)
            soft = own & problem.streams.preemptible[units.stream] & (p in spot)
            assert (load.flexible[place] == needs[soft].sum(axis=0)).all()
            assert (load.firm[place] == needs[own & ~soft].sum(axis=0)).all()


def test_without_spot_machines_all_replicas_are_firm() -> None:
    """Where no spot machine runs, it makes no difference whether work is preemptible; elsewhere it stays as it was."""
    load = Load(np.array([4]), np.array([[2, 3]], np.int32), np.array([[5, 7]], np.int32))
    settled = firm_without_spot(load, np.array([0, 1]))
    assert (settled.firm.tolist(), settled.flexible.tolist()) == ([[7, 3]], [[0, 7]])


@QUICK
@given(seed=st.integers(0, 10**6))
def test_a_batch_unit_runs_whole(tiny_problem: Callable[..., Problem], seed: int) -> None:
    """A batch unit holds its level for its length at every run, and nothing else; a steady one needs its row."""
    problem = tiny_problem(seed, slots=6)
    units = _anywhere(problem, seed)
    variants = problem.variants
    for u, need in enumerate(unit_needs(problem, units)):
        v = int(units.variant[u])
        if variants.row[v] >= 0:
            assert (need == variants.rows[variants.row[v]]).all()
        else:
            assert need.sum() == variants.level[v] * variants.length[v] * variants.runs[v]
            assert need[int(units.start[u])] == variants.level[v]
