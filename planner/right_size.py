"""Requests for workloads from how much they used: a history file in, requests and how they would have fared out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import InputError
from planner.profiles.history import read_history
from planner.scenario.fields import did_you_mean

if TYPE_CHECKING:
    from forecasting import History

UNITS = {"cpu_cores": ("cpu", 1.0), "vcpu": ("cpu", 1.0), "cpu_millicores": ("cpu", 1e-3),
         "memory_bytes": ("memory", 1.0), "memory_mib": ("memory", 2.0**20), "memory_gib": ("memory", 2.0**30)}
"""Metrics that can be sized: resource, and cores or bytes in a unit."""
HELD_DAYS = 7
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Fared:
    """On days held out: the share of a request not used, of steps in which it did not do, and of use beyond it."""

    slack: float
    shortfall: float
    lost: float


@dataclass(frozen=True, slots=True)
class Sized:
    """Requests of one workload in the unit of `metric`: the histogram's target and bounds, the forecast's quantile
    (None under a week of history), and how each fared (`histogram`, `forecast`, `max`; none where history is short).
    """

    workload: str
    metric: str
    target: float
    lower: float
    upper: float
    forecast: float | None
    held_days: int
    fared: dict[str, Fared]


@dataclass(frozen=True, slots=True)
class RightSizes:
    """All workloads sized, and those that are not, by name with the reason."""

    level: float
    rows: tuple[Sized, ...]
    refused: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON has it."""
        return {"level": self.level, "rows": [asdict(row) for row in self.rows], "refused": self.refused}


def right_size(path: Path, level: float = LEVEL, seed: int = 0) -> RightSizes:
    """Size every workload and metric of a history file. Raises InputError for metrics without a known unit."""
    from forecasting import check

    if not 0 < level < 1:
        raise InputError([f"--level: {level:g}: a share above 0 and below 1 is needed, as 0.95"])
    table = read_history(path)
    if table["metric"].isna().any() or table["workload"].isna().any():
        raise InputError([f"{path.name}: columns workload and metric are needed; metrics are {', '.join(UNITS)}"])
    unknown = sorted(set(table["metric"]) - set(UNITS))
    if unknown:
        raise InputError([f"{path.name}: metric: {unknown[0]!r}: {did_you_mean(unknown[0], list(UNITS))}; "  # noqa: ISC004
                          "long rows ts, workload, metric, value are read"])
    rows: list[Sized] = []
    refused: dict[str, str] = {}
    for metric, part in table.groupby("metric", sort=True):
        frame = part.rename(columns={"workload": "unique_id", "value": "y"})[["unique_id", "ds", "y"]]
        checked = check(frame, 1)
        refused |= {f"{one.unique_id}/{metric}": one.reason for one in checked.refused}
        steps: dict[np.timedelta64, list[History]] = {}
        for one in checked.series:
            if np.timedelta64(1, "D") % one.step != np.timedelta64(0):
                refused[f"{one.unique_id}/{metric}"] = "its steps do not divide a day"
            else:
                steps.setdefault(one.step, []).append(one)
        for some in steps.values():
            rows += _sized(str(metric), some, level, seed)
    return RightSizes(level, tuple(sorted(rows, key=lambda row: (row.workload, row.metric))), refused)


def _sized(metric: str, series: list[History], level: float, seed: int) -> list[Sized]:
    from forecasting import History
    from forecasting.panel import make_panel
    from forecasting.rightsizing import CPU, MEMORY, held_out, recommend

    resource, unit = UNITS[metric]
    rules = CPU if resource == "cpu" else MEMORY
    panel = make_panel([History(one.unique_id, one.start, one.step, one.values * unit) for one in series])
    found = recommend(panel, rules, level, seed)
    a_day = int(np.timedelta64(1, "D") // panel.step)
    days = np.minimum(HELD_DAYS, panel.count // a_day // 4)
    fared: dict[str, dict[str, Fared]] = {name: {} for name in panel.ids}
    for many in np.unique(days[days > 0]).tolist():
        part = panel.pick(np.flatnonzero(days == many))
        for how, held in held_out(part, rules, level, many, seed).items():
            for i in np.flatnonzero(np.isfinite(held.slack)).tolist():
                fared[part.ids[i]][how] = Fared(float(held.slack[i]), float(held.shortfall[i]), float(held.lost[i]))
    ahead = [None if np.isnan(request) else float(request / unit) for request in found.forecast]
    return [Sized(name, metric, float(found.target[i] / unit), float(found.lower[i] / unit),
                  float(found.upper[i] / unit), ahead[i], int(days[i]), fared[name])
            for i, name in enumerate(panel.ids)]
