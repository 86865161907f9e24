"""How long telemetry, verdicts and rows that models were trained on are kept. What is older is removed at night."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Engine, delete, func, select

from api.database.tables import cursors, drifts, stream_rows, streams, verdicts
from api.hosting.plans import Following, SilentError
from api.hosting.streams import DAY_S
from api.hosting.transactions import now, writing

if TYPE_CHECKING:
    from api.settings import Retention
    from planner.hosting import Hosted


class Purged(NamedTuple):
    """How many rows, verdicts, comparisons and files were removed, and which plans in force say of no row that it waits
    for its verdict, as they say nothing of diagnostics.
    """

    removed: Mapping[str, int]
    silent: tuple[str, ...]


def purge(engine: Engine, retention: Retention, trained_on: Path) -> Purged:
    """Remove what is older than it may be kept. A row that waits for its verdict is kept until it has it.

    Raises InputError where the plans in force cannot be read, so that nobody knows which rows wait.
    """
    with engine.connect() as connection:
        moment = now(connection)
        clusters = list(connection.execute(select(streams.c.cluster)).scalars())
    silent: tuple[str, ...] = ()
    gone = dict.fromkeys(("rows", "verdicts", "drifts", "files"), 0)
    if retention.telemetry_days is not None:
        oldest = moment - retention.telemetry_days * DAY_S
        following = Following(engine)
        try:
            hosted = following.now()
        except SilentError as error:
            hosted, silent = following.now(), error.problems
        gone["rows"] = sum(_purge_rows(engine, cluster, oldest, hosted) for cluster in sorted(clusters))
    if retention.verdicts_days is not None:
        oldest = moment - retention.verdicts_days * DAY_S
        for cluster in sorted(clusters):
            with writing(engine) as connection:
                old = delete(verdicts).where(verdicts.c.cluster == cluster, verdicts.c.ts < oldest)
                gone["verdicts"] += connection.execute(old).rowcount
                old = delete(drifts).where(drifts.c.cluster == cluster, drifts.c.day < oldest // DAY_S)
                gone["drifts"] += connection.execute(old).rowcount
    if retention.training_days is not None:
        gone["files"] = _purge_files(trained_on, time.time() - retention.training_days * DAY_S)
    return Purged(gone, silent)


def _purge_rows(engine: Engine, cluster: str, oldest: float, hosted: Hosted | None) -> int:
    """Rows of a cluster that nobody who scores it has still to read."""
    work = {} if hosted is None else hosted.work
    scoring = [name for name, one in work.items() if one.watches.purpose == "score" and cluster in one.watches.clusters]
    with writing(engine) as connection:
        read = select(func.count(), func.min(cursors.c.number)).where(
            cursors.c.cluster == cluster, cursors.c.workload.in_(scoring)
        )
        begun, least = connection.execute(read).one()
        old = delete(stream_rows).where(stream_rows.c.cluster == cluster, stream_rows.c.ts < oldest)
        if scoring:  # a workload that has not begun reads from the first row on
            old = old.where(stream_rows.c.number <= (least if begun == len(scoring) else 0))
        return connection.execute(old).rowcount


def _purge_files(folder: Path, oldest: float) -> int:
    old = [path for path in folder.glob("*.parquet") if path.stat().st_mtime < oldest]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)
