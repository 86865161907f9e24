"""What a stored model takes on this machine: it scores, and compares months, the way a host does."""

from __future__ import annotations

import platform
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from api.database.engine import engine_of, upgrade
from api.database.tenancy import DEFAULT, of_tenant
from api.hosting.leases import Leases
from api.hosting.monitoring import DAYS, compare
from api.hosting.results import Said, keep_verdicts
from api.hosting.scoring import score
from api.hosting.sealing import Sealing
from api.hosting.streams import DAY_S, Given, Measures, Reader, push
from diagnostics.lifecycle import open_model
from diagnostics.store import MeasuredCost, ModelStore, Version
from diagnostics.training.model import HealthModel
from planner.hosting import MEASURED, Cost, Watched
from planner.hosting.cost import HOSTS

CLUSTERS, TURNS = 20, 40
"""That many clusters send a row each, that often."""
GIB = 2.0**30
_COUNTRY = "IE"


def measure(store: ModelStore, version: Version) -> Cost:
    """Measure a version and keep it in the store. CPU seconds of scoring and of comparing months are measured here,
    with reading and writing on SQLite; those of training are what its search took where it was made; memory is that of
    this process. What is not measured stands as built in: memory of training and what it reads, and the time to a
    verdict.
    """
    model = open_model(store, version)
    rows = list(_rows(model))
    with _database() as engine:
        scoring, drift = _scoring(engine, model, rows), _drift(engine, version.made.hardware, rows)
    memory = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB, 3)
    trained = sum(float(one["seconds"]) for one in version.made.trials if "seconds" in one)
    cost = Cost(
        score_cpu_s=scoring,
        drift_cpu_s=round(drift * HOSTS / len(rows[0]), 5),
        train_cpu_s=trained or MEASURED.train_cpu_s,
        score_memory_gib=memory,
        drift_memory_gib=memory,
        train_memory_gib=MEASURED.train_memory_gib,
        verdict_ms=MEASURED.verdict_ms,
    )
    store.add_cost(MeasuredCost(version.id, f"{platform.node()} ({platform.machine()})", asdict(cost)))
    return cost


def _rows(model: HealthModel) -> Iterator[Measures]:
    """Rows like those that the model was verified by, over and over."""
    hosts, steps = model.probe.shape[:2]
    for step in range(steps):
        yield {
            f"host-{host}": {metric: float(value) for metric, value in
                             zip(model.columns, model.probe[host, step], strict=True) if np.isfinite(value)}
            for host in range(hosts)
        }  # fmt: skip


@contextmanager
def _database() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="planner-measure-") as folder:
        url = f"sqlite:///{Path(folder) / 'planner.sqlite'}"
        upgrade(url)
        engine = of_tenant(engine_of(url), DEFAULT)
        yield engine
        engine.dispose()


def _scoring(engine: Engine, model: HealthModel, rows: list[Measures]) -> float:
    """CPU seconds a host's row, from reading to the verdict that is kept."""
    names = [f"measured-{number:02d}" for number in range(CLUSTERS)]
    known = {name: Watched(country=_COUNTRY, hardware_class="any", opted_in=False, losses=(name,)) for name in names}
    work = {f"diagnostics-{name}": name for name in names}
    lease, reader = Leases(engine, "measuring", names[0]), Reader(engine, _COUNTRY, Sealing())
    lease.beat()
    epochs = lease.hold(work)
    reader.begin(work.items())
    start, spent, scored = int(time.time()) // 3600 * 3600 - 2 * DAY_S, 0.0, 0
    step_s = model.step_minutes * 60
    for turn in range(TURNS + 1):
        some = rows[turn % len(rows)]
        push(engine, [Given(name, start - (TURNS - turn) * step_s, some) for name in names], known, Sealing())
        began = time.process_time()
        said = [Said(one, "measured") for one in score(model, reader.pending(list(work)), reader.at)]
        keep_verdicts(engine, "measuring", epochs, said)
        if turn:  # the first loads what is not there yet
            spent += time.process_time() - began
            scored += len(names) * len(some)
    return round(spent / scored, 7)


def _drift(engine: Engine, hardware: str, rows: list[Measures]) -> float:
    """CPU seconds of comparing two months of one cluster."""
    name, chance = "measured-drift", np.random.default_rng(0)
    known = {name: Watched(country=_COUNTRY, hardware_class=hardware, opted_in=False, losses=(name,))}
    last = int(time.time()) // DAY_S - 1
    first = (last + 1 - DAYS) * DAY_S
    given = []
    for hour in range(DAYS * 24):
        factor = float(chance.uniform(0.9, 1.1))
        row = {host: {metric: value * factor for metric, value in metrics.items()}
               for host, metrics in rows[hour % len(rows)].items()}  # fmt: skip
        given.append(Given(name, first + 3600 * hour, row))
    push(engine, given, known, Sealing())
    began = time.process_time()
    compare(Reader(engine, _COUNTRY, Sealing()), name, hardware, last)
    return round(time.process_time() - began, 5)
