"""Fixtures that every area shares."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with real prices and traces beside the project; skip where it is absent, unless required."""
    folder = ROOT.parent / "shared"
    if (folder / "data").is_dir():
        return folder
    message = f"{folder.name}/data is not beside the project: real prices and traces are not tested"
    if os.environ.get("PLANNER_REQUIRE_DATA") == "1":
        pytest.fail(message + " (PLANNER_REQUIRE_DATA=1 asks for it)")
    pytest.skip(message)
