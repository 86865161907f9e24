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


def right_size(path: Path, level: float, seed: int, as_json: bool) -> int:
    """Show requests for every workload of a history. The answer is no when none can be sized."""
    found = size_all(path, level, seed)
    if as_json:
        print_json(found.to_dict())
    else:
        _show(path, found)
    return DONE if found.rows else NO


def _show(path: Path, found: RightSizes) -> None:
    headings = ("workload", "metric", "request", "lower", "upper", f"forecast {found.level:g}", "slack", "shortfall",
                "forecast slack", "shortfall", "max slack", "shortfall")
    title = f"{path.name}: requests, and how they fared on days held out"
    console().print(section_table(listed(title, headings, [_row(row) for row in found.rows], ROWS, 2)))
    for name, why in found.refused.items():
        typer.echo(plain(f"refused: {name}: {why}"))


def _row(row: Sized) -> tuple[str, ...]:
    fared = [f"{100 * share:.1f} %" if how in row.fared else "" for how in ("histogram", "forecast", "max")
             for share in ((row.fared[how].slack, row.fared[how].shortfall) if how in row.fared else (0.0, 0.0))]
    last = "" if row.forecast is None else f"{row.forecast:,.4g}"
    return (row.workload, row.metric, f"{row.target:,.4g}", f"{row.lower:,.4g}", f"{row.upper:,.4g}", last, *fared)
