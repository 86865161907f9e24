"""Telemetry batches: stored once, of those who agreed, without names, and read back as they were meant."""

import gzip
import json
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.intake import (
    BatchReport,
    IntakeError,
    IntakeSettings,
    Names,
    Sender,
    Store,
    Wanted,
    clusters,
    compact,
    coverage,
    forget,
    ingest,
    open_store,
    read_frame,
    read_pool,
)
from diagnostics.intake.clock import HOUR_US, MINUTE_US, Seen, judge
from diagnostics.synthetic import COUNTERS, GAUGES, Fleet, Site, make_fleet
from diagnostics.telemetry import from_frame

NAMES = Names(b"a key of at least sixteen bytes")
SENDERS = (Sender("alpha", "BR", opted_in=True), Sender("beta", "DE", opted_in=True),
           Sender("secretive", "DE", opted_in=False))  # fmt: skip
START = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store", NAMES)


def batch(path: Path, values: list[float | None], cluster: str = "alpha", metric: str = "cpu_load",
          host: str = "host-1", start: datetime = START, **more: object) -> Path:
    """An hourly series as a CSV file."""
    stamps = [(start + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ") for hour in range(len(values))]
    pd.DataFrame({"cluster": cluster, "host": host, "hardware_class": "nvme", "metric": metric, "ts": stamps,
                  "value": values, **more}).to_csv(path, index=False)
    return path


def send(store: Store, path: Path, hours: float = 24, **more: object) -> BatchReport:
    return ingest(store, NAMES, path, SENDERS, START + timedelta(hours=hours), **more)


def read(store: Store, **more: object) -> dict[str, list[float]]:
    """Values by metric, in order of time."""
    frame = read_frame(store, Wanted(**more))
    return {metric: rows["value"].tolist() for metric, rows in frame.groupby("metric")}


def test_what_is_sent_is_what_is_read(store: Store, tmp_path: Path) -> None:
    """Values, times, hardware and country come back; names as hashes."""
    report = send(store, batch(tmp_path / "b.csv", [0.1, 0.2, None, 0.4]))
    assert (report.status, report.rows, report.stored_rows, report.empty_rows) == ("stored", 4, 3, 1)
    frame = read_frame(store)
    assert frame["value"].tolist() == [0.1, 0.2, 0.4]
    assert frame["ts"].dt.hour.tolist() == [0, 1, 3]
    assert set(frame["country"]) == {"BR"}
    assert set(frame["hardware_class"]) == {"nvme"}
    assert set(frame["cluster"]) == {NAMES.cluster("alpha")}


def test_a_batch_counts_once(store: Store, tmp_path: Path) -> None:
    """The same file again, or another with the same id, changes nothing and says so."""
    first = batch(tmp_path / "a.csv", [1.0, 2.0])
    send(store, first)
    assert send(store, first).status == "duplicate"
    other = batch(tmp_path / "b.csv", [7.0], host="host-2")
    assert send(store, other, batch="monday").status == "stored"
    assert send(store, batch(tmp_path / "c.csv", [8.0], host="host-3"), batch="monday").status == "duplicate"
    assert coverage(store)[0].rows == 3


def test_of_a_row_that_is_sent_again_the_last_one_counts(store: Store, tmp_path: Path) -> None:
    """A correction that arrives later wins, whichever is stored first."""
    send(store, batch(tmp_path / "late.csv", [5.0, 6.0]), hours=30)
    send(store, batch(tmp_path / "early.csv", [1.0, 2.0, 3.0]), hours=24)
    assert read(store)["cpu_load"] == [5.0, 6.0, 3.0]
    assert coverage(store)[0].again == 2


def test_an_opted_out_cluster_is_refused_by_name_and_leaves_no_trace(store: Store, tmp_path: Path) -> None:
    """Its rows are not stored, nor its name, not even as a hash; the other rows of the batch are."""
    both = pd.concat([pd.read_csv(batch(tmp_path / "a.csv", [0.25])),
                      pd.read_csv(batch(tmp_path / "b.csv", [0.77], cluster="secretive", host="vault"))])
    both.to_csv(tmp_path / "both.csv", index=False)
    report = send(store, tmp_path / "both.csv")
    assert report.status == "stored"
    (refusal,) = report.refusals
    assert (refusal.reason, refusal.name, refusal.rows) == ("opted_out", "secretive", 1)
    assert "telemetry_opt_in" in refusal.sentence
    stored = [path for path in store.folder.rglob("*") if path.is_file()]
    traces = (b"secretive", b"vault", NAMES.cluster("secretive").encode(), b"alpha", b"host-1")
    assert not any(trace in path.read_bytes() or trace in str(path).encode() for path in stored for trace in traces)
    assert read(store)["cpu_load"] == [0.25]


def test_a_batch_of_nobody_who_agreed_is_refused_and_may_come_again(store: Store, tmp_path: Path) -> None:
    """Unknown names get the nearest known one; a batch of which nothing was stored is not remembered."""
    path = batch(tmp_path / "a.csv", [1.0], cluster="alpa")
    report = send(store, path)
    assert report.status == "refused"
    assert "alpa: not a cluster of the scenario; did you mean 'alpha'?" in report.refusals[0].sentence
    again = ingest(store, NAMES, path, [Sender("alpa", "BR", opted_in=True)], START + timedelta(days=1))
    assert again.status == "stored"


def test_hashes_need_the_key(tmp_path: Path) -> None:
    """Another key gives other hashes, which a store refuses; hosts of two clusters differ; short keys are refused."""
    other = Names(b"another key of sixteen bytes")
    assert NAMES.cluster("alpha") != other.cluster("alpha")
    assert NAMES.host("alpha", "host-1") != NAMES.host("beta", "host-1")
    open_store(tmp_path / "s", NAMES)
    with pytest.raises(IntakeError, match="key: not the one this store was made with"):
        open_store(tmp_path / "s", other)
    with pytest.raises(IntakeError, match="key: 5 bytes: at least 16"):
        Names(b"short")
    assert "sixteen" not in repr(NAMES)


def test_a_counter_becomes_a_rate_through_restarts_and_gaps(store: Store, tmp_path: Path) -> None:
    """A fall counts from 0, a long gap has no rate, a late batch fills it."""
    counted: list[float | None] = [3600, 7200, 1800, 5400, None, None, None, 19800]
    send(store, batch(tmp_path / "a.csv", counted, metric="io_total"))
    assert read(store) == {"io_per_s": [1.0, 0.5, 1.0]}
    (found,) = coverage(store)
    assert (found.restarts, found.gaps, found.longest_gap_hours, found.known) == (1, 1, 4.0, 0.625)
    report = send(store, batch(tmp_path / "late.csv", [9000, 12600, 16200], metric="io_total",
                               start=START + timedelta(hours=4)), hours=48)
    assert report.late_rows == 3
    assert read(store)["io_per_s"] == [1.0, 0.5] + [1.0] * 5
    assert coverage(store)[0].gaps == 0


def test_finer_rows_are_rolled_up_and_hosts_are_averaged(store: Store, tmp_path: Path) -> None:
    """An hour's value is the mean of its rows, a cluster's the mean of its hosts."""
    rows = [("h1", "00:00", 1.0), ("h1", "00:30", 3.0), ("h2", "00:10", 10.0)]
    pd.DataFrame([("alpha", host, "nvme", "iops", f"2026-10-01T{at}:00Z", value) for host, at, value in rows],
                 columns=["cluster", "host", "hardware_class", "metric", "ts", "value"]).to_csv(tmp_path / "a.csv")
    frame = pd.read_csv(tmp_path / "a.csv", index_col=0)
    frame.to_csv(tmp_path / "a.csv", index=False)
    send(store, tmp_path / "a.csv")
    assert read(store)["iops"] == [6.0]
    assert sorted(read(store, by="host")["iops"]) == [2.0, 10.0]
    by_host = read_frame(store, Wanted(by="host"))
    assert set(by_host["cluster"]) == {NAMES.cluster("alpha")}
    assert sorted(by_host["host"]) == sorted(NAMES.host("alpha", host) for host in ("h1", "h2"))
    assert read(store, by="cluster", step_minutes=15)["iops"] == [5.5, 3.0]


def test_a_clock_that_is_ahead_is_set_right_by_its_peers(store: Store, tmp_path: Path) -> None:
    """A host three hours ahead of the others goes back three hours; the others stay."""
    good = pd.read_csv(batch(tmp_path / "a.csv", [1.0, 2.0, 3.0], start=START + timedelta(hours=21)))
    fast = pd.read_csv(batch(tmp_path / "b.csv", [1.0, 2.0, 3.0], start=START + timedelta(hours=24), host="host-2"))
    pd.concat([good, fast]).to_csv(tmp_path / "c.csv", index=False)
    report = send(store, tmp_path / "c.csv", hours=23.5)
    assert report.corrected == ("alpha/host-2: 3.0 h",)
    frame = read_frame(store, Wanted(by="host"))
    assert sorted(frame["ts"].dt.hour.tolist()) == [21, 21, 22, 22, 23, 23]


def test_a_clock_with_nothing_to_tell_it_by_is_refused_by_name(store: Store, tmp_path: Path) -> None:
    """A lone host from the future is refused, unless the batch says when it was sent by the same clock."""
    start = START + timedelta(hours=30)
    report = send(store, batch(tmp_path / "a.csv", [1.0], start=start))
    assert report.status == "refused"
    assert report.refusals[0].reason == "clock"
    assert "alpha/host-1: rows up to 6.0 h ahead of their arrival" in report.refusals[0].sentence
    report = send(store, batch(tmp_path / "b.csv", [1.0], start=start, sent_at="2026-10-02T06:30:00Z"))
    assert report.corrected == ("alpha/host-1: 6.5 h",)
    assert read_frame(store)["ts"].dt.hour.tolist() == [23]


def test_rows_of_1970_are_refused_and_the_rest_is_stored(store: Store, tmp_path: Path) -> None:
    """A clock that began again at its epoch sends rows that are too old to be true."""
    old = pd.read_csv(batch(tmp_path / "a.csv", [1.0, 2.0], start=datetime(1970, 1, 1, tzinfo=UTC)))
    new = pd.read_csv(batch(tmp_path / "b.csv", [3.0]))
    pd.concat([old, new]).to_csv(tmp_path / "c.csv", index=False)
    report = send(store, tmp_path / "c.csv")
    assert (report.stored_rows, report.refusals[0].reason, report.refusals[0].rows) == (1, "too_old", 2)
    assert read(store)["cpu_load"] == [3.0]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-400, 400), st.none() | st.integers(-400, 400)), min_size=1, max_size=6))
def test_no_row_that_is_stored_is_from_the_future(minutes: list[tuple[int, int | None]]) -> None:
    """Whatever clocks say: what is kept is at most the allowed skew ahead of its arrival, and good clocks are left."""
    arrived, limits = 10**15, IntakeSettings(longest_skew_hours=4)
    hosts = [Seen("c", str(n), arrived + newest * MINUTE_US, None if sent is None else arrived + sent * MINUTE_US)
             for n, (newest, sent) in enumerate(minutes)]
    for seen, clock in zip(hosts, judge(hosts, arrived, limits), strict=True):
        if clock.refused is None:
            assert seen.newest_us - clock.back_us <= arrived + 5 * MINUTE_US
            assert 0 <= clock.back_us <= 4 * HOUR_US
        if max(seen.newest_us, seen.sent_us or 0) <= arrived + 5 * MINUTE_US:
            assert clock == (0, None)


@pytest.mark.parametrize(("column", "value", "message"), [
    ("ts", "2026-10-01T00:00:00", "ts: row 2: '2026-10-01T00:00:00': must be ISO-8601 with a time zone"),
    ("ts", "tomorrow", "ts: row 2: 'tomorrow': must be ISO-8601"),
    ("value", "1,5", "value: row 2: '1,5': must be a finite number"),
    ("value", "inf", "value: row 2: 'inf': must be a finite number"),
    ("metric", "", "metric: row 2: None: must be a name"),
    ("cluster", " ", "cluster: row 2: ' ': must be a name"),
    ("metric", "cpu_share", "value: row 2: '2.0': metrics named ..._share are shares from 0 to 1; divide percent"),
])  # fmt: skip
def test_a_wrong_cell_is_named(store: Store, tmp_path: Path, column: str, value: str, message: str) -> None:
    """The first wrong cell of a file is named with its row, and nothing of the file is stored."""
    frame = pd.read_csv(batch(tmp_path / "a.csv", [1.0, 2.0, 3.0]), dtype=object)
    frame.loc[1:, column] = value
    frame.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(IntakeError, match=message.replace("(", r"\(")):
        send(store, tmp_path / "a.csv")
    assert coverage(store) == ()


def test_wrong_files_are_refused(store: Store, tmp_path: Path) -> None:
    """Missing and unknown columns, empty and broken files, and unknown formats each have their line."""
    frame = pd.read_csv(batch(tmp_path / "a.csv", [1.0]))
    frame.rename(columns={"metric": "metrics"}).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(IntakeError, match=r"column 'metric' is missing; found .*; rename 'metrics'"):
        send(store, tmp_path / "b.csv")
    frame.assign(colour="red").to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(IntakeError, match="column 'colour' is not known"):
        send(store, tmp_path / "c.csv")
    frame.iloc[:0].to_csv(tmp_path / "d.csv", index=False)
    with pytest.raises(IntakeError, match="no rows"):
        send(store, tmp_path / "d.csv")
    (tmp_path / "e.parquet").write_bytes(b"not a table")
    with pytest.raises(IntakeError, match=r"e\.parquet: cannot be read"):
        send(store, tmp_path / "e.parquet")
    (tmp_path / "f.txt").write_text("x")
    with pytest.raises(IntakeError, match=r"'\.txt' is not a telemetry format"):
        send(store, tmp_path / "f.txt")
    with pytest.raises(IntakeError, match="no such file"):
        send(store, tmp_path / "none.csv")
    frame.assign(ts=pd.Timestamp("2026-10-01")).to_parquet(tmp_path / "g.parquet")
    with pytest.raises(IntakeError, match=r"ts: row 1: .*must be ISO-8601 with a time zone"):
        send(store, tmp_path / "g.parquet")


def test_files_that_nobody_can_read_are_refused(store: Store, tmp_path: Path) -> None:
    """A broken archive and a cell as long as a file have their line, and so has a file of the store that is broken."""
    whole = gzip.compress(batch(tmp_path / "a.csv", [1.0] * 400).read_bytes())
    (tmp_path / "b.csv.gz").write_bytes(whole[:200] + b"\xff" * 60 + whole[260:])
    (tmp_path / "c.csv").write_text('"' + "x" * 200_000)
    for name in ("b.csv.gz", "c.csv"):
        with pytest.raises(IntakeError, match=f"{name}: "):
            send(store, tmp_path / name)
    send(store, tmp_path / "a.csv", hours=500)
    next(store.rows.rglob("*.parquet")).write_bytes(b"no table")
    for ask in (read_frame, coverage):
        with pytest.raises(IntakeError, match=str(store.folder)):
            ask(store)


def test_a_full_disk_is_named_and_the_batch_may_come_again(store: Store, tmp_path: Path) -> None:
    """Nothing of it is stored, nothing that is there is lost, and it is stored when there is room."""
    send(store, batch(tmp_path / "a.csv", [1.0]))
    path = batch(tmp_path / "b.csv", np.random.default_rng(0).normal(size=2000).tolist(), host="host-2")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))  # no file may be larger: EFBIG stands for ENOSPC
    try:
        with pytest.raises(IntakeError, match=str(store.folder)):
            send(store, path, hours=3000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read(store)["cpu_load"] == [1.0]
    assert send(store, path, hours=3000).stored_rows == 2000
    assert not list(store.staging.iterdir())


def test_a_store_that_was_being_made_when_its_process_was_killed_is_made(tmp_path: Path) -> None:
    """Empty folders and half a file are no other store; anything else is left alone."""
    (tmp_path / "store" / "staging").mkdir(parents=True)
    (tmp_path / "store" / ".store.json.77").write_text("{")
    assert open_store(tmp_path / "store", NAMES).folder == tmp_path / "store"
    (tmp_path / "other" / "rows" / "x").mkdir(parents=True)
    with pytest.raises(IntakeError, match="no telemetry store"):
        open_store(tmp_path / "other", NAMES)


def test_a_write_that_was_cut_off_is_put_right(store: Store, tmp_path: Path) -> None:
    """Rows staged for a batch that is not in the store go; those of one that is are moved in."""
    send(store, batch(tmp_path / "a.csv", [1.0]))
    digest = next(store.folder.glob("batches/*/*.json")).stem
    part = next(store.rows.rglob("*.parquet"))
    staged = store.staging / digest / part.relative_to(store.rows)
    staged.parent.mkdir(parents=True)
    part.replace(staged)
    lost = store.staging / "0123456789abcdef" / "country=BR"
    lost.mkdir(parents=True)
    (lost / "half.parquet").write_bytes(b"half")
    send(store, batch(tmp_path / "b.csv", [2.0], host="host-2"))
    assert not list(store.staging.iterdir())
    assert read(store)["cpu_load"] == [1.5]


def test_one_batch_by_many_hands_is_stored_once(store: Store, tmp_path: Path) -> None:
    """Two who store the same batch at once: one does, the other hears that it is there."""
    from concurrent.futures import ThreadPoolExecutor

    path = batch(tmp_path / "a.csv", [1.0] * 20)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: send(store, path).status, range(4)))
    assert sorted(found) == ["duplicate"] * 3 + ["stored"]
    assert coverage(store)[0].rows == 20


def test_rows_of_other_countries_and_hardware_stay_out_of_a_pool(store: Store, tmp_path: Path) -> None:
    """A pool holds the hardware class and the countries that were asked for, host by host."""
    send(store, batch(tmp_path / "a.csv", [1.0, 2.0]))
    send(store, batch(tmp_path / "b.csv", [3.0, 4.0], cluster="beta"))
    pool = read_pool(store, "nvme", ["DE"])
    assert [series.cluster for series in pool.series] == [f"{NAMES.cluster('beta')}/{NAMES.host('beta', 'host-1')}"]
    np.testing.assert_array_equal(pool.values, [[3.0, 4.0]])
    assert len(read_pool(store, "nvme", ["DE", "BR"]).series) == 2
    with pytest.raises(IntakeError, match="no rows of hardware_class tape, country DE"):
        read_pool(store, "tape", ["DE"])
    with pytest.raises(IntakeError, match="no rows of hardware_class nvme, country none"):
        read_pool(store, "nvme", [])


def test_a_cluster_that_takes_its_consent_back_is_forgotten(store: Store, tmp_path: Path) -> None:
    """All of its rows go, and nobody else's."""
    send(store, batch(tmp_path / "a.csv", [1.0, 2.0]))
    send(store, batch(tmp_path / "b.csv", [3.0], cluster="beta"))
    assert clusters(store) == {NAMES.cluster("alpha"), NAMES.cluster("beta")}
    assert forget(store, NAMES.cluster("alpha")) == 2
    assert clusters(store) == {NAMES.cluster("beta")}
    assert forget(store, NAMES.cluster("alpha")) == 0
    assert {found.country for found in coverage(store)} == {"DE"}


def test_compacting_changes_no_figure(store: Store, tmp_path: Path) -> None:
    """Days in many files become one file each, and what is read stays the same."""
    for hour in range(6):
        send(store, batch(tmp_path / f"{hour}.csv", [float(hour), hour + 10.0], start=START + timedelta(hours=hour)),
             hours=hour + 2)
    before = read_frame(store)
    assert compact(store) == 5
    assert len(list(store.rows.rglob("*.parquet"))) == 1
    pd.testing.assert_frame_equal(read_frame(store), before)
    assert compact(store) == 0


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return make_fleet([Site("alpha", "all-flash-nvme", "BR", 2), Site("beta", "mixed-disk", "DE", 2)], 6, seed=1,
                      start="2026-10-01")


@settings(max_examples=4, deadline=None)
@given(st.permutations(range(6)), st.sampled_from(["csv", "parquet"]))
def test_the_order_and_form_of_batches_do_not_matter(
    fleet: Fleet, tmp_path_factory: pytest.TempPathFactory, order: list[int], form: str
) -> None:
    """Daily batches in any order, overlapping, as CSV or Parquet: the store gives back the fleet's own figures."""
    folder = tmp_path_factory.mktemp("any")
    store = open_store(folder / "store", NAMES)
    for day in order:
        frame = fleet.frame(max(0, 24 * day - 3), 24 * (day + 1))
        path = folder / f"{day}.{form}"
        frame.to_parquet(path) if form == "parquet" else frame.to_csv(path, index=False)
        assert send(store, path, hours=24 * 6).status == "stored"
    frame = read_frame(store, Wanted(by="host"))
    beta = frame[(frame["cluster"] == NAMES.cluster("beta")) & (frame["host"] == NAMES.host("beta", "host-002"))]
    for number, metric in enumerate(GAUGES):
        np.testing.assert_allclose(beta[beta["metric"] == metric]["value"], fleet.gauges[3, number], rtol=1e-12)
    hosts = from_frame(frame, by="host")
    for kind, country in (("all-flash-nvme", "BR"), ("mixed-disk", "DE")):
        pool = read_pool(store, kind, [country])
        rows = [hosts.series.index(series) for series in pool.series]
        assert len(rows) == 2 * (len(GAUGES) + len(COUNTERS))
        np.testing.assert_array_equal(pool.values, hosts.values[rows])
        assert pool.start == hosts.start
    rate = beta[beta["metric"] == "io_per_s"]["value"].to_numpy()
    done = fleet.gauges[3, GAUGES.index("iops"), 1:]
    np.testing.assert_allclose(rate, done, atol=1e-3)
    assert sum(found.rows for found in coverage(store)) == 4 * (len(GAUGES) + len(COUNTERS)) * 24 * 6


def test_the_ledger_is_json_without_names(store: Store, tmp_path: Path) -> None:
    """What a store remembers of a batch are counts and times."""
    send(store, batch(tmp_path / "a.csv", [1.0]), batch="alpha-monday")
    (entry,) = store.folder.glob("batches/*/*.json")
    found = json.loads(entry.read_text())
    assert found["stored_rows"] == 1
    assert "alpha" not in entry.read_text() + entry.name
