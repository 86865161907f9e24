"""A plan of any size for benchmarks of pages: made up, and kept by the service's own code as one that it has made."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from api.database.engine import upgrade
from api.database.tenancy import DEFAULT
from api.jobs.durable import Queue
from api.store.files import FLEET, JSON, PARQUET, ROUTES, SUMMARY, WORKLOADS
from api.store.jobs import Submission
from api.store.store import Store
from planner.directing.routes import Routes, routes_text
from planner.plan import Plan
from planner.report.figures import Figures
from planner.report.fleet import fleet_view
from planner.report.page import plan_view
from planner.scenario.model import Cluster, Workload
from planner.workload_list import table_bytes, table_of

KINDS = ("etl", "feature", "training", "serving")
REGIONS = (("aws", "eu-west-1", "IE"), ("aws", "us-east-1", "US"), ("azure", "westeurope", "NL"),
           ("gcp", "us-central1", "US"))  # fmt: skip
CLUSTERS, POOLS, OWNERS, PIPELINES = 40, 4, 60, 900
SURVIVING = 3
"""Every third workload has a fallback for the loss of its cluster."""


def keep_plan(data: Path, workloads: int, slots: int, seed: int) -> str:
    """Id of a plan in the store of a data folder, which is made."""
    data.mkdir(parents=True)
    url = f"sqlite:///{data / 'planner.sqlite'}"
    upgrade(url)
    queue = Queue(url)
    queue.open()
    store = Store(url, queue)
    mine = store.of(DEFAULT)
    rng = np.random.default_rng(seed)
    clusters, plan = _clusters(), _plan(workloads, slots, rng)
    job = store.begin(mine.submit(Submission("large", {}, None, tuple(one.name for one in clusters), "x")), 3)
    assert job is not None
    assert mine.finish_plan(job, plan, _files(plan, clusters, rng))
    queue.close()
    store.close()
    return job.id


def _clusters() -> list[Cluster]:
    machine = {"name": "m", "vcpu": 16.0, "memory_gib": 64.0}
    pools = [{"name": f"pool-{at}", "machine": machine, "max": 1_000_000} for at in range(POOLS)]
    return [Cluster.model_validate({"name": f"{provider}-{at:02d}", "provider": provider, "region": region,
                                    "country": country, "pools": pools}, strict=False)
            for at in range(CLUSTERS) for provider, region, country in [REGIONS[at % len(REGIONS)]]]


def _plan(workloads: int, slots: int, rng: np.random.Generator) -> Plan:
    """Every workload in one pool, at a price and for a reason; machines of a daily course."""
    names = [f"{KINDS[at % 4]}-{at:06d}" for at in range(workloads)]
    places = [(f"{REGIONS[at % 4][0]}-{at:02d}", f"pool-{pool}") for at in range(CLUSTERS) for pool in range(POOLS)]
    place, other = rng.integers(0, len(places), (2, workloads)).tolist()
    extra = rng.uniform(0.1, 90, workloads).round(2).tolist()
    day = 1 + np.sin(2 * np.pi * np.arange(slots) / 24)
    members: list[list[str]] = [[] for _ in places]
    for name, at in zip(names, place, strict=True):
        members[at].append(name)
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)

    def at(number: int) -> dict[str, str]:
        return dict(zip(("cluster", "pool"), places[number], strict=True))

    content: dict[str, Any] = {
        "schema": 1, "name": "large", "status": "feasible", "mode": "min_cost", "cost_usd": 900_000.0,
        "costs": {"machines": 800_000.0, "egress": 80_000.0, "storage": 20_000.0, "moves": 0, "carbon": 0},
        "sla_attainment": 0.9991, "bound": 890_000.0, "gap": 1 / 90, "bound_method": "made up", "parent": None,
        "horizon": {"start": start.isoformat(), "slots": slots, "slot_minutes": 60},
        "valid_until": (start + timedelta(hours=slots)).isoformat(),
        "assignments": [{"workload": name, **at(there)} for name, there in zip(names, place, strict=True)],
        "machines": [{**at(number), "purchase": purchase, "count": np.rint(size * day).astype(int).tolist()}
                     for number in range(len(places)) for purchase, size in (("owned", 60), ("on_demand", 90))],
        "reasons": [{"workload": name, "why": f"cheapest of {1 + there % 40} places that its rules leave",
                     "runner_up": "/".join(places[then]), "runner_up_extra_usd": more}
                    for name, there, then, more in zip(names, place, other, extra, strict=True)],
        "fallbacks": [{"lost": places[there][0], "workload": name, **at(then)}
                      for name, there, then in zip(names, place, other, strict=True)][::SURVIVING],
        "groups": [{**at(number), "workloads": found, "sum_of_peaks": 300, "peak_of_sum": 150, "saved_usd": 4_000.0}
                   for number, found in enumerate(members) if len(found) > 1],
        "scarce": [{"what": f"pool {'/'.join(found)}: max 1000000", "price_usd": 0.5} for found in places[:20]],
        "costs_by_owner": {f"team-{number:02d}": 900_000.0 / OWNERS for number in range(OWNERS)},
    }  # fmt: skip
    return Plan.model_validate(content, strict=False).with_id()


def _files(plan: Plan, clusters: list[Cluster], rng: np.random.Generator) -> dict[str, tuple[str, bytes]]:
    """What the service keeps beside a plan for its pages, as `api.kinds.shown` makes it."""
    names, total = [unit.workload for unit in plan.assignments], len(plan.assignments)
    usd = dict(zip(names, rng.exponential(9, total).round(2).tolist(), strict=True))
    share = np.full(len(clusters), 1 / len(clusters))
    parts = {part: amount * share for part, amount in plan.costs.model_dump().items()}
    figures = Figures(tuple(one.name for one in clusters), rng.random((len(clusters), plan.horizon.slots)), parts, usd)
    workloads = [Workload.model_validate({
        "name": name, "kind": KINDS[at % 4], "owner": f"team-{at % OWNERS:02d}",
        "pipeline": f"pipeline-{at % PIPELINES:03d}", "priority": at % 100, "replicas": [1],
        "request": {"vcpu": 1.0, "memory_gib": 4.0}}, strict=False) for at, name in enumerate(names)]
    each = {one.name: plan.cost_usd / len(clusters) for one in clusters}
    routes = Routes(plan_id=plan.plan_id, name=plan.name, horizon=plan.horizon, clusters={}, workloads={})
    return {SUMMARY: (JSON, json.dumps(plan_view(plan, figures) | {"assignments": []}).encode()),
            FLEET: (JSON, json.dumps(fleet_view(plan, clusters, "cluster", each)).encode()),
            WORKLOADS: (PARQUET, table_bytes(table_of(plan, workloads, usd, set(names[::1000])))),
            ROUTES: (JSON, routes_text(routes).encode())}
