"""How long room lasts as one HTML page that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from planner.capacity_view import capacity_sections, headline, notes
from planner.files import write_atomically
from planner.remaining import Remaining
from planner.report.page import SHOWN, framed
from planner.report.plain import plain as json_of
from planner.terminal import plain

DRAWN = 40
"""Pools and shared limits that the chart shows, the soonest first."""


def write_capacity(path: Path, found: Remaining) -> None:
    """Write the page to `path`, whole or not at all. Raises OSError when that is not possible."""
    write_atomically(path, render_capacity(found).encode())


def render_capacity(found: Remaining) -> str:
    """The page. The same figures give the same bytes."""
    return framed("capacity.html.j2", "capacity.js", capacity_view(found))


def capacity_view(found: Remaining) -> dict[str, Any]:
    """What a page shows of it, as JSON has it."""
    data = _data(found)
    shown: dict[str, Any] = json_of({"name": plain(found.name), "headline": headline(found),
                                     "notes": list(notes(found)), "sections": capacity_sections(found, SHOWN),
                                     "drawn": bool(data["pools"]), "data": data})
    return shown


def _data(found: Remaining) -> dict[str, Any]:
    rows = [row for row in found.left if row.p10 is not None
            and (row.what == "limit" or (row.what == "pool" and row.resource == "machines"))]
    pools = sorted(rows, key=lambda row: (row.p50 or found.end, row.p10 or found.end, row.name))
    return {"start": f"{found.start:%Y-%m-%d}", "end": f"{found.end:%Y-%m-%d}",
            "pools": [{"name": row.name, "dates": [f"{date:%Y-%m-%d}" if date else None
                                                   for date in (row.p10, row.p50, row.p90)]}
                      for row in pools[:DRAWN]]}
