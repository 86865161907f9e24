"""Does the diagnosis notice? Faults injected into recorded or made-up telemetry, expected against observed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from diagnostics.diagnose import Alarm, Diagnosis, DiagnosisSettings, diagnose
from diagnostics.perturbation import PERTURBATIONS, CannotPerturbError, Expected, Injected, Scene
from diagnostics.telemetry import Telemetry

LEAST_DAYS = 21
"""Two weeks that the detector learns from, and one in which faults are injected."""

Verdict = Literal["as expected", "missed", "spilled over", "not injected"]


@dataclass(frozen=True)
class Outcome:
    """One perturbation. `noticed` are the metrics expected to alarm that did, `others` further ones of the struck
    clusters that did; `spilled` are clusters that were not struck and alarm because of it. `delay_hours` is until the
    first expected alarm, None where there is none.
    """

    perturbation: str
    verdict: Verdict
    done: str
    clusters: tuple[str, ...]
    expected: tuple[str, ...]
    noticed: tuple[str, ...]
    others: tuple[str, ...]
    spilled: tuple[str, ...]
    delay_hours: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers, ready for JSON."""
        return asdict(self)


def perturb(
    telemetry: Telemetry,
    names: Sequence[str] | None = None,
    seed: int = 0,
    settings: DiagnosisSettings | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> tuple[Outcome, ...]:
    """Inject each perturbation by itself (None: all) and diagnose; `told` hears how many are done.

    Calm clusters are struck, chosen by the seed; an alarm counts only when the telemetry as it was does not raise it.

    Raises:
        ValueError: an unknown perturbation, or too little history to notice anything by.

    """
    chosen = list(PERTURBATIONS) if names is None else list(names)
    for name in chosen:
        if name not in PERTURBATIONS:
            raise ValueError(f"perturb: {name!r}: one of {', '.join(PERTURBATIONS)}")
    days = telemetry.values.shape[1] / telemetry.steps_per_day
    if days < LEAST_DAYS:
        raise ValueError(f"perturb: {days:.1f} days of telemetry: {LEAST_DAYS} at least, so that there is a baseline")
    calm = diagnose(telemetry, settings)
    outcomes = []
    for done, name in enumerate(chosen, 1):
        outcomes.append(_outcome(telemetry, name, calm, seed, settings))
        told(done)
    return tuple(outcomes)


def _outcome(
    telemetry: Telemetry, name: str, calm: Diagnosis, seed: int, settings: DiagnosisSettings | None
) -> Outcome:
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    quiet = sorted(cluster.cluster for cluster in calm.clusters if cluster.status in ("ok", "drift"))
    order = [quiet[number] for number in generator.permutation(len(quiet))]
    try:
        if not order:
            raise CannotPerturbError("no cluster is calm: each has an alarm, no baseline, or is silent")  # noqa: TRY301
        injected = PERTURBATIONS[name](Scene(telemetry, tuple(order), generator))
    except CannotPerturbError as why:
        return Outcome(name, "not injected", str(why), (), (), (), (), (), None)
    return _compared(name, injected, calm, diagnose(replace(telemetry, values=injected.values), settings), telemetry)


def _compared(name: str, injected: Injected, calm: Diagnosis, found: Diagnosis, telemetry: Telemetry) -> Outcome:
    struck = {expected.cluster: expected for expected in injected.expected}
    before = {(alarm.cluster, alarm.metric, alarm.since) for alarm in _alarms(calm)}
    start = telemetry.when(injected.first)
    late = (alarm for alarm in _alarms(found) if alarm.until is None or alarm.until > start)
    new = [alarm for alarm in late if (alarm.cluster, alarm.metric, alarm.since) not in before]
    hits = [alarm for alarm in new if alarm.cluster in struck and alarm.metric in struck[alarm.cluster].metrics]
    spilled = sorted({alarm.cluster for alarm in new} - set(struck))
    noticed = all(_noticed(expected, hits, found) for expected in struck.values())
    verdict: Verdict = "missed" if not noticed else "spilled over" if spilled else "as expected"
    others = {alarm.metric for alarm in new if alarm.cluster in struck} - {alarm.metric for alarm in hits}
    metrics = {metric for expected in struck.values() for metric in expected.metrics or ("silence",)}
    silent = {"silence" for expected in struck.values() if expected.kind == "silent" and noticed}
    first = min((alarm.since for alarm in hits), default=None)
    delay = None if first is None else (np.datetime64(first[:-1]) - np.datetime64(start[:-1])) / np.timedelta64(1, "h")
    return Outcome(
        name, verdict, injected.done, tuple(sorted(struck)), tuple(sorted(metrics)),
        tuple(sorted({alarm.metric for alarm in hits} | silent)), tuple(sorted(others)), tuple(spilled),
        None if delay is None else round(float(max(0.0, delay)), 2),
    )  # fmt: skip


def _alarms(diagnosis: Diagnosis) -> list[Alarm]:
    return [alarm for cluster in diagnosis.clusters for alarm in cluster.alarms]


def _noticed(expected: Expected, hits: list[Alarm], found: Diagnosis) -> bool:
    if expected.kind == "alarm":
        return any(alarm.cluster == expected.cluster for alarm in hits)
    cluster = found.cluster(expected.cluster)
    return cluster is not None and cluster.status == "silent"
