"""The pieces of the formulation against plain definitions."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.formulation import Goal, cost_usd, formulate, too_many_sets, too_weak, up_enough
from placement.mip import Draft
from placement.needs import unit_needs
from placement.options import MAX_ENTRIES, expand, too_large
from placement.packing_rows import PoolWork, maximal_patterns, packing_weights, pool_work
from placement.problem import Domains, Problem
from placement.result import Settings, Units
from placement.solvers import brute
from placement.verify import at_most_one_down
from placement.worker import Stopwatch

Build = Callable[..., Problem]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(up=st.lists(st.sampled_from([0.5, 0.9, 0.99, 0.995, 0.999, 1.0]), min_size=2, max_size=6),
       copies=st.integers(2, 4), slo=st.sampled_from([0.8, 0.98, 0.999, 0.9999]))
def test_the_sets_leave_exactly_the_legal_choices(up: list[float], copies: int, slo: float) -> None:
    """Taking fewer than k of every set, and k in all, is the same as at most one being down often enough."""
    sets = too_weak(tuple(up), copies, slo)
    for chosen in itertools.combinations(range(len(up)), copies):
        legal = all(len(set(chosen) & set(weak)) < copies for weak in sets)
        assert legal == up_enough(tuple(up[i] for i in chosen), slo)


@given(up=st.lists(st.floats(0, 1), min_size=1, max_size=5), slo=st.floats(0, 1))
@settings(deadline=None, derandomize=True)
def test_the_chance_of_at_most_one_down_is_the_one_of_verify(up: list[float], slo: float) -> None:
    """Solvers and `verify` agree on what availability copies have."""
    everyone = np.arange(len(up))
    alone = Domains(everyone, everyone[:, None], np.array(up))
    assert up_enough(tuple(up), slo) == (at_most_one_down(alone, everyone) >= slo - 1e-12)


def test_too_many_sets_of_domains_are_refused_with_numbers(tiny_problem: Build) -> None:
    """Forty zones of two regions, taken six at a time: exact solvers say that they cannot write that out."""
    problem = replace(tiny_problem(1, clusters=2, workloads=1), domains=None)
    c, v, s = problem.candidates, problem.variants, problem.streams
    stream = int(v.stream[v.copies > 1][0])
    assert too_many_sets(problem) is None
    wide = replace(
        problem, candidates=replace(c, stream=np.full(40, stream), pool=np.arange(40)),
        streams=replace(s, availability=np.full(len(s.shape), 0.9)),
        variants=replace(v, copies=np.where(v.copies > 1, 6, 1)),
        domains=Domains(np.arange(40), np.stack([np.arange(40) % 2, 2 + np.arange(40)], axis=1), np.full(42, 0.99)))
    assert "3838380 sets of failure domains" in str(too_many_sets(wide))


@pytest.mark.parametrize("seed", range(20))
def test_options_are_all_legal_triples_with_their_needs(tiny_problem: Build, seed: int) -> None:
    """Every option's variant belongs to its stream and speed, alone only where allowed, and needs what a unit needs."""
    p = tiny_problem(seed)
    o, c, v = expand(p), p.candidates, p.variants
    assert (v.stream[o.variant] == o.stream).all()
    assert (c.stream[o.candidate] == o.stream).all()
    assert (v.speed[o.variant] == c.speed[o.candidate]).all()
    assert c.single[o.candidate][o.copies == 1].all()
    assert (np.diff(o.stream) >= 0).all()
    units = Units(o.stream, np.zeros_like(o.stream), o.candidate, o.variant, o.start)
    assert (unit_needs(p, units) == o.needs[o.need]).all()
    expected = sum((int(v.latest[j] - v.earliest[j]) if v.row[j] < 0 else 0) + 1
                   for i in range(len(c.stream)) for j in range(len(v.stream))
                   if v.stream[j] == c.stream[i] and v.speed[j] == c.speed[i] and (v.copies[j] > 1 or c.single[i]))
    assert len(o.stream) == expected


def test_what_is_too_large_is_refused_with_numbers(tiny_problem: Build) -> None:
    """A table beyond the limit is refused with its size, not written."""
    problem = replace(tiny_problem(1), slots=MAX_ENTRIES)
    assert "placements" in str(too_large(problem))
    with pytest.raises(ValueError, match="more than the"):
        expand(problem)


def work(size: list[list[float]], room: list[float], most: list[int], firm: list[bool]) -> PoolWork:
    """A pool's classes without any options."""
    none = np.zeros(0, np.int64)
    return PoolWork(0, np.array(room), none, none, np.zeros((0, 1), np.int32), np.array(size), np.array(firm),
                    np.array(most))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_patterns_are_the_maximal_fillings(seed: int) -> None:
    """The patterns are exactly the fillings to which nothing can be added, of all classes and of those not firm."""
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(1, 4))
    size, room = rng.integers(1, 5, (classes, 2)).astype(float), rng.integers(3, 9, 2).astype(float)
    most, firm = rng.integers(0, 4, classes), rng.random(classes) < 0.5
    expected = set()
    for allowed in (np.ones(classes, bool), ~firm) if firm.any() else (np.ones(classes, bool),):
        ranges = [range(count + 1 if may else 1) for count, may in zip(most, allowed, strict=True)]
        fits = {counts for counts in itertools.product(*ranges)
                if (np.array(counts) @ size <= room + 1e-6).all()}
        expected |= {a for a in fits if sum(a) and not any(
            b != a and all(x >= y for x, y in zip(b, a, strict=True)) for b in fits)}
    found = maximal_patterns(work(size.tolist(), room.tolist(), most.tolist(), firm.tolist()))
    assert found is not None
    assert {tuple(pattern) for pattern in found.tolist()} == expected


def test_many_patterns_are_not_written() -> None:
    """A pool with more maximal patterns than the limit has none."""
    crowd = work([[3.0], [5.0], [7.0], [11.0]], [100.0], [99] * 4, [False] * 4)
    assert maximal_patterns(crowd, 10) is None


@pytest.mark.parametrize("seed", range(10))
def test_no_machine_holds_more_than_one_of_a_weight(tiny_problem: Build, seed: int) -> None:
    """Packing weights are proofs: of each, no filling of a machine has more than 1."""
    problem = tiny_problem(seed)
    for pool in range(len(problem.pools.cluster)):
        here = pool_work(problem, expand(problem), pool)
        patterns, weights = maximal_patterns(here, 10**6), packing_weights(here)
        assert patterns is not None
        if len(patterns):
            assert len(weights)
            assert (patterns @ weights.T).max() <= 1 + 1e-9


def test_draft_adds_entries_of_one_place() -> None:
    """Entries put twice into one place of a row add up, and a row's value is what it says."""
    draft = Draft()
    x = draft.add_columns(2, upper=5)
    row = draft.add_rows(1, upper=7)
    draft.put(row, x, [1.0, 2.0])
    draft.put(row, x[1], 1.0)
    model = draft.model(draft.costs())
    assert model.rows_at(np.array([1.0, 2.0])).tolist() == [7.0]
    assert not model.broken(np.array([1.0, 2.0]))
    assert model.broken(np.array([2.0, 2.0]))
    assert model.broken(np.array([6.0, 0.0]))


@pytest.mark.parametrize("seed", range(5))
def test_a_plan_is_a_start_of_its_own_model(tiny_problem: Build, seed: int) -> None:
    """The columns that a plan fixes lie within the model's bounds and name its units again."""
    problem = tiny_problem(seed, workloads=2, slots=2, clusters=2, most_copies=2)
    plan = brute.solve(problem, Settings(), Stopwatch()).solution
    assert plan is not None
    model = formulate(problem, expand(problem), Goal("cost"))
    columns, values = model.start(plan)
    full = np.zeros(len(model.model.cost))
    full[columns] = values
    assert (full <= model.model.upper + 1e-9).all()
    again = model.units(full)
    assert placed(again) == placed(plan.units)
    assert cost_usd(problem, plan) > 0


def placed(units: Units) -> list[tuple[int, int, int]]:
    """Where the copies are, without their numbers."""
    return sorted(zip(units.candidate.tolist(), units.variant.tolist(), units.start.tolist(), strict=True))
