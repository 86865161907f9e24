"""Directing by the plan in force and the health of clusters, both of which the store keeps for all services on it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import suppress
from http import HTTPStatus

from sqlalchemy.exc import SQLAlchemyError

from api.database.bell import Bell
from api.database.events import Event
from api.directing.mending import Mending
from api.life_cycle.lives import Lives
from api.life_cycle.steps import Life
from api.store.files import ROUTES
from api.store.health import Heard
from api.store.store import Store
from api.web.problems import Problem
from planner.directing import ClusterHealth, Director, Hysteresis, Report, Routes, partway
from planner.directing.routes import parse_routes
from planner.plan import Plan, Wave

PAUSE_S = 0.04
"""Between looks at the database, however often it is written to."""
PLAN_S = 0.2
"""Between looks which plan is in force, which takes longer."""


class Way:
    """Reads routes from the store: those of the plans in force and being applied are kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._routes: dict[str, Routes] = {}
        self._waves: tuple[str, tuple[Wave, ...]] = "", ()

    def routes(self, plan_id: str, applying: Life | None) -> Routes:
        """Those of the plan in force, as far as the waves of the one that is being applied have not changed them."""
        used = [plan_id] if applying is None else [plan_id, applying.plan_id]
        self._routes = {name: self._routes.get(name) or self._read(name) for name in used}
        before = self._routes[plan_id]
        if applying is None:
            return before
        if self._waves[0] != applying.plan_id:
            document = self._store.result(applying.plan_id)
            assert document is not None
            self._waves = applying.plan_id, Plan.model_validate_json(document).waves
        after = self._routes[applying.plan_id]
        return partway(before, after, self._waves[1], applying.waves_done, applying.made)

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
        self._mending = Mending(store)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._looking = threading.Thread(target=self._look, name="directing")
        self._followed: tuple[str, Life | None] | None = None
        self._way = Way(store)
        self._version = 0
        self._unkept, self._counting = Counter[str](), threading.Lock()
        self._director: Director | None = None

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
        """Directs by the plan in force. Raises Problem when there is none."""
        if self._director is None:
            raise Problem(HTTPStatus.NOT_FOUND, "no plan is in force yet: POST /v1/plans asks for one")
        return self._director

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
                self.director.learn({cluster: health})
        return health

    def _count(self, cluster: str, more: int) -> None:
        """Count reports that are not written down yet; what the store has of their cluster is out of date."""
        with self._counting:
            self._unkept[cluster] += more

    def refresh(self) -> None:
        """Follow the plan that is in force by now, and the waves of the one that is being applied in its place."""
        with self._lock:
            plan_id, seen, life = self._store.in_force(ROUTES), None, None
            while plan_id != seen and plan_id is not None:  # its last wave may have put the other in force meanwhile
                life = Lives(self._store.engine).applied_over(plan_id)
                if (plan_id, life) == self._followed:
                    return
                plan_id, seen = self._store.in_force(ROUTES), plan_id
            if plan_id is None:
                return
            routes = self._way.routes(plan_id, life)
            if self._director is None:
                self._director = Director(routes, hysteresis=self._how)
            else:
                self._director.follow(routes)
            self._followed = plan_id, life
        self._listen()

    def _look(self) -> None:
        """Follow what other services put in force and were told, and see to it that the plan in force is mended."""
        heard, looked = 0, float("-inf")
        while not self._stopping.wait(PAUSE_S):
            heard = self._bell.wait(heard)
            with suppress(SQLAlchemyError):  # the database is away: /readyz says so; go on with what is known
                self._listen()
                if time.monotonic() - looked > PLAN_S:
                    looked = time.monotonic()
                    self.refresh()
                    self._mend()

    def _listen(self) -> None:
        """Learn what was said of clusters since the last time; a cluster with a report on its way waits for that."""
        with self._lock:
            if self._director is None:
                return
            rows = Heard(self._store.engine).since(self._version)
            if rows:
                self._version = max(version for _, version, _ in rows)
                heard = {name: ClusterHealth.from_dict(json.loads(content)) for name, _, content in rows}
                self._director.learn({name: health for name, health in heard.items() if not self._unkept[name]})

    def _mend(self) -> None:
        """Ask for a plan that does without what is lost, or goes back to what is there again."""
        director = self._director
        if director is not None:
            routes = director.routes
            down = frozenset(routes.down) & routes.clusters.keys()
            self._mending.look(routes.plan_id, down, director.lost, lambda name: director.health(name).since)


def happened_to(cluster: str, before: ClusterHealth, after: ClusterHealth, report: Report) -> list[Event]:
    """What people may want to be told: a cluster was lost by a report, or is said to be there again."""
    was, now = (health.lost and health.well_since is None for health in (before, after))
    if was == now:
        return []
    said = " ".join(filter(None, (report.by, report.source, report.note and f"({report.note})")))
    return [Event("alarm", "critical", f"cluster {cluster}", f"cluster {cluster} is lost", f"by the word of {said}",
                  resolved=was)]
