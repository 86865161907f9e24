"""A service of its own for a benchmark: started, asked, measured, killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.measure import ROOT

Json = dict[str, Any]
READY_S = 120.0
UNLIMITED = {"reads": "1000000/second", "writes": "1000000/second"}
"""What one caller may ask of the service: here one caller is all of them."""


@dataclass
class Served:
    """A running service."""

    process: subprocess.Popen[bytes]
    url: str
    ready_s: float
    http: httpx.Client

    def family(self) -> list[psutil.Process]:
        """The service and all processes below it, itself first."""
        try:
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def resident_mib(self) -> float:
        """Resident memory of all its processes; pages that they share count once for each."""
        found = 0
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                found += process.memory_info().rss
        return found / 2**20

    def proportional_mib(self) -> float:
        """Memory of all its processes; of pages that several share, to each its part (PSS)."""
        found = 0
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                found += process.memory_full_info().pss
        return found / 2**20

    def cpu_seconds(self) -> float:
        """Processor time of the process that answers."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def other_cpu_seconds(self) -> dict[int, float]:
        """Processor time of the processes below it so far, by process."""
        found = {}
        for process in self.family()[1:]:
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                found[process.pid] = float(times.user + times.system)
        return found

    def ended(self, plan_id: str, seconds: float = 600) -> Json:
        """Wait until a plan is neither queued nor running."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            state: Json = self.http.get(f"/v1/plans/{plan_id}").json()
            if state["status"] not in ("queued", "running"):
                return state
            time.sleep(0.1)
        raise TimeoutError(f"plan {plan_id}: {state['status']} after {seconds:g} s")

    def kill(self) -> None:
        """Kill -9, as the machine would; processes below it end by themselves."""
        self.process.kill()
        self.process.wait()
        self.http.close()


@contextmanager
def serving(data: Path, **settings: object) -> Iterator[Served]:
    """Serve a data folder on a free port, and kill it in the end."""
    served = start(data, **settings)
    try:
        yield served
    finally:
        served.kill()


def start(data: Path, **settings: object) -> Served:
    """Serve a data folder on a free port, as `planner serve` does. It is ready when this returns."""
    given = {"data": str(data), "port": 0, "limits": UNLIMITED} | settings
    texts = {name: str(value) if isinstance(value, str | Path) else json.dumps(value) for name, value in given.items()}
    environment = os.environ | {f"PLANNER_{name.upper()}": text for name, text in texts.items()}
    log, began = data.with_name(f"{data.name}.log"), time.perf_counter()
    with log.open("w") as file:
        code = "from planner.cli import main; main(['serve'])"
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=file, env=environment)  # noqa: S603 - our own
    url = _address(process, log, began)
    http = httpx.Client(base_url=url, timeout=60, trust_env=False)
    while time.perf_counter() < began + READY_S:
        with suppress(httpx.TransportError):
            if http.get("/readyz").is_success:
                return Served(process, url, time.perf_counter() - began, http)
        time.sleep(0.01)
    raise TimeoutError(f"not ready in {READY_S:g} s: {log.read_text()[-2000:]}")


def _address(process: subprocess.Popen[bytes], log: Path, began: float) -> str:
    """Where the service says that it serves."""
    while process.poll() is None and time.perf_counter() < began + READY_S:
        words = log.read_text().split()
        if words[:2] == ["planner", "serves"] and len(words) > 3:
            return words[2]
        time.sleep(0.01)
    raise RuntimeError(f"the service did not start: {log.read_text()[-2000:]}")


def fleet(workloads: int = 20, clusters: int = 4) -> Json:
    """A small fleet from now on: services with users in two regions, each with a fallback; solved in a moment."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    regions = ("eu-west-1", "eu-central-1")
    pool = {"name": "general", "machine": {"name": "m", "vcpu": 16, "memory_gib": 64}, "max": 8 * workloads}
    return {
        "name": "fleet",
        "horizon": {"start": start.strftime("%Y-%m-%dT%H:%M:%SZ"), "slots": 24, "slot_minutes": 60},
        "objective": {"mode": "min_cost", "sla_floor": 1.0},
        "survive": "cluster",
        "clusters": [
            {"name": f"cluster-{n}", "provider": "aws", "region": regions[n % 2], "country": "IE",
             "pools": [pool | {"offers": [{"purchase": "on_demand", "price_usd_per_hour": 1.0 + n / 10}]}]}
            for n in range(clusters)
        ],
        "workloads": [
            {"name": f"web-{n}", "kind": "serving", "request": {"vcpu": 1, "memory_gib": 2},
             "replicas": [4 + n % 5] * 24, "users": [{"region": f"aws/{region}", "share": 0.5} for region in regions]}
            for n in range(workloads)
        ],
    }  # fmt: skip


def put_in_force(served: Served) -> str:
    """Id of a plan of the fleet that requests are directed by."""
    asked = served.http.post("/v1/plans", json={"scenario": fleet(), "solver": "first-fit", "time_limit_s": 300})
    state = served.ended(asked.raise_for_status().json()["id"])
    if state["status"] != "done":
        raise RuntimeError(f"the fleet cannot be planned: {state['status']}: {state['errors']}")
    while served.http.get("/v1/direct/web-0").json().get("plan") != state["id"]:
        time.sleep(0.05)
    return str(state["id"])


@contextmanager
def solving(served: Served, scenario: str) -> Iterator[None]:
    """While the service works on a plan of one of its scenarios for as long as it takes."""
    body: Mapping[str, object] = {"scenario": scenario, "thorough": True, "time_limit_s": 3600}
    plan_id = served.http.post("/v1/plans", json=body).raise_for_status().json()["id"]
    while (served.http.get(f"/v1/plans/{plan_id}").json()["progress"] or {}).get("objective") is None:
        time.sleep(0.2)
    try:
        yield
    finally:
        state = served.http.post(f"/v1/plans/{plan_id}/cancel").json().get("status")
    if state != "cancelled":
        raise RuntimeError(f"{scenario}: planned before the end of the measurement ({state}): a larger one is needed")
