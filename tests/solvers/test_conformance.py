"""What every solver in the registry promises, whatever it is."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from placement.gap import OPTIMAL_GAP, relative_gap
from placement.problem import Objective, Problem
from placement.result import Result, Settings
from placement.solvers import SOLVERS
from placement.verify import verify
from placement.worker import grace_s, solve

Build = Callable[..., Problem]
Solve = Callable[[str, Problem, Settings], tuple[Result, bool]]

SETTINGS = Settings(seed=3, time_limit_s=10, gap=0, threads=1)
SIZES = {"workloads": 2, "slots": 2, "clusters": 2, "most_copies": 2}
PROVERS = ("planner", "highs", "cp-sat", "cbc", "brute")
every_solver = pytest.mark.parametrize("solver", list(SOLVERS))
every_mode = pytest.mark.parametrize("objective", [Objective("min_cost"), Objective("min_cost", sla_floor=0.4),
                                                   Objective("max_sla", budget_usd=45)], ids=["cost", "floor", "sla"])


@every_solver
def test_every_name_in_the_registry_is_a_module(solver: str) -> None:
    """Each solver named in the registry is there."""
    assert importlib.util.find_spec(SOLVERS[solver]) is not None


@every_solver
@every_mode
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_answers_are_honest(solve_with: Solve, tiny_problem: Build, solver: str, objective: Objective,
                            seed: int) -> None:
    """There is a plan exactly where the status says so; it is legal, its bound holds, and "optimal" means the gap."""
    problem = replace(tiny_problem(seed, **SIZES), objective=objective)
    result, _ = solve_with(solver, problem, SETTINGS)
    assert (result.solution is not None) == (result.status in ("optimal", "feasible"))
    assert result.method
    if result.solution is None:
        return
    verdict = verify(problem, result.solution, result.bound)
    assert verdict.violations == ()
    value = verdict.costs.total_usd if objective.mode == "min_cost" else verdict.attainment
    assert (relative_gap(objective.mode, value, result.bound) <= OPTIMAL_GAP + 1e-9) or result.status != "optimal"


@every_solver
@every_mode
def test_the_same_seed_gives_the_same_answer(solve_with: Solve, tiny_problem: Build, solver: str,
                                             objective: Objective) -> None:
    """Solving twice with one seed gives the same units, machines and bound."""
    problem = replace(tiny_problem(4, **SIZES), objective=objective)
    one, two = (solve_with(solver, problem, SETTINGS)[0] for _ in range(2))
    assert (one.status, one.bound, one.method) == (two.status, two.bound, two.method)
    assert one.solution is not None
    assert two.solution is not None
    assert (one.solution.machines == two.solution.machines).all()
    for name in ("stream", "copy", "candidate", "variant", "start"):
        assert (getattr(one.solution.units, name) == getattr(two.solution.units, name)).all()


@every_solver
def test_the_problem_is_left_as_it_was(solve_with: Solve, tiny_problem: Build, solver: str) -> None:
    """No solver changes its input."""
    _, unchanged = solve_with(solver, tiny_problem(5, **SIZES), SETTINGS)
    assert unchanged


@every_solver
def test_no_room_is_not_a_plan(solve_with: Solve, tiny_problem: Build, solver: str) -> None:
    """Without any machine to run there is no plan; solvers that prove things say that there is none."""
    problem = tiny_problem(6, **SIZES)
    none = np.zeros_like(problem.pools.max_machines)
    busy = replace(problem.variants, rows=np.maximum(problem.variants.rows, 1))
    empty = replace(problem, pools=replace(problem.pools, max_machines=none), variants=busy)
    must = replace(empty, workloads=replace(problem.workloads, droppable=np.zeros_like(problem.workloads.droppable)))
    result, _ = solve_with(solver, must, SETTINGS)
    assert result.solution is None
    assert result.status in (("infeasible",) if solver in PROVERS else ("infeasible", "unknown"))


@every_solver
def test_a_budget_below_what_is_owned_cannot_be_kept(solve_with: Solve, tiny_problem: Build, solver: str) -> None:
    """Machines that are owned are paid even by the empty plan, so a smaller budget has no plan."""
    problem = tiny_problem(6, **SIZES)
    owned = replace(problem.offers, owned=np.where(problem.offers.purchase[:, None] == 0, 1, problem.offers.owned))
    poor = replace(problem, offers=owned, objective=Objective("max_sla", budget_usd=0.5))
    result, _ = solve_with(solver, poor, SETTINGS)
    if (owned.owned * owned.price_usd).sum() <= 0.5:
        pytest.skip("nothing is owned")
    assert result.solution is None
    assert result.status in (("infeasible",) if solver in PROVERS else ("infeasible", "unknown"))


@every_solver
def test_nothing_to_place_costs_what_is_owned(solve_with: Solve, tiny_problem: Build, solver: str) -> None:
    """A problem without streams has the empty plan, which pays for what is owned."""
    problem = without_streams(tiny_problem(7, **SIZES))
    result, _ = solve_with(solver, problem, SETTINGS)
    assert result.solution is not None
    verdict = verify(problem, result.solution, result.bound)
    assert verdict.violations == ()
    fixed, least = problem.offers.purchase <= 1, problem.pools.min_machines
    owned = (problem.offers.owned * problem.offers.price_usd)[fixed].sum()
    assert verdict.costs.total_usd >= owned - 1e-9
    assert least.any() or np.isclose(verdict.costs.total_usd, owned)


def without_streams(problem: Problem) -> Problem:
    """The same pools and offers with no work at all."""
    s, c, v, f = problem.streams, problem.candidates, problem.variants, problem.flows
    none = np.zeros(0, np.int64)
    return replace(
        problem, streams=replace(s, workload=none, shape=none, preemptible=none.astype(bool), availability=np.zeros(0),
                                 candidate_first=np.zeros(1, np.int64), variant_first=np.zeros(1, np.int64)),
        workloads=replace(problem.workloads, weight=np.zeros(0), droppable=np.zeros(0, bool)),
        candidates=replace(c, stream=none, pool=none, speed=none, cost_usd=np.zeros(0), user_usd=np.zeros(0),
                           single=np.zeros(0, bool)),
        variants=replace(v, **dict.fromkeys(("stream", "copies", "speed", "row", "level", "length", "period", "runs",
                                             "earliest", "latest"), none), rows=v.rows[:0]),
        flows=replace(f, sender=none, receiver=none, gb=np.zeros(0)))


@every_solver
def test_a_tenth_of_a_second_is_kept(tiny_problem: Build, solver: str) -> None:
    """With 0.1 s there is an answer, or "unknown", at once, on a problem that takes longer than that."""
    progress: list[float] = []
    problem = tiny_problem(8, **SIZES)
    result = solve(problem, solver, replace(SETTINGS, time_limit_s=0.1), lambda p: progress.append(p.seconds), bool)
    assert (result.solution is not None) == (result.status in ("optimal", "feasible"))
    assert progress[-1] < 0.1 + grace_s(0.1) + 20  # far from the minutes of one that nobody ends
