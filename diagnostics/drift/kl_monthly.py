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
_PERMUTATIONS_PER_CHANCE = 20
_TIE = 1e-12


def test(windows: Windows, settings: DriftSettings) -> Verdict:
    """Compare the recent days with the earlier ones."""
    counts = _counts(windows.days)
    observed = float(_divergence(counts, windows.recent[None, :])[0])
    null = _divergence(counts, _exchanges(windows, settings))
    p = (1 + int((null >= observed - _TIE).sum())) / (1 + len(null))
    # The k-th largest of the null, so that at most the stated share of calm months is at or above it.
    allowed = max(1, int(settings.false_drift_chance * (1 + len(null))))
    threshold = max(float(np.sort(null)[-allowed]), SMALLEST_KL_NATS)
    return Verdict(observed, threshold, p, p <= settings.false_drift_chance and observed >= SMALLEST_KL_NATS)


def _counts(days: Floats) -> Floats:
    """How many values of each day are in each bin: [days, bins]."""
    known = np.isfinite(days)
    if not known.any():
        return np.zeros((len(days), 1))
    edges = np.unique(np.quantile(days[known], np.arange(1, BINS) / BINS))
    bins = len(edges) + 1
    day = np.broadcast_to(np.arange(len(days))[:, None], days.shape)[known]
    cell = day * bins + np.searchsorted(edges, days[known], side="right")
    return np.bincount(cell, minlength=len(days) * bins).reshape(len(days), bins).astype(np.float64)


def _exchanges(windows: Windows, settings: DriftSettings) -> npt.NDArray[np.bool_]:
    """Other choices of the recent days, as many per weekday as there really are: [permutations, days]."""
    draws = int(np.ceil(_PERMUTATIONS_PER_CHANCE / settings.false_drift_chance)) - 1
    generator = np.random.default_rng(settings.seed)
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
