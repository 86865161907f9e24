"""Everything that a diagnosis of recorded telemetry finds at once: alarms, which belong together, drift, health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from diagnostics.sealing import Sealer
from planner.diagnose import alarm_policy, settings_of, telemetry_at
from planner.errors import InputError

if TYPE_CHECKING:
    from diagnostics.alarms import SuperAlarm
    from diagnostics.diagnose import Diagnosis, ModelUse
    from diagnostics.feedback import Feedback
    from diagnostics.health import Firing
    from diagnostics.reading import Reading
    from diagnostics.reading.trained import Trained
    from diagnostics.telemetry import Telemetry


@dataclass(frozen=True)
class Watch:
    """Telemetry, and what a diagnosis of it goes by: a scenario that has the clusters, an alarm policy, experts' rules,
    feedback, the store of models, the detector, the budget of false alarms a cluster and day, what opens model files,
    how drift is told and how far back, and whether hosts are read by themselves; None: the usual.
    """

    telemetry: Path
    step_minutes: int = 60
    scenario: Path | None = None
    alarms: Path | None = None
    rules: Path | None = None
    feedback: Path | None = None
    models: Path | None = None
    models_database: str | None = None
    detector: str | None = None
    false_alarms_per_day: float | None = None
    sealer: Sealer = field(default_factory=Sealer)
    drift_test: str | None = None
    false_drifts_per_month: float | None = None
    false_changes_per_month: float | None = None
    report_days: float | None = None
    by: Literal["cluster", "host"] = "cluster"

    @property
    def has_models(self) -> bool:
        """Whether the store of models is there."""
        return self.models_database is not None or (self.models is not None and (self.models / "models.db").is_file())

    @property
    def files(self) -> tuple[Path, ...]:
        """What a diagnosis is made from: when one of them changes it is out of date."""
        given = (self.telemetry, self.scenario, self.alarms, self.rules, self.feedback)
        return tuple(path for path in given if path is not None)


@dataclass(frozen=True, eq=False)
class Findings:
    """A diagnosis, its alarms in groups, and the rules of health that fired."""

    diagnosis: Diagnosis
    together: tuple[SuperAlarm, ...]
    firings: tuple[Firing, ...]


@dataclass(frozen=True, eq=False)
class Watched:
    """What was found, and what it was found in."""

    telemetry: Telemetry
    reading: Reading
    findings: Findings


def watched(watch: Watch, feedback: Sequence[Feedback] = ()) -> Watched:
    """Diagnose what is watched, by what people said of earlier alarms too. Raises InputError."""
    from diagnostics.alarms.recorded import super_alarms
    from diagnostics.diagnose import diagnose_read, reading_of
    from diagnostics.health import evaluate
    from diagnostics.reading import ReadingError
    from diagnostics.training.errors import TrainingError
    from planner.jobs import health_rules
    from planner.scenario import read_scenario

    settings = settings_of(watch.rules, watch.feedback, detector=watch.detector, drift_test=watch.drift_test,
                           false_alarms_per_day=watch.false_alarms_per_day, report_days=watch.report_days,
                           false_drifts_per_month=watch.false_drifts_per_month,
                           false_changes_per_month=watch.false_changes_per_month)
    settings = replace(settings, feedback=(*settings.feedback, *feedback))
    fleet = alarm_policy(watch.alarms, watch.scenario)
    telemetry = telemetry_at(watch.telemetry, watch.step_minutes, watch.by)
    telemetry = replace(telemetry, countries={**telemetry.countries, **telemetry.known(fleet.countries)},
                        opted_out=telemetry.opted_out | set(telemetry.known(dict.fromkeys(fleet.opted_out, True))))
    models, uses = _models(watch, telemetry)
    try:
        reading = reading_of(telemetry, settings, models)
    except (ReadingError, TrainingError) as error:
        raise InputError([f"{watch.telemetry}: {error}"]) from error
    found = replace(diagnose_read(telemetry, settings, reading, models), models=uses)
    rules = health_rules(None if watch.scenario is None else read_scenario(watch.scenario))
    measured = {series.metric for series in telemetry.series}
    firings = evaluate(telemetry, [rule for rule in rules if rule.measure in measured])
    together = super_alarms(found, telemetry, fleet.policy, telemetry.known(fleet.clusters), fleet.callees)
    return Watched(telemetry, reading, Findings(found, together, firings))


def _models(watch: Watch, telemetry: Telemetry) -> tuple[Mapping[str, Trained], tuple[ModelUse, ...]]:
    """The models that answer for the hardware in the telemetry, and what is to be said of every class."""
    from diagnostics.diagnose import ModelUse

    classes = sorted({series.hardware_class for series in telemetry.series})
    if watch.models is None:
        return {}, ()
    if not watch.has_models:
        none = "no stable model: none was trained yet"
        return {}, tuple(ModelUse(hardware, None, None, None, f"hardware {hardware!r}: {none}") for hardware in classes)
    from diagnostics.lifecycle import reader
    from diagnostics.store import ModelStore, NoModelError, StoreError, UntrustedTypeError
    from diagnostics.training.errors import TrainingError

    found, uses = {}, []
    try:
        with closing(ModelStore(watch.models, watch.models_database, sealer=watch.sealer)) as store:
            for hardware in classes:
                try:
                    one = reader(store, hardware)
                except (NoModelError, UntrustedTypeError, TrainingError) as error:
                    of = f"hardware {hardware!r}: "
                    why = f"{of}read without a model: {str(error).removeprefix(of)}"
                    uses.append(ModelUse(hardware, None, None, None, why))
                    continue
                found[hardware] = one
                uses.append(ModelUse(hardware, one.version, one.model_of, one.last_known_good, one.sentence))
    except StoreError as error:
        raise InputError([f"--models: {error}"]) from error
    return found, tuple(uses)
