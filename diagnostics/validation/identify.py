"""Stage 2: what each column of a frame is, by the thresholds of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diagnostics.validation.configuration import Category, Configuration, Identify, Type

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Identified:
    """A column with its type, its category and, in words, why. `type` is null where there is no value."""

    column: str
    type: Type | None
    category: Category
    why: str


def identify(frame: pd.DataFrame, configuration: Configuration) -> tuple[Identified, ...]:
    """Type and category of every column, in the frame's order."""
    found = []
    for name in frame.columns:
        column = frame[name]
        kind = type_of(column)
        category, why = _category(column, kind, configuration.identify)
        rule = configuration.columns.get(str(name))
        if rule is not None and rule.category is not None and kind is not None:
            category, why = rule.category, "the configuration says so"
        found.append(Identified(str(name), kind, category, why))
    return tuple(found)


def type_of(column: pd.Series[Any]) -> Type | None:
    """What the values are; mixed columns are text, and those without a value have no type."""
    from pandas.api import types

    if not column.notna().any():
        return None
    if types.is_bool_dtype(column.dtype):
        return "boolean"
    if types.is_numeric_dtype(column.dtype):
        return "number"
    if types.is_datetime64_any_dtype(column.dtype):
        return "time"
    if types.infer_dtype(column, skipna=True) == "boolean":
        return "boolean"
    return "text"


def _category(column: pd.Series[Any], kind: Type | None, limits: Identify) -> tuple[Category, str]:
    """The category of a column and why."""
    known = column.dropna()
    if kind is None:
        return "empty", "no value in any row"
    distinct = int(known.astype(str).nunique()) if kind == "text" else int(known.nunique())
    if distinct == 1:
        return "constant", "every value is the same"
    if kind == "boolean":
        return "boolean", "two values"
    if kind == "time":
        return "time", "time stamps"
    whole = kind == "text" or bool((known == known.round()).all())
    if whole and distinct <= limits.categorical_up_to:
        return "categorical", f"{distinct} distinct values, at most {limits.categorical_up_to} are categories"
    if whole and distinct >= limits.identifier_from * len(known):
        return "identifier", f"{distinct} distinct values in {len(known)} rows"
    if kind == "number":
        return "numeric", f"{distinct} distinct numbers"
    return "text", f"{distinct} distinct texts"
