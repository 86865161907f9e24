"""From a draft to the files of a scenario that plans as it is."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from planner.importers.draft import Asked, Draft, Fields
from planner.resolve import resolve
from planner.scenario import Scenario, read_scenario
from planner.scenario.yaml_file import dump_yaml

MAIN, GUESSED, WORKLOADS = "scenario.yaml", "guessed.txt", "workloads.yaml"
INLINE = 200
"""Workloads from which on they stand in a file of their own."""


def files_of(draft: Draft, asked: Asked, origin: str) -> dict[str, bytes]:
    """The files of a draft: the scenario, what lies beside it, and what was guessed, a line each."""
    content: Fields = {
        "name": asked.name,
        "horizon": {"start": asked.start.strftime("%Y-%m-%dT%H:%M:%SZ"), "slots": asked.slots,
                    "slot_minutes": asked.slot_minutes},
        "objective": {"mode": "min_cost"}, **draft.more, "clusters": draft.clusters, "workloads": draft.workloads}
    files = dict(draft.files)
    if len(draft.workloads) > INLINE:
        files[WORKLOADS] = dump_yaml(draft.workloads).encode()
        content["workloads"] = WORKLOADS
    head = f"# Imported from {origin}. What was guessed on the way: {GUESSED}\n"
    files[MAIN] = (head + dump_yaml(content)).encode()
    files[GUESSED] = "".join(f"{guess.line}\n" for guess in draft.guesses()).encode()
    return files


def check(files: dict[str, bytes], asked: Asked) -> Scenario:
    """The scenario that some files make, resolved. Raises InputError with what `planner plan` would refuse."""
    with TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        return resolve(read_scenario(Path(folder)), asked.catalog)
