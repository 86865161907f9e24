"""Drift of a stream, point by point: ranks of what could not be foreseen, against ways in which they may bend.

1. What is usual is taken off: rhythm (mean and size of each phase of a period that is found while warming up),
   autocorrelation (regression on the last values and on two decaying means of them) and swings of the spread (the same
   on the logarithm of what is left). The regressions learn from points `DELAY` ago and before, so a change is not taken
   for a habit before it can be seen, and are believed as far as they foresee more than noise. Values are compressed
   beyond a few standard deviations, so heavy tails do no harm.
2. What is left becomes its rank among the last `MEMORY` of its kind. While nothing changes these ranks are independent
   and uniform, whatever the distribution (conformal p-values: Vovk, Nouretdinov and Gammerman, "Testing exchangeability
   on-line", ICML 2003); ties are broken at random by the seed.
3. A mixture of Shiryaev-Roberts statistics over the densities of `alternatives` adds up the evidence for a change that
   began at any time before: R = (1 + R) * density. R minus the number of points is a martingale, so with the alarm at
   100,000 / budget there are at most `budget` false alarms in 100,000 points (Pollak, "Average run lengths of an
   optimal method of detecting a change in distribution", 1987; Shin, Ramdas and Rinaldo, "E-detectors", 2023).

Step 1 is fitted, so that bound is exact only for independent values; the benchmark measures the rest. A change that is
slower than the memory is taken in as usual: that is what the monthly tests are for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagnostics.drift.alternatives import Kind, alternatives
from diagnostics.jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MEMORY = 2048
WARM_UP = 512
DELAY = 128
LONGEST_PERIOD = 128
"""The longest rhythm that is looked for unasked: four rounds of it fit into the warm-up."""
LEAST_FIT = 0.15
"""Share of the variance of the second half that a rhythm of the first half must foresee."""
ROUNDS = 40
"""Rounds of a rhythm after which its mean no longer learns more slowly."""
DECAYS = (1 / 8, 1 / 32)
"""Of the means that values are foreseen from, beside the last three values."""
DOUBT, PHASE_DOUBT = 3.0, 1.5
OVERSHOOT = 0.6
"""The mixture jumps over its limit; on independent values this much of it holds the budget."""
DEARER = 10.0
"""How many times more evidence an alarm needs for each one in the time that is expected between false alarms."""
FLOOR = 0.05
"""Rests smaller than this share of the usual one count as that when the spread is foreseen."""
TRACE = 1024
"""Points that are looked back to say when a change began."""


@dataclass(frozen=True)
class OnlineSettings:
    """`false_alarms_per_100k` is the budget of calm points; `period` the steps of a known rhythm (0: look for one);
    `only_up` watches for growing values only, as for errors of a model. `seed` breaks ties.
    """

    false_alarms_per_100k: float = 2.0
    period: int = 0
    only_up: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a budget that is none and a period longer than half the memory."""
        if not 0 < self.false_alarms_per_100k < 1e5:
            raise ValueError(f"false_alarms_per_100k: {self.false_alarms_per_100k}: above 0, below 100000")
        if not 0 <= self.period <= MEMORY // 2:
            raise ValueError(f"period: {self.period}: 0 to look for one, or 2 to {MEMORY // 2} steps")


@dataclass(frozen=True)
class Change:
    """An alarm at point `at`; the change probably began at `since`, and is one of `kind`. Points count from 0."""

    at: int
    since: int
    kind: Kind


class OnlineDrift:
    """Watches one stream. Fed in pieces of any size it says the same as fed at once.

    It warms up over the first `WARM_UP` values, and anew after every alarm: the new state is the normal one then. Every
    alarm makes the next one dearer for a while, so a stream that does not fit the model raises few. Values that are NaN
    take their time but count for nothing.
    """

    def __init__(self, settings: OnlineSettings | None = None) -> None:
        self.settings = settings or OnlineSettings()
        self._known = alternatives(self.settings.only_up)
        self._seen = 0
        self._alarms: list[int] = []
        self._draws = np.array([self.settings.seed], dtype=np.uint64)
        self._begin()

    def _begin(self) -> None:
        """Forget everything but the time, and how many alarms the budget has had of late."""
        patience = 1e5 / self.settings.false_alarms_per_100k
        late = [at for at in self._alarms if at > self._alarms[-1] - patience]
        self._limit = OVERSHOOT * patience * DEARER ** len(late)
        self._first: list[tuple[int, float]] = []
        self._state: _State | None = None
        self._evidence = np.zeros(len(self._known.weight))
        self._trace = np.zeros((2, TRACE), dtype=np.int64)
        self._trace[0] = -1

    def feed(self, values: npt.ArrayLike) -> tuple[Change, ...]:
        """Take the next values [points] of the stream and return the changes found among them."""
        stream = np.ascontiguousarray(values, dtype=np.float64)
        if stream.ndim != 1 or np.isinf(stream).any():
            raise ValueError(f"values: shape {stream.shape}, a row of finite numbers or NaN is needed")
        found = []
        at = 0
        while at < len(stream):
            if self._state is None:
                at = self._warm_up(stream, at)
                continue
            state = self._state
            done = _advance(stream[at:], self._seen + at, self._limit, self._known.ratio, self._known.weight,
                            self._draws, state.counts, state.units, state.left, state.profile, state.level,
                            state.spread, self._evidence, self._trace)
            at += abs(done)
            if done < 0:
                found.append(self._change(self._seen + at - 1))
                self._alarms.append(self._seen + at - 1)
                self._begin()
        self._seen += len(stream)
        return tuple(found)

    def _warm_up(self, stream: Floats, at: int) -> int:
        """Collect first values; return how far it came."""
        while at < len(stream) and len(self._first) < WARM_UP:
            if not np.isnan(stream[at]):
                self._first.append((self._seen + at, float(stream[at])))
            at += 1
        if len(self._first) == WARM_UP:
            self._state = _learn(self._first, self.settings.period, self._draws)
        return at

    def _change(self, at: int) -> Change:
        """What the alarm at a point is about: the alternative with most evidence, since it began to gain."""
        best = int(np.argmax(self._evidence))
        order = np.argsort(self._trace[0])[::-1]
        times, cells = self._trace[:, order[self._trace[0, order] >= 0]]
        gain = np.log(self._known.ratio[cells, best]).cumsum()
        return Change(at, int(times[int(np.argmax(gain))]), self._known.kinds[best])


@dataclass(frozen=True, eq=False)
class _State:
    """What the kernel reads and writes.

    `counts`: rests held, period, points learned from. `units`: median, scale and width of the dither of values, usual
    size of a rest, mean score, and the mean squares of what phases say of sizes and of what they do not. `left`
    [2, MEMORY]: the last rests, by time and sorted. `profile` [3, period]: the mean score of each phase, its rounds and
    its mean size of rests. `level` and `spread`: see `_fitted`.
    """

    counts: Ints
    units: Floats
    left: Floats
    profile: Floats
    level: Floats
    spread: Floats


def online_changes(values: npt.ArrayLike, settings: OnlineSettings | None = None) -> tuple[Change, ...]:
    """All changes of a recorded stream [points], each found from the points before it alone."""
    return OnlineDrift(settings).feed(values)


# ---------------------------------------------------------------- warming up


def _learn(first: list[tuple[int, float]], period: int, draws: npt.NDArray[np.uint64]) -> _State:
    """The state after the first values."""
    times = np.array([time for time, _ in first], dtype=np.int64)
    values = np.array([value for _, value in first])
    units = _units(values)
    score = np.array([_score(value, units, draws) for value in values])
    units[4] = score.mean()
    score -= units[4]
    period = period or _period(times, score)
    profile = np.zeros((3, max(1, period)))
    if period:
        phase = times % period
        profile[1] = np.bincount(phase, minlength=period)
        profile[0] = np.bincount(phase, score, minlength=period) / np.maximum(profile[1], 1)
        rounds = profile[1][phase]
        # Each value against the mean of the others of its phase, as later values will be.
        score = (score - profile[0][phase]) * rounds / np.maximum(rounds - 1, 1)
    level, rest = _fitted(score, 3)
    units[3] = np.median(np.abs(rest)) or 1.0
    size = np.log(np.maximum(np.abs(rest) / units[3], FLOOR))
    if period:
        size, rest = _phase_sizes(size, rest, times % period, profile, units)
    spread, wide = _fitted(size - size.mean(), 1)
    spread[0, -1] = size.mean()
    rest = rest * np.exp(wide - size + size.mean())
    counts = np.array([len(rest), period, 0], dtype=np.int64)
    left = np.zeros((2, MEMORY))
    left[0, : len(rest)], left[1, : len(rest)] = rest, np.sort(rest)
    return _State(counts, units, left, profile, level, spread)


def _units(values: Floats) -> Floats:
    """Median, robust standard deviation, and the smallest gap where values repeat: they are spread over it."""
    middle = float(np.median(values))
    distinct = np.unique(values)
    gap = 0.0
    if len(distinct) < len(values):
        gap = float(np.diff(distinct).min()) if len(distinct) > 1 else 1e-9 * max(1.0, abs(middle))
    low, high = np.quantile(values, (0.25, 0.75))
    scale = float(high - low) / 1.349 or float(values.std()) or gap
    return np.array([middle, max(scale, gap), gap, 1.0, 0.0, 0.0, 0.0])


def _phase_sizes(size: Floats, rest: Floats, phase: Ints, profile: Floats, units: Floats) -> tuple[Floats, Floats]:
    """Sizes and rests less what their phase says of them, as far as it is believed."""
    rounds = np.maximum(profile[1], 1)
    profile[2] = (np.bincount(phase, size, minlength=len(rounds)) - size.mean() * profile[1]) / rounds
    left = size - size.mean() - profile[2][phase]
    units[5:7] = (profile[2][phase] ** 2).mean(), (left**2).mean()
    expected = _phase_trust(units, len(rounds), len(size)) * profile[2][phase]
    return size - expected, rest * np.exp(-expected)


def _fitted(score: Floats, lags: int) -> tuple[Floats, Floats]:
    """A model of `score` by its last `lags` values and decaying means, and what it leaves.

    The model is an array [2 + n + DELAY, n + 1] for n = `lags` + 2 regressors: their values, the coefficients, the
    inverse of the information, and the last `DELAY` rows with their score, not yet learned from. The last column holds
    the mean of the score, then the mean squares of what was expected and of what was not, and of how many points.
    """
    size = lags + len(DECAYS)
    rows = np.zeros((len(score), size))
    now = np.zeros(size)
    for t, value in enumerate(score):
        rows[t] = now
        now[1:lags] = now[: lags - 1]
        now[0] = value
        for i, decay in enumerate(DECAYS):
            now[lags + i] += decay * (value - now[lags + i])
    inverse = np.linalg.inv(rows.T @ rows + np.eye(size))
    steady = inverse @ (rows.T @ score)
    model = np.zeros((2 + size + DELAY, size + 1))
    model[0, :size], model[1, :size], model[2 : 2 + size, :size] = now, steady, inverse
    model[2 + size :] = np.nan
    expected = rows @ steady
    model[2:5, size] = (expected**2).mean(), ((score - expected) ** 2).mean(), len(score)
    return model, score - expected * _trust(model)


def _period(times: Ints, score: Floats) -> int:
    """The shortest rhythm of the first half that foresees the second about as well as the best does; 0 for none."""
    half = len(score) // 2
    calm = score[:half].mean()
    total = float(((score[half:] - calm) ** 2).sum())
    if not total > 0:
        return 0
    fits = np.zeros(LONGEST_PERIOD + 1)
    for period in range(2, LONGEST_PERIOD + 1):
        phase = times % period
        sums = np.bincount(phase[:half], score[:half], minlength=period)
        sizes = np.bincount(phase[:half], minlength=period)
        mean = np.where(sizes > 0, sums / np.maximum(sizes, 1), calm)
        fits[period] = 1 - float(((score[half:] - mean[phase[half:]]) ** 2).sum()) / total
    best = float(fits.max())
    return int(np.argmax(fits >= 0.9 * best)) if best >= LEAST_FIT else 0


# ---------------------------------------------------------------- the kernel


@jit
def _uniform(draws: npt.NDArray[np.uint64]) -> float:
    """The next number of 0..1 (SplitMix64)."""
    draws[0] += np.uint64(0x9E3779B97F4A7C15)
    mixed = draws[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return float((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) / 9007199254740992.0


@jit
def _score(value: float, units: Floats, draws: npt.NDArray[np.uint64]) -> float:
    """Robust standard deviations from the median, compressed like a logarithm far out."""
    if units[2] > 0:
        value += units[2] * (_uniform(draws) - 0.5)
    return float(8 * np.arcsinh((value - units[0]) / units[1] / 8) - units[4])


@jit
def _below(ordered: Floats, count: int, value: float) -> int:
    """How many of the first `count` sorted values are below `value`."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@jit
def _remember(memory: Floats, count: int, value: float, below: int) -> None:
    """Put a value in place of the oldest; `count` values came before it, `below` of those held are smaller."""
    by_time, ordered = memory[0], memory[1]
    size = len(by_time)
    slot = count % size
    hole = count if count < size else _below(ordered, size, by_time[slot])
    by_time[slot] = value
    if below <= hole:
        for i in range(hole, below, -1):
            ordered[i] = ordered[i - 1]
        ordered[below] = value
    else:
        for i in range(hole, below - 1):
            ordered[i] = ordered[i + 1]
        ordered[below - 1] = value


@jit
def _foresee(model: Floats) -> float:
    """What the regression expects of the next score."""
    expected = 0.0
    for i in range(model.shape[1] - 1):
        expected += float(model[0, i] * model[1, i])
    return expected


@jit
def _trust(model: Floats) -> float:
    """Share of its expectations that is believed.

    They are shrunk by the share of their variance that as many regressors of pure noise would have, times `DOUBT` (a
    positive-part James-Stein rule): independent values are left exactly as they are.
    """
    size = model.shape[1] - 1
    noise = DOUBT * size * model[3, size]
    return float(max(0.0, 1.0 - noise / max(model[4, size] * model[2, size], 1e-300)))


@jit
def _phase_trust(units: Floats, period: int, points: int) -> float:
    """Share of the mean sizes of phases that is believed, by the same rule."""
    return float(max(0.0, 1.0 - PHASE_DOUBT * period * units[6] / max(min(points, MEMORY) * units[5], 1e-300)))


@jit
def _take(model: Floats, score: float, lags: int, point: int) -> None:
    """Bring the regressors up to date with a score, and learn from the row of `DELAY` points ago (least squares that
    forgets).
    """
    size = model.shape[1] - 1
    expected = _foresee(model)
    model[4, size] = min(model[4, size] + 1, MEMORY)
    model[2, size] += (expected**2 - model[2, size]) / model[4, size]
    model[3, size] += ((score - expected) ** 2 - model[3, size]) / model[4, size]
    waiting = model[2 + size + point % DELAY]
    if not np.isnan(waiting[size]):
        _fit(model, waiting, size)
    for i in range(size):
        waiting[i] = model[0, i]
    waiting[size] = score
    for i in range(lags - 1, 0, -1):
        model[0, i] = model[0, i - 1]
    model[0, 0] = score
    for i in range(lags, size):
        model[0, i] += DECAYS[i - lags] * (score - model[0, i])


@jit
def _fit(model: Floats, row: Floats, size: int) -> None:
    """One step of recursive least squares."""
    rest, power = row[size], 1.0
    gain = np.zeros(size)
    for i in range(size):
        rest -= model[1, i] * row[i]
        for j in range(size):
            gain[i] += model[2 + i, j] * row[j]
        power += gain[i] * row[i]
    # Nothing is forgotten where nothing comes in.
    keep = 1.0 if model[2, 0] > 0.1 else 1.0 - 0.5 / MEMORY
    for i in range(size):
        model[1, i] += gain[i] / power * rest
        for j in range(size):
            model[2 + i, j] = (model[2 + i, j] - gain[i] * gain[j] / power) / keep


@jit
def _gather(evidence: Floats, row: Floats, weight: Floats) -> float:
    """Let one point speak to every alternative; return the mixture."""
    for k in range(len(weight)):
        evidence[k] = (weight[k] + evidence[k]) * row[k]
    a = b = c = d = 0.0
    whole = len(weight) // 4 * 4
    for k in range(0, whole, 4):
        a += evidence[k]
        b += evidence[k + 1]
        c += evidence[k + 2]
        d += evidence[k + 3]
    for k in range(whole, len(weight)):
        a += evidence[k]
    return a + b + c + d


@jit
def _advance(
    stream: Floats,
    began: int,
    limit: float,
    ratio: Floats,
    weight: Floats,
    draws: npt.NDArray[np.uint64],
    counts: Ints,
    units: Floats,
    left: Floats,
    profile: Floats,
    level: Floats,
    spread: Floats,
    evidence: Floats,
    trace: Ints,
) -> int:
    """Take points until an alarm or the end; return how many were taken, negative if the last raised an alarm."""
    period = counts[1]
    cells = len(ratio)
    usual = spread[0, -1]
    for t in range(len(stream)):
        value = stream[t]
        if np.isnan(value):
            continue
        score = _score(value, units, draws)
        if period > 0:
            phase = (began + t) % period
            profile[1, phase] = min(profile[1, phase] + 1, ROUNDS)
            expected = profile[0, phase]
            profile[0, phase] += (score - expected) / profile[1, phase]
            score -= expected
        trust = _trust(level)
        rest = score - trust * _foresee(level)
        _take(level, score, 3, counts[2])
        size = np.log(max(abs(rest) / units[3], FLOOR)) - usual
        if period > 0:
            expected = profile[2, phase]
            units[5] += (expected**2 - units[5]) / min(counts[0], MEMORY)
            units[6] += ((size - expected) ** 2 - units[6]) / min(counts[0], MEMORY)
            profile[2, phase] += (size - expected) / profile[1, phase]
            expected *= _phase_trust(units, period, counts[0])
            size -= expected
            rest *= np.exp(-expected)
        rest *= np.exp(-_trust(spread) * _foresee(spread))
        _take(spread, size, 1, counts[2])
        counts[2] += 1

        held = min(counts[0], MEMORY)
        below = _below(left[1], held, rest)
        equal = 0
        while below + equal < held and left[1, below + equal] == rest:
            equal += 1
        rank = (below + (equal + 1) * _uniform(draws)) / (held + 1)
        _remember(left, counts[0], rest, below)
        counts[0] += 1
        cell = min(int(rank * cells), cells - 1)
        trace[0, counts[0] % trace.shape[1]] = began + t
        trace[1, counts[0] % trace.shape[1]] = cell
        # A young fit leaves some dependence behind, which passes for evidence.
        young = trust * max(0.0, (MEMORY / counts[0]) ** 2 - 1)
        if _gather(evidence, ratio[cell], weight) >= limit * (1 + young):
            return -(t + 1)
    return len(stream)
