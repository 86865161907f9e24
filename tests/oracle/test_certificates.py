"""Certificates against a stranger's re-proof, written from docs/certificate.md alone, and against the true optimum."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from brute import TooManyError, optimum
from oracle_reading import read_scenario
from oracle_world import World
from stranger import proven_bound
from tiny import tiny_scenario, write

import planner.no_plan
import planner.planning
from placement.problem import Problem
from placement.result import Result, Settings
from placement.worker import Stopwatch, solve_here
from planner.certificates import write_certificate
from planner.checking import verify_plan
from planner.planning import NoPlanFound, PlanRequest, make_plan

BLOCK, BLOCKS = 8, 5
COVERED = {"parts": False, "pooled": False}
"""Certificates cover neither split workloads nor joint paths yet."""


@pytest.fixture
def in_this_process() -> Iterator[None]:
    """The same solver without a process of its own, which for many scenarios would take minutes to start."""
    def here(problem: Problem, solver: str, settings: Settings, *_: object) -> Result:
        return solve_here(problem, solver, settings, Stopwatch(settings.time_limit_s))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner.planning, "solve", here)
        patch.setattr(planner.no_plan, "MOST_S", 0.0)  # why there is no plan is not asked here
        yield


@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.usefixtures("in_this_process")
def test_a_stranger_proves_the_same_bound(block: int, tmp_path: Path) -> None:
    """On random tiny scenarios a program written from the page alone proves the bound that planner verify proves."""
    proven = 0
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        folder = write(tmp_path / str(seed), tiny_scenario(seed, **COVERED))
        try:
            planned = make_plan(folder, PlanRequest(time_limit_s=20, certificate=True))
        except NoPlanFound:
            continue
        if planned.certificate is None:
            assert planned.plan.status == "infeasible", seed
            continue
        file, path = folder / "proof.cert", folder / "plan.json"
        write_certificate(planned.certificate, file)
        planned.write(path)
        check = verify_plan(folder, path, certificate=file)
        assert check.holds, (seed, check.violations)
        assert check.proof is not None
        world = World(read_scenario(folder))
        assert proven_bound(world, file) == pytest.approx(check.proof.bound, rel=1e-6, abs=1e-6), seed
        sign = 1 if planned.plan.mode == "min_cost" else -1
        try:
            best = optimum(world, limit=2_000)
        except TooManyError:
            continue
        true = best.cost_usd if planned.plan.mode == "min_cost" else best.attainment
        assert sign * check.proof.bound <= sign * true + 1e-6 * max(1.0, abs(true)), seed
        proven += 1
    assert proven > 1
