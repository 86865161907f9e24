"""The file in which experts say what models may look at, what is health, and what they must not get worse on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from diagnostics.strict import parse_yaml
from diagnostics.training.boosting import ENSEMBLES
from diagnostics.training.errors import TrainingError
from diagnostics.training.reducing import REDUCTIONS
from diagnostics.training.scaling import SCALINGS

BUILTIN = Path(__file__).with_name("feature_sets.yaml")
SCREENED = "screened"
"""The set that the search makes by itself."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FeatureSet(_Strict):
    """Patterns of metrics; `time` adds the hour and the weekday, `lags_hours` the target's own past."""

    metrics: tuple[str, ...] = Field(min_length=1)
    without: tuple[str, ...] = ()
    time: bool = True
    lags_hours: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _lags_look_back(self) -> FeatureSet:
        if any(lag < 1 for lag in self.lags_hours):
            raise ValueError(f"lags_hours: {list(self.lags_hours)}: whole hours back, at least 1")
        return self

    def choose(self, there: Sequence[str]) -> tuple[str, ...]:
        """The metrics of the set that are there, in that order."""
        return tuple(name for name in there if matches(name, self.metrics) and not matches(name, self.without))


class Scenario(_Strict):
    """Rows that say how a model ought to react: `calm` must not alarm, `fault` must.

    The rows are recorded (`file`, relative to the file of feature sets), or those of the validation part with metrics
    multiplied and added to, on a share of `hosts` for `hours`. `tolerance` is how much larger the share of wrong rows
    may get.
    """

    expect: Literal["calm", "fault"]
    file: str | None = None
    multiply: dict[str, FiniteFloat] = Field(default_factory=dict)
    add: dict[str, FiniteFloat] = Field(default_factory=dict)
    hosts: float = Field(default=0.2, gt=0, le=1)
    hours: int = Field(default=12, ge=1)
    tolerance: float = Field(default=0.01, ge=0, le=1)

    @model_validator(mode="after")
    def _says_what(self) -> Scenario:
        if (self.file is None) == (not self.multiply and not self.add):
            raise ValueError("a scenario has a file of recorded rows, or changes (multiply, add): one of them")
        return self


class FeatureSets(_Strict):
    """The whole file. `scalings`, `reductions` and `ensembles` are what is tried of each, left out: all; `screened`
    says whether the search makes a feature set of its own.
    """

    schema_: Literal[1] = Field(alias="schema")
    targets: tuple[str, ...] = Field(min_length=1)
    feature_sets: dict[str, FeatureSet] = Field(min_length=1)
    ignore: tuple[str, ...] = ()
    scalings: tuple[str, ...] = tuple(SCALINGS)
    reductions: tuple[str, ...] = tuple(REDUCTIONS)
    ensembles: tuple[str, ...] = tuple(ENSEMBLES)
    screened: bool = True
    families: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    scenarios: dict[str, Scenario] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _keeps_names_free(self) -> FeatureSets:
        if SCREENED in self.feature_sets:
            raise ValueError(f"feature_sets: {SCREENED!r} is the name of the set that the search makes: take another")
        for field, known in (("scalings", SCALINGS), ("reductions", REDUCTIONS), ("ensembles", ENSEMBLES)):
            names: tuple[str, ...] = getattr(self, field)
            unknown = [name for name in names if name not in known]
            if unknown or not names:
                raise ValueError(f"{field}: {', '.join(unknown) or 'none'}: one or more of {', '.join(known)}")
        return self

    @property
    def sha256(self) -> str:
        """Hash of what is said, not of how it is written."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()

    def covers(self, family: str) -> tuple[str, ...]:
        """Patterns of the hardware classes of a family. Raises TrainingError for a family that is not there."""
        if family not in self.families:
            raise TrainingError(f"family {family!r}: is not in the file of feature sets"
                                f"{nearest(family, list(self.families))}")
        return self.families[family]


def read_feature_sets(path: Path = BUILTIN) -> FeatureSets:
    """Read and check a file of feature sets.

    Raises:
        TrainingError: it cannot be read, or says something that is not understood; every mistake is a line.

    """
    try:
        told: Any = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"{path}: {error.strerror}: a YAML file with targets and feature_sets") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path.name}: is no YAML: {' '.join(str(error).split())}") from error
    return parse_feature_sets(told, path.name)


def parse_feature_sets(told: Any, source: str = "feature sets") -> FeatureSets:  # noqa: ANN401 - whatever YAML holds
    """Check what a file says. Raises TrainingError."""
    if not isinstance(told, Mapping):
        raise TrainingError(f"{source}: found {type(told).__name__}: a mapping with targets and feature_sets is needed")
    try:
        return FeatureSets.model_validate(told)
    except ValidationError as error:
        raise TrainingError("\n".join(_line(source, problem) for problem in error.errors())) from None


def _line(source: str, problem: Any) -> str:  # noqa: ANN401 - pydantic's own dict
    """One mistake: file, field, value, what is allowed."""
    where = ".".join(str(part) for part in problem["loc"]) or "file"
    if problem["type"] == "extra_forbidden":
        last = str(problem["loc"][-1])
        return f"{source}: {where}: is not known{nearest(last, _KNOWN)}"
    found = problem["input"]
    shown = f"{found!r}: " if isinstance(found, str | int | float | bool) else ""
    return f"{source}: {where}: {shown}{problem['msg'].removeprefix('Value error, ')}"


_KNOWN = [*(field.alias or name for name, field in FeatureSets.model_fields.items()), *FeatureSet.model_fields,
          *Scenario.model_fields]


def nearest(name: str, known: Sequence[str]) -> str:
    """A hint at the nearest name, or at all."""
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known) or 'none'}"


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits any of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
