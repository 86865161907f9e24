"""Lists and replicas may lie in tables: the same scenario comes out, and their mistakes are told by row or name."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from planner.errors import InputError
from planner.scenario import Scenario, read_scenario
from planner.scenario.yaml_file import dump_yaml

Write = Callable[..., Path]
Fields = Callable[..., dict[str, Any]]

COLUMNS = ("name,kind,request.vcpu,request.memory_gib,replicas,hardware.throughput.m7i.*,users,clusters.pin,"
           "slo.latency_ms,batch.duration_slots")
CSV = COLUMNS + """
etl,etl,4,16,"[1, 2, 3, 4]",1.2,,,,2

web,serving,2,4,"[5, 5, 5, 5]",,"[{region: azure/westeurope, share: 1}]",aws-saopaulo,250,
"""


def parquet(columns: dict[str, Any]) -> bytes:
    """A Parquet file of columns."""
    sink = io.BytesIO()
    pa.parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


def errors(folder: Path) -> list[str]:
    """The lines that reading gives."""
    with pytest.raises(InputError) as caught:
        read_scenario(folder)
    return list(caught.value.problems)


@pytest.fixture
def expected(write: Write, fields: Fields) -> Scenario:
    """The plain scenario with a throughput, read from YAML alone."""
    return read_scenario(write({"workloads/0/hardware": {"throughput": {"m7i.*": 1.2}}}))


def test_a_csv_table_reads_like_yaml(write: Write, expected: Scenario) -> None:
    """Dotted names, lists in cells, empty cells and patterns with dots mean what YAML means."""
    assert read_scenario(write({"workloads": "workloads.csv"}, {"workloads.csv": CSV})) == expected


def test_a_parquet_table_reads_like_yaml(write: Write, expected: Scenario) -> None:
    """Lists of structs are lists of mappings, nulls are not given, whole numbers kept as decimals are whole."""
    users = pa.array([None, [{"region": "azure/westeurope", "share": 1.0, "gb_per_day": None}]])
    table = parquet({
        "name": ["etl", "web"], "kind": ["etl", "serving"], "request.vcpu": [4.0, 2.0], "request.memory_gib": [16, 4],
        "replicas": [[1, 2, 3, 4], [5, 5, 5, 5]], "hardware.throughput.m7i.*": [1.2, None], "users": users,
        "clusters.pin": [None, "aws-saopaulo"], "slo.latency_ms": [None, 250.0], "batch.duration_slots": [2.0, None]})
    assert read_scenario(write({"workloads": "workloads.parquet"}, {"workloads.parquet": table})) == expected


def test_a_yaml_table_reads_like_yaml(write: Write, fields: Fields) -> None:
    """A list in a YAML file of its own is that list."""
    plain = read_scenario(write())
    clusters = dump_yaml(fields()["clusters"])
    assert read_scenario(write({"clusters": "clusters.yaml"}, {"clusters.yaml": clusters})) == plain


def test_the_hash_tells_content_and_not_layout(write: Write) -> None:
    """Moving a list into a table keeps the hash; changing a number changes it."""
    plain = read_scenario(write()).source_sha256
    table = CSV.replace("m7i.*", "x").replace("1.2", "").replace("5, 5]", "5, 5]")
    assert read_scenario(write({"workloads": "w.csv"}, {"w.csv": table})).source_sha256 == plain
    assert read_scenario(write({"workloads/0/replicas": [1, 2, 3, 5]})).source_sha256 != plain


@pytest.mark.parametrize(("old", "new", "line"), [
    ("name,kind", "nmae,kind", "w.csv: workloads[0].nmae: unknown field: did you mean name?"),
    ("name,kind", "name,name", "w.csv: column name: given twice: keep one"),
    ("request.vcpu", "request", "w.csv: columns request and request.memory_gib: give the whole or its parts, not both"),
    ("etl,etl,4", "etl,etl", "w.csv: line 2: 9 cells: 10 columns are named"),
    ("etl,etl,4", "etl,etl,NaN",
     "w.csv: workloads.etl.request.vcpu: nan: a finite number: leave it out if it is not known"),
    ("etl,etl,4", 'etl,etl,"4,5"', "w.csv: workloads.etl.request.vcpu: 4,5: a number: write 4.5"),
    ("etl,etl,4", "web,etl,4", "w.csv: workloads: web: given twice: name is unique here: rename or remove one"),
    ("etl,etl,4", "etl,etl,-4", "w.csv: workloads.etl.request.vcpu: -4: at least 0"),
])
def test_mistakes_in_a_csv_table_name_the_table(write: Write, old: str, new: str, line: str) -> None:
    """The line starts with the file that holds the mistake."""
    assert line in errors(write({"workloads": "w.csv"}, {"w.csv": CSV.replace(old, new, 1)}))


@pytest.mark.parametrize(("file", "content", "words"), [
    ("w.parquet", b"PAR1 not really", "is not a readable Parquet file"), ("w.csv", b"", "is empty"),
    ("w.csv", b"name\n\xff\xfe", "not readable CSV in UTF-8"), ("w.yaml", b"a: 1", "a list of items is needed"),
    ("w.yaml", b"", "is empty"),
])
def test_a_table_that_cannot_be_read_is_told(write: Write, file: str, content: bytes, words: str) -> None:
    """A broken table is one line that names it; the list it holds is not called missing as well."""
    (line,) = errors(write({"workloads": file}, {file: content}))
    assert line.startswith(file)
    assert words in line


def test_nan_in_a_parquet_table_is_told(write: Write) -> None:
    """A value that is not a number is no number, and no missing value."""
    table = parquet({"name": ["etl"], "kind": ["etl"], "request.vcpu": [float("nan")], "request.memory_gib": [1.0],
                     "replicas": [[1, 1, 1, 1]]})
    assert errors(write({"workloads": "w.parquet"}, {"w.parquet": table})) == [
        "w.parquet: workloads.etl.request.vcpu: nan: a finite number: leave it out if it is not known"]


REPLICAS = {"workload": ["web", "etl"], "0": [5, 1], "1": [5, 2], "2": [5, 3], "3": [5, 4]}
FROM = {"workloads/0/replicas": {"from": "r.parquet"}, "workloads/1/replicas": {"from": "r.parquet"}}


def test_replicas_from_a_table_are_those_of_the_lists(write: Write) -> None:
    """Rows are found by name, in whatever order, in Parquet and CSV."""
    listed = read_scenario(write())
    table = read_scenario(write(FROM, {"r.parquet": parquet(REPLICAS)}))
    assert table.given_replicas == listed.given_replicas
    assert table.given_replicas.of("etl").tolist() == [1, 2, 3, 4]
    csv = "workload,0,1,2,3\nweb,5,5,5,5\netl,1,2,3,4\n"
    changes = {path: {"from": "r.csv"} for path in FROM}
    assert read_scenario(write(changes, {"r.csv": csv})).given_replicas == listed.given_replicas


@pytest.mark.parametrize(("change", "line"), [
    ({"3": None}, "r.parquet: columns: 3 missing: a column workload and one for each of 4 slots, 0 to 3, are needed"),
    ({"4": [1, 1]}, "r.parquet: columns: 4 unknown: the horizon has slots 0 to 3"),
    ({"1": [5, -2]}, "r.parquet: etl: slot 1: -2: a whole number of at least 0 is needed"),
    ({"1": [5, 2.5]}, "r.parquet: etl: slot 1: 2.5: a whole number of at least 0 is needed"),
    ({"1": [5.0, float("nan")]}, "r.parquet: etl: slot 1: not a number: a whole number of at least 0 is needed"),
    ({"1": pa.array([5, None])}, "r.parquet: etl: slot 1: not a number: a whole number of at least 0 is needed"),
    ({"1": ["5", "x"]}, "r.parquet: web: slot 1: not a number: a whole number of at least 0 is needed"),
    ({"workload": ["web", "web"]}, "r.parquet: row 2: workload: web: given twice: keep one row"),
    ({"workload": ["web", "etk"]},
     "r.parquet: workload: etk: no workload of that name reads this table: did you mean etl?"),
    ({"workload": ["web", "etk"]},
     "scenario.yaml: workloads.etl.replicas.from: r.parquet has no row for etl: add one"),
])
def test_mistakes_in_a_replica_table_are_told(write: Write, change: dict[str, Any], line: str) -> None:
    """Columns, cells and names of replica tables are checked one by one."""
    columns = {name: values for name, values in {**REPLICAS, **change}.items() if values is not None}
    assert line in errors(write(FROM, {"r.parquet": parquet(columns)}))


@pytest.mark.parametrize("size", ["S", "M"])
def test_made_fleets_are_read(shared: Path, tmp_path: Path, size: str) -> None:
    """Scenarios as the generator of benchmarks writes them are read whole, tables and all."""
    import subprocess
    import sys
    subprocess.run([sys.executable, shared / "bench" / "fleet.py", "--size", size, "--seed", "1", "--out", tmp_path],
                   check=True, capture_output=True)
    scenario = read_scenario(tmp_path)
    assert len(scenario.workloads) == {"S": 100, "M": 1000}[size]
    assert scenario.given_replicas.counts.shape == (len(scenario.workloads), scenario.horizon.slots)


def test_inputs_by_slot_may_lie_in_tables(write: Write) -> None:
    """Clusters in a Parquet table: lists of a number a slot, whole numbers kept as decimals, in lists of structs."""
    pools = [[{"name": "m6i", "machine": {"vcpu": 16.0, "memory_gib": 64.0}, "max": [4.0, 3.0, 4.0, 4.0],
               "offers": [{"purchase": "on_demand", "price_usd_per_hour": [1.0, 2.0, 1.5, 1.0]}]}],
             [{"name": "cpu", "machine": {"vcpu": 64.0, "memory_gib": 256.0}, "max": [8.0] * 4,
               "offers": [{"purchase": "on_demand", "price_usd_per_hour": [1.5] * 4}]}]]
    table = parquet({"name": ["aws-saopaulo", "own-lisbon"], "provider": ["aws", "onprem"],
                     "region": ["sa-east-1", "lisbon"], "country": ["BR", "PT"],
                     "grid_g_per_kwh": [[10.0, 20.0, 30.0, 40.5], None], "pools": pools})
    scenario = read_scenario(write({"clusters": "clusters.parquet"}, {"clusters.parquet": table}))
    pool = scenario.clusters[0].pools[0]
    assert (pool.max, pool.offers[0].price_usd_per_hour) == ((4, 3, 4, 4), (1.0, 2.0, 1.5, 1.0))
    assert (scenario.clusters[0].grid_g_per_kwh, scenario.clusters[1].grid_g_per_kwh) == ((10, 20, 30, 40.5), None)
