"""Make the demand of the hybrid example: `workloads.yaml` and `replicas.csv`, the same bytes on every run.

    python examples/hybrid/make_demand.py [FOLDER]

A shop with customers in Europe, the United States and Latin America: services follow the local day and week of their
market, nightly ETL moves the day's data, features and training follow, batch work fills what is left. All sizes are in
the tables below; `SCALE` makes the whole fleet larger or smaller.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

SEED = 20261102
SLOTS = 168
SCALE = 8.0
ALLOCATABLE = 0.875
"""Share of its nominal size that a pod asks for, so that pods of 8 vCPU fit a machine of 8 beside its daemons."""

Floats = NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True)
class Market:
    """Customers of one part of the world: hours ahead of UTC, where they call from, size of their demand."""

    utc_offset_h: int
    users: dict[str, float]
    size: float
    home: str
    countries: tuple[str, ...]


MARKETS = {
    "eu": Market(1, {"azure/westeurope": 0.45, "aws/eu-west-1": 0.3, "azure/northeurope": 0.25}, 1.0, "aws/eu-west-1",
                 ("IE", "NL", "DE")),
    "us": Market(-6, {"aws/us-east-1": 0.5, "azure/eastus": 0.3, "gcp/us-central1": 0.2}, 1.2, "aws/us-east-1",
                 ("US",)),
    "latam": Market(-3, {"aws/sa-east-1": 1.0}, 0.5, "aws/us-east-1", ("US", "IE", "NL", "DE")),
}


@dataclass(frozen=True)
class Service:
    """One service: pods of `vcpu`, `memory_gib` and `gpu`; `peak` of them at the busiest hour in a market of size 1."""

    vcpu: float
    memory_gib: float
    peak: float
    shape: str
    latency_ms: float
    availability: float | None = None
    service_ms: float = 20
    gpu: int = 0
    throughput: dict[str, float] = field(default_factory=dict)
    markets: tuple[str, ...] = ("eu", "us")
    resident: bool = False


GPU_SERVING = {"T4": 0.45, "L4": 1.0, "A10G": 1.1, "L40S": 2.0}

SERVICES = {
    "storefront": Service(2, 4, 96, "evening", 80, 0.99, markets=("eu", "us", "latam")),
    "search": Service(4, 16, 60, "evening", 80, 0.99, markets=("eu", "us", "latam")),
    "checkout": Service(2, 8, 48, "evening", 80, 0.99995, markets=("eu", "us")),
    "payments": Service(2, 4, 32, "evening", 80, 0.99995, resident=True),
    "login": Service(1, 2, 48, "office", 90, 0.99995),
    "catalogue": Service(4, 32, 40, "evening", 100, 0.99, markets=("eu", "us", "latam")),
    "pricing": Service(4, 8, 32, "office", 100, 0.99),
    "inventory": Service(2, 16, 32, "office", 200, 0.99),
    "fraud-score": Service(4, 8, 40, "evening", 100, 0.99, resident=True),
    "customer-api": Service(2, 8, 56, "office", 100, 0.99, resident=True),
    "notifications": Service(1, 4, 40, "evening", 400, 0.99, markets=("eu", "us", "latam")),
    "media": Service(4, 8, 48, "evening", 300, 0.99),
    "gateway": Service(1, 2, 64, "evening", 100, 0.99995, markets=("eu", "us")),
    "adverts": Service(2, 8, 48, "evening", 100, 0.99, markets=("eu", "us", "latam")),
    "basket": Service(2, 16, 40, "evening", 90, 0.99),
    "recommend": Service(3, 12, 24, "evening", 200, 0.99, 60, 1, GPU_SERVING, ("eu", "us", "latam")),
    "assistant": Service(3, 12, 20, "office", 600, 0.99, 250, 1, GPU_SERVING),
}
"""Serving. Work follows each market's local clock, so that markets are busy at different times."""

FEEDS = {
    "orders": (600, 24, 2), "clicks": (2400, 40, 3), "payments": (300, 16, 2), "catalogue": (400, 16, 2),
    "logs": (3000, 48, 3), "billing": (200, 12, 2), "reviews": (150, 12, 2), "returns": (100, 8, 2),
    "adverts": (900, 24, 2),
}
"""Nightly ETL in each of Europe and the US: input GB a day, replicas while it runs, hours it takes."""

FEATURES = {
    "baskets": ("orders", 20), "sessions": ("clicks", 32), "risk": ("payments", 16),
    "ranking": ("catalogue", 16), "quality": ("logs", 20), "loyalty": ("returns", 12),
}
"""Feature engineering in each of Europe and the US: the ETL it follows and its replicas at the busiest hour."""

TRAINING = {
    "recommend-model": ("sessions", 16, 6), "ranking-model": ("ranking", 12, 4), "fraud-model": ("risk", 8, 4),
    "assistant-tuning": ("sessions", 24, 8), "churn-model": ("loyalty", 8, 3), "quality-model": ("quality", 8, 4),
}
"""Training in each of Europe and the US: the features it follows, GPUs while it runs, hours it takes on an A100."""

GPU_TRAINING = {"A100": 1.0, "H100": 2.2}

BATCH = {
    "simulation": (8, 16, 40), "rendering": (4, 8, 64), "backfill": (4, 16, 48), "reports": (2, 8, 40),
    "index-build": (4, 32, 32), "load-test": (4, 8, 40), "genomics": (8, 64, 20), "risk-runs": (8, 16, 32),
    "transcoding": (4, 8, 64), "archive": (2, 4, 40),
    "embedding": (8, 32, 28), "web-crawl": (2, 8, 60), "scenario-tests": (4, 16, 40), "forecasts": (8, 32, 24),
}
"""Work that may be interrupted, anywhere: vCPU and GiB of a replica, replicas on average."""


def local_shape(shape: str, utc_offset_h: int) -> Floats:
    """Share of the peak for each hour [SLOTS] of a week that starts on a Monday 00:00 UTC, in a market's local time."""
    hours = np.arange(SLOTS) + utc_offset_h
    hour, day = hours % 24, (hours // 24) % 7
    top, width = {"office": (13.0, 5.0), "evening": (19.0, 5.5)}[shape]
    away = np.minimum(np.abs(hour - top), 24 - np.abs(hour - top))
    bump = np.exp(-0.5 * (away / width) ** 2)
    week = np.where(day >= 5, {"office": 0.45, "evening": 1.0}[shape], {"office": 1.0, "evening": 0.85}[shape])
    level = 0.25 + 0.75 * bump * week
    return np.asarray(level / level.max())


def noisy(level: Floats, noise: Floats, spread: float = 0.06) -> Floats:
    """Level with a noise in [0, 1) turned into factors of 1 ± spread."""
    return level * (1 + spread * (2 * noise - 1))


class Demand:
    """Collects workloads and their replicas per slot."""

    def __init__(self, seed: int, scale: float) -> None:
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.scale = scale
        self.workloads: list[Row] = []
        self.replicas: dict[str, list[int]] = {}

    def add(self, row: Row, level: Floats) -> None:
        """Add a workload that needs `level` [SLOTS] replicas, rounded up, at least one."""
        row = {key: value for key, value in row.items() if value not in (None, {}, [])}
        self.workloads.append({**row, "replicas": {"from": "replicas.csv"}})
        self.replicas[row["name"]] = np.maximum(1, np.ceil(level * self.scale - 1e-9)).astype(int).tolist()

    def steady(self, row: Row, level: Floats) -> None:
        """Add a workload whose level is blurred a little."""
        self.add(row, noisy(level, self.rng.random(SLOTS)))

    def gang(self, row: Row, replicas: float) -> None:
        """Add a workload that runs as a gang of a fixed size."""
        self.add(row, np.full(SLOTS, replicas))


def services(demand: Demand) -> None:
    """Add every service once for each of its markets."""
    for name, service in SERVICES.items():
        for market_name in service.markets:
            market = MARKETS[market_name]
            latency_ms = service.latency_ms + (120 if market_name == "latam" else 0)
            slo = {"availability": service.availability, "latency_ms": latency_ms, "service_ms": service.service_ms}
            row: Row = {
                "name": f"{name}-{market_name}", "kind": "serving", "owner": "shop", "priority": 80,
                "description": f"{name} for customers in {market_name}",
                "request": _request(service.vcpu, service.memory_gib, service.gpu),
                "hardware": {"throughput": dict(service.throughput), "gpu_models": list(service.throughput)}
                if service.gpu else None,
                "slo": slo,
                "users": [{"region": region, "share": share, "gb_per_day": round(20 * share * market.size, 2)}
                          for region, share in market.users.items()],
                "residency": {"allow": list(market.countries)} if service.resident else None,
            }
            demand.steady(row, service.peak * market.size * local_shape(service.shape, market.utc_offset_h))


def nightly(market: Market, opens_h: int, starts: int, hours: int) -> Row:
    """A run of some hours every day that starts at `opens_h` local time or up to `starts` hours later."""
    opens = (opens_h - market.utc_offset_h) % 24
    return {"duration_slots": hours, "earliest_slot": opens, "latest_slot": opens + starts, "every_slots": 24}


def feeds(demand: Demand) -> None:
    """Add the nightly ETL of each market that keeps data."""
    for market_name in ("eu", "us"):
        market = MARKETS[market_name]
        for name, (gb_per_day, replicas, hours) in FEEDS.items():
            demand.gang({
                "name": f"etl-{name}-{market_name}", "kind": "etl", "owner": "data", "priority": 60,
                "pipeline": f"{name}-{market_name}", "description": f"Nightly load of {name} of {market_name}",
                "request": _request(4, 16), "residency": {"allow": list(market.countries)},
                "data": {"location": market.home, "gb_per_day_in": gb_per_day, "stored_gb": 20 * gb_per_day},
                "batch": nightly(market, 23, 2, hours),
            }, replicas * market.size)


def features(demand: Demand) -> None:
    """Add feature engineering, which follows the day of its market and reads what the ETL wrote."""
    for market_name in ("eu", "us"):
        market = MARKETS[market_name]
        for name, (feed, replicas) in FEATURES.items():
            demand.steady({
                "name": f"features-{name}-{market_name}", "kind": "feature", "owner": "data", "priority": 60,
                "pipeline": f"{feed}-{market_name}", "description": f"Features on {name} from {feed}",
                "request": _request(4, 32), "residency": {"allow": list(market.countries)},
                "after": [{"workload": f"etl-{feed}-{market_name}", "gb_per_day": FEEDS[feed][0] * 0.2}],
            }, replicas * market.size * local_shape("office", market.utc_offset_h))


def training(demand: Demand) -> None:
    """Add daily training on GPUs, within a day of its features; half of it may be interrupted."""
    for market_name in ("eu", "us"):
        market = MARKETS[market_name]
        for position, (name, (feature, gpus, hours)) in enumerate(TRAINING.items()):
            demand.gang({
                "name": f"train-{name}-{market_name}", "kind": "training", "owner": "science", "priority": 50,
                "description": f"Daily training of {name} for {market_name}",
                "request": _request(6, 48, 1), "preemptible": position % 2 == 0,
                "hardware": {"gpu_models": list(GPU_TRAINING), "throughput": dict(GPU_TRAINING)},
                "after": [{"workload": f"features-{feature}-{market_name}", "gb_per_day": 40}],
                "batch": nightly(market, 18, 6, hours),
            }, gpus * market.size / 2)


def batch(demand: Demand) -> None:
    """Add work that may be interrupted and may run anywhere."""
    for name, (vcpu, memory_gib, replicas) in BATCH.items():
        wave = 1 + 0.3 * np.sin(2 * np.pi * (np.arange(SLOTS) / 24 + demand.rng.random()))
        demand.steady({
            "name": f"batch-{name}", "kind": "feature", "owner": "research", "priority": 20, "preemptible": True,
            "description": f"{name}, may be interrupted", "request": _request(vcpu, memory_gib),
        }, replicas * wave)


def watchers(demand: Demand) -> None:
    """Add the planner's own work: a diagnostics model and a drift monitor."""
    demand.steady({
        "name": "diagnostics-model", "kind": "diagnostics", "owner": "platform", "priority": 70,
        "description": "Scores the telemetry of every cluster and explains what is wrong",
        "request": _request(4, 16), "slo": {"availability": 0.99},
        "data": {"location": "aws/us-east-1", "gb_per_day_in": 40, "stored_gb": 600},
    }, np.full(SLOTS, 6.0))
    demand.steady({
        "name": "drift-monitor", "kind": "drift_monitor", "owner": "platform", "priority": 70,
        "description": "Compares what models see today with what they were trained on",
        "request": _request(2, 8), "after": [{"workload": "features-sessions-eu", "gb_per_day": 10}],
    }, np.full(SLOTS, 4.0))


def _request(vcpu: float, memory_gib: float, gpu: int = 0) -> Row:
    if gpu:
        return {"vcpu": vcpu, "memory_gib": memory_gib, "gpu": gpu}
    return {"vcpu": vcpu * ALLOCATABLE, "memory_gib": memory_gib * ALLOCATABLE}


def make(seed: int = SEED, scale: float = SCALE) -> Demand:
    """Return all workloads of the example with their replicas."""
    demand = Demand(seed, scale)
    for part in (services, feeds, features, training, batch, watchers):
        part(demand)
    return demand


def replica_rows(demand: Demand) -> Iterator[list[str | int]]:
    """Rows of `replicas.csv`, header first."""
    yield ["workload", *range(SLOTS)]
    for name, counts in demand.replicas.items():
        yield [name, *counts]


def write(folder: Path, demand: Demand) -> None:
    """Write `workloads.yaml` and `replicas.csv` into `folder`."""
    text = yaml.safe_dump(demand.workloads, sort_keys=False, default_flow_style=None, width=120)
    head = "# Made by make_demand.py; change the tables there.\n"
    (folder / "workloads.yaml").write_text(head + text, encoding="utf-8")
    with (folder / "replicas.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(replica_rows(demand))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent, make())
