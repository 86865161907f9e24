"""The search: its books stay right while it moves, and what it holds keeps every rule it is meant to keep."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.booking import State
from placement.bounding import Bounding
from placement.complete import Packings, Shortfall, complete
from placement.domains import survives
from placement.needs import pool_loads
from placement.packing import Effort
from placement.problem import Objective, Problem
from placement.search import improve
from placement.searcher import Searcher
from placement.verify import verify

SEEDS = st.integers(0, 100_000)
CHECKED = settings(max_examples=20, deadline=None, derandomize=True)
TinyProblem = Callable[..., Problem]


def started(problem: Problem, drop_usd: float = 0.0, seed: int = 0) -> Searcher:
    """A search over the units that a few rounds of the bound find worth trying, started from its fractions."""
    bounding = Bounding(problem, 0, lambda: False, float("inf"))
    for _ in range(3):
        bounding.advance()
    m = bounding.master
    units = bounding.shortlist()
    searcher = Searcher(problem, units, m.weights, drop_usd * problem.workloads.weight)
    searcher.round_columns(m.columns, m.fraction, m.units, np.random.default_rng(seed))
    return searcher


def steady(problem: Problem) -> Problem:
    """The problem with every offer's limit the same in all slots, and no less than is owned."""
    o = problem.offers
    most = np.maximum(o.max_machines.max(axis=1), o.owned.max(axis=1))
    return replace(problem, offers=replace(o, max_machines=np.repeat(most[:, None], problem.slots, 1).astype(np.int32)))


@given(seed=SEEDS, mode=st.sampled_from(["min_cost", "max_sla"]))
@CHECKED
def test_books_kept_step_by_step_are_those_kept_at_once(tiny_problem: TinyProblem, seed: int, mode: str) -> None:
    """After hundreds of rounds loads, machines, pool costs and totals equal those counted from the plan alone."""
    searcher = started(tiny_problem(seed, workloads=5, mode=mode, sla_floor=0.6), drop_usd=30.0)
    state = searcher._state
    best = state.placed.copy(), state.copies.copy(), state.dropped.copy()
    improve(state, searcher._tables, 300, seed, 10.0, 5.0, 4, 0.1, *best)
    kept = [np.array(part) for part in state]
    there = copies_there(state)
    searcher.book()
    free = "placed", "level", "first_there", "next_there", "last_there"  # beyond its copies a stream's row; order; ties
    for name, before, after in zip(state._fields, kept, state, strict=True):
        if name not in free:
            assert before == pytest.approx(after, abs=1e-6), name
    pools, width = searcher.units.pool, state.placed.shape[1]
    assert there == copies_there(state) == [
        sorted(s * width + c for s, k in enumerate(state.copies) for c in range(k) if pools[state.placed[s, c]] == p)
        for p in range(len(state.first_there))]


def copies_there(state: State) -> list[list[int]]:
    """What the list of each pool holds, read from its first to its last and back."""
    found = []
    for at in state.first_there.tolist():
        there = []
        while at >= 0:
            assert state.last_there[at] == (there[-1] if there else -1)
            there.append(at)
            at = int(state.next_there[at])
        found.append(sorted(there))
    return found


@given(seed=SEEDS)
@CHECKED
def test_score_is_that_of_the_best_plan(tiny_problem: TinyProblem, seed: int) -> None:
    """The score that improving returns is the cost of the plan it leaves, and never above the one it began with."""
    searcher = started(tiny_problem(seed, workloads=5))
    searcher.improve(200, 1, 5.0, 1.0, 4, 0.0)
    before = searcher.book()
    score = searcher.improve(200, 2, 5.0, 1.0, 4, 0.1)
    assert searcher.missing == 0
    assert score == pytest.approx(searcher.book())
    assert score <= before + 1e-6


@given(seed=SEEDS)
@CHECKED
def test_cost_is_that_of_the_checked_plan_when_packing_agrees(tiny_problem: TinyProblem, seed: int) -> None:
    """Where packing needs just the machines that weights count, the search's cost is what `verify` finds."""
    problem = steady(tiny_problem(seed, workloads=4))
    searcher = started(problem)
    searcher.improve(200, seed, 5.0, 1.0, 4, 0.1)
    plan, packings = searcher.plan(), Packings(problem, Effort.SEARCH)
    solution = complete(problem, plan, packings=packings)
    assert not isinstance(solution, Shortfall)
    verdict = verify(problem, solution)
    assert not verdict.violations
    total = sum(getattr(verdict.costs, name) for name in (
        "machines_usd", "running_usd", "units_usd", "users_usd", "flows_usd"))
    assert searcher.book() <= total + 1e-6
    firm, every = searcher.machines
    packed = [packings.needed(p, load) for p, load in enumerate(pool_loads(problem, plan))]
    if all((n.machines.min(axis=0) == every[p]).all() and (n.firm.min(axis=0) == firm[p]).all()
           and len(n.machines) == 1 for p, n in enumerate(packed)):  # fmt: skip
        assert searcher.book() == pytest.approx(total)


def test_same_seed_gives_the_same_plan(tiny_problem: TinyProblem) -> None:
    """Rounds, not seconds, are counted: two searches with one seed end in the same plan."""
    plans = []
    for _ in range(2):
        searcher = started(tiny_problem(5, workloads=6))
        searcher.improve(500, 42, 10.0, 0.1, 5, 0.2)
        plans.append(searcher.plan())
    for name in ("stream", "copy", "candidate", "variant", "start"):
        assert getattr(plans[0], name).tolist() == getattr(plans[1], name).tolist()


@given(seed=SEEDS)
@CHECKED
def test_squeezed_pools_are_eased_or_paid_for(tiny_problem: TinyProblem, seed: int) -> None:
    """After a squeeze a plan uses fewer machines there or pays the penalty; relaxing forgets it."""
    problem = tiny_problem(seed, workloads=4)
    searcher = started(problem)
    searcher.improve(200, 1, 5.0, 1.0, 4, 0.0)
    usd, used = searcher.book(), searcher.machines[1].copy()
    p, t = np.unravel_index(int(used.argmax()), used.shape)
    if used[p, t] == 0:
        return
    searcher.squeeze(np.array([p]), np.array([t]), np.array([1]))
    assert searcher.book() == pytest.approx(usd + 1e5)
    searcher.improve(300, 2, 5.0, 1.0, 4, 0.0)
    assert searcher.machines[1][p, t] < used[p, t] or searcher.book() > 1e5
    searcher.relax()
    assert searcher.book() < 1e5


def test_money_that_packing_takes_is_saved_elsewhere(tiny_problem: TinyProblem) -> None:
    """When a plan packs for 5 USD more than it counts, later plans count at most the budget less 5."""
    problem = replace(tiny_problem(4, workloads=5), objective=Objective("max_sla", budget_usd=60.0))
    searcher = started(problem, drop_usd=100.0)
    searcher.improve(300, 1, 5.0, 0.1, 4, 0.0)
    assert searcher.book() <= 60
    assert not searcher.save(searcher.book() + 5)
    searcher.improve(300, 2, 5.0, 0.1, 4, 0.0)
    assert searcher.book() <= 55
    searcher.relax()
    assert searcher._rules.budget_usd == 60


@given(seed=SEEDS, after=st.integers(0, 100))
@CHECKED
def test_copies_are_apart_and_available_together(tiny_problem: TinyProblem, seed: int, after: int) -> None:
    """From the first rounding of fractions on, copies lie in distinct clusters and meet their availability."""
    problem = demanding(tiny_problem(seed, workloads=4))
    searcher = started(problem, seed=after)
    for rounds in (0, after):
        searcher.improve(rounds, 1, 5.0, 1.0, 4, 0.1)
        plan = searcher.plan()
        clusters = problem.pools.cluster[problem.candidates.pool[plan.candidate]]
        for stream in np.unique(plan.stream):
            mine = clusters[plan.stream == stream]
            assert len(np.unique(mine)) == len(mine)
            up = problem.clusters.availability[mine]
            if len(mine) == 1:
                assert problem.candidates.single[plan.candidate[plan.stream == stream]].all()
            else:
                assert _at_most_one_down(up.tolist()) >= problem.streams.availability[stream] - 1e-9


def demanding(problem: Problem) -> Problem:
    """No copy alone is available enough, and two in the weaker clusters are not either."""
    up = np.where(problem.clusters.availability < 0.99, 0.8, problem.clusters.availability)
    return replace(problem, clusters=replace(problem.clusters, availability=up), streams=replace(
        problem.streams, availability=np.full(len(problem.streams.shape), 0.97)), candidates=replace(
        problem.candidates, single=np.zeros(len(problem.candidates.pool), bool)))


def _at_most_one_down(up: list[float]) -> float:
    states = itertools.product((True, False), repeat=len(up))
    return sum(float(np.prod([a if ok else 1 - a for a, ok in zip(up, state, strict=True)]))
               for state in states if state.count(False) <= 1)


@given(up=st.lists(st.floats(0, 1), min_size=2, max_size=5), target=st.floats(0, 1))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_survival_is_the_chance_of_at_most_one_down(up: list[float], target: float) -> None:
    """Copies survive together exactly when the chance that at most one is down reaches the target."""
    chance = _at_most_one_down(up)
    if abs(chance - target) > 1e-9:
        everyone = np.arange(len(up))
        assert survives(everyone[:, None], np.array(up), everyone, target) == (chance > target)


@given(seed=SEEDS, floor=st.sampled_from([1.0, 0.8, 0.5]))
@CHECKED
def test_no_more_is_dropped_than_the_floor_allows(tiny_problem: TinyProblem, seed: int, floor: float) -> None:
    """In `min_cost` what is dropped is droppable and weighs no more than the slack."""
    problem = tiny_problem(seed, workloads=6, sla_floor=floor)
    searcher = started(problem)
    searcher.improve(300, seed, 20.0, 1.0, 4, 0.1)
    assert problem.workloads.weight[searcher.dropped].sum() <= problem.slack
    assert problem.workloads.droppable[searcher.dropped].all()
    assert not searcher.copies[searcher.dropped[problem.streams.workload]].any()


def test_what_cannot_be_placed_takes_its_share_of_the_slack(tiny_problem: TinyProblem) -> None:
    """A droppable workload without any choice is dropped from the start, and leaves that much less for others."""
    problem = tiny_problem(8, workloads=4, sla_floor=0.5)
    s, w = problem.streams, replace(problem.workloads, weight=np.ones(4), droppable=np.ones(4, bool))
    first = s.variant_first.copy()
    gone = s.workload == 3
    first[1:][gone] = first[:-1][gone][0]
    kept = problem.variants.stream < np.flatnonzero(gone)[0]
    v = replace(problem.variants, **{name: getattr(problem.variants, name)[kept] for name in (
        "stream", "copies", "speed", "row", "level", "length", "period", "runs", "earliest", "latest")})
    problem = replace(problem, workloads=w, variants=v, streams=replace(s, variant_first=first))
    searcher = started(problem)
    searcher.improve(2000, 1, 50.0, 1.0, 4, 0.1)
    assert searcher.dropped[3]
    assert searcher.dropped.sum() <= 2
    assert searcher.missing == 0
    strict = started(replace(problem, objective=Objective("min_cost", sla_floor=0.9)))
    assert strict.missing > 0
