"""Files that requests may name: those right in a folder of the service, by name, and nothing else of this machine; and
whether files have changed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from planner.errors import InputError


def names_in(root: Path | None, endings: Iterable[str]) -> list[str]:
    """Names of the files that may be named, without their endings, sorted."""
    return sorted(_files(root, endings))


def named_file(root: Path | None, name: str, endings: Iterable[str], what: str) -> Path:
    """The file of a name without its ending. A name is one of those that are there: no path, no link out of the folder.

    Raises:
        InputError: there is none of that name; with the nearest.

    """
    found = _files(root, endings)
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"'{near[0]}'?" if near else f"this service has {', '.join(found) or 'none'}"
        raise InputError([f"{what}: {name!r}: not known; {hint}"])
    return found[name]


def stamps(paths: Iterable[Path]) -> list[tuple[int, int]]:
    """When files were written, and how long they are; of the folder of a scenario its own file."""
    files = (path / "scenario.yaml" if path.is_dir() else path for path in paths)
    stats = [path.stat() for path in files if path.exists()]
    return [(one.st_mtime_ns, one.st_size) for one in stats]


def _files(root: Path | None, endings: Iterable[str]) -> dict[str, Path]:
    """Files right in a folder that end so, by name."""
    wanted = set(endings)
    return {} if root is None else {path.stem: path for path in sorted(root.iterdir())
                                    if path.suffix in wanted and path.is_file() and _inside(path, root)}


def _inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())
