"""Rows that may be used, and only those, on a grid that does not depend on how they came."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.training.errors import NotAllowedError, TrainingError
from diagnostics.training.rows import Allowed, allowed_from, read_rows, rows_of

ALL = Allowed(anywhere=True)


def frame(rows: list[tuple[str, str, str, str, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["cluster", "hardware_class", "country", "metric", "ts", "value"])


def two(value: float = 1.0) -> pd.DataFrame:
    return frame([("a", "nvme", "BR", "iops", "2026-11-02T00:10:00Z", value),
                  ("b", "nvme", "PT", "iops", "2026-11-02T02:00:00-03:00", 3.0)])


def test_rows_lie_on_a_grid_of_hosts_steps_and_metrics() -> None:
    """Times are UTC, gaps are NaN, values of one step count by their mean, repeats once."""
    more = frame([("a", "nvme", "BR", "iops", "2026-11-02T00:10:00Z", 1.0),
                  ("a", "nvme", "BR", "iops", "2026-11-02T00:50:00Z", 2.0)])
    rows = rows_of(pd.concat([two(), more]), ALL)
    assert [host.cluster for host in rows.hosts] == ["a", "b"]
    assert rows.values.shape == (2, 6, 1)
    assert rows.values[0, 0, 0] == 1.5
    assert rows.values[1, 5, 0] == 3.0
    assert np.isnan(rows.values).sum() == 10


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 60))
def test_the_order_and_repetition_of_rows_change_nothing(random: object, repeats: int) -> None:
    """Late and duplicate batches give the same rows, byte by byte."""
    generator = np.random.default_rng(7)
    rows = [("c", "x", "BR", metric, f"2026-11-02T{hour:02d}:{minute:02d}:00Z", float(generator.normal()))
            for metric in ("p", "q") for hour in range(4) for minute in (0, 20)]
    base = frame(rows)
    shuffled = list(rows) + rows[: min(repeats, len(rows))]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert rows_of(frame(shuffled), ALL).sha256 == rows_of(base, ALL).sha256


def test_countries_must_be_said_where_there_are_several() -> None:
    """Rows of several countries are never pooled unasked."""
    with pytest.raises(NotAllowedError, match="rows of BR, PT: say which may be pooled"):
        rows_of(two(), Allowed())
    assert len(rows_of(two(), ALL).hosts) == 2


def test_rows_of_other_countries_are_left_out_and_counted() -> None:
    """Residency: only rows of the countries named are in what is trained on."""
    rows = rows_of(two(), Allowed(frozenset({"PT"})))
    assert {host.country for host in rows.hosts} == {"PT"}
    assert rows.left_out == {"country BR not allowed": 1}
    with pytest.raises(NotAllowedError, match=r"rows of BR, PT and none of US, which alone may be used$"):
        rows_of(two(), Allowed(frozenset({"US"})))
    with pytest.raises(NotAllowedError, match=r"rows of BR and none of PT, .* used \(cluster opted out: 1 rows\)$"):
        rows_of(two(), Allowed(frozenset({"PT"}), opted_out=frozenset({"b"})))


def test_countries_may_be_known_beside_the_rows() -> None:
    """What a scenario knows stands for the column and for nothing else: who says another country is refused, and so is
    a cluster that nobody knows; what was allowed is read back as it was written.
    """
    silent = two().drop(columns="country")
    known = Allowed(frozenset({"PT"}), clusters_in={"a": "BR", "b": "PT", "c": "DE"})
    assert rows_of(silent, known).sha256 == rows_of(two(), known).sha256
    assert rows_of(silent, known).sha256 == rows_of(two(), Allowed(known.countries)).sha256
    assert rows_of(silent, allowed_from(known.to_dict())).left_out == {"country BR not allowed": 1}
    with pytest.raises(NotAllowedError, match="rows of BR, PT: say which"):
        rows_of(silent, Allowed(clusters_in=known.clusters_in))
    with pytest.raises(TrainingError, match=r"country: row 2: nobody says where cluster 'b' is: .* has a; say"):
        rows_of(silent, Allowed(clusters_in={"a": "BR"}))
    assert len(rows_of(silent, Allowed(opted_out=frozenset({"b"}), clusters_in={"a": "BR"})).hosts) == 1
    with pytest.raises(TrainingError, match="country: row 1: 'BR': cluster 'a' is in DE by the scenario"):
        rows_of(two(), Allowed(anywhere=True, clusters_in={"a": "DE"}))
    with pytest.raises(TrainingError, match="column 'country' is missing"):
        rows_of(silent, ALL)


def test_opted_out_clusters_are_never_used() -> None:
    """By the rules or by the column: their rows are left out, and where nothing else is left it is refused."""
    rows = rows_of(two(), Allowed(anywhere=True, opted_out=frozenset({"a"})))
    assert [host.cluster for host in rows.hosts] == ["b"]
    assert rows.left_out == {"cluster opted out": 1}
    flagged = two().assign(telemetry_opt_in=[True, False])
    assert [host.cluster for host in rows_of(flagged, ALL).hosts] == ["a"]
    with pytest.raises(NotAllowedError, match=r"every cluster has opted out \(a, b\)"):
        rows_of(two().assign(telemetry_opt_in=[False, False]), ALL)
    with pytest.raises(TrainingError, match="telemetry_opt_in: 'maybe'"):
        rows_of(two().assign(telemetry_opt_in=["maybe", "true"]), ALL)


def test_what_is_said_of_clusters_without_rows_is_refused() -> None:
    """A misspelt name keeps nobody's rows out, nor does a scenario of other clusters: both are told, the nearest with
    them. Of another file than the one that it was said of it need not hold.
    """
    def of(*names: str) -> Allowed:
        return Allowed(anywhere=True, opted_out=frozenset({"clustr-a"}), expected=tuple(map(frozenset, (names,))))

    told = two().assign(cluster=["cluster-a", "b"])
    with pytest.raises(TrainingError, match=r"cluster clustr-a: no row is theirs; rows are of b, cluster-a; did you "
                                            r"mean 'cluster-a'\?$"):
        rows_of(told, of("clustr-a"))
    with pytest.raises(TrainingError, match=r"clusters x, y: no row is theirs; rows are of b, cluster-a; hashes "):
        rows_of(told, of("x", "y"))
    assert len(rows_of(told, of("x", "b")).hosts) == 2
    assert len(rows_of(told, allowed_from(of("x").to_dict())).hosts) == 2


def test_a_cluster_that_names_no_host_is_one() -> None:
    """Beside clusters with hosts, whatever stands for nothing in the column."""
    for nothing in ("", None, float("nan")):
        rows = rows_of(two().assign(host=["h1", nothing]).astype({"host": object}), ALL)
        assert [host[:2] for host in rows.hosts] == [("a", "h1"), ("b", "b")]


@pytest.mark.parametrize(("change", "message"), [
    ({"ts": "2026-11-02T00:10:00"}, "ts: row 1: .*ISO-8601 with a time zone"),
    ({"ts": "yesterday"}, "ts: row 1: 'yesterday'"),
    ({"value": "much"}, "value: row 1: 'much'"),
    ({"value": float("inf")}, "value: row 1: inf"),
    ({"value": -1e200}, "value: row 1: -1e.200: must be a finite number up to 1e.100"),
    ({"metric": ""}, "metric: row 1: ''"),
    ({"metric": "cpu_share", "value": 85.0}, "value: row 1: 85: cpu_share is a share from 0 to 1; divide percent"),
    ({"country": None}, "country: row 1"),
    ({"hardware_class": 5}, "hardware_class: row 1: 5"),
])
def test_wrong_cells_are_refused_by_row_and_value(change: dict[str, object], message: str) -> None:
    """Every mistake names the column, the row and what was found."""
    told = two().astype(object)
    for name, value in change.items():
        told.loc[0, name] = value
    with pytest.raises(TrainingError, match=message):
        rows_of(told, ALL)


@pytest.mark.parametrize(("change", "message"), [
    ({"value": "much"}, "value: row 4: 'much'"),
    ({"ts": "yesterday"}, "ts: row 4: 'yesterday'"),
    ({"metric": ""}, "metric: row 4: ''"),
    ({"metric": "cpu_share", "value": 85.0}, "value: row 4: 85: cpu_share"),
    ({"ts": pd.NaT}, "ts: row 4: "),
])
def test_rows_are_counted_in_the_file_whatever_was_left_out_before(change: dict[str, object], message: str) -> None:
    """A wrong cell is named by its row in the file, though rows of two clusters before it may not be used."""
    told = pd.concat([two(), two()]).astype(object).assign(cluster=["out", "a", "out", "b"])
    told = told.set_axis([7, 8, 9, 10])  # an index of one's own, as a Parquet file may have
    for name, value in change.items():
        told.loc[10, name] = value
    with pytest.raises(TrainingError, match=message):
        rows_of(told, Allowed(anywhere=True, opted_out=frozenset({"out"})))


def test_a_cluster_that_takes_its_consent_back_is_out_with_all_its_rows() -> None:
    """One row that says no is enough: rows of the same cluster from before are not used either."""
    told = pd.concat([two(), two()]).assign(telemetry_opt_in=[True, True, False, True])
    rows = rows_of(told, ALL)
    assert [host.cluster for host in rows.hosts] == ["b"]
    assert rows.left_out == {"cluster opted out": 2}


def test_wrong_columns_are_refused_by_name() -> None:
    """Missing and unknown columns, with the nearest."""
    with pytest.raises(TrainingError, match=r"'country' is missing.*rename 'contry'"):
        rows_of(two().rename(columns={"country": "contry"}), ALL)
    with pytest.raises(TrainingError, match="'extra' is not known"):
        rows_of(two().assign(extra=1), ALL)
    with pytest.raises(TrainingError, match="no rows"):
        rows_of(two().iloc[:0], ALL)


def test_a_host_of_two_hardware_classes_is_refused() -> None:
    """One class and country a host."""
    told = frame([("a", "nvme", "BR", "iops", "2026-11-02T00:00:00Z", 1.0),
                  ("a", "disk", "BR", "iops", "2026-11-02T01:00:00Z", 1.0)])
    with pytest.raises(TrainingError, match="host a/a: is disk in BR and nvme in BR"):
        rows_of(told, ALL)


def test_files_and_folders_give_the_same_rows(tmp_path: Path) -> None:
    """CSV, Parquet and a folder of Parquet files are read alike; Namibia is a country."""
    told = two().assign(country=["NA", "NA"])
    told.to_csv(tmp_path / "rows.csv", index=False)
    told.to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "many").mkdir()
    for at in range(2):
        told.iloc[at : at + 1].to_parquet(tmp_path / "many" / f"{at}.parquet")
    found = {read_rows(tmp_path / name, Allowed()).sha256 for name in ("rows.csv", "rows.parquet", "many")}
    assert len(found) == 1
    with pytest.raises(TrainingError, match="no such file"):
        read_rows(tmp_path / "none.csv", Allowed())
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(TrainingError, match="cannot be read"):
        read_rows(tmp_path / "broken.parquet", Allowed())
    (tmp_path / "rows.txt").write_text("x")
    with pytest.raises(TrainingError, match="not a telemetry format"):
        read_rows(tmp_path / "rows.txt", Allowed())
