"""What a stream may change into, as densities of its ranks: likelihood ratios that the online test mixes.

While nothing changes, the rank of a value among those before it is uniform on 0..1, whatever its distribution. Every
change of level, spread or shape bends that: an alternative is the density of ranks after such a change, cut into
`CELLS` cells. Shapes have mean 0 and variance 1, so "shape" stands for what mean and variance do not tell.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Kind = Literal["level", "spread", "shape"]

CELLS = 256
LEAST_DENSITY = 1e-3
"""No cell is impossible: one stray value must not wipe out what many others have shown."""
LEAST_RISE = 0.02
"""Of the mean rank, for a change to count as up: a shift of a fourteenth of a standard deviation."""

LEVELS = (0.5, 0.75, 1.0, 1.5, 2.5, 4.0)
SPREADS = (1 / 8, 1 / 4, 1 / 2, 1.7, 2.0, 3.0, 5.0, 10.0)
"""Shifts in standard deviations and factors of the variance, of normal values."""
OTHER_LEVELS, OTHER_SPREADS = (0.75, 1.5), (1 / 2, 2.0, 4.0)
"""The same for values of other shapes."""
BENDS, BEND_SIZES = 4, (0.4, 0.7, 1.1)
"""Changes of no name: exponentials of one or two of the first four Legendre polynomials of the rank, of three sizes."""
RATES, RATE_FACTORS = (0.05, 0.1, 0.2, 0.4), (1 / 2, 1.5, 2.0)
"""Shares of high values (errors, say), and what they may be multiplied by."""

SHARES = {"level": 0.1, "spread": 0.22, "from normal": 0.45, "between": 0.08, "other": 0.08, "bend": 0.05, "step": 0.02}
"""Weight of each family in the mixture."""


@dataclass(frozen=True, eq=False)
class Alternatives:
    """`ratio` [cells, alternatives] is the density of each cell over that of no change, `weight` [alternatives] adds up
    to 1, `kinds` says what each is, and `rise` [alternatives] how far each lifts the mean rank (0.5 is no change).
    """

    ratio: Floats
    weight: Floats
    kinds: tuple[Kind, ...]
    rise: Floats


@dataclass(frozen=True)
class _Shape:
    """A distribution of mean 0 and variance 1, by its distribution function and the inverse."""

    below: Callable[[Floats], Floats]
    at: Callable[[Floats], Floats]


@cache
def alternatives(only_up: bool = False) -> Alternatives:
    """All alternatives; with `only_up` higher levels only, as errors of a model that has gone stale have."""
    made: list[tuple[str, Kind, Floats]] = [*_moves(), *_shapes(), *_bends(), *_steps()]
    densities = np.maximum(np.array([density for _, _, density in made]), LEAST_DENSITY)
    densities /= densities.mean(axis=1, keepdims=True)
    families = np.array([family for family, _, _ in made])
    # A weight costs a delay of log(1 / weight) over the evidence of a point: least in sum if in inverse proportion.
    weight = 1 / (densities * np.log(densities)).mean(axis=1)
    for family, share in SHARES.items():
        weight[families == family] *= share / weight[families == family].sum()
    rise = densities @ (np.arange(CELLS) + 0.5) / CELLS**2 - 0.5
    levels = np.array([kind == "level" for _, kind, _ in made])
    kept = levels & (rise > LEAST_RISE) if only_up else np.ones(len(rise), dtype=bool)
    return Alternatives(np.ascontiguousarray(densities[kept].T), weight[kept] / weight[kept].sum(),
                        tuple(kind for (_, kind, _), keep in zip(made, kept, strict=True) if keep), rise[kept])


def _moves() -> list[tuple[str, Kind, Floats]]:
    """Other levels and spreads, of normal values above all."""
    made: list[tuple[str, Kind, Floats]] = []
    for name, shape in _standard_shapes().items():
        normal = name == "normal"
        for level in LEVELS if normal else OTHER_LEVELS:
            family = "level" if normal else "other"
            made += [(family, "level", _ranks(shape, shape, move, 1.0)) for move in (level, -level)]
        for factor in SPREADS if normal else OTHER_SPREADS:
            made.append(("spread" if normal else "other", "spread", _ranks(shape, shape, 0.0, float(np.sqrt(factor)))))
    return made


def _shapes() -> list[tuple[str, Kind, Floats]]:
    """One shape instead of another, mean and variance as they were."""
    shapes = _standard_shapes()
    return [("from normal" if before == "normal" else "between", "shape",
             _ranks(shapes[before], shapes[after], 0.0, 1.0)) for before, after in itertools.permutations(shapes, 2)]


def _bends() -> list[tuple[str, Kind, Floats]]:
    """Densities exp(size * polynomial), which no list of shapes foresees."""
    middle = 2 * (np.arange(CELLS) + 0.5) / CELLS - 1
    rows = [np.polynomial.legendre.Legendre.basis(degree)(middle) * np.sqrt(2 * degree + 1)
            for degree in range(1, BENDS + 1)]
    made: list[tuple[str, Kind, Floats]] = []
    for signs in itertools.product((-1, 0, 1), repeat=BENDS):
        if 1 <= np.abs(signs).sum() <= 2:
            line = np.asarray(signs) @ np.array(rows) / np.sqrt(np.abs(signs).sum())
            kind: Kind = "level" if signs[0] else "spread" if signs[1] else "shape"
            made += [("bend", kind, np.exp(size * line)) for size in BEND_SIZES]
    return made


def _steps() -> list[tuple[str, Kind, Floats]]:
    """Values of two kinds of which one becomes more frequent: model errors, above all."""
    middle = (np.arange(CELLS) + 0.5) / CELLS
    made: list[tuple[str, Kind, Floats]] = []
    for rate, factor in itertools.product(RATES, RATE_FACTORS):
        high = middle > 1 - rate
        made.append(("step", "level", np.where(high, factor, (1 - rate * factor) / (1 - rate))))
    return made


def _ranks(before: _Shape, after: _Shape, level: float, spread: float) -> Floats:
    """Density of the ranks among values `before` of values `after`, scaled by `spread` and moved by `level`."""
    edges = before.at(np.arange(1, CELLS) / CELLS)
    below = np.concatenate([[0.0], after.below((edges - level) / spread), [1.0]])
    return np.asarray(np.diff(below) * CELLS)


def _standard_shapes() -> dict[str, _Shape]:
    from scipy import stats  # takes a second to load

    third = 1 / np.sqrt(3)
    exponential, gamma = stats.expon(-1, 1), stats.gamma(3, -np.sqrt(3), third)
    return {
        "normal": _shape(stats.norm()),
        "uniform": _shape(stats.uniform(-np.sqrt(3), 2 * np.sqrt(3))),
        "laplace": _shape(stats.laplace(0, np.sqrt(0.5))),
        "student": _shape(stats.t(3, 0, third)),
        "exponential": _shape(exponential),
        "exponential down": _mirrored(_shape(exponential)),
        "gamma": _shape(gamma),
        "gamma down": _mirrored(_shape(gamma)),
        "two peaks": _two_peaks(0.9),
    }


def _shape(distribution: object) -> _Shape:
    return _Shape(distribution.cdf, distribution.ppf)  # type: ignore[attr-defined]


def _mirrored(shape: _Shape) -> _Shape:
    return _Shape(lambda x: 1 - shape.below(-x), lambda share: -shape.at(1 - share))


def _two_peaks(apart: float) -> _Shape:
    """Two normal peaks of equal mass at -`apart` and +`apart`."""
    from scipy.special import ndtr

    width = np.sqrt(1 - apart**2)

    def below(x: Floats) -> Floats:
        return np.asarray((ndtr((x - apart) / width) + ndtr((x + apart) / width)) / 2)

    grid = np.linspace(-6, 6, 20001)
    return _Shape(below, lambda share: np.interp(share, below(grid), grid))
