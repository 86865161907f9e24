"""Files of a set, whether they lie in a folder or in archives there; and cases in two halves."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

HALVES = ("development", "check")


def files_in(data: Path, archives: str) -> Iterator[tuple[str, bytes]]:
    """Path and content of every file under `data`, and in every archive there that matches `archives`.

    Raises:
        ValueError: `data` is no folder.

    """
    if not data.is_dir():
        raise ValueError(f"--data {data}: is no folder")
    packed = sorted(data.glob(archives))
    for path in packed:
        with tarfile.open(path) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is not None:
                    yield f"{path.name.split('.')[0]}/{member.name.removeprefix('./')}", content.read()
    if not packed:
        for path in sorted(data.rglob("*")):
            if path.is_file():
                yield path.relative_to(data).as_posix(), path.read_bytes()


def half_of(name: str) -> str:
    """The half a case is in, by the hash of a name: choices were made on the first half only."""
    return HALVES[hashlib.sha256(name.encode()).digest()[0] % 2]


def wanted(found: list[str], instances: tuple[str, ...], data: Path) -> None:
    """Refuse instances that are not there, and data without any.

    Raises:
        ValueError: names what is missing and what was found.

    """
    missing = sorted(set(instances) - set(found))
    if missing or not found:
        shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
        raise ValueError(f"--data {data}: no case {', '.join(missing)}".rstrip() + f"; found: {shown or 'none'}")
