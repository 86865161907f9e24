"""Many series at once: CPU time a series and peak memory of `planner forecast`, by engine, with the same figures out.

    python -m benchmarks.forecasting_scale [--series 100000] [--weeks 8] [--engines processes,ray] [--json FILE]
    python -m benchmarks.forecasting_scale --engines none [--json FILE]

Hourly series are drawn from a seed (a day, a week, growth, noise and a share that is silent at night, of sizes four
orders of magnitude apart) and written as one Parquet file; each engine forecasts all of them 48 hours ahead at three
quantiles in a process of its own. Learning, reading and writing count. Before that, the first use of `forecasting` is
measured: its import, and a forecast of the first 100 of these series, in new processes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.machine import describe_machine
from benchmarks.measure import run_measured

LIMIT_S = 4 * 3600.0
BLOCK = 1_000
"""Series written at a time."""
FIRST, TRIES = 100, 5
"""Series of a first forecast, and how often it is made; the first time, which may compile, does not count."""
FIRST_USE = """
import json, resource, sys, time
def now():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return time.perf_counter(), time.process_time(), peak
begun = now()
import forecasting
imported = now()
import pandas as pd
made = forecasting.forecast(pd.read_parquet(sys.argv[1]), 48, (0.5, 0.9, 0.99))
done = now()
assert len(made.models) == int(sys.argv[2]) and "prophet" not in sys.modules
print(json.dumps([[after[0] - begun[0], after[1] - begun[1], after[2]] for after in (imported, done)]))
"""


def draw(series: NDArray[np.int64], weeks: int, seed: int) -> NDArray[np.float64]:
    """Demand [N, hours] of some series, by their numbers; each depends on its number and the seed alone."""
    hours = np.arange(168 * weeks)
    rows = np.empty((len(series), len(hours)))
    for row, number in zip(rows, series.tolist(), strict=True):
        rng = np.random.default_rng([seed, number])
        size, day, week = np.exp(rng.normal(4, 2.3)), rng.uniform(0, 0.9), rng.uniform(0, 0.5)
        shape = 1 + day * np.sin(2 * np.pi * (hours / 24 + rng.random()))
        shape *= 1 - week * ((hours // 24 + rng.integers(7)) % 7 >= 5)
        level = np.exp(np.cumsum(rng.normal(rng.normal(0, 2e-4), 0.004, len(hours))))
        noise = np.exp(rng.normal(0, rng.uniform(0.02, 0.4), len(hours)))
        quiet = (hours % 24 < 6) if rng.random() < 0.1 else np.zeros(len(hours), np.bool_)
        row[:] = np.where(quiet, 0.0, size * shape * level * noise)
    return rows


def write(file: Path, series: int, weeks: int, seed: int) -> None:
    """The series as one long Parquet file: unique_id, ds, y."""
    start = np.datetime64("2026-09-07T00:00:00", "ns")
    times = start + np.arange(168 * weeks) * np.timedelta64(3_600_000_000_000, "ns")
    schema = pa.schema([("unique_id", pa.string()), ("ds", pa.timestamp("ns", "UTC")), ("y", pa.float64())])
    with pq.ParquetWriter(file, schema) as writer:
        for begin in range(0, series, BLOCK):
            numbers = np.arange(begin, min(begin + BLOCK, series))
            names = pa.array([f"s{number:07d}" for number in numbers.tolist()])
            codes = pa.array(np.repeat(np.arange(len(numbers), dtype=np.int32), len(times)))
            writer.write_table(pa.table({
                "unique_id": pa.DictionaryArray.from_arrays(codes, names).cast(pa.string()),
                "ds": pa.array(np.tile(times, len(numbers))).cast(pa.timestamp("ns", "UTC")),
                "y": draw(numbers, weeks, seed).ravel()}, schema))


def first_use(history: Path, weeks: int, seed: int) -> list[dict[str, Any]]:
    """Seconds until `forecasting` is imported, and until 100 series have been read and forecast: middles of several new
    processes.
    """
    write(history, FIRST, weeks, seed)
    command = [sys.executable, "-c", FIRST_USE, str(history), str(FIRST)]
    told = [json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603
            for _ in range(1 + TRIES)][1:]
    rows = []
    for metric, tries in zip(("import_seconds", "first_forecast_seconds"), zip(*told, strict=True), strict=True):
        seconds, cpu, peak = (statistics.median(column) for column in zip(*tries, strict=True))
        rows.append({"instance": f"hourly-{FIRST}x{weeks}w", "method": "forecasting", "metric": metric,
                     "value": seconds, "unit": "s", "seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak})
        print(f"{metric}: {seconds:.2f} s, {cpu:.2f} CPU s, {peak:.0f} MiB")
    return rows


def main() -> None:
    """Run the command line."""
    made = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    made.add_argument("--series", type=int, default=100_000)
    made.add_argument("--weeks", type=int, default=8)
    made.add_argument("--engines", default="processes,ray", help="with commas; none: the first use alone")
    made.add_argument("--workers", type=int, default=os.cpu_count())
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--json", type=Path, help="write the figures here")
    asked = made.parse_args()
    machine, digests = describe_machine(), {}
    engines = [] if asked.engines == "none" else asked.engines.split(",")
    with tempfile.TemporaryDirectory() as name:
        history = Path(name) / "history.parquet"
        rows = first_use(history, asked.weeks, asked.seed)
        if engines:
            write(history, asked.series, asked.weeks, asked.seed)
            print(f"{asked.series} series, {history.stat().st_size / 2**20:.0f} MiB")
        for engine in engines:
            output = Path(name) / f"{engine}.parquet"
            used = run_measured([sys.executable, "-m", "planner", "forecast", str(history), "--engine", engine,
                                 "--workers", str(asked.workers), "-o", str(output)], LIMIT_S)
            if used.exit_status != 0:
                sys.exit(f"{engine}: exit status {used.exit_status}")
            digests[engine] = hashlib.sha256(output.read_bytes()).hexdigest()
            told = json.loads(output.with_name(f"{engine}.report.json").read_text())
            cpu = max(used.cpu_seconds, told["cost"]["cpu_seconds"])  # workers of Ray are no children of ours
            figures = {"cpu_seconds_per_series": (cpu / asked.series, "s"), "peak_mib": (used.peak_mib, "MiB"),
                       "refused": (told["series"]["refused"], "series"),
                       "same_as_first": (float(digests[engine] == next(iter(digests.values()))), "share"),
                       "wql": (told["backtest"]["models"]["forecast"]["wql"], "share")}
            rows += [{"instance": f"hourly-{asked.series}x{asked.weeks}w", "method": f"planner-{engine}",
                      "metric": metric, "value": value, "unit": unit, "seconds": used.seconds, "cpu_seconds": cpu,
                      "peak_mib": used.peak_mib} for metric, (value, unit) in figures.items()]
            print(f"{engine}: {1000 * cpu / asked.series:.2f} CPU ms a series, {used.seconds:.0f} s, "
                  f"{used.peak_mib:.0f} MiB, sha256 {digests[engine][:16]}")
    if asked.json:
        found = {"benchmark": "forecasting_scale", "machine": machine, "rows": rows}
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
