"""What the clouds offer: the built-in catalog, and catalogs read from files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from planner.catalog import files
from planner.catalog.model import Catalog, Price, Region
from planner.catalog.rows import read_own

__all__ = ["Catalog", "Price", "Region", "builtin_catalog", "read_catalog"]


@cache
def builtin_catalog() -> Catalog:
    """The catalog that comes with the planner: `data/*.csv` beside this file, each row with its source and date."""
    return read_own(Path(__file__).parent / "data")


def read_catalog(path: Path) -> Catalog:
    """A catalog from files (see `files.read_catalog`), over the built-in one. Raises InputError."""
    return files.read_catalog(Path(path), builtin_catalog())
