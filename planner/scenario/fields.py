"""What the models say about their own fields, for tables and messages."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from planner.scenario.model import Model, Scenario

Path = tuple[str | int, ...]

OPEN_FIELDS = ("hardware.throughput",)
"""Fields of a workload whose keys are names, which may hold dots themselves."""


def key_of(name: str, field: FieldInfo) -> str:
    """The name of a field in files."""
    return field.alias or name


@cache
def fields_of(model: type[Model]) -> dict[str, FieldInfo]:
    """Fields of a model by their names in files."""
    return {key_of(name, field): field for name, field in model.model_fields.items()}


def model_in(annotation: object) -> type[Model] | None:
    """The model that an annotation holds, alone, in a list or as a choice; None when there is none."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, Model) else None
    return next((found for part in get_args(annotation) if (found := model_in(part)) is not None), None)


def model_at(path: Path, root: type[Model] = Scenario) -> type[Model] | None:
    """The model whose fields are named at a path of a scenario (`("clusters", 3, "pools", 0)`), or of another root."""
    model: type[Model] | None = root
    for part in path:
        if isinstance(part, str) and model is not None:
            field = fields_of(model).get(part)
            model = model_in(field.annotation) if field is not None else None
    return model


def field_at(path: Path, root: type[Model] = Scenario) -> FieldInfo | None:
    """The field at a path of a scenario, or of another root."""
    named = [at for at, part in enumerate(path) if isinstance(part, str)]
    if not named:
        return None
    model = model_at(path[: named[-1]], root)
    return fields_of(model).get(str(path[named[-1]])) if model is not None else None


def is_text(annotation: object) -> bool:
    """Whether every value of an annotation is text."""
    if annotation is str:
        return True
    origin = get_origin(annotation)
    if origin is Literal:
        return True
    if origin is Annotated:
        return is_text(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return all(is_text(part) for part in get_args(annotation) if part is not type(None))
    return False


@cache
def text_columns(model: type[Model]) -> frozenset[str]:
    """Columns of a table of `model` (nested names joined by a dot) whose cells are text as they stand."""
    return frozenset(_text_columns(model, ""))


def _text_columns(model: type[Model], prefix: str) -> Iterator[str]:
    for name, field in fields_of(model).items():
        if is_text(field.annotation):
            yield prefix + name
        elif (inner := model_in(field.annotation)) is not None:
            yield from _text_columns(inner, f"{prefix}{name}.")


def nearest(word: str, known: list[str]) -> str | None:
    """The known word most like `word`, letter case aside; None when none is like it."""
    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: list[str], most: int = 8) -> str:
    """How to mend an unknown name: the nearest known one, else all of them if they are few."""
    if (found := nearest(word, known)) is not None:
        return f"did you mean {found}?"
    if not known:
        return "there are none"
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return f"known: {', '.join(known[:most])}{more}"
