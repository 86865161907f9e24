"""Our own evaluation of the rules, with the states of Prometheus: pending from the first step that meets the condition,
firing once it has met it for long enough without a break. A step without a value meets no condition but absence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagnostics.health.rules import HealthRule, Severity
from diagnostics.telemetry import Telemetry
from diagnostics.words import figure

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Firing:
    """A rule that fired: whose, from when to when (None: it lasts), and the worst value in between (None: absence)."""

    rule: str
    severity: Severity
    subject: str
    since: str
    until: str | None
    worst: float | None
    threshold: float
    sentence: str


def evaluate(telemetry: Telemetry, rules: Sequence[HealthRule]) -> tuple[Firing, ...]:
    """Every spell in which a rule fired, in order of rule, subject and time.

    `cluster` in the telemetry is the subject: a cluster, or a service. Who never sent a measure did not fall silent:
    `unmeasured` names it.
    """
    return tuple(found for rule in rules for subject, values in _measured(telemetry, rule)
                 for found in _spells(telemetry, rule, subject, values))  # fmt: skip


def unmeasured(telemetry: Telemetry, rules: Sequence[HealthRule]) -> tuple[tuple[str, str], ...]:
    """Subject and measure of the rules about somebody by name that no row of the telemetry is about, sorted."""
    return tuple(sorted({(rule.subject, rule.measure) for rule in rules
                         if rule.subject is not None and not _measured(telemetry, rule)}))


def firing(rule: HealthRule, values: Floats, step_minutes: int) -> Flags:
    """Whether a rule fires at each step of `values` [..., steps], NaN where nothing was measured."""
    met = _met(rule, _averaged(values, rule.window_minutes // step_minutes))
    steps = np.arange(values.shape[-1])
    broken = np.where(met, -1, steps)
    since = np.maximum.accumulate(broken, axis=-1) + 1  # the step from which it has been met without a break
    return np.asarray(met & ((steps - since) * step_minutes >= rule.for_minutes))


def _averaged(values: Floats, window: int) -> Floats:
    """Mean of what is known of the last `window` steps, NaN where nothing is."""
    if window < 2:
        return values
    known = np.isfinite(values)
    sums = np.cumsum(np.where(known, values, 0.0), axis=-1)
    counts = np.cumsum(known, axis=-1)
    sums[..., window:] -= sums[..., :-window].copy()
    counts[..., window:] -= counts[..., :-window].copy()
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _met(rule: HealthRule, values: Floats) -> Flags:
    if rule.side == "absent":
        return ~np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(values > rule.threshold if rule.side == "above" else values < rule.threshold)


def _measured(telemetry: Telemetry, rule: HealthRule) -> list[tuple[str, Floats]]:
    """Whom a rule looks at, and the measure, which is of all devices."""
    return [(series.cluster, telemetry.values[row]) for row, series in enumerate(telemetry.series)
            if series.metric == rule.measure and not series.device
            and rule.subject in (None, series.cluster)]  # fmt: skip


def _spells(telemetry: Telemetry, rule: HealthRule, subject: str, values: Floats) -> Iterator[Firing]:
    fires = firing(rule, values, telemetry.step_minutes)
    edges = np.flatnonzero(np.diff(fires.astype(np.int8), prepend=0, append=0))
    for first, after in edges.reshape(-1, 2).tolist():
        until = None if after == len(values) else telemetry.when(after)
        shown = _averaged(values, rule.window_minutes // telemetry.step_minutes)[first:after]
        worst = None if rule.side == "absent" else float(shown.max() if rule.side == "above" else shown.min())
        since = telemetry.when(first)
        what = "absent" if worst is None else f"{figure(worst)}, {rule.side} {rule.threshold:g}"
        lasts = "and it lasts" if until is None else f"until {until}"
        sentence = f"{subject}: {rule.name}: {rule.summary} ({rule.measure} {what}), since {since}, {lasts}"
        yield Firing(rule.name, rule.severity, subject, since, until, worst, rule.threshold, sentence)
