"""The price of nines as one HTML page that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from planner.files import write_atomically
from planner.pareto import Pareto, Point
from planner.pareto_view import nines, pareto_sections
from planner.report.page import framed
from planner.report.plain import plain as json_of
from planner.terminal import plain


def write_curve(path: Path, found: Pareto) -> None:
    """Write the page to `path`, whole or not at all. Raises OSError when that is not possible."""
    write_atomically(path, render_curve(found).encode())


def render_curve(found: Pareto) -> str:
    """The page. The same points give the same bytes."""
    return framed("curve.html.j2", "curve.js", curve_view(found))


def curve_view(found: Pareto) -> dict[str, Any]:
    """What a page shows of it, as JSON has it."""
    shown: dict[str, Any] = json_of({
        "name": plain(found.name), "days": f"{found.hours / 24:.3g}", "notes": found.notes,
        "sections": pareto_sections(found), "data": _data(found),
        "attainment": any(point.attainment is not None for point in found.of("floor") + found.of("budget")),
        "availability": any(point.cost_usd is not None for point in found.of("availability"))})
    return shown


def _data(found: Pareto) -> dict[str, Any]:
    return {"floor": [_attained(point) for point in found.of("floor")],
            "budget": [_attained(point) for point in found.of("budget")],
            "availability": [{"name": nines(point.asked), "cost": point.cost_usd, "bound": point.bound,
                              "note": f"{point.meet} of {point.stating} workloads have it"}
                             for point in found.of("availability")]}


def _attained(point: Point) -> dict[str, Any]:
    """A point in the plane of cost and attainment; attainment in per cent."""
    share = None if point.attainment is None else round(100 * point.attainment, 9)
    bound = point.bound if point.sweep == "floor" or point.bound is None else round(100 * point.bound, 9)
    return {"name": point.name, "asked": point.asked, "cost": point.cost_usd, "attained": share, "bound": bound}
