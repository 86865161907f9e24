"""`planner diagnose`: recorded telemetry in, what is wrong where out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError

if TYPE_CHECKING:
    from diagnostics.alarms.policy import AlarmPolicy
    from diagnostics.diagnose import DiagnosisSettings
    from diagnostics.perturbed import Outcome
    from diagnostics.telemetry import Telemetry


def telemetry_at(path: Path, step_minutes: int = 60) -> Telemetry:
    """Read a telemetry file. Raises InputError when it cannot be read, or breaks the telemetry contract."""
    from diagnostics.telemetry import TelemetryError, read_telemetry  # numpy, which no other command may wait for

    try:
        return read_telemetry(path, step_minutes)
    except TelemetryError as error:
        raise InputError([str(error)]) from error



def settings_of(rules: Path | None, feedback: Path | None, false_alarms_per_day: float | None) -> DiagnosisSettings:
    """Settings from files of experts' rules and of feedback on alarms. Raises InputError when one cannot be used."""
    from diagnostics.diagnose import DiagnosisSettings
    from diagnostics.experts import ExpertRuleError, read_rules
    from diagnostics.feedback import FeedbackError, read_feedback

    try:
        settings = DiagnosisSettings(rules=() if rules is None else read_rules(rules),
                                     feedback=() if feedback is None else read_feedback(feedback))
    except (ExpertRuleError, FeedbackError) as error:
        raise InputError([str(error)]) from error
    if false_alarms_per_day is None:
        return settings
    try:
        return replace(settings, false_alarms_per_day=false_alarms_per_day)
    except ValueError as error:
        raise InputError([f"--false-alarms-per-day: {error}"]) from error


def alarm_policy(path: Path | None, scenario: Path | None) -> tuple[AlarmPolicy, dict[str, dict[str, str]]]:
    """The policy of alarms and what a scenario adds: attributes of its clusters, runbooks of workloads that run there.

    Raises InputError when a file cannot be used.
    """
    from diagnostics.alarms.grouping import Runbook
    from diagnostics.alarms.lifecycle import Match
    from diagnostics.alarms.policy import default_policy, read_policy
    from diagnostics.strict import FileError
    from planner.catalog import builtin_catalog
    from planner.resolve import resolve
    from planner.scenario import read_scenario

    try:
        policy = default_policy() if path is None else read_policy(path)
    except FileError as error:
        raise InputError([str(error)]) from error
    if scenario is None:
        return policy, {}
    known = resolve(read_scenario(scenario), builtin_catalog())
    clusters = {cluster.name: {name: str(value) for name, value in (
        ("provider", cluster.provider), ("region", f"{cluster.provider}/{cluster.region}"),
        ("country", cluster.country)) if value is not None} for cluster in known.clusters}
    books = tuple(Runbook(Match((("cluster", work.incumbent.cluster),)), work.runbook.contact or work.name,
                          work.runbook.steps)
                  for work in known.workloads if work.runbook is not None and work.incumbent is not None)
    return replace(policy, group=replace(policy.group, runbooks=(*policy.group.runbooks, *books))), clusters


def run_perturb(path: Path, names: Sequence[str] | None, seed: int, told: Callable[[int], None]) -> tuple[Outcome, ...]:
    """Inject faults into a telemetry file and see whether the diagnosis notices. Raises InputError."""
    from diagnostics.perturbed import perturb

    telemetry = telemetry_at(path)
    try:
        return perturb(telemetry, names, seed, told=told)
    except ValueError as error:
        raise InputError([f"{path}: {error}"]) from error
