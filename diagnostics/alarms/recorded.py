"""Super alarms of a diagnosis of recorded telemetry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from diagnostics.alarms.events import Attributes, Event, iso, utc, where
from diagnostics.alarms.grouping import SuperAlarm, group
from diagnostics.alarms.lifecycle import Ledger, alarms_at
from diagnostics.alarms.policy import AlarmPolicy
from diagnostics.causes.sharing import Hypothesis, Inventory
from diagnostics.diagnose import Alarm, Diagnosis
from diagnostics.telemetry import Series, Telemetry


def super_alarms(diagnosis: Diagnosis, telemetry: Telemetry, policy: AlarmPolicy,
                 clusters: Mapping[str, Mapping[str, str]] | None = None) -> tuple[SuperAlarm, ...]:
    """Group the alarms of a diagnosis; `clusters` has more attributes of clusters, such as provider and region.

    Every series that was recorded could have raised an alarm. Telemetry itself tells when an alarm ends, and no alarms
    begin more often than it has steps, so that the window is at least two of them.
    """
    clusters = clusters or {}
    inventory = Inventory(tuple(sorted(_attributes(series, clusters) for series in telemetry.series)))
    events = [event for cluster in diagnosis.clusters for alarm in cluster.alarms
              for event in _events(alarm, clusters, policy)]
    end = utc(diagnosis.end)
    life = replace(policy.life, expires=timedelta(days=36500))
    window = max(policy.group.window, timedelta(minutes=2 * telemetry.step_minutes))
    return group(alarms_at(Ledger().take(events), end, life), inventory, replace(policy.group, window=window))


def _attributes(series: Series, clusters: Mapping[str, Mapping[str, str]]) -> Attributes:
    return where({**clusters.get(series.cluster, {}), **series._asdict()})


def _events(alarm: Alarm, clusters: Mapping[str, Mapping[str, str]], policy: AlarmPolicy) -> list[Event]:
    """The event that began an alarm, and the one that ended it."""
    place = _attributes(Series(alarm.cluster, alarm.hardware_class, alarm.metric), clusters)
    condition = f"against rule {alarm.rule}" if alarm.z is None else "above usual" if alarm.z > 0 else "below usual"
    begun = Event(utc(alarm.since), condition, place, strength=alarm.z or 0.0, sentence=alarm.sentence,
                  users_affected=policy.users_affected(condition, place, alarm.value))
    return [begun] if alarm.until is None else [begun, replace(begun, at=utc(alarm.until), firing=False)]


def as_dict(one: SuperAlarm) -> dict[str, Any]:
    """A super alarm as plain lists, dicts and numbers, ready for JSON; times are ISO-8601."""
    return {
        "id": one.id, "since": iso(one.since), "until": None if one.until is None else iso(one.until),
        "severity": one.severity, "why_severity": one.why_severity, "summary": one.summary,
        "users_affected": one.users_affected, "told": [iso(moment) for moment in one.told],
        "counts": dict(one.counts), "hypotheses": [_hypothesis(guess) for guess in one.hypotheses],
        "remedies": [{"rule": remedy.rule, "cause": remedy.cause, "steps": list(remedy.steps)}
                     for remedy in one.remedies],
        "runbook": None if one.runbook is None else {"contact": one.runbook.contact, "steps": list(one.runbook.steps)},
        "alarms": [{"fingerprint": alarm.fingerprint, "condition": alarm.condition,
                    "attributes": _by_name(alarm.attributes), "since": iso(alarm.since),
                    "until": None if alarm.until is None else iso(alarm.until), "muted": alarm.muted,
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
