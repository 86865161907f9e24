"""A super alarm as the page tells it: title, causes in order, what to do, whom to call, and what it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diagnostics.alarms import Alarm, SuperAlarm

ALARMS = 100
"""Alarms of one group that are listed."""


def told_of(one: SuperAlarm) -> dict[str, Any]:
    """What the template shows of it, all as text; `keys` know its alarms, and those of each alarm that is listed."""
    from diagnostics.alarms import iso
    from diagnostics.words import figure

    reopened = sum(alarm.reopened for alarm in one.alarms)
    return {
        "id": one.id, "clusters": sorted({dict(alarm.attributes).get("cluster", "") for alarm in one.alarms} - {""}),
        "keys": [alarm.key for alarm in one.alarms], "size": len(one.alarms),
        "severity": one.severity, "title": one.summary.partition(" since ")[0], "why": one.why_severity,
        "since": iso(one.since), "until": "now: it lasts" if one.until is None else f"{iso(one.until)}, resolved",
        "told": ", ".join(map(iso, one.told[:3])) + (" and later" if len(one.told) > 3 else ""), "reopened": reopened,
        "hypotheses": [{
            "what": " and ".join(f"{name}={value}" for name, value in guess.conditions),
            "support": f"{guess.support:.2f}", "lift": f"{guess.lift:.1f}",
            "of": f"{guess.alarmed} of {guess.entities} such places are in alarm",
        } for guess in one.hypotheses],
        "alone": "One alarm shares nothing with others." if len(one.alarms) == 1 else
                 "They share nothing that chance does not explain.",
        "services": [service.sentence for service in one.services],
        "moved": [{
            "what": f"{metric.name} of {metric.cluster}",
            "course": f"{figure(metric.before)} before, {figure(metric.now)} since; rank {metric.rank:.2f}",
        } for metric in one.moved],
        "remedies": [{"cause": f"{remedy.cause[:1].upper()}{remedy.cause[1:]}", "steps": remedy.steps}
                     for remedy in one.remedies],
        "runbook": one.runbook, "counts": ", ".join(f"{count} {what}" for what, count in one.counts),
        "alarms": [_alarm(alarm) for alarm in one.alarms[:ALARMS]],
    }


def _alarm(alarm: Alarm) -> dict[str, Any]:
    from diagnostics.alarms import iso

    place = dict(alarm.attributes)
    known = [place[name] for name in ("cluster", "workload", "service", "host", "device", "metric") if name in place]
    where = " / ".join(known) or ", ".join(f"{name}={value}" for name, value in alarm.attributes)
    state = f"muted: {alarm.muted}" if alarm.muted else "lasts" if alarm.until is None else "resolved"
    return {"key": alarm.key, "where": where, "what": alarm.condition, "since": iso(alarm.since),
            "until": "" if alarm.until is None else iso(alarm.until),
            "state": state + (f", came back {alarm.reopened} times" if alarm.reopened else "")}
