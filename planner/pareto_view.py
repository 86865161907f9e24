"""The price of nines for people, as tables; the same rows stand in the HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.text import Text

from planner.pareto import Pareto, Point, Sweep
from planner.sections import Section, listed, section_table
from planner.terminal import HOURS_PER_MONTH, percent, plain, usd

TITLES: dict[Sweep, str] = {
    "floor": "Least cost at an SLA floor (only droppable workloads may go)",
    "budget": "Most SLA attainment within a budget (any workload may go)",
    "availability": "Least cost where every workload that states an availability has so much"}
ROWS = 1000
MINUTES = 60
SECONDS = 3600


def pareto_view(found: Pareto) -> RenderableType:
    """One table a sweep, then what is to be known of them."""
    parts: list[RenderableType] = []
    for section in pareto_sections(found):
        parts += [section_table(section), ""]
    return Group(*parts, *(Text(plain(f"Note: {note}"), style="yellow") for note in found.notes))


def pareto_sections(found: Pareto) -> list[Section]:
    """The tables of all sweeps that have points."""
    made = [
        listed(TITLES["floor"], ("floor", "attained", "cost USD", "at least USD", "gap", "left out", "plan"),
               [(percent(point.asked), _attained(point), _cost(point), _bound(point), _gap(point), _left_out(point),
                 _plan(point)) for point in found.of("floor")], ROWS, 0, 5),
        listed(TITLES["budget"], ("budget USD", "attained", "at most", "gap", "cost USD", "left out", "plan"),
               [(usd(point.asked), _attained(point), "" if point.bound is None else percent(point.bound), _gap(point),
                 _cost(point), _left_out(point), _plan(point)) for point in found.of("budget")], ROWS, 0, 5),
        listed(TITLES["availability"], ("availability", "down a month", "have it", "cost USD", "more USD",
                                        "at least USD", "gap", "plan"), list(_availability(found)), ROWS, 0, 7)]
    return [section for section in made if section.rows]


def _availability(found: Pareto) -> Iterator[tuple[str, ...]]:
    points = found.of("availability")
    if not points:
        return
    more = ["", *(_more(before, after) for before, after in pairwise(points))]
    for point, extra in zip(points, more, strict=True):
        yield (nines(point.asked), downtime(point.asked), f"{point.meet:,} of {point.stating:,}", _cost(point), extra,
               _bound(point), _gap(point), _plan(point))


def nines(share: float) -> str:
    """An availability in per cent, with all its nines."""
    return f"{100 * share:.10g} %"


def downtime(availability: float) -> str:
    """How long a month something may be down."""
    seconds = (1 - availability) * HOURS_PER_MONTH * SECONDS
    if seconds >= SECONDS:
        return f"{seconds / SECONDS:.1f} h"
    return f"{seconds / MINUTES:.1f} min" if seconds >= MINUTES else f"{seconds:.0f} s"


def _more(before: Point, after: Point) -> str:
    """What the next nine costs more."""
    if before.cost_usd is None or after.cost_usd is None:
        return ""
    return f"{after.cost_usd - before.cost_usd:+,.2f}"


def _cost(point: Point) -> str:
    return "no plan" if point.cost_usd is None else usd(point.cost_usd)


def _attained(point: Point) -> str:
    return "" if point.attainment is None else percent(point.attainment)


def _bound(point: Point) -> str:
    return "" if point.bound is None else usd(point.bound)


def _gap(point: Point) -> str:
    return "" if point.gap is None else f"{100 * point.gap:.2f} %"


def _left_out(point: Point) -> str:
    more = f" and {len(point.left_out) - 3} more" if len(point.left_out) > 3 else ""
    return ", ".join(point.left_out[:3]) + more


def _plan(point: Point) -> str:
    """Why there is no plan, whose plan it is, or its id in short."""
    if point.why:
        return point.why
    return f"that of {point.taken_from}" if point.taken_from else point.plan_id[:12]
