"""Hosts of diagnostics under load: from row to verdict, memory, cost of a row, kills; and diagnostics in one plan.

    python -m benchmarks.hosting [--parts live,hourly,cost,kills,plan] [--seconds 120] [--database URL] [--json FILE]

live: three hosts, 600 watched clusters (200 a host), a row a minute each, spread over the minute.
hourly: 10,000 watched clusters of four hosts, one row each at once, by three hosts.
cost: CPU seconds a host's row and a comparison of two months take, and a host's memory, one host alone.
kills: hosts are killed (-9) at random while rows come; every row must have one verdict.
plan: 200 models of 20 classes with 300 other workloads in one plan.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, func, select

from api.database.engine import checked_url, engine_of, upgrade
from api.database.tables import stream_rows, verdicts
from api.database.tenancy import DEFAULT, of_tenant
from api.hosting.leases import standing
from api.hosting.sealing import Sealing
from api.hosting.streams import Given, push
from api.jobs.durable import Queue
from api.life_cycle import steps
from api.life_cycle.lives import Lives
from api.store.jobs import Submission
from api.store.store import Store
from benchmarks.harness import Row
from benchmarks.machine import describe_machine
from diagnostics.store import ModelStore, NewVersion
from diagnostics.store.skops_file import dump
from diagnostics.synthetic import Site, make_fleet
from diagnostics.training.model import Candidate, FitSettings, Measured, fit
from diagnostics.training.rows import Allowed, rows_of
from planner.hosting import Hosted, parse_hosted
from planner.plan import Plan

HOSTS = ("a", "b", "c")
METRICS = ("iops", "io_size_kib", "throughput_mib_s", "cache_hit_share", "cpu_share", "read_latency_ms",
           "write_latency_ms", "queue_depth", "memory_share", "network_mbps")  # fmt: skip
HARDWARE = "mixed-disk"
NODES = 4
"""Hosts of a watched cluster."""
PARTS = ("live", "hourly", "cost", "kills", "plan")


@dataclass
class Bench:
    """A database, a model, hosts that run."""

    folder: Path
    address: str
    engine: Engine
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    peak_mib: float = 0.0

    def start(self, cluster: str) -> None:
        """Start the host of a cluster; return when its figures are there."""
        log = self.folder / f"{cluster}-{time.monotonic_ns()}.log"
        given = {"data": str(self.folder / "data"), "database": self.address, "models": str(self.folder / "models")}
        code = f"from api.hosting.run import host; host(None, {given!r}, {cluster!r}, 0)"
        with log.open("w") as file:
            self.running[cluster] = subprocess.Popen([sys.executable, "-c", code], stderr=file,  # noqa: S603
                                                     env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip
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


def main() -> None:
    """Measure what is asked for."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.hosting", description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    made.add_argument("--parts", default=",".join(PARTS))
    made.add_argument("--seconds", type=float, default=120.0)
    made.add_argument("--kills", type=int, default=20)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--database", help="postgresql://...; left out: SQLite")
    made.add_argument("--json", type=Path)
    asked = made.parse_args()
    rows: list[Row] = []
    parts: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
        "live": live, "hourly": hourly, "cost": cost, "kills": kills, "plan": plan}  # fmt: skip
    for name in asked.parts.split(","):
        if name not in parts:
            made.error(f"--parts: {name}: allowed are {', '.join(PARTS)}")
        found = parts[name](asked)
        for row in found:
            print(f"{row.instance:28} {row.metric:28} {row.value:12.4f} {row.unit}", flush=True)
        rows += found
        if asked.json:
            content = {"benchmark": "hosting", "machine": describe_machine(), "rows": [asdict(row) for row in rows]}
            asked.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


# Parts ----------------------------------------------------------------------------------------------------------------


def live(asked: argparse.Namespace) -> list[Row]:
    """Rows that come evenly."""
    names = [f"watched-{number:04d}" for number in range(600)]
    with tempfile.TemporaryDirectory(prefix="hosting-") as folder:
        bench = opened(Path(folder), asked.database, names)
        try:
            for cluster in HOSTS:
                bench.start(cluster)
            until(lambda: sum(one.host is not None for one in standing(bench.engine).values()) == len(names), 120)
            warm(bench, names)
            began, cpu = time.monotonic(), bench.cpu_s()
            clusters, turn, minute = hosted(names).clusters, 0, int(time.time()) // 60 * 60
            values = [measures(seed) for seed in range(20)]
            while time.monotonic() - began < asked.seconds:
                due = int((time.monotonic() - began) * len(names) / 60)
                if due > turn:
                    given = [Given(names[at % len(names)], minute - 86_400 + 60 * (at // len(names)), values[at % 20])
                             for at in range(turn, due)]  # fmt: skip
                    push(bench.engine, given, clusters, Sealing())
                    turn = due
                bench.sample()
                time.sleep(0.1)
            until(lambda: bench.waiting() == 0, 60)
            used, spent = bench.cpu_s() - cpu, time.monotonic() - began
            seconds = delays(bench.engine, minute - 86_400)
            name = f"live/{len(names)}"
            return [row(name, "p50", float(np.quantile(seconds, 0.5)), "s", spent, used, bench.peak_mib),
                    row(name, "p99", float(np.quantile(seconds, 0.99)), "s", spent, used, bench.peak_mib),
                    row(name, "max", float(seconds.max()), "s", spent, used, bench.peak_mib),
                    row(name, "rows", float(len(seconds)), "rows", spent, used, bench.peak_mib),
                    row(name, "peak_memory_a_host", bench.peak_mib, "MiB", spent, used, bench.peak_mib)]  # fmt: skip
        finally:
            bench.stop()


def hourly(asked: argparse.Namespace) -> list[Row]:
    """All rows of an hour at once."""
    names = [f"watched-{number:05d}" for number in range(10_000)]
    with tempfile.TemporaryDirectory(prefix="hosting-") as folder:
        bench = opened(Path(folder), asked.database, names)
        try:
            for cluster in HOSTS:
                bench.start(cluster)
            until(lambda: sum(one.host is not None for one in standing(bench.engine).values()) == len(names), 300)
            warm(bench, names[:30])
            began, cpu, hour = time.monotonic(), bench.cpu_s(), int(time.time()) // 3600 * 3600
            clusters, values = hosted(names).clusters, [measures(seed) for seed in range(20)]
            for first in range(0, len(names), 1000):
                given = [Given(name, hour, values[at % 20]) for at, name in enumerate(names[first : first + 1000])]
                push(bench.engine, given, clusters, Sealing())
            sent = time.monotonic() - began
            while bench.waiting():
                bench.sample()
                time.sleep(0.2)
            spent, used = time.monotonic() - began, bench.cpu_s() - cpu
            return [
                row("hourly/10000", "sent", sent, "s", spent, used, bench.peak_mib),
                row("hourly/10000", "all_scored", spent, "s", spent, used, bench.peak_mib),
                row("hourly/10000", "peak_memory_a_host", bench.peak_mib, "MiB", spent, used, bench.peak_mib),
            ]
        finally:
            bench.stop()


def cost(asked: argparse.Namespace) -> list[Row]:
    """One host alone."""
    from api.hosting.monitoring import compare
    from api.hosting.streams import Reader

    names = [f"watched-{number:03d}" for number in range(100)]
    with tempfile.TemporaryDirectory(prefix="hosting-") as folder:
        bench = opened(Path(folder), asked.database, names)
        try:
            for one in HOSTS:  # so that every cluster has a place that is there
                bench.start(one)
            until(lambda: sum(one.host is not None for one in standing(bench.engine).values()) == len(names), 120)
            warm(bench, names)
            clusters, cpu, began = hosted(names).clusters, bench.cpu_s(), time.monotonic()
            hour, rows = int(time.time()) // 3600 * 3600 - 86_400, 0
            for step in range(20):
                given = [Given(name, hour + 60 * step, measures(step)) for name in names]
                rows += push(bench.engine, given, clusters, Sealing()).stored
                until(lambda: bench.waiting() == 0, 120)
            used, spent = bench.cpu_s() - cpu, time.monotonic() - began
            bench.sample()
            first = hour - 70 * 86_400
            push(bench.engine, [Given(names[0], first + 3600 * at, measures(at)) for at in range(24 * 60)], clusters,
                 Sealing())  # fmt: skip
            reader, begun = Reader(bench.engine, "IE", Sealing()), time.process_time()
            assert compare(reader, names[0], HARDWARE, (first + 3600 * 24 * 60) // 86_400 - 1)
            drift = time.process_time() - begun
            return [
                row("cost", "score_cpu_s_per_host_row", used / rows / NODES, "s", spent, used, bench.peak_mib),
                row("cost", "drift_cpu_s_per_cluster", drift, "s", drift, drift, bench.peak_mib),
                row("cost", "host_memory", bench.peak_mib, "MiB", spent, used, bench.peak_mib),
            ]
        finally:
            bench.stop()


def kills(asked: argparse.Namespace) -> list[Row]:
    """Kill -9 at random, over and over, while rows come; a host that was killed is started again after a while."""
    names, chance = [f"watched-{number:02d}" for number in range(30)], random.Random(asked.seed)  # noqa: S311 - a benchmark
    with tempfile.TemporaryDirectory(prefix="hosting-") as folder:
        bench = opened(Path(folder), asked.database, names)
        stopping, taken = threading.Event(), list[float]()
        try:
            for cluster in HOSTS:
                bench.start(cluster)
            until(lambda: sum(one.host is not None for one in standing(bench.engine).values()) == len(names), 120)
            clusters, began, sent = hosted(names).clusters, time.monotonic(), 0
            start = int(time.time()) // 60 * 60 - 30 * 86_400

            def feed() -> None:
                nonlocal sent
                while not stopping.wait(0.1):
                    given = [Given(name, start + 60 * sent, measures(sent % 20)) for name in names]
                    push(bench.engine, given, clusters, Sealing())
                    sent += 1

            feeding = threading.Thread(target=feed)
            feeding.start()
            for _ in range(asked.kills):
                victim = chance.choice(HOSTS)
                bench.running[victim].kill()
                bench.running.pop(victim).wait()
                killed = time.monotonic()
                until(lambda lost=victim: all(one.host and one.cluster != lost
                                              for one in standing(bench.engine).values()) or None, 60)  # fmt: skip
                taken.append(time.monotonic() - killed)
                time.sleep(chance.random())
                bench.start(victim)
            stopping.set()
            feeding.join()
            until(lambda: bench.waiting() == 0, 120)
            with bench.engine.connect() as connection:
                rows = connection.execute(select(func.count()).select_from(stream_rows)).scalar_one()
                said = connection.execute(select(verdicts.c.cluster, verdicts.c.ts)).all()
            spent = time.monotonic() - began
            name = f"kills/{asked.kills}"
            return [row(name, "rows", rows, "rows", spent, 0.0, bench.peak_mib),
                    row(name, "lost", rows - len(set(said)), "rows", spent, 0.0, bench.peak_mib),
                    row(name, "doubled", len(said) - len(set(said)), "rows", spent, 0.0, bench.peak_mib),
                    row(name, "take_over_median", float(np.median(taken)), "s", spent, 0.0, bench.peak_mib),
                    row(name, "take_over_max", max(taken), "s", spent, 0.0, bench.peak_mib)]  # fmt: skip
        finally:
            stopping.set()
            bench.stop()


def plan(asked: argparse.Namespace) -> list[Row]:
    """200 models of 20 classes with 300 other workloads, verified by the code that the solver does not share."""
    from planner.checking import verify_plan
    from planner.planning import PlanRequest, make_plan

    scenario = large_scenario(asked.seed)
    began, cpu = time.monotonic(), time.process_time()
    planned = make_plan(scenario, PlanRequest(time_limit_s=asked.seconds, seed=asked.seed))
    spent, used = time.monotonic() - began, time.process_time() - cpu
    country = {cluster.name: cluster.country for cluster in scenario.clusters}
    watches = {one.name: one.watches for one in planned.scenario.workloads if one.watches is not None}
    abroad = [
        unit
        for unit in planned.plan.assignments
        if unit.workload in watches and country[unit.cluster] != watches[unit.workload].country
    ]
    abroad_after = [
        row
        for row in planned.plan.fallbacks
        if row.workload in watches and country[row.cluster] != watches[row.workload].country
    ]
    check = verify_plan(scenario, planned.plan)
    costs = planned.plan.costs_by_owner
    share = costs.get("diagnostics", 0.0) / planned.plan.cost_usd
    name = f"plan/{len(planned.scenario.workloads)}"
    return [
        row(name, "holds", float(check.holds), "1 if so", spent, used, 0.0),
        row(name, "hosted_workloads", float(len(watches)), "workloads", spent, used, 0.0),
        row(name, "abroad", float(len(abroad) + len(abroad_after)), "units", spent, used, 0.0),
        row(name, "gap", planned.plan.gap, "share", spent, used, 0.0),
        row(name, "cost_share_of_diagnostics", share, "share", spent, used, 0.0),
    ]


# Making it up ---------------------------------------------------------------------------------------------------------


def large_scenario(seed: int) -> Any:  # noqa: ANN401 - a Scenario, which is loaded here only
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


def opened(folder: Path, database: str | None, names: list[str]) -> Bench:
    """A database with a plan in force that has these clusters watched, and a model."""
    address = checked_url(database) if database else f"sqlite:///{folder / 'planner.sqlite'}"
    upgrade(address)
    in_force(address, hosted(names))
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
    from datetime import UTC, datetime

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


def models(folder: Path) -> None:
    """A stable model of the size that a search finds."""
    frame = make_fleet([Site("s", HARDWARE, "IE", 8)], 21, 0).frame()
    rows = rows_of(frame[frame["metric"].isin(METRICS)].assign(country="IE"), Allowed())
    day = rows.steps_per_day
    inputs = tuple(metric for metric in METRICS if "latency" not in metric and metric != "queue_depth")
    made = fit(Candidate("io", inputs, "zscore", "none", "linear_then_boosting"),
               ("queue_depth", "read_latency_ms", "write_latency_ms"), rows.between(0, 16 * day),
               Measured(rows.between(16 * day, 21 * day), 0), FitSettings(200, 40_000, 0.02, 0))  # fmt: skip
    store = ModelStore(folder)
    told = NewVersion(
        HARDWARE, rows.sha256, "made up", "benchmark", made.predictions_sha256(), {}, {}, {}, (), (), None
    )
    store.promote(store.register(told, dump(made.to_dict()), "benchmark", "made").id, None, "benchmark", "made")
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


if __name__ == "__main__":
    main()
