"""Super alarms of a diagnosis of recorded telemetry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from diagnostics.alarms.events import Attributes, Event, iso, utc, where
from diagnostics.alarms.grouping import SuperAlarm, group
from diagnostics.alarms.lifecycle import Ledger, alarms_at
from diagnostics.alarms.policy import AlarmPolicy
from diagnostics.causes.ranking import moved_most, to_blame
from diagnostics.causes.services import reach
from diagnostics.causes.sharing import Hypothesis, Inventory
from diagnostics.diagnose import Alarm, Diagnosis
from diagnostics.perturbation.contract import ROLES
from diagnostics.telemetry import Series, Telemetry

STEPS = 4
"""Alarms of one fault begin within so many steps: what is slight shows later than what is clear."""


def super_alarms(diagnosis: Diagnosis, telemetry: Telemetry, policy: AlarmPolicy,
                 clusters: Mapping[str, Mapping[str, str]] | None = None,
                 callees: Mapping[str, tuple[str, ...]] | None = None) -> tuple[SuperAlarm, ...]:
    """Group the alarms of a diagnosis; `clusters` has more attributes of clusters, such as provider and region, and
    `callees` which services each service calls (None: unknown).

    Every series that was recorded could have raised an alarm, and so could all metrics of a cluster together. Telemetry
    itself tells when an alarm ends, and no alarms begin more often than it has steps, so that the window is at least
    four of them. A metric that plays a known part has it as an attribute, `measures`: latencies of reads and writes
    share it.
    """
    found = [alarm.series for cluster in diagnosis.clusters for alarm in cluster.alarms]
    known = _Known(clusters or {}, callees or {})
    places = {known.attributes(series) for series in (*telemetry.series, *found)}
    inventory = Inventory(tuple(sorted(places)))
    events = [event for cluster in diagnosis.clusters for alarm in cluster.alarms
              for event in _events(alarm, known, policy)]
    end = utc(diagnosis.end)
    life = replace(policy.life, expires=timedelta(days=36500))
    window = max(policy.group.window, timedelta(minutes=STEPS * telemetry.step_minutes))
    made = group(alarms_at(Ledger().take(events), end, life), inventory, replace(policy.group, window=window))
    return tuple(_ranked(one, telemetry, callees) for one in made)


def _ranked(one: SuperAlarm, telemetry: Telemetry, callees: Mapping[str, tuple[str, ...]] | None) -> SuperAlarm:
    """The super alarm with the metrics that moved most at its clusters, and the services to blame."""
    places = [dict(alarm.attributes) for alarm in one.alarms]
    first = _step(telemetry, one.since)
    after = telemetry.values.shape[1] if one.until is None else _step(telemetry, one.until)
    targets = sorted({place["workload"] for place in places if place.get("kind") == "serving"})
    services = to_blame(telemetry, targets[0], callees, first, after) if targets else ()
    moved = moved_most(telemetry, sorted({place["cluster"] for place in places}), first, after)
    return replace(one, moved=moved, services=services)


def _step(telemetry: Telemetry, moment: datetime) -> int:
    gap = np.datetime64(moment.replace(tzinfo=None), "m") - telemetry.start
    return int(gap.astype(np.int64)) // telemetry.step_minutes


@dataclass(frozen=True)
class _Known:
    """What is known of places beside telemetry: attributes of clusters, and which services each service calls."""

    clusters: Mapping[str, Mapping[str, str]]
    callees: Mapping[str, tuple[str, ...]]

    def attributes(self, series: Series) -> Attributes:
        """Where a series is; a service depends on itself and on all that it calls."""
        told: dict[str, str | tuple[str, ...]] = {name: value for name, value in series._asdict().items() if value}
        parts = tuple(part for part, likes in ROLES.items() if any(fnmatchcase(series.metric, like) for like in likes))
        if parts:
            told["measures"] = parts
        if series.workload in self.callees:
            told["depends_on"] = tuple(sorted(reach(series.workload, self.callees)))
        return where({**self.clusters.get(series.cluster, {}), **told})


def _events(alarm: Alarm, known: _Known, policy: AlarmPolicy) -> list[Event]:
    """The event that began an alarm, and the one that ended it."""
    place = known.attributes(alarm.series)
    condition = f"against rule {alarm.rule}" if alarm.z is None else "above usual" if alarm.z > 0 else "below usual"
    begun = Event(utc(alarm.since), condition, place, strength=alarm.z or 0.0, sentence=alarm.sentence,
                  users_affected=policy.users_affected(condition, place, alarm.value))
    return [begun] if alarm.until is None else [begun, replace(begun, at=utc(alarm.until), firing=False)]


def compression(together: Sequence[SuperAlarm]) -> float | None:
    """Alarms to each super alarm; None where there are none."""
    return sum(len(one.alarms) for one in together) / len(together) if together else None


def as_dict(one: SuperAlarm) -> dict[str, Any]:
    """A super alarm as plain lists, dicts and numbers, ready for JSON; times are ISO-8601."""
    return {
        "id": one.id, "since": iso(one.since), "until": None if one.until is None else iso(one.until),
        "severity": one.severity, "why_severity": one.why_severity, "summary": one.summary,
        "users_affected": one.users_affected, "told": [iso(moment) for moment in one.told],
        "counts": dict(one.counts), "hypotheses": [_hypothesis(guess) for guess in one.hypotheses],
        "remedies": [{"rule": remedy.rule, "cause": remedy.cause, "steps": list(remedy.steps)}
                     for remedy in one.remedies],
        "moved": [asdict(metric) for metric in one.moved],
        "services": [asdict(service) | {"sentence": service.sentence} for service in one.services],
        "runbook": None if one.runbook is None else {"contact": one.runbook.contact, "steps": list(one.runbook.steps)},
        "alarms": [{"fingerprint": alarm.fingerprint, "condition": alarm.condition,
                    "attributes": _by_name(alarm.attributes), "since": iso(alarm.since),
                    "until": None if alarm.until is None else iso(alarm.until), "muted": alarm.muted,
                    "reopened": alarm.reopened,
                    "sentence": alarm.sentence} for alarm in one.alarms],
    }


def _hypothesis(guess: Hypothesis) -> dict[str, Any]:
    return {"conditions": _by_name(guess.conditions), "alarmed": guess.alarmed, "entities": guess.entities,
            "support": round(guess.support, 4), "lift": round(guess.lift, 4), "coverage": round(guess.coverage, 4),
            "score": round(guess.score, 4), "sentence": guess.sentence,
            "within": [_hypothesis(finer) for finer in guess.within]}


def _by_name(attributes: Attributes) -> dict[str, str | list[str]]:
    """Attributes as a mapping; a name that comes several times has a list."""
    values: dict[str, list[str]] = {}
    for name, value in attributes:
        values.setdefault(name, []).append(value)
    return {name: given[0] if len(given) == 1 else given for name, given in values.items()}
