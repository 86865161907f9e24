"""Directing by the plans in force and the health of clusters, both of which the store keeps for all services on it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from api.database.bell import Bell
from api.database.events import Event
from api.directing.mending import Mending
from api.store.files import ROUTES
from api.store.health import Heard
from api.store.running import By, Running, running
from api.store.store import Store
from api.web.problems import Problem
from planner.directing import ClusterHealth, Director, Hysteresis, Report, Routes, partway
from planner.directing.errors import DirectingError
from planner.directing.routes import parse_routes
from planner.plan import Plan, Wave

PAUSE_S = 0.04
"""Between looks at the database, however often it is written to."""
PLAN_S = 0.2
"""Between looks which plans are in force, which takes longer."""

NONE = "no plan is in force: POST /v1/plans asks for one, and its life cycle puts it in force"


class Way:
    """Reads routes from the store: those of the plans in force and being applied are kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._routes: dict[str, Routes] = {}
        self._waves: dict[str, tuple[Wave, ...]] = {}

    def routes(self, plans: Sequence[Running]) -> list[Routes]:
        """Those of the plans in force, as far as the waves of what is being applied have not changed them."""
        coming = [one.applying.plan_id for one in plans if one.applying is not None]
        used = [*(one.plan_id for one in plans), *coming]
        self._routes = {name: self._routes.get(name) or self._read(name) for name in used}
        self._waves = {name: self._waves[name] if name in self._waves else self._read_waves(name) for name in coming}
        return [self._partway(one) for one in plans]

    def _partway(self, one: Running) -> Routes:
        before, applying = self._routes[one.plan_id], one.applying
        if applying is None:
            return before
        after, waves = self._routes[applying.plan_id], self._waves[applying.plan_id]
        return partway(before, after, waves, applying.waves_done, applying.made)

    def _read_waves(self, plan_id: str) -> tuple[Wave, ...]:
        document = self._store.result(plan_id)
        assert document is not None
        return Plan.model_validate_json(document).waves

    def _read(self, plan_id: str) -> Routes:
        file = self._store.file(plan_id, ROUTES)
        assert file is not None
        return parse_routes(file[1], f"plan {plan_id}").model_copy(update={"plan_id": plan_id})


class Directing:
    """Where requests go. `director` answers at once and from memory, also while the database is away; `keep` writes a
    report down for the other services and for after a restart. Start it once.
    """

    def __init__(self, store: Store, bell: Bell) -> None:
        self._store, self._bell, self._how = store, bell, Hysteresis()
        self._mending = defaultdict[str, Mending](lambda: Mending(store))
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._looking = threading.Thread(target=self._look, name="directing")
        self._followed: tuple[Running, ...] = ()
        self._by: dict[str, By | Literal["applying"]] = {}
        self._way = Way(store)
        self._version = 0
        self._unkept, self._counting = Counter[str](), threading.Lock()
        self._director = Director(hysteresis=self._how)

    def start(self) -> None:
        """Direct by what the store has, and go on looking."""
        self.refresh()
        self._looking.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._looking.join()

    @property
    def director(self) -> Director:
        """Directs by the plans in force. Raises Problem when there is none."""
        if not self._director.routes:
            raise Problem(HTTPStatus.NOT_FOUND, NONE)
        return self._director

    def by(self, plan_id: str) -> By | Literal["applying"]:
        """Why requests go by a plan that was directed by."""
        return self._by[plan_id]

    def report(self, cluster: str, report: Report) -> None:
        """Take in a report: the next request goes by it. To be followed by `keep`. Raises UnknownClusterError."""
        director = self.director
        director.health(cluster)  # known?
        self._count(cluster, 1)
        director.report(cluster, report)

    def keep(self, cluster: str, report: Report) -> ClusterHealth:
        """Add a report to what all services know of a cluster, and say what that is now."""
        happened: list[Event] = []

        def said(known: str | None) -> str:
            now = time.time()
            before = (ClusterHealth() if known is None else ClusterHealth.from_dict(json.loads(known))).settled(
                now, self._how)
            after = before.heard(report, now, self._how)
            happened.extend(happened_to(cluster, before, after, report))
            return json.dumps(after.to_dict())

        with self._lock:
            try:
                _, content = Heard(self._store.engine).hear(cluster, said, happened)
            finally:
                self._count(cluster, -1)
            health = ClusterHealth.from_dict(json.loads(content))
            if not self._unkept[cluster]:
                self._director.learn({cluster: health})
        return health

    def _count(self, cluster: str, more: int) -> None:
        """Count reports that are not written down yet; what the store has of their cluster is out of date."""
        with self._counting:
            self._unkept[cluster] += more

    def refresh(self) -> None:
        """Follow the plans that are in force by now, and the waves of those that are being applied in their place."""
        with self._lock:
            plans = running(self._store.engine)
            if plans == self._followed:
                return
            routes = self._way.routes(plans)
            for one in plans:  # before any request goes by it; what was is kept, as some may be on their way
                self._by[one.plan_id] = one.by
                if one.applying is not None:
                    self._by[one.applying.plan_id] = "applying"
            self._director.follow(*routes)
            self._followed = plans
        self._listen()

    def _look(self) -> None:
        """Follow what other services put in force and were told, and see to it that plans in force are mended."""
        heard, looked = 0, float("-inf")
        while not self._stopping.wait(PAUSE_S):
            heard = self._bell.wait(heard)
            # the database is away (/readyz says so), or a plan was withdrawn meanwhile: go on with what is known
            with suppress(SQLAlchemyError, DirectingError):
                self._listen()
                if time.monotonic() - looked > PLAN_S:
                    looked = time.monotonic()
                    self.refresh()
                    self._mend()

    def _listen(self) -> None:
        """Learn what was said of clusters since the last time; a cluster with a report on its way waits for that."""
        with self._lock:
            rows = Heard(self._store.engine).since(self._version)
            if rows:
                self._version = max(version for _, version, _ in rows)
                heard = {name: ClusterHealth.from_dict(json.loads(content)) for name, _, content in rows}
                self._director.learn({name: health for name, health in heard.items() if not self._unkept[name]})

    def _mend(self) -> None:
        """Ask for plans that do without what is lost, or go back to what is there again."""
        director = self._director
        for routes in director.routes:
            down, lost = frozenset(routes.down) & routes.clusters.keys(), director.lost & routes.clusters.keys()
            self._mending[routes.name].look(routes.plan_id, down, lost, lambda name: director.health(name).since)


def happened_to(cluster: str, before: ClusterHealth, after: ClusterHealth, report: Report) -> list[Event]:
    """What people may want to be told: a cluster was lost by a report, or is said to be there again."""
    was, now = (health.lost and health.well_since is None for health in (before, after))
    if was == now:
        return []
    said = " ".join(filter(None, (report.by, report.source, report.note and f"({report.note})")))
    return [Event("alarm", "critical", f"cluster {cluster}", f"cluster {cluster} is lost", f"by the word of {said}",
                  resolved=was)]
