"""The small fleet of the planner's tests."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.plan import Plan

FLEET = "planner_fleet"


def _fleet() -> Any:
    """The conftest of the planner's tests."""
    if FLEET not in sys.modules:
        spec = importlib.util.spec_from_file_location(FLEET, Path(__file__).parents[1] / "planner" / "conftest.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[FLEET] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    return sys.modules[FLEET]


@pytest.fixture(scope="session")
def small() -> Callable[[], dict[str, Any]]:
    """The builder of the small fleet."""
    build: Callable[[], dict[str, Any]] = _fleet().plain_fleet
    return build


@pytest.fixture(scope="session")
def new() -> Callable[..., dict[str, Any]]:
    """Make a workload in plain words: a name, and what differs from the plain one."""
    build: Callable[..., dict[str, Any]] = _fleet().workload
    return build


@pytest.fixture(scope="session")
def plan_of() -> Callable[..., Plan]:
    """Make a plan from places ("cluster/pool" by workload), machines (by place and purchase) and start slots."""
    make: Callable[..., Plan] = _fleet().plan_of.__wrapped__()
    return make
