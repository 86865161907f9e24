"""A batch into the store: whose rows may be kept, whose clocks are wrong, and each batch once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from diagnostics.intake.batch import content_hash, open_batch
from diagnostics.intake.clock import HOUR_US, Clock, Seen, in_words, judge
from diagnostics.intake.contract import BatchReport, IntakeError, IntakeSettings, Reason, Refusal, Sender
from diagnostics.intake.names import Names
from diagnostics.intake.store import PARTITIONS, Store, connect, quoted

if TYPE_CHECKING:
    import duckdb


class _Host(NamedTuple):
    """A host of the batch: its names, rows, rows that are too old, its newest row and when it sent (microseconds)."""

    cluster: str
    host: str
    rows: int
    old_rows: int
    newest_us: int
    sent_us: int | None


class _Kept(NamedTuple):
    """A host whose rows are stored, by its hashes; its rows go back by so many microseconds."""

    cluster: str
    host: str
    cluster_hash: str
    host_hash: str
    country: str
    back_us: int


def ingest(
    store: Store,
    names: Names,
    path: Path,
    senders: Iterable[Sender],
    arrived: datetime,
    batch: str | None = None,
    settings: IntakeSettings | None = None,
) -> BatchReport:
    """Store the batch in `path` (columns as in `contract.COLUMNS`), which came at `arrived`.

    A batch is stored once, by its id (left out: its content); sent again it changes nothing. Rows of clusters that did
    not agree, that nobody knows, or whose clock cannot be set right are refused by name, and of them nothing is stored.
    Memory is bounded by the settings, whatever the size of the batch.

    Raises:
        IntakeError: the file breaks the contract, or the key is not the store's; nothing was stored.

    """
    if arrived.tzinfo is None:
        raise IntakeError(f"arrived: {arrived.isoformat()}: must have a time zone")
    settings = settings or IntakeSettings()
    store.check(names)
    if not path.is_file():
        raise IntakeError(f"{path}: no such file; name a batch of telemetry")
    identity = batch or content_hash(path)
    arrived = arrived.astimezone(UTC)
    report = BatchReport("duplicate", identity, arrived.isoformat(), 0, 0, 0, 0, None, None)
    digest = names.batch(identity)
    with store.writing():
        if store.entry(digest).is_file():
            return report
        with connect(store, settings.memory_mib) as database:
            open_batch(database, path)
            return _store(store, (database, names, digest), {sender.cluster: sender for sender in senders},
                          replace(report, status="refused"), settings)  # fmt: skip


def _store(
    store: Store,
    at: tuple[duckdb.DuckDBPyConnection, Names, str],
    senders: Mapping[str, Sender],
    report: BatchReport,
    settings: IntakeSettings,
) -> BatchReport:
    database, names, digest = at
    arrived_us = round(datetime.fromisoformat(report.arrived).timestamp() * 1e6)
    oldest_us = arrived_us - int(24 * settings.oldest_days * HOUR_US)
    hosts = _hosts(database, oldest_us)
    if not hosts:
        raise IntakeError("no rows: at least one measurement is needed")
    welcome = [host for host in hosts if host.cluster in senders and senders[host.cluster].opted_in]
    clocks = judge([Seen(host.cluster, host.host, host.newest_us, host.sent_us) for host in welcome], arrived_us,
                   settings)  # fmt: skip
    kept = [
        _Kept(host.cluster, host.host, names.cluster(host.cluster), names.host(host.cluster, host.host),
              senders[host.cluster].country, clock.back_us)
        for host, clock in zip(welcome, clocks, strict=True) if clock.refused is None
    ]  # fmt: skip
    refusals = (*_strangers(hosts, senders), *_wrong(welcome, clocks, settings))
    corrected = tuple(f"{_name(one.cluster, one.host)}: {in_words(one.back_us)}" for one in kept if one.back_us)
    report = replace(report, rows=sum(host.rows for host in hosts), refusals=refusals, corrected=corrected)
    if not kept:
        return report
    _stage(store, database, kept, (digest, arrived_us, oldest_us))
    report = _with_stored(store, database, report, (digest, arrived_us, settings))
    store.commit(digest, _entry(report))
    return report


def _hosts(database: duckdb.DuckDBPyConnection, oldest_us: int) -> list[_Host]:
    found = database.execute("""
        SELECT cluster, host, count(*), count(*) FILTER (epoch_us(ts) < $1), max(epoch_us(ts)), max(epoch_us(sent_at))
        FROM batch GROUP BY cluster, host ORDER BY cluster, host""", [oldest_us])
    return [_Host(*row) for row in found.fetchall()]


def _strangers(hosts: list[_Host], senders: Mapping[str, Sender]) -> list[Refusal]:
    """Clusters that did not agree, and those that nobody knows."""
    rows: dict[str, int] = {}
    for host in hosts:
        rows[host.cluster] = rows.get(host.cluster, 0) + host.rows
    found = []
    for cluster, count in rows.items():
        reason: Reason
        if cluster not in senders:
            near = difflib.get_close_matches(cluster, list(senders), n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            reason, why = "unknown_cluster", f"not a cluster of the scenario{hint}"
        elif not senders[cluster].opted_in:
            reason, why = "opted_out", "its owner did not agree: telemetry_opt_in is not set"
        else:
            continue
        found.append(Refusal(reason, cluster, count, f"{cluster}: {why}; {count} rows are not stored"))
    return found


def _wrong(hosts: list[_Host], clocks: list[Clock], settings: IntakeSettings) -> list[Refusal]:
    """Hosts whose clock cannot be set right, and rows from too long ago."""
    found = []
    for host, clock in zip(hosts, clocks, strict=True):
        name = _name(host.cluster, host.host)
        if clock.refused is not None:
            found.append(Refusal("clock", name, host.rows, f"{name}: {clock.refused}; {host.rows} rows are not stored"))
        elif host.old_rows:
            why = f"rows older than {settings.oldest_days:g} days when they came"
            found.append(Refusal("too_old", name, host.old_rows, f"{name}: {why}; {host.old_rows} are not stored"))
    return found


def _name(cluster: str, host: str) -> str:
    return f"{cluster}/{host}" if host else cluster


def _stage(
    store: Store, database: duckdb.DuckDBPyConnection, kept: list[_Kept], at: tuple[str, int, int]
) -> None:
    """Write the rows of the hosts that are kept, names hashed and clocks set right, one file a day and cluster."""
    import pyarrow as pa

    digest, arrived_us, oldest_us = at
    columns = dict(zip(_Kept._fields, zip(*kept, strict=True), strict=True))
    database.register("kept", pa.table({name: list(values) for name, values in columns.items()}))
    staged = store.staging / digest
    # Names are replaced and strangers are gone before anything is sorted, which may spill to disk.
    database.execute(f"""
        COPY (
            SELECT country, hardware_class, cluster_hash AS cluster, strftime(moment, '%Y-%m-%d') AS day,
                   host_hash AS host, metric, moment AS ts, value, make_timestamptz({arrived_us}) AS arrived
            FROM (SELECT *, make_timestamptz(epoch_us(ts) - back_us) AS moment
                  FROM batch JOIN kept USING (cluster, host))
            WHERE value IS NOT NULL AND epoch_us(ts) >= {oldest_us}
            ORDER BY country, hardware_class, cluster, day, host, metric, ts
        ) TO '{quoted(staged)}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY ({", ".join(PARTITIONS)}),
                                 FILENAME_PATTERN '{digest}-{{i}}')""")


def _with_stored(
    store: Store, database: duckdb.DuckDBPyConnection, report: BatchReport, at: tuple[str, int, IntakeSettings]
) -> BatchReport:
    """What was staged, counted."""
    digest, arrived_us, settings = at
    files = [str(path) for path in sorted((store.staging / digest).rglob("*.parquet"))]
    refused = sum(refusal.rows for refusal in report.refusals)
    if not files:
        return replace(report, status="stored", empty_rows=report.rows - refused)
    late_us = arrived_us - int(settings.late_hours * HOUR_US)
    found = database.execute("""
        SELECT count(*), count(*) FILTER (epoch_us(ts) < $2), min(epoch_us(ts)), max(epoch_us(ts))
        FROM read_parquet($1)""", [files, late_us]).fetchone()
    assert found is not None
    stored, late, first, last = found
    return replace(report, status="stored", stored_rows=stored, late_rows=late,
                   empty_rows=report.rows - refused - stored, first=_iso(first), last=_iso(last))  # fmt: skip


def _iso(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us / 1e6, UTC).isoformat()


def _entry(report: BatchReport) -> dict[str, Any]:
    """What the store remembers of a batch: counts, and no name."""
    counts = ("arrived", "rows", "stored_rows", "late_rows", "empty_rows", "first", "last")
    refused: dict[str, int] = {}
    for refusal in report.refusals:
        refused[refusal.reason] = refused.get(refusal.reason, 0) + refusal.rows
    return {name: getattr(report, name) for name in counts} | {"refused_rows": refused,
                                                              "corrected_clocks": len(report.corrected)}  # fmt: skip
