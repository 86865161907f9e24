"""Whether a frame keeps to the schema of the configuration, every fault told at once (pandera)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diagnostics.validation.configuration import Column, Configuration
from diagnostics.validation.identify import type_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Fault:
    """A rule that is broken: in how many rows, the first of them (from 1, without the heading) and its value."""

    column: str | None
    rule: str
    rows: int
    first_row: int | None
    value: str | None
    sentence: str


def schema_faults(frame: pd.DataFrame, configuration: Configuration) -> tuple[Fault, ...]:
    """Columns missing, unknown, of another type, with values not allowed or repeated; too few or too many rows."""
    import pandera.pandas as pa

    columns = {name: _column(rule) for name, rule in configuration.columns.items()}
    schema = pa.DataFrameSchema(columns, strict=configuration.other_columns == "refuse", name=configuration.name)
    faults = list(_record_faults(len(frame), configuration))
    try:
        schema.validate(frame.reset_index(drop=True), lazy=True)
    except pa.errors.SchemaErrors as errors:
        faults += _faults(errors.failure_cases, configuration)
    return tuple(faults)


def _column(rule: Column) -> Any:  # noqa: ANN401 - pandera has no types
    """A column of pandera's schema. Null is for the features' verdict: only its share matters."""
    import pandera.pandas as pa

    checks = []
    if rule.type is not None:
        allowed = rule.type
        checks.append(pa.Check(lambda column: type_of(column) in (None, allowed), name="type", ignore_na=False))
    if rule.allowed is not None:
        values = frozenset(rule.allowed)
        checks.append(pa.Check(lambda column: column.astype(str).isin(values), name="allowed"))
    return pa.Column(checks=checks, nullable=True, required=rule.required, unique=rule.unique)


def _record_faults(records: int, configuration: Configuration) -> Sequence[Fault]:
    limits = configuration.records
    if records < limits.least:
        return [Fault(None, "records", 0, None, None, f"{records} rows: at least {limits.least} are needed")]
    if limits.most is not None and records > limits.most:
        return [Fault(None, "records", 0, None, None, f"{records} rows: at most {limits.most} are allowed")]
    return []


def _faults(cases: pd.DataFrame, configuration: Configuration) -> list[Fault]:
    """Pandera's failure cases, one fault for each column and rule, sorted."""
    import numpy as np

    found: dict[tuple[str, str], list[tuple[int | None, str]]] = {}
    for case in cases.to_dict("records"):
        rule = {"column_in_dataframe": "missing column", "column_in_schema": "unknown column",
                "field_uniqueness": "unique"}.get(str(case["check"]), str(case["check"]))
        column = str(case["failure_case"] if rule in ("missing column", "unknown column") else case["column"])
        index = case["index"]
        at = None if index is None or np.isnan(index) else int(index)
        found.setdefault((column, rule), []).append((at, str(case["failure_case"])))
    return [_fault(column, rule, cells, configuration) for (column, rule), cells in sorted(found.items())]


def _fault(column: str, rule: str, cells: list[tuple[int | None, str]], configuration: Configuration) -> Fault:
    """One broken rule in words."""
    rows = sorted((at, value) for at, value in cells if at is not None)
    first, value = (rows[0][0] + 1, rows[0][1]) if rows else (None, None)
    wanted = configuration.columns.get(column)
    where = f"{len(rows)} rows, the first is row {first} with {value!r}" if rows else ""
    sentences = {
        "missing column": f"column '{column}' is missing",
        "unknown column": f"column '{column}' is not in the configuration, which refuses others",
        "type": f"column '{column}' is not of type {wanted.type if wanted else ''}",
        "allowed": f"column '{column}' has values that are not allowed: {where}; allowed are "
                   f"{', '.join((wanted.allowed or ()) if wanted else ())}",
        "unique": f"column '{column}' repeats values: {where}",
    }
    return Fault(column, rule, len(rows), first, value, sentences.get(rule, f"column '{column}': {rule}: {where}"))


def feature_faults(frame: pd.DataFrame, configuration: Configuration) -> tuple[Fault, ...]:
    """Columns with too much missing, values out of range, and infinite ones in any column."""
    faults = []
    for name, rule in configuration.columns.items():
        if name not in frame.columns:
            continue
        column = frame[name]
        share = float(column.isna().mean()) if len(column) else 0.0
        if share > rule.missing_up_to:
            sentence = f"{name}: {share:.1%} of the values are missing, accepted are {rule.missing_up_to:.1%}"
            faults.append(Fault(name, "missing_up_to", int(column.isna().sum()), None, None, sentence))
        faults += _range_faults(column, name, rule)
    faults += [fault for name in frame.columns for fault in _infinite(frame[name], str(name))]
    return tuple(faults)


def _range_faults(column: pd.Series[Any], name: str, rule: Column) -> list[Fault]:
    """Numbers below the least or above the most that is allowed."""
    import numpy as np

    faults: list[Fault] = []
    if type_of(column) != "number":
        return faults
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    for broken, limit, side in (("least", rule.least, "below"), ("most", rule.most, "above")):
        if limit is None:
            continue
        rows = np.flatnonzero(values < limit if broken == "least" else values > limit)
        if len(rows):
            first = f"{values[rows[0]]:g}"
            sentence = f"{name}: {len(rows)} values {side} {limit:g}, the first is {first} in row {rows[0] + 1}"
            faults.append(Fault(name, broken, len(rows), int(rows[0]) + 1, first, sentence))
    return faults


def _infinite(column: pd.Series[Any], name: str) -> list[Fault]:
    import numpy as np

    if type_of(column) != "number":
        return []
    rows = np.flatnonzero(np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan)))
    if not len(rows):
        return []
    sentence = f"{name}: {len(rows)} values are infinite, the first in row {rows[0] + 1}"
    return [Fault(name, "finite", len(rows), int(rows[0]) + 1, "inf", sentence)]
