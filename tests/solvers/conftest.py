"""Random tiny problems, and solvers that each stay in a process of their own for the whole test run."""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from placement.problem import Problem
from placement.result import Result, Settings

ROOT = Path(__file__).parents[2]
Solve = Callable[[str, Problem, Settings], tuple[Result, bool]]


@pytest.fixture(scope="session")
def tiny_problem() -> Callable[..., Problem]:
    """`build_problem(seed, ...)` of the placement tests."""
    spec = importlib.util.spec_from_file_location("tiny_problems", ROOT / "tests" / "placement" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    build: Callable[..., Problem] = module.build_problem
    return build


@pytest.fixture(scope="session")
def solve_with() -> Iterator[Solve]:
    """Solve a problem by name: (result, whether the problem was left as it was).

    A process per solver serves all tests, because some solver libraries cannot be loaded together and all load slowly.
    """
    servers: dict[str, subprocess.Popen[bytes]] = {}

    def solve(solver: str, problem: Problem, settings: Settings) -> tuple[Result, bool]:
        if solver not in servers:
            script = Path(__file__).parent / "processes" / "server.py"
            servers[solver] = subprocess.Popen(
                [sys.executable, "-P", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"})
        inlet, outlet = servers[solver].stdin, servers[solver].stdout
        assert inlet is not None
        assert outlet is not None
        pickle.dump((problem, solver, settings), inlet)
        inlet.flush()
        answer: tuple[Result, bool] | str = pickle.load(outlet)
        if isinstance(answer, str):
            pytest.fail(f"{solver} raised:\n{answer}")
        return answer

    yield solve
    for server in servers.values():
        server.communicate()
