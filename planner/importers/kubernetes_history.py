"""Series of Prometheus as the history of workloads: whose each is, what was between, how much one replica does."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from planner.errors import InputError
from planner.importers.draft import Asked, Draft, Fields, number
from planner.importers.kubernetes_work import Key, Work
from planner.importers.prometheus import Series

FILE = "history.csv"
CONTROLLER_LABELS = {"deployment": "Deployment", "statefulset": "StatefulSet", "replicaset": "ReplicaSet",
                     "cronjob": "CronJob", "job_name": "Job"}
"""Labels of kube-state-metrics that name a controller."""
POD_NAMES = {"Deployment": r"-[a-z0-9]{1,10}-[a-z0-9]{5}", "StatefulSet": r"-[0-9]+", "ReplicaSet": r"-[a-z0-9]{5}",
             "Job": r"-[a-z0-9]{5}", "Pod": ""}
"""How the name of a pod goes on after that of its controller."""
REPLICAS = re.compile(r"kube_(?:deployment|statefulset|replicaset)\w*_replicas\w*")
"""Metrics that count replicas, so that one replica is one."""


@dataclass(frozen=True, slots=True)
class Past:
    """Demand of one workload by time, and the metric that it is in."""

    metric: str
    values: Mapping[int, float]


def add_history(found: Sequence[Series], names: Mapping[Key, str], work: Sequence[Work], asked: Asked,
                draft: Draft) -> None:
    """Let the histories that can be forecast replace the constant replicas of the draft's workloads.

    Where a workload has no sample in a step in which others have one, it had nothing running: that counts as 0.
    """
    step = _step(found, asked)
    pasts = _pasts(found, names, work, step, draft)
    end = max((max(past.values) for past in pasts.values()), default=0) + step
    rows: list[tuple[str, str, str, float]] = []
    fields = {one["name"]: one for one in draft.workloads}
    for name, past in sorted(pasts.items()):
        one = fields.get(name)
        if one is None or "batch" in one or (why := _refused(name, past, end, step)) is not None:
            if one is not None and "batch" not in one:
                draft.guess("workloads.*.replicas", "those of now in all slots", f"its history: {why}", name)
            continue
        _take(one, past, draft)
        rows += [(_iso(second), name, past.metric, value) for second, value in past.values.items()]
    if rows:
        draft.files[FILE] = _csv(rows)
        _move_horizon(end, step, asked, draft)


def _take(fields: Fields, past: Past, draft: Draft) -> None:
    """Give a workload its history, and how much one of its replicas does."""
    per_replica = 1.0
    if not REPLICAS.fullmatch(past.metric):
        per_replica = max(past.values.values()) / max(1, fields["replicas"][0])
        draft.guess("workloads.*.replicas.history.per_replica", "the most that was used, by its replicas of now",
                    "what one replica can do is not stated", fields["name"])
    history = {"file": FILE, "metric": past.metric, "per_replica": number(per_replica)}
    fields["replicas"] = {"history": history}


def _pasts(found: Sequence[Series], names: Mapping[Key, str], work: Sequence[Work], step: int,
           draft: Draft) -> dict[str, Past]:
    """Demand by workload, on the steps on which anything was measured."""
    owners = _owners(work)
    sums: dict[str, dict[int, float]] = {}
    metrics: dict[str, str] = {}
    for series in found:
        key = _owner(series, owners, names)
        if key is None:
            draft.guess("history", "left out", "series of nothing that runs now or is planned", _called(series))
            continue
        metrics.setdefault(names[key], series.metric or "demand")
        total = sums.setdefault(names[key], defaultdict(float))
        for second, value in series.values.items():
            if value < 0:
                where = f"{series.file}: {_called(series)}: {_iso(second)}"
                raise InputError([f"{where}: {value:g}: demand is at least 0"])
            total[second - second % step] += value
    grid = sorted({second for total in sums.values() for second in total})
    first = {name: min(total) for name, total in sums.items() if total}
    return {name: Past(metrics[name], {second: sums[name].get(second, 0.0) for second in grid if second >= begin})
            for name, begin in first.items()}


def _step(found: Sequence[Series], asked: Asked) -> int:
    """Seconds from one sample to the next. Raises InputError where they do not go with the slots."""
    gaps = Counter(later - earlier for series in found
                   for earlier, later in zip(list(series.values), list(series.values)[1:], strict=False))
    if not gaps:
        return asked.slot_minutes * 60
    step, slot = min(gaps), asked.slot_minutes * 60
    if max(step, slot) % min(step, slot):
        mend = f"ask with step={slot}, or import with --slot-minutes {max(1, step // 60)}"
        raise InputError([f"{found[0].file}: steps of {step} s and slots of {slot} s do not divide each other: {mend}"])
    return step


def _refused(name: str, past: Past, end: int, step: int) -> str | None:
    """Why a history cannot be forecast; None where it can."""
    import pandas as pd  # heavy: only histories pay for it

    from forecasting.validate import check, too_short, young

    if not any(past.values.values()):
        return "nothing was used"
    if max(past.values) + step < end:
        return "it ends before others do"
    times = pd.to_datetime(list(past.values), unit="s", utc=True)
    frame = pd.DataFrame({"unique_id": name, "ds": times, "y": list(past.values.values())})
    checked = check(frame, 1)
    if checked.refused:
        return checked.refused[0].reason
    series = checked.series[0]
    return too_short(len(series), series.step) if young(series) else None


def _move_horizon(end: int, step: int, asked: Asked, draft: Draft) -> None:
    """Let the horizon begin where the first history ends, unless histories reach it as it is."""
    horizon = draft.more.get("horizon")
    start = int(datetime.fromisoformat(horizon["start"]).timestamp() if horizon else asked.start.timestamp())
    if end < start or (start % step and horizon is None):
        draft.more["horizon"] = {"start": _iso(end), "slots": asked.slots, "slot_minutes": asked.slot_minutes}
        draft.guess("horizon.start", _iso(end), "the history ends there")


def _owners(work: Sequence[Work]) -> dict[tuple[str, str], Key]:
    """The controller of every pod that is there, by namespace and name."""
    return {(pod.namespace, pod.name): one.key for one in work for pod in one.pods}


def _owner(series: Series, owners: Mapping[tuple[str, str], Key], names: Mapping[Key, str]) -> Key | None:
    """Whose demand a series is: by a controller's label, by its pod, or by what a pod that is gone was called."""
    labels = series.labels
    namespace = labels.get("exported_namespace") or labels.get("namespace") or "default"
    for label, kind in CONTROLLER_LABELS.items():
        if (key := (namespace, kind, labels.get(label, ""))) in names:
            return key
    pod = labels.get("exported_pod") or labels.get("pod") or labels.get("pod_name") or ""
    if (namespace, pod) in owners:
        return owners[namespace, pod]
    alike = [key for key in names if key[0] == namespace and key[1] in POD_NAMES
             and pod.startswith(key[2]) and re.fullmatch(POD_NAMES[key[1]], pod[len(key[2]):])]
    return max(alike, key=lambda key: len(key[2]), default=None)


def _called(series: Series) -> str:
    shown = {key: value for key, value in series.labels.items() if key != "__name__"}
    return series.metric + "{" + ",".join(f"{key}={value}" for key, value in sorted(shown.items())) + "}"


def _csv(rows: Sequence[tuple[str, str, str, float]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("ts", "workload", "metric", "value"))
    writer.writerows((ts, name, metric, number(value)) for ts, name, metric, value in rows)
    return out.getvalue().encode()


def _iso(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
