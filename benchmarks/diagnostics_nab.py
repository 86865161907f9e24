"""The Numenta Anomaly Benchmark: streaming detectors on single metrics, scored by its own rules (`nab_scoring`).

DIR holds an archive `*nab*.tar.xz` or the unpacked folders `data` and `labels`. Every detector reads every file once,
forwards, with one setting and one threshold for all files and all profiles. It is told what the benchmark tells
everybody, the length of the probationary period, and rests a fifth of it after an alarm (as KNN CAD and CAD OSE do);
the steps of a day come from the times of that period. Files in `DEVELOPMENT` were looked at while the detector was
made; all others are check files. `periodic` raises an alarm every so often and looks at nothing: what the rules give
for that.
"""

from __future__ import annotations

import csv
import json
import resource
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.table import Table

from benchmarks.harness import Row, table
from benchmarks.nab_scoring import PROFILES, Marked, Tally, score, tally
from diagnostics.streaming import STREAM_DETECTORS, StreamSettings

DETECTORS = {"planner": "surprise", "rolling_z": "rolling_z"}
METHODS = (*DETECTORS, "periodic")
PUBLISHED = {"ARTime": (74.9, 65.1, 80.4), "Numenta HTM": (70.5, 62.6, 75.2), "CAD OSE": (69.9, 67.0, 73.2),
             "KNN CAD": (58.0, 43.4, 64.8), "Random Cut Forest": (51.7, 38.4, 59.7)}
"""Published on all 58 files, thresholds fitted to them: standard, low false positives, low false negatives."""
DEVELOPMENT = frozenset({
    "art_daily_no_noise", "art_daily_small_noise", "art_noisy", "ec2_cpu_utilization_24ae8d",
    "ec2_cpu_utilization_5f5533", "ec2_cpu_utilization_825cc2", "ec2_cpu_utilization_c6585a",
    "ec2_disk_write_bytes_1ef3de", "ec2_network_in_257a54", "elb_request_count_8c0756",
    "iio_us-east-1_i-a2eb1cd9_NetworkIn", "rds_cpu_utilization_e47b3b", "ambient_temperature_system_failure",
    "ec2_request_latency_system_failure", "nyc_taxi", "rogue_agent_key_updown"})
DAY_S = 86_400
EVERY = 2
"""Rests of the periodic alarms."""


@dataclass(frozen=True, eq=False)
class Stream:
    """One file: where it is from, its values, steps of a day as its first rows have it, and its windows."""

    name: str
    values: npt.NDArray[np.float64]
    steps_per_day: int | None
    marked: Marked

    @property
    def category(self) -> str:
        """The folder it lies in."""
        return self.name.split("/")[0]

    @property
    def kind(self) -> str:
        """Whether it was looked at."""
        return "development" if Path(self.name).stem in DEVELOPMENT else "check"


def read_streams(data: Path) -> list[Stream]:
    """All files that have labels, by name. Raises ValueError where there are none."""
    texts = dict(_texts(data))
    windows = next((json.loads(text) for name, text in texts.items() if name.endswith("labels/combined_windows.json")),
                   None)
    if windows is None:
        raise ValueError(f"{data}: no labels/combined_windows.json, and no *nab*.tar.xz that has it")
    named = {"/".join(name.split("/")[-2:]): text for name, text in texts.items() if name.endswith(".csv")}
    found = [_stream(name, named[name], windows[name]) for name in sorted(named) if name in windows]
    if not found:
        raise ValueError(f"{data}: no file of labels/combined_windows.json is under data/")
    return found


def _texts(data: Path) -> Iterator[tuple[str, str]]:
    """Labels and series by path, out of an archive or a folder."""
    archives = sorted(data.glob("*nab*.tar.xz")) if data.is_dir() else [data]
    if archives:
        with tarfile.open(archives[0]) as archive:
            for member in archive:
                opened = archive.extractfile(member) if member.name.endswith((".csv", "_windows.json")) else None
                if opened is not None:
                    yield member.name, opened.read().decode()
        return
    for path in sorted([*data.glob("data/*/*.csv"), *data.glob("labels/combined_windows.json")]):
        yield path.relative_to(data).as_posix(), path.read_text(encoding="utf-8")


def _stream(name: str, text: str, windows: list[list[str]]) -> Stream:
    """One file with its windows as rows."""
    rows = list(csv.DictReader(text.splitlines()))
    times = [row["timestamp"] for row in rows]
    marked = Marked(len(rows), tuple((times.index(first[:19]), times.index(last[:19])) for first, last in windows))
    seconds = np.array(times[: max(marked.probation, 2)], dtype="datetime64[s]").astype(np.int64)
    step = float(np.median(np.diff(seconds)))
    return Stream(name, np.array([float(row["value"]) for row in rows]), round(DAY_S / step) if step > 0 else None,
                  marked)


def settings_of(stream: Stream) -> StreamSettings:
    """What a detector is told of a file."""
    learn = max(stream.marked.probation, 1)
    return StreamSettings(learn_steps=learn, rest_steps=learn // 5, steps_per_day=stream.steps_per_day)


def alarms_of(method: str, stream: Stream) -> npt.NDArray[np.bool_]:
    """The alarms of one method on one file."""
    settings = settings_of(stream)
    if method == "periodic":
        return np.arange(len(stream.values)) % (EVERY * max(settings.rest_steps, 1)) == 0
    return STREAM_DETECTORS[DETECTORS[method]](settings).feed(stream.values).alarm


def measure(data: Path, instances: Sequence[str], methods: Sequence[str], seed: int,
            told: Callable[[str], None]) -> tuple[list[Row], Table]:
    """Scores of all files, of development and check files, and of every category; `seed` is not used by any."""
    del seed
    streams = [one for one in read_streams(data) if not instances or Path(one.name).stem in instances]
    if not streams:
        raise ValueError(f"--instances: none of {', '.join(instances)} is in {data}")
    groups: dict[str, list[int]] = {"all": list(range(len(streams)))}
    for i, one in enumerate(streams):
        groups.setdefault(one.kind, []).append(i)
        groups.setdefault(one.category, []).append(i)
    published = "; ".join(f"{name} {'/'.join(map(str, figures))}" for name, figures in PUBLISHED.items())
    shown = table("Numenta Anomaly Benchmark", ("files", "method", *PROFILES, "missed", "false alarms", "points/CPU s"),
                  f"0: no alarms; 100: perfect. Published, all 58 files, thresholds fitted to them: {published}")
    rows: list[Row] = []
    for method in methods:
        told(f"{method} on {len(streams)} files")
        alarms_of(method, streams[0])  # compiled before the clock starts
        begun, cpu = time.monotonic(), time.process_time()
        alarms = [alarms_of(method, one) for one in streams]
        seconds, cpu = time.monotonic() - begun, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        tallies = [tally(one.marked, raised) for one, raised in zip(streams, alarms, strict=True)]
        speed = sum(len(one.values) for one in streams) / max(cpu, 1e-9)
        for group, members in groups.items():
            figures = _figures([tallies[i] for i in members])
            if group == "all":
                figures["points_per_cpu_s"] = (speed, "1/s")
            rows += [Row(group, method, name, value, unit, round(seconds, 2), round(cpu, 2), round(peak, 1))
                     for name, (value, unit) in figures.items() if np.isfinite(value)]
            texts = [f"{value:.1f}" if unit == "of 100" else f"{value:.0f}" for value, unit in figures.values()]
            shown.add_row(group, method, *("-" if text == "nan" else text for text in texts),
                          end_section=group == list(groups)[-1])
    return rows, shown


def _figures(tallies: list[Tally]) -> dict[str, tuple[float, str]]:
    """Metrics of a group of files, with their units."""
    found = {f"nab_{name}": (score(tallies, profile), "of 100") for name, profile in PROFILES.items()}
    found["windows_missed"] = (float(sum(one.missed for one in tallies)), "count")
    found["false_alarms"] = (float(sum(one.false_alarms for one in tallies)), "count")
    return found
