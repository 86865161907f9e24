"""A mixed-integer program in plain arrays, and a draft to write one column block and one row block at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from placement.problem import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Model:
    """min cost @ x, lower <= x <= upper, row_lower <= A x <= row_upper, x[whole] whole; A by rows (CSR).

    All bounds of columns are finite and not negative, so that back ends which round coefficients may relax safely.
    """

    lower: Floats
    upper: Floats
    cost: Floats
    whole: Bools
    row_lower: Floats
    row_upper: Floats
    row_start: Ints
    column: Ints
    value: Floats

    def rows_at(self, x: Floats) -> Floats:
        """A x, one value a row."""
        shape = (len(self.row_lower), len(self.cost))
        return np.asarray(sparse.csr_matrix((self.value, self.column, self.row_start), shape) @ x, np.float64)

    def broken(self, x: Floats, tolerance: float = 1e-6) -> bool:
        """Whether x breaks a bound or a row by more than the tolerance (relative where a row's limit is above 1)."""
        rows = self.rows_at(x)
        low, high = (tolerance * np.maximum(1.0, np.abs(np.where(np.isfinite(limit), limit, 0.0)))
                     for limit in (self.row_lower, self.row_upper))
        return bool((x < self.lower - tolerance).any() or (x > self.upper + tolerance).any()
                    or (rows < self.row_lower - low).any() or (rows > self.row_upper + high).any())


@dataclass(slots=True)
class Draft:
    """Columns and rows as they are added; `columns` and `rows` count them."""

    columns: int = 0
    rows: int = 0
    column_parts: list[tuple[Floats, Floats, Floats, Bools]] = field(default_factory=list)
    row_parts: list[tuple[Floats, Floats]] = field(default_factory=list)
    entries: list[tuple[Ints, Ints, Floats]] = field(default_factory=list)

    def add_columns(self, count: int, upper: ArrayLike = 1.0, *, lower: ArrayLike = 0.0, cost: ArrayLike = 0.0,
                    whole: bool = False) -> Ints:
        """Add `count` columns (numbers are repeated) and return their positions."""
        low, high, usd = (np.broadcast_to(np.asarray(a, np.float64), count) for a in (lower, upper, cost))
        self.column_parts.append((low, high, usd, np.full(count, whole)))
        self.columns += count
        return np.arange(self.columns - count, self.columns)

    def add_rows(self, count: int, lower: ArrayLike = -np.inf, upper: ArrayLike = np.inf) -> Ints:
        """Add `count` empty rows and return their positions."""
        low, high = (np.broadcast_to(np.asarray(a, np.float64), count) for a in (lower, upper))
        self.row_parts.append((low, high))
        self.rows += count
        return np.arange(self.rows - count, self.rows)

    def put(self, row: ArrayLike, column: ArrayLike, value: ArrayLike) -> None:
        """Set entries, any of the three repeated as numpy does; entries of one place add up."""
        rows, columns, values = np.broadcast_arrays(row, column, np.asarray(value, np.float64))
        self.entries.append((rows.ravel().astype(np.int64), columns.ravel().astype(np.int64), values.ravel()))

    def costs(self) -> Floats:
        """The cost of every column so far."""
        return np.concatenate([part[2] for part in self.column_parts] or [np.zeros(0)])

    def model(self, cost: Floats) -> Model:
        """Close the draft with the costs to minimise."""
        none = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        row, column, value = (np.concatenate(parts) for parts in zip(none, *self.entries, strict=True))
        matrix = sparse.coo_matrix((value, (row, column)), (self.rows, self.columns)).tocsr()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        lower, upper, _, whole = (np.concatenate(parts) for parts in zip(*self.column_parts, strict=True))
        row_lower, row_upper = (np.concatenate(parts) for parts in zip(*self.row_parts, strict=True))
        return Model(lower, upper, cost, whole, row_lower, row_upper, matrix.indptr.astype(np.int64),
                     matrix.indices.astype(np.int64), matrix.data.astype(np.float64))
