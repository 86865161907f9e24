"""The mean surprise of several simple views of one stream, each measured against the past of that very view.

A view turns the stream into a number that is unremarkable while all is well: the value itself; its mean over the last
24 and 96 steps; how far the value lies from the nearest of the same time of the seven days before, and the mean of
that over 12 steps; and how far the recent course lies from the most alike stretch of the past, over about 8 and 32
steps (a nearest-neighbour distance with exponential forgetting, the left discord of Yeh et al., Matrix Profile I,
ICDM 2016). The surprise of a view is -log10 of the chance of a number at least as far out, on its side: its rank among
the view's past, and beyond the largest tenth a generalized Pareto tail fitted by probability-weighted moments (Hosking
and Wallis 1987; as SPOT of Siffer et al., KDD 2017). Views disagree on noise and agree on change, so the mean of their
surprises is a sharper score than any of them (Fisher's way to combine chances). Adding a constant or changing the unit
of the stream changes nothing but rounding.
"""

from __future__ import annotations

import numpy as np

from diagnostics.jit import jit, jit_no_nan
from diagnostics.streaming.contract import Flags, Floats, Ints, Readings, StreamSettings, checked

ALARM_SCORE = 1.7
"""Views say on average one in fifty. Chosen on half of the files of a public set (docs/diagnostics.md)."""

MEANS = (24, 96)
"""Steps of the two means."""
DAYS, SPREAD, NEAR = 7, 2, 12
"""Days looked back at the same time, give or take SPREAD steps; the steps over which that distance is averaged."""
FADES = (8, 32)
"""Steps over which the course is compared with the past's."""
LAGS = 2000
"""How far back a like stretch is looked for."""
MEMORY = 4000
"""Numbers of its past that a view is measured against."""

_VIEWS = 7
_VALUE, _FIRST_MEAN, _DAILY, _DAILY_NEAR, _FIRST_COURSE = 0, 1, 3, 4, 5
_TWO_SIDED = 4  # the first of the views that can only be too large
_CAP = 8.0  # of one view's surprise: none may shout the others down
_LEAST = 50  # numbers of its past before a view has a say
_TAIL_SHARE = 0.1
_HEAVIEST = 0.5  # shape of a tail whose variance is just infinite
_LIGHTEST = 1e-6


class Surprise:
    """One stream: fixed memory, and work per value that does not grow with the stream."""

    def __init__(self, settings: StreamSettings) -> None:
        """Begin with nothing seen."""
        self._settings = settings
        self._day = settings.steps_per_day or 0
        self._line = np.zeros(2 * max(LAGS + 1, DAYS * self._day + SPREAD + 1, max(MEANS)))
        self._away = np.zeros((len(FADES), LAGS))
        self._near = np.zeros(NEAR)
        self._ordered = np.zeros((_VIEWS, MEMORY))
        self._arrived = np.zeros((_VIEWS, MEMORY))
        self._known = np.zeros(_VIEWS, dtype=np.int64)
        # steps read, end of the line, steps with a like time before, steps left of rest, steps from the first value
        self._at = np.zeros(5, dtype=np.int64)

    def feed(self, values: Floats) -> Readings:
        """Read the next values."""
        score, alarm = np.zeros(len(values)), np.zeros(len(values), dtype=bool)
        _read(checked(values), self._day, self._settings.learn_steps, self._settings.rest_steps, self._line,
              self._away, self._near, self._ordered, self._arrived, self._known, self._at, score, alarm)
        return Readings(score, alarm)


@jit
def _read(values: Floats, day: int, learn: int, rest: int, line: Floats, away: Floats, near: Floats, ordered: Floats,
          arrived: Floats, known: Ints, at: Ints, score: Floats, alarm: Flags) -> None:
    """Score every value and take it into the memory."""
    views = np.zeros(_VIEWS)
    has = np.zeros(_VIEWS, dtype=np.bool_)
    for i in range(len(values)):
        at[0] += 1
        at[3] = max(at[3] - 1, 0)
        measured = np.isfinite(values[i])
        if not measured and at[4] == 0:
            continue
        if at[1] == len(line):  # keep the younger half
            half = len(line) // 2
            line[:half] = line[half:]
            at[1] = half
        end = at[1]
        x = values[i] if measured else line[end - 1]
        line[end] = x
        at[1] += 1
        at[4] += 1
        _look(line[: end + 1], at, day, away, near, views, has)
        if not measured:  # the last value stands in, so that yesterday stays a day away
            continue
        total, said = 0.0, 0
        for v in range(_VIEWS):
            if has[v]:
                past = ordered[v, : min(known[v], MEMORY)]
                low = int(np.searchsorted(past, views[v]))
                if known[v] >= _LEAST:
                    total += _surprise(past, views[v], low, v < _TWO_SIDED)
                    said += 1
                _remember(ordered[v], arrived[v], known[v], views[v], low)
                known[v] += 1
        if said > 0:
            score[i] = total / said
        if at[0] > learn and at[3] == 0 and score[i] >= ALARM_SCORE:
            alarm[i] = True
            at[3] = rest + 1


@jit
def _look(line: Floats, at: Ints, day: int, away: Floats, near: Floats, views: Floats, has: Flags) -> None:
    """Every view of the newest value, the last of `line`; `has` says which there are."""
    last = len(line) - 1
    x = line[last]
    steps = min(at[4], len(line))
    has[:] = False
    views[_VALUE], has[_VALUE] = x, True
    for k in range(len(MEANS)):
        if steps >= MEANS[k]:
            total = 0.0
            for j in range(MEANS[k]):
                total += line[last - j] - x
            views[_FIRST_MEAN + k], has[_FIRST_MEAN + k] = x + total / MEANS[k], True
    nearest = np.inf
    if day > 0:
        for back in range(1, DAYS + 1):
            for j in range(back * day - SPREAD, back * day + SPREAD + 1):
                if 0 < j < steps and abs(x - line[last - j]) < abs(nearest):
                    nearest = x - line[last - j]
    if nearest < np.inf:
        views[_DAILY], has[_DAILY] = nearest, True
        near[at[2] % NEAR] = abs(nearest)
        at[2] += 1
        if at[2] >= NEAR:
            views[_DAILY_NEAR], has[_DAILY_NEAR] = near.mean(), True
    lags = min(steps - 1, LAGS)
    for k in range(len(FADES)):
        far = min(steps - 1 - 2 * FADES[k], LAGS)
        least = _fade(line[last - lags : last], away[k, LAGS - lags :], x, 1.0 - 1.0 / FADES[k], 2 * FADES[k], far)
        if far > 4 * FADES[k]:
            views[_FIRST_COURSE + k], has[_FIRST_COURSE + k] = np.sqrt(least), True


@jit_no_nan
def _fade(past: Floats, away: Floats, x: float, kept: float, near: int, far: int) -> float:
    """Squared distance of the recent course from that of every lag, older differences counting ever less.

    `past` and `away` end with lag 1. The least distance among the lags `near` to `far` is returned.
    """
    for i in range(len(past)):
        e = x - past[i]
        away[i] = kept * away[i] + e * e
    least = np.inf
    for i in range(len(away) - far, len(away) - near + 1):
        least = away[i] if away[i] < least else least
    return least


@jit
def _surprise(past: Floats, x: float, low: int, two_sided: bool) -> float:
    """-log10 of the chance of a number at least as far out as x, on its side of `past` (in rising order).

    `low` numbers of the past are smaller.
    """
    n = len(past)
    high = low  # how many are not larger
    if low < n and past[low] == x:
        high = int(np.searchsorted(past, x, side="right"))
    members = max(10, int(_TAIL_SHARE * n))
    if two_sided and high < n - low:
        if x >= past[members]:
            return float(-np.log10((high + 1.0) / (n + 1.0)))
        return _tail(past[members] - past[:members][::-1], past[members] - x, n)
    if x <= past[n - members - 1]:
        return float(-np.log10((n - low + 1.0) / (n + 1.0)))
    return _tail(past[n - members :] - past[n - members - 1], x - past[n - members - 1], n)


@jit
def _tail(excess: Floats, x: float, n: int) -> float:
    """-log10 of the chance of an excess of x or more; `excess` are those of the past, rising, of `n` numbers in all."""
    members = len(excess)
    mean, weighted = 0.0, 0.0
    for i in range(members):
        mean += excess[i]
        weighted += excess[i] * (members - 1 - i)
    mean /= members
    weighted /= members * (members - 1.0)
    if mean <= 0.0:
        return _CAP
    shape = _HEAVIEST if mean <= 2.0 * weighted else 2.0 - mean / (mean - 2.0 * weighted)
    shape = min(max(shape, _LIGHTEST), _HEAVIEST)
    scale = mean * (1.0 - shape)
    return float(min(_CAP, np.log1p(shape * x / scale) / shape / np.log(10.0) - np.log10(members / n)))


@jit
def _remember(ordered: Floats, arrived: Floats, known: int, x: float, place: int) -> None:
    """Put x in its place among the numbers in rising order; the oldest leaves a full memory."""
    gone = min(known, len(ordered))
    if known >= len(ordered):
        gone = np.searchsorted(ordered, arrived[known % len(ordered)])
    if gone < place:
        place -= 1
        for i in range(gone, place):
            ordered[i] = ordered[i + 1]
    for i in range(gone - place):
        ordered[gone - i] = ordered[gone - i - 1]
    ordered[place] = x
    arrived[known % len(ordered)] = x
