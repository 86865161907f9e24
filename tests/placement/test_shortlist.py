"""The units a search may choose from: legal, cheapest first, and enough of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.bounding import Bounding
from placement.domains import failure_domains
from placement.options import expand
from placement.problem import Problem
from placement.shortlist import Shortlist, columns_in_use, shortlist

SEEDS = st.integers(0, 100_000)
CHECKED = settings(max_examples=15, deadline=None, derandomize=True)
TinyProblem = Callable[..., Problem]


def listed(problem: Problem, rounds: int = 3, most: int = 40) -> tuple[Bounding, Shortlist]:
    """The bound after some rounds and the list at its prices."""
    bounding = Bounding(problem, 0, lambda: False, float("inf"))
    for _ in range(rounds):
        bounding.advance()
    m = bounding.master
    used = columns_in_use(bounding.choices, m.columns, m.fraction, m.units)
    return bounding, shortlist(problem, bounding.prices, bounding.choices, used, most)


def stream_of_block(units: Shortlist) -> list[int]:
    """The stream of each block."""
    return np.repeat(np.arange(len(units.stream_first) - 1), np.diff(units.stream_first)).tolist()


@given(seed=SEEDS)
@CHECKED
def test_units_are_legal_options(tiny_problem: TinyProblem, seed: int) -> None:
    """Every listed unit is a legal option of its stream with the copies of its block, listed once."""
    problem = tiny_problem(seed, workloads=4)
    _, units = listed(problem)
    o = expand(problem)
    legal = set(zip(*(x.tolist() for x in (o.stream, o.copies, o.candidate, o.variant, o.start)), strict=True))
    for block, stream in enumerate(stream_of_block(units)):
        rows = range(units.block_first[block], units.block_first[block + 1])
        mine = [(stream, int(units.block_copies[block]), int(units.candidate[u]), int(units.variant[u]),
                 int(units.start[u])) for u in rows]
        assert set(mine) <= legal
        assert len(set(mine)) == len(mine)


@given(seed=SEEDS)
@CHECKED
def test_copies_find_enough_domains(tiny_problem: TinyProblem, seed: int) -> None:
    """A block for k copies lists units in at least k failure domains, however short the list."""
    problem = tiny_problem(seed, workloads=4)
    _, units = listed(problem, most=2)
    for block, k in enumerate(units.block_copies):
        rows = slice(units.block_first[block], units.block_first[block + 1])
        assert len(np.unique(failure_domains(problem).pool[units.pool[rows]])) >= k


@given(seed=SEEDS)
@CHECKED
def test_every_stream_and_every_used_unit_is_listed(tiny_problem: TinyProblem, seed: int) -> None:
    """Each stream that has a choice is listed, and so is every unit that the fractional solution uses."""
    problem = tiny_problem(seed, workloads=4)
    bounding, units = listed(problem, most=1)
    have = set(zip(units.candidate.tolist(), units.variant.tolist(), units.start.tolist(), strict=True))
    assert (np.diff(units.stream_first)[np.isfinite(bounding.choices.best)] > 0).all()
    for column, value in zip(bounding.master.columns, bounding.master.fraction, strict=False):
        if value > 1e-6:
            assert {bounding.master.units.units[u] for u in column.units} <= have


@given(seed=SEEDS)
@CHECKED
def test_needs_and_costs_belong_to_the_units(tiny_problem: TinyProblem, seed: int) -> None:
    """Each unit's need, its busy slots and its cost beside machines are those of the option it is."""
    problem = tiny_problem(seed, workloads=4, slots=4)
    _, units = listed(problem)
    o = expand(problem)
    at = {key: i for i, key in enumerate(zip(*(x.tolist() for x in (o.candidate, o.variant, o.start)), strict=True))}
    for u in range(len(units.pool)):
        i = at[int(units.candidate[u]), int(units.variant[u]), int(units.start[u])]
        need = units.needs[units.need[u]]
        assert need.tolist() == o.needs[o.need[i]].tolist()
        assert units.usd[u] == o.cost_usd[i]
        assert not need[: units.begin[units.need[u]]].any()
        assert not need[units.end[units.need[u]] :].any()


def test_cheapest_come_first(tiny_problem: TinyProblem) -> None:
    """The first units of a block are its cheapest at the prices, found as by pricing every option."""
    problem = tiny_problem(11, workloads=4, slots=4)
    bounding, units = listed(problem)
    o, prices, s = expand(problem), bounding.prices, problem.streams
    rent = prices.replica_usd[s.preemptible[o.stream].astype(int), s.shape[o.stream], o.pool]
    cost = o.cost_usd + (rent * o.needs[o.need]).sum(axis=1)
    for block, stream in enumerate(stream_of_block(units)):
        mine = (o.stream == stream) & (o.copies == units.block_copies[block])
        first = units.block_first[block]
        same = (o.candidate == units.candidate[first]) & (o.start == units.start[first]) & mine
        assert np.isclose(cost[same & (o.variant == units.variant[first])], cost[mine].min()).all()
