"""Described tasks whose past demand is known: the history says how much comes, the description what one replica is and
does.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import model_validator

from planner.errors import InputError
from planner.profiles.build import DEFAULT_LEVEL, WEEK_OF_HOURS, replicas_for
from planner.profiles.history import Demand, Wanted, demand_ahead, read_history, select
from planner.profiles.library import AMOUNTS
from planner.profiles.model import Figure, Profile
from planner.profiles.parts import Stated, row_of
from planner.scenario.model import Horizon, Model, Request, Slo
from planner.scenario.values import Instant, Name, Positive, Some

if TYPE_CHECKING:
    import pandas as pd

LOADS = ("requests_per_s", "concurrent_requests")
MOST_ROWS = 2016
"""Of a history that comes along: whoever asks waits for its forecast."""
RUNS = ("run_hours", "warehouse_dwu")
"""Figures of work that comes in runs."""
SURE = 2 * DEFAULT_LEVEL - 1
"""Chance of what lies between the quantiles of a forecast at the level that is planned with, and at 1 - level."""


class Point(Model):
    """What came in one step of time."""

    ts: Instant
    value: float | None


class PastDemand(Model):
    """Past demand of a task, in a `file` (its rows for the task's name, or for its `metric`) or as `rows`.

    `per_replica` is how much one replica does; left out, the description says it.
    """

    file: Name | None = None
    rows: Some[Point] | None = None
    metric: Name | None = None
    per_replica: Positive | None = None

    @model_validator(mode="after")
    def _from_one_place(self) -> Self:
        if (self.file is None) == (self.rows is None):
            raise ValueError("give file, or rows as [{ts: 2026-11-02T00:00:00Z, value: 40}, ...]")
        count = len(self.rows or ())
        if count > MOST_ROWS:
            raise ValueError(f"{count:,} rows: at most {MOST_ROWS:,}, twelve weeks of hours: the newest do")
        return self


def week_ahead(past: PastDemand, name: str, find: Callable[[str], Path]) -> Demand:
    """Demand of the week of hours after the end of a task's history. Files are where `find` says.

    Raises InputError for a history that cannot be forecast, as those of scenarios are refused.
    """
    from forecasting import check

    want = Wanted(name, Path("history") if past.file is None else find(past.file), past.metric)
    frame = _frame(past.rows or (), want) if past.file is None else select(read_history(want.path), want)
    checked = check(frame, 1)
    if checked.refused:
        raise InputError([f"{want.where}: {checked.refused[0].reason}"])
    end: datetime = checked.series[0].times_ahead(1)[0].astype("datetime64[s]").item()
    horizon = Horizon(start=end.replace(tzinfo=UTC), slots=WEEK_OF_HOURS.count, slot_minutes=WEEK_OF_HOURS.minutes)
    return demand_ahead(frame, [want], horizon, DEFAULT_LEVEL, 0)[name]


def _frame(rows: tuple[Point, ...], want: Wanted) -> pd.DataFrame:
    """Rows as a long frame. Raises InputError for times beyond what is reckoned with."""
    import pandas as pd

    ds = pd.Series(pd.to_datetime([row.ts for row in rows], utc=True, errors="coerce"))
    if ds.isna().any():
        odd = rows[int(ds.isna().to_numpy().argmax())].ts
        raise InputError([f"{want.where}: ts: {odd.isoformat()}: from 1678 to 2261"])
    values = pd.Series([row.value for row in rows], dtype=float)
    return pd.DataFrame({"unique_id": want.workload, "ds": ds, "y": values})


def with_load(kind: str, task: dict[str, Any], demand: Demand) -> dict[str, Any]:
    """The fields of a task, of serving with the highest demand as its load where they state none."""
    most = float(demand.quantile.max())
    if kind != "serving" or most <= 0 or any(task.get(name) not in (None, "unknown") for name in LOADS):
        return task
    return task | {"requests_per_s": most}


def undescribed(kind: str, stated: Stated, request: Request) -> Profile:
    """The profile of a task of which nothing is known but its past demand and what one replica is given."""
    return Profile.model_validate({
        "kind": kind, "request": request, "hardware": stated.hardware, "replicas": (), "figures": (),
        "latency_ms": stated.slo.latency_ms, "service_ms": stated.slo.service_ms or None,
        "storage_gb": None, "storage_kind": None, "working_kind": None, "structure": None})


def without_runs(profile: Profile) -> Profile:
    """The profile of work of which nobody said that it comes in runs: past demand says when there is how much."""
    figures = tuple(figure for figure in profile.figures if figure.name not in RUNS)
    return profile.model_copy(update={"batch": None, "warehouse_dwu": (), "figures": figures})


def counted(profile: Profile, demand: Demand, per_replica: float | None, where: str) -> Profile:
    """A profile with the replicas [168] that a demand needs. Raises InputError where nobody says what one replica does.
    """
    slo = Slo(latency_ms=profile.latency_ms, service_ms=profile.service_ms or 0.0)
    each = per_replica or profile.per_replica
    (row, how), (low, _) = (replicas_for(quantile, profile.kind, slo, each, DEFAULT_LEVEL, f"{where}: history")
                            for quantile in (demand.quantile, demand.low))
    most, least = max(1, int(row.max())), max(1, int(low.max()))
    if profile.batch is None:
        rows, lows = tuple(row.tolist()), tuple(low.tolist())
    else:  # as many run at once as the busiest slot needs
        rows, lows = (row_of(profile.batch, amount, WEEK_OF_HOURS) for amount in (most, least))
    cores = profile.request.vcpu
    figures = (
        Figure(name="demand", value=float(demand.quantile.max()), low=float(demand.low.max()), confidence=SURE,
               high=float(demand.quantile.max()), source="history", why=demand.why),
        Figure(name="replicas", value=float(most), unit="replicas", low=float(least), high=float(most), confidence=SURE,
               source="history", why=how),
        Figure(name="cores", value=most * cores, unit="vCPU", low=least * cores, high=most * cores, confidence=SURE,
               source="history", why=f"{most} of {cores:g} vCPU."),
        Figure(name="slots_used", value=sum(count > 0 for count in rows) / len(rows), unit="share", confidence=SURE,
               source="history", why=f"It runs in {sum(count > 0 for count in rows)} of {len(rows)} slots."))
    names = {figure.name for figure in figures}
    kept = (figure for figure in profile.figures if figure.name not in names)
    return profile.model_copy(update={"replicas": rows, "replicas_low": lows, "replicas_high": rows,
                                      "per_replica": each, "figures": (*figures, *kept)})


def as_stated(profile: Profile, request: Request) -> Profile:
    """A profile of replicas that are given what the task states."""
    said = {name: float(value) for name, value in request.model_dump().items() if name in AMOUNTS}
    figures = tuple(Figure(name=name, value=value, unit=AMOUNTS[name], low=value, high=value, confidence=1.0,
                           source="stated", why="The task states it.") for name, value in said.items())
    gpu = Figure(name="gpu", value=str(request.gpu), confidence=1.0, source="stated", why="The task states it.")
    names = {*said, "gpu"}
    kept = (figure for figure in profile.figures if figure.name not in names)
    return profile.model_copy(update={"request": request, "figures": (*figures, gpu, *kept)})
