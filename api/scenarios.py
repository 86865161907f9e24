"""Scenarios that the service may plan: those in its folder, by name, and those that come with a request."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.settings import Settings
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.scenario import Scenario


NOWHERE = Path("/dev/null/a request carries no files")
"""The folder of scenarios that come with a request: it cannot exist, so nothing of this machine can be named."""


def scenario_names(root: Path | None) -> list[str]:
    """Names of the scenario folders right below `root`, sorted."""
    if root is None:
        return []
    return sorted(folder.name for folder in root.iterdir() if _is_inside(folder, root))


def named_scenario(root: Path | None, name: str) -> Path:
    """The folder of a scenario. A name is one of those that are there: no path, and no link out of the folder.

    Raises:
        InputError: there is none of that name; with the nearest.

    """
    known = scenario_names(root)
    if root is None or name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"'{near[0]}'?" if near else f"this service has {', '.join(known) or 'none; give the scenario itself'}"
        raise InputError([f"scenario: {name!r}: not known; {hint}"])
    return root / name


def _is_inside(folder: Path, root: Path) -> bool:
    file = folder / "scenario.yaml"
    return file.is_file() and file.resolve().is_relative_to(root.resolve())


def read(root: Path | None, scenario: str | Mapping[str, Any]) -> Scenario:
    """Read a scenario by its name or from its fields.

    Raises:
        InputError: with every mistake in it.

    """
    from planner.scenario import parse_scenario, read_scenario  # pandas: the service answers before it is loaded

    if isinstance(scenario, str):
        return read_scenario(named_scenario(root, scenario))
    return parse_scenario(scenario, NOWHERE, "scenario")


def scenario_of(settings: Settings, request: Mapping[str, Any], given: str | None) -> Scenario:
    """Read the scenario of a job again, from what came with it or by the name in its request. Raises InputError."""
    return read(settings.scenarios, json.loads(given) if given is not None else request["scenario"])
