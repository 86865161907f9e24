"""`planner export NAME`: a plan in the words of other tools, as a folder of files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import typer

from planner.catalog import Catalog
from planner.commands.basic import DONE, print_json
from planner.errors import InputError
from planner.exporters import exporter
from planner.exporters.planned import open_planned
from planner.exporters.text import Files, json_text
from planner.files import write_together
from planner.terminal import plain

INDEX = "export.json"
"""Lists what was written, so that the next export can take away what is no longer part of it."""


def export_plan(name: str, scenario: Path, plan: Path, folder: Path, slot: int | None, prices: Catalog,
                as_json: bool) -> int:
    """Write a plan as others apply it."""
    planned = open_planned(scenario, plan, prices)
    files = exporter(name)(planned, slot)
    content = {"exporter": name, "plan_id": planned.plan.plan_id,
               "files": {path: sha256(found).hexdigest() for path, found in sorted(files.items())}}
    write_folder(folder, files, content, INDEX)
    if as_json:
        print_json({"folder": str(folder), **content})
    else:
        size = sum(len(found) for found in files.values())
        none = "" if files else f"; nothing in the plan is what {name} is for: `planner export {name} --help`"
        typer.echo(plain(f"{folder}: {len(files)} files, {size:,} bytes, of plan {planned.plan.plan_id[:12]}{none}"))
    return DONE


def write_folder(folder: Path, files: Files, index: Mapping[str, object], index_name: str) -> None:
    """Write files and their index, and take away what was written with an earlier index and is not among them.

    Raises InputError where the folder cannot be written, and where files that no index lists are in the way.
    """
    before = _written_before(folder / index_name)
    paths = {folder / path: found for path, found in files.items()}
    foreign = [path for path in paths if path.exists() and path.relative_to(folder).as_posix() not in before]
    if foreign:
        raise InputError([f"{foreign[0]}: is there already, and {index_name} does not list it: name another folder"])
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_together(paths | {folder / index_name: json_text(index)})
        for stale in before - files.keys():
            (folder / stale).unlink(missing_ok=True)
    except OSError as error:
        raise InputError([f"{folder}: cannot be written: {error.strerror}: name another folder"]) from None


def _written_before(index: Path) -> set[str]:
    """Files that an index lists; a path that leads out of its folder counts for nothing."""
    try:
        listed = json.loads(index.read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    root = index.parent.resolve()
    return {path for path in listed if (root / path).resolve().is_relative_to(root)}
