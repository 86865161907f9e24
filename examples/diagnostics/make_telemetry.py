"""Make what six clusters send in nine weeks: `python examples/diagnostics/make_telemetry.py FOLDER`.

FOLDER gets weekly batches of hourly counters by host, a key that names are hashed with, and a table of jobs. Of what is
wrong `planner diagnose` finds all: a disk of onprem-ashburn has been failing slowly since the last but one day, and a
new tenant with large IOs came to onprem-frankfurt on the last. Of what goes wrong on the way `planner telemetry ingest`
sets right what can be: a batch comes twice, one late, a host's clock is three hours ahead. onprem-zurich did not agree.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from diagnostics.synthetic import COUNTERS, GAUGES, Fleet, Site, make_fleet

SEED = 20261102
SITES = (
    Site("onprem-saopaulo", "all-flash-nvme", "BR", 3, -3),
    Site("onprem-frankfurt", "all-flash-nvme", "DE", 3, 1),
    Site("onprem-ashburn", "mixed-disk", "US", 3, -5),
    Site("onprem-dublin", "mixed-disk", "IE", 3, 0),
    Site("onprem-lisbon", "all-flash-nvme", "PT", 3, 0),
    Site("onprem-zurich", "mixed-disk", "CH", 1, 1),
)
WEEKS = 9
WEEK = 168
KEY = "for-this-example-only-0123456789abcdef"
JOBS = """job,workload,cluster,submitted,started,finished,state,reason,waits_for
ingest-9,ingest,onprem-dublin,2026-11-01T00:00Z,2026-11-01T00:04Z,2026-11-01T02:10Z,failed,,
claims-9,claims-etl,onprem-dublin,2026-11-01T01:00Z,,,pending,,ingest-9
odds-9,odds-training,onprem-frankfurt,2026-11-01T15:00Z,,,pending,0/3 nodes are available: 3 Insufficient gpu,
sync,registry-sync,onprem-ashburn,2026-10-29T11:00Z,2026-10-29T11:01Z,,running,"GET /v2/: 401 Unauthorized, retrying",
"""


def break_things(fleet: Fleet) -> None:
    """The failing disk and the new tenant."""
    where = {name: [row for row, host in enumerate(fleet.hosts) if host.cluster == name]
             for name in ("onprem-ashburn", "onprem-frankfurt")}  # fmt: skip
    failing = where["onprem-ashburn"][0]  # one host of three, and the mean of the cluster shows it
    for metric in ("read_latency_ms", "write_latency_ms", "queue_depth"):
        fleet.gauges[failing, GAUGES.index(metric), -36:] *= np.linspace(1.5, 9.0, 36)
    tenant = where["onprem-frankfurt"]
    for metric, factor in (("io_size_kib", 8.0), ("iops", 0.5), ("throughput_mib_s", 4.0), ("network_mbps", 4.0)):
        fleet.gauges[tenant, GAUGES.index(metric), -20:] *= factor
    for counter, factor in (("io_total", 0.5), ("moved_mib_total", 4.0)):
        counted = fleet.counters[tenant, COUNTERS.index(counter)]
        counted[:, -20:] = counted[:, -21:-20] + np.cumsum(factor * np.diff(counted[:, -21:], axis=1), axis=1)
        fleet.counters[tenant, COUNTERS.index(counter)] = counted


def main(folder: Path) -> None:
    """Write batches, key and jobs into `folder`."""
    import pandas as pd

    fleet = make_fleet(SITES, WEEKS * 7, SEED)
    break_things(fleet)
    for week in range(WEEKS):
        rows = fleet.frame(week * WEEK, (week + 1) * WEEK)
        if week == WEEKS - 1:
            fast = (rows["cluster"] == "onprem-dublin") & (rows["host"] == "host-002")
            rows.loc[fast, "ts"] += pd.Timedelta(hours=3)
        rows.to_parquet(folder / f"week-{week + 1}.parquet", index=False)
    (folder / "week-9-again.parquet").write_bytes((folder / "week-9.parquet").read_bytes())
    (folder / "key").write_text(KEY, encoding="utf-8")
    (folder / "jobs.csv").write_text(JOBS, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
