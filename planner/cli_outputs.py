"""What a command is asked to write is looked at before it starts: no command of the CLI overwrites what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, get_type_hints

import typer
from typer.models import ParameterInfo

from planner.outputs import check_outputs

SCENARIO = "scenario"
"""The parameter of every command that reads one, with all files that it names."""

_ANY_OBJECTIVE = {"mode": "max_sla", "budget_usd": 1.0}
"""Which files a scenario has does not depend on it, and options may give what the scenario leaves out."""


def to_write(text: str, *names: str) -> Any:  # noqa: ANN401 - as Typer has it
    """An option that names a file to write."""
    return typer.Option(*names, writable=True, help=text)


def to_fill(text: str, *names: str) -> Any:  # noqa: ANN401 - as Typer has it
    """An option that names a folder to write files into."""
    return typer.Option(*names, writable=True, file_okay=False, help=text)


def careful(app: typer.Typer) -> None:
    """Let every command of `app` refuse, before it starts, files to write (parameters marked `writable`) that cannot be
    written, are the same, or are or lie in what its other parameters name to be read.
    """
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = _looked_at(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            careful(group.typer_instance)


def _looked_at(command: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(command)
    def checked(**given: Any) -> Any:  # noqa: ANN401 - as the command has them
        written, read = written_and_read(command, given)
        if written:
            check_outputs(written, _files(read, written.values()))
        return command(**given)

    return checked


def written_and_read(command: Callable[..., Any], given: Mapping[str, Any]
                     ) -> tuple[dict[str, Path], list[tuple[str, Path]]]:
    """Files that a command is to write, by their option, and the paths that it is to read, by their parameter."""
    written: dict[str, Path] = {}
    read: list[tuple[str, Path]] = []
    for name, hint in get_type_hints(command, include_extras=True).items():
        told = next((one for one in getattr(hint, "__metadata__", ()) if isinstance(one, ParameterInfo)), None)
        paths = _paths(given.get(name))
        if told is not None and not told.file_okay:  # what writes a folder says itself which files it may replace
            continue
        if told is not None and told.writable:
            option = next(iter(names_of(told)), f"--{name.replace('_', '-')}")
            written.update((option, path) for path in paths)
        else:
            read += [(name, path) for path in paths]
    return written, read


def names_of(told: ParameterInfo) -> list[str]:
    """The names of an option, the first of which stands where Typer has the default if there is no `Annotated`."""
    return [name for name in (told.default, *(told.param_decls or ())) if isinstance(name, str)]


def _paths(value: object) -> list[Path]:
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    return [one for one in values if isinstance(one, Path)]


def _files(read: Iterable[tuple[str, Path]], written: Iterable[Path]) -> Iterator[Path]:
    """The files behind what is to be read. In the folder of a scenario plans and pages may lie, so that only files
    which the scenario names count; it is opened where one of them may be meant.
    """
    there = [path.resolve() for path in written if path.is_file()]
    for name, path in read:
        folder = path if path.is_dir() else path.parent
        if name != SCENARIO:
            yield path
        elif any(folder.resolve() in one.parents for one in there):
            from planner.scenario import read_scenario  # heavy: only this question pays for it

            yield from read_scenario(path, _ANY_OBJECTIVE).files
