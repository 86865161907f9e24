"""Drift as it happens: every series read point by point, and how well stored models foretell.

Months say that something drifted; a stream says when, within hours or days. It takes no week to compare with, but 512
values before it speaks (`diagnostics.drift.online`). A model whose errors grow no longer fits what it reads (concept
drift), though each metric may look as before; only rows that it has not learnt from count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from diagnostics.drift.online import MEMORY, OnlineSettings, online_changes
from diagnostics.telemetry import Series, Telemetry
from diagnostics.words import named

if TYPE_CHECKING:
    from diagnostics.reading import Reading
    from diagnostics.reading.trained import Trained

Floats = npt.NDArray[np.float64]
What = Literal["level", "spread", "shape", "model"]

MONTH_DAYS = 28
_MOST_RATE = 1e4
_WORDS = {
    "level": "went to another level",
    "spread": "varies by another width",
    "shape": "is distributed otherwise",
}


@dataclass(frozen=True)
class Change:
    """One series that is not as it was: noticed at a step, and begun probably at `since`. `what` is `model` where it is
    the errors of `model` that grew.
    """

    cluster: str
    hardware_class: str
    metric: str
    what: What
    since: str
    noticed: str
    sentence: str
    workload: str = ""
    model: str | None = None
    device: str = ""

    @property
    def name(self) -> str:
        """The metric, and whose it is."""
        return named(self.metric, self.workload, self.device)


@dataclass(frozen=True)
class ChangeBudget:
    """How many changes a cluster may be told of in a calm month, over all that is read of it."""

    false_changes_per_month: float = 0.01
    seed: int = 0


def changes_of(telemetry: Telemetry, reading: Reading, models: Mapping[str, Trained], budget: ChangeBudget,
               reported: int) -> list[Change]:
    """Changes noticed at step `reported` or later, by series in the order of the telemetry, those of models last.

    `reading` is of the telemetry, and holds the errors of `models` (by hardware class) as its last series.
    """
    by_model = [row for row in range(len(telemetry.series), len(reading.telemetry.series))
                if reading.telemetry.series[row].hardware_class in models]
    tests = Counter(reading.telemetry.series[row].cluster for row in (*range(len(telemetry.series)), *by_model))
    found: list[Change] = []
    for row, series in enumerate(telemetry.series):
        settings = _settings(telemetry, budget, tests[series.cluster], only_up=False)
        for at, since, kind in _noticed(telemetry.values[row], 0, settings, reported):
            sentence = f"{series.name} {_WORDS[kind]} about {telemetry.when(since)}, noticed {telemetry.when(at)}"
            found.append(_change(telemetry, series, kind, (since, at), sentence))
    for row in by_model:
        series = reading.telemetry.series[row]
        trained = models[series.hardware_class]
        if trained.unseen_from is None:
            continue
        minutes = int((trained.unseen_from - telemetry.start).astype("m8[m]").astype(np.int64))
        first = max(0, -(-minutes // telemetry.step_minutes))
        settings = _settings(telemetry, budget, tests[series.cluster], only_up=True)
        for at, since, _ in _noticed(reading.telemetry.values[row], first, settings, reported):
            sentence = (f"{trained.name} foretells {series.cluster} worse since about {telemetry.when(since)}, noticed "
                        f"{telemetry.when(at)}: the cluster is ill, or a model is to be trained anew on newer rows")
            found.append(_change(telemetry, series, "model", (since, at), sentence, trained.version))
    return found


def _settings(telemetry: Telemetry, budget: ChangeBudget, tests: int, *, only_up: bool) -> OnlineSettings:
    """The budget of one series, and its rhythm: the day, where that is not longer than can be learnt."""
    day = telemetry.steps_per_day
    rate = budget.false_changes_per_month / tests / (MONTH_DAYS * day) * 1e5
    return OnlineSettings(min(rate, _MOST_RATE), day if 2 <= day <= MEMORY // 2 else 0, only_up, budget.seed)


def _noticed(values: Floats, first: int, settings: OnlineSettings, reported: int) -> Iterator[tuple[int, int, What]]:
    """Changes of a stream [steps] from step `first` on: noticed at, since, and of what."""
    for change in online_changes(values[first:], settings):
        if first + change.at >= reported:
            yield first + change.at, first + change.since, change.kind


def _change(telemetry: Telemetry, series: Series, what: What, steps: tuple[int, int], sentence: str,
            model: str | None = None) -> Change:
    return Change(series.cluster, series.hardware_class, series.metric, what, telemetry.when(steps[0]),
                  telemetry.when(steps[1]), sentence, series.workload, model, series.device)
