"""Kill -9 at random of hosts and of the processes that retrain in them, while rows come and retraining promotes.

The disks of the cluster that models are trained on have become half as fast: a model of these days is better than what
serves, so that retraining promotes it; some kills later it is rolled back by hand, and is found and promoted anew.

Afterwards: every row has one verdict, of a version that served its class then (or was tried on its cluster), and every
run of retraining went through its steps once, in their order.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, insert, select

from api.database.tables import drifts, loop_steps, stream_rows, verdicts
from api.hosting.leases import standing
from api.hosting.sealing import Sealing
from api.hosting.steps import BY, GO_ON, STEPS
from api.hosting.streams import Given, push
from benchmarks.hosting_fleet import HARDWARE, HOSTS, METRICS, Bench, hosted, measures, until
from diagnostics.store import ModelStore, StoreError
from diagnostics.synthetic import Site, make_fleet
from planner.hosting import Hosted, parse_hosted

NAMES = tuple(f"watched-{number:02d}" for number in range(30))
TAUGHT = NAMES[0]
"""The cluster that models are trained on, and tried on."""
DAYS, SLOWER_FROM_DAY = 30, 2
"""Of history, and from when on it is slower."""
SLOW = ("read_latency_ms", "write_latency_ms", "queue_depth")
BACK_AFTER = 3
"""Kills that a version which retraining promoted serves for before it is rolled back."""
LOOPS = 1 / 3
"""Share of kills that hit a process that retrains."""
SETTLED_S = 1.0
"""How long after another version came to serve a verdict by the one before may be written."""
SEARCH: Mapping[str, Any] = {
    "schema": 1, "targets": ["read_latency_ms", "queue_depth"], "ignore": [], "scalings": ["zscore"],
    "reductions": ["none"], "ensembles": ["linear_then_boosting"], "screened": False, "families": {},
    "feature_sets": {"io": {"metrics": ["iops", "io_size_kib"]}},
    "scenarios": {"slow-disk": {"expect": "fault", "multiply": {"read_latency_ms": 3.0}, "hosts": 0.5, "hours": 12}},
}  # fmt: skip
ENVIRONMENT: Mapping[str, str] = {
    "PLANNER_RETRAINING__EVERY_MINUTES": "0.25", "PLANNER_RETRAINING__SEARCH_S": "30",
    "PLANNER_RETRAINING__CANARY_ROWS": "50", "PLANNER_RETRAINING__CANARY_MORE_ALARMS": "1",
    "PLANNER_RETRAINING__NAME_KEY": "names are made up here",
}  # fmt: skip


@dataclass
class Killed:
    """What came of it: seconds until everything a host had served was served again, counts, and the most seconds after
    a version ceased to serve that a verdict by it was written.
    """

    taken_over: list[float] = field(default_factory=list)
    loops: int = 0
    rows: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    noticed_s: float = 0.0
    versions: int = 0
    changes: int = 0
    promoted: int = 0
    runs: int = 0
    broken_runs: int = 0


def taught() -> Hosted:
    """Thirty watched clusters, and the training of their class on one of them, which any host may take."""
    document = json.loads(hosted(list(NAMES)).model_dump_json(by_alias=True))
    document["work"]["training"] = {
        "kind": "training", "places": [{"cluster": HOSTS[0], "fallbacks": {HOSTS[0]: HOSTS[1]}}],
        "watches": {"hardware_class": HARDWARE, "clusters": [TAUGHT], "country": "IE", "purpose": "train"},
    }  # fmt: skip
    return parse_hosted(json.dumps(document), "made up")


def kill_at_random(bench: Bench, kills: int, seed: int) -> Killed:
    """Kill so many times, each when what was killed before is back, and look at what is in the database then."""
    chance, found = random.Random(seed), Killed()  # noqa: S311 - a benchmark
    sets = bench.folder / "sets.yaml"
    sets.write_text(json.dumps(SEARCH))
    bench.environment = {**ENVIRONMENT, "PLANNER_FEATURE_SETS": str(sets)}
    clusters = taught().clusters
    begin = int(time.time()) // 3600 * 3600 - 60 * 86_400
    hours = taught_hours(2 * DAYS)
    push(bench.engine, [Given(TAUGHT, begin + 3600 * at, row) for at, row in enumerate(hours[: 24 * DAYS])], clusters,
         Sealing())  # fmt: skip
    for cluster in HOSTS:
        bench.start(cluster)
    until(lambda: sum(one.host is not None for one in standing(bench.engine).values()) == len(NAMES) + 1, 120)
    stopping = threading.Event()

    def feed() -> None:
        """300 rows a second; every so often a month of the cluster that models are trained on has drifted."""
        sent, start = 0, begin + DAYS * 86_400
        while not stopping.wait(0.1):
            rows = {name: measures(sent % 20) for name in NAMES} | {TAUGHT: hours[24 * DAYS + sent // 60]}
            push(bench.engine, [Given(name, start + 60 * sent, row) for name, row in rows.items()], clusters, Sealing())
            if sent % 100 == 0:
                _drift(bench.engine, 10_000 + sent)
            sent += 1

    seen: list[tuple[float, str]] = []

    def watch() -> None:
        """When who serves could be seen: a change is stamped before it is written, much before on a busy machine."""
        watched = ModelStore(bench.folder / "models")
        while not stopping.wait(0.02):
            serving = watched.serving(HARDWARE)
            if serving is not None and (not seen or seen[-1][1] != serving.id):
                seen.append((time.time(), serving.id))
        watched.close()

    feeding, watching = threading.Thread(target=feed), threading.Thread(target=watch)
    feeding.start()
    watching.start()
    store = ModelStore(bench.folder / "models")
    good, since = store.stable(HARDWARE)[-1], 0
    try:
        for number in range(kills):
            serving = store.serving(HARDWARE)
            if serving is None or serving.id == good:
                since = number
            elif number - since >= BACK_AFTER:
                with suppress(StoreError):  # retraining was faster
                    store.rollback(HARDWARE, good, "benchmark", "back, to be found better again")
            loop = _loop_of(bench) if chance.random() < LOOPS else None
            if loop is not None:
                with suppress(ProcessLookupError):
                    os.kill(loop, signal.SIGKILL)
                found.loops += 1
                time.sleep(2 + 6 * chance.random())
                continue
            victim = chance.choice(HOSTS)
            bench.running[victim].kill()
            bench.running.pop(victim).wait()
            killed = time.monotonic()
            until(lambda lost=victim: all(one.host and one.cluster != lost
                                          for one in standing(bench.engine).values()) or None, 60)  # fmt: skip
            found.taken_over.append(time.monotonic() - killed)
            time.sleep(chance.random())
            bench.start(victim)
            bench.sample()
    finally:
        stopping.set()
        feeding.join()
        watching.join()
        store.close()
    until(lambda: bench.waiting() == 0, 300)
    _look(bench, found, seen)
    return found


def taught_hours(days: int) -> list[dict[str, dict[str, float]]]:
    """Hourly rows that a model can be trained on, of disks that became half as fast."""
    frame = make_fleet([Site(TAUGHT, HARDWARE, "IE", 4)], days, 1).frame()
    frame = frame[frame["metric"].isin(METRICS)]
    table = frame.pivot_table(index=["ts", "host"], columns="metric", values="value")
    rows = defaultdict[Any, dict[str, dict[str, float]]](dict)
    for (ts, host), values in table.iterrows():
        node = f"host-{int(str(host).rsplit('-', 1)[1]) - 1}"  # as `measures` calls them
        slower = 2.0 if len(rows) > 24 * SLOWER_FROM_DAY else 1.0
        rows[ts][node] = {str(name): float(one) * (slower if name in SLOW else 1.0) for name, one in values.items()}
    return [rows[ts] for ts in sorted(rows)]


def _drift(engine: Engine, day: int) -> None:
    with engine.begin() as connection:
        connection.execute(insert(drifts).values(cluster=TAUGHT, day=day, metric="read_latency_ms", statistic=1.0,
                                                 threshold=0.1, p=0.0, drifted=1, host="made up"))  # fmt: skip


def _loop_of(bench: Bench) -> int | None:
    """A process that retrains, of one of the hosts."""
    hosts = {process.pid for process in bench.running.values()}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent in hosts and b"api.hosting.loop" in (entry / "cmdline").read_bytes():
                return int(entry.name)
    return None


def _look(bench: Bench, found: Killed, seen: list[tuple[float, str]]) -> None:
    """Count what is wrong in the database; `seen` is who served from when on, as anybody could see it."""
    with bench.engine.connect() as connection:
        found.rows = int(connection.execute(select(func.count()).select_from(stream_rows)).scalar_one())
        same = (stream_rows.c.cluster == verdicts.c.cluster) & (stream_rows.c.ts == verdicts.c.ts)
        columns = verdicts.c.cluster, verdicts.c.ts, verdicts.c.model_version, verdicts.c.seconds
        said = connection.execute(select(*columns, stream_rows.c.arrived_at).join(stream_rows, same)).all()
        noted = connection.execute(select(loop_steps).order_by(loop_steps.c.at)).all()
    once = {(row.cluster, row.ts) for row in said}
    found.lost, found.doubled = found.rows - len(once), len(said) - len(once)
    store = ModelStore(bench.folder / "models")
    events = [event for event in store.history(HARDWARE) if event.before != event.after]
    served = [(datetime.fromisoformat(event.at).timestamp(), event.after or "") for event in events]
    store.close()
    found.changes = len(events)
    found.promoted = sum(event.action == "promote" and event.by == BY for event in events)
    tried = {json.loads(row.detail)["version"]: row.at for row in noted if row.step == "train" and row.outcome == GO_ON}
    found.versions = len({row.model_version for row in said})
    ends = [next((at for at, version in seen if at >= begun and version == after), begun)
            for begun, after in served[1:]]  # fmt: skip
    ends.append(float("inf"))
    for row in said:
        at = row.arrived_at + row.seconds
        if row.cluster == TAUGHT and tried.get(row.model_version, at) < at:
            continue
        late = min((max(0.0, at - end) for (begun, version), end in zip(served, ends, strict=True)
                    if version == row.model_version and begun <= at), default=float("inf"))  # fmt: skip
        found.wrong += late > SETTLED_S
        found.noticed_s = max(found.noticed_s, late)
    order, runs = list(STEPS), defaultdict[str, list[Any]](list)
    for row in noted:
        runs[row.run].append(row)
    found.runs = len(runs)
    for at, rows in enumerate(runs.values()):
        names, outcomes = [row.step for row in rows], [row.outcome for row in rows]
        whole = names == order[: len(names)] and all(one == GO_ON for one in outcomes[:-1])
        ended = outcomes[-1] != GO_ON or names[-1] == order[-1]
        found.broken_runs += not whole or (not ended and at < len(runs) - 1)
