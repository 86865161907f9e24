"""Health of clusters as hosts see it: each says that its own is there, and all notice when the hosts of another stop.

It goes to where probes and people report too (`planner.directing`): what they say counts for more.
"""

from __future__ import annotations

import json
import time

import structlog
from sqlalchemy import Engine

from api.database.events import Event
from api.directing.directing import happened_to
from api.hosting.leases import Living
from api.store.health import Heard
from api.store.store import Store
from planner.directing import ClusterHealth, Hysteresis, Report
from planner.hosting import Hosted

SOURCE = "heartbeats"
UP_EVERY_S = 300.0
"""How often a host says that its cluster is there; that counts for 15 minutes."""


class Health:
    """What is known of clusters, and what the host of one of them has to say."""

    def __init__(self, engine: Engine, cluster: str) -> None:
        self._store, self._cluster, self._how = Store.on(engine), cluster, Hysteresis()
        self._known: dict[str, ClusterHealth] = {}
        self._version, self._said_at = 0, float("-inf")
        self._log = structlog.get_logger("api.hosting")

    def heard(self, living: Living, hosted: Hosted | None) -> frozenset[str]:
        """Report what was noticed, and name the clusters that are lost by all that is known."""
        if hosted is None:
            return frozenset()
        if time.monotonic() - self._said_at > UP_EVERY_S:
            self._say(self._cluster, Report("up", "host", SOURCE))
            self._said_at = time.monotonic()
        for cluster in sorted(set(living.silent.values()) - set(living.alive.values())):
            if cluster in hosted.clusters:
                self._log.warning("cluster silent", cluster=cluster)
                self._say(cluster, Report("down", "host", SOURCE, note="its hosts of diagnostics fell silent"))
        for name, version, content in Heard(self._store.engine).since(self._version):
            self._version = max(self._version, version)
            self._known[name] = ClusterHealth.from_dict(json.loads(content))
        moment = time.time()
        return frozenset(name for name, one in self._known.items() if one.settled(moment, self._how).lost)

    def _say(self, cluster: str, report: Report) -> None:
        happened: list[Event] = []

        def said(known: str | None) -> str:
            now = time.time()
            before = (ClusterHealth() if known is None else ClusterHealth.from_dict(json.loads(known))).settled(
                now, self._how)
            after = before.heard(report, now, self._how)
            happened.extend(happened_to(cluster, before, after, report))
            return json.dumps(after.to_dict())

        Heard(self._store.engine).hear(cluster, said, happened)
