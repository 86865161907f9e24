"""The price of nines as one HTML page that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from planner.files import write_atomically
from planner.pareto import Pareto, Point
from planner.pareto_view import nines, pareto_sections
from planner.report.page import drawn_by, environment, text_of
from planner.terminal import plain


def write_curve(path: Path, found: Pareto) -> None:
    """Write the page to `path`, whole or not at all. Raises OSError when that is not possible."""
    write_atomically(path, render_curve(found).encode())


def render_curve(found: Pareto) -> str:
    """The page. The same points give the same bytes."""
    return environment().get_template("curve.html.j2").render(
        name=plain(found.name), days=f"{found.hours / 24:.3g}", notes=found.notes, sections=pareto_sections(found),
        css=Markup(text_of("templates/report.css")), **drawn_by("curve.js", _data(found)),  # noqa: S704 (our own)
        attainment=any(point.attainment is not None for point in found.of("floor") + found.of("budget")),
        availability=any(point.cost_usd is not None for point in found.of("availability")))


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
