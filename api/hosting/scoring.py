"""Rows through a model: what it says of every host, and of the row as a whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from api.hosting.streams import Measures, Row
from diagnostics.training.rows import Host, Rows

if TYPE_CHECKING:
    from diagnostics.training.model import HealthModel, Scored

MINUTE_S, HOUR_S = 60, 3600
Status = Literal["ok", "alarm", "unknown"]
Past = Callable[[Collection[str], Collection[int]], Mapping[tuple[str, int], Measures]]
"""Earlier rows of clusters at some times."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a model says of a row: the largest score of its hosts (None where it knows nothing of them), and for every
    host in alarm the metrics that are off: value, what was expected, and how many robust deviations lie between.
    """

    row: Row
    status: Status
    score: float | None
    threshold: float
    alarms: tuple[dict[str, Any], ...]


def score(model: HealthModel, rows: Sequence[Row], past: Past) -> list[Verdict]:
    """Score rows, those of one time together; what a model looks back on are rows of exactly that much earlier."""
    by_time: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_time[row.ts].append(row)
    return [verdict for ts, some in sorted(by_time.items()) for verdict in _score(model, ts, some, past)]


def _score(model: HealthModel, ts: int, rows: Sequence[Row], past: Past) -> list[Verdict]:
    step_s = model.step_minutes * MINUTE_S
    back = max((_steps_back(lag, model) for lag in model.candidate.lags_hours), default=0)
    hosts = [Host(row.cluster, host, "", "") for row in rows for host in sorted(row.hosts)]
    values = np.full((len(hosts), back + 1, len(model.columns)), np.nan)
    given = {row.cluster: row.hosts for row in rows}
    _fill(values[:, back], hosts, model, given)
    if back:
        steps = sorted({_steps_back(lag, model) for lag in model.candidate.lags_hours})
        earlier = past(sorted(given), [ts - step * step_s for step in steps])
        for step in steps:
            then = {name: earlier[name, ts - step * step_s] for name in given if (name, ts - step * step_s) in earlier}
            _fill(values[:, back - step], hosts, model, then)
    start = np.datetime64(ts - back * step_s, "s").astype("datetime64[m]")
    scored = model.score(Rows(tuple(hosts), model.columns, values, start, model.step_minutes))
    verdicts, first = [], 0
    for row in rows:
        after = first + len(row.hosts)
        verdicts.append(_verdict(model, row, scored, (values[:, back], range(first, after))))
        first = after
    return verdicts


def _steps_back(lag_hours: int, model: HealthModel) -> int:
    return max(1, lag_hours * 60 // model.step_minutes)


def _fill(cells: Any, hosts: Sequence[Host], model: HealthModel, given: Mapping[str, Measures]) -> None:  # noqa: ANN401 - a view [hosts, columns]
    for at, host in enumerate(hosts):
        metrics = given.get(host.cluster, {}).get(host.host, {})
        for column, metric in enumerate(model.columns):
            if metric in metrics:
                cells[at, column] = metrics[metric]


def _verdict(model: HealthModel, row: Row, scored: Scored, where: tuple[Any, range]) -> Verdict:
    values, at = where
    last = scored.score.shape[1] - 1
    scores = scored.score[at.start : at.stop, last]
    known = scores[np.isfinite(scores)]
    alarms = []
    for number, host in zip(at, sorted(row.hosts), strict=True):
        if not scored.alarm[number, last]:
            continue
        for target, metric in enumerate(model.targets):
            z = float(scored.z[number, last, target])
            if abs(z) > model.threshold:
                alarms.append(
                    {
                        "host": host,
                        "metric": metric,
                        "z": round(z, 2),
                        "value": float(values[number, model.columns.index(metric)]),
                        "expected": round(float(scored.expected[number, last, target]), 6),
                    }
                )
    status: Status = "alarm" if alarms else "ok" if len(known) else "unknown"
    return Verdict(row, status, float(known.max()) if len(known) else None, model.threshold, tuple(alarms))
