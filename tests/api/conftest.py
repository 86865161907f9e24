"""A real service: its own process, a real port, a real SQLite file."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import Connection, create_engine, make_url, text

from api.database.engine import checked_url, upgrade
from api.database.tenancy import DEFAULT
from api.life_cycle import steps
from api.life_cycle.lives import Lives
from api.store.files import JSON, ROUTES
from api.store.jobs import Submission
from api.store.store import Store
from planner.directing.routes import Routes, Stream, Unit, routes_text
from planner.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]

QUICK: Json = {"solver": "highs", "time_limit_s": 120}
"""Settings that prove a tiny plan optimal as soon as the processes have started."""


def tiny_scenario(slots: int = 4, replicas: int = 3, machines: int = 4) -> Json:
    """Two clusters and three workloads, a drift monitor among them; solved at once."""

    def cluster(name: str, region: str, price: float) -> Json:
        offer = {"purchase": "on_demand", "price_usd_per_hour": price}
        pool = {
            "name": "general",
            "machine": {"name": "m", "vcpu": 4, "memory_gib": 16},
            "max": machines,
            "offers": [offer],
        }
        return {"name": name, "provider": "aws", "region": region, "country": "IE", "pools": [pool]}

    def workload(name: str, kind: str, count: int) -> Json:
        return {"name": name, "kind": kind, "request": {"vcpu": 1, "memory_gib": 2}, "replicas": [count] * slots}

    return {
        "name": "tiny",
        "horizon": {"start": "2026-11-02T00:00:00Z", "slots": slots, "slot_minutes": 60},
        "objective": {"mode": "min_cost", "sla_floor": 1.0},
        "clusters": [cluster("cheap", "eu-west-1", 1.0), cluster("dear", "eu-central-1", 2.0)],
        "workloads": [
            workload("claims-etl", "etl", replicas),
            workload("front", "serving", 1) | {"clusters": {"pin": "dear"}, "request": {"vcpu": 4, "memory_gib": 2}},
            workload("drift-monitor", "drift_monitor", 1),
        ],
    }


@dataclass
class Served:
    """A running service and a client for it."""

    process: ForkServerProcess
    database: str
    http: httpx.Client = field(default_factory=httpx.Client)

    def ask(self, body: Json | None = None, **headers: str) -> httpx.Response:
        """POST /v1/plans."""
        body = {"scenario": tiny_scenario()} if body is None else body
        return self.http.post("/v1/plans", json=QUICK | body, headers=headers)

    def wait(self, plan_id: str, until: Callable[[Json], bool], seconds: float = 180) -> Json:
        """Poll a plan until something holds."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            state: Json = self.http.get(f"/v1/plans/{plan_id}").json()
            if until(state):
                return state
            time.sleep(0.05)
        raise AssertionError(f"still {json.dumps(state)[:300]}")

    def ended(self, plan_id: str) -> Json:
        """Wait until a plan is neither queued nor running."""
        return self.wait(plan_id, lambda state: state["status"] not in ("queued", "running"))

    def life(self, plan_id: str) -> Json:
        """How far a plan is on its way into force."""
        answer: Json = self.http.get(f"/v1/plans/{plan_id}/life-cycle").json()
        return answer

    def step(self, plan_id: str, step: str, body: Json | None = None, tag: str | None = None) -> httpx.Response:
        """Take a step, expecting the plan as it is now, or as it was at an earlier tag."""
        address = f"/v1/plans/{plan_id}"
        if tag is None:
            tag = self.http.get(f"{address}/life-cycle").headers.get("ETag", "*")
        method = "PUT" if step == "in-force" else "POST"
        return self.http.request(method, f"{address}/{step}", json=body, headers={"If-Match": tag})

    def approve(self, plan_id: str) -> None:
        """Have a plan checked, and approve it."""
        job_id = self.step(plan_id, "verify").json()["id"]
        give_up = time.monotonic() + 180
        while (job := self.http.get(f"/v1/jobs/{job_id}").json())["status"] in ("queued", "running"):
            assert time.monotonic() < give_up, job
            time.sleep(0.05)
        assert self.life(plan_id)["state"] == "verified", (job, self.life(plan_id))
        assert self.step(plan_id, "approve").status_code == 200

    def hold(self, plan: Plan, *, approved: bool = True) -> str:
        """Id of a plan that is put into the store as if it had been made, and checked and approved."""
        held = Store(self.database, _Nowhere())
        store, lives = held.of(DEFAULT), Lives(held.of(DEFAULT).engine)
        plan_id = store.submit(Submission(plan.name, {}, "{}", ("cheap", "dear"), plan.plan_id))
        job = store.begin(plan_id, 3)
        assert job is not None
        clusters = {name: (name,) for name in ("cheap", "dear")}
        works = {unit.workload: (Stream(units=(Unit(cluster=unit.cluster, share=1.0),)),) for unit in plan.assignments}
        routes = Routes(plan_id=plan.plan_id, name=plan.name, horizon=plan.horizon, clusters=clusters, workloads=works)
        assert store.finish_plan(job, plan, {ROUTES: (JSON, routes_text(routes).encode())})
        if approved:
            lives.change(plan_id, lambda now: steps.verify(now.life, []), "test")
            lives.change(plan_id, lambda now: steps.approve(now.life), "test")
        held.close()
        return plan_id

    def withdraw(self) -> None:
        """Have no plan applied or in force, so that tests that share the service keep out of each other's way."""
        for state, step in (("applying", "roll-back"), ("in_force", "retire")):
            for plan in self.http.get("/v1/plans", params={"state": state}).json()["plans"]:
                assert self.step(plan["id"], step).status_code == 200

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def children(self) -> list[int]:
        """Process ids of the processes of jobs, which workers have forked from one that they keep for that."""
        found = []
        for worker in self.workers():
            with suppress(psutil.NoSuchProcess):
                kept = psutil.Process(worker).children()
                found += [job.pid for one in kept for job in one.children()]
        return found

    def kill(self) -> None:
        """Kill -9, as the machine would."""
        self.process.kill()
        self.process.join()
        self.http.close()

    def stop(self, how: signal.Signals = signal.SIGINT) -> int | None:
        """Ctrl-C or another signal, and the exit status; None where it goes on."""
        assert self.process.pid is not None
        os.kill(self.process.pid, how)
        self.http.close()
        self.process.join(60)
        return self.process.exitcode


class _Nowhere:
    """A queue from which nobody takes."""

    def put(self, connection: Connection, job_id: str, priority: int, *, quick: bool) -> None: ...


Serve = Callable[..., Served]


SERVE = """
import json, os
os.dup2(os.open(log, os.O_WRONLY), 2)
os.environ.clear()
os.environ.update(environment)
os.chdir(folder)
from api.serve import serve
serve(None, json.loads(given))
"""


def started(data_dir: Path, **settings: Any) -> Served:
    """Serve a data folder on a free port, in a process that is forked from one that has loaded the service, which takes
    a second otherwise.
    """
    given = {"port": 0, "data": data_dir, "niceness": 0} | settings  # tests wait for jobs
    log = data_dir.with_name(f"{data_dir.name}.log")
    log.write_text("")
    names = {"log": str(log), "environment": {**os.environ, "OMP_NUM_THREADS": "1"}, "folder": str(ROOT),
             "given": json.dumps(given, default=str)}
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["api.serve"])
    process = processes.Process(target=exec, args=(SERVE, names), daemon=True)
    process.start()
    address = settings.get("database") or f"sqlite:///{data_dir / 'planner.sqlite'}"
    served = Served(process, str(address), httpx.Client(base_url=_address(process, log), timeout=30))
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        try:
            if served.http.get("/readyz").status_code == 200:
                return served
        except httpx.TransportError:
            if not process.is_alive():
                break
            time.sleep(0.05)
    raise AssertionError(f"not ready: {log.read_text()[-2000:]}")


def _address(process: ForkServerProcess, log: Path) -> str:
    """Where the service says that it serves."""
    give_up = time.monotonic() + 120
    while process.is_alive() and time.monotonic() < give_up:
        found = re.match(r"planner serves (\S+) ", log.read_text())
        if found:
            return found[1]
        time.sleep(0.02)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="session")
def start() -> Serve:
    """Start a service that whoever starts it ends."""
    return started


@pytest.fixture(scope="session")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one good scenario, and beside it one that may not be reached."""
    root = tmp_path_factory.mktemp("held")
    for folder in (root / "scenarios" / "small", root / "secret"):
        folder.mkdir(parents=True)
        (folder / "scenario.yaml").write_text(json.dumps(tiny_scenario()))
    (root / "scenarios" / "link").symlink_to(root / "secret")
    return root / "scenarios"


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Databases with all tables, to be copied: a SQLite file, and where they were made PostgreSQL's."""
    file = tmp_path_factory.mktemp("template") / "planner.sqlite"
    upgrade(f"sqlite:///{file}")
    return {"sqlite": str(file)}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, templates: dict[str, str]) -> str:
    """Address of a database of its own with all tables and nothing in them, of each kind."""
    if request.param == "sqlite":
        shutil.copy(templates["sqlite"], tmp_path / "planner.sqlite")
        return f"sqlite:///{tmp_path / 'planner.sqlite'}"
    server = checked_url(request.getfixturevalue("postgresql"))
    if "postgresql" not in templates:
        templates["postgresql"] = created(server, None)
        upgrade(templates["postgresql"])
    return created(server, templates["postgresql"])


def created(server: str, like: str | None) -> str:
    """Address of a new database of a server, a copy of another's if given."""
    name, engine = f"d{uuid.uuid4().hex}", create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        copied = f" TEMPLATE {make_url(like).database}" if like else ""
        connection.execute(text(f"CREATE DATABASE {name}{copied}"))
    engine.dispose()
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def new_database() -> Callable[[str], str]:
    """Makes an empty database of a server; its address."""
    return lambda server: created(server, None)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start services; they are killed after the test."""
    running: list[Served] = []

    def one(data_dir: Path = tmp_path / "data", **settings: Any) -> Served:
        running.append(started(data_dir, **settings))
        return running[-1]

    yield one
    for served in running:
        served.kill()


@pytest.fixture(scope="module")
def serve_long() -> Iterator[Serve]:
    """Start services for all tests of a module."""
    running: list[Served] = []

    def one(data_dir: Path, **settings: Any) -> Served:
        running.append(started(data_dir, **settings))
        return running[-1]

    yield one
    for served in running:
        served.kill()


@pytest.fixture(scope="session")
def past_tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of past tasks that services for all tests have: that of the example."""
    library = tmp_path_factory.mktemp("past") / "library.csv"
    shutil.copy(ROOT / "examples" / "new-tasks" / "library.csv", library)
    return library


@pytest.fixture(scope="session")
def serve_all(tmp_path_factory: pytest.TempPathFactory, scenarios: Path, past_tasks: Path) -> Iterator[Serve]:
    """Start a service for all tests that do not end it, on the database at an address; None: on SQLite."""
    running: list[Served] = []

    def one(database: str | None) -> Served:
        telemetry = ROOT / "examples" / "hybrid" / "telemetry.parquet"
        folder = tmp_path_factory.mktemp("service")
        running.append(started(folder, scenarios=scenarios, telemetry=telemetry, library=past_tasks,
                               database=database))
        return running[-1]

    yield one
    for served in running:
        served.kill()


@pytest.fixture(scope="session")
def on_sqlite(serve_all: Serve) -> Served:
    """One service on SQLite for all tests that do not end it."""
    return serve_all(None)


@pytest.fixture(scope="session")
def on_postgresql(serve_all: Serve, postgresql: str) -> Served:
    """The same on PostgreSQL."""
    return serve_all(created(checked_url(postgresql), None))


@pytest.fixture(scope="session")
def service(on_sqlite: Served) -> Served:
    """The service that tests ask to which the kind of database does not matter."""
    return on_sqlite


@pytest.fixture(scope="session", params=["on_sqlite", "on_postgresql"])
def each_service(request: pytest.FixtureRequest) -> Served:
    """A service on each kind of database. What the service keeps is tested on both, and over HTTP in the modules
    that take this for their `service`: plans made and put in force, scenarios, figures of jobs.
    """
    served: Served = request.getfixturevalue(request.param)
    return served


@pytest.fixture(scope="session", name="tiny_scenario")
def _tiny_scenario() -> Callable[..., Json]:
    """Makes scenarios that are solved at once."""
    return tiny_scenario


@pytest.fixture
def tiny() -> Json:
    """A scenario that is solved at once."""
    return tiny_scenario()


@pytest.fixture
def document() -> Callable[..., Plan]:
    """Makes plans of two units that move to and fro, both of them in every wave; `mark` tells them apart."""

    def one(name: str = "tiny", parent: Plan | None = None, waves: int = 0, mark: float = 0.0,
            works: Sequence[str] = ("a", "b")) -> Plan:
        places = [{"cluster": cluster, "pool": "p"} for cluster in ("cheap", "dear")]
        ways = [{"from": places[at % 2], "to": places[(at + 1) % 2]} for at in range(waves)]
        start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        content: Json = {
            "schema": 1, "name": name, "status": "optimal", "mode": "min_cost", "cost_usd": mark,
            "costs": {"machines": mark, "egress": 0, "storage": 0, "moves": 0, "carbon": 0}, "sla_attainment": 1.0,
            "bound": 0.0, "gap": 0.0, "parent": parent and parent.plan_id, "machines": [],
            "horizon": {"start": start.isoformat(), "slots": 4, "slot_minutes": 60},
            "valid_until": (start + timedelta(hours=4)).isoformat(),
            "assignments": [{"workload": work, **places[waves % 2]} for work in works],
            "waves": [{"wave": at, "moves": [{"workload": work, **way} for work in works]}
                      for at, way in enumerate(ways, 1)],
        }  # fmt: skip
        return Plan.model_validate(content, strict=False).with_id()

    return one
@dataclass
class Heard:
    """One request that a receiver heard."""

    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Json:
        """As JSON."""
        content: Json = json.loads(self.raw)
        return content


class Hooks:
    """An HTTP server that takes webhooks; `answers` are its next status codes, 200 after them."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.answers: list[int] = []
        outer = self

        class Taking(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                outer.heard.append(Heard({name.lower(): value for name, value in self.headers.items()}, raw))
                self.send_response(outer.answers.pop(0) if outer.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    """A receiver of webhooks."""
    made = Hooks()
    yield made
    made.server.shutdown()
    made.server.server_close()


class Mails:
    """A mail server that keeps what it is sent."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.port = 0

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802 - its name
        """Keep a mail."""
        self.heard.append(envelope.content)
        return "250 taken"


@pytest.fixture
def mails() -> Iterator[Mails]:
    """A mail server."""
    from aiosmtpd.controller import Controller

    made = Mails()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        made.port = free.getsockname()[1]
    controller = Controller(made, hostname="127.0.0.1", port=made.port)
    controller.start()
    yield made
    controller.stop()
