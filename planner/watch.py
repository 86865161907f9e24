"""Everything that a diagnosis of recorded telemetry finds at once: alarms, which belong together, drift, health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from planner.diagnose import alarm_policy, settings_of, telemetry_at

if TYPE_CHECKING:
    from diagnostics.alarms import SuperAlarm
    from diagnostics.diagnose import Diagnosis
    from diagnostics.feedback import Feedback
    from diagnostics.health import Firing


@dataclass(frozen=True)
class Watch:
    """Telemetry, and what a diagnosis of it goes by: a scenario that has the clusters, an alarm policy, experts' rules,
    and the budget of false alarms a cluster and day (None: the usual one).
    """

    telemetry: Path
    step_minutes: int = 60
    scenario: Path | None = None
    alarms: Path | None = None
    rules: Path | None = None
    false_alarms_per_day: float | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """What a diagnosis is made from: when one of them changes it is out of date."""
        given = (self.telemetry, self.scenario, self.alarms, self.rules)
        return tuple(path / "scenario.yaml" if path.is_dir() else path for path in given if path is not None)


@dataclass(frozen=True, eq=False)
class Watched:
    """A diagnosis, its alarms in groups, and the rules of health that fired."""

    diagnosis: Diagnosis
    together: tuple[SuperAlarm, ...]
    firings: tuple[Firing, ...]


def watched(watch: Watch, feedback: Sequence[Feedback] = ()) -> Watched:
    """Diagnose what is watched by what people said of earlier alarms. Raises InputError."""
    from diagnostics.alarms.recorded import super_alarms
    from diagnostics.diagnose import diagnose
    from diagnostics.health import evaluate
    from planner.jobs import health_rules
    from planner.scenario import read_scenario

    settings = settings_of(watch.rules, None, watch.false_alarms_per_day)
    policy, clusters = alarm_policy(watch.alarms, watch.scenario)
    telemetry = telemetry_at(watch.telemetry, watch.step_minutes)
    found = diagnose(telemetry, replace(settings, feedback=tuple(feedback)))
    rules = health_rules(None if watch.scenario is None else read_scenario(watch.scenario))
    measured = {series.metric for series in telemetry.series}
    firings = evaluate(telemetry, [rule for rule in rules if rule.measure in measured])
    return Watched(found, super_alarms(found, telemetry, policy, clusters), firings)
