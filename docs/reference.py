"""A hook of mkdocs: pages of reference made from the code they describe, and links to files beside `docs/`.

`mkdocs build` calls the functions named `on_*`. Nothing is written beside the site.
"""

from __future__ import annotations

import re
import tempfile
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).resolve().parent.parent
BESIDE = {"README.md": "readme.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the repository that are pages, too."""
EXIT_STATUS = ("Exit status: 0 done; 1 the answer is no; 2 the input is wrong, with a line that says how to mend it; 3 "
               "a fault of the planner; 130 stopped by the user.")
OPENAPI = "As `GET /openapi.json` of a running service says in full. Errors are problem details (RFC 9457)."
LINK = re.compile(r"\[([^\[\]]*)\]\((?!https?:|#)([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of reference, and those whose text lies beside `docs/`."""
    from planner.plan import Plan
    from planner.scenario.model import Scenario

    made = {"reference/scenario.md": models("Fields of a scenario", Scenario),
            "reference/plan.md": models("Fields of a plan", Plan), "reference/commands.md": commands(),
            "reference/http.md": http()}
    made |= {page: (ROOT / name).read_text(encoding="utf-8") for name, page in BESIDE.items()}
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Point links to files of the repository at their pages; of what has no page the words stay, if it is there."""
    home = PurePosixPath() if page.file.src_uri in BESIDE.values() else PurePosixPath("docs", page.file.src_uri).parent

    def mended(found: re.Match[str]) -> str:
        words, target = found[1], _plain(home / found[2])
        if not (ROOT / target).exists():
            return found[0]  # mkdocs says what is wrong with it
        if target in BESIDE:
            return f"[{words}]({_up(page)}{BESIDE[target]}{found[3] or ''})"
        if target.startswith("docs/"):
            return f"[{words}]({_up(page)}{target.removeprefix('docs/')}{found[3] or ''})"
        return words if target in words else f"{words} (`{target}`)"

    return LINK.sub(mended, markdown)


def _plain(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _up(page: Page) -> str:
    return "../" * (len(PurePosixPath(page.file.src_uri).parts) - 1)


def models(title: str, top: type[BaseModel]) -> str:
    """A section for every model within one, each with its fields: type, default."""
    lines = [f"# {title}", ""]
    for model in _within(top, {}):
        lines += [f"## {model.__name__}", "", _text(model.__doc__), "", "| field | what it holds | default |",
                  "|---|---|---|"]
        for name, field in model.model_fields.items():
            default = "" if field.default is PydanticUndefined else f"`{field.default!r}`"
            if field.is_required():
                default = "needed"
            lines.append(f"| `{field.alias or name}` | {_cell(_words(field.annotation))} | {_cell(default)} |")
        lines.append("")
    return "\n".join(lines)


def _within(model: type[BaseModel], seen: dict[type[BaseModel], None]) -> Iterator[type[BaseModel]]:
    if model in seen:
        return
    seen[model] = None
    yield model
    for field in model.model_fields.values():
        for inner in _models_in(field.annotation):
            yield from _within(inner, seen)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - whatever types are made of
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models_in(part)


def _words(annotation: Any) -> str:  # noqa: ANN401
    """A type in words: names of models and plain types, lists and choices."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _words(parts[0])
    if origin is typing.Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin is tuple:
        return f"list of {_words(parts[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {_words(parts[0])} to {_words(parts[1])}"
    if parts:
        return " or ".join(dict.fromkeys(_words(part) for part in parts if part is not type(None)))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    plain = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "datetime": "time, UTC"}
    name = getattr(annotation, "__name__", str(annotation))
    return plain.get(name, name)


def commands() -> str:
    """A section for every command, with its arguments and options."""
    from planner.cli import app

    lines = ["# Commands", "", EXIT_STATUS, ""]
    for name, command in _walk("planner", typer.main.get_command(app)):
        lines += [f"## {name}", "", _text(command.help), ""]
        rows = [_parameter(one) for one in command.params if getattr(one, "hidden", False) is False]
        if rows:
            lines += ["| argument or option | meaning | default |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - typer brings a click of its own
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, one in sorted(inner.items()):
        if not one.hidden:
            yield from _walk(f"{name} {word}", one)


def _parameter(one: Any) -> str:  # noqa: ANN401
    option = one.param_type_name == "option"
    name = ", ".join((*one.opts, *one.secondary_opts)) if option else one.metavar or one.name.upper()
    default = one.default if isinstance(one.default, str | int | float) and one.default is not False else ""
    return f"| `{name}` | {_cell(_text(one.help))} | {_cell(f'`{default}`' if default != '' else '')} |"


def http() -> str:
    """A line for every request that the service takes, by its description."""
    from api.app import create_app
    from api.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        found = create_app(Settings(data=Path(folder))).openapi()
    lines = ["# Requests of the service", "", OPENAPI, "", "| request | what it does | answers |", "|---|---|---|"]
    for path, methods in sorted(found["paths"].items()):
        for method, one in sorted(methods.items()):
            words = _text(one.get("description") or one.get("summary"))
            answers = ", ".join(sorted(one.get("responses", {})))
            lines.append(f"| `{method.upper()} {path}` | {_cell(words)} | {answers} |")
    return "\n".join([*lines, ""])


def _text(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("{", "&#123;")
