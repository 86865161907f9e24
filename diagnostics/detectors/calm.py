"""How unlikely an error is under calm, measured on the errors before it rather than assumed.

The scale is the median absolute deviation of past errors over 0.6745 (Hampel 1974), so spikes of the past do not
widen it. The chance of a z is the largest of three: Student's t (degrees of freedom by the 37 % efficiency of that
scale); a generalized Pareto tail on the largest tenth of past errors, fitted by probability-weighted moments (Hosking
and Wallis 1987); and the share of past errors that were as large. So heavy tails, skew and counts stay near the
false-alarm budget too. Steps that are beyond doubt are not part of the calm that later steps are judged by.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from diagnostics.detectors.contract import DetectorSettings, Scores

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WEEKS = 8
NEEDS_DAYS = 9
"""A week to compare with, and two days of errors to learn the scale from."""
MAX_Z = 1e6

# Shares of past |errors| and where they lie in a normal distribution: the scale comes from the first that is not zero,
# so that counters which rest at zero most of the time get one too.
_SCALES = ((0.5, 0.6745), (0.9, 1.645), (0.95, 1.96), (1.0, 3.0))
_MAD_EFFICIENCY = 0.37
_TAIL = 0.10
_HEAVIEST = 0.5  # shape of a tail whose variance is just infinite
_LIGHTEST = 1e-9  # exponential; bounded tails are not trusted
_RELATIVE_FLOOR = 1e-6
_HALVINGS = 40
_NO_CALM = 0.01  # of the alarm's chance: leaving out every alarm would thin the tail that the next are judged by


class _Calm(NamedTuple):
    """What past errors look like, each [series, 1] but `sizes`: centre, scale, whether they vary at all, how many;
    where the tail of |z| starts, its scale and shape; every past |z| in rising order [series, steps], -1 for none.
    """

    centre: Floats
    scale: Floats
    varies: npt.NDArray[np.bool_]
    known: Ints
    tail_start: Floats
    tail_scale: Floats
    tail_shape: Floats
    sizes: Floats


def judge(error: Floats, expected: Floats, settings: DetectorSettings, first: int | None = None) -> Scores:
    """Scores of errors [series, steps], each by those of the eight weeks before it; `expected` is what they are errors
    of, in the same unit. Before the step `first`, left out after `NEEDS_DAYS`, nothing is judged.
    """
    day, week = settings.steps_per_day, 7 * settings.steps_per_day
    first = NEEDS_DAYS * day if first is None else first
    least = (NEEDS_DAYS - 7) * day // 2
    calm: _Calm | None = None
    calm_error = error.copy()
    # A metric that hardly moves must not alarm over rounding.
    floor = np.maximum(_RELATIVE_FLOOR * np.abs(expected), np.finfo(np.float64).tiny)
    z, p = np.full_like(error, np.nan), np.full_like(error, np.nan)
    alarm = np.zeros(error.shape, dtype=bool)
    for begin, end in _blocks(error.shape[1], day, first):
        calm = _calm(calm_error[:, max(0, begin - WEEKS * week) : begin])
        enough = calm.known >= least
        with np.errstate(over="ignore"):
            block = (error[:, begin:end] - calm.centre) / np.maximum(calm.scale, floor[:, begin:end])
        z[:, begin:end] = np.where(enough, np.clip(block, -MAX_Z, MAX_Z), np.nan)
        p[:, begin:end] = _chance(z[:, begin:end], calm)
        alarm[:, begin:end] = p[:, begin:end] < settings.chance_per_step
        no_calm = (p[:, begin:end] < _NO_CALM * settings.chance_per_step) & calm.varies
        calm_error[:, begin:end][no_calm] = np.nan
    return Scores(expected, z, p, alarm, first / day, partial(_limit, calm, least, len(error)))


def _limit(calm: _Calm | None, least: int, rows: int, chance: Floats) -> Floats:
    """The |z| [series] whose chance is as small as asked [series], found by halving."""
    if calm is None:
        return np.full(rows, np.nan)
    low, high = np.zeros((rows, 1)), np.full((rows, 1), MAX_Z)
    for _ in range(_HALVINGS):
        middle = np.sqrt((1 + low) * (1 + high)) - 1
        unlikely = _chance(middle, calm) < chance[:, None]
        low, high = np.where(unlikely, low, middle), np.where(unlikely, middle, high)
    return np.asarray(np.where(calm.known >= least, high, np.nan)[:, 0])


def _blocks(steps: int, day: int, first: int) -> Iterator[tuple[int, int]]:
    """Spans scored with one view of the past: days at first, weeks once a month is known."""
    begin = first
    while begin < steps:
        end = min(steps, begin + (day if begin < 28 * day else 7 * day))
        yield begin, end
        begin = end


def _calm(errors: Floats) -> _Calm:
    """Describe past errors [series, steps]."""
    known = np.isfinite(errors).sum(axis=1)
    centre = median(errors)[:, None]
    sizes = np.sort(np.nan_to_num(np.abs(errors - centre), nan=-1.0), axis=1)
    scale = np.zeros_like(centre)
    for share, deviations in _SCALES:
        scale = np.where(scale > 0, scale, _quantile(sizes, known, share) / deviations)
    varies = scale > 0
    scale = np.where(varies, scale, np.finfo(np.float64).tiny)
    sizes = np.where(sizes < 0, -1.0, sizes / scale)
    start, tail_scale, shape = _tail(sizes, known)
    return _Calm(centre, scale, varies, known[:, None], start, tail_scale, shape, sizes)


def _quantile(sizes: Floats, known: Ints, share: float) -> Floats:
    """The value [series, 1] with `share` of the known ones at or below it; the unknown come first."""
    steps = sizes.shape[1]
    at = steps - known + np.ceil(share * known).astype(np.int64) - 1
    return np.take_along_axis(sizes, np.clip(at, 0, steps - 1)[:, None], axis=1)


def _tail(sizes: Floats, known: Ints) -> tuple[Floats, Floats, Floats]:
    """Start, scale and shape of a generalized Pareto tail on the largest tenth; the scale is 0 where it has none."""
    steps = sizes.shape[1]
    members = (_TAIL * known).astype(np.int64)[:, None]
    widest = int(members.max(initial=0))
    start = np.take_along_axis(sizes, np.clip(steps - members - 1, 0, steps - 1), axis=1)
    from_top = np.arange(widest - 1, -1, -1)[None, :]
    excess = np.where(from_top < members, sizes[:, steps - widest :] - start, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = excess.sum(axis=1, keepdims=True) / members
        weighted = (excess * from_top).sum(axis=1, keepdims=True) / members / (members - 1)
        shape = np.clip(np.nan_to_num(2.0 - mean / (mean - 2.0 * weighted)), _LIGHTEST, _HEAVIEST)
    return start, np.nan_to_num(mean) * (1.0 - shape), shape


def _chance(z: Floats, calm: _Calm) -> Floats:
    """Two-sided chance of |z| or more under calm."""
    from scipy.special import stdtr  # a tenth of a second to load; reading settings needs none of it

    size = np.abs(z)
    bell = 2.0 * stdtr(np.maximum(2.0, _MAD_EFFICIENCY * calm.known), -size)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        excess = np.maximum(size - calm.tail_start, 0.0) / calm.tail_scale
        tail = np.where(
            size > calm.tail_start, _TAIL * np.exp(-np.log1p(calm.tail_shape * excess) / calm.tail_shape), 0.0
        )
        smaller = [np.searchsorted(past, now) for past, now in zip(calm.sizes, size, strict=True)]
        as_large = (calm.sizes.shape[1] - np.array(smaller)) / calm.known
    return np.asarray(np.maximum(bell, np.maximum(np.nan_to_num(tail), as_large)))


def median(values: Floats) -> Floats:
    """Median along axis 1 of what is not NaN; NaN where nothing is."""
    ordered = np.sort(values, axis=1)  # NaN sorts last
    known = np.isfinite(ordered).sum(axis=1)[:, None]
    low = np.take_along_axis(ordered, np.maximum(known - 1, 0) // 2, axis=1)
    high = np.take_along_axis(ordered, known // 2, axis=1)
    return np.asarray((low + high)[:, 0] / 2)
