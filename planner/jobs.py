"""Stuck jobs of a table, and the health of what a scenario promises."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError

if TYPE_CHECKING:
    from diagnostics.health import Firing, HealthRule
    from diagnostics.jobs import StuckJob, StuckSettings
    from planner.scenario import Scenario
    from planner.scenario.model import Workload


def stuck_jobs(path: Path, at: str | None, settings: StuckSettings) -> tuple[StuckJob, ...]:
    """Jobs of a table that are stuck at a time (left out: now). Raises InputError."""
    from diagnostics.jobs import JobsError, find_stuck, read_jobs  # pandas, which no other command may wait for

    try:
        return find_stuck(read_jobs(path), _moment(at), settings)
    except JobsError as error:
        raise InputError([str(error)]) from error


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InputError([f"--at: {text!r}: must be ISO-8601 with a time zone, such as 2026-11-02T00:05:00Z"])
    return moment


def health_rules(scenario: Scenario | None) -> tuple[HealthRule, ...]:
    """Rules of clusters and jobs, and with a scenario those of its services by their objectives."""
    from diagnostics.health import CLUSTER_RULES, JOB_RULES, service_rules

    services = [] if scenario is None else [one for one in scenario.workloads if one.kind == "serving"]
    own = (rule for one in services
           for rule in service_rules(one.name, one.slo.availability, one.slo.latency_ms, _runbook(one)))
    return (*CLUSTER_RULES, *JOB_RULES, *own)


def _runbook(workload: Workload) -> str | None:
    book = workload.runbook
    if book is None:
        return None
    steps = "; ".join(f"{number}. {step}" for number, step in enumerate(book.steps, 1))
    return ": ".join(part for part in (book.contact, steps) if part) or None


def health_of(path: Path, rules: tuple[HealthRule, ...],
              step_minutes: int) -> tuple[tuple[Firing, ...], tuple[str, ...]]:
    """Every spell in which a rule fired in recorded telemetry, and whose measures are not in it. Raises InputError."""
    from diagnostics.health import evaluate, unmeasured
    from diagnostics.telemetry import TelemetryError, read_telemetry

    try:
        telemetry = read_telemetry(path, step_minutes)
    except TelemetryError as error:
        raise InputError([str(error)]) from error
    known = {rule.measure for rule in rules}
    if not any(series.metric in known for series in telemetry.series):
        raise InputError([f"{path}: metric: none that a rule is about; {', '.join(sorted(known))}"])
    return evaluate(telemetry, rules), not_measured(unmeasured(telemetry, rules))


def not_measured(missing: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """A sentence for each of those whose measures are not in the telemetry."""
    measures: dict[str, list[str]] = {}
    for subject, measure in missing:
        measures.setdefault(subject, []).append(measure)
    return tuple(f"{subject}: {' and '.join(names)}: not in the telemetry, so its rules about them say nothing"
                 for subject, names in measures.items())


def rules_text(rules: tuple[HealthRule, ...]) -> str:
    """The rules as a file for Prometheus."""
    import yaml

    from diagnostics.health import prometheus_rules

    return str(yaml.safe_dump(prometheus_rules(rules), sort_keys=False, width=120, allow_unicode=True))
