"""Tables as the client takes them."""

import asyncio
import io
import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.responses import StreamingResponse

from api.store.files import NDJSON
from api.web.problems import Problem
from api.web.representations import chosen, rows_as, table_of

PARQUET = "application/vnd.apache.parquet"


@pytest.mark.parametrize(("accept", "kind"), [
    (None, PARQUET), ("*/*", PARQUET), ("application/*", PARQUET), (NDJSON, NDJSON),
    (f"text/html, {NDJSON};q=0.5", NDJSON),
    (f"{PARQUET};q=0.1, {NDJSON}", NDJSON), (f"{PARQUET};q=0, */*", NDJSON), ("Application/X-NDJSON", NDJSON),
    (f"*/*;q=0.1, {NDJSON};q=0.2", NDJSON),
])
def test_the_best_liked_type_is_sent(accept: str | None, kind: str) -> None:
    """By weight, the most exact range first; of types liked alike the first on offer."""
    assert chosen(accept) == kind


@pytest.mark.parametrize("accept", ["text/html", "image/*", f"{NDJSON};q=0", "*/*;q=0", f"{NDJSON};q=much", "", ","])
def test_a_type_that_is_not_offered_is_refused_with_those_that_are(accept: str) -> None:
    """406 names what there is; nothing given at all takes anything."""
    if not accept:
        assert chosen(accept) == PARQUET
        return
    with pytest.raises(Problem, match=f"offered are {PARQUET}, {NDJSON}") as refused:
        chosen(accept)
    assert refused.value.status == 406


def text_of(response: Any) -> str:
    async def all_of() -> str:
        return "".join([part async for part in response.body_iterator])

    assert isinstance(response, StreamingResponse)
    return asyncio.run(all_of())


@pytest.mark.parametrize("kind", ["int8", "int32", "int64", "uint16"])
def test_whole_numbers_stay_whole_beside_a_null(kind: str) -> None:
    """A column of whole numbers of which some are missing is told as it is kept: 1 and null, not 1.0."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"start_slot": pa.array([1, None], kind), "usd": [0.5, None]}), sink)
    assert text_of(table_of(sink.getvalue(), NDJSON)).splitlines() == [
        '{"start_slot":1,"usd":0.5}', '{"start_slot":null,"usd":null}']


def test_large_whole_numbers_lose_no_digit_beside_a_null() -> None:
    """Beyond 2^53 a float would round."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"seed": pa.array([2**62 + 1, None], "int64")}), sink)
    assert text_of(table_of(sink.getvalue(), NDJSON)) == f'{{"seed":{2**62 + 1}}}\n{{"seed":null}}\n'


def test_a_table_is_the_same_in_both_forms() -> None:
    """Rows that come some at a time, as Parquet and as lines; kept Parquet as it is and as lines."""
    pages = [[{"name": "a", "slot": 1}, {"name": "ü", "slot": None}], [{"name": "b", "slot": 3}]]
    columns = {"name": "string", "slot": "int32"}
    rows = [row for page in pages for row in page]
    lines = text_of(rows_as(iter(pages), columns, NDJSON)).splitlines()
    assert [json.loads(line) for line in lines] == rows
    parquet = bytes(rows_as(iter(pages), columns, None).body)
    assert pd.read_parquet(io.BytesIO(parquet))["name"].tolist() == ["a", "ü", "b"]
    assert bytes(table_of(parquet, PARQUET).body) == parquet
    assert [json.loads(line) for line in text_of(table_of(parquet, NDJSON)).splitlines()] == rows
