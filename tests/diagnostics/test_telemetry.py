"""Telemetry is read strictly, and the order, repetition and gaps of its rows do not matter."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.telemetry import Series, Telemetry, TelemetryError, from_frame, read_telemetry

HEADING = "cluster,hardware_class,metric,ts,value\n"


def frame(rows: list[tuple[str, str, str, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["cluster", "hardware_class", "metric", "ts", "value"])


def same(one: Telemetry, other: Telemetry) -> bool:
    return (
        one.series == other.series
        and one.start == other.start
        and np.array_equal(one.values, other.values, equal_nan=True)
    )


def test_hourly_means_on_one_grid(tmp_path: Path) -> None:
    """Values land in their UTC hour, several in an hour count by their mean, hours without any are NaN."""
    file = tmp_path / "t.csv"
    file.write_text(
        HEADING
        + "b,nvme,cpu,2026-11-02T02:00:00Z,4\n"
        + "a,nvme,cpu,2026-11-02T00:10:00Z,1\n"
        + "a,nvme,cpu,2026-11-02T01:50:00+01:00,2\n"
        + "a,nvme,cpu,2026-11-02T01:00:00Z,\n"
    )
    telemetry = read_telemetry(file)
    assert telemetry.series == (Series("a", "nvme", "cpu"), Series("b", "nvme", "cpu"))
    assert telemetry.when(0) == "2026-11-02T00:00Z"
    np.testing.assert_array_equal(telemetry.values, [[1.5, np.nan, np.nan], [np.nan, np.nan, 4]])
    assert telemetry.clusters == ("a", "b")


def test_csv_and_parquet_agree(tmp_path: Path) -> None:
    """The same rows read from CSV, compressed CSV and Parquet (also with categories) are the same telemetry."""
    rows = frame([("a", "h", "m", f"2026-11-0{day}T0{hour}:00:00Z", day / 7 + hour)
                  for day in range(1, 8) for hour in range(10)])  # fmt: skip
    rows.to_csv(tmp_path / "t.csv", index=False)
    rows.to_csv(tmp_path / "t.csv.gz", index=False)
    rows["ts"] = pd.to_datetime(rows["ts"], utc=True)
    rows["cluster"] = rows["cluster"].astype("category")
    rows.to_parquet(tmp_path / "t.parquet")
    first, *others = (read_telemetry(tmp_path / name) for name in ("t.csv", "t.csv.gz", "t.parquet"))
    assert all(same(first, other) for other in others)


def test_devices_are_series_of_their_own(tmp_path: Path) -> None:
    """Rows of a device are apart from those of all devices; hosts count by their mean, and rates are of each device."""
    file = tmp_path / "t.csv"
    file.write_text(
        "cluster,hardware_class,metric,ts,value,device,host\n"
         "a,nvme,errors,2026-11-02T00:00:00Z,9,,\n"
         "a,nvme,errors,2026-11-02T00:00:00Z,1,tv,h1\n"
         "a,nvme,errors,2026-11-02T00:00:00Z,3,tv,h2\n"
         "a,nvme,calls_total,2026-11-02T00:00:00Z,3600,tv,h1\n"
         "a,nvme,calls_total,2026-11-02T01:00:00Z,7200,tv,h1\n"
         "a,nvme,calls_total,2026-11-02T01:00:00Z,9999,phone,h1\n"
    )
    telemetry = read_telemetry(file)
    assert [(series.name, series.whole) for series in telemetry.series] == [
        ("calls_per_s on phone", False), ("calls_per_s on tv", False), ("errors", True), ("errors on tv", False)]
    np.testing.assert_array_equal(telemetry.values, [[np.nan, np.nan], [np.nan, 1], [9, np.nan], [2, np.nan]])


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.data())
def test_order_and_repetition_do_not_matter(data: st.DataObject) -> None:
    """Shuffled rows, some of them sent twice, are the same telemetry to the bit."""
    rows = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b"]), st.just("h"), st.sampled_from(["m", "n"]),
                st.integers(0, 300).map(lambda minute: f"2026-11-02T{minute // 60:02}:{minute % 60:02}:00Z"),
                st.floats(-1e6, 1e6),
            ),
            min_size=1, max_size=30,
        )
    )  # fmt: skip
    again = data.draw(st.permutations(rows + data.draw(st.lists(st.sampled_from(rows), max_size=5))))
    assert same(from_frame(frame(rows)), from_frame(frame(list(again))))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("a,h,m,2026-11-02T00:00:00,1", "ts: row 2: '2026-11-02T00:00:00': must be ISO-8601 with a time zone"),
        ("a,h,m,1793577600,1", "ts: row 2"),
        ("a,h,m,,1", "ts: row 2"),
        ("a,h,m,2026-13-02T00:00:00Z,1", "ts: row 2: '2026-13-02T00:00:00Z'"),
        ('a,h,m,2026-11-02T00:00:00Z,"1,5"', "value: row 2: '1,5': must be a finite number"),
        ("a,h,m,2026-11-02T00:00:00Z,inf", "value: row 2: inf"),
        ("a,h,m,2026-11-02T00:00:00Z,high", "value: row 2: 'high'"),
        (",h,m,2026-11-02T00:00:00Z,1", "cluster: row 2: '': must be a name"),
        ("a,h,  ,2026-11-02T00:00:00Z,1", "metric: row 2: '  ': must be a name"),
        ("a,h,m,9999-12-31T00:00:00Z,1", "ts: row 2: '9999-12-31T00:00:00Z'"),
        ("a,h,cpu_share,2026-11-02T00:00:00Z,85", "value: row 2: '85': cpu_share is a share from 0 to 1; divide"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, row: str, says: str) -> None:
    """A wrong cell is refused in one line with file, column, row, value and what is allowed."""
    file = tmp_path / "t.csv"
    file.write_text(HEADING + "a,h,m,2026-11-01T00:00:00Z,0\n" + row + "\n")
    with pytest.raises(TelemetryError) as caught:
        read_telemetry(file)
    assert str(caught.value).startswith("t.csv: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", b"", "cannot be read"),
        ("t.csv", HEADING.encode(), "no rows"),
        ("t.csv", b"cluster,hardware_class,metric,time,value\n", "column 'ts' is missing"),
        ("t.csv", b"cluster,hardware_class,metrics,ts,value\n", "rename 'metrics'?"),
        ("t.csv", b"cluster,hardware_class,metric,ts,value,unit\n", "column 'unit' is not known"),
        ("t.csv", b"\xff\xfe\x00\x01", "cannot be read"),
        ("t.csv.gz", b"no gzip", "cannot be read"),
        ("t.parquet", b"no parquet", "cannot be read"),
        ("t.xlsx", b"", "not a telemetry format"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    """Empty, cut, foreign and misnamed files are refused in one line."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TelemetryError, match=r"^.*t\.[a-z.]+: ") as caught:
        read_telemetry(tmp_path / name)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file and a folder are refused by name."""
    with pytest.raises(TelemetryError, match="no such file"):
        read_telemetry(tmp_path / "none.csv")
    with pytest.raises(TelemetryError, match="no such file"):
        read_telemetry(tmp_path)


def test_naive_parquet_times_are_refused(tmp_path: Path) -> None:
    """A Parquet column of times without a zone is refused, not taken for UTC."""
    rows = frame([("a", "h", "m", "2026-11-02", 1.0)]).astype({"ts": "datetime64[ns]"})
    rows.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(TelemetryError, match=r"ts: row 1: .*time zone"):
        read_telemetry(tmp_path / "t.parquet")


def test_a_wrong_year_does_not_fill_the_memory() -> None:
    """A date centuries away is refused instead of making a grid of that length."""
    rows = [(f"cluster-{number}", "h", "m", "2026-11-02T00:00:00Z", 1.0) for number in range(20)]
    with pytest.raises(TelemetryError, match=r"ts: 2026-11-02T00:00 .. 2260-11-02T00:00: .*look for a wrong date"):
        from_frame(frame([*rows, ("a", "h", "m", "2260-11-02T00:00:00Z", 1.0)]))


@pytest.mark.parametrize("minutes", [0, -60, 7, 1441])
def test_a_step_that_does_not_divide_a_day_is_refused(minutes: int) -> None:
    """Steps divide a day, so that every day has the same ones."""
    with pytest.raises(TelemetryError, match=f"step_minutes: {minutes}"):
        from_frame(frame([("a", "h", "m", "2026-11-02T00:00:00Z", 1.0)]), minutes)


MORE = "cluster,hardware_class,metric,ts,value,workload,kind,host,country,telemetry_opt_in\n"


def test_workloads_hosts_countries_and_consent_are_read(tmp_path: Path) -> None:
    """Hosts count by their mean, workloads are series of their own, and a cluster has a country and a say."""
    file = tmp_path / "t.csv"
    at = "2026-11-01T00:00:00Z"
    file.write_text(MORE + f"a,h,m,{at},1,,,h1,NA,true\na,h,m,{at},3,,,h2,NA,true\na,h,m,{at},3,,,h2,NA,true\n"
                    f"b,h,rows,{at},5,claims,etl,,PT,false\n")
    found = read_telemetry(file)
    assert found.series == (Series("a", "h", "m"), Series("b", "h", "rows", "claims", "etl"))
    assert found.values[:, 0].tolist() == [2.0, 5.0]
    assert found.merged_rows == 1
    assert found.countries == {"a": "NA", "b": "PT"}
    assert found.opted_out == {"b"}
    hosts = read_telemetry(file, by="host")
    assert [series[:3] for series in hosts.series] == [("a/h1", "h", "m"), ("a/h2", "h", "m"), ("b", "h", "rows")]
    assert hosts.values[:, 0].tolist() == [1.0, 3.0, 5.0]
    assert (hosts.countries, hosts.opted_out) == ({"a/h1": "NA", "a/h2": "NA", "b": "PT"}, {"b"})
    assert hosts.known({"a": 1, "c": 2}) == {"a/h1": 1, "a/h2": 1}


def test_a_cluster_is_not_taken_for_a_host(tmp_path: Path) -> None:
    """Hosts read by themselves have names that no cluster has, or they are refused; their cluster's word is theirs."""
    file, at = tmp_path / "t.csv", "2026-11-01T00:00:00Z"
    file.write_text(MORE + f"a,h,m,{at},1,,,h1,,true\na,h,m,{at},3,,,h2,,false\n")
    assert read_telemetry(file, by="host").opted_out == {"a/h1", "a/h2"}
    file.write_text(MORE + f"a,h,m,{at},1,,,h1,,true\na/h1,h,m,{at},3,,,,,true\n")
    with pytest.raises(TelemetryError, match="cluster: row 2: 'a/h1': a host of a is called a/h1, too: read by"):
        read_telemetry(file, by="host")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("a,h,m,{at},1,claims,elt,,,true", "kind: row 1: 'elt': one of etl, feature, training, serving, or empty; 'e"),
        ("a,h,m,{at},1,,etl,,,true", "workload: row 1: '': must be a name where kind is etl"),
        ("a,h,m,{at},1,,,,,perhaps", "telemetry_opt_in: row 1: 'perhaps': must be true or false"),
        ("a,h,m,{at},1,,,,BR,true\na,h,m,{at},1,,,,PT,true", "country: row 2: 'PT': a is in BR: a cluster is in one"),
    ],
)
def test_what_is_wrong_with_them_is_named(tmp_path: Path, row: str, says: str) -> None:
    """Kinds that are none, runs of nothing, consent that is no answer, two countries: column, row and value."""
    file = tmp_path / "t.csv"
    file.write_text(MORE + row.format(at="2026-11-01T00:00:00Z") + "\n")
    with pytest.raises(TelemetryError) as caught:
        read_telemetry(file)
    assert says in str(caught.value)


def test_counters_are_read_as_rates(tmp_path: Path) -> None:
    """A counter is a rate since the value before; a restart counts from 0, and a long gap has no rate."""
    file = tmp_path / "t.csv"
    hours = [(0, 0), (1, 3600), (2, 10800), (3, 1800), (8, 9000), (9, 9000)]
    file.write_text(HEADING + "".join(f"a,h,io_total,2026-11-01T{hour:02}:00:00Z,{value}\n" for hour, value in hours))
    found = read_telemetry(file)
    assert found.series == (Series("a", "h", "io_per_s"),)
    np.testing.assert_array_equal(found.values[0], [np.nan, 1.0, 2.0, 0.5, *[np.nan] * 5, 0.0])
