"""The small fleet of the planner's tests and the tiny problems of the engine's."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from placement.problem import Problem

TESTS = Path(__file__).parents[1]


def _loaded(folder: str) -> ModuleType:
    """The conftest of another folder of tests."""
    name = f"{folder}_tests"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, TESTS / folder / "conftest.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def tiny_problem() -> Callable[..., Problem]:
    """`build_problem(seed, ...)` of the engine's tests."""
    build: Callable[..., Problem] = _loaded("placement").build_problem
    return build


@pytest.fixture(scope="session")
def small() -> Callable[[], dict[str, Any]]:
    """The builder of the small fleet."""
    build: Callable[[], dict[str, Any]] = _loaded("planner").plain_fleet
    return build


@pytest.fixture(scope="session")
def new() -> Callable[..., dict[str, Any]]:
    """Make a workload in plain words."""
    build: Callable[..., dict[str, Any]] = _loaded("planner").workload
    return build
