"""Kullback-Leibler divergence of this month's distribution from the month before, against shuffled days.

The values of both months are cut into ten bins of equal mass. How large the divergence gets by chance is found by
exchanging whole days of the same weekday between the months (a stratified block permutation), so daily and weekly
rhythm and dependence within a day are part of the null and raise no verdict. Dependence that lasts over days is not:
a metric that wanders for a week looks drifted. Divergences under `SMALLEST_KL_NATS` are never called drift, however
certain: that is a shift of the mean by about a third of a standard deviation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diagnostics.drift.contract import DriftSettings, Verdict, Windows

Floats = npt.NDArray[np.float64]

BINS = 10
SMALLEST_KL_NATS = 0.05

_SMOOTHING = 0.5  # Krichevsky-Trofimov: half a value in every bin keeps the logarithm finite
_FIRST_DRAWS = 999
_DRAWS_PER_CHANCE = 20
_TIE = 1e-12


def test(windows: Windows, settings: DriftSettings) -> tuple[Verdict, ...]:
    """Compare the recent days with the earlier ones, series by series.

    Divergences too small to matter get their chance from 999 exchanges; the others from as many as it takes to see 20
    at or above the threshold.
    """
    few = _exchanges(windows, settings.seed, _FIRST_DRAWS)
    many: npt.NDArray[np.bool_] | None = None
    verdicts = []
    for days in windows.days:
        counts = _counts(days)
        observed = float(_divergence(counts, windows.recent[None, :])[0])
        if observed >= SMALLEST_KL_NATS and many is None:
            draws = max(_FIRST_DRAWS, int(np.ceil(_DRAWS_PER_CHANCE / settings.false_drift_chance)) - 1)
            many = _exchanges(windows, settings.seed, draws)
        null = _divergence(counts, few if observed < SMALLEST_KL_NATS or many is None else many)
        verdicts.append(_verdict(observed, null, settings.false_drift_chance))
    return tuple(verdicts)


def _verdict(observed: float, null: Floats, chance: float) -> Verdict:
    """Set an observed divergence against those of exchanged days."""
    p = (1 + int((null >= observed - _TIE).sum())) / (1 + len(null))
    # The k-th largest of the null, so that at most the stated share of calm months is at or above it.
    allowed = max(1, int(chance * (1 + len(null))))
    threshold = max(float(np.sort(null)[-allowed]), SMALLEST_KL_NATS)
    return Verdict(observed, threshold, p, p <= chance and observed >= SMALLEST_KL_NATS)


def _counts(days: Floats) -> Floats:
    """How many values of each day are in each of ten bins of equal mass: [days, bins]."""
    known = np.isfinite(days)
    values = days[known]
    if not len(values):
        return np.zeros((len(days), BINS))
    edges = np.quantile(values, np.arange(1, BINS) / BINS)
    cell = np.nonzero(known)[0] * BINS + np.searchsorted(edges, values, side="right")
    return np.bincount(cell, minlength=len(days) * BINS).reshape(len(days), BINS).astype(np.float64)


def _exchanges(windows: Windows, seed: int, draws: int) -> npt.NDArray[np.bool_]:
    """Other choices of the recent days, as many per weekday as there really are: [draws, days]."""
    generator = np.random.default_rng(seed)
    recent = np.zeros((draws, len(windows.recent)), dtype=bool)
    for weekday in np.unique(windows.weekday):
        members = np.flatnonzero(windows.weekday == weekday)
        rank = generator.random((draws, len(members))).argsort(axis=1)
        recent[:, members] = rank < windows.recent[members].sum()
    return recent


def _divergence(counts: Floats, recent: npt.NDArray[np.bool_]) -> Floats:
    """KL(recent || earlier) in nats for every choice of recent days [choices, days]: one matrix product."""
    now = recent.astype(np.float64) @ counts + _SMOOTHING
    before = counts.sum(axis=0) + 2 * _SMOOTHING - now
    now /= now.sum(axis=1, keepdims=True)
    before /= before.sum(axis=1, keepdims=True)
    return np.asarray((now * np.log(now / before)).sum(axis=1))
