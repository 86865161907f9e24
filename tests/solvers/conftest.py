"""Random tiny problems for the solvers' tests, from the builder that all tests of placement share."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from placement.problem import Problem


@pytest.fixture(scope="session")
def tiny_problem() -> Callable[..., Problem]:
    """`build_problem(seed, ...)` of the placement tests."""
    path = Path(__file__).parents[1] / "placement" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tiny_problems", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    build: Callable[..., Problem] = module.build_problem
    return build
