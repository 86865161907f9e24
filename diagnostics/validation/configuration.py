"""Stage 1: `drift.json`, which says what data must look like and how much drift is accepted."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

Type = Literal["number", "text", "boolean", "time"]
Category = Literal["numeric", "categorical", "boolean", "time", "identifier", "text", "constant", "empty"]

NUMERIC_TESTS = ("psi", "kl_monthly", "ks", "wasserstein")


class ConfigurationError(ValueError):
    """`drift.json` cannot be used; one line a mistake: field, value found, what is allowed, the nearest name."""


class _Strict(BaseModel):
    """Frozen, without unknown fields and without conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Column(_Strict):
    """What one column must be. `category` overrules what is identified; `watch` false keeps it out of drift."""

    type: Type | None = None
    required: bool = True
    unique: bool = False
    missing_up_to: float = Field(default=1.0, ge=0, le=1)
    least: float | None = None
    most: float | None = None
    allowed: tuple[str, ...] | None = Field(default=None, min_length=1, strict=False)
    category: Category | None = None
    watch: bool = True

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(f"least {self.least:g} is above most {self.most:g}")
        if (self.least is not None or self.most is not None) and self.type not in (None, "number"):
            raise ValueError(f"least and most are for numbers, and type is {self.type}")
        return self


class Records(_Strict):
    """How many rows there must be."""

    least: int = Field(default=1, ge=0)
    most: int | None = Field(default=None, ge=0)


class Identify(_Strict):
    """Thresholds by which columns get a category.

    Up to `categorical_up_to` distinct values are categories (of numbers, whole ones only); values of which at least the
    share `identifier_from` occur once name their rows.
    """

    categorical_up_to: int = Field(default=20, ge=1)
    identifier_from: float = Field(default=0.95, gt=0, le=1)


class DriftRule(_Strict):
    """How drift is found and how much is accepted.

    `accepted_share` of the compared features may drift; figures that change by more than `accepted_change` are pointed
    out. `false_drift_chance` is how often calm data may be said to have a drifted feature.
    """

    test: str = "psi"
    accepted_share: float = Field(default=0.1, ge=0, le=1)
    accepted_change: float = Field(default=0.25, ge=0)
    false_drift_chance: float = Field(default=0.01, gt=0, lt=1)
    seed: int = 0

    @field_validator("test")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in NUMERIC_TESTS:
            raise ValueError(f"one of {', '.join(NUMERIC_TESTS)}")
        return name


class Configuration(_Strict):
    """All of `drift.json`. Columns it does not name are allowed, unless `other_columns` is "refuse"."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: str = Field(min_length=1)
    records: Records = Records()
    columns: dict[str, Column] = {}
    other_columns: Literal["allow", "refuse"] = "allow"
    identify: Identify = Identify()
    drift: DriftRule = DriftRule()

    def text(self) -> str:
        """The file's canonical text: every field that differs from its default."""
        told = {"schema": 1, **self.model_dump(mode="json", by_alias=True, exclude_defaults=True)}
        return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def read_configuration(path: Path) -> Configuration:
    """Read a `drift.json`.

    Raises:
        ConfigurationError: there is no such file, it is no JSON, or a field is wrong.

    """
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file; `planner data propose` writes one from data")
    try:
        told = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"{path.name}: no JSON: {error}") from None
    try:
        return configuration_of(told)
    except ConfigurationError as error:
        raise ConfigurationError("\n".join(f"{path.name}: {line}" for line in str(error).splitlines())) from None


def configuration_of(told: Any) -> Configuration:  # noqa: ANN401 - whatever JSON holds
    """Check a configuration as it comes from JSON.

    Raises:
        ConfigurationError: one line for every mistake.

    """
    try:
        return Configuration.model_validate_json(json.dumps(told))
    except ValidationError as error:
        raise ConfigurationError("\n".join(_line(one) for one in error.errors())) from None


def updated(configuration: Configuration, changes: Mapping[str, Any]) -> Configuration:
    """Set fields by their path, such as `{"drift.accepted_share": 0.2, "columns.age.most": 120}`.

    Raises:
        ConfigurationError: a field is not known or its value not allowed.

    """
    told = json.loads(configuration.text())
    for path, value in changes.items():
        *above, last = path.split(".")
        here = told
        for part in above:
            here = here.setdefault(part, {})
            if not isinstance(here, dict):
                raise ConfigurationError(f"{path}: {part} has no fields below it")
        here[last] = value
    return configuration_of(told)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a field that is there twice: only one of them would count."""
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"field '{twice[0]}' is there twice")
    return dict(pairs)


def _line(error: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """One mistake in one line."""
    where = ".".join(str(part) for part in error["loc"]) or "(the whole file)"
    if error["type"] == "extra_forbidden":
        known = _fields(error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        return f"{where}: not a known field; allowed are {', '.join(known)}" + (f"; '{near[0]}'?" if near else "")
    found = "" if error["type"] == "missing" else f"{json.dumps(error['input'], ensure_ascii=False)}: "
    return f"{where}: {found}{error['msg'].removeprefix('Value error, ')}"


def _fields(above: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the part at a path."""
    parts: dict[str, type[BaseModel]] = {
        "records": Records, "columns": Column, "identify": Identify, "drift": DriftRule}
    model = parts.get(str(above[0]), Configuration) if above else Configuration
    return [field.alias or name for name, field in model.model_fields.items()]
