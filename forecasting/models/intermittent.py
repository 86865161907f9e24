"""Demand that comes now and then: how likely there is any at each hour of the week, and how large it is if so.

Croston (1972) parts the two, Syntetos and Boylan (2005) show that his rate (size over interval) is biased, and Teunter,
Syntetos and Babai (2011) update the probability in every step, so that it fades where demand ended. So do these: sizes
are those of past demands, the later the more they count; the probability is a share of past steps, the later the more
they count, drawn towards that of all hours as far as past steps bear it out. Demand above 0 with probability p has the
quantile 0 up to level 1 - p, and beyond it that of the sizes at (level - 1 + p) / p.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecasting.history import Floats
from forecasting.jit import jit
from forecasting.panel import LEVELS, Ints, Panel

Bools = NDArray[np.bool_]

INTERVAL = 1.32
"""Steps from one demand to the next beyond which demand is intermittent (Syntetos, Boylan and Croston 2005)."""
HALF_LIFE = 28
"""Days after which a step counts half as much for the probability; weeks, where there are no days."""
SIZES, SIZE_DECAY = 100, 0.97
"""Past demands that sizes are taken from, and how much each counts of the one after it."""
BINS = 168
"""Parts of a week that are told apart at most."""
PULLS = np.array([1.0, 4.0, 16.0, 1e6])
"""Steps that the probability of all hours counts as, beside those of an hour; the last tells no hours apart."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Nothing is learned from other series: `horizon` is what was asked for."""

    horizon: int

    def spread(self, panel: Panel) -> Floats:
        """[N, H, 3], rising and never below 0."""
        return self.quantiles(panel, np.array(LEVELS))

    def quantiles(self, panel: Panel, levels: Floats) -> Floats:
        """[N, H, Q] at any rising levels."""
        day, week = panel.seasons
        if day == week:
            day = 1
        said = np.empty((len(panel), self.horizon, len(levels)))
        decay = 0.5 ** (1.0 / (HALF_LIFE * max(day, 1 if week > 1 else 7)))
        _say(panel.values, panel.first, panel.phase() - panel.columns, day, week, decay, levels, said)
        return said

    def update(self, panel: Panel) -> Fitted:  # noqa: ARG002
        """The same: nothing is kept of series that were seen."""
        return self


def fit(panel: Panel, horizon: int, seed: int, threads: int = 1) -> Fitted:  # noqa: ARG001
    """Nothing is learned before the series are there."""
    return Fitted(horizon)


def is_intermittent(panel: Panel) -> Bools:
    """Series [N] whose demands lie more than 1.32 steps apart on average, and that have any."""
    seen = np.isfinite(panel.values)
    demands = (np.nan_to_num(panel.values) > 0).sum(axis=1)
    found: Bools = (demands > 0) & (seen.sum(axis=1) > INTERVAL * demands)
    return found


@jit
def _bin(phase: int, season: int) -> int:
    """The part of a season that a step lies in: steps, or as many as there are bins."""
    return phase % season * min(season, BINS) // season


@jit
def _say(values: Floats, first: Ints, phase: Ints, day: int, week: int, decay: float, levels: Floats,
         said: Floats) -> None:
    """Fill `said` [N, H, Q], series by series."""
    for i in range(len(values)):
        row, begin, end = values[i], first[i], values.shape[1]
        season, pull = _best_parting(row, begin, phase[i], day, week, decay)
        hits, steps = np.zeros(min(season, BINS)), np.zeros(min(season, BINS))
        hit, step = _count(row, begin, phase[i], season, decay, hits, steps)
        sizes, shares = _sizes(row, begin)
        for h in range(said.shape[1]):
            b = _bin(phase[i] + end + h, season)
            p = (hits[b] + pull * hit / step) / (steps[b] + pull)
            for q in range(len(levels)):
                said[i, h, q] = 0.0
                if levels[q] > 1 - p and len(sizes):
                    said[i, h, q] = _size_at(sizes, shares, (levels[q] - 1 + p) / p)


@jit
def _count(row: Floats, begin: int, phase: int, season: int, decay: float, hits: Floats,
           steps: Floats) -> tuple[float, float]:
    """Demands and steps by part of the season and in all, the later the more they count."""
    hit, step, weight = 0.0, 0.0, 1.0
    for t in range(len(row) - 1, begin - 1, -1):
        b = _bin(phase + t, season)
        steps[b] += weight
        step += weight
        if row[t] > 0:
            hits[b] += weight
            hit += weight
        weight *= decay
    return hit, step


@jit
def _best_parting(row: Floats, begin: int, phase: int, day: int, week: int, decay: float) -> tuple[int, float]:
    """Season, and how strongly its parts are drawn together: what would have told demand best, step after step."""
    best_season, best_pull, best = 1, PULLS[-1], np.inf
    for season in (week, day):
        if season < 2:
            continue
        for k in range(len(PULLS)):
            parts = min(season, BINS)
            hits, steps = np.zeros(parts), np.zeros(parts)
            hit, step, loss = 0.5, 1.0, 0.0
            for t in range(begin, len(row)):
                b = _bin(phase + t, season)
                p = (hits[b] + PULLS[k] * hit / step) / (steps[b] + PULLS[k])
                p = min(max(p, 1e-3), 1 - 1e-3)
                loss = decay * loss - np.log(p if row[t] > 0 else 1 - p)
                demand = 1.0 if row[t] > 0 else 0.0
                hits[b] += demand
                steps[b] += 1.0
                hit = decay * hit + demand
                step = decay * step + 1.0
            if loss < best * (1 - 1e-9):
                best_season, best_pull, best = season, PULLS[k], loss
    return best_season, best_pull


@jit
def _sizes(row: Floats, begin: int) -> tuple[Floats, Floats]:
    """The last demands, by size, and the share that each counts."""
    sizes, shares = np.empty(SIZES), np.empty(SIZES)
    count, weight = 0, 1.0
    for t in range(len(row) - 1, begin - 1, -1):
        if row[t] > 0:
            sizes[count], shares[count] = row[t], weight
            count += 1
            weight *= SIZE_DECAY
            if count == SIZES:
                break
    order = np.argsort(sizes[:count])
    return sizes[:count][order], shares[:count][order] / max(shares[:count].sum(), 1e-300)


@jit
def _size_at(sizes: Floats, shares: Floats, level: float) -> float:
    """Quantile of weighted sizes, straight between the middles of their shares."""
    below, last = 0.0, 0.0
    for k in range(len(sizes)):
        middle = below + shares[k] / 2
        if level <= middle:
            if k == 0:
                return float(sizes[0])
            return float(sizes[k - 1] + (sizes[k] - sizes[k - 1]) * (level - last) / (middle - last))
        below += shares[k]
        last = middle
    return float(sizes[-1])
