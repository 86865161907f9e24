"""From recorded telemetry to what is wrong where: alarms with since, chance and a sentence, and drift per metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from diagnostics.budgets import discoveries
from diagnostics.detectors import DETECTORS, DetectorSettings, Scores
from diagnostics.drift import DRIFT_TESTS, DriftSettings, Verdict, Windows
from diagnostics.experts import UNSAID, ExpertRule, deciding
from diagnostics.feedback import Feedback, share_of_budget
from diagnostics.telemetry import Series, Telemetry

Status = Literal["alarm", "drift", "silent", "no_baseline", "ok"]

MONTH_DAYS = 28
"""Four weeks, so that every weekday counts equally often."""
SILENT_HOURS = 24
MOST_FALSE_ALARMS = 10.0
"""A day and cluster; who asks for more hears of every hour."""
JOIN_HOURS = 3
"""Alarms of one metric that are no further apart are one."""


@dataclass(frozen=True)
class DiagnosisSettings:
    """Budgets are per cluster, over all of its metrics; `report_days` is how far back alarms are reported. `rules` are
    what experts know, `feedback` what people said of earlier alarms.
    """

    detector: str = "seasonal_z"
    drift_test: str = "kl_monthly"
    false_alarms_per_day: float = 0.01
    false_drifts_per_month: float = 0.01
    report_days: float = 7.0
    seed: int = 0
    rules: tuple[ExpertRule, ...] = ()
    feedback: tuple[Feedback, ...] = ()

    def __post_init__(self) -> None:
        """Refuse unknown names and empty windows."""
        for field, name, known in (
            ("detector", self.detector, list(DETECTORS)),
            ("drift_test", self.drift_test, list(DRIFT_TESTS)),
        ):
            if name not in known:
                raise ValueError(f"{field}: {name!r}: one of {', '.join(known)}")
        if not 0 < self.false_alarms_per_day <= MOST_FALSE_ALARMS:
            raise ValueError(f"false_alarms_per_day: {self.false_alarms_per_day}: above 0, at most {MOST_FALSE_ALARMS}")
        if not self.report_days > 0:
            raise ValueError(f"report_days: {self.report_days}: above 0")


@dataclass(frozen=True)
class Alarm:
    """One metric away from its usual values, or against an expert's `rule`. `z`, `p`, `value` and `expected` are those
    of the worst step, null where a rule speaks before there is a baseline; `until` is null while it lasts.
    """

    cluster: str
    hardware_class: str
    metric: str
    since: str
    until: str | None
    z: float | None
    p: float | None
    value: float
    expected: float | None
    sentence: str
    rule: str | None = None

    @property
    def gravity(self) -> tuple[bool, float, float]:
        """Sorts alarms, the gravest first: those of rules, then the least likely under calm."""
        return self.rule is None, 0.0 if self.p is None else self.p, 0.0 if self.z is None else -abs(self.z)


@dataclass(frozen=True)
class Drift:
    """One metric, this month against the month before; the figures are null where there is too little history."""

    cluster: str
    hardware_class: str
    metric: str
    drifted: bool
    statistic: float | None
    threshold: float | None
    p: float | None
    sentence: str


@dataclass(frozen=True)
class ClusterDiagnosis:
    """One cluster: the gravest of its findings as `status`, one sentence, and what it rests on."""

    cluster: str
    hardware_classes: tuple[str, ...]
    status: Status
    sentence: str
    last_value: str | None
    alarms: tuple[Alarm, ...]
    drifts: tuple[Drift, ...]


@dataclass(frozen=True)
class RuleUse:
    """How many values of the reported days a rule decided on, and how many alarms among them it silenced or raised."""

    rule: str
    verdict: str
    values: int
    silenced: int
    raised: int


@dataclass(frozen=True)
class Diagnosis:
    """All clusters, sorted by name. Times are ISO-8601 UTC; alarms before `reported_from` are left out."""

    start: str
    end: str
    reported_from: str
    detector: str
    drift_test: str
    false_alarms_per_day: float
    expected_false_alarms: float
    merged_rows: int
    clusters: tuple[ClusterDiagnosis, ...]
    rules: tuple[RuleUse, ...] = ()

    @property
    def found(self) -> bool:
        """Whether any cluster has an alarm or a drift."""
        return any(cluster.status in ("alarm", "drift") for cluster in self.clusters)

    def cluster(self, name: str) -> ClusterDiagnosis | None:
        """The diagnosis of one cluster, None when it sent no telemetry."""
        return next((cluster for cluster in self.clusters if cluster.cluster == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers, ready for JSON."""
        return asdict(self)


def diagnose(telemetry: Telemetry, settings: DiagnosisSettings | None = None) -> Diagnosis:
    """Run the detector and the drift test over every series.

    A cluster's budgets are shared among its metrics (`budgets.discoveries`), so that what a cluster is told does not
    depend on the other clusters of the fleet. Feedback narrows the share of a metric, rules have the last word.
    """
    settings = settings or DiagnosisSettings()
    steps = telemetry.values.shape[1]
    reported = max(0, steps - int(np.ceil(settings.report_days * telemetry.steps_per_day)))
    metrics = Counter(series.cluster for series in telemetry.series)
    alarms: dict[str, list[Alarm]] = {name: [] for name in telemetry.clusters}
    scores = _score(telemetry, settings, metrics)
    decided = deciding(settings.rules, telemetry)
    uses = tuple(_apply(rule, decided == number, scores.alarm, reported) for number, rule in enumerate(settings.rules))
    for row, series in enumerate(telemetry.series):
        alarms[series.cluster] += _alarms(telemetry, scores, row, reported, settings.rules, decided[row])
    drifts = _drifts(telemetry, settings, metrics)
    clusters = tuple(
        _cluster(telemetry, scores, name, alarms[name], [drift for drift in drifts if drift.cluster == name])
        for name in telemetry.clusters
    )
    days = (steps - reported) / telemetry.steps_per_day
    return Diagnosis(
        start=telemetry.when(0),
        end=telemetry.when(steps),
        reported_from=telemetry.when(reported),
        detector=settings.detector,
        drift_test=settings.drift_test,
        false_alarms_per_day=settings.false_alarms_per_day,
        expected_false_alarms=round(settings.false_alarms_per_day * days * len(clusters), 6),
        merged_rows=telemetry.merged_rows,
        clusters=clusters,
        rules=uses,
    )


def usual_values(telemetry: Telemetry, settings: DiagnosisSettings | None = None) -> npt.NDArray[np.float64]:
    """What the detector foresees at every step [series, steps], from what came before; NaN without a baseline."""
    metrics = Counter(series.cluster for series in telemetry.series)
    return _score(telemetry, settings or DiagnosisSettings(), metrics).expected


def _score(telemetry: Telemetry, settings: DiagnosisSettings, metrics: Counter[str]) -> Scores:
    """Scores of all series; clusters with the same number of metrics share a budget and are scored together."""
    parts: dict[int, list[int]] = {}
    for row, series in enumerate(telemetry.series):
        parts.setdefault(metrics[series.cluster], []).append(row)
    shape = telemetry.values.shape
    expected, z, p = (np.full(shape, np.nan) for _ in range(3))
    alarm = np.zeros(shape, dtype=bool)
    needs_days = 0.0
    for count, rows in parts.items():
        budget = DetectorSettings(settings.false_alarms_per_day / count, telemetry.steps_per_day)
        scores = DETECTORS[settings.detector](telemetry.values[rows], budget)
        expected[rows], z[rows], p[rows], alarm[rows] = scores.expected, scores.z, scores.p, scores.alarm
        needs_days = scores.needs_days
    for name in telemetry.clusters:
        rows = [row for row, series in enumerate(telemetry.series) if series.cluster == name]
        alarm[rows] = _news(telemetry, settings, rows, p[rows])
    return Scores(expected, z, p, alarm, needs_days)


def _news(
    telemetry: Telemetry, settings: DiagnosisSettings, rows: list[int], p: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Which steps of a cluster's metrics [rows, steps] are alarms, by its budget and what people said of others."""
    rate = settings.false_alarms_per_day / telemetry.steps_per_day
    judged: dict[tuple[str, str], list[Feedback]] = {}
    for one in settings.feedback:
        judged.setdefault((one.cluster, one.metric), []).append(one)
    shares = [share_of_budget(judged.get((series.cluster, series.metric), []), rate / len(rows))
              for series in (telemetry.series[row] for row in rows)]
    return discoveries(p, rate, np.array(shares))


def _apply(
    rule: ExpertRule, said: npt.NDArray[np.bool_], alarm: npt.NDArray[np.bool_], reported: int
) -> RuleUse:
    """Silence or raise `alarm` where the rule decides, in place."""
    seen, before = said[:, reported:], alarm[:, reported:].copy()
    alarm[said] = rule.verdict == "not_normal"
    silenced = int((before & seen).sum()) if rule.verdict == "normal" else 0
    raised = int((seen & ~before).sum()) if rule.verdict == "not_normal" else 0
    return RuleUse(rule.name, rule.verdict, int(seen.sum()), silenced, raised)


def _runs(steps: npt.NDArray[np.int64], join: int) -> Iterator[npt.NDArray[np.int64]]:
    """Sorted steps, cut where the next is more than `join` away."""
    if len(steps):
        yield from np.split(steps, np.flatnonzero(np.diff(steps) > join) + 1)


def _alarms(
    telemetry: Telemetry,
    scores: Scores,
    row: int,
    reported: int,
    rules: tuple[ExpertRule, ...],
    decided: npt.NDArray[np.int64],
) -> Iterator[Alarm]:
    """The alarms of one series that last into the reported window; `decided` [steps] numbers the rules that decide."""
    join = max(1, JOIN_HOURS * telemetry.steps_per_day // 24)
    known = np.flatnonzero(np.isfinite(telemetry.values[row]))
    for run in _runs(np.flatnonzero(scores.alarm[row]), join):
        if run[-1] < reported:
            continue
        worst = int(run[np.abs(np.nan_to_num(scores.z[row, run])).argmax()])
        lasts = bool(known[-1] - run[-1] <= join)
        said = decided[run][decided[run] != UNSAID]
        rule = rules[said[0]] if len(said) else None
        yield _alarm(telemetry, scores, row, (int(run[0]), worst, None if lasts else int(run[-1]) + 1), rule)


def _alarm(
    telemetry: Telemetry, scores: Scores, row: int, steps: tuple[int, int, int | None], rule: ExpertRule | None
) -> Alarm:
    """One alarm in words; `steps` are its first, its worst, and the one after its last (None: it lasts)."""
    first, worst, after = steps
    series = telemetry.series[row]
    value = float(telemetry.values[row, worst])
    since, until = telemetry.when(first), None if after is None else telemetry.when(after)
    z, p, expected = (None if np.isnan(one[row, worst]) else float(one[row, worst])
                      for one in (scores.z, scores.p, scores.expected))
    sentence = f"{series.metric} was {value:.4g}"
    if z is not None and p is not None and expected is not None:
        sentence += f" where {expected:.4g} is usual at that hour of the week (z {z:+.1f}, chance {p:.1g})"
    if rule is not None:
        sentence += f"; not normal, says {rule.name}" + (f": {rule.reason}" if rule.reason else "")
    sentence += f", since {since}" + (", and it lasts" if until is None else f" until {until}")
    return Alarm(*series, since, until, z, p, value, expected, sentence, None if rule is None else rule.name)


def drifts(telemetry: Telemetry, settings: DiagnosisSettings | None = None) -> tuple[Drift, ...]:
    """Compare the last month of every series with the month before; without two months, that is said."""
    metrics = Counter(series.cluster for series in telemetry.series)
    return tuple(_drifts(telemetry, settings or DiagnosisSettings(), metrics))


def _drifts(telemetry: Telemetry, settings: DiagnosisSettings, metrics: Counter[str]) -> list[Drift]:
    """One verdict a series on the last two months of whole days."""
    day, steps = telemetry.steps_per_day, telemetry.values.shape[1]
    whole = steps // day
    days = min(whole, 2 * MONTH_DAYS)
    tail = telemetry.values[:, steps - days * day :].reshape(-1, days, day)
    recent = np.arange(days) >= MONTH_DAYS
    found: dict[int, Drift] = {}
    parts: dict[int, list[int]] = {}
    for row, series in enumerate(telemetry.series):
        if days < 2 * MONTH_DAYS:
            found[row] = _no_verdict(series, f"{whole} days are here")
        elif not _half_known(tail[row], recent):
            found[row] = _no_verdict(series, "one of them is less than half known")
        else:
            parts.setdefault(metrics[series.cluster], []).append(row)
    for count, rows in parts.items():
        budget = DriftSettings(settings.false_drifts_per_month / count, settings.seed)
        verdicts = DRIFT_TESTS[settings.drift_test](Windows(tail[rows], recent, np.arange(days) % 7), budget)
        for row, verdict in zip(rows, verdicts, strict=True):
            found[row] = _drift(telemetry.series[row], verdict, settings.drift_test)
    return [found[row] for row in range(len(telemetry.series))]


def _no_verdict(series: Series, why: str) -> Drift:
    """Say why a series has no verdict."""
    sentence = f"no verdict yet on {series.metric}: two months of {MONTH_DAYS} days are compared, {why}"
    return Drift(*series, drifted=False, statistic=None, threshold=None, p=None, sentence=sentence)


def _half_known(days: npt.NDArray[np.float64], recent: npt.NDArray[np.bool_]) -> bool:
    """Whether at least half of each month was measured."""
    known = np.isfinite(days)
    return bool(known[recent].mean() >= 0.5 and known[~recent].mean() >= 0.5)


def _drift(series: Series, verdict: Verdict, test: str) -> Drift:
    """A verdict in words."""
    what, side = ("drifted", "at or above") if verdict.drifted else ("did not drift", "below")
    sentence = (
        f"{series.metric} {what}: {test} {verdict.statistic:.3g} is {side} its threshold"
        f" {verdict.threshold:.3g} (chance {verdict.p:.1g})"
    )
    return Drift(*series, verdict.drifted, verdict.statistic, verdict.threshold, verdict.p, sentence)


def _cluster(
    telemetry: Telemetry, scores: Scores, name: str, alarms: list[Alarm], drifts: list[Drift]
) -> ClusterDiagnosis:
    """Sum up one cluster: alarm before drift before silence before no baseline."""
    rows = [row for row, series in enumerate(telemetry.series) if series.cluster == name]
    steps = telemetry.values.shape[1]
    known = np.flatnonzero(np.isfinite(telemetry.values[rows]).any(axis=0))
    last = None if not len(known) else telemetry.when(int(known[-1]) + 1)
    drifted = [drift for drift in drifts if drift.drifted]
    quiet = not len(known) or (steps - 1 - known[-1]) >= SILENT_HOURS * telemetry.steps_per_day // 24
    status: Status
    if alarms:
        alarms.sort(key=lambda alarm: (*alarm.gravity, alarm.metric, alarm.since))
        status, sentence = "alarm", f"{len(alarms)} alarm{'s' * (len(alarms) > 1)}; {alarms[0].sentence}"
    elif drifted:
        status, sentence = "drift", "; ".join(drift.sentence for drift in drifted)
    elif quiet:
        status, sentence = "silent", f"nothing received since {last}" if last else "no value was ever received"
    elif not np.isfinite(scores.p[rows]).any():
        span = (int(known[-1]) - int(known[0]) + 1) / telemetry.steps_per_day
        status = "no_baseline"
        sentence = f"no baseline yet: {scores.needs_days:g} days of history come first, {span:.1f} are here"
    else:
        status, sentence = "ok", "as usual"
    classes = tuple(sorted({telemetry.series[row].hardware_class for row in rows}))
    return ClusterDiagnosis(name, classes, status, sentence, last, tuple(alarms), tuple(drifts))
