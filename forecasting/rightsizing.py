"""How much to request for a workload, from how much it used: a decaying histogram, and the forecast's own quantile.

The histogram is that of the Kubernetes Vertical Pod Autoscaler, with its defaults (github.com/kubernetes/autoscaler,
`vertical-pod-autoscaler/pkg/recommender`: `model/aggregations_config.go`, `logic/recommender.go`,
`logic/estimator.go`): buckets that grow by 5 %, samples that lose half their weight in 24 hours, the end of the bucket
in which a percentile falls (0.9 for the target, 0.5 and 0.95 for its bounds), 15 % on top, bounds wider where history
is short. CPU counts every sample, memory the peak of each day. Left out are kills for lack of memory, and that weights
under a ten-thousandth are dropped.

The quantile of the forecast looks at the day ahead instead of the days behind: for CPU the request that is enough in a
share `level` of the day's steps, over all sample paths; for memory, where one step too much kills, on a share `level`
of the paths all day long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecasting.exhaustion import FEWEST_DAYS, peak_paths
from forecasting.history import DAY, Floats
from forecasting.jit import jit
from forecasting.long import fit_far
from forecasting.panel import Ints, Panel

GROWTH = 0.05
HALF_LIFE_DAYS = 1.0
TARGET, LOWER, UPPER = 0.9, 0.5, 0.95
MARGIN = 0.15
SAMPLES_A_DAY = 1440.0
PEAK_DAYS = 8
"""Days of memory peaks that count."""
PATHS = 100
CHUNK = 2_000_000
"""Series x paths x steps that are drawn together, at most."""


@dataclass(frozen=True, slots=True)
class Rules:
    """A resource: width of the first bucket, begin of the last, least request, and whether days count by their peak."""

    first: float
    most: float
    least: float
    peaks: bool

    @property
    def buckets(self) -> int:
        """Number of buckets."""
        return int(np.ceil(np.log(self.most * GROWTH / self.first + 1) / np.log(1 + GROWTH))) + 1

    @property
    def starts(self) -> Floats:
        """Where buckets begin; the last has no end."""
        found: Floats = self.first * ((1 + GROWTH) ** np.arange(self.buckets, dtype=np.float64) - 1) / GROWTH
        return found


CPU = Rules(0.01, 1000.0, 0.025, peaks=False)
"""In cores."""
MEMORY = Rules(1e7, 1e12, 250 * 2.0**20, peaks=True)
"""In bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Requests by series [N]: the histogram's target and its bounds, and the forecast's quantile (NaN under a week of
    history).
    """

    target: Floats
    lower: Floats
    upper: Floats
    forecast: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """How a request fared on days held out [N]: `slack`, the share of it that was not used, `shortfall`, the share of
    steps in which more was used, and `lost`, the share of use that was beyond it.
    """

    slack: Floats
    shortfall: Floats
    lost: Floats


def recommend(panel: Panel, rules: Rules, level: float, seed: int = 0) -> Request:
    """Requests for the next day, from all that was seen."""
    target, lower, upper = histogram_requests(panel, rules)
    return Request(target, lower, upper, forecast_request(panel, rules, level, seed))


def histogram_requests(panel: Panel, rules: Rules) -> tuple[Floats, Floats, Floats]:
    """Target, lower and upper bound [N] as the Vertical Pod Autoscaler recommends them."""
    step_days = panel.step / DAY
    samples, first, days = panel.values, panel.first, float(step_days)
    if rules.peaks:
        samples, first = _daily_peaks(panel)
        days = 1.0
    found = np.empty((len(panel), 3))
    levels = np.array([TARGET, LOWER, UPPER])
    _percentiles(samples, first, days / HALF_LIFE_DAYS, rules.starts, rules.first, levels, found)
    life = np.maximum((panel.count - 1) * step_days, 1e-9)
    confidence = np.minimum(life, panel.count / SAMPLES_A_DAY)
    found *= 1 + MARGIN
    found[:, 1] *= (1 + 0.001 / confidence) ** -2
    found[:, 2] *= 1 + 1 / confidence
    target, lower, upper = np.maximum(found, rules.least).T
    return target, lower, upper


def forecast_request(panel: Panel, rules: Rules, level: float, seed: int) -> Floats:
    """Request [N] for the next day by its forecast; NaN for series of under a week."""
    a_day = int(DAY // panel.step)
    found = np.full(len(panel), np.nan)
    known = np.flatnonzero(panel.count >= FEWEST_DAYS * a_day)
    some = max(1, CHUNK // (PATHS * a_day))
    for begin in range(0, len(known), some):
        rows = known[begin : begin + some]
        part = panel.pick(rows)
        if rules.peaks:
            paths = np.concatenate(list(peak_paths(part, a_day, PATHS, seed)), axis=2).max(axis=2)
        else:
            paths = fit_far(part).paths(a_day, PATHS, seed).reshape(len(rows), -1)
        found[rows] = np.quantile(paths, level, axis=1)
    return np.where(np.isnan(found), np.nan, np.maximum(found, rules.least))


def held_out(panel: Panel, rules: Rules, level: float, days: int, seed: int = 0) -> dict[str, Held]:
    """How requests fare on the last `days`, each set anew from what lay before it.

    `histogram`, `forecast`, and `max`: the most that was ever used, and 15 %. NaN where a series is too short.
    """
    a_day = int(DAY // panel.step)
    sums = {name: np.zeros((4, len(panel))) for name in ("histogram", "forecast", "max")}
    at = {name: i for i, name in enumerate(panel.ids)}
    for back in range(days, 0, -1):
        old = panel.before(back * a_day)
        if not len(old):
            continue
        rows = np.array([at[name] for name in old.ids])
        begin = panel.columns - back * a_day
        used = panel.values[rows, begin : begin + a_day]
        requests = {"histogram": histogram_requests(old, rules)[0],
                    "forecast": forecast_request(old, rules, level, seed),
                    "max": np.maximum((1 + MARGIN) * np.nanmax(old.values, axis=1), rules.least)}
        for name, request in requests.items():
            over = used - request[:, None]
            sums[name][:, rows] += np.stack([request * a_day, np.maximum(-over, 0).sum(axis=1), (over > 0).sum(axis=1),
                                             np.maximum(over, 0).sum(axis=1)])
    whole = panel.values[:, panel.columns - days * a_day :].sum(axis=1)
    steps = days * a_day
    with np.errstate(divide="ignore", invalid="ignore"):
        return {name: Held(found[1] / found[0], np.where(found[0] > 0, found[2] / steps, np.nan),
                           np.where(whole > 0, found[3] / np.where(whole > 0, whole, 1.0), 0.0))
                for name, found in sums.items()}


def _daily_peaks(panel: Panel) -> tuple[Floats, Ints]:
    """The peak of each of the last days [N, D], counted back from the end, and the first day that is there [N]."""
    a_day = int(DAY // panel.step)
    days = min(PEAK_DAYS, -(-panel.columns // a_day))
    padded = np.full((len(panel), days * a_day), -np.inf)
    width = min(panel.columns, days * a_day)
    tail = panel.values[:, panel.columns - width :]
    padded[:, days * a_day - width :] = np.where(np.isfinite(tail), tail, -np.inf)
    peaks = padded.reshape(len(panel), days, a_day).max(axis=2)
    return peaks, np.maximum(0, days - -(-panel.count // a_day)).astype(np.int64)


@jit
def _percentiles(samples: Floats, first: Ints, lives: float, starts: Floats, width: float, levels: Floats,
                 found: Floats) -> None:
    """Ends of the buckets [N, Q] in which percentiles of decayed weights fall; `lives` are half-lives a sample."""
    series, columns = samples.shape
    count = len(starts)
    weights = np.empty(count)
    ratio = np.log(1 + GROWTH)
    for i in range(series):
        weights[:] = 0.0
        total = 0.0
        for c in range(first[i], columns):
            value = samples[i, c]
            bucket = 0 if value < width else int(np.floor(np.log(value * GROWTH / width + 1) / ratio))
            weight = 2.0 ** (-(columns - 1 - c) * lives)
            weights[min(bucket, count - 1)] += weight
            total += weight
        last = count - 1
        while last > 0 and weights[last] == 0.0:
            last -= 1
        for q in range(len(levels)):
            bucket, part = 0, weights[0]
            while bucket < last and part < levels[q] * total:
                bucket += 1
                part += weights[bucket]
            found[i, q] = starts[min(bucket + 1, count - 1)]
