"""Demand far ahead: the level day by day, times what days looked like; sample paths of all series together.

Beyond what direct models learn (about eight weeks, or half the history) the hour matters only by its place in the week.
So the logarithm of each day's mean, freed of the weekday, is a level that wanders, with a growth that fades:

    level[d] = level[d-1] + growth[d-1] + noise,  growth[d] = fade x growth[d-1] + noise,  seen[d] = level[d] + noise

(local linear trend with damping: Harvey 1989, "Forecasting, structural time series models and the Kalman filter";
Gardner and McKenzie 1985 for the damping). How much the level wanders and how strong and lasting growth is are not
chosen but drawn, path by path, in proportion to their likelihood over a grid, so that paths are unsure of parameters
too. Innovations ahead are those of past days, and a day ahead has the hours of the past day that its innovation came
from, scaled by how the level differs: a bootstrap of whole days (Kuensch 1989). On one path all series draw the same
past day, which keeps what moved together together, so that path i of one may be added to path i of another.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from forecasting.history import DAY, Floats
from forecasting.jit import jit
from forecasting.panel import Ints, Panel

FAR = "long"
"""What forecasts of it are named."""
N_PATHS = 400
"""Sample paths where nobody says how many."""
SHAPE_DAYS = 364
"""Past days that days ahead are drawn from at most."""
_SAME_WEEKDAY = 8
"""Weeks of history from which a Monday ahead is drawn from Mondays; before, from all days like it."""
_ALIKE = 0.5
"""Weekdays that differ by less than this part of what days of one weekday differ are alike."""
TRIES = 12
"""Past days that are tried for a day ahead."""

WANDER = np.array([0.0003, 0.003, 0.01, 0.03, 0.1, 0.25, 0.5, 0.8])
"""Share of the variance of a day's surprise that stays in the level."""
GROWTH = np.array([[0.0002, 0.997], [0.0006, 0.997], [0.002, 0.997], [0.006, 0.997], [0.002, 0.98], [0.006, 0.98],
                   [0.02, 0.95]])
"""Size of growth (standard deviation of its logarithm a day), and what is left of it after a day."""
_PRIOR_GROWTH = np.array([0.6, 0.2, 0.07, 0.02, 0.07, 0.03, 0.01])
_FLOOR = 0.05
"""Share of the mean that is added before taking logarithms, so that days without demand have one."""
_WIDEST = 4.0
"""Standard deviations of one day's surprise that count towards the likelihood."""
BAND = 1.06
"""Bandwidth of the kernel that peaks are smoothed with, in standard deviations (Silverman 1986, eq. 3.28)."""
_SMOOTH = 0.25
"""Share of a drawn surprise that is fresh noise: days ahead are like past ones, not the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Far:
    """The model fitted to N series over G grid points and D past days; arrays as in `fit_far`.

    `chance` [N, G] of each grid point; `state` [N, G, 5] is level, growth and their variances and covariance, in units
    of `sigma` [N, G] squared; `seen` [N, D] is the log level of each past day, `surprise` [N, D] its innovation in
    standard deviations; `weekday` [N, 7] the effect of days counted from the first day ahead. `days` [N] counts past
    days; those of a series lie at the end of D.
    """

    panel: Panel
    grid: Floats
    chance: Floats
    state: Floats
    sigma: Floats
    seen: Floats
    surprise: Floats
    weekday: Floats
    alike: NDArray[np.bool_]
    uneven: Floats
    days: Ints

    def weeks(self, horizon: int, n_paths: int, seed: int) -> Iterator[Floats]:
        """Joint sample paths [N, n_paths, steps], some days at a time, in order, `horizon` steps in all.

        Memory is bounded by one block, whatever the horizon. What is drawn for a series depends on its name, its own
        history and the seed, not on the others beside it.
        """
        a_day = int(DAY // self.panel.step)
        ahead = -(-horizon // a_day)
        u = np.random.default_rng([seed, 1]).random((n_paths, ahead, TRIES))
        begin = Draws.start(self, n_paths, seed)
        a_block = max(1, 168 // a_day) if a_day <= 24 else 1
        for first in range(0, ahead, a_block):
            some = min(a_block, ahead - first)
            day, factor = begin.advance(first, u[:, first : first + some])
            out = np.empty((len(self.panel), n_paths, some * a_day))
            _fill_days(self.panel.values, day, factor, begin.peaks((n_paths, some)), a_day, out)
            yield out[:, :, : horizon - first * a_day]

    def paths(self, horizon: int, n_paths: int, seed: int) -> Floats:
        """Joint sample paths [N, n_paths, horizon], all at once."""
        return np.concatenate(list(self.weeks(horizon, n_paths, seed)), axis=2)


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Where every path of every series stands: `at` [N, K, 5] as `Far.state`, `point` [N, K] its grid point, and
    `scale` [N, K] its standard deviation. `noise` draws what is fresh.
    """

    far: Far
    at: Floats
    point: Ints
    scale: Floats
    noise: tuple[np.random.Generator, ...]

    @classmethod
    def start(cls, far: Far, n_paths: int, seed: int) -> Draws:
        """Parameters of every path, drawn by their chance; the variance of surprises is drawn too."""
        noise = tuple(np.random.default_rng([seed, 2, zlib.crc32(name.encode())]) for name in far.panel.ids)
        point = np.empty((len(noise), n_paths), np.int64)
        scale = np.empty((len(noise), n_paths))
        for i, rng in enumerate(noise):
            point[i] = np.minimum(np.searchsorted(np.cumsum(far.chance[i]), rng.random(n_paths)), len(far.grid) - 1)
            scale[i] = np.sqrt(far.days[i] / rng.chisquare(far.days[i], n_paths)) * far.sigma[i, point[i]]
        return cls(far, np.take_along_axis(far.state, point[:, :, None], axis=1).copy(), point, scale, noise)

    def peaks(self, shape: tuple[int, int]) -> Floats:
        """By how much [N, K, days] what lies above the mean of a day is more than in the past day that it is like."""
        fresh = np.stack([rng.standard_t(3, shape) for rng in self.noise])
        found: Floats = np.exp(np.minimum(self.far.uneven[:, None, None] * fresh, 3.0))
        return found

    def advance(self, first: int, u: Floats) -> tuple[Ints, Floats]:
        """The past day [N, K, days] that each of the next days is like, and by how much it is scaled."""
        far = self.far
        fresh = np.stack([rng.standard_normal(u.shape[:2]) for rng in self.noise])
        day, factor = np.empty(fresh.shape, np.int64), np.empty(fresh.shape)
        _advance(self.at, self.point, self.scale, far.grid, far.seen, far.surprise, far.weekday, far.alike, far.days,
                 first, u, fresh, day, factor)
        return day, factor


def fit_far(panel: Panel) -> Far:
    """Fit to every series; each needs two days, and two weeks to tell weekdays apart.

    A day is that many steps counted back from the end.
    """
    a_day = int(DAY // panel.step)
    days = panel.count // a_day
    width = int(days.max())
    blocks = panel.values[:, panel.columns - width * a_day :].reshape(len(panel), width, a_day)
    there = np.arange(width) >= width - days[:, None]
    mean = np.where(there, blocks.mean(axis=2), np.nan)
    size = np.nanmean(mean, axis=1, keepdims=True)
    logs = np.log(mean + np.where(size > 0, _FLOOR * size, 1.0))
    weekday, spread = _weekday_effects(logs)
    alike = np.abs(weekday[:, :, None] - weekday[:, None, :]) <= _ALIKE * spread[:, None, None]
    alike[days >= 7 * _SAME_WEEKDAY] = np.eye(7, dtype=bool)
    back = (-np.arange(width, 0, -1)) % 7
    calm = np.where(there, logs - weekday[:, back], np.nan)
    grid = np.array([(wander, *growth, np.log(prior)) for wander in WANDER
                     for growth, prior in zip(GROWTH.tolist(), _PRIOR_GROWTH.tolist(), strict=True)])
    points = len(grid)
    likely, sigma = np.empty((len(panel), points)), np.empty((len(panel), points))
    state, surprise = np.empty((len(panel), points, 5)), np.zeros((len(panel), width))
    _fit_all(calm, days, grid, likely, sigma, state, surprise)
    likely += grid[:, 3]
    chance = np.exp(likely - likely.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    return Far(panel, grid, chance, state, sigma, logs, _centred(surprise, there), weekday, alike,
               _unevenness(blocks, there), days)


def _unevenness(blocks: Floats, there: NDArray[np.bool_]) -> Floats:
    """Bandwidth [N] of the logarithm of how far days peak above their mean (Silverman 1986, eq. 3.28)."""
    mean = blocks.mean(axis=2)
    above = np.where(there, blocks.max(axis=2) - mean, np.nan)
    least = 0.05 * np.nanmean(np.where(there, mean, np.nan), axis=1, keepdims=True) + 1e-12
    spread = np.nanstd(np.log(above + least), axis=1)
    bandwidth: Floats = BAND * spread * there.sum(axis=1) ** -0.2
    return bandwidth


def _centred(surprise: Floats, there: NDArray[np.bool_]) -> Floats:
    """Surprises around 0 with variance 1: what drifts is growth, not chance."""
    count = there.sum(axis=1, keepdims=True)
    some = np.where(there, surprise, 0.0)
    some = np.where(there, some - some.sum(axis=1, keepdims=True) / count, 0.0)
    spread = np.sqrt((some**2).sum(axis=1, keepdims=True) / count)
    centred: Floats = some / np.where(spread > 0, spread, 1.0)
    return centred


def _weekday_effects(logs: Floats) -> tuple[Floats, Floats]:
    """How days of the week differ [N, 7], from the first day ahead on, and the spread within weekdays [N].

    What chance alone would make them differ is taken off (empirical Bayes; Efron and Morris 1975).
    """
    width = logs.shape[1]
    around = sliding_window_view(logs, 7, axis=1).mean(axis=2)
    off = logs[:, 3 : width - 3] - around
    kind = (np.arange(3, width - 3) - width) % 7
    effects, within, count = np.zeros((len(logs), 7)), np.zeros((len(logs), 1)), np.zeros((len(logs), 7))
    for w in range(7):
        some = off[:, kind == w]
        seen = np.isfinite(some)
        count[:, w] = seen.sum(axis=1)
        effects[:, w] = np.where(seen, some, 0.0).sum(axis=1) / np.maximum(count[:, w], 1)
        within[:, 0] += (np.where(seen, some - effects[:, w : w + 1], 0.0) ** 2).sum(axis=1)
    within /= np.maximum(count.sum(axis=1, keepdims=True) - 7, 1)
    effects -= effects.mean(axis=1, keepdims=True)
    noise = within * (1 / np.maximum(count, 1)).mean(axis=1, keepdims=True)
    between = (effects**2).mean(axis=1, keepdims=True)
    sure = np.where((count >= 2).all(axis=1, keepdims=True) & (between > 0), 1 - noise / np.maximum(between, 1e-12), 0)
    return effects * np.maximum(sure, 0.0), np.sqrt(within[:, 0])


@jit
def _fit_all(calm: Floats, days: Ints, grid: Floats, likely: Floats, sigma: Floats, state: Floats,
             surprise: Floats) -> None:
    """Every series at every grid point, and its surprises at the likeliest."""
    series, width = calm.shape
    for i in range(series):
        row = calm[i, width - days[i]:]
        unit = 0.0
        for d in range(1, days[i]):
            unit += (row[d] - row[d - 1]) ** 2
        unit = max(unit / (2.0 * (days[i] - 1)), 1e-8)
        best = 0
        for g in range(len(grid)):
            likely[i, g], sigma[i, g] = _filter(row, grid[g], unit, state[i, g], surprise[i, width - days[i]:])
            if likely[i, g] + grid[g, 3] > likely[i, best] + grid[best, 3]:
                best = g
        _filter(row, grid[best], unit, state[i, best], surprise[i, width - days[i]:])


@jit
def _filter(row: Floats, point: Floats, unit: float, state: Floats, surprise: Floats) -> tuple[float, float]:
    """The Kalman filter of one series at one grid point: log likelihood and sigma; variances count in sigma squared.

    `unit` is a first guess of sigma squared, which the size of growth is set against.
    """
    wander, growth, fade = point[0], point[1] * point[1] / unit, point[2]
    level, slope, vl, vs, c = row[0], 0.0, 1.0, growth, 0.0
    squares, logs = 0.0, 0.0
    for d in range(1, len(row)):
        level, slope = level + slope, fade * slope
        vl, c, vs = vl + 2 * c + vs + wander, fade * (c + vs), fade * fade * vs + (1 - fade * fade) * growth
        seen, off = vl + 1 - wander, row[d] - level
        surprise[d] = off / np.sqrt(seen)
        kl, ks = vl / seen, c / seen
        level, slope = level + kl * off, slope + ks * off
        vl, vs, c = vl - kl * vl, vs - ks * c, c - kl * c
        squares += min(off * off / seen, _WIDEST * _WIDEST * unit)
        logs += np.log(seen)
    n = len(row) - 1
    variance = max(squares / n, 1e-10)
    state[0], state[1], state[2], state[3], state[4] = level, slope, vl, vs, c
    return -0.5 * (n * np.log(variance) + logs), np.sqrt(variance)


@jit
def _advance(at: Floats, point: Ints, scale: Floats, grid: Floats, past: Floats, surprise: Floats, weekday: Floats,
             alike: NDArray[np.bool_], days: Ints, first: int, u: Floats, fresh: Floats, day: Ints,
             factor: Floats) -> None:
    """Walk every path some days on: draw a past day, take its surprise, and let the level learn from it.

    Of the days tried on a path, the same for all series, each series takes the first that is like the day ahead.
    """
    series, paths, ahead = day.shape
    width = past.shape[1]
    old, new = np.sqrt(1 - _SMOOTH * _SMOOTH), _SMOOTH
    for d in range(ahead):
        now = (first + d) % 7
        for i in range(series):
            most = min(days[i] - 1, SHAPE_DAYS)
            for k in range(paths):
                g, x = point[i, k], at[i, k]
                wander, fade = grid[g, 0], grid[g, 2]
                unit = scale[i, k]
                growth = grid[g, 1] * grid[g, 1] / (unit * unit)
                level, slope = x[0] + x[1], fade * x[1]
                vl, c = x[2] + 2 * x[4] + x[3] + wander, fade * (x[4] + x[3])
                vs = fade * fade * x[3] + (1 - fade * fade) * growth
                seen = vl + 1 - wander
                back = 1 + int(u[k, d, 0] * most)
                for tried in range(TRIES):
                    back = 1 + int(u[k, d, tried] * most)
                    if alike[i, now, -back % 7]:
                        break
                else:  # none of them: the same weekday of some week
                    back = 7 - now + 7 * int(u[k, d, 0] * ((most + now) // 7))
                j = width - back
                e = old * surprise[i, j] + new * fresh[i, k, d]
                off = e * unit * np.sqrt(seen)
                day[i, k, d] = back
                factor[i, k, d] = np.exp(level + weekday[i, now] + off - past[i, j])
                kl, ks = vl / seen, c / seen
                x[0], x[1] = level + kl * off, slope + ks * off
                x[2], x[3], x[4] = vl - kl * vl, vs - ks * c, c - kl * c


@jit
def _fill_days(values: Floats, day: Ints, factor: Floats, peak: Floats, a_day: int, out: Floats) -> None:
    """Steps of the drawn days, scaled."""
    series, paths, ahead = day.shape
    columns = values.shape[1]
    for i in range(series):
        for k in range(paths):
            for d in range(ahead):
                begin = columns - day[i, k, d] * a_day
                mean = 0.0
                for s in range(a_day):
                    mean += values[i, begin + s] / a_day
                for s in range(a_day):
                    above = values[i, begin + s] - mean
                    value = mean + above * peak[i, k, d] if above > 0 else values[i, begin + s]
                    out[i, k, d * a_day + s] = value * factor[i, k, d]
