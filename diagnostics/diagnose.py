"""From recorded telemetry to what is wrong where: alarms with since, chance and a sentence, and drift per metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from diagnostics.budgets import discoveries
from diagnostics.changes import Change, ChangeBudget, changes_of
from diagnostics.drift import DRIFT_TESTS
from diagnostics.experts import UNSAID, ExpertRule, deciding
from diagnostics.feedback import Feedback, share_of_budget, threshold
from diagnostics.gaps import SILENT_HOURS, hole, missing
from diagnostics.misses import Miss, misses
from diagnostics.months import Drift, DriftBudget, drifts_of
from diagnostics.reading import AUTO, DETECTOR_NAMES, Reading, ReadSettings, read
from diagnostics.telemetry import Series, Telemetry
from diagnostics.words import named

if TYPE_CHECKING:
    from diagnostics.reading.trained import Trained

Status = Literal["alarm", "drift", "silent", "no_baseline", "ok"]

MOST_FALSE_ALARMS = 10.0
"""A day and cluster; who asks for more hears of every hour."""
MOST_REPORT_DAYS, MOST_FALSE_DRIFTS = 3660.0, 0.5
JOIN_HOURS = 3
"""Alarms of one metric that are no further apart are one."""
JOIN_RUNS = 3
"""The same for runs and batches."""


@dataclass(frozen=True)
class DiagnosisSettings:
    """Budgets are per cluster, over all of its metrics; `report_days` is how far back alarms are reported. `rules` are
    what experts know, `feedback` what people said of earlier alarms.
    """

    detector: str = AUTO
    drift_test: str = "kl_monthly"
    false_alarms_per_day: float = 0.01
    false_drifts_per_month: float = 0.01
    false_changes_per_month: float = 0.01
    report_days: float = 7.0
    seed: int = 0
    rules: tuple[ExpertRule, ...] = ()
    feedback: tuple[Feedback, ...] = ()

    def __post_init__(self) -> None:
        """Refuse unknown names and empty windows."""
        for field, name, known in (
            ("detector", self.detector, list(DETECTOR_NAMES)),
            ("drift_test", self.drift_test, list(DRIFT_TESTS)),
        ):
            if name not in known:
                raise ValueError(f"{field}: {name!r}: one of {', '.join(known)}")
        if not 0 < self.false_alarms_per_day <= MOST_FALSE_ALARMS:
            raise ValueError(f"false_alarms_per_day: {self.false_alarms_per_day}: above 0, at most {MOST_FALSE_ALARMS}")
        for field, most in (("report_days", MOST_REPORT_DAYS), ("false_changes_per_month", MOST_FALSE_ALARMS),
                            ("false_drifts_per_month", MOST_FALSE_DRIFTS)):
            if not 0 < getattr(self, field) <= most:
                raise ValueError(f"{field}: {getattr(self, field)}: above 0, at most {most:g}")

    @property
    def drift_budget(self) -> DriftBudget:
        """How months are compared."""
        return DriftBudget(self.drift_test, self.false_drifts_per_month, self.seed)

    @property
    def change_budget(self) -> ChangeBudget:
        """How streams are watched."""
        return ChangeBudget(self.false_changes_per_month, self.seed)


@dataclass(frozen=True)
class Alarm:
    """One metric away from its usual values, or against an expert's `rule`; or all metrics of a cluster, none of which
    alone says so. `z`, `p`, `value` and `expected` are those of the worst step, null where a rule speaks before there
    is a baseline; `until` is null while it lasts. `detector` is who raised it.
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
    detector: str = ""
    workload: str = ""
    kind: str = ""
    device: str = ""

    @property
    def name(self) -> str:
        """The metric, and whose it is."""
        return named(self.metric, self.workload, self.device)

    @property
    def series(self) -> Series:
        """What it was raised on."""
        return Series(self.cluster, self.hardware_class, self.metric, self.workload, self.kind, self.device)

    @property
    def gravity(self) -> tuple[bool, float, float]:
        """Sorts alarms, the gravest first: those of rules, then the least likely under calm."""
        return self.rule is None, 0.0 if self.p is None else self.p, 0.0 if self.z is None else -abs(self.z)


@dataclass(frozen=True)
class ClusterDiagnosis:
    """One cluster: the gravest of its findings as `status`, one sentence, and its grounds. `drifts` compare months,
    `changes` were noticed in the streams of the reported days. `note` says what else one should know, such as that it
    did not agree to be learnt from.
    """

    cluster: str
    hardware_classes: tuple[str, ...]
    status: Status
    sentence: str
    last_value: str | None
    alarms: tuple[Alarm, ...]
    drifts: tuple[Drift, ...]
    note: str = ""
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class RuleUse:
    """How many values of the reported days a rule decided on, and how many alarms among them it silenced or raised."""

    rule: str
    verdict: str
    values: int
    silenced: int
    raised: int


@dataclass(frozen=True)
class ModelUse:
    """Which stored model read the clusters of a hardware class, and what a rollback would go back to; null where none
    answers for it, and the sentence says why.
    """

    hardware_class: str
    version: str | None
    model_of: str | None
    last_known_good: str | None
    sentence: str


@dataclass(frozen=True)
class Diagnosis:
    """All clusters, sorted by name. Times are ISO-8601 UTC; alarms before `reported_from` are left out. `misses` is
    what the budget of false alarms costs.
    """

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
    misses: tuple[Miss, ...] = ()
    models: tuple[ModelUse, ...] = ()

    @property
    def found(self) -> bool:
        """Whether any cluster has an alarm or a drift, or fell silent: what nobody hears of is not well."""
        return any(cluster.status in ("alarm", "drift", "silent") for cluster in self.clusters)

    @property
    def budget_sentence(self) -> str:
        """What may be expected of the detectors while all is calm, and what they miss."""
        told = (f"budget {self.false_alarms_per_day:g} false alarms a day and cluster: {self.expected_false_alarms:.3g}"
                f" in these days if all were calm")
        missed = ", ".join(f"{one.size:g} off {100 * one.share:.0f} %" for one in self.misses)
        return told + (f"; missed of single steps, by how many deviations they are off: {missed}" if missed else "")

    def cluster(self, name: str) -> ClusterDiagnosis | None:
        """The diagnosis of one cluster, None when it sent no telemetry."""
        return next((cluster for cluster in self.clusters if cluster.cluster == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers, ready for JSON."""
        return asdict(self)


def diagnose(telemetry: Telemetry, settings: DiagnosisSettings | None = None,
             models: Mapping[str, Trained] | None = None) -> Diagnosis:
    """Run the detectors that fit, or the one named, and the drift test over everything.

    A cluster's budgets are shared among what is read of it (`budgets.discoveries`), so that what a cluster is told does
    not depend on clusters of other hardware. Feedback narrows the share of a metric, rules have the last word. `models`
    are those of the store, by hardware class.

    Raises:
        ReadingError: a detector cannot read the values of a series.

    """
    settings = settings or DiagnosisSettings()
    return diagnose_read(telemetry, settings, reading_of(telemetry, settings, models), models)


def reading_of(telemetry: Telemetry, settings: DiagnosisSettings,
               models: Mapping[str, Trained] | None = None) -> Reading:
    """What the detectors make of every step. Raises ReadingError."""
    return read(telemetry, ReadSettings(settings.false_alarms_per_day, settings.detector,
                                        _reported(telemetry, settings), models or {}))


def diagnose_read(telemetry: Telemetry, settings: DiagnosisSettings, reading: Reading,
                  models: Mapping[str, Trained] | None = None) -> Diagnosis:
    """The diagnosis of telemetry that was read, by `models` too."""
    reported, steps = _reported(telemetry, settings), telemetry.values.shape[1]
    alarm, shares = _news(reading, settings)
    alone = _news(reading, replace(settings, feedback=()))[0][: len(telemetry.series)]
    decided = deciding(settings.rules, reading.telemetry)
    for number, rule in enumerate(settings.rules):  # a score is no value that an expert would know
        decided[len(telemetry.series) :][decided[len(telemetry.series) :] == number] = (
            number if rule.verdict == "normal" else UNSAID)
    uses = tuple(_apply(rule, decided == number, alarm, reported) for number, rule in enumerate(settings.rules))
    alarms: dict[str, list[Alarm]] = {name: [] for name in telemetry.clusters}
    for row, series in enumerate(reading.telemetry.series):
        if row >= len(telemetry.series):  # together they only say what none says alone, also to deaf ears
            own = [one.cluster == series.cluster for one in telemetry.series]
            _take_back(alarm[row], np.asarray(alone[own].any(axis=0)))
        alarms[series.cluster] += _alarms(reading, alarm[row], row, reported, settings.rules, decided[row])
    drifts = drifts_of(telemetry, settings.drift_budget)
    changes = changes_of(telemetry, reading, models or {}, settings.change_budget, reported)
    clusters = tuple(
        _cluster(reading, telemetry, name, alarms[name], [drift for drift in drifts if drift.cluster == name],
                 [change for change in changes if change.cluster == name])
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
        misses=_misses(telemetry, settings, reading, shares),
    )


def drifts(telemetry: Telemetry, settings: DiagnosisSettings | None = None) -> tuple[Drift, ...]:
    """Compare the last month of every series with the month before; without two months, that is said."""
    return tuple(drifts_of(telemetry, (settings or DiagnosisSettings()).drift_budget, most_months=1))


def _reported(telemetry: Telemetry, settings: DiagnosisSettings) -> int:
    """The first step that alarms are reported of."""
    steps = int(telemetry.values.shape[1])
    return max(0, steps - int(np.ceil(settings.report_days * telemetry.steps_per_day)))


def _news(reading: Reading, settings: DiagnosisSettings) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Which steps are alarms [series, steps], and the chance below which a series alarms when it is alone [series]: by
    the budget of its cluster, and by what people said of earlier alarms.
    """
    rate = settings.false_alarms_per_day / reading.telemetry.steps_per_day
    judged: dict[tuple[str, str, str], list[Feedback]] = {}
    for one in settings.feedback:
        judged.setdefault((one.cluster, one.metric, one.workload), []).append(one)
    alarm = np.zeros(reading.scores.p.shape, dtype=bool)
    chance = np.zeros(len(alarm))
    members: dict[str, list[int]] = {}
    for row, (series, detector) in enumerate(zip(reading.telemetry.series, reading.detectors, strict=True)):
        if detector:
            members.setdefault(series.cluster, []).append(row)
    for rows in members.values():
        keys = [(one.cluster, one.metric, one.workload) for one in (reading.telemetry.series[row] for row in rows)]
        paces = [reading.paces[row] for row in rows]  # a run a day may be as unlikely a day as 24 hours together
        shares = np.array([pace * share_of_budget(judged.get(key, []), pace * rate / len(rows))
                           for key, pace in zip(keys, paces, strict=True)])
        alarm[rows] = discoveries(reading.scores.p[rows], rate, shares)
        chance[rows] = shares * rate / len(rows)
        for row, key in zip(rows, keys, strict=True):
            if judged.get(key):  # other metrics that are ill too do not make its false alarms true
                alarm[row] &= reading.scores.p[row] < threshold(judged[key], reading.paces[row] * rate)
    return alarm, chance


def _misses(telemetry: Telemetry, settings: DiagnosisSettings, reading: Reading,
            chance: npt.NDArray[np.float64]) -> tuple[Miss, ...]:
    """What is missed of metrics that may be off either way, over the reported days."""
    z = reading.scores.z[: len(telemetry.series), _reported(telemetry, settings) :]
    either_way = (np.nan_to_num(reading.scores.z[: len(telemetry.series)]).min(axis=1, initial=0) < 0)
    tested = either_way & np.array([bool(name) for name in reading.detectors[: len(telemetry.series)]], dtype=bool)
    limit = reading.scores.limit(chance)[: len(telemetry.series)]
    return misses(z[tested], limit[tested])


def _apply(
    rule: ExpertRule, said: npt.NDArray[np.bool_], alarm: npt.NDArray[np.bool_], reported: int
) -> RuleUse:
    """Silence or raise `alarm` where the rule decides, in place."""
    seen, before = said[:, reported:], alarm[:, reported:].copy()
    alarm[said] = rule.verdict == "not_normal"
    silenced = int((before & seen).sum()) if rule.verdict == "normal" else 0
    raised = int((seen & ~before).sum()) if rule.verdict == "not_normal" else 0
    return RuleUse(rule.name, rule.verdict, int(seen.sum()), silenced, raised)


def _take_back(alarm: npt.NDArray[np.bool_], alone: npt.NDArray[np.bool_]) -> None:
    """Take spells of alarm [steps] back, in place, in which something alone was one too."""
    for run in _runs(np.flatnonzero(alarm), 1):
        if alone[run].any():
            alarm[run] = False


def _runs(steps: npt.NDArray[np.int64], join: int) -> Iterator[npt.NDArray[np.int64]]:
    """Sorted steps, cut where the next is more than `join` away."""
    if len(steps):
        yield from np.split(steps, np.flatnonzero(np.diff(steps) > join) + 1)


def _alarms(reading: Reading, alarm: npt.NDArray[np.bool_], row: int, reported: int, rules: tuple[ExpertRule, ...],
            decided: npt.NDArray[np.int64]) -> Iterator[Alarm]:
    """The alarms of one series that last into the reported window; `decided` [steps] numbers the rules that decide."""
    steps_per_day = reading.telemetry.steps_per_day
    known = np.flatnonzero(np.isfinite(reading.telemetry.values[row]))
    pace = reading.paces[row]
    join = max(1, JOIN_HOURS * steps_per_day // 24, JOIN_RUNS * pace * (pace > 1))
    for run in _runs(np.flatnonzero(alarm), join):
        if run[-1] < reported:
            continue
        worst = int(run[np.abs(np.nan_to_num(reading.scores.z[row, run])).argmax()])
        lasts = bool(known[-1] - run[-1] <= join)
        said = decided[run][decided[run] != UNSAID]
        rule = rules[said[0]] if len(said) else None
        yield _alarm(reading, row, (int(run[0]), worst, None if lasts else int(run[-1]) + pace), rule)


def _alarm(reading: Reading, row: int, steps: tuple[int, int, int | None], rule: ExpertRule | None) -> Alarm:
    """One alarm in words; `steps` are its first, its worst, and the one after its last (None: it lasts)."""
    first, worst, after = steps
    telemetry, series = reading.telemetry, reading.telemetry.series[row]
    since, until = telemetry.when(first), None if after is None else telemetry.when(after)
    z, p, expected = (None if np.isnan(one[row, worst]) else float(one[row, worst])
                      for one in (reading.scores.z, reading.scores.p, reading.scores.expected))
    sentence = reading.words(row, worst)
    if rule is not None:
        sentence += f"; not normal, says {rule.name}" + (f": {rule.reason}" if rule.reason else "")
    sentence += f", since {since}" + (", and it lasts" if until is None else f" until {until}")
    value = float(telemetry.values[row, worst])
    return Alarm(series.cluster, series.hardware_class, series.metric, since, until, z, p, value, expected, sentence,
                 None if rule is None else rule.name, reading.detector(row, worst), series.workload, series.kind,
                 series.device)


def _cluster(reading: Reading, telemetry: Telemetry, name: str, alarms: list[Alarm],
             drifts: list[Drift], changes: list[Change]) -> ClusterDiagnosis:
    """Sum up one cluster: alarm before drift before silence before no baseline."""
    rows = [row for row, series in enumerate(telemetry.series) if series.cluster == name]
    steps = telemetry.values.shape[1]
    known = np.flatnonzero(np.isfinite(telemetry.values[rows]).any(axis=0))
    last = None if not len(known) else telemetry.when(int(known[-1]) + 1)
    drifted = [*(one.sentence for one in drifts if one.drifted), *(one.sentence for one in changes)]
    quiet = not len(known) or (steps - 1 - known[-1]) >= SILENT_HOURS * telemetry.steps_per_day // 24
    tested = [row for row, series in enumerate(reading.telemetry.series) if series.cluster == name]
    status: Status
    if alarms:
        alarms.sort(key=lambda alarm: (*alarm.gravity, alarm.metric, alarm.since))
        status, sentence = "alarm", f"{len(alarms)} alarm{'s' * (len(alarms) > 1)}; {alarms[0].sentence}"
    elif drifted:
        status, sentence = "drift", "; ".join(drifted)
    elif quiet:
        heard = f"nothing received since {last}" if last else "no value was ever received"
        status, sentence = "silent", f"{heard}: look whether it is up, and whether what sends its telemetry is"
    elif not np.isfinite(reading.scores.p[tested]).any():
        span = (int(known[-1]) - int(known[0]) + 1) / telemetry.steps_per_day
        status = "no_baseline"
        sentence = f"no baseline yet: {reading.needs_days:g} days of history come first, {span:.1f} are here"
    else:
        status, sentence = "ok", "as usual"
    classes = tuple(sorted({telemetry.series[row].hardware_class for row in rows}))
    out = "it did not agree to be learnt from: its rows are diagnosed, and teach nothing about other clusters"
    notes = [out if name in telemetry.opted_out else "", hole(telemetry, known), *missing(telemetry, rows, known)]
    return ClusterDiagnosis(name, classes, status, sentence, last, tuple(alarms), tuple(drifts),
                            "; ".join(filter(None, notes)), tuple(changes))
