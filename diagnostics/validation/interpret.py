"""Stage 5: three verdicts and their alerts, for people (sentences) and for machines (figures)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from diagnostics.validation.benchmark import Benchmark, Change
from diagnostics.validation.configuration import Configuration
from diagnostics.validation.schema import Fault

State = Literal["ok", "failed", "drifted", "no_baseline", "not_compared"]


@dataclass(frozen=True)
class Verdict:
    """`ok`, or what is wrong in one sentence. No baseline is nothing wrong: nothing is known of drift then."""

    state: State
    sentence: str


@dataclass(frozen=True)
class Alert:
    """One thing to look at. `error`s decide verdicts, `warning`s do not."""

    level: Literal["error", "warning"]
    about: Literal["schema", "features", "drift"]
    column: str | None
    sentence: str


@dataclass(frozen=True)
class Interpretation:
    """Schema, features and drift apart."""

    schema: Verdict
    features: Verdict
    drift: Verdict
    alerts: tuple[Alert, ...]

    @property
    def found(self) -> bool:
        """Whether anything is wrong."""
        return any(verdict.state in ("failed", "drifted") for verdict in (self.schema, self.features, self.drift))


def interpret(schema: Sequence[Fault], features: Sequence[Fault], compared: Benchmark | None,
              configuration: Configuration) -> Interpretation:
    """Put what was found into verdicts and alerts, the gravest first."""
    alerts = [Alert("error", "schema", fault.column, fault.sentence) for fault in schema]
    alerts += [Alert("error", "features", fault.column, fault.sentence) for fault in features]
    drift = Verdict("no_baseline", "no baseline was given: nothing is known of drift")
    if compared is not None:
        drift = _drift(compared, configuration)
        level: Literal["error", "warning"] = "error" if drift.state == "drifted" else "warning"
        alerts += [Alert(level, "drift", feature.column, f"{feature.column} drifted: {feature.why}")
                   for feature in compared.features if feature.drifted]
        alerts += [Alert("warning", "drift", change.column, _told(change)) for change in compared.changes
                   if not change.accepted]
    alerts.sort(key=lambda alert: alert.level)  # error before warning, else as found
    return Interpretation(_faults(schema, "the data keep to the schema"),
                          _faults(features, "all values are where they may be"), drift, tuple(alerts))


def _faults(faults: Sequence[Fault], fine: str) -> Verdict:
    if not faults:
        return Verdict("ok", fine)
    more = f"; and {len(faults) - 1} more" if len(faults) > 1 else ""
    return Verdict("failed", faults[0].sentence + more)


def _drift(compared: Benchmark, configuration: Configuration) -> Verdict:
    accepted = configuration.drift.accepted_share
    if compared.drifted_share is None:
        return Verdict("not_compared", "no feature could be compared with the baseline")
    count = sum(feature.test is not None for feature in compared.features)
    names = [feature.column for feature in compared.features if feature.drifted]
    told = (f"{compared.drifted_share:.1%} of {count} features drifted{': ' if names else ''}{', '.join(names[:5])}"
            f"{' and more' if len(names) > 5 else ''}; accepted are {accepted:.1%}")
    return Verdict("drifted" if compared.drifted_share > accepted else "ok", told)


def _told(change: Change) -> str:
    name = f"{change.column}: {change.figure.replace('_', ' ')}" if change.column else change.figure
    return f"{name} was {change.before:.4g} in the baseline and is {change.now:.4g}"
