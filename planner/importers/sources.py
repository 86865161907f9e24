"""What an import is given: files, folders of them and addresses of Prometheus, read once, by what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.importers.draft import Asked
from planner.importers.prometheus import fetch, is_address, result
from planner.kube.objects import Thing, read_values, things_of

SUFFIXES = (".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Source:
    """One argument of an import and what was found in it: objects of Kubernetes, and results of range queries."""

    name: str
    things: tuple[Thing, ...]
    results: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Sources:
    """All arguments of an import."""

    found: tuple[Source, ...] = field(default=())

    @property
    def names(self) -> str:
        """All of them, for messages."""
        return ", ".join(source.name for source in self.found)

    @property
    def things(self) -> list[Thing]:
        """All objects."""
        return [thing for source in self.found for thing in source.things]

    def clusters(self, kind: str) -> dict[str, Source]:
        """What belongs together: a source with an object of a kind is a cluster of its name; the others belong to it.

        Raises InputError where there are several clusters, and so it cannot be told to which the others belong.
        """
        homes = [source for source in self.found if any(thing.kind == kind for thing in source.things)]
        others = [source for source in self.found if source not in homes]
        if len(homes) > 1 and others:
            mend = "put the files of each cluster into a folder of its name"
            raise InputError([f"{others[0].name}: no {kind} in it, and there are several clusters: {mend}"])
        return {source.name: Source(source.name, tuple(thing for one in (source, *others) for thing in one.things),
                                    tuple(found for one in (source, *others) for found in one.results))
                for source in homes}


def read_sources(names: Sequence[str], asked: Asked) -> Sources:
    """Read files and folders, and ask each Prometheus. Raises InputError for what cannot be read or is not known."""
    return Sources(tuple(Source(name, (), (fetch(name, asked),)) if is_address(name) else _source(Path(name))
                         for name in names))


def _source(path: Path) -> Source:
    files = _files(path) if path.is_dir() else [path]
    things, results = list[Thing](), list[Mapping[str, Any]]()
    for file in files:
        for value in read_values(file):
            if isinstance(value, dict) and "kind" not in value and {"status", "data"} <= value.keys():
                results.append({**result(value, file.name), "file": file.name})
            elif not (path.is_dir() and _apart(value)):
                things += things_of(value, file.name)
    return Source(path.stem if path.is_file() else path.resolve().name, tuple(things), tuple(results))


def _files(folder: Path) -> list[Path]:
    """Files of a folder that may hold objects, in order."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise InputError([f"{folder}: no file with objects: {', '.join(SUFFIXES)} are read"])
    return found


def _apart(value: object) -> bool:
    """Whether a document in a folder is no object of Kubernetes: a kustomization, or the index of an export."""
    return isinstance(value, dict) and (value.get("kind") == "Kustomization" or "exporter" in value)
