"""`planner pareto`: sweep, show, write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from planner.catalog import Catalog
from planner.commands.basic import DONE, NO, print_json
from planner.errors import InputError
from planner.outputs import not_lost, writing
from planner.pareto import Pareto, pareto
from planner.pareto_view import pareto_view
from planner.planning import PlanRequest
from planner.report.curve import write_curve
from planner.terminal import Interrupt, ProgressLine, console

if TYPE_CHECKING:
    from planner.scenario import Scenario

MOST_POINTS = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """How many points a sweep has, the seconds for all, and files to write: the page, and a folder for the plans."""

    points: int
    time_limit_s: float | None = None
    page: Path | None = None
    plans: Path | None = None


def price_of_nines(source: Path | Scenario, request: PlanRequest, asked: Asked, prices: Catalog, as_json: bool) -> int:
    """Sweep floors, budgets and availabilities. The answer is no when there is no plan at any point."""
    if not 2 <= asked.points <= MOST_POINTS:
        raise InputError([f"--points: {asked.points}: from 2 to {MOST_POINTS} are allowed"])
    if asked.plans is not None and not asked.plans.is_dir():
        raise InputError([f"--plans: {asked.plans}: is no folder; make it first"])
    with Interrupt() as interrupted, ProgressLine(request.time_limit_s) as progress:
        found = pareto(source, request, asked.points, asked.time_limit_s, prices, progress, interrupted)
    with not_lost(lambda: _show(found, as_json)):
        if asked.page is not None:
            with writing("-o", asked.page):
                write_curve(asked.page, found)
        if asked.plans is not None:
            _write_plans(found, asked.plans)
    _show(found, as_json)
    return DONE if found.plans else NO


def _show(found: Pareto, as_json: bool) -> None:
    if as_json:
        print_json(found.to_dict())
    else:
        console().print(pareto_view(found))


def _write_plans(found: Pareto, folder: Path) -> None:
    """One plan.json a point, named after what was asked."""
    for point in found.points:
        if point.plan_id:
            path = folder / f"{point.sweep}-{point.asked:.12g}.json"
            with writing("--plans", path):
                found.plans[point.plan_id].write(path)
