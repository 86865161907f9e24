"""`planner attribute`: read, attribute, show."""

from __future__ import annotations

from pathlib import Path

import typer

from planner.attribute import Asked, run_attribute
from planner.commands.basic import DONE, NO, print_json, show_table
from planner.terminal import plain


def attribute(path: Path, asked: Asked, as_json: bool) -> int:
    """Show where a rise of a rate comes from; the answer is no when there is one."""
    found = run_attribute(path, asked)
    if as_json:
        print_json(found.to_dict())
        return NO if found.causes else DONE
    said = f"{asked.bad} of {asked.total}: {found.rate:.3g} from {found.since} on, {found.usual:.3g} before"
    if not found.causes:
        typer.echo(plain(f"{path.name}: {said}: no rise"))
        return DONE
    show_table(f"{path.name}: {said}", ("Where", "Rate", "Usual", "Share of the rise", "Affected there"), [
        (" and ".join(f"{name}={value}" for name, value in one.conditions) or "everywhere", f"{one.rate:.3g}",
         f"{one.expected:.3g}", f"{one.share:.0%}", f"{one.purity:.0%}") for one in found.causes])
    return NO
