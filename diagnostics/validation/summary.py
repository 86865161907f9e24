"""Stage 3: figures of every column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diagnostics.validation.identify import Identified

if TYPE_CHECKING:
    import pandas as pd

TOP = 5
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)


@dataclass(frozen=True)
class Numbers:
    """Figures of numbers; `quantiles` at 1, 25, 50, 75 and 99 %. `infinite` values are in no other figure."""

    mean: float
    deviation: float
    least: float
    most: float
    quantiles: tuple[float, ...]
    zeros: int
    negative: int
    infinite: int


@dataclass(frozen=True)
class ColumnSummary:
    """Figures of one column: `numbers` of numbers, the most frequent values of categories, the span of times."""

    column: str
    category: str
    records: int
    missing: int
    distinct: int
    numbers: Numbers | None
    top: tuple[tuple[str, int], ...]
    first: str | None
    last: str | None

    @property
    def missing_share(self) -> float:
        """Share of rows without a value."""
        return self.missing / self.records if self.records else 0.0


@dataclass(frozen=True)
class Summary:
    """How many rows, how many columns of each category, and every column."""

    records: int
    duplicates: int
    categories: dict[str, int]
    columns: tuple[ColumnSummary, ...]

    def column(self, name: str) -> ColumnSummary | None:
        """The figures of one column."""
        return next((column for column in self.columns if column.column == name), None)


def summarise(frame: pd.DataFrame, columns: Sequence[Identified]) -> Summary:
    """Figures of all columns."""
    counts: dict[str, int] = {}
    for one in columns:
        counts[one.category] = counts.get(one.category, 0) + 1
    duplicates = int(frame.astype(str).duplicated().sum()) if len(frame.columns) else 0
    return Summary(len(frame), duplicates, dict(sorted(counts.items())),
                   tuple(_column(frame[one.column], one) for one in columns))


def _column(column: pd.Series[Any], one: Identified) -> ColumnSummary:
    known = column.dropna()
    labels = known.astype(str) if one.type in ("text", "boolean") else known
    top: tuple[tuple[str, int], ...] = ()
    if one.category in ("categorical", "boolean", "constant"):
        counts = labels.astype(str).value_counts()
        order = sorted(counts.items(), key=lambda item: (-int(item[1]), str(item[0])))
        top = tuple((str(value), int(count)) for value, count in order[:TOP])
    span = (None, None)
    if one.type == "time":
        span = known.min().isoformat(), known.max().isoformat()
    return ColumnSummary(one.column, one.category, len(column), len(column) - len(known), int(labels.nunique()),
                         _numbers(known) if one.type == "number" else None, top, *span)


def _numbers(known: pd.Series[Any]) -> Numbers | None:
    import numpy as np

    values = known.to_numpy(dtype=np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    return Numbers(float(finite.mean()), float(finite.std()), float(finite.min()), float(finite.max()),
                   tuple(float(value) for value in np.quantile(finite, QUANTILES)), int((finite == 0).sum()),
                   int((finite < 0).sum()), len(values) - len(finite))
