"""What every test of importers asks for."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from planner.catalog import builtin_catalog
from planner.importers.draft import Asked

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def asked() -> Asked:
    """A day from 2 November 2026, by the built-in prices."""
    return Asked("imported", datetime(2026, 11, 2, tzinfo=UTC), 24, 60, builtin_catalog())


@pytest.fixture(scope="session")
def samples() -> Callable[[str], list[str]]:
    """The sources of an importer's sample, in order."""
    return lambda name: [str(path) for path in sorted((HERE / "samples" / name).iterdir())]
