"""A model of healthy hosts of one kind: predicts every health metric from the others and the time.

What is left over, divided by how large that is on rows the model was not fitted to, is a z per target; the largest |z|
of a host and step is its anomaly score. The threshold of alarms meets a budget of false alarms on those rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from diagnostics.training.boosting import ENSEMBLES
from diagnostics.training.errors import TrainingError
from diagnostics.training.reducing import FEWEST_COLUMNS, REDUCTIONS
from diagnostics.training.rows import Rows
from diagnostics.training.scaling import SCALINGS, Scaler

Floats = npt.NDArray[np.float64]

FORMAT = 1
FEWEST_LEARNT, FEWEST_CALIBRATED = 100, 24
"""Values that a target needs to be learnt, and to set a threshold by."""
PROBE_HOSTS, PROBE_DAYS = 4, 2
"""Made up, to tell by what a model says of them whether it is what it was."""
_FARTHEST_Z = 1e6
_MAD_OF_NORMAL = 0.6745


@dataclass(frozen=True)
class Candidate:
    """One choice of everything: `feature_set` stands for `metrics`, the inputs beside time and the target's lags."""

    feature_set: str
    metrics: tuple[str, ...]
    scaling: str
    reduction: str
    ensemble: str
    time: bool = True
    lags_hours: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Short and unique within a search."""
        return f"{self.feature_set}/{self.scaling}/{self.reduction}/{self.ensemble}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"metrics": list(self.metrics), "lags_hours": list(self.lags_hours)}

    @staticmethod
    def from_dict(told: Mapping[str, Any]) -> Candidate:
        """The inverse of `to_dict`."""
        return Candidate(**{**told, "metrics": tuple(told["metrics"]), "lags_hours": tuple(told["lags_hours"])})


@dataclass(frozen=True)
class FitSettings:
    """`trees` of every ensemble, at most `most_rows` to fit them to, the budget of false alarms, and the seed."""

    trees: int
    most_rows: int
    false_alarms_per_host_day: float
    seed: int


@dataclass(frozen=True, eq=False)
class Measured:
    """Rows of which steps from `first` on count; those before are there for models that look back."""

    rows: Rows
    first: int


@dataclass(frozen=True, eq=False)
class Scored:
    """Arrays [hosts, steps, targets] of `expected` values and `z`; `score` and `alarm` are [hosts, steps], the score
    NaN where no target is known.
    """

    expected: Floats
    z: Floats
    score: Floats
    alarm: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class HealthModel:
    """A fitted model. `columns` are all metrics it reads, `parts` hold one reduction and one ensemble a target,
    `centre` and `spread` [targets] are those of what is left over; `probe` [hosts, steps, columns] is made up, to
    try it on.
    """

    candidate: Candidate
    targets: tuple[str, ...]
    columns: tuple[str, ...]
    step_minutes: int
    scaler: Scaler
    parts: tuple[Mapping[str, Any], ...]
    centre: Floats
    spread: Floats
    threshold: float
    probe: Floats
    probe_start: str

    def score(self, rows: Rows) -> Scored:
        """Read every host and step; metrics that are not there count as missing.

        Raises:
            TrainingError: the rows have other steps than the model was made for.

        """
        if rows.step_minutes != self.step_minutes:
            raise TrainingError(f"step_minutes: {rows.step_minutes}: the model reads steps of {self.step_minutes}")
        scaled = self.scaler.forward(rows.columns(self.columns))
        hours, targets = rows.hours(), range(len(self.targets))
        predicted = np.stack([self._predict(scaled, hours, target) for target in targets], axis=2)
        at = [self.columns.index(target) for target in self.targets]
        z = np.clip((scaled[:, :, at] - predicted - self.centre) / self.spread, -_FARTHEST_Z, _FARTHEST_Z)
        known = np.isfinite(z).any(axis=2)
        score = np.where(known, np.nan_to_num(np.abs(z), nan=-1.0).max(axis=2), np.nan)
        expected = self.scaler.of(at).back(predicted)
        return Scored(expected, z, score, np.nan_to_num(score, nan=-1.0) > self.threshold)

    def _predict(self, scaled: Floats, hours: Floats, target: int) -> Floats:
        part = self.parts[target]
        inputs = _inputs(self.candidate, self.columns, scaled, hours, self.targets[target], self.step_minutes)
        flat = _reduced(self.candidate, part["reduction"], inputs)
        return ENSEMBLES[self.candidate.ensemble].predict(part["ensemble"], flat).reshape(scaled.shape[:2])

    def predictions_sha256(self) -> str:
        """Hash of the bytes of what the model says of its probe."""
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        hosts = Rows((), self.columns, self.probe, np.datetime64(self.probe_start, "m"), self.step_minutes)
        with threadpool_limits(1):  # as when it was fitted
            scored = self.score(hosts)
        return hashlib.sha256(scored.expected.tobytes() + scored.z.tobytes() + scored.score.tobytes()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Numbers, text, arrays and scikit-learn's trees: what a model file holds."""
        return {"format": FORMAT, "candidate": self.candidate.to_dict(), "targets": list(self.targets),
                "columns": list(self.columns), "step_minutes": self.step_minutes, "scaler": self.scaler.to_dict(),
                "parts": [dict(part) for part in self.parts], "centre": self.centre, "spread": self.spread,
                "threshold": self.threshold, "probe": self.probe, "probe_start": self.probe_start}

    @staticmethod
    def from_dict(told: Mapping[str, Any]) -> HealthModel:
        """The inverse of `to_dict`. Raises TrainingError for a file of another format."""
        if told.get("format") != FORMAT:
            raise TrainingError(f"model file: format {told.get('format')!r}: this program reads {FORMAT}")
        return HealthModel(Candidate.from_dict(told["candidate"]), tuple(told["targets"]), tuple(told["columns"]),
                           int(told["step_minutes"]), Scaler(**told["scaler"]), tuple(told["parts"]), told["centre"],
                           told["spread"], float(told["threshold"]), told["probe"], told["probe_start"])


def fit(
    candidate: Candidate, targets: Sequence[str], learn: Rows, calibrate: Measured, settings: FitSettings
) -> HealthModel:
    """Fit a candidate to `learn` and set its spread and threshold by `calibrate`, which comes after it in time.

    Raises:
        TrainingError: a target is not known on enough rows of either.

    """
    from threadpoolctl import threadpool_limits

    columns = tuple(sorted({*candidate.metrics, *targets}))
    values = learn.columns(columns)
    scaler = SCALINGS[candidate.scaling](values.reshape(-1, len(columns)))
    scaled = scaler.forward(values)
    with threadpool_limits(1):  # several threads add up in another order
        parts = tuple(_fit_part(candidate, columns, (scaled, learn.hours()), target, learn.step_minutes, settings)
                      for target in targets)
        probe = _made_up(values, PROBE_DAYS * learn.steps_per_day, settings.seed)
        blank = HealthModel(candidate, tuple(targets), columns, learn.step_minutes, scaler, parts,
                            np.zeros(len(targets)), np.ones(len(targets)), np.inf, probe,
                            str(np.datetime_as_string(calibrate.rows.start, unit="m")))
        return _calibrated(blank, calibrate, settings)


def _made_up(values: Floats, steps: int, seed: int) -> Floats:
    """Hosts and steps [hosts, steps, columns] as they might be: every cell by itself between quantiles of its column in
    `values`. A model goes where the rows it was fitted to may not, so that it holds none of them.
    """
    shares = np.linspace(0.05, 0.95, 7)
    drawn = np.random.default_rng(seed).uniform(shares[0], shares[-1], (PROBE_HOSTS, steps, values.shape[2]))
    made = np.full_like(drawn, np.nan)
    for column in range(values.shape[2]):
        known = values[:, :, column][np.isfinite(values[:, :, column])]
        if len(known):
            made[:, :, column] = np.interp(drawn[:, :, column], shares, np.quantile(known, shares))
    return made


def _fit_part(candidate: Candidate, columns: tuple[str, ...], learn: tuple[Floats, Floats], target: str,
              step_minutes: int, settings: FitSettings) -> dict[str, Any]:
    """Reduction and ensemble of one target."""
    scaled, hours = learn
    wanted = scaled[:, :, columns.index(target)].ravel()
    known = np.flatnonzero(np.isfinite(wanted))
    if len(known) > settings.most_rows:
        chosen = np.random.default_rng(settings.seed).permutation(len(known))[: settings.most_rows]
        known = known[np.sort(chosen)]
    if len(known) < FEWEST_LEARNT:
        raise TrainingError(f"{target}: {len(known)} rows to learn from: at least {FEWEST_LEARNT} are needed")
    inputs, extra = _inputs(candidate, columns, scaled, hours, target, step_minutes)
    inputs, extra = inputs[known], extra[known]
    reduction = REDUCTIONS[_reduction(candidate, inputs)].fit(inputs, settings.seed)
    flat = _reduced(candidate, reduction, (inputs, extra))
    ensemble = ENSEMBLES[candidate.ensemble].fit(flat, wanted[known], settings.trees, settings.seed)
    return {"reduction": reduction, "ensemble": ensemble}


def _reduction(candidate: Candidate, inputs: Floats) -> str:
    return candidate.reduction if inputs.shape[1] >= FEWEST_COLUMNS else "none"


def _reduced(candidate: Candidate, state: Mapping[str, Any], inputs: tuple[Floats, Floats]) -> Floats:
    """What an ensemble gets: reduced metrics, then time and lags as they are."""
    metrics, extra = inputs
    kept = REDUCTIONS[_reduction(candidate, metrics)].apply(state, metrics)
    return np.ascontiguousarray(np.concatenate([kept, extra], axis=1))


def _inputs(candidate: Candidate, columns: tuple[str, ...], scaled: Floats, hours: Floats, target: str,
            step_minutes: int) -> tuple[Floats, Floats]:
    """Metrics but the target [rows, metrics], and time and lags [rows, others], of every host and step in turn."""
    chosen = [at for at, name in enumerate(columns) if name in candidate.metrics and name != target]
    hosts, steps = scaled.shape[:2]
    extra = []
    if candidate.time:
        day, week = 2 * np.pi * hours / 24, 2 * np.pi * hours / 168
        waves = (np.sin(day), np.cos(day), np.sin(week), np.cos(week), hours >= 120)
        extra += [np.broadcast_to(wave, (hosts, steps)) for wave in waves]
    own = scaled[:, :, columns.index(target)]
    for lag in candidate.lags_hours:
        back = max(1, lag * 60 // step_minutes)
        late = np.full((hosts, steps), np.nan)
        late[:, back:] = own[:, : max(0, steps - back)]
        extra.append(late)
    others = np.stack([wave.reshape(-1) for wave in extra], axis=1) if extra else np.zeros((hosts * steps, 0))
    return scaled[:, :, chosen].reshape(hosts * steps, len(chosen)), others.astype(np.float64)


def _calibrated(blank: HealthModel, calibrate: Measured, settings: FitSettings) -> HealthModel:
    """Centre and spread of what is left over, robustly, and the threshold that meets the budget."""
    z = blank.score(calibrate.rows).z[:, calibrate.first :].reshape(-1, len(blank.targets))
    for at, target in enumerate(blank.targets):
        if np.isfinite(z[:, at]).sum() < FEWEST_CALIBRATED:
            raise TrainingError(f"{target}: under {FEWEST_CALIBRATED} rows in the days that thresholds are set by: send"
                                " more of it")
    centre = np.nanmedian(z, axis=0)
    spread = np.nanmedian(np.abs(z - centre), axis=0) / _MAD_OF_NORMAL
    floor = 1e-6 * np.maximum(1.0, np.nanmax(np.abs(z), axis=0))
    fitted = HealthModel(**{**vars(blank), "centre": centre, "spread": np.maximum(spread, floor)})
    score = fitted.score(calibrate.rows).score[:, calibrate.first :]
    share = min(1.0, settings.false_alarms_per_host_day / calibrate.rows.steps_per_day)
    return HealthModel(**{**vars(fitted), "threshold": threshold_of(score[np.isfinite(score)], share)})


def threshold_of(scores: Floats, share: float) -> float:
    """The least score that at most `share` of further calm rows exceed, as far as so many rows can tell (the conformal
    order statistic); with fewer rows than the budget asks for, the largest score seen.
    """
    ordered = np.sort(scores)
    rank = int(np.ceil((len(ordered) + 1) * (1 - share)))
    return float(ordered[min(rank, len(ordered)) - 1])
