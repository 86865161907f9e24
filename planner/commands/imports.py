"""`planner import NAME`: what users have as a scenario that plans as it is, with a list of what was guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import typer

from planner.catalog import Catalog
from planner.commands.basic import DONE, print_json
from planner.commands.exports import write_folder
from planner.errors import InputError
from planner.importers import importer
from planner.importers.complete import MAIN, check, files_of
from planner.importers.draft import Asked
from planner.terminal import plain

INDEX = "import.json"
SHOWN = 20
RATE = re.compile(r"([A-Z]{3})=([0-9]+(?:\.[0-9]+)?)")
CURRENCY = "USD"


def import_scenario(name: str, sources: Sequence[str], folder: Path, horizon: tuple[str | None, int, int],
                    prices: Catalog, as_json: bool, rates: Sequence[str] = ()) -> int:
    """Write a scenario, and show what was guessed."""
    start, slots, slot_minutes = horizon
    asked = Asked(folder.resolve().name, moment(start), slots, slot_minutes, prices, worth_of(rates))
    draft = importer(name)(sources, asked)
    files = files_of(draft, asked, f"{name}: {', '.join(sources)}")
    try:
        scenario = check(files, asked)
    except InputError as error:
        whose = f"{', '.join(sources)}: what it says makes no scenario"
        raise InputError([f"{whose}: {line.removeprefix(f'{MAIN}: ')}" for line in error.problems]) from None
    content = {"importer": name, "sources": list(sources),
               "files": {path: sha256(found).hexdigest() for path, found in sorted(files.items())}}
    write_folder(folder, files, content, INDEX)
    guesses = list(draft.guesses())
    if as_json:
        print_json({"folder": str(folder), "clusters": len(scenario.clusters), "workloads": len(scenario.workloads),
                    "guessed": [guess._asdict() for guess in guesses]})
        return DONE
    typer.echo(plain(f"{folder}: {len(scenario.workloads)} workloads, {len(scenario.clusters)} clusters"))
    for guess in guesses[:SHOWN]:
        typer.echo(plain(f"guessed: {guess.line}"))
    if len(guesses) > SHOWN:
        typer.echo(f"and {len(guesses) - SHOWN} more guesses: {folder / 'guessed.txt'}")
    return DONE


def worth_of(rates: Sequence[str]) -> dict[str, float]:
    """USD by code of a currency, of texts such as EUR=1.08. Raises InputError."""
    found: dict[str, float] = {}
    for text in rates:
        parts = RATE.fullmatch(text)
        if parts is None or float(parts[2]) <= 0 or parts[1] == CURRENCY or parts[1] in found:
            needed = "a currency's code and the USD that one is worth are needed, each code once, such as EUR=1.08"
            raise InputError([f"--usd-per: {text!r}: {needed}"])
        found[parts[1]] = float(parts[2])
    return found


def moment(text: str | None) -> datetime:
    """When the horizon starts: as given, else at the next full hour. Raises InputError."""
    if text is None:
        return (datetime.now(UTC) + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InputError([f"--start: {text!r}: a time with its zone is needed, such as 2026-11-02T00:00:00Z"])
    return found.astimezone(UTC)
