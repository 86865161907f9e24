"""Descriptions of tasks: one strict model for each kind; what is not known is left out or called unknown."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from planner.errors import InputError
from planner.profiles.constants import CADENCE_HOURS, FAMILIES, LATENCY_WORDS, RUNTIMES
from planner.profiles.phrases import latency_phrase
from planner.profiles.schema import read_schema
from planner.scenario.model import Model
from planner.scenario.values import Row
from planner.scenario.words import Places, translate

SCALES = {"k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
GB_OF = {"k": 1e-6, "m": 1e-3, "g": 1.0, "t": 1e3, "p": 1e6}
EVERY = re.compile(r"^every\s+(\d+(?:\.\d+)?)\s*(hours?|h|days?|d|weeks?)$")
EVERY_HOURS = {"h": 1.0, "d": 24.0, "w": 168.0}


def _unknown(value: object) -> object:
    return None if value == "unknown" else value


def _number(value: object) -> object:
    """Pass numbers on; refuse text such as 400M with the number that it seems to mean."""
    value = _unknown(value)
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmbgt]?)\s*", value.lower())
        meant = f"; write {float(found[1]) * SCALES.get(found[2], 1):.15g}" if found else ""
        raise ValueError(f"text for a number{meant}")  # noqa: TRY004  # read by pydantic
    return value


def _gigabytes(value: object) -> object:
    """Pass numbers on; refuse text such as 3 TB with its gigabytes."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgtp])i?b\s*", value.lower()) if isinstance(value, str) else None
    if found:
        raise ValueError(f"text for a number of GB; write {float(found[1]) * GB_OF[found[2]]:.15g}")
    return _number(value)


def _schema(value: object) -> dict[str, str] | None:
    return read_schema(value)


def _family(value: object) -> object:
    """Names of models, in one spelling; None for unknown."""
    value = _unknown(value)
    names = [value] if isinstance(value, str | int | float) else value
    if names is None or not isinstance(names, list | tuple):
        return names
    return tuple(_known_model(str(name)) for name in names)


def _known_model(name: str) -> str:
    plain = re.sub(r"[\s_-]+", " ", name.strip().lower())
    if plain in FAMILIES:
        return plain
    near = get_close_matches(plain, FAMILIES, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"model {name!r} is not known: {', '.join(FAMILIES)}, or unknown{hint}")


def _cadence(value: object) -> object:
    """Hours between two runs: a number, a word, or "every 6 hours"; None for once."""
    value = _unknown(value)
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    every = EVERY.match(word)
    if every:
        return float(every[1]) * EVERY_HOURS[every[2][0]]
    if word not in CADENCE_HOURS and word != "once":
        raise ValueError(f"once, {', '.join(CADENCE_HOURS)}, or as 'every 6 hours'")
    return CADENCE_HOURS.get(word, float("inf"))


def _label(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("text or a number")  # noqa: TRY004  # read by pydantic
    return value


MOST_GB, MOST, MOST_WHOLE = 10**12, 10**15, 10**18
"""More is a mistake of units: a thousand exabytes, and the like."""
Number = Annotated[Annotated[float, Field(gt=0, le=MOST)] | None, BeforeValidator(_number)]
Gigabytes = Annotated[Annotated[float, Field(gt=0, le=MOST_GB)] | None, BeforeValidator(_gigabytes)]
Whole = Annotated[Annotated[float, Field(ge=1, le=MOST_WHOLE, multiple_of=1)] | None, BeforeValidator(_number)]
Columns = Annotated[dict[str, str] | None, BeforeValidator(_schema)]
Models = Annotated[Annotated[Row[str], Field(min_length=1)] | None, BeforeValidator(_family)]
Label = Annotated[str | float, BeforeValidator(_label)]
Labels = dict[str, Label] | None
"""What a team itself knows tasks by (team, tier, data set): past tasks with the same labels are more alike."""
Cadence = Annotated[Annotated[float, Field(gt=0, allow_inf_nan=True)] | None, BeforeValidator(_cadence)]


class EtlTask(Model):
    """Move data from one schema to another. At least the volume, or the rows, must be known.

    `window_hours` is how long a run may take, `keep_runs` how many runs of source and target are kept.
    """

    input_from: str | None = None
    labels: Labels = None
    volume_gb: Gigabytes = None
    rows: Whole = None
    source_schema: Columns = None
    target_schema: Columns = None
    cadence: Cadence = None
    window_hours: Number = None
    keep_runs: Whole = None


class TrainingData(Model):
    """The data a model is trained on."""

    rows: Whole = None
    columns: Whole = None
    volume_gb: Gigabytes = None


class Hyperparameters(Model):
    """What is set before training; the rest is taken at its usual value."""

    trees: Whole = None
    max_depth: Whole = None
    epochs: Whole = None
    parameters: Number = None
    learning_rate: Number = None
    batch_size: Whole = None


class TrainingTask(Model):
    """Train a model, again and again.

    `model` is a name, several to try, or unknown; `trials` is how many fits of each a run makes.
    """

    input_from: str | None = None
    labels: Labels = None
    data: TrainingData | None = None
    model: Models = None
    hyperparameters: Hyperparameters | None = None
    trials: Whole = None
    cadence: Cadence = None
    window_hours: Number = None

    @field_validator("hyperparameters", "data", mode="before")
    @classmethod
    def _may_be_unknown(cls, value: object) -> object:
        return _unknown(value)


class ServingTask(Model):
    """Answer requests with a model. Load is `requests_per_s`, or `concurrent_requests` in flight at once.

    The need for speed is `latency_ms` or words (`latency: "real-time"`). `runtime` is the software; `machine` may name
    a GPU or, since people do that, the runtime.
    """

    input_from: str | None = None
    labels: Labels = None
    model: Models = None
    hyperparameters: Hyperparameters | None = None
    columns: Whole = None
    requests_per_s: Number = None
    concurrent_requests: Number = None
    latency_ms: Number = None
    latency: str | None = None
    tokens_per_request: Whole = None
    payload_kb: Number = None
    runtime: str | None = None
    machine: str | None = None

    @field_validator("hyperparameters", "latency", "runtime", "machine", mode="before")
    @classmethod
    def _may_be_unknown(cls, value: object) -> object:
        return _unknown(value)

    @field_validator("latency", mode="before")
    @classmethod
    def _is_said_in_words(cls, value: object) -> object:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ValueError(f"a number for words; write latency_ms: {value:.15g}")  # noqa: TRY004  # read by pydantic
        return value

    @field_validator("latency")
    @classmethod
    def _has_a_meaning(cls, value: str | None) -> str | None:
        if value is not None and latency_of(value) is None:
            words = ", ".join(LATENCY_WORDS)
            raise ValueError(f"says no time; write latency_ms, or one of: {words}")
        return value


Task = EtlTask | TrainingTask | ServingTask

TASKS: dict[str, type[Task]] = {
    "etl": EtlTask,
    "feature": EtlTask,
    "training": TrainingTask,
    "serving": ServingTask,
}


def read_task(kind: str, given: dict[str, Any], where: str) -> Task:
    """The description of a task, checked. Raises InputError with a line for each mistake, which begins with `where`."""
    if kind not in TASKS:
        near = get_close_matches(kind, TASKS, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; give `request` and `replicas` instead"
        raise InputError([f"{where}: kind: {kind!r}: tasks are described for {', '.join(TASKS)}{hint}"])
    model = TASKS[kind]
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InputError(translate(error.errors(include_url=False), given, Places(where, {}), model)) from None


def latency_of(words: str) -> float | None:
    """Milliseconds that words imply ("real-time", "within 50 ms"); None when they imply none."""
    said = latency_phrase(words)
    return None if said is None else 1000 * said.value


def runtime_of(words: str | None) -> str | None:
    """The serving runtime that is named in words; None when there is none."""
    text = (words or "").lower()
    return next((name for word, name in RUNTIMES.items() if word in text), None)
