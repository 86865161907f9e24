"""The settings of the service from one file, the environment and the command, in rising order; and what they mean."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from api.section import FROM_FILE, Section, parts
from api.settings import Settings
from planner.errors import InputError

PREFIX, INTO = "PLANNER_", "__"
"""PLANNER_NOTIFY__WINDOW_S is `window_s` of the section `notify`."""
NOT_SETTINGS = frozenset(
    {
        "PLANNER_CONFIG",
        "PLANNER_DEBUG",
        "PLANNER_API_KEY",
        "PLANNER_REQUIRE_DATA",
        "PLANNER_TELEMETRY_KEY_FILE",
    }
)
"""Variables that other commands, or the tests, read."""
_SHOWN_CHARACTERS = 80

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class _Source:
    """Where settings come from: nested values, and how one is called there."""

    values: Mapping[str, Any]
    before: str
    style: Literal["file", "environment", "command"]

    def has(self, where: Path_) -> bool:
        """Whether this source says something there."""
        found: Any = self.values
        for part in where:
            try:
                found = found[part]
            except (KeyError, IndexError, TypeError):
                return False
        return True

    def called(self, where: Path_) -> str:
        """The name of a setting in this source."""
        if self.style == "environment":
            return f"${variable(where)}"
        return self.before + (".".join(map(str, where)) if self.style == "file" else str(where[0]).replace("_", "-"))


def read_settings(config: Path | None, environment: Mapping[str, str], given: Mapping[str, Any]) -> Settings:
    """The settings: those `given` with the command over those of the environment over those of the file.

    Raises:
        InputError: a line for each name that is not known, with the nearest, and each value that is not allowed.

    """
    sources = [
        _Source({name: value for name, value in given.items() if value is not None}, "--", "command"),
        _Source(_of_environment(environment), "", "environment"),
        _Source({} if config is None else _of_file(config), f"{config}: ", "file"),
    ]
    merged: dict[str, Any] = {"data": _default_data(environment)}
    for source in reversed(sources):
        merged = _over(merged, source.values)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise InputError([_line(one, sources) for one in error.errors()]) from None


def variable(where: Path_) -> str:
    """The environment variable of a setting."""
    return PREFIX + INTO.join(str(part).upper() for part in where)


def _default_data(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "planner"


def _of_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError([f"--config: {path}: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError([f"{path}: not TOML: {error}"]) from None


def _of_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Values of variables, nested by their names; lists and tables are JSON."""
    found: dict[str, Any] = {}
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS or not text:
            continue
        *sections, last = name.removeprefix(PREFIX).lower().split(INTO)
        inner = found
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = text
        if text[0] in "[{":
            try:
                inner[last] = json.loads(text)
            except ValueError as error:
                raise InputError([f"${name}: not JSON: {error}"]) from None
    return found


def _over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values, those `above` winning; a secret and the file that holds it are one setting."""
    merged = {name: value for name, value in below.items()
              if name + FROM_FILE not in above and name.removesuffix(FROM_FILE) not in {*above} - {name}}
    for name, value in above.items():
        under = merged.get(name)
        merged[name] = _over(under, value) if isinstance(value, dict) and isinstance(under, dict) else value
    return merged


def _line(error: ErrorDetails, sources: Sequence[_Source]) -> str:
    """One mistake: where it was said, what was found, what is allowed."""
    where = error["loc"]
    said = next(
        (
            source.called(where[:length])
            for length in range(len(where), 0, -1)
            for source in sources
            if source.has(where[:length])
        ),
        ".".join(map(str, where)) or "settings",
    )
    if error["type"] == "extra_forbidden":
        known = _known(where[:-1])
        near = difflib.get_close_matches(str(where[-1]), known, n=1)
        return f"{said}: not known; " + (f"'{near[0]}'?" if near else f"allowed are {', '.join(known)}")
    if error["type"] == "missing":
        return f"{said}: {where[-1]}: missing"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error" or _is_secret(where):
        return f"{said}: {message}"
    return f"{said}: {json.dumps(error['input'], default=str, ensure_ascii=False)[:_SHOWN_CHARACTERS]}: {message}"


def _is_secret(where: Path_) -> bool:
    return any(where[-1] in one.secrets() for one in _at(where[:-1]))


def _known(where: Path_) -> list[str]:
    """Names that are allowed in a section."""
    return sorted({name for one in _at(where) for name in one.model_fields})


def _at(where: Path_) -> list[type[Section]]:
    """What a section may be. The number of a table in a list and its kind are no names."""
    sections: list[type[Section]] = [Settings]
    for part in where:
        sections = [
            inner for one in sections if part in one.model_fields for inner in _sections(one.model_fields[str(part)])
        ] or sections
    return sections


def _sections(field: FieldInfo) -> list[type[Section]]:
    return [part for part in parts(field.annotation) if isinstance(part, type) and issubclass(part, Section)]


class Described(NamedTuple):
    """What `planner settings` says of one setting."""

    name: str
    variable: str
    default: str
    meaning: str


def described(section: type[Section] = Settings, inside: str = "") -> Iterator[Described]:
    """Every setting with its default and meaning, those of sections after the others. Where tables of a list are of
    several kinds, what all have is said once.
    """
    for name, field in section.model_fields.items():
        if not _sections(field) or get_origin(field.annotation) in (list, tuple, dict):
            yield Described(inside + name, _variable(inside + name), _default(field), field.description or "")
        if name in section.secrets():
            file = inside + name + FROM_FILE
            yield Described(file, _variable(file), "", f"a file that holds `{name}`")
    for name, field in section.model_fields.items():
        if get_origin(field.annotation) is dict:  # by names of their own: the description says what they take
            continue
        kinds = {_kind(one): list(described(one, "")) for one in _sections(field)}
        shared = [row for row in next(iter(kinds.values()), []) if all(row in rows for rows in kinds.values())]
        brackets = "[]" if _is_list(field) else ""
        yield from (_within(row, f"{inside}{name}{brackets}.") for row in shared)
        for kind, rows in kinds.items():
            where = f"{inside}{name}[{kind}]." if len(kinds) > 1 else f"{inside}{name}{brackets}."
            yield from (_within(row, where) for row in rows if row not in shared)


def _within(row: Described, where: str) -> Described:
    return row._replace(name=where + row.name, variable=_variable(where + row.name))


def _kind(section: type[Section]) -> str:
    return str(get_args(section.model_fields["kind"].annotation)[0]) if "kind" in section.model_fields else ""


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) in (list, tuple)


def _variable(name: str) -> str:
    return "" if "[" in name else variable(tuple(name.split(".")))


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    return "" if value is PydanticUndefined or value is None else json.dumps(value, default=str)


def show(config: Path | None, markdown: bool, as_json: bool) -> int:
    """Say what may be set; with a file, whether it is right."""
    from planner.commands.basic import DONE, print_json, show_table  # all that plans: `serve` does without

    if config is not None:
        read_settings(config, os.environ, {})
    rows = list(described())
    if as_json:
        print_json([row._asdict() for row in rows])
    elif markdown:
        typer.echo(_markdown(rows), nl=False)
    else:
        show_table("Settings", ("Name", "Variable", "Default", "Meaning"), rows)
    return DONE


def _markdown(rows: Sequence[Described]) -> str:
    """The list as docs/settings.md has it."""
    lines = [
        f"| `{row.name}` | {f'`{row.variable}`' if row.variable else ''} | {f'`{row.default}`' if row.default else ''}"
        f" | {row.meaning} |\n"
        for row in rows
    ]
    return _HEAD + "".join(lines)


_HEAD = """\
# Settings of the service

`planner serve --config planner.toml` reads a TOML file; a variable of the environment wins over the file, an option of
the command over both. A name that is not known is an error. `planner settings --config planner.toml` checks a file;
`planner settings --markdown` wrote this page.

`name[]` stands for each table of a list (`[[schedules]]`), which a variable holds as JSON; `name[webhook]` for those
with `kind = "webhook"`. Secrets may lie in files of their own: `database_file` instead of `database`.

| name | variable | default | meaning |
|---|---|---|---|
"""
