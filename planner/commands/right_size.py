"""`planner right-size`: read, size, show."""

from __future__ import annotations

from pathlib import Path

import typer

from planner.commands.basic import DONE, NO, print_json
from planner.right_size import RightSizes, Sized
from planner.right_size import right_size as size_all
from planner.sections import listed, section_table
from planner.terminal import console, plain

ROWS = 200
WHOLE = 10_000
MEANT = ("slack: the share of what was requested that was not used; shortfall: the share of steps that used more; max: "
         "the most that was used before, and 15 %")


def right_size(path: Path, level: float, seed: int, as_json: bool) -> int:
    """Show requests for every workload of a history. The answer is no when none can be sized."""
    found = size_all(path, level, seed)
    if as_json:
        print_json(found.to_dict())
    else:
        _show(path, found)
    return DONE if found.rows else NO


def _show(path: Path, found: RightSizes) -> None:
    headings = ("workload", "metric", "request", "lower", "upper", f"forecast {found.level:g}", "days held out",
                *(f"{how}: slack, shortfall" for how in ("request", "forecast", "max")))
    title = f"{path.name}: requests, and how they fared on days held out"
    if found.rows:
        console().print(section_table(listed(title, headings, [_row(row) for row in found.rows], ROWS, 2)))
        typer.echo(MEANT)
    for name, why in found.refused.items():
        typer.echo(plain(f"refused: {name}: {why}"))


def _row(row: Sized) -> tuple[str, ...]:
    fared = [f"{100 * row.fared[how].slack:.1f} %, {100 * row.fared[how].shortfall:.1f} %" if how in row.fared else ""
             for how in ("histogram", "forecast", "max")]
    last = "" if row.forecast is None else _amount(row.forecast)
    sizes = [_amount(size) for size in (row.target, row.lower, row.upper)]
    return (row.workload, row.metric, *sizes, last, str(row.held_days or ""), *fared)


def _amount(size: float) -> str:
    """Four digits; of large sizes (bytes) all that are whole."""
    return f"{size:,.0f}" if size >= WHOLE else f"{size:,.4g}"
