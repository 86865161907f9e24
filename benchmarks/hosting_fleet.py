"""What benchmarks of hosting run on: a database, a plan in force, models, hosts as processes, made-up rows."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, func, select

from api.database.engine import checked_url, engine_of, upgrade
from api.database.tables import stream_rows, verdicts
from api.database.tenancy import DEFAULT, of_tenant
from api.hosting.sealing import Sealing
from api.hosting.streams import Given, push
from api.jobs.durable import Queue
from api.life_cycle import steps
from api.life_cycle.lives import Lives
from api.store.jobs import Submission
from api.store.placements import Placements
from api.store.store import Store
from benchmarks.harness import Row
from benchmarks.service_kills import postgres
from diagnostics.store import ModelStore, NewVersion
from diagnostics.store.skops_file import dump
from diagnostics.synthetic import Site, make_fleet
from diagnostics.training.model import Candidate, FitSettings, Measured, fit
from diagnostics.training.rows import Allowed, rows_of
from planner.hosting import Hosted, parse_hosted
from planner.plan import Plan
from planner.scenario.model import Scenario

HOSTS = ("a", "b", "c")
METRICS = ("iops", "io_size_kib", "throughput_mib_s", "cache_hit_share", "cpu_share", "read_latency_ms",
           "write_latency_ms", "queue_depth", "memory_share", "network_mbps")  # fmt: skip
HARDWARE = "mixed-disk"
NODES = 4
"""Hosts of a watched cluster."""


@dataclass
class Bench:
    """A database, a model, hosts that run."""

    folder: Path
    address: str
    engine: Engine
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    peak_mib: float = 0.0
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, cluster: str) -> None:
        """Start the host of a cluster; return when its figures are there."""
        log = self.folder / f"{cluster}-{time.monotonic_ns()}.log"
        given = {"data": str(self.folder / "data"), "database": self.address, "models": str(self.folder / "models")}
        code = f"from api.hosting.run import host; host(None, {given!r}, {cluster!r}, 0)"
        with log.open("w") as file:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", **self.environment}
            command = [sys.executable, "-c", code]
            self.running[cluster] = subprocess.Popen(command, stderr=file, env=environment)  # noqa: S603
        until(lambda: re.search("figures at", log.read_text()) or None, 120)

    def sample(self) -> None:
        """Note the most memory that any host has had."""
        for process in self.running.values():
            self.peak_mib = max(self.peak_mib, _status(process.pid, "VmHWM") / 1024)

    def cpu_s(self) -> float:
        """CPU seconds of all hosts so far."""
        ticks = 0
        for process in self.running.values():
            fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End all hosts."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(30)
        self.running.clear()
        self.engine.dispose()

    def waiting(self) -> int:
        """Rows without a verdict."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(func.count()).select_from(stream_rows)).scalar_one()
            done = connection.execute(select(func.count()).select_from(verdicts)).scalar_one()
        return int(rows - done)


def large_scenario(seed: int) -> Scenario:
    """Forty clusters of twenty classes in five countries, five watched parts of each, and 300 services and batches."""
    from planner.scenario import parse_scenario

    chance = random.Random(seed)  # noqa: S311 - a benchmark
    regions = [("aws/eu-west-1", "IE"), ("aws/eu-central-1", "DE"), ("aws/eu-west-3", "FR"), ("aws/sa-east-1", "BR"),
               ("aws/us-east-1", "US")]  # fmt: skip
    clusters = []
    for at in range(200):
        region, country = regions[at % 5]
        offers = [{"purchase": "on_demand", "price_usd_per_hour": round(0.4 + 0.2 * chance.random(), 3)}]
        clusters.append({"name": f"site-{at:03d}", "provider": "aws", "region": region.split("/")[1],
                         "country": country, "hardware_class": f"class-{at % 20:02d}", "telemetry_opt_in": at % 4 > 0,
                         "telemetry": {"rows_per_hour": 60.0, "hosts": chance.randint(2, 40)}, "availability": 0.999,
                         "pools": [{"name": "p", "machine": {"name": "m", "vcpu": 16, "memory_gib": 64}, "max": 20,
                                    "offers": offers}]})  # fmt: skip
    work = [{"name": f"work-{at:03d}", "kind": "serving" if at % 2 else "etl",
             "request": {"vcpu": chance.choice([1, 2, 4]), "memory_gib": chance.choice([2, 4, 8])},
             "replicas": [chance.randint(1, 9) for _ in range(24)]} for at in range(300)]  # fmt: skip
    horizon = {"start": "2026-11-02T00:00:00Z", "slots": 24, "slot_minutes": 60}
    return parse_scenario({"name": "large", "horizon": horizon, "objective": {"mode": "min_cost"},
                           "with_diagnostics": True, "clusters": clusters, "workloads": work}, Path(), "large")


@contextmanager
def opened(kind: str, what: Hosted) -> Iterator[Bench]:
    """A database (sqlite or postgresql, a server of its own) with a plan in force that says so, and a model; hosts that
    were started end with it.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hosting-")))
        address = f"sqlite:///{folder / 'planner.sqlite'}"
        if kind == "postgresql":
            server = tempfile.mkdtemp(prefix="hosting-pg-")  # of another user where this one is root
            stack.callback(shutil.rmtree, server, ignore_errors=True)
            address = checked_url(stack.enter_context(postgres(Path(server) / "data")).url)
        bench = _made(folder, address, what)
        stack.callback(bench.stop)
        yield bench


def _made(folder: Path, address: str, what: Hosted) -> Bench:
    upgrade(address)
    in_force(address, what)
    models(folder / "models")
    return Bench(folder, address, of_tenant(engine_of(address), DEFAULT))


def hosted(names: list[str]) -> Hosted:
    """Watched clusters, each placed on one of three hosting clusters, with the next as fallback."""
    work, clusters = {}, {}
    for name in HOSTS:
        clusters[name] = {"country": "IE", "hardware_class": HARDWARE, "opted_in": True,
                          "losses": [name, f"own/{name}", "own"]}  # fmt: skip
    for at, name in enumerate(names):
        home, after = HOSTS[at % 3], HOSTS[(at + 1) % 3]
        clusters[name] = {"country": "IE", "hardware_class": HARDWARE, "opted_in": True,
                          "losses": [name, f"own/{name}", "own"]}  # fmt: skip
        work[f"diagnostics-{name}"] = {
            "kind": "diagnostics",
            "places": [{"cluster": home, "fallbacks": {home: after}}],
            "watches": {"hardware_class": HARDWARE, "clusters": [name], "country": "IE", "purpose": "score"},
        }
    return parse_hosted(json.dumps({"schema": 1, "plan_id": "", "clusters": clusters, "work": work}), "made up")


def in_force(address: str, what: Hosted) -> None:
    """Put a plan in force that says so."""
    queue = Queue(address)
    queue.open()
    store = Store(address, queue)
    mine = store.of(DEFAULT)
    job = store.begin(mine.submit(Submission("made", {}, None, tuple(what.clusters), "x")), 3)
    assert job is not None
    document = {"schema": 1, "name": "made", "status": "optimal", "mode": "min_cost", "cost_usd": 0.0,
                "costs": {"machines": 0.0, "egress": 0, "storage": 0, "moves": 0, "carbon": 0}, "sla_attainment": 1.0,
                "bound": 0.0, "gap": 0.0, "assignments": [], "machines": []}  # fmt: skip
    text = what.model_copy(update={"plan_id": job.id}).model_dump_json(by_alias=True).encode()
    files = {"routes.json": ("application/json", b"{}"), "hosted.json": ("application/json", text)}
    assert mine.finish_plan(job, Plan.model_validate(document, strict=False), files)
    for step in (lambda now: steps.verify(now.life, []), lambda now: steps.approve(now.life),
                 lambda now: steps.put_in_force(now.life, now.fleet, datetime.now(UTC))):  # fmt: skip
        Lives(mine.engine).change(job.id, step, "benchmark")
    queue.close()
    store.close()


def kept_units(plan: Plan, scenario: Scenario) -> list[tuple[str, str]]:
    """Workloads and clusters of a plan as they come back from the store: where it runs, and what hosts go by."""
    from planner.hosting import hosted_of, hosted_text

    with tempfile.TemporaryDirectory(prefix="hosting-") as folder:
        address = f"sqlite:///{folder}/planner.sqlite"
        upgrade(address)
        queue = Queue(address)
        queue.open()
        store = Store(address, queue)
        mine = store.of(DEFAULT)
        names = tuple(cluster.name for cluster in scenario.clusters)
        job = store.begin(mine.submit(Submission("large", {}, None, names, "x")), 3)
        assert job is not None
        text = hosted_text(hosted_of(plan, scenario))
        assert mine.finish_plan(job, plan, {"hosted.json": ("application/json", text.encode())})
        units = [(unit["workload"], unit["cluster"]) for page in Placements(mine.engine).pages(job.id) for unit in page]
        file = mine.file(job.id, "hosted.json")
        assert file is not None
        for name, work in parse_hosted(file[1], "the store").work.items():
            units += [(name, place.cluster) for place in work.places]
            units += [(name, after) for place in work.places for after in place.fallbacks.values()]
        queue.close()
        store.close()
        return units


def models(folder: Path) -> None:
    """Two stable models of the size that a search finds."""
    frame = make_fleet([Site("s", HARDWARE, "IE", 8)], 21, 0).frame()
    rows = rows_of(frame[frame["metric"].isin(METRICS)].assign(country="IE"), Allowed())
    day = rows.steps_per_day
    inputs = tuple(metric for metric in METRICS if "latency" not in metric and metric != "queue_depth")
    store, before = ModelStore(folder), None
    for seed in range(2):
        made = fit(Candidate("io", inputs, "zscore", "none", "linear_then_boosting"),
                   ("queue_depth", "read_latency_ms", "write_latency_ms"), rows.between(0, 16 * day),
                   Measured(rows.between(16 * day, 21 * day), 0), FitSettings(200, 40_000, 0.02, seed))  # fmt: skip
        told = NewVersion(HARDWARE, rows.sha256, "made up", "benchmark", made.predictions_sha256(), {"seed": seed}, {},
                          {}, (), (), None)  # fmt: skip
        version = store.register(told, dump(made.to_dict()), "benchmark", "made").id
        store.promote(version, before, "benchmark", "made")
        before = version
    store.close()


def measures(seed: int) -> dict[str, dict[str, float]]:
    """A row of a cluster."""
    chance = np.random.default_rng(seed)
    return {f"host-{number}": dict(zip(METRICS, np.abs(chance.normal(10, 3, len(METRICS))).tolist(), strict=True))
            for number in range(NODES)}  # fmt: skip


def warm(bench: Bench, names: list[str]) -> None:
    """One row each, so that models are loaded."""
    hour = int(time.time()) // 3600 * 3600 - 40 * 86_400
    push(bench.engine, [Given(name, hour, measures(0)) for name in names], hosted(names).clusters, Sealing())
    until(lambda: bench.waiting() == 0, 120)


def delays(engine: Engine, since: int) -> Any:  # noqa: ANN401 - an array of seconds
    """Seconds from row to verdict."""
    with engine.connect() as connection:
        return np.array(connection.execute(select(verdicts.c.seconds).where(verdicts.c.ts >= since)).scalars().all())


def until(holds: Callable[[], Any], seconds: float) -> Any:  # noqa: ANN401 - whatever it answers
    """What a question answers once that is true."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if found := holds():
            return found
        time.sleep(0.1)
    sys.exit(f"not within {seconds:.0f} s")


def row(
    instance: str, metric: str, value: float, unit: str, seconds: float, cpu_seconds: float, peak_mib: float
) -> Row:
    """A figure."""
    return Row(instance, "planner", metric, round(float(value), 6), unit, round(seconds, 2), round(cpu_seconds, 2),
               round(peak_mib, 1))  # fmt: skip


def _status(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1])
    return 0.0
