"""Files that a command is asked to write: looked at before the work starts, so that hours of solving are not lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from planner.errors import InputError


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path] = ()) -> None:
    """Raise InputError unless every file (by the option that names it) can be written and no two are the same.

    None may be one of `inputs`, nor lie in one that is a folder.
    """
    given = {option: path for option, path in outputs.items() if path is not None}
    problems = [problem for option, path in given.items() if (problem := _problem(option, path))]
    sources = [source.resolve() for source in inputs]
    problems += [f"{option}: {path}: what is read would be lost, or read again as if it were given; name another file"
                 for option, path in given.items()
                 if any(path.resolve() == source or (source.is_dir() and source in path.resolve().parents)
                        for source in sources)]
    seen: dict[Path, str] = {}
    for option, path in given.items():
        first = seen.setdefault(path.resolve(), option)
        if first != option:
            problems.append(f"{option}: {path}: the same file as {first}; name another")
    if problems:
        raise InputError(problems)


@contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Turn a failure to write (a full disk, say) into an InputError that names the option and the file."""
    try:
        yield
    except OSError as error:
        raise InputError([f"{option}: {path}: not written: {error.strerror or error}"]) from error


@contextmanager
def not_lost(show: Callable[[], None]) -> Iterator[None]:
    """Show what was found where it cannot be written: what took long to find must not be lost with the disk."""
    try:
        yield
    except InputError:
        show()
        raise


def _problem(option: str, path: Path) -> str | None:
    folder = path.parent
    if path.exists() and not path.is_file():
        return f"{option}: {path}: is not a regular file; name a file to write"
    if not folder.is_dir():
        return f"{option}: {path}: there is no folder {folder}; make it first"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{option}: {path}: the folder {folder} is not writable"
    return None
