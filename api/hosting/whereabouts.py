"""Where is what: who served a workload from when to when, by which plan and with which version of a model; and which
versions serve which software and hardware.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from api.database.tables import cursors, tenures, verdicts
from api.hosting.streams import DAY_S
from planner.hosting import Hosted

MOST_TENURES = 100


@dataclass(frozen=True)
class Spoke:
    """Rows that a version scored, from the time of the first to that of the last (POSIX seconds)."""

    version: str
    rows: int
    first: int
    last: int


@dataclass(frozen=True)
class Tenure:
    """Somebody who served a workload from `since` until `until` (None: does so now) by a plan; POSIX seconds."""

    workload: str
    epoch: int
    host: str
    cluster: str
    plan: str
    since: float
    until: float | None
    versions: tuple[Spoke, ...]


@dataclass(frozen=True)
class Serves:
    """A version of a model that scored rows of clusters of one hardware class and software version. `last` is the time
    of the newest row.
    """

    hardware_class: str
    software_version: str | None
    model_version: str
    clusters: tuple[str, ...]
    rows: int
    last: int


def tenures_of(engine: Engine, *, workload: str | None = None, cluster: str | None = None) -> list[Tenure]:
    """The last who served a workload, or what is served on a cluster now; the newest first."""
    query = select(*[column for column in tenures.columns if column.name != "tenant"])
    if workload is not None:
        query = query.where(tenures.c.workload == workload)
    if cluster is not None:
        query = query.where(tenures.c.cluster == cluster, tenures.c.until.is_(None))
    query = query.order_by(tenures.c.since.desc(), tenures.c.workload).limit(MOST_TENURES)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
        key = verdicts.c.workload, verdicts.c.epoch, verdicts.c.model_version
        times = func.count(), func.min(verdicts.c.ts), func.max(verdicts.c.ts)
        names = sorted({row.workload for row in rows})
        read = select(cursors.c.cluster).where(cursors.c.workload.in_(names)).distinct()
        watched = connection.execute(read).scalars().all()  # by which verdicts are found at once
        theirs = verdicts.c.cluster.in_(watched), verdicts.c.workload.in_(names)
        said = select(*key, *times).where(*theirs).group_by(*key)
        spoke: dict[tuple[str, int], list[Spoke]] = defaultdict(list)
        for name, epoch, version, count, first, last in connection.execute(said):
            spoke[name, epoch].append(Spoke(version, count, first, last))
    return [
        Tenure(row.workload, row.epoch, row.host, row.cluster, row.plan_id, row.since, row.until,
               tuple(sorted(spoke[row.workload, row.epoch], key=lambda one: one.first)))
        for row in rows
    ]  # fmt: skip


def serving_versions(engine: Engine, hosted: Hosted, days: float) -> list[Serves]:
    """Which versions scored rows of the last days, by the hardware class and software version that the plan in force
    knows of their clusters.
    """
    key = verdicts.c.cluster, verdicts.c.model_version
    since = time.time() - days * DAY_S
    query = select(*key, func.count(), func.max(verdicts.c.ts)).where(verdicts.c.ts >= since).group_by(*key)
    found: dict[tuple[str, str | None, str], list[tuple[str, int, int]]] = defaultdict(list)
    with engine.connect() as connection:
        for name, version, rows, last in connection.execute(query):
            cluster = hosted.clusters.get(name)
            if cluster is not None and cluster.hardware_class is not None:
                found[cluster.hardware_class, cluster.software_version, version].append((name, rows, last))
    return [
        Serves(*at, tuple(sorted(name for name, _, _ in some)), sum(rows for _, rows, _ in some),
               max(last for _, _, last in some))
        for at, some in sorted(found.items(), key=lambda one: (one[0][0], one[0][1] or "", one[0][2]))
    ]  # fmt: skip
