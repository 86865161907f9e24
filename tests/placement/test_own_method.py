"""The planner's own method without the exact solver's help, on problems whose optimum is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from placement.domains import share_parts
from placement.problem import Problem
from placement.result import Settings
from placement.solvers import brute, price_guided
from placement.verify import verify
from placement.worker import Stopwatch

Build = Callable[..., Problem]
SEEDS = (22, 30, 44, 57)
KINDS: tuple[dict[str, Any], ...] = ({}, {"sla_floor": 0.5}, {"mode": "max_sla"})


@pytest.mark.parametrize("seed", SEEDS)
def test_plans_and_bounds_hold_whatever_varies(tiny_problem: Build, monkeypatch: pytest.MonkeyPatch,
                                               seed: int) -> None:
    """Owned machines that come and go, minimums, and domains that share parts: a legal plan, the optimum between."""
    monkeypatch.setattr(price_guided, "_SMALL", 0)
    problem = tiny_problem(seed, clusters=2, workloads=2, slots=2, most_copies=2, **KINDS[seed % 3])
    truth = brute.solve(problem, Settings(), Stopwatch(60))
    found = price_guided.solve(problem, Settings(time_limit_s=20, threads=1, seed=seed), Stopwatch(20))
    assert truth.solution is not None
    assert found.solution is not None
    verdict = verify(problem, found.solution, found.bound)
    assert verdict.violations == ()
    if problem.objective.mode == "min_cost":
        assert found.bound <= truth.bound + 1e-6
        assert verdict.costs.total_usd >= truth.bound - 1e-6
    else:
        assert found.bound >= truth.bound - 1e-9
        assert verdict.attainment <= truth.bound + 1e-9


def test_what_varies_is_among_the_problems(tiny_problem: Build) -> None:
    """Of the problems above some own machines by slot, some have minimums, some have domains that share parts."""
    problems = [tiny_problem(seed, clusters=2, workloads=2, slots=2, most_copies=2) for seed in SEEDS]
    assert any((p.offers.owned != p.offers.owned[:, :1]).any() for p in problems)
    assert any(p.pools.min_machines.any() for p in problems)
    assert any(p.domains is not None and share_parts(p.domains) for p in problems)
