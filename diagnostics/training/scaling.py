"""Pre-processing of columns, and back: by name in `SCALINGS`.

`zscore` centres and scales. `power` makes a column look normal first: by Box and Cox (1964) where every value of the
training part is above zero, by Yeo and Johnson (2000) where there are zeros or negative values; lambda maximises the
likelihood within [-2, 3], beyond which powers only fit noise. `none` leaves numbers as they are. A column that does not
vary is left as it is by all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

NONE, ZSCORE, BOX_COX, YEO_JOHNSON = range(4)
LEAST_LAMBDA, MOST_LAMBDA = -2.0, 3.0
_FARTHEST = 1e3
"""No scaled value is farther from the mean, in standard deviations, so that one wild reading upsets nothing."""
_SAMPLE = 20_000
_VARIES = 1e-9


@dataclass(frozen=True, eq=False)
class Scaler:
    """How each column is transformed: all arrays [columns]. `smallest` is what Box-Cox takes for anything below."""

    method: npt.NDArray[np.int64]
    power: Floats
    mean: Floats
    spread: Floats
    smallest: Floats

    def forward(self, values: Floats) -> Floats:
        """Scaled values [..., columns]; NaN stays NaN."""
        scaled = np.empty_like(values)
        for column, method in enumerate(self.method.tolist()):
            one = _shape(values[..., column], method, float(self.power[column]), float(self.smallest[column]))
            with np.errstate(over="ignore"):  # no number is too large to be far away
                scaled[..., column] = (one - self.mean[column]) / self.spread[column]
        limit = np.where(self.method == NONE, np.inf, _FARTHEST)
        return np.clip(scaled, -limit, limit)

    def back(self, scaled: Floats) -> Floats:
        """The inverse of `forward`, as far as there is one: beyond the ends of a power, its last value."""
        values = np.empty_like(scaled)
        for column, method in enumerate(self.method.tolist()):
            one = scaled[..., column] * self.spread[column] + self.mean[column]
            values[..., column] = _unshape(one, method, float(self.power[column]))
        return values

    def of(self, columns: list[int]) -> Scaler:
        """Only these columns."""
        return Scaler(*(getattr(self, name)[columns] for name in _FIELDS))

    def to_dict(self) -> dict[str, Any]:
        """Plain arrays."""
        return {name: getattr(self, name) for name in _FIELDS}


_FIELDS = ("method", "power", "mean", "spread", "smallest")


def fit_none(values: Floats) -> Scaler:
    """Numbers as they are; `values` [rows, columns]."""
    columns = values.shape[1]
    return Scaler(np.full(columns, NONE), np.ones(columns), np.zeros(columns), np.ones(columns), np.zeros(columns))


def fit_zscore(values: Floats) -> Scaler:
    """Mean 0 and standard deviation 1, from the rows given [rows, columns]."""
    return _fitted(values, [ZSCORE if _varies(column) else NONE for column in values.T])


def fit_power(values: Floats) -> Scaler:
    """As normal as a power makes it, then as `zscore`."""
    return _fitted(values, [_best_shape(column) for column in values.T])


SCALINGS: dict[str, Callable[[Floats], Scaler]] = {"none": fit_none, "zscore": fit_zscore, "power": fit_power}


def _varies(column: Floats) -> bool:
    known = column[np.isfinite(column)]
    return len(known) > 1 and bool(np.ptp(known) > _VARIES * max(1e-12, float(np.abs(known).max())))


def _best_shape(column: Floats) -> int:
    if not _varies(column):
        return NONE
    return BOX_COX if np.nanmin(column) > 0 else YEO_JOHNSON


def _fitted(values: Floats, methods: list[int]) -> Scaler:
    scaler = fit_none(values)
    scaler.method[:] = methods
    for column, method in enumerate(methods):
        known = values[np.isfinite(values[:, column]), column]
        if method == NONE:
            continue
        scaler.smallest[column] = known.min() / 1000 if method == BOX_COX else 0.0
        if method in (BOX_COX, YEO_JOHNSON):
            scaler.power[column] = _likeliest(known, method)
        shaped = _shape(known, method, float(scaler.power[column]), float(scaler.smallest[column]))
        spread = float(shaped.std())
        if not np.isfinite(spread) or spread <= 0:  # a power flattened it: leave the power out
            scaler.method[column], scaler.power[column] = ZSCORE, 1.0
            shaped, spread = known, float(known.std())
        scaler.mean[column], scaler.spread[column] = shaped.mean(), spread
    return scaler


def _likeliest(known: Floats, method: int) -> float:
    """The lambda under which the column is most likely normal; a large column is thinned evenly first."""
    from scipy.optimize import minimize_scalar  # loaded only where a model is trained

    some = np.sort(known)[:: max(1, len(known) // _SAMPLE)]
    unit = some / np.exp(np.log(some).mean()) if method == BOX_COX else some
    jacobian = np.log(unit).sum() if method == BOX_COX else (np.sign(some) * np.log1p(np.abs(some))).sum()

    def surprise(power: float) -> float:
        with np.errstate(over="ignore", invalid="ignore"):  # a power too large for these values is not likely
            variance = float(np.nan_to_num(_shape(unit, method, power, 0.0).var(), nan=np.inf))
        return float(0.5 * len(unit) * np.log(max(variance, 1e-300)) - (power - 1) * float(jacobian))

    found = minimize_scalar(surprise, bounds=(LEAST_LAMBDA, MOST_LAMBDA), method="bounded")
    return float(found.x)


def _shape(values: Floats, method: int, power: float, smallest: float) -> Floats:
    if method == BOX_COX:
        return _box_cox(np.maximum(values, smallest) if smallest > 0 else values, power)
    if method == YEO_JOHNSON:
        above = _box_cox(np.maximum(values, 0) + 1, power)
        below = -_box_cox(1 - np.minimum(values, 0), 2 - power)
        return np.asarray(np.where(values >= 0, above, np.where(np.isnan(values), np.nan, below)))
    return values


def _unshape(values: Floats, method: int, power: float) -> Floats:
    if method == BOX_COX:
        return _box_cox_back(values, power)
    if method == YEO_JOHNSON:
        above = _box_cox_back(np.maximum(values, 0), power) - 1
        below = 1 - _box_cox_back(np.maximum(-values, 0), 2 - power)
        return np.asarray(np.where(values >= 0, above, below))
    return values


def _box_cox(values: Floats, power: float) -> Floats:
    """(x^lambda - 1) / lambda, and log x at 0."""
    logs = np.log(values)
    return np.asarray(logs if abs(power) < 1e-9 else np.expm1(power * logs) / power)


def _box_cox_back(values: Floats, power: float) -> Floats:
    if abs(power) < 1e-9:
        return np.asarray(np.exp(np.clip(values, -700, 700)))
    inside = np.maximum(power * values, 1e-12 - 1)  # beyond the end of the power there is nothing
    return np.asarray(np.exp(np.clip(np.log1p(inside) / power, -700, 700)))
