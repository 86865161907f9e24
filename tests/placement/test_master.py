"""The restricted master: its value is the bound once no column is missing, and finer slots only help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.bound import Pricer
from placement.bounding import Bounding
from placement.columns import UnitTable, unit_needs
from placement.groups import Cut
from placement.master import Master
from placement.options import needs_of
from placement.problem import Problem

SEEDS = st.integers(0, 100_000)
MODES = st.sampled_from(["min_cost", "max_sla"])
CHECKED = settings(max_examples=12, deadline=None, derandomize=True)
TinyProblem = Callable[..., Problem]


def converged(problem: Problem) -> tuple[Master, float]:
    """A master to which pricing adds nothing more, and the bound at its prices."""
    master, pricer = Bounding(problem, 0, lambda: False, float("inf")).master, Pricer(problem)
    for _ in range(60):
        assert master.solve()
        prices = master.prices()
        choices = pricer.cheapest(prices)
        if not master.add_columns(choices, master.stream_duals() - 1e-7):
            return master, pricer.bound(prices, choices)
    pytest.fail("pricing goes on for ever")


@given(seed=SEEDS, mode=MODES)
@CHECKED
def test_value_meets_the_bound(tiny_problem: TinyProblem, seed: int, mode: str) -> None:
    """When no choice prices out, the master's value is the Lagrangian bound at its prices, where limits are steady."""
    problem = tiny_problem(seed, workloads=4, mode=mode, sla_floor=0.7)
    most = np.maximum(problem.offers.max_machines.max(axis=1), problem.offers.owned.max(axis=1))
    steady = np.repeat(most[:, None], problem.slots, axis=1).astype(np.int32)
    master, bound = converged(replace(problem, offers=replace(problem.offers, max_machines=steady)))
    assert bound == pytest.approx(master.objective, abs=1e-5, rel=1e-6)


@given(seed=SEEDS, mode=MODES)
@CHECKED
def test_value_is_never_below_the_bound(tiny_problem: TinyProblem, seed: int, mode: str) -> None:
    """Whatever limits of owned and committed machines do over time, the bound does not exceed the value."""
    master, bound = converged(tiny_problem(seed, workloads=4, mode=mode, sla_floor=0.7))
    assert bound <= master.objective + 1e-5


@given(seed=SEEDS)
@CHECKED
def test_splitting_never_lowers_the_value(tiny_problem: TinyProblem, seed: int) -> None:
    """Telling slots of a group apart makes the relaxation tighter or leaves it alone."""
    problem = tiny_problem(seed, workloads=4, slots=4)
    bounding = Bounding(problem, 0, lambda: False, float("inf"))
    master = bounding.master
    before = master.objective
    wide = [g for alive in master.groups.alive for g in alive if len(master.groups.slots[g]) > 1]
    for g in wide:
        above = np.arange(len(master.groups.slots[g])) == 0
        rows = master._active.pop(g)
        for child in master.groups.split(Cut(1.0, g, above)):
            master._active[child] = [type(r)(child, r.weight, r.firm) for r in rows]
    assert master.solve()
    assert master.objective >= before - 1e-6


@given(seed=SEEDS, mode=MODES)
@CHECKED
def test_warm_start_changes_nothing(tiny_problem: TinyProblem, seed: int, mode: str) -> None:
    """Solved again from the last basis or from none, the value is the same, after a purge too."""
    problem = tiny_problem(seed, workloads=4, mode=mode)
    master, _ = converged(problem)
    value = master.objective
    master.purge()
    assert master.solve()
    assert master.objective == pytest.approx(value, abs=1e-6)
    master._status_col.clear()
    master._status_row.clear()
    assert master.solve()
    assert master.objective == pytest.approx(value, abs=1e-6)


@given(seed=SEEDS)
@CHECKED
def test_slots_of_a_group_are_alike(tiny_problem: TinyProblem, seed: int) -> None:
    """Every slot of a pool is in exactly one living group, and a group's slots have the same limits and prices."""
    problem = tiny_problem(seed, slots=5)
    groups = Master(problem).groups
    for p, alive in enumerate(groups.alive):
        assert sorted(np.concatenate([groups.slots[g] for g in alive])) == list(range(5))
        mine = problem.offers.pool == p
        for g in alive:
            slots = groups.slots[g]
            assert (groups.slot_group[p, slots] == g).all()
            assert (np.ptp(problem.offers.price_usd[mine][:, slots], axis=1) == 0).all()
            assert (np.ptp(problem.offers.max_machines[mine][:, slots], axis=1) == 0).all()


@given(seed=SEEDS)
@CHECKED
def test_loads_are_those_of_the_fractions(tiny_problem: TinyProblem, seed: int) -> None:
    """Loads are fractions times what the units of each column need, by kind, shape and pool."""
    problem = tiny_problem(seed, workloads=4)
    master, _ = converged(problem)
    expected = np.zeros_like(master.loads())
    for column, value in zip(master.columns, master.fraction, strict=False):
        kind, shape = int(problem.streams.preemptible[column.stream]), problem.streams.shape[column.stream]
        for candidate, variant, start in (master.units.units[u] for u in column.units):
            pool = problem.candidates.pool[candidate]
            expected[kind, shape, pool] += value * unit_needs(problem, variant, start)
    assert master.loads() == pytest.approx(expected, abs=1e-5)


@given(seed=SEEDS)
@CHECKED
def test_forbidden_columns_stay_out(tiny_problem: TinyProblem, seed: int) -> None:
    """A column that a branch forbids is not in the solution, and forbidding never lowers the value."""
    problem = tiny_problem(seed, workloads=4)
    master, _ = converged(problem)
    value, used = master.objective, int(master.fraction.argmax())
    gone = master.columns[used]
    master.forbidden = lambda column: column == gone
    assert master.solve()
    assert master.fraction[used] == 0
    assert master.objective >= value - 1e-6


def test_unit_needs_are_those_of_the_options(tiny_problem: TinyProblem) -> None:
    """Needs written out unit by unit equal those written out for all starts at once."""
    problem = tiny_problem(7, workloads=5, slots=4)
    v = problem.variants
    for variant in range(len(v.stream)):
        rows = needs_of(problem, variant)
        first = 0 if v.row[variant] >= 0 else int(v.earliest[variant])
        for i, row in enumerate(rows):
            assert unit_needs(problem, variant, first + i).tolist() == row.tolist()


def test_units_are_numbered_once(tiny_problem: TinyProblem) -> None:
    """A unit keeps its number, and the arrays follow the numbers."""
    problem = tiny_problem(2)
    table = UnitTable(problem)
    assert [table.add(unit) for unit in ((0, 0, 0), (1, 0, 0), (0, 0, 0))] == [0, 1, 0]
    pool, _, _, need = table.arrays()
    assert pool.tolist() == problem.candidates.pool[[0, 1]].tolist()
    assert need.shape == (2, problem.slots)
