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
"""Lists what an export wrote, so that the next one can take away what is no longer part of it."""


def export_plan(name: str, scenario: Path, plan: Path, folder: Path, slot: int | None, prices: Catalog,
                as_json: bool) -> int:
    """Write a plan as others apply it."""
    planned = open_planned(scenario, plan, prices)
    files = exporter(name)(planned, slot)
    content = {"exporter": name, "plan_id": planned.plan.plan_id,
               "files": {path: sha256(found).hexdigest() for path, found in sorted(files.items())}}
    write_folder(folder, files, content)
    if as_json:
        print_json({"folder": str(folder), **content})
    else:
        size = sum(len(found) for found in files.values())
        typer.echo(plain(f"{folder}: {len(files)} files, {size:,} bytes, of plan {planned.plan.plan_id[:12]}"))
    return DONE


def write_folder(folder: Path, files: Files, index: Mapping[str, object]) -> None:
    """Write files and their index, and take away what an earlier export wrote that is not among them.

    Raises InputError where the folder cannot be written, and where files that no export wrote are in the way.
    """
    before = _written_before(folder)
    paths = {folder / path: found for path, found in files.items()}
    foreign = [path for path in paths if path.exists() and path.relative_to(folder).as_posix() not in before]
    if foreign:
        raise InputError([f"{foreign[0]}: is there already and no export wrote it: name another folder"])
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_together(paths | {folder / INDEX: json_text(index)})
        for stale in before - files.keys():
            (folder / stale).unlink(missing_ok=True)
    except OSError as error:
        raise InputError([f"{folder}: cannot be written: {error.strerror}: name another folder"]) from None


def _written_before(folder: Path) -> set[str]:
    """Files that the index of a folder lists; a path that leads out of it counts for nothing."""
    try:
        listed = json.loads((folder / INDEX).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    root = folder.resolve()
    return {path for path in listed if (root / path).resolve().is_relative_to(root)}
