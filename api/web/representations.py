"""Tables in the form that the client takes: Parquet, or JSON a line, which comes as it is made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Response
from starlette.responses import StreamingResponse

from api.store.files import NDJSON, PARQUET
from api.web.problems import Problem

OFFERED = (PARQUET, NDJSON)
_ROWS = 5_000
"""Rows made at a time."""
TABLE: dict[int | str, dict[str, Any]] = {200: {
    "description": "The table.", "content": {PARQUET: {"schema": {"type": "string", "format": "binary"}},
                                             NDJSON: {"schema": {"type": "string"}}}}}
"""What a route that answers with a table documents."""


def chosen(accept: str | None, offered: Sequence[str] = OFFERED) -> str:
    """The type on offer that a client likes best, the first of those it likes alike. Raises Problem: it takes none."""
    wishes = [_wish(part) for part in (accept or "*/*").split(",")]

    def liked(kind: str) -> float:
        """By the most exact range that names it (RFC 9110, 12.5.1)."""
        fits = [(pattern.count("*"), -weight) for pattern, weight in wishes
                if pattern in (kind, f"{kind.split('/')[0]}/*", "*/*")]
        return -min(fits)[1] if fits else 0.0

    best = max(offered, key=liked)
    if liked(best) <= 0:
        raise Problem(HTTPStatus.NOT_ACCEPTABLE, f"Accept: {accept}: offered are {', '.join(offered)}")
    return best


def _wish(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return kind, float(value)
            except ValueError:
                return kind, 0.0
    return kind, 1.0


def table_of(parquet: bytes, accept: str | None) -> Response:
    """A table that is kept as Parquet. Raises Problem."""
    if chosen(accept) == PARQUET:
        return Response(parquet, media_type=PARQUET, headers={"Vary": "Accept"})
    return StreamingResponse(_lines_of(parquet), media_type=NDJSON, headers={"Vary": "Accept"})


def _lines_of(parquet: bytes) -> Iterator[str]:
    import pandas as pd  # the service answers before they are loaded
    import pyarrow as pa
    import pyarrow.parquet as pq

    def exactly(kind: pa.DataType) -> pd.api.extensions.ExtensionDtype | None:
        """Whole numbers stay whole beside a null, which would make them floats."""
        return pd.ArrowDtype(kind) if pa.types.is_integer(kind) else None

    for batch in pq.ParquetFile(pa.BufferReader(parquet)).iter_batches(_ROWS):
        yield batch.to_pandas(types_mapper=exactly).to_json(orient="records", lines=True, date_format="iso")


def rows_as(rows: Iterable[Sequence[Mapping[str, Any]]], columns: Mapping[str, str], accept: str | None) -> Response:
    """Rows that come some at a time; `columns` are their names and types as Arrow calls them. Raises Problem."""
    if chosen(accept) == NDJSON:
        lines = ("".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in some) for some in rows)
        return StreamingResponse(lines, media_type=NDJSON, headers={"Vary": "Accept"})
    return Response(_parquet(rows, columns), media_type=PARQUET, headers={"Vary": "Accept"})


def _parquet(rows: Iterable[Sequence[Mapping[str, Any]]], columns: Mapping[str, str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, sink = pa.schema([(name, kind) for name, kind in columns.items()]), pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for some in rows:
            writer.write_table(pa.Table.from_pylist([dict(row) for row in some], schema))
    return bytes(sink.getvalue().to_pybytes())
