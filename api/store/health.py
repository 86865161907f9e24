"""What is known of clusters, version by version, as all services on a database hear it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import Engine, delete, func, insert, select

from api.database.bell import ring
from api.database.engine import alone_in
from api.database.events import Event, note
from api.database.tables import cluster_health


class Heard:
    """What was heard of clusters, in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def hear(self, cluster: str, said: Callable[[str | None], str], happened: Iterable[Event] = ()) -> tuple[int, str]:
        """Keep what `said` makes of what is known of a cluster (JSON; None: nothing), as its next version, and what
        `happened` by that.

        Services that share the database hear one after another: none overwrites what another has heard.
        """
        with self._engine.begin() as connection:
            alone_in(connection, "cluster_health")
            known = select(cluster_health.c.content).where(cluster_health.c.cluster == cluster)
            content = said(connection.execute(known).scalar())
            note(connection, *happened)
            latest = connection.execute(select(func.max(cluster_health.c.version))).scalar() or 0
            connection.execute(delete(cluster_health).where(cluster_health.c.cluster == cluster))
            row = {"cluster": cluster, "version": latest + 1, "content": content}
            connection.execute(insert(cluster_health).values(**row))
            ring(connection)
        return latest + 1, content

    def since(self, after: int) -> list[tuple[str, int, str]]:
        """Clusters of which more is known than at version `after`: name, version, what is known (JSON)."""
        columns = cluster_health.c.cluster, cluster_health.c.version, cluster_health.c.content
        with self._engine.connect() as connection:
            rows = connection.execute(select(*columns).where(cluster_health.c.version > after)).all()
        return [(row.cluster, row.version, row.content) for row in rows]
