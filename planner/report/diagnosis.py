"""The HTML report of a diagnosis: alarms that belong together, drift by month, metrics beside their usual values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.files import write_atomically
from planner.report.page import SHOWN, Headline, framed
from planner.report.super_alarms import told_of

if TYPE_CHECKING:
    from diagnostics.diagnose import Alarm, Diagnosis
    from diagnostics.months import Drift
    from diagnostics.reading import Reading
    from diagnostics.telemetry import Series
    from planner.watch import Watched

CHARTS = 24
"""Metrics drawn, the gravest alarms first, of every cluster its own; the tables have all."""
SEEN_DAYS = 14
"""Days drawn of an alarm, up to the end, or back to its begin where it began earlier."""
DRIFT_DAYS = 56
MOST_POINTS = 1_500
NO_MODEL = "none"
_GRAVITY = ("page", "ticket", "log")


def write_diagnosis_report(path: Path, name: str, watched: Watched) -> None:
    """Write the report to `path`, whole or not at all. Raises OSError when that is not possible."""
    write_atomically(path, render_diagnosis(name, watched).encode())


def render_diagnosis(name: str, watched: Watched) -> str:
    """The page of a diagnosis. The same input gives the same bytes."""
    return framed("diagnosis.html.j2", "diagnosis.js", diagnosis_view(name, watched))


def diagnosis_view(name: str, watched: Watched, most: int = CHARTS) -> dict[str, Any]:
    """What a page shows of it; of `data` charts are drawn, of `most` metrics."""
    found, together = watched.findings.diagnosis, watched.findings.together
    alarms = sorted((alarm for cluster in found.clusters for alarm in cluster.alarms),
                    key=lambda alarm: (*alarm.gravity, alarm.cluster, alarm.metric))
    drifts = [drift for cluster in found.clusters for drift in cluster.drifts]
    charts = _charts(watched.reading, alarms, [drift for drift in drifts if drift.drifted], most)
    starts, months = _months(drifts, _models(found))
    grave = sorted(together, key=lambda one: (_GRAVITY.index(one.severity), -len(one.alarms), one.since, one.id))
    detectors = sorted({detector for detector in watched.reading.detectors if detector}
                       | ({"surprise"} if watched.reading.by_stream.any() else set()))
    return {
        "name": name, "found": found, "together": [told_of(one) for one in grave], "alarms": alarms, "months": months,
        "headlines": _headlines(watched, alarms, sum(drift.drifted for drift in drifts)), "month_starts": starts,
        "singly": sum(len(one.alarms) for one in together), "firings": watched.findings.firings, "metrics": charts,
        "changes": [change for cluster in found.clusters for change in cluster.changes],
        "by_model": _by_model(found), "most": most, "shown": SHOWN, "detectors": ", ".join(detectors),
        "data": {"charts": charts},
    }  # fmt: skip


def _headlines(watched: Watched, alarms: list[Alarm], drifts: int) -> list[Headline]:
    found, together = watched.findings.diagnosis, watched.findings.together
    status = [cluster.status for cluster in found.clusters]
    grave = [one.severity for one in together]
    counts = ", ".join(_counted(grave.count(severity), severity) for severity in _GRAVITY if severity in grave)
    lasting = sum(alarm.until is None for alarm in alarms)
    return [
        Headline("Clusters as usual", f"{status.count('ok')} of {len(status)}",
                 f"{status.count('silent')} silent, {status.count('no_baseline')} without a baseline"),
        Headline("Super alarms", f"{len(together):,}",
                 f"of {_counted(len(alarms), 'alarm')}, {lasting:,} still firing" + (f"; {counts}" if counts else "")),
        Headline("False alarms to expect", f"{found.expected_false_alarms:.2g}", _missed(found)),
        Headline("Metrics that drifted", f"{drifts:,}", "this month against the month before"),
    ]


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _missed(found: Diagnosis) -> str:
    shares = {one.size: one.share for one in found.misses}
    middle = shares.get(10.0)
    return "in these days, if all were calm" + (
        "" if middle is None else f"; {100 * middle:.0f} % of steps 10 deviations off are missed")


def view_of(view: Mapping[str, Any], clusters: Set[str], most: int) -> dict[str, Any]:
    """What a view says of some clusters, with `most` charts; super alarms in which others are too stay whole."""
    def theirs(what: str) -> list[Any]:
        return [row for row in view[what] if (row["cluster"] if isinstance(row, dict) else row.cluster) in clusters]

    whole: Diagnosis = view["found"]
    found = replace(whole, clusters=tuple(one for one in whole.clusters if one.cluster in clusters))
    together = [one for one in view["together"] if not clusters.isdisjoint(one["clusters"])]
    charts = theirs("metrics")[:most]
    return dict(view) | {what: theirs(what) for what in ("alarms", "months", "changes")} | {
        "found": found, "by_model": _by_model(found), "together": together,
        "singly": sum(one["size"] for one in together), "metrics": charts, "most": most,
        "data": {"charts": charts}, "firings": [one for one in view["firings"] if one.subject in clusters],
    }  # fmt: skip


def _models(found: Diagnosis) -> dict[str, str]:
    """The version that reads the clusters of each hardware class."""
    return {one.hardware_class: one.version or NO_MODEL for one in found.models}


def _by_model(found: Diagnosis) -> list[dict[str, Any]]:
    """By hardware class, with the model that reads it, how many of its metrics drifted in each month."""
    models = _models(found)
    cells: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for drift in (drift for cluster in found.clusters for drift in cluster.drifts):
        for month in drift.months:
            cells[drift.hardware_class][month.start].append(month.drifted)
    starts = sorted({start for months in cells.values() for start in months})
    return [{"hardware": name, "model": models.get(name, NO_MODEL), "cells": [
        {"start": start[:10], "drifted": sum(months[start]), "of": len(months[start])} for start in starts]}
            for name, months in sorted(cells.items())]


def _months(drifts: list[Drift], models: Mapping[str, str]) -> tuple[list[str], list[dict[str, Any]]]:
    """The months that there are, and of every metric that drifted in one of them what was found in each."""
    some = [drift for drift in drifts if any(month.drifted for month in drift.months)]
    some.sort(key=lambda drift: (not drift.drifted, drift.cluster, drift.workload, drift.metric, drift.device))
    starts = sorted({month.start for drift in some for month in drift.months})
    rows = []
    for drift in some:
        by_start = {month.start: month for month in drift.months}
        cells = [{"value": "-", "drifted": False, "title": ""} if start not in by_start else
                 {"value": f"{by_start[start].statistic:.3g}", "drifted": by_start[start].drifted,
                  "title": f"threshold {by_start[start].threshold:.3g}, chance {by_start[start].p:.1g}"}
                 for start in starts]
        rows.append({"cluster": drift.cluster, "metric": drift.name, "cells": cells, "hardware": drift.hardware_class,
                     "model": models.get(drift.hardware_class, NO_MODEL),
                     "what": f"{drift.cause} on {drift.began[:10]}" if drift.cause and drift.began else ""})
    return [start[:10] for start in starts], rows


def _charts(reading: Reading, alarms: list[Alarm], drifts: list[Drift], most: int) -> list[dict[str, Any]]:
    """What is drawn: a metric once, with all of its alarms. Where not all are, the gravest of every cluster are."""
    marked: dict[Series, list[Alarm]] = {}
    for alarm in alarms:
        marked.setdefault(alarm.series, []).append(alarm)
    at = {series: row for row, series in enumerate(reading.telemetry.series)}
    names = {(drift.cluster, drift.hardware_class, drift.metric, drift.workload, drift.device) for drift in drifts}
    drifted = {series for series in at if (*series[:4], series.device) in names}
    for series in sorted(drifted):
        marked.setdefault(series, [])
    before: dict[str, int] = defaultdict(int)
    ranks = []
    for place, series in enumerate(marked):
        ranks.append((before[series.cluster], place, series))
        before[series.cluster] += 1
    chosen = {series for _, _, series in sorted(ranks)[:most]}
    return [_chart(reading, at[series], marked[series], series in drifted) for series in marked
            if series in chosen]


def _chart(reading: Reading, row: int, alarms: list[Alarm], drifted: bool) -> dict[str, Any]:
    telemetry = reading.telemetry
    series, values, usual = telemetry.series[row], telemetry.values[row], reading.scores.expected[row]
    day, steps = telemetry.steps_per_day, len(values)
    spans = [(_step(reading, alarm.since), steps if alarm.until is None else _step(reading, alarm.until))
             for alarm in alarms]
    days = DRIFT_DAYS if drifted else SEEN_DAYS
    first = max(0, min([steps - days * day, *(since - day for since, _ in spans)]))
    stride = -(-(steps - first) // MOST_POINTS)
    shown = range(first, steps, stride)
    return {
        "cluster": series.cluster, "metric": series.name, "hardware": series.hardware_class,
        "sentences": [alarm.sentence for alarm in alarms], "drifted": drifted,
        "times": [_label(reading, step) for step in shown],
        "values": [_number(values[step]) for step in shown], "usual": [_number(usual[step]) for step in shown],
        "spans": [[(since - first) // stride, min(len(shown), -(-(until - first) // stride)) - 1]
                  for since, until in spans],
        "month": (steps - first - DRIFT_DAYS // 2 * day) // stride if drifted else None,
        "points": bool(np.isfinite(values[first:]).mean() < 0.5),
    }


def _step(reading: Reading, when: str) -> int:
    gap = np.datetime64(when.removesuffix("Z"), "m") - reading.telemetry.start
    return int(gap.astype(np.int64)) // reading.telemetry.step_minutes


def _label(reading: Reading, step: int) -> str:
    moment = datetime.fromisoformat(reading.telemetry.when(step)).astimezone(UTC)
    return moment.strftime("%a %d %b %H:%M")


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(f"{value:.6g}")
