"""Which combination of attributes a rise of a rate comes from.

A rate is a count of something bad over a count of all, known per cell (one combination of attribute values) now and
before. A cause is a conjunction such as `cdn=5 and p2p=0` whose cells hold most of the excess (recall) and most of
whose traffic lies in cells that really rose (precision): the two measures that Squeeze (Li et al., ISSRE 2019),
AutoRoot (Jing et al., 2021) and RAPMiner (Liu et al., 2022) weigh, here with the binomial likelihood of a cell in
place of a cut, so that small cells say little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # pandas is only loaded by who has a frame
    import pandas as pd

Floats = npt.NDArray[np.float64]
Condition = tuple[str, str]

_RATE = 1e-6
"""No rate is taken for certain."""
_LOG_ODDS = 30.0


@dataclass(frozen=True)
class AttributionSettings:
    """How causes are weighed.

    `recall_weight` is the beta of the F measure: a missed share of the excess weighs more than normal traffic within.
    `prior_total` is how much traffic the common rate before is worth in a cell's own rate before. Where no conjunction
    scores `least_score` the rise is everywhere. A cause beyond the first needs that score, `further_share` of the
    first one's excess and `further_rise` of its rise.
    """

    max_conditions: int = 4
    max_causes: int = 3
    recall_weight: float = 2.5
    prior_total: float = 50.0
    least_score: float = 0.3
    further_share: float = 0.2
    further_rise: float = 0.25

    def __post_init__(self) -> None:
        """Refuse what leaves nothing to look for."""
        for field, least in (("max_conditions", 1), ("max_causes", 1)):
            if getattr(self, field) < least:
                raise ValueError(f"{field}: {getattr(self, field)}: at least {least}")
        for field in ("recall_weight", "prior_total"):
            if not getattr(self, field) > 0:
                raise ValueError(f"{field}: {getattr(self, field)}: above 0")


@dataclass(frozen=True, eq=False)
class Cells:
    """Counts per combination of attribute values.

    `codes` [cells, attributes] points into `values`, one tuple of names an attribute; `bad` and `total` [cells] are
    counts now, `bad_before` and `total_before` those of the time held against it (its length does not matter).
    """

    attributes: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    codes: npt.NDArray[np.int64]
    bad: Floats
    total: Floats
    bad_before: Floats
    total_before: Floats

    def __post_init__(self) -> None:
        """Refuse counts that are none."""
        cells = (len(self.codes),)
        if self.codes.shape != (*cells, len(self.attributes)) or len(self.values) != len(self.attributes):
            raise ValueError(f"codes: {self.codes.shape}: [cells, attributes], {len(self.attributes)} attributes")
        for field in ("bad", "total", "bad_before", "total_before"):
            counts = getattr(self, field)
            if counts.shape != cells or not np.isfinite(counts).all() or (counts < 0).any():
                raise ValueError(f"{field}: one finite count of 0 or more for each of the {cells[0]} cells")
        if (self.bad > self.total).any() or (self.bad_before > self.total_before).any():
            raise ValueError("bad: at most as many as there are in all")


@dataclass(frozen=True)
class Cause:
    """A conjunction of attribute values; none at all: the rise is everywhere.

    `share` is its part of the excess still unexplained, `purity` the part of its traffic in cells that rose, `score`
    their F measure; `rate` is what it has now where `expected` was foreseen.
    """

    conditions: tuple[Condition, ...]
    share: float
    purity: float
    score: float
    rate: float
    expected: float

    @property
    def sentence(self) -> str:
        """The cause in words."""
        where = " and ".join(f"{attribute}={value}" for attribute, value in self.conditions) or "everywhere"
        return (f"{where}: {self.rate:.3g} where {self.expected:.3g} is usual,"
                f" {self.share:.0%} of the rise, {self.purity:.0%} of it affected")


def cells_of(frame: pd.DataFrame, now: npt.NDArray[np.bool_], attributes: Sequence[str], bad: str,
             total: str) -> Cells:
    """Count a long frame, one row a cell and moment: rows where `now` [rows] holds against all others.

    Raises:
        ValueError: a column is missing.

    """
    missing = [name for name in (*attributes, bad, total) if name not in frame.columns]
    if missing:
        raise ValueError(f"columns: {', '.join(missing)}: not there; found {', '.join(map(str, frame.columns))}")
    parts = [np.unique(frame[name].astype(str).to_numpy(), return_inverse=True) for name in attributes]
    codes, cell = np.unique(np.stack([inverse for _, inverse in parts], axis=1), axis=0, return_inverse=True)

    def count(column: str, rows: npt.NDArray[np.bool_]) -> Floats:
        weights = frame[column].to_numpy(dtype=np.float64)[rows]
        return np.bincount(cell.ravel()[rows], weights, len(codes)).astype(np.float64)

    values = tuple(tuple(names.tolist()) for names, _ in parts)
    return Cells(tuple(attributes), values, codes.astype(np.int64), count(bad, now), count(total, now),
                 count(bad, ~now), count(total, ~now))


def attribute(cells: Cells, settings: AttributionSettings | None = None) -> tuple[Cause, ...]:
    """The causes of a rise, the gravest first; none when the rate is nowhere above what was foreseen.

    What is left after a cause is held against its own common change, so that a second cause must stand out there.
    The order of cells and of attributes makes no difference: equal scores go to fewer conditions, then to names.
    """
    settings = settings or AttributionSettings()
    before = cells.total_before.sum()
    common = cells.bad_before.sum() / before if before > 0 else 0.0
    usual = (cells.bad_before + settings.prior_total * common) / (cells.total_before + settings.prior_total)
    foreseen = cells.total * usual
    left = np.ones(len(cells.codes), dtype=bool)
    scale = 1.0
    found: list[tuple[Cause, float]] = []
    while len(found) < settings.max_causes:
        weight = left.astype(np.float64)
        best = _best(cells, weight, foreseen * scale, settings)
        if best is None or (found and not best[0].conditions):
            break
        cause, rows = best
        excess = float((cells.bad - foreseen * scale)[rows & left].sum())
        if found and not _stands_out(cause, excess, found[0], settings):
            break
        found.append((cause, excess))
        left &= ~rows
        expected = float(foreseen[left].sum())
        if expected <= 0 or not cause.conditions:
            break
        scale = float(np.clip(cells.bad[left].sum() / expected, 0.2, 5.0))
    return tuple(cause for cause, _ in found)


def _stands_out(cause: Cause, excess: float, first: tuple[Cause, float], settings: AttributionSettings) -> bool:
    """Whether a further cause is one beside the first."""
    return (excess >= settings.further_share * first[1]
            and cause.rate - cause.expected >= settings.further_rise * (first[0].rate - first[0].expected))


def _best(cells: Cells, weight: Floats, foreseen: Floats,
          settings: AttributionSettings) -> tuple[Cause, npt.NDArray[np.bool_]] | None:
    """The conjunction of the highest F measure over cells of weight 1, and its rows."""
    bad, total, expected = cells.bad * weight, cells.total * weight, foreseen * weight
    # Half of all cells are above what was foreseen by chance: that much is no rise.
    rise = float(np.maximum(bad - expected, 0).sum() - np.sqrt(expected / (2 * np.pi)).sum())
    if rise <= 0:
        return None
    usual = np.clip(expected / np.maximum(total, 1), _RATE, 1 - _RATE)
    beta = settings.recall_weight**2
    best: tuple[tuple[float, int, tuple[Condition, ...]], Cause, npt.NDArray[np.bool_]] | None = None
    for chosen, group in _cuboids(cells.codes, settings.max_conditions):
        totals, bads, foreseens = (np.bincount(group, part) for part in (total, bad, expected))
        rate = np.clip(bads / np.maximum(totals, 1), _RATE, 1 - _RATE)
        rose = _rose(bad, total, rate[group], usual)
        share = np.clip((bads - foreseens) / rise, 0, 1)
        purity = np.bincount(group, total * rose) / np.maximum(totals, 1)
        below = beta * purity + share
        score = np.round(np.divide((1 + beta) * purity * share, below, out=np.zeros_like(share), where=below > 0), 9)
        top = float(score.max())
        if top <= 0:
            continue
        for index in np.flatnonzero(score == top):
            row = cells.codes[int(np.argmax(group == index))]
            conditions = tuple(sorted((cells.attributes[i], cells.values[i][row[i]]) for i in chosen))
            key = (-top, len(conditions), conditions)
            if best is None or key < best[0]:
                cause = Cause(conditions, float(share[index]), float(purity[index]), top,
                              float(bads[index] / totals[index]), float(foreseens[index] / totals[index]))
                best = key, cause, group == index
    if best is None or best[1].score < settings.least_score:
        everywhere = Cause((), 1.0, 1.0, 1.0, float(bad.sum() / total.sum()), float(expected.sum() / total.sum()))
        return everywhere, np.ones(len(bad), dtype=bool)
    return best[1], best[2]


def _rose(bad: Floats, total: Floats, risen: Floats, usual: Floats) -> Floats:
    """How sure it is [cells] that a cell is at the risen rate, not the usual one: from 0 (even odds or less) to 1."""
    odds = bad * np.log(risen / usual) + (total - bad) * np.log((1 - risen) / (1 - usual))
    chance = 1 / (1 + np.exp(-np.clip(odds, -_LOG_ODDS, _LOG_ODDS)))
    sure: Floats = np.where(risen > usual, np.maximum(2 * chance - 1, 0), 0.0)
    return sure


def _cuboids(codes: npt.NDArray[np.int64], most: int) -> Iterator[tuple[tuple[int, ...], npt.NDArray[np.int64]]]:
    """Every set of up to `most` attributes that vary, with the group [cells] each cell is in."""
    varied = [i for i in range(codes.shape[1]) if len(codes) and (codes[:, i] != codes[0, i]).any()]
    for size in range(1, min(most, len(varied)) + 1):
        for chosen in combinations(varied, size):
            _, group = np.unique(codes[:, chosen], axis=0, return_inverse=True)
            yield chosen, group.ravel().astype(np.int64)
