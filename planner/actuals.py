"""What really came, against a plan that is under way: forecast error, misses and cost so far.

Demand comes slot by slot, in any number of tables; of what is said twice of a slot the last word counts. Slots count as
long as every workload has said what it wanted, from the first one on; after them the plan's own demand is assumed,
which changes nothing before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from placement.online import Policy
from placement.problem import Bools, Counts
from planner.bill import HELD
from planner.build import usd
from planner.catalog import builtin_catalog
from planner.errors import InputError
from planner.plan import read_plan
from planner.profiles import profile
from planner.recorded import Long, read_columns
from planner.replay import Asked, Replayed, replay
from planner.resolve import resolve
from planner.scenario.fields import did_you_mean
from planner.scenario.model import Horizon, Scenario


@dataclass(frozen=True, slots=True, eq=False)
class Actuals:
    """Replicas [W, T] that were really wanted in the first `slots`, and as planned after them; `planned` [W, T]."""

    names: tuple[str, ...]
    replicas: Counts
    planned: Counts
    slots: int


def read_actuals(tables: Sequence[Path], names: Sequence[str], horizon: Horizon, planned: Counts) -> Actuals:
    """Put tables of recorded demand (rows of `workload`, `replicas` and `slot` or `ts`) together, the oldest first.

    Raises InputError for what cannot be read or is not of the scenario, and where the first slot is not complete.
    """
    place, known = {name: row for row, name in enumerate(names)}, np.zeros(planned.shape, np.bool_)
    replicas = planned.copy()
    for path in tables:
        table = read_columns(path, ("workload", "ts"))
        if "replicas" not in table.column_names:
            found = ", ".join(table.column_names[:8])
            raise InputError([f"{path.name}: columns: {found}: needed are workload, replicas and one of ts and slot"])
        rows = Long(path.name, table, horizon)
        if odd := [name for name in rows.names if name not in place]:
            raise InputError([f"{path.name}: workload: {name}: not in the scenario: {did_you_mean(name, list(names))}"
                              for name in odd])
        at = np.array([place[name] for name in rows.names], np.int64)[rows.row]
        replicas[at, rows.slot], known[at, rows.slot] = rows.replicas, True
    complete: Bools = np.asarray(known.all(axis=0))
    slots = len(complete) if complete.all() else int(np.argmin(complete))
    if not slots:
        missing = [name for name, row in zip(names, known, strict=True) if not row[0]]
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError([f"slot 0: no row of {missing[0]}{more} yet: slots count when every workload has one"])
    return Actuals(tuple(names), replicas, planned, slots)


def judge(given: Scenario, plan: Path, tables: Sequence[Path], bill: Path | None, folder: Path) -> dict[str, Any]:
    """A plan beside what came of it so far; `folder` is for what is written on the way. Raises InputError."""
    import pyarrow as pa  # heavy, and wanted only where there is a table
    import pyarrow.parquet as pq

    scenario = resolve(given, builtin_catalog())
    profiles = profile(scenario, read_plan(plan).provenance.seed)
    names = [workload.name for workload in profiles.workloads]
    actuals = read_actuals(tables, names, scenario.horizon, profiles.replicas)
    rows, slots = actuals.replicas.shape
    table = pa.table({"workload": pa.array(np.repeat(names, slots)), "slot": np.tile(np.arange(slots), rows),
                      "replicas": actuals.replicas.ravel()})
    pq.write_table(table, folder / "so-far.parquet")
    policy: Policy = "fixed" if scenario.limits else "autoscale"
    found = replay(given, plan, folder / "so-far.parquet", Asked(policy), bill)
    return {"slots": actuals.slots, "of": slots, "policy": policy, "forecast": forecast_error(actuals),
            "misses": _misses(found, actuals.slots), "machines_usd": _machines(found, actuals.slots),
            "billed_usd": None if found.cloud is None else usd(found.cloud.effective_usd)}


def forecast_error(actuals: Actuals) -> dict[str, float | None]:
    """Planned against wanted replicas over the slots so far: `wape` (absolute errors over what was wanted), `bias`
    (more planned than wanted is positive) and the share of workloads' slots in which more was wanted than planned.
    """
    wanted = actuals.replicas[:, :actuals.slots].astype(np.float64)
    error = actuals.planned[:, :actuals.slots] - wanted
    total = float(wanted.sum())
    return {"wape": float(np.abs(error).sum()) / total if total else None,
            "bias": float(error.sum()) / total if total else None, "above_plan": float((error < 0).mean())}


def _misses(found: Replayed, slots: int) -> dict[str, Any]:
    """Workloads' slots in which fewer replicas ran than were wanted."""
    run, plan = found.run, found.opened.solution
    assert plan is not None
    workload = found.problem.streams.workload[plan.units.stream]
    names = found.opened.formulation.names.workloads
    asked, missed = np.zeros((len(names), slots), np.bool_), np.zeros((len(names), slots), np.bool_)
    np.logical_or.at(asked, workload, (run.ran + run.short)[:, :slots] > 0)
    np.logical_or.at(missed, workload, run.short[:, :slots] > 0)
    wanted = found.opened.formulation.demand.replicas[:, :slots] > 0
    nowhere = ~np.isin(np.arange(len(names)), workload)
    asked[nowhere], missed[nowhere] = wanted[nowhere], wanted[nowhere]
    counts = missed.sum(axis=1)
    return {"asked": int(asked.sum()), "missed": int(missed.sum()),
            "workloads": {names[row]: int(counts[row]) for row in np.flatnonzero(counts).tolist()}}


def _machines(found: Replayed, slots: int) -> dict[str, float]:
    """USD of machines in the slots so far, as planned and as they had to run."""
    offers = found.problem.offers

    def cost(machines: Counts) -> float:
        held = np.maximum(offers.owned, machines.max(axis=1, initial=0)[:, None])
        paid = np.where(np.isin(offers.purchase, HELD)[:, None], held, machines)
        return usd(float((paid * offers.price_usd)[:, :slots].sum()))

    return {"planned": cost(found.plan_machines), "realised": cost(found.run.machines)}
