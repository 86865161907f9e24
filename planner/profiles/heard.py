"""What a task's description says in words, read into the fields that are not given, with what was taken for what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planner.profiles.constants import CONFIDENCE_KNOWN
from planner.profiles.model import Figure, Profile
from planner.profiles.parts import DEFAULT_CADENCE_HOURS, in_words
from planner.profiles.phrases import Phrase, Quantity, phrases
from planner.profiles.tasks import EtlTask, ServingTask, Task, TrainingData, TrainingTask

HOUR_S = 3600.0
CADENCES_S = (HOUR_S, 24 * HOUR_S, 168 * HOUR_S, 730 * HOUR_S)
"""What comes by the hour, day, week or month is worked on as often, where no cadence is stated."""
FIELDS: dict[type[Task], dict[str, Quantity]] = {
    EtlTask: {"cadence": "every", "window_hours": "window", "volume_gb": "gb", "rows": "rows"},
    TrainingTask: {"cadence": "every", "window_hours": "window", "data.volume_gb": "gb", "data.rows": "rows",
                   "data.columns": "columns"},
    ServingTask: {"requests_per_s": "requests", "concurrent_requests": "at_once", "columns": "columns"},
}  # fmt: skip
"""Fields that words may state, the cadence first: what comes by the time is reckoned for a run."""
LOAD = ("requests_per_s", "concurrent_requests")
WHOLE = ("rows", "columns", "data.rows", "data.columns")


@dataclass(frozen=True, slots=True)
class Heard:
    """A task completed by its description: `taken` are the fields found there, `why` the words they were read from, and
    `unclear` what was not taken, and why not.
    """

    task: Task
    taken: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()

    def explain(self, profile: Profile) -> Profile:
        """The profile with what its description was understood to say."""
        if not self.why and not self.unclear:
            return profile
        figure = Figure(name="description", value="; ".join(self.taken) or "nothing taken",
                        confidence=CONFIDENCE_KNOWN, why=" ".join((*self.why, *self.unclear)))
        return profile.model_copy(update={"figures": (figure, *profile.figures)})


def hear(task: Task, description: str) -> Heard:
    """Complete a task by its description. A field that is given counts; words that may mean two things are not taken.

    Amounts that come by the time ("2 TB a day") are those of one run at the task's cadence.
    """
    said = _said(description)
    loaded = isinstance(task, ServingTask) and any(_given(task, name) is not None for name in LOAD)
    taken, why, unclear = [], [], []
    for name, quantity in FIELDS[type(task)].items():
        found = said.get(quantity) or (_rates(said) if quantity == "every" else [])
        if not found or _given(task, name) is not None or (loaded and name in LOAD):
            continue
        words = " and ".join(f'"{phrase.words}"' for phrase in found)
        meant = _meant(name, found[0], task) if len(found) == 1 else None
        if meant is None:
            unclear.append(f"What {words} mean for {name} is not guessed: write {name}.")
            continue
        value, how = meant
        shown = in_words(value) if name == "cadence" else f"{value:.4g}"
        task = _with(task, name, value)
        taken.append(f"{name} {shown}")
        why.append(f"The words {words} are taken for {name} {shown}{how}.")
    return Heard(task, tuple(taken), tuple(why), tuple(unclear))


def _said(description: str) -> dict[Quantity, list[Phrase]]:
    """What a description states, by quantity; the same amount said twice counts once."""
    found: dict[Quantity, dict[tuple[float, float | None], Phrase]] = {}
    for phrase in phrases(description):
        if phrase.value > 0:
            found.setdefault(phrase.quantity, {}).setdefault((phrase.value, phrase.per_s), phrase)
    return {quantity: list(same.values()) for quantity, same in found.items()}


def _rates(said: Mapping[Quantity, Sequence[Phrase]]) -> list[Phrase]:
    """How often data come, where all words agree on that."""
    rates = {phrase.per_s: phrase for name in ("gb", "rows") for phrase in said.get(name, ())
             if phrase.per_s in CADENCES_S}
    return [Phrase("every", per_s, phrase.words) for per_s, phrase in rates.items() if per_s and len(rates) == 1]


def _meant(name: str, phrase: Phrase, task: Task) -> tuple[float, str] | None:
    """The value of a field, and how it was reckoned; None where that takes a guess."""
    if name in ("cadence", "window_hours"):
        return phrase.value / HOUR_S, ""
    if name == "requests_per_s":
        if phrase.per_s is None:
            return None
        return phrase.value / phrase.per_s, ", the mean: peaks are higher" if phrase.per_s >= HOUR_S else ""
    if phrase.per_s is None:
        return max(1.0, float(round(phrase.value))) if name in WHOLE else phrase.value, ""
    every = getattr(task, "cadence", None) or DEFAULT_CADENCE_HOURS
    if math.isinf(every):
        return None
    value = phrase.value * every * HOUR_S / phrase.per_s
    how = "" if math.isclose(every * HOUR_S, phrase.per_s) else f", what comes between two runs, {in_words(every)}"
    return max(1.0, float(round(value))) if name in WHOLE else value, how


def _given(task: Task, name: str) -> object:
    above, _, field = name.rpartition(".")
    return getattr(getattr(task, above) if above else task, field, None)


def _with(task: Task, name: str, value: float) -> Task:
    above, _, field = name.rpartition(".")
    if not above:
        return task.model_copy(update={field: value})
    inner = getattr(task, above) or TrainingData()
    return task.model_copy(update={above: inner.model_copy(update={field: value})})
