"""A fleet of three clusters of two countries, a plan in force that watches them, models, and hosts as processes."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from api.database.engine import engine_of
from api.database.tenancy import DEFAULT, of_tenant
from api.hosting.host import Host
from api.hosting.models import Models
from api.hosting.sealing import Sealing
from api.hosting.streams import Given, Pushed, push
from api.hosting.training import Training
from api.jobs.durable import Queue
from api.life_cycle import steps
from api.life_cycle.lives import Lives
from api.settings import Settings
from api.store.jobs import Submission
from api.store.store import Store
from diagnostics.store import ModelStore, NewVersion
from diagnostics.store.skops_file import dump
from diagnostics.synthetic import Site, make_fleet
from diagnostics.training.model import Candidate, FitSettings, Measured, fit
from diagnostics.training.rows import Allowed, Rows, rows_of
from planner.hosting import Hosted, parse_hosted
from planner.plan import Plan

ROOT = Path(__file__).resolve().parents[3]
START = 1_789_948_800
"""Monday, 21 September 2026, 0 o'clock UTC: made-up telemetry begins on a Monday, too."""
METRICS = ("iops", "io_size_kib", "read_latency_ms", "queue_depth")
Json = dict[str, Any]


def hosted(plan_id: str = "", **places: list[str]) -> Hosted:
    """What a plan says: clusters a and b in IE and c in DE, each scored and watched for drift at home unless `places`
    says otherwise; a and b fall back to each other.
    """
    country = {"a": "IE", "b": "IE", "c": "DE"}
    work: Json = {}
    for name in country:
        homes = places.get(name, [name])
        fallback = {home: "b" if home == "a" else "a" for home in homes if home != "c"}
        watches = {"hardware_class": "all-flash-nvme" if name == "c" else "mixed-disk", "clusters": [name],
                   "country": country[name]}  # fmt: skip
        where = [{"cluster": home, "fallbacks": {home: fallback[home]} if home in fallback else {}} for home in homes]
        kinds = ("diagnostics", "score", "diagnostics"), ("drift_monitor", "drift", "drift-monitor")
        for kind, purpose, prefix in kinds:
            work[f"{prefix}-{name}"] = {"kind": kind, "watches": watches | {"purpose": purpose}, "places": where}
    clusters = {name: {"country": country[name],
                       "hardware_class": "all-flash-nvme" if name == "c" else "mixed-disk",
                       "opted_in": name != "b", "losses": [name, f"aws/{name}", "aws"]}
                for name in country}  # fmt: skip
    return parse_hosted(json.dumps({"schema": 1, "plan_id": plan_id, "clusters": clusters, "work": work}), "made up")


def put_in_force(database: str, what: Hosted, tenant: str = DEFAULT, name: str = "made") -> str:
    """A plan of a tenant's scenario that says so, in force; its id."""
    queue = Queue(database)
    queue.open()
    store = Store(database, queue)
    mine = store.of(tenant)
    try:
        job = store.begin(mine.submit(Submission(name, {}, None, tuple(what.clusters), "x")), 3)
        assert job is not None
        document: Json = {
            "schema": 1, "name": name, "status": "optimal", "mode": "min_cost", "cost_usd": 0.0,
            "costs": {"machines": 0.0, "egress": 0, "storage": 0, "moves": 0, "carbon": 0},
            "sla_attainment": 1.0, "bound": 0.0, "gap": 0.0, "assignments": [], "machines": [],
        }  # fmt: skip
        text = what.model_copy(update={"plan_id": job.id}).model_dump_json(by_alias=True).encode()
        files = {"routes.json": ("application/json", b"{}"), "hosted.json": ("application/json", text)}
        assert mine.finish_plan(job, Plan.model_validate(document, strict=False), files)
        for step in (lambda now: steps.verify(now.life, []), lambda now: steps.approve(now.life),
                     lambda now: steps.put_in_force(now.life, now.fleet, datetime.now(UTC))):
            Lives(mine.engine).change(job.id, step, "test")
        return job.id
    finally:
        queue.close()
        store.close()


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    """The database as the tenant `default` sees it."""
    made = of_tenant(engine_of(database), DEFAULT)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def fleet() -> Callable[..., dict[str, list[tuple[int, dict[str, dict[str, float]]]]]]:
    """Rows (time, values by host and metric) of clusters a, b and c, hour by hour."""

    @cache
    def made_up(days: int, hosts: int) -> dict[str, list[tuple[int, dict[str, dict[str, float]]]]]:
        kinds = {"a": ("mixed-disk", "IE"), "b": ("mixed-disk", "IE"), "c": ("all-flash-nvme", "DE")}
        found: dict[str, list[tuple[int, dict[str, dict[str, float]]]]] = {}
        for name, kind in kinds.items():
            made = make_fleet([Site(name, *kind, hosts=hosts)], days, 1)
            frame = made.frame()
            frame = frame[frame["metric"].isin(METRICS)]
            table = frame.pivot_table(index=["ts", "host"], columns="metric", values="value")
            rows: dict[int, dict[str, dict[str, float]]] = {}
            first = int(frame["ts"].min().timestamp())
            for (ts, host), values in table.iterrows():
                at = START + int(ts.timestamp()) - first
                rows.setdefault(at, {})[str(host)] = {str(metric): float(value) for metric, value in values.items()}
            found[name] = sorted(rows.items())
        return found

    return lambda days=3, hosts=2: {name: list(rows) for name, rows in made_up(days, hosts).items()}


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of models with a stable one for mixed-disk, an earlier stable one of it, and one for all hardware."""
    folder = tmp_path_factory.mktemp("models")
    store = ModelStore(folder)
    for trees in (5, 6):
        version = register(store, "mixed-disk", trees)
        before = store.serving("mixed-disk")
        store.promote(version, None if before is None else before.id, "test", "good")
    store.promote(register(store, "all", 5), None, "test", "good")
    store.close()
    return folder


@pytest.fixture
def models(model_files: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(model_files, tmp_path / "models")
    return tmp_path / "models"


def register(store: ModelStore, hardware: str, trees: int) -> str:
    """Fit a small model to made-up hosts and register it; its id."""
    rows = hosts_of("mixed-disk" if hardware == "all" else hardware)
    day = rows.steps_per_day
    candidate = Candidate("io", ("io_size_kib", "iops"), "zscore", "none", "linear_then_boosting")
    settings = FitSettings(trees, 20_000, 0.02, 0)
    made = fit(
        candidate,
        ("queue_depth", "read_latency_ms"),
        rows.between(0, 10 * day),
        Measured(rows.between(10 * day, 14 * day), 0),
        settings,
    )
    told = NewVersion(
        hardware, rows.sha256, "made up", "test", made.predictions_sha256(), {"trees": trees}, {}, {}, (), (), None
    )
    return store.register(told, dump(made.to_dict()), "test", "made").id


def hosts_of(hardware: str) -> Rows:
    """Four made-up hosts for a fortnight."""
    site = Site(f"{hardware}-0", hardware, "IE", 4)
    frame = make_fleet([site], 14, 0).frame()
    frame = frame[frame["metric"].isin(METRICS)].assign(country="IE")
    return rows_of(frame, Allowed())


@dataclass
class Hosting:
    """A running host and where its figures are."""

    process: subprocess.Popen[bytes]
    address: str
    log: Path

    def kill(self) -> None:
        """Kill -9, as the machine would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def start(cluster: str, database: str, models: Path, log: Path, first: str = "", more: Json | None = None,
          tenant: str = DEFAULT) -> Hosting:
    """A host as its own process, ready; `first` is what is run in it before, `more` are other settings. Models are
    those of the tenant.
    """
    given: Json = {"data": str(log.parent / "data"), "database": database} | (more or {})
    given |= {"models": str(models)} if tenant == DEFAULT else {"tenants": {tenant: {"models": str(models)}}}
    code = f"{first}\nfrom api.hosting.run import host; host(None, {given!r}, {cluster!r}, 0, {tenant!r})"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stderr=file, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    give_up = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < give_up:
        if found := re.search(r"figures at (http://\S+)/metrics", log.read_text()):
            return Hosting(process, found[1], log)
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.fixture
def start_host(database: str, models: Path, tmp_path: Path) -> Iterator[Callable[[str], Hosting]]:
    """Start hosts of clusters; they are killed after the test."""
    running: list[Hosting] = []

    def one(cluster: str) -> Hosting:
        running.append(start(cluster, database, models, tmp_path / f"host-{len(running)}.log"))
        return running[-1]

    yield one
    for host in running:
        with suppress(ProcessLookupError):
            host.kill()


@dataclass
class Threaded:
    """A host in a thread of this process, which starts at once."""

    host: Host
    thread: threading.Thread

    def figures(self) -> str:
        """Its figures."""
        return self.host.figures.text().decode()

    def stop(self) -> None:
        """Ask it to end and wait until it has."""
        self.host.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def settings(database: str, models: Path, tmp_path: Path) -> Settings:
    """Those of the service, to retrain quickly."""
    return Settings.model_validate({
        "data": tmp_path / "data", "database": database, "models": models,
        "feature_sets": Path(__file__).with_name("quick.yaml"),
        "retraining": {"every_minutes": 1000, "search_s": 60, "canary_rows": 10, "name_key": "a secret of many bytes"},
    })  # fmt: skip


@pytest.fixture
def make_host(engine: Engine, models: Path, settings: Settings) -> Callable[[str], Host]:
    """Make hosts of clusters, to be run in this process."""
    numbers = itertools.count()

    def one(cluster: str) -> Host:
        training = Training(settings, DEFAULT, cluster)
        return Host(engine, f"{cluster}/{next(numbers)}", cluster, Models(models), Sealing(), training)

    return one


@pytest.fixture
def start_thread(make_host: Callable[[str], Host]) -> Iterator[Callable[[str], Threaded]]:
    """Start hosts of clusters in threads; they are stopped after the test."""
    running: list[Threaded] = []

    def one(cluster: str) -> Threaded:
        host = make_host(cluster)
        running.append(Threaded(host, threading.Thread(target=host.run)))
        running[-1].thread.start()
        return running[-1]

    yield one
    for threaded in running:
        threaded.stop()


@pytest.fixture
def send(engine: Engine) -> Callable[..., Pushed]:
    """Push rows of clusters."""

    def one(rows: dict[str, list[tuple[int, dict[str, dict[str, float]]]]], sealing: Sealing | None = None) -> Pushed:
        given = [Given(name, ts, hosts) for name, some in rows.items() for ts, hosts in some]
        return push(engine, given, hosted().clusters, sealing or Sealing())

    return one


@pytest.fixture
def made_up() -> Callable[..., Hosted]:
    """What plans say."""
    return hosted


@pytest.fixture
def in_force(database: str) -> Callable[..., str]:
    """Put what a plan of a tenant says in force."""
    return partial(put_in_force, database)


def wait_until(holds: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What a question answers once that is true."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if found := holds():
            return found
        time.sleep(0.05)
    raise AssertionError("it never did")


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Wait until something holds."""
    return wait_until


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[..., Hosting]]:
    """Start hosts on a database as processes; they are killed after the test."""
    running: list[Hosting] = []

    def one(cluster: str, database: str, models: Path, first: str = "", more: Json | None = None,
            tenant: str = DEFAULT) -> Hosting:
        log = tmp_path / f"process-{len(running)}.log"
        running.append(start(cluster, database, models, log, first, more, tenant))
        return running[-1]

    yield one
    for host in running:
        with suppress(ProcessLookupError):
            host.kill()


@pytest.fixture(scope="module")
def start_long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Hosting]]:
    """Start hosts as processes for all tests of a module."""
    running: list[Hosting] = []

    def one(cluster: str, database: str, models: Path) -> Hosting:
        running.append(start(cluster, database, models, tmp_path_factory.mktemp("host") / "log"))
        return running[-1]

    yield one
    for host in running:
        host.kill()


@pytest.fixture(scope="session")
def watched_scenario() -> Callable[[], Json]:
    """Makes scenarios of two clusters that are watched, for a day."""
    return two_watched


def two_watched() -> Json:
    """Two clusters and what runs on them."""

    def cluster(name: str, region: str) -> Json:
        offer = {"purchase": "owned", "price_usd_per_hour": 1.0, "owned": 2}
        pool = {"name": "p", "machine": {"name": "m", "vcpu": 8, "memory_gib": 32}, "max": 2, "offers": [offer]}
        return {"name": name, "provider": "aws", "region": region, "country": "IE", "hardware_class": "mixed-disk",
                "telemetry_opt_in": True, "pools": [pool]}  # fmt: skip

    work = {"name": "web", "kind": "serving", "request": {"vcpu": 1, "memory_gib": 1}, "replicas": [1] * 24}
    return {
        "name": "watched", "horizon": {"start": "2026-09-21T00:00:00Z", "slots": 24, "slot_minutes": 60},
        "objective": {"mode": "min_cost"}, "with_diagnostics": True,
        "clusters": [cluster("a", "eu-west-1"), cluster("b", "eu-west-1")], "workloads": [work],
    }  # fmt: skip


@pytest.fixture
def watched() -> Json:
    """A scenario of two clusters that are watched, for a day."""
    return two_watched()
