"""Telemetry of a scenario's clusters: who agreed to send it, the key that hashes their names, batches in, rows out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from planner.catalog import Catalog
from planner.errors import InputError
from planner.resolve import resolve
from planner.scenario import read_scenario

if TYPE_CHECKING:
    from diagnostics.intake import BatchReport, Coverage, Names, Sender, Store, Wanted


@dataclass(frozen=True, slots=True)
class Batches:
    """Files to store, when they came (left out: now) and the id of the batch (left out: its content)."""

    paths: tuple[Path, ...]
    arrived: str | None = None
    batch: str | None = None


def names_of(key: Path) -> Names:
    """The hasher with the key in a file; white space around it does not count. Raises InputError."""
    from diagnostics.intake import IntakeError, Names  # numpy and more, which no other command may wait for

    try:
        return Names(key.read_bytes().strip())
    except OSError as error:
        raise InputError([f"--key: {key}: {error.strerror}: a file with a secret that hashes names"]) from None
    except IntakeError as error:
        raise InputError([f"--key: {key}: {error}"]) from None


def senders_of(scenario: Path, prices: Catalog) -> tuple[Sender, ...]:
    """The clusters of a scenario with their country and consent.

    Raises:
        InputError: a cluster that agreed has no country, without which nobody knows where its rows may be used.

    """
    from diagnostics.intake import Sender

    clusters = resolve(read_scenario(scenario), prices).clusters
    nowhere = [cluster.name for cluster in clusters if cluster.telemetry_opt_in and cluster.country is None]
    if nowhere:
        raise InputError([f"clusters: {name}: country: not given: telemetry is kept by country; state it"
                          for name in nowhere])
    return tuple(Sender(cluster.name, cluster.country or "", cluster.telemetry_opt_in) for cluster in clusters)


def store_batches(folder: Path, names: Names, senders: Sequence[Sender], batches: Batches,
                  told: Callable[[int], None]) -> list[BatchReport]:
    """Store batches one after the other; `told` hears how many are done. Raises InputError."""
    from diagnostics.intake import IntakeError, ingest, open_store

    if batches.batch is not None and len(batches.paths) > 1:
        raise InputError([f"--batch: {batches.batch}: {len(batches.paths)} files; an id is that of one batch"])
    arrived = _moment(batches.arrived)
    reports = []
    try:
        store = open_store(folder, names)
        for path in batches.paths:
            reports.append(ingest(store, names, path, senders, arrived, batches.batch))
            told(len(reports))
    except IntakeError as error:
        done = f" ({len(reports)} files before it are stored)" if reports else ""
        raise InputError([f"{error}{done}"]) from error
    return reports


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InputError([f"--arrived: {text!r}: must be ISO-8601 with a time zone, such as 2026-11-02T00:05:00Z"])
    return moment


def opened(folder: Path, names: Names | None = None) -> Store:
    """The store in a folder. Raises InputError."""
    from diagnostics.intake import IntakeError, open_store

    if names is not None and not (folder / "store.json").is_file():
        names = None  # a store is only made to put something into
    try:
        return open_store(folder, names)
    except IntakeError as error:
        raise InputError([str(error)]) from error


def covered(store: Store) -> tuple[Coverage, ...]:
    """How complete the telemetry of each cluster is. Raises InputError."""
    from diagnostics.intake import coverage

    with told():
        return coverage(store)


@contextmanager
def told() -> Iterator[None]:
    """Turn what a store cannot do into wrong input."""
    from diagnostics.intake import IntakeError

    try:
        yield
    except IntakeError as error:
        raise InputError([str(error)]) from error


def called(names: Names, senders: Sequence[Sender]) -> dict[str, str]:
    """Names of clusters by their hash, for who has the key."""
    return {names.cluster(sender.cluster): sender.cluster for sender in senders}


@dataclass(frozen=True, slots=True)
class Exported:
    """How many rows were written, and how many were not by cluster: its name, or its hash where the scenario has none.
    """

    rows: int
    left_out: Mapping[str, int] = field(default_factory=dict)


def export_rows(store: Store, wanted: Wanted, output: Path, agreed: Mapping[str, str] | None,
                known: Mapping[str, str]) -> Exported:
    """Write rows as `planner diagnose` and `planner models train` read them. `agreed` has names of clusters by their
    hash: rows of others are left out (None: nobody's, and hashes stay); `known` has more names, to tell who those are.

    Raises:
        InputError: the file is of another kind, or no row is left.

    """
    from diagnostics.intake import IntakeError, read_frame
    from planner.files import write_atomically

    if output.suffix not in (".parquet", ".csv"):
        raise InputError([f"-o: {output}: ends with {output.suffix or 'nothing'}; .parquet or .csv is needed"])
    try:
        frame = read_frame(store, wanted)
    except IntakeError as error:
        raise InputError([str(error)]) from error
    left_out: dict[str, int] = {}
    if agreed is not None:
        out = ~frame["cluster"].isin(agreed)
        counts = frame["cluster"][out].value_counts()
        left_out = {known.get(str(name), str(name)): int(rows) for name, rows in counts.items()}
        frame = frame[~out]
        frame = frame.assign(cluster=frame["cluster"].map(agreed))
    if not len(frame):
        raise InputError([f"{store.folder}: no row of a cluster that agrees in the scenario (telemetry_opt_in), but of "
                          + ", ".join(sorted(left_out)[:5])])
    if output.suffix == ".parquet":
        write_atomically(output, frame.to_parquet(index=False))
    else:
        write_atomically(output, frame.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%SZ").encode())
    return Exported(len(frame), dict(sorted(left_out.items())))


def stored_as(store: Store, names: Names | None, senders: Sequence[Sender], cluster: str) -> str:
    """The hash of a cluster, by its name (for who has the key) or by the hash itself, as the store has it; one that the
    scenario has may be without rows. Raises InputError for another.
    """
    from diagnostics.intake import clusters

    with told():
        there = clusters(store)
    hashed = {} if names is None else called(names, senders)
    own = cluster if names is None else names.cluster(cluster)
    for one in (own, cluster):
        if one in there or one in hashed:
            return one
    near = get_close_matches(cluster, [hashed.get(one, one) for one in sorted(there)], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    key = "; a name takes --key" if names is None else ""
    lists = "`planner telemetry show` lists the clusters that have, by hash"
    raise InputError([f"--cluster: {cluster!r}: {store.folder} has no rows of it{hint}{key}; {lists}"])
