"""`planner diagnose`: recorded telemetry in, what is wrong where out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from planner.errors import InputError

if TYPE_CHECKING:
    from diagnostics.alarms.policy import AlarmPolicy
    from diagnostics.diagnose import DiagnosisSettings
    from diagnostics.perturbed import Outcome
    from diagnostics.telemetry import Telemetry
    from diagnostics.training.rows import Allowed


def telemetry_at(path: Path, step_minutes: int = 60, by: Literal["cluster", "host"] = "cluster") -> Telemetry:
    """Read a telemetry file, hosts by the mean of their cluster or each by itself. Raises InputError when it cannot be
    read, or breaks the telemetry contract.
    """
    from diagnostics.telemetry import TelemetryError, read_telemetry  # numpy, which no other command may wait for

    try:
        return read_telemetry(path, step_minutes, by)
    except TelemetryError as error:
        raise InputError([str(error)]) from error


def settings_of(rules: Path | None, feedback: Path | None,
                **asked: Any) -> DiagnosisSettings:  # noqa: ANN401 - as the settings have them
    """Settings from files of experts' rules and of feedback on alarms; `asked` are others by their name, None for the
    usual. Raises InputError when one cannot be used.
    """
    from diagnostics.diagnose import DiagnosisSettings
    from diagnostics.experts import ExpertRuleError, read_rules
    from diagnostics.feedback import FeedbackError, read_feedback

    try:
        settings = DiagnosisSettings(rules=() if rules is None else read_rules(rules),
                                     feedback=() if feedback is None else read_feedback(feedback))
    except (ExpertRuleError, FeedbackError) as error:
        raise InputError([str(error)]) from error
    try:
        return replace(settings, **{name: value for name, value in asked.items() if value is not None})
    except ValueError as error:
        field, _, rest = str(error).partition(": ")
        raise InputError([f"--{field.replace('_', '-')}: {rest}"]) from error


@dataclass(frozen=True)
class Fleet:
    """The policy of alarms, and what a scenario knows: attributes and countries of clusters, which did not agree to be
    learnt from, and which services each service calls (those it comes `after`).
    """

    policy: AlarmPolicy
    clusters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    opted_out: frozenset[str] = frozenset()
    callees: Mapping[str, tuple[str, ...]] | None = None

    @property
    def countries(self) -> dict[str, str]:
        """Where clusters are, of those that say so."""
        return {name: told["country"] for name, told in self.clusters.items() if "country" in told}

    def allowed(self, countries: frozenset[str] | None, anywhere: bool, opted_out: Collection[str]) -> Allowed:
        """Which rows may be trained on, by what was asked for and what the scenario knows. Who is named as opted out
        must have rows, or be in the scenario; and one of its clusters must have some.
        """
        from diagnostics.training.rows import Allowed

        named = tuple(frozenset({name}) for name in sorted(opted_out) if name not in self.clusters)
        own = (frozenset(self.clusters),) if self.clusters else ()
        return Allowed(countries, anywhere, self.opted_out | set(opted_out), self.countries, (*named, *own))


def alarm_policy(path: Path | None, scenario: Path | None) -> Fleet:
    """The policy of alarms and what a scenario adds, runbooks of workloads that run there among it.

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
        return Fleet(policy)
    known = resolve(read_scenario(scenario), builtin_catalog())
    clusters = {cluster.name: {name: str(value) for name, value in (
        ("provider", cluster.provider), ("region", f"{cluster.provider}/{cluster.region}"),
        ("country", cluster.country)) if value is not None} for cluster in known.clusters}
    books = tuple(Runbook(Match((("cluster", work.incumbent.cluster),)), work.runbook.contact or work.name,
                          work.runbook.steps)
                  for work in known.workloads if work.runbook is not None and work.incumbent is not None)
    return Fleet(replace(policy, group=replace(policy.group, runbooks=(*policy.group.runbooks, *books))), clusters,
                 frozenset(cluster.name for cluster in known.clusters if not cluster.telemetry_opt_in),
                 {work.name: tuple(one.workload for one in work.after) for work in known.workloads
                  if work.kind == "serving"})


def run_perturb(path: Path, step_minutes: int, names: Sequence[str] | None, seed: int, settings: DiagnosisSettings,
                told: Callable[[int], None]) -> tuple[Outcome, ...]:
    """Inject faults into a telemetry file and see whether the diagnosis notices. Raises InputError."""
    from diagnostics.perturbed import perturb

    telemetry = telemetry_at(path, step_minutes)
    try:
        return perturb(telemetry, names, seed, settings, told)
    except ValueError as error:
        raise InputError([f"{path}: {error}"]) from error
