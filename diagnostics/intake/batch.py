"""One batch as a view of a database, checked row by row without holding it in memory."""

from __future__ import annotations

import csv
import difflib
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from diagnostics.intake.contract import COLUMNS, OPTIONAL, IntakeError
from diagnostics.intake.store import quoted
from diagnostics.telemetry import MOST_SHARE, SHARE

if TYPE_CHECKING:
    import duckdb

_AT_ONCE = 10_000
_ZONE = r"(Z|[+-]\d\d(:?\d\d)?)$"
_CHECKS = (
    ("cluster", "cluster IS NULL OR trim(cluster) = ''", "must be a name"),
    ("hardware_class", "hardware_class IS NULL OR trim(hardware_class) = ''", "must be a name"),
    ("metric", "metric IS NULL OR trim(metric) = ''", "must be a name"),
    ("ts", "ts IS NULL", "must be ISO-8601 with a time zone, such as 2026-11-02T00:00:00Z"),
    ("sent_at", "sent_at IS NULL AND sent_at_given IS NOT NULL", "must be empty, or a time with a zone as in ts"),
    ("value", "(value IS NULL AND value_given IS NOT NULL) OR isinf(value)",
     "must be a finite number with a decimal point, or empty where nothing was measured"),
    ("value", f"ends_with(metric, '{SHARE}') AND abs(value) > {MOST_SHARE}",
     f"metrics named ...{SHARE} are shares from 0 to 1; divide percent by 100"),
)  # fmt: skip
"""Columns, which of their rows are wrong, and what is allowed."""


def content_hash(path: Path) -> str:
    """SHA-256 of a file: the id of a batch that has no other."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def open_batch(database: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Make the view `batch` (cluster, host, hardware_class, metric, ts, value, sent_at) of a file, all of it right.

    `host` is '' and `sent_at` null where the file has none.

    Raises:
        IntakeError: naming the column, the row and the value.

    """
    if not path.is_file():
        raise IntakeError(f"{path}: no such file; a CSV or Parquet file with the columns {', '.join(COLUMNS)}")
    if path.suffix == ".parquet":
        source = f"read_parquet('{quoted(path)}', hive_partitioning = false)"
    elif path.name.endswith((".csv", ".csv.gz")):
        source = _csv_source(path)
    else:
        raise IntakeError(f"{path}: '{path.suffix}' is not a telemetry format; .csv, .csv.gz or .parquet")
    import duckdb  # loaded by now

    try:
        _view(database, path, source)
        for check in _CHECKS:
            _refuse_first(database, path, check)
    except duckdb.Error as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise IntakeError(f"{path.name}: cannot be read: {lines[0] if lines else type(error).__name__}") from None


def rows_by_moment(path: Path) -> Iterator[tuple[datetime, str, dict[str, dict[str, float]]]]:
    """Every moment of every cluster of a batch, in the order of time, with values by host and metric; a cluster without
    hosts stands as one. Empty values are left out.

    Raises:
        IntakeError: naming the column, the row and the value.

    """
    import duckdb

    with closing(duckdb.connect()) as database:
        database.execute("SET TimeZone = 'UTC'")
        open_batch(database, path)
        found = database.execute("SELECT ts, cluster, if(host = '', cluster, host), metric, value FROM batch "
                                 "WHERE value IS NOT NULL ORDER BY ts, cluster")  # fmt: skip
        at: tuple[datetime, str] | None = None
        hosts: dict[str, dict[str, float]] = {}
        while some := found.fetchmany(_AT_ONCE):
            for ts, cluster, host, metric, value in some:
                if at != (ts, cluster):
                    if at is not None:
                        yield *at, hosts
                    at, hosts = (ts, cluster), {}
                hosts.setdefault(host, {})[metric] = value
        if at is not None:
            yield *at, hosts


def _csv_source(path: Path) -> str:
    """All columns as text, so that only our own checks say what a number or a time is."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            heading = next(csv.reader(file), [])
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        raise IntakeError(f"{path.name}: cannot be read: {error}") from None
    _check_columns(path, heading)
    columns = ", ".join(f"'{column}': 'VARCHAR'" for column in heading)
    return (f"read_csv('{quoted(path)}', header = true, auto_detect = false, delim = ',', quote = '\"',"
            f" escape = '\"', nullstr = '', columns = {{{columns}}})")  # fmt: skip


def _check_columns(path: Path, found: list[str]) -> None:
    """Every column that is needed, once, and no other."""
    for column in COLUMNS:
        if column not in found and column not in OPTIONAL:
            near = difflib.get_close_matches(column, found, n=1)
            hint = f"; rename '{near[0]}'?" if near else ""
            raise IntakeError(f"{path.name}: column '{column}' is missing; found {', '.join(found) or 'none'}{hint}")
    for column in found:
        if column not in COLUMNS or found.count(column) > 1:
            what = "is not known" if column not in COLUMNS else "is there twice"
            raise IntakeError(f"{path.name}: column '{column}' {what}; the columns are {', '.join(COLUMNS)}")


def _view(database: duckdb.DuckDBPyConnection, path: Path, source: str) -> None:
    """Rows as the checks want them: the values as they were given beside what they mean."""
    types = {str(row[0]): str(row[1]) for row in database.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    _check_columns(path, list(types))
    host = "coalesce(host::VARCHAR, '')" if "host" in types else "''"
    sent = ("NULL::TIMESTAMPTZ", "NULL") if "sent_at" not in types else (_moment("sent_at", types), "sent_at::VARCHAR")
    number = "nullif(try_cast(value AS DOUBLE), 'nan'::DOUBLE)"
    if types["value"] == "BOOLEAN":
        number = "NULL::DOUBLE"
    given = "value::VARCHAR" if types["value"] not in ("DOUBLE", "FLOAT") else "if(isnan(value), NULL, value)::VARCHAR"
    database.execute(f"""
        CREATE TEMP VIEW batch AS SELECT cluster::VARCHAR AS cluster, {host} AS host,
            hardware_class::VARCHAR AS hardware_class, metric::VARCHAR AS metric, {_moment("ts", types)} AS ts,
            {number} AS value, {sent[0]} AS sent_at, ts::VARCHAR AS ts_given, {given} AS value_given,
            {sent[1]} AS sent_at_given
        FROM {source}""")


def _moment(column: str, types: dict[str, str]) -> str:
    """A time with a zone; one without is none."""
    if types[column] in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS"):  # the latter is what pandas writes
        return f"{column}::TIMESTAMPTZ"
    if types[column] != "VARCHAR":
        return "NULL::TIMESTAMPTZ"
    return f"CASE WHEN regexp_matches({column}, '{_ZONE}') THEN try_cast({column} AS TIMESTAMPTZ) END"


def _refuse_first(database: duckdb.DuckDBPyConnection, path: Path, check: tuple[str, str, str]) -> None:
    """Refuse the first row that a check finds; rows are counted from 1, without the heading."""
    column, wrong, allowed = check
    if database.execute(f"SELECT 1 FROM batch WHERE {wrong} LIMIT 1").fetchone() is None:
        return
    given = f"{column}_given" if column in ("ts", "value", "sent_at") else column
    database.execute("SET preserve_insertion_order = true")
    found = database.execute(f"""
        SELECT row, {given} FROM (SELECT row_number() OVER () AS row, * FROM batch) WHERE {wrong} ORDER BY row LIMIT 1
        """).fetchone()
    assert found is not None
    raise IntakeError(f"{path.name}: {column}: row {found[0]}: {found[1]!r}: {allowed}")
