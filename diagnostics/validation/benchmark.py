"""Stage 4: the figures and distributions of new data beside those of a baseline.

Rows keep their order: both tables are cut into blocks of neighbouring rows, and what drift looks like by chance is
found by exchanging blocks, so rows that belong together (a day, a batch, a customer) raise no verdict by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from diagnostics.drift import DRIFT_TESTS, DriftSettings, Verdict, Windows
from diagnostics.validation.configuration import Configuration
from diagnostics.validation.identify import Identified
from diagnostics.validation.summary import ColumnSummary, Summary

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

BLOCKS = 32
"""Of the smaller table."""
MOST_BLOCKS = 256
"""Of the larger table: beyond, blocks are taken at equal distances."""
LEAST_VALUES = 30
LEAST_CHANCE = 1e-3
"""Of one feature, however many there are: what is rarer takes more exchanges than are worth it."""
COMPARED = ("numeric", "categorical", "boolean", "constant")


@dataclass(frozen=True)
class Change:
    """A figure of a column (or of the table, null) before and now.

    `relative` is the change over the figure before; of means and medians over the standard deviation before, and of
    shares the difference. Null where there is nothing to divide by.
    """

    column: str | None
    figure: str
    before: float
    now: float
    relative: float | None
    accepted: bool


@dataclass(frozen=True)
class FeatureDrift:
    """One feature against the baseline; the figures are null where it was not compared, and `why` says so."""

    column: str
    category: str
    drifted: bool
    test: str | None
    statistic: float | None
    threshold: float | None
    p: float | None
    why: str


@dataclass(frozen=True)
class Benchmark:
    """All changes, and the share of the compared features that drifted (null where none could be compared)."""

    changes: tuple[Change, ...]
    features: tuple[FeatureDrift, ...]
    drifted_share: float | None


def benchmark(frame: pd.DataFrame, baseline: pd.DataFrame, columns: Sequence[Identified], before: Sequence[Identified],
              configuration: Configuration) -> tuple[FeatureDrift, ...]:
    """Drift of every feature; what a column is, the baseline says, unless it is empty or constant there."""
    kinds = {one.column: one for one in columns}
    known = {one.column: one for one in before}
    found: dict[str, FeatureDrift] = {}
    parts: dict[str, list[str]] = {"numeric": [], "categorical": []}
    for name in dict.fromkeys([*known, *kinds]):
        rule = configuration.columns.get(name)
        why = _not_compared(kinds.get(name), known.get(name), watched=rule is None or rule.watch)
        if why is None:
            numbers = known[name].type == "number" and known[name].category in ("numeric", "constant")
            parts["numeric" if numbers else "categorical"].append(name)
        else:
            category = (known.get(name) or kinds[name]).category
            found[name] = FeatureDrift(name, category, drifted=False, test=None, statistic=None, threshold=None, p=None,
                                       why=why)
    compared = sum(map(len, parts.values()))
    for kind, names in parts.items():
        test = configuration.drift.test if kind == "numeric" else "psi"
        for name, verdict in zip(names, _verdicts(frame, baseline, names, test, compared, configuration), strict=True):
            found[name] = _feature(name, known[name].category, test, verdict)
    return tuple(found[name] for name in dict.fromkeys([*known, *kinds]))


def drifted_share(features: Sequence[FeatureDrift]) -> float | None:
    """Share of the compared features that drifted."""
    compared = [feature for feature in features if feature.test is not None]
    return sum(feature.drifted for feature in compared) / len(compared) if compared else None


def _not_compared(now: Identified | None, before: Identified | None, *, watched: bool) -> str | None:
    """Why a column is not compared, None if it is."""
    if now is None or before is None:
        return "not in the new data" if now is None else "not in the baseline"
    if not watched:
        return "the configuration does not watch it"
    if now.category == "empty" or before.category == "empty":
        return f"no value in the {'new data' if now.category == 'empty' else 'baseline'}"
    if now.type != before.type:
        return f"it is {now.type} now and was {before.type} in the baseline"
    if before.category not in COMPARED:
        return f"{before.category}: its distribution says nothing"
    return None


def _verdicts(frame: pd.DataFrame, baseline: pd.DataFrame, names: Sequence[str], test: str, compared: int,
              configuration: Configuration) -> tuple[Verdict | None, ...]:
    """Verdicts of columns that are compared by one test; None where too few values are known."""
    if not names:
        return ()
    rows = [_values(baseline[name], frame[name]) for name in names]
    few = [min(int(np.isfinite(part).sum()) for part in pair) < LEAST_VALUES for pair in rows]
    before, now = (np.stack(part) for part in zip(*rows, strict=True))
    length = max(1, -(-min(before.shape[1], now.shape[1]) // BLOCKS))
    days = [_blocks(part, length) for part in (before, now)]
    recent = np.repeat([False, True], [part.shape[1] for part in days])
    windows = Windows(np.concatenate(days, axis=1), recent, np.zeros(len(recent), dtype=np.int64))
    chance = max(configuration.drift.false_drift_chance / compared, LEAST_CHANCE)
    verdicts = DRIFT_TESTS[test](windows, DriftSettings(chance, configuration.drift.seed))
    return tuple(None if lacking else verdict for lacking, verdict in zip(few, verdicts, strict=True))


def _values(before: pd.Series[float], now: pd.Series[float]) -> tuple[Floats, Floats]:
    """Both columns as numbers, NaN where missing; texts by how frequent they are in both."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(before.dtype) and pd.api.types.is_numeric_dtype(now.dtype):
        made = [part.to_numpy(dtype=np.float64, na_value=np.nan) for part in (before, now)]
    else:
        both = pd.concat([before, now], ignore_index=True)
        labels = both.astype(str).where(both.notna())
        counts = labels.value_counts()
        order = sorted(counts.index, key=lambda label: (-int(counts[label]), str(label)))
        codes = labels.map({label: float(code) for code, label in enumerate(order)}).to_numpy(dtype=np.float64)
        made = [codes[: len(before)], codes[len(before) :]]
    first, second = (np.where(np.isfinite(part), part, np.nan) for part in made)
    return first, second


def _blocks(values: Floats, length: int) -> Floats:
    """Rows [columns, rows] as blocks [columns, blocks, length], padded by NaN; at most `MOST_BLOCKS`, evenly taken."""
    count = -(-values.shape[1] // length)
    padded = np.full((len(values), count * length), np.nan)
    padded[:, : values.shape[1]] = values
    blocks = padded.reshape(len(values), count, length)
    if count > MOST_BLOCKS:
        blocks = blocks[:, np.linspace(0, count - 1, MOST_BLOCKS).astype(np.int64)]
    return blocks


def _feature(name: str, category: str, test: str, verdict: Verdict | None) -> FeatureDrift:
    if verdict is None:
        return FeatureDrift(name, category, drifted=False, test=None, statistic=None, threshold=None, p=None,
                            why=f"fewer than {LEAST_VALUES} values are known")
    side = "at or above" if verdict.drifted else "below"
    why = f"{test} {verdict.statistic:.3g} is {side} its threshold {verdict.threshold:.3g} (chance {verdict.p:.1g})"
    return FeatureDrift(name, category, verdict.drifted, test, verdict.statistic, verdict.threshold, verdict.p, why)


def changes(now: Summary, before: Summary, accepted: float) -> tuple[Change, ...]:
    """Figures of the table and of columns that both have, where they can be set against each other."""
    found = [_change(None, "records", before.records, now.records, before.records, accepted)]
    for column in now.columns:
        old = before.column(column.column)
        if old is not None:
            found += _column_changes(column, old, accepted)
    return tuple(found)


def _column_changes(now: ColumnSummary, old: ColumnSummary, accepted: float) -> list[Change]:
    name = now.column
    made = [_change(name, "missing_share", old.missing_share, now.missing_share, 1.0, accepted)]
    if now.category in ("categorical", "boolean") or old.category in ("categorical", "boolean"):
        made.append(_change(name, "distinct", old.distinct, now.distinct, old.distinct, accepted))
    if now.numbers is not None and old.numbers is not None and old.category == "numeric":
        one, two = old.numbers, now.numbers
        made.append(_change(name, "mean", one.mean, two.mean, one.deviation, accepted))
        made.append(_change(name, "median", one.quantiles[2], two.quantiles[2], one.deviation, accepted))
        made.append(_change(name, "deviation", one.deviation, two.deviation, one.deviation, accepted))
    return made


def _change(column: str | None, figure: str, before: float, now: float, unit: float, accepted: float) -> Change:
    relative = (now - before) / unit if unit > 0 else None
    kept = before == now if relative is None else abs(relative) <= accepted
    return Change(column, figure, float(before), float(now), relative, kept)
