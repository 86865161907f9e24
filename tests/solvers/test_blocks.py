"""Blocks: parts of a problem are problems whose plans fit together, and searching them comes near the whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.blocks import block_count, cut, divide, merge, shares, unsplittable
from placement.complete import complete
from placement.engines import ENGINES, Processes
from placement.formulation import cost_usd
from placement.problem import Flows, Problem
from placement.result import Result, Settings, Solution, Units, unattained
from placement.solvers import first_fit, price_guided
from placement.verify import verify
from placement.worker import Stopwatch, Unsupported, solve_here

Build = Callable[..., Problem]
SEEDS = st.integers(0, 2**31)
CHECKED = settings(max_examples=15, deadline=None, derandomize=True)


def packed(problem: Problem) -> Solution | None:
    """A plan by first fit, packed and bought anew."""
    found = first_fit.solve(problem, Settings(), Stopwatch(20.0)).solution
    solution = None if found is None else complete(problem, found.units)
    return solution if isinstance(solution, Solution) else None


def parts_of(problem: Problem, solution: Solution, seed: int) -> list[tuple[np.ndarray, object]]:
    """Pools and shares of two blocks."""
    blocks = divide(problem, solution.units, 2, np.random.default_rng(seed))
    return list(zip(blocks, shares(problem, solution, cost_usd(problem, solution), blocks, seed), strict=True))


def same(units: Units, others: Units) -> bool:
    """Whether two plans have the same units."""
    return all(np.array_equal(getattr(units, f.name), getattr(others, f.name)) for f in fields(Units))


@given(seed=SEEDS, mode=st.sampled_from(["min_cost", "max_sla"]))
@CHECKED
def test_blocks_hold_what_the_whole_holds(tiny_problem: Build, seed: int, mode: str) -> None:
    """A part with what is there now is a legal plan of the part; put together again, all is as it was."""
    problem = tiny_problem(seed, clusters=6, workloads=10, mode=mode, sla_floor=0.7)
    if (solution := packed(problem)) is None:
        return
    moved, streams = [], []
    for pools, share in parts_of(problem, solution, seed):
        block = cut(problem, pools, solution.units, share)
        now = complete(block.problem, block.units)
        assert isinstance(now, Solution)
        kinds = {violation.kind for violation in verify(block.problem, now).violations}
        assert kinds <= {"budget", "unplaced", "floor"}  # a share of the budget, and of what was left out
        moved.append(block.whole(block.units))
        streams.append(block.streams)
    assert same(merge(solution.units, moved, streams), solution.units)
    assert not np.isin(streams[0], streams[1]).any()


@given(seed=SEEDS, whole=st.booleans())
@CHECKED
def test_blocks_together_leave_out_no_more_than_the_whole_may(tiny_problem: Build, seed: int, whole: bool) -> None:
    """What two blocks may leave out, and what is left out that neither can take in, are within the slack together."""
    problem = tiny_problem(seed, clusters=6, workloads=10, sla_floor=0.7)
    if (solution := packed(problem)) is None:
        return
    fewer = without_some(problem, solution, whole)
    weight = problem.workloads.weight
    out = unattained(problem, fewer.units)
    assert weight[out].sum() <= problem.slack
    allowed, counted = 0.0, np.zeros(len(weight), bool)
    for pools, share in parts_of(problem, fewer, seed):
        block = cut(problem, pools, fewer.units, share)
        allowed += block.problem.slack
        counted[block.workloads[block.problem.workloads.weight[:-1] > 0]] = True
    assert allowed + weight[out & ~counted].sum() <= problem.slack + 1e-6


def without_some(problem: Problem, solution: Solution, whole: bool) -> Solution:
    """The solution without the workloads that may go and that the slack covers, or without one stream of each."""
    gone, left = np.zeros(len(problem.streams.shape), bool), problem.slack
    left -= float(problem.workloads.weight[unattained(problem, solution.units)].sum())
    for w in np.flatnonzero(problem.workloads.droppable & ~unattained(problem, solution.units)).tolist():
        if problem.workloads.weight[w] <= left:
            left -= float(problem.workloads.weight[w])
            streams = np.flatnonzero(problem.streams.workload == w)
            gone[streams if whole else streams[:1]] = True
    stays = ~gone[solution.units.stream]
    units = Units(*(getattr(solution.units, f.name)[stays] for f in fields(Units)))
    return replace(solution, units=units)


@given(seed=SEEDS)
@CHECKED
def test_what_a_block_saves_the_whole_saves(tiny_problem: Build, seed: int) -> None:
    """Where no data flow, moving streams inside a block changes the cost of the whole by just as much."""
    none = np.zeros(0, np.int64)
    problem = replace(tiny_problem(seed, clusters=6, workloads=10), flows=Flows(none, none, np.zeros(0)))
    if (solution := packed(problem)) is None:
        return
    pools, share = parts_of(problem, solution, seed)[0]
    block = cut(problem, pools, solution.units, share)
    before = complete(block.problem, block.units)
    after = packed(block.problem)
    if after is None or len(after.units.stream) < len(block.units.stream):
        return
    assert isinstance(before, Solution)
    whole = complete(problem, merge(solution.units, [block.whole(after.units)], [block.streams]))
    assert isinstance(whole, Solution)
    assert verify(problem, whole).violations == verify(problem, solution).violations
    saved = cost_usd(block.problem, before) - cost_usd(block.problem, after)
    assert cost_usd(problem, solution) - cost_usd(problem, whole) == pytest.approx(saved, abs=1e-6)


def test_the_number_of_blocks_follows_from_the_size(tiny_problem: Build) -> None:
    """Each block has three clusters at least, and as many are made as asked for, or as the size asks for."""
    problem = tiny_problem(1, clusters=6, workloads=4)
    assert [block_count(problem, asked) for asked in (0, 1, 2, 9)] == [2, 1, 2, 2]
    assert block_count(tiny_problem(1), 4) == 1


def test_what_blocks_cannot_do_is_refused(tiny_problem: Build) -> None:
    """A problem that survives losses is not split, nor does another solver take blocks."""
    asked = Settings(time_limit_s=5.0, blocks=2)
    survives = tiny_problem(2, survive=True)
    assert "losses must be survived" in str(unsplittable(survives))
    with pytest.raises(Unsupported, match="losses must be survived"):
        solve_here(survives, "planner", asked, Stopwatch(5.0))
    with pytest.raises(Unsupported, match="only planner solves in blocks"):
        solve_here(tiny_problem(2), "first-fit", asked, Stopwatch(5.0))


@pytest.fixture
def fleet(tiny_problem: Build, monkeypatch: pytest.MonkeyPatch) -> Problem:
    """A problem of six clusters that is not handed to the exact solver."""
    monkeypatch.setattr(price_guided, "_SMALL", 0)
    return tiny_problem(5, clusters=6, workloads=14, slots=3)


def solved(problem: Problem, blocks: int) -> Result:
    """The planner's own method, with so many blocks."""
    return price_guided.solve(problem, Settings(seed=3, time_limit_s=120, threads=1, blocks=blocks), Stopwatch(120.0))


@pytest.mark.soak
def test_blocks_come_within_a_per_cent_of_the_whole(fleet: Problem) -> None:
    """Searched in two blocks by a process, the plan costs 1 % more than searched at once at most; its bound holds."""
    alone, split = solved(fleet, 1), solved(fleet, 2)
    assert alone.solution is not None
    assert split.solution is not None
    verdict = verify(fleet, split.solution, split.bound)
    assert verdict.violations == ()
    assert verdict.costs.total_usd <= 1.01 * verify(fleet, alone.solution).costs.total_usd


def test_a_lost_block_is_told(fleet: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tasks are lost the rest of the plan stands, and the method says how many were lost."""
    monkeypatch.setitem(ENGINES, "processes", _Losing)
    found = price_guided.solve(fleet, Settings(time_limit_s=60, threads=1, blocks=2), Stopwatch(60.0))
    assert found.solution is not None
    assert "tasks of blocks were lost" in found.method
    assert verify(fleet, found.solution, found.bound).violations == ()


class _Losing(Processes):
    """An engine whose processes are killed as soon as they have a task."""

    def _give(self, worker, function, index, tasks) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        super()._give(worker, function, index, tasks)
        worker.process.kill()
