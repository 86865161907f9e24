"""A model from the store as a reader: what it says of the clusters of its hardware class, all metrics together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from diagnostics.detectors import DetectorSettings
from diagnostics.reading.joint import ALL_METRICS, Together, judged
from diagnostics.telemetry import Series, Telemetry
from diagnostics.training.rows import Host, Rows


class _Scored(Protocol):
    @property
    def score(self) -> np.ndarray: ...


class Model(Protocol):
    """What a stored model has (`diagnostics.training.model.HealthModel`)."""

    @property
    def step_minutes(self) -> int:
        """Length of the steps it reads."""

    @property
    def threshold(self) -> float:
        """Scores above are alarms."""

    def score(self, rows: Rows) -> _Scored:
        """Scores [hosts, steps]."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A model that answers for a hardware class: its version, whose model it is (`model_of`, the class itself, its
    family or all hardware), what a rollback would go back to, and all of that in a sentence. Rows from `unseen_from`
    (UTC) on are none it has learnt from; None where that is not known.
    """

    hardware_class: str
    version: str
    model_of: str
    last_known_good: str | None
    sentence: str
    model: Model
    unseen_from: np.datetime64 | None = None

    @property
    def name(self) -> str:
        """As alarms name it."""
        return f"model {self.version}"

    def read(self, telemetry: Telemetry, clusters: Mapping[str, list[int]],
             settings: DetectorSettings) -> Iterator[Together]:
        """Score clusters, each by its own rows of the grid. An alarm takes both: a score above the model's threshold,
        which was set on other days of its hardware, and one that the cluster itself has hardly seen before.
        """
        series = telemetry.series
        metrics = sorted({series[row].metric for rows in clusters.values() for row in rows})
        values = np.full((len(clusters), telemetry.values.shape[1], len(metrics)), np.nan)
        for at, rows in enumerate(clusters.values()):
            for row in rows:
                values[at, :, metrics.index(series[row].metric)] = telemetry.values[row]
        hosts = tuple(Host(name, name, self.hardware_class, telemetry.countries.get(name, "")) for name in clusters)
        scored = self.model.score(Rows(hosts, tuple(metrics), values, telemetry.start, telemetry.step_minutes))
        for at, cluster in enumerate(clusters):
            score = np.asarray(scored.score[at], dtype=np.float64)
            found = judged(Series(cluster, self.hardware_class, ALL_METRICS), score, settings, 0)
            found.scores.p[0, score <= self.model.threshold] = 1.0
            found.scores.alarm[0, score <= self.model.threshold] = False
            yield found
