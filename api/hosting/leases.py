"""Who serves what: every workload has at most one holder, and a number (epoch) that grows with every new one.

A host lives while it says so every few seconds; what a host held that no longer does is anybody's. A host that was
thought dead and is not may go on for a moment: what it writes carries its epoch and is refused (`fenced`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, update

from api.database.tables import cursors, hosts, leases, streams, tenures
from api.hosting.transactions import insert_new, now, writing

ALIVE_S = 6.0
"""How long a host counts as alive after it last said so: then another takes over what it held."""
MOST_NAMES = 500
"""Named in one statement."""
LOST_S = 10.0
"""How much longer a cluster whose hosts are all silent is not yet said to be lost to what else runs there."""


@dataclass(frozen=True)
class Living:
    """Hosts by their cluster: those that live, and those that stopped saying so without a word, long ago."""

    alive: Mapping[str, str]
    silent: Mapping[str, str]


class Leases:
    """The leases of one host."""

    def __init__(self, engine: Engine, host: str, cluster: str) -> None:
        self._engine, self.host, self.cluster = engine, host, cluster

    def beat(self) -> Living:
        """Say that this host lives, and hear who else does."""
        with writing(self._engine) as connection:
            moment = now(connection)
            row = {"host": self.host, "cluster": self.cluster, "until": moment + ALIVE_S}
            insert_new(connection, hosts, [row])
            connection.execute(update(hosts).where(hosts.c.host == self.host).values(until=row["until"]))
            return _living(connection, moment)

    def hold(self, wanted: Collection[str], plans: Mapping[str, str] | None = None) -> dict[str, int]:
        """Give back what is not wanted, take what is and is free, and say what is held: epochs by workload. Who holds
        what is kept, and by which of `plans`, by workload.
        """
        mine = leases.c.holder == self.host
        with self._engine.connect() as connection:
            held = _held(connection, self.host)
            known = {row.workload: row for row in connection.execute(select(leases)).all()}
            alive = _living(connection, now(connection)).alive
        surplus = sorted(held.keys() - set(wanted))
        free = [
            (name, known[name].epoch if name in known else 0)
            for name in sorted(wanted)
            if name not in known or known[name].holder not in alive
        ]
        if not surplus and not free:
            return held
        with writing(self._engine) as connection:
            insert_new(connection, leases, [{"workload": name, "holder": "", "epoch": 0} for name, _ in free])
            moment, begun = now(connection), dict[str, dict[str, Any]]()
            for name, epoch in free:  # whoever is first raises the epoch; the others find it raised
                taken = update(leases).where(leases.c.workload == name, leases.c.epoch == epoch)
                if connection.execute(taken.values(holder=self.host, epoch=epoch + 1)).rowcount:
                    begun[name] = {"workload": name, "epoch": epoch + 1, "host": self.host, "cluster": self.cluster,
                                   "plan_id": (plans or {}).get(name, ""), "since": moment, "until": None}  # fmt: skip
            if begun:
                _end(connection, moment, list(begun))
                connection.execute(insert(tenures), list(begun.values()))
            if surplus:
                connection.execute(update(leases).where(mine, leases.c.workload.in_(surplus)).values(holder=""))
                _end(connection, moment, surplus)
            return _held(connection, self.host)

    def leave(self) -> None:
        """Give everything back at once, and say that this host is no more."""
        with writing(self._engine) as connection:
            _end(connection, now(connection), list(_held(connection, self.host)))
            connection.execute(update(leases).where(leases.c.holder == self.host).values(holder=""))
            connection.execute(delete(hosts).where(hosts.c.host == self.host))

    def bury(self, silent: Collection[str]) -> None:
        """Forget hosts that fell silent."""
        with writing(self._engine) as connection:
            moment = now(connection)
            for host in sorted(silent):
                connection.execute(delete(hosts).where(hosts.c.host == host, hosts.c.until < moment - LOST_S))


def fenced(connection: Connection, host: str, epochs: Mapping[str, int]) -> set[str]:
    """Of workloads with the epochs under which a host serves them, those that it still holds; until the transaction
    ends nobody takes these from it.
    """
    query = (
        select(leases.c.workload, leases.c.epoch)
        .where(leases.c.holder == host, leases.c.workload.in_(sorted(epochs)))
        .order_by(leases.c.workload)
        .with_for_update(read=True)
    )
    return {row.workload for row in connection.execute(query) if row.epoch == epochs[row.workload]}


@dataclass(frozen=True)
class Standing:
    """Who serves a workload, on which cluster, under which epoch, and how many rows wait for it."""

    host: str | None
    cluster: str | None
    epoch: int
    waiting: int


def standing(engine: Engine) -> dict[str, Standing]:
    """Who serves what, by workload."""
    with engine.connect() as connection:
        alive = _living(connection, now(connection)).alive
        held = connection.execute(select(leases)).all()
        behind = select(cursors.c.workload, streams.c.last, cursors.c.number).join(
            streams, streams.c.cluster == cursors.c.cluster
        )
        waiting: dict[str, int] = {}
        for row in connection.execute(behind):
            waiting[row.workload] = waiting.get(row.workload, 0) + row.last - row.number
    return {
        row.workload: Standing(
            row.holder if row.holder in alive else None, alive.get(row.holder), row.epoch, waiting.get(row.workload, 0)
        )
        for row in held
    }


def _end(connection: Connection, moment: float, workloads: Sequence[str]) -> None:
    """Note that whoever served these until now does so no longer."""
    for first in range(0, len(workloads), MOST_NAMES):
        some = workloads[first : first + MOST_NAMES]
        open_ = tenures.c.until.is_(None), tenures.c.workload.in_(some)
        connection.execute(update(tenures).where(*open_).values(until=moment))


def _held(connection: Connection, host: str) -> dict[str, int]:
    query = select(leases.c.workload, leases.c.epoch).where(leases.c.holder == host)
    return {row.workload: row.epoch for row in connection.execute(query)}


def _living(connection: Connection, moment: float) -> Living:
    """Who lives: who said so lately. What is further ahead than anybody says was said by a clock that was put back."""
    alive: dict[str, str] = {}
    silent: dict[str, str] = {}
    for row in connection.execute(select(hosts)):
        if moment <= row.until <= moment + ALIVE_S + 1.0:
            alive[row.host] = row.cluster
        elif not moment - LOST_S <= row.until <= moment:
            silent[row.host] = row.cluster
    return Living(alive, silent)
