"""Make the telemetry of the hybrid example: `telemetry.parquet`, hourly counters of its eight clusters.

    python examples/hybrid/make_telemetry.py [FOLDER]

Nine weeks end where the plan begins. All follow the local day and week of their cluster, with noise of their own.
Two things are wrong, and `planner diagnose examples/hybrid/telemetry.parquet` finds both: reads on onprem-ashburn have
been three times as slow since the evening of the last day (a failing disk), and requests to azure-northeurope have been
half a day's swing higher for the whole last month (a new customer). Two hours of gcp-iowa never arrived.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

SEED = 20261102
END = datetime(2026, 11, 2, tzinfo=UTC)
WEEKS = 9
HOURS = WEEKS * 168
MONTH = 28 * 24

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """A cluster that sends telemetry: its hardware, hours ahead of UTC, and requests per second at a usual hour."""

    cluster: str
    hardware_class: str
    utc_offset_h: int
    requests_per_s: float


SOURCES = (
    Source("aws-virginia", "general", -5, 900.0),
    Source("aws-ireland", "general", 0, 700.0),
    Source("azure-westeurope", "general", 1, 800.0),
    Source("azure-northeurope", "general", 0, 450.0),
    Source("azure-eastus", "general", -5, 600.0),
    Source("gcp-iowa", "general", -6, 500.0),
    Source("onprem-frankfurt", "all-flash", 1, 650.0),
    Source("onprem-ashburn", "mixed-disk", -5, 400.0),
)
READ_MS = {"general": 1.2, "all-flash": 0.4, "mixed-disk": 6.0}


def rhythm(utc_offset_h: int) -> Floats:
    """Load by hour around 1: a daily wave with its peak in the local afternoon, weekends a third lower."""
    local = np.arange(HOURS) + utc_offset_h
    wave = 1.0 + 0.45 * np.cos(2 * np.pi * (local % 24 - 15) / 24)
    start_day = (END - timedelta(hours=HOURS)).weekday()
    weekend = (start_day + local // 24) % 7 >= 5
    return np.asarray(wave * np.where(weekend, 0.67, 1.0))


def metrics(source: Source, generator: np.random.Generator) -> dict[str, Floats]:
    """Requests, processor share and read latency of one cluster, hour by hour."""
    requests = source.requests_per_s * rhythm(source.utc_offset_h) * generator.lognormal(0.0, 0.08, HOURS)
    if source.cluster == "azure-northeurope":
        requests[-MONTH:] += 0.25 * source.requests_per_s
    busy = requests / source.requests_per_s
    cpu = np.clip(0.12 + 0.3 * busy + generator.normal(0.0, 0.02, HOURS), 0.01, 0.99)
    read_ms = READ_MS[source.hardware_class] * (0.8 + 0.25 * busy) * generator.lognormal(0.0, 0.12, HOURS)
    if source.cluster == "onprem-ashburn":
        read_ms[-5:] *= 3.0
    if source.cluster == "gcp-iowa":
        requests[-50:-48] = cpu[-50:-48] = read_ms[-50:-48] = np.nan
    return {"cpu_share": cpu.round(4), "read_latency_ms": read_ms.round(3), "requests_per_s": requests.round(1)}


def main(folder: Path) -> None:
    """Write the file into `folder`."""
    import pandas as pd

    generator = np.random.default_rng(SEED)
    hours = pd.date_range(END - timedelta(hours=HOURS), periods=HOURS, freq="h", unit="ms")
    parts = [
        pd.DataFrame({"cluster": source.cluster, "hardware_class": source.hardware_class, "metric": metric,
                      "ts": hours, "value": values}).dropna()
        for source in SOURCES
        for metric, values in metrics(source, generator).items()
    ]  # fmt: skip
    frame = pd.concat(parts, ignore_index=True)
    names = ["cluster", "hardware_class", "metric"]
    frame[names] = frame[names].astype("category")
    frame.to_parquet(folder / "telemetry.parquet", index=False, compression="zstd")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
