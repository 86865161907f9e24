"""Calibration: from the low, middle and high that models say to any quantile, so that past forecasts would have held.

Conformal prediction on scaled scores (Romano, Patterson and Candes 2019, "Conformalized quantile regression"; Sesia and
Candes 2020 for the scaling): how many spreads above the middle the truth lay, at past origins, for each group of series
and stretch of the horizon. Before that, the spreads of each series are widened or narrowed by how far off it was itself
(empirical Bayes; Efron and Morris 1975).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from forecasting.history import Floats
from forecasting.panel import LEVELS, Ints

GROUPS, SERIES_A_GROUP = 5, 200
"""Groups of series by how much they change for their size, and the fewest series of one."""
STRETCHES = 4
"""Parts of the horizon, the first ones short: errors grow soonest there."""
_LEAST_SPREAD = 0.02
"""Share of a series' unit that low, middle and high lie apart at least."""
_TRUST = 8.0
"""Points beyond a level that count as much as the normal distribution does."""
_USUAL = 8.0
"""Origins of a series that tell as much of its width as all other series do."""
_FURTHEST = 3.0
"""Spreads off the middle that count towards a width at most: one fault is not a habit."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """`factors` [G, B, Q]: spreads between the middle and each level. Step h lies in stretch `stretch` [H]; groups are
    parted at `edges` [G - 1] of the unit's share of the level.
    """

    levels: Floats
    factors: Floats
    stretch: Ints
    edges: Floats

    def quantiles(self, said: Floats, unit: Floats, level: Floats) -> Floats:
        """[N, H, Q] from low, middle and high [N, H, 3]: rising, and never below 0."""
        group = np.searchsorted(self.edges, unit / np.maximum(level, 1e-12))
        factor = self.factors[group[:, None], self.stretch[None, : said.shape[1]]]
        down, up = spreads(said, unit)
        found = said[..., 1, None] + factor * np.where(factor < 0, down[..., None], up[..., None])
        return np.sort(np.maximum(found, 0.0), axis=-1)


def spreads(said: Floats, unit: Floats) -> tuple[Floats, Floats]:
    """How far low lies under the middle and high above it [..., N, H], for `said` [..., N, H, 3]; never 0."""
    least = _LEAST_SPREAD * unit[:, None]
    return np.maximum(said[..., 1] - said[..., 0], least), np.maximum(said[..., 2] - said[..., 1], least)


def learn_widths(truth: Floats, said: Floats, unit: Floats) -> tuple[Floats, Floats]:
    """By how much spreads of each series should be wider than said, beside those of all: the mean distance of `truth`
    [J, N, H] (NaN: nothing came) from the middle of `said` [J, N, H, 3] in spreads, leaning towards that of all series.

    Returns widths [N], and [J, N] with each origin left out, for what is learned of that origin afterwards.
    """
    off = np.minimum(np.abs(_scores(truth, said, unit)), _FURTHEST)
    seen = np.isfinite(off)
    many = seen.sum(axis=2)
    mean = np.where(seen, off, 0.0).sum(axis=2) / np.maximum(many, 1)
    there = (many > 0).astype(float)
    usual = float((mean * there).sum() / max(there.sum(), 1.0))
    relative = mean * there / max(usual, 1e-12) if usual > 0 else there
    total, count = relative.sum(axis=0), there.sum(axis=0)
    return ((_USUAL + total) / (_USUAL + count),
            (_USUAL + total - relative) / (_USUAL + count - there))


def widen(said: Floats, unit: Floats, width: Floats) -> Floats:
    """Low, middle and high [..., N, H, 3] with spreads times `width` [..., N]; the middle stays where it is."""
    down, up = spreads(said, unit)
    middle, by = said[..., 1], width[..., None]
    return np.stack([middle - by * down, middle, middle + by * up], axis=-1)


def _scores(truth: Floats, said: Floats, unit: Floats) -> Floats:
    """How many spreads above the middle the truth lies [..., N, H]; NaN where nothing came."""
    down, up = spreads(said, unit)
    error = truth - said[..., 1]
    found: Floats = np.where(error < 0, error / down, error / up)
    return found


def calibrate(truth: Floats, said: Floats, levels: Floats, unit: Floats, level: Floats) -> Calibration:
    """Learn from past origins: `truth` [J, N, H] (NaN: nothing came), `said` [J, N, H, 3], `unit` and `level` [N].

    Where points are few their quantile counts less, and what the normal distribution says more. The middle stays where
    it is: moving it by what a few origins had in common made it worse from the next.
    """
    ratio = unit / np.maximum(level, 1e-12)
    groups = max(1, min(GROUPS, len(unit) // SERIES_A_GROUP))
    edges = np.quantile(ratio, np.arange(1, groups) / groups) if groups > 1 else np.zeros(0)
    group, stretch = np.searchsorted(edges, ratio), stretches(said.shape[2])
    cells = [np.ix_(group == g, stretch == b) for g in range(groups) for b in range(STRETCHES)]
    scores = _scores(truth, said, unit)
    factors = np.stack([_factors(scores[:, rows, steps], levels) for rows, steps in cells])
    factors = factors.reshape(groups, STRETCHES, -1) * _short_of(scores, levels, cells)
    return Calibration(levels, factors, stretch, edges)


def _factors(scores: Floats, levels: Floats) -> Floats:
    """Spreads between the middle and each level [Q] by what was seen at all origins."""
    some = scores[np.isfinite(scores)]
    factors = normal_factors(levels)
    for q, tau in enumerate(levels.tolist()):
        if not len(some) or tau == 0.5:
            continue
        beyond = len(some) * min(tau, 1 - tau)
        at = min(max(tau + np.sign(tau - 0.5) * 0.5 / len(some), 0.0), 1.0)
        factors[q] += (float(np.quantile(some, at)) - factors[q]) * beyond / (beyond + _TRUST)
    return factors


def _short_of(scores: Floats, levels: Floats, cells: list[tuple[Ints, Ints]]) -> float:
    """How many times wider the next origin is off than the past ones [J, N, H] say, by how each was beside the others.

    Series are off together, so that a few origins show few of the ways in which they can be (cross-conformal, Vovk,
    Annals of Mathematics and Artificial Intelligence 2015). The others are one origin fewer than there are, hence the
    share that counts.
    """
    origins, sides = len(scores), np.flatnonzero(levels != 0.5)
    way, times = np.sign(levels[sides] - 0.5), []
    for j in range(origins if origins > 1 else 0):
        others = np.delete(scores, j, axis=0)
        for rows, steps in cells:
            own, factors = scores[j, rows, steps], _factors(others[:, rows, steps], levels)[sides]
            if (way * factors > 0).all():  # else the middle is so far off that no width says it
                times.append(own[np.isfinite(own)][:, None] / factors)
    whole = np.concatenate(times) if times else np.empty((0, 0))
    if not whole.size:
        return 1.0
    # what is on the other side of the middle is negative, and within whatever the factor
    needed = [np.quantile(whole[:, at], max(tau, 1 - tau)) for at, tau in enumerate(levels[sides].tolist())]
    return 1.0 + max(0.0, float(np.mean(needed)) - 1.0) * (origins - 1) / origins


def uncalibrated(levels: Floats, horizon: int) -> Calibration:
    """Where nothing could be held back: levels lie as in a normal distribution with this low and high."""
    factors = np.tile(normal_factors(levels), (1, STRETCHES, 1))
    return Calibration(levels, factors, stretches(horizon), np.zeros(0))


def stretches(horizon: int) -> Ints:
    """The stretch of each step [H]: the first ones are short."""
    part = STRETCHES * np.sqrt((np.arange(horizon) + 0.5) / horizon)
    return np.minimum(part.astype(np.int64), STRETCHES - 1)


def normal_factors(levels: Floats) -> Floats:
    """Spreads between the middle and each level [Q] of a normal distribution."""
    factors: Floats = ndtri(levels) / ndtri(LEVELS[2])
    return factors
