"""The HTML report of a diagnosis: metrics with an alarm or drift over time, beside their usual values."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from planner.files import write_atomically
from planner.report.page import SHOWN, Headline, drawn_by, environment, text_of

if TYPE_CHECKING:
    from diagnostics.diagnose import Alarm, Diagnosis
    from diagnostics.telemetry import Series, Telemetry

CHARTS = 24
"""Metrics drawn, the gravest alarms first; the tables have all."""
SEEN_DAYS = 14
"""Days drawn of an alarm, up to the end, or back to its begin where it began earlier."""
DRIFT_DAYS = 56
MOST_POINTS = 1_500


def write_diagnosis_report(path: Path, name: str, telemetry: Telemetry, found: Diagnosis) -> None:
    """Write the report to `path`, whole or not at all. Raises OSError when that is not possible."""
    write_atomically(path, render_diagnosis(name, telemetry, found).encode())


def render_diagnosis(name: str, telemetry: Telemetry, found: Diagnosis) -> str:
    """The page of a diagnosis of `telemetry`. The same input gives the same bytes."""
    alarms = sorted((alarm for cluster in found.clusters for alarm in cluster.alarms),
                    key=lambda alarm: (*alarm.gravity, alarm.cluster, alarm.metric))
    drifts = [drift for cluster in found.clusters for drift in cluster.drifts if drift.drifted]
    charts = _charts(telemetry, alarms, [(drift.cluster, drift.hardware_class, drift.metric) for drift in drifts])
    return environment().get_template("diagnosis.html.j2").render(
        name=name, found=found, headlines=_headlines(found, alarms, len(drifts)), alarms=alarms, drifts=drifts,
        metrics=charts, most=CHARTS, shown=SHOWN, css=Markup(text_of("templates/report.css")),  # noqa: S704 (our own)
        **drawn_by("diagnosis.js", {"charts": charts}))


def _headlines(found: Diagnosis, alarms: list[Alarm], drifts: int) -> list[Headline]:
    status = [cluster.status for cluster in found.clusters]
    budget = f"{found.expected_false_alarms:g} expected if all were calm"
    return [
        Headline("Clusters as usual", f"{status.count('ok')} of {len(status)}",
                 f"{status.count('silent')} silent, {status.count('no_baseline')} without a baseline"),
        Headline("Alarms", f"{len(alarms):,}", budget),
        Headline("That last", f"{sum(alarm.until is None for alarm in alarms):,}", "still away from usual values"),
        Headline("Metrics that drifted", f"{drifts:,}", "this month against the month before"),
    ]


def _charts(telemetry: Telemetry, alarms: list[Alarm], drifts: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """What is drawn: a metric once, with all of its alarms."""
    from diagnostics.diagnose import usual_values
    from diagnostics.telemetry import Series, Telemetry

    marked: dict[Series, list[Alarm]] = {}
    for alarm in alarms:
        marked.setdefault(Series(alarm.cluster, alarm.hardware_class, alarm.metric), []).append(alarm)
    drifted = {Series(*drift) for drift in drifts}
    for series in sorted(drifted):
        marked.setdefault(series, [])
    chosen = list(marked)[:CHARTS]
    rows = sorted(telemetry.series.index(series) for series in chosen)
    part = Telemetry(tuple(telemetry.series[row] for row in rows), telemetry.values[rows], telemetry.start,
                     telemetry.step_minutes)
    usual = usual_values(part) if rows else part.values
    return [_chart(part, usual[part.series.index(series)], series, marked[series], series in drifted)
            for series in chosen]


def _chart(telemetry: Telemetry, usual: np.ndarray[Any, np.dtype[np.float64]], series: Series, alarms: list[Alarm],
           drifted: bool) -> dict[str, Any]:
    values, day = telemetry.values[telemetry.series.index(series)], telemetry.steps_per_day
    steps = len(values)
    spans = [(_step(telemetry, alarm.since), steps if alarm.until is None else _step(telemetry, alarm.until))
             for alarm in alarms]
    days = DRIFT_DAYS if drifted else SEEN_DAYS
    first = max(0, min([steps - days * day, *(since - day for since, _ in spans)]))
    stride = -(-(steps - first) // MOST_POINTS)
    shown = range(first, steps, stride)
    return {
        "cluster": series.cluster, "metric": series.metric, "hardware": series.hardware_class,
        "sentences": [alarm.sentence for alarm in alarms], "drifted": drifted,
        "times": [_label(telemetry, step) for step in shown],
        "values": [_number(values[step]) for step in shown], "usual": [_number(usual[step]) for step in shown],
        "spans": [[(since - first) // stride, min(len(shown), -(-(until - first) // stride)) - 1]
                  for since, until in spans],
        "month": (steps - first - DRIFT_DAYS // 2 * day) // stride if drifted else None,
    }


def _step(telemetry: Telemetry, when: str) -> int:
    gap = np.datetime64(when.removesuffix("Z"), "m") - telemetry.start
    return int(gap.astype(np.int64)) // telemetry.step_minutes


def _label(telemetry: Telemetry, step: int) -> str:
    moment = datetime.fromisoformat(telemetry.when(step)).astimezone(UTC)
    return moment.strftime("%a %d %b %H:%M")


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(f"{value:.6g}")
