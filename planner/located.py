"""Where demand is: units of workloads in pools, as a plan has them, or as pins and incumbents say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from placement.problem import Bools, Ints
from planner.demand import throughput
from planner.errors import InputError
from planner.legal import Window, no_start
from planner.needed import Untold, hourly
from planner.plan import Plan
from planner.profiles.model import Profiles
from planner.room import Room, room_of
from planner.scenario.model import Horizon, Request, Scenario, Workload
from planner.timeline import Timeline

Floats = NDArray[np.float64]
Placed = tuple[int, int, float, float, float, int | None]
"""Workload, pool, share, skip, cap and start slot of a unit."""
FITS = 1e-6
NO_CAP = 1e18


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """U units: replicas of `workload` x `share`, of which the first `skip` are elsewhere and `cap` at most are here,
    over `speed`, in `pool`. Of batch units `busy` has the hours of a cycle in which they run; others always do.
    """

    workload: Ints
    pool: Ints
    share: Floats
    skip: Floats
    cap: Floats
    speed: Floats
    busy: Mapping[int, Bools]

    def runs(self, hour: int, steps: int) -> Bools:
        """Whether each unit runs [U, steps] in the hours from `hour` on."""
        at, found = hour + np.arange(steps), np.ones((len(self.workload), steps), bool)
        for unit, hours in self.busy.items():
            found[unit] = hours[at % len(hours)]
        return found


def locate(scenario: Scenario, profiles: Profiles, plan: Plan | None, told: Sequence[bool]
           ) -> tuple[Located, tuple[Untold, ...]]:
    """Units of all workloads that are `told` [W]. Raises InputError for a plan that names what the scenario lacks."""
    room = room_of(scenario)
    placed, untold = _planned(profiles, room, plan, told) if plan else _stated(profiles, room, told)
    rule, speeds = throughput(profiles.workloads, profiles.request, room.machines)
    rows: list[tuple[float, ...]] = []
    busy: dict[int, Bools] = {}
    for w, pool, *what, start in placed:
        workload, speed = profiles.workloads[w], float(speeds[rule[w], pool])
        if workload.batch is not None:  # throughput stretches its runs, and leaves their replicas alone
            hours = _busy(workload, speed, start, scenario.horizon)
            if isinstance(hours, str):
                untold.append(Untold("workload", workload.name, f"{'/'.join(room.names[pool])}: {hours}"))
                continue
            busy[len(rows)], speed = hours, 1.0
        rows.append((w, pool, *what, speed))
    table = np.array(rows, float).reshape(len(rows), 6)
    return Located(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2], table[:, 3], table[:, 4],
                   table[:, 5], busy), tuple(untold)


def _busy(workload: Workload, speed: float, start: int | None, horizon: Horizon) -> Bools | str:
    """Hours of a cycle in which a batch unit runs on hardware of that speed, from its start slot (None: the first legal
    one), as a plan lays its runs; or why it has no start there.
    """
    assert workload.batch is not None
    slots = Timeline.of(horizon).window
    window = Window.of(workload.batch, workload.slo.deadline_slot, slots, np.array([speed]))
    if start is None:
        if not window.starts[0]:
            return no_start(workload, window, slots)
        start = window.starts[0][0][0]
    row = np.zeros(len(slots))
    for turn in range(window.runs):
        begin = start + turn * window.period
        row[begin : begin + int(window.length[0])] = 1.0
    return hourly(row, horizon, int(slots[start])) > 0


def _planned(profiles: Profiles, room: Room, plan: Plan, told: Sequence[bool]
             ) -> tuple[list[Placed], list[Untold]]:
    at = {workload.name: w for w, workload in enumerate(profiles.workloads)}
    pools = {name: p for p, name in enumerate(room.names)}
    unknown = sorted({f"workload {unit.workload}" for unit in plan.assignments if unit.workload not in at}
                     | {f"pool {unit.cluster}/{unit.pool}" for unit in plan.assignments
                        if (unit.cluster, unit.pool) not in pools})
    if unknown:
        raise InputError([f"--plan: {plan.plan_id[:12]}: {', '.join(unknown[:3])}: not in the scenario: plan anew"])
    copies = Counter((unit.workload, unit.user_region) for unit in plan.assignments if unit.part == 0)
    rows: list[Placed] = []
    before: dict[tuple[str, str | None, int], float] = {}
    for unit in sorted(plan.assignments, key=lambda unit: unit.part):
        w, key = at[unit.workload], (unit.workload, unit.user_region, unit.copy_)
        if told[w]:
            share = _share(profiles.workloads[w], unit.user_region) / max(1, copies[key[0], key[1]] - 1)
            cap = NO_CAP if unit.cap is None else float(unit.cap)
            rows.append((w, pools[unit.cluster, unit.pool], share, before.get(key, 0.0), cap, unit.start_slot))
            before[key] = before.get(key, 0.0) + cap
    there = {unit.workload for unit in plan.assignments}
    lost = [Untold("workload", one.name, "the plan places it nowhere")
            for one, known in zip(profiles.workloads, told, strict=True) if known and one.name not in there]
    return rows, lost


def _share(workload: Workload, region: str | None) -> float:
    return next((user.share for user in workload.users if user.region == region), 1.0)


def _stated(profiles: Profiles, room: Room, told: Sequence[bool]) -> tuple[list[Placed], list[Untold]]:
    """Pins first, then incumbents; a cluster alone will do where only one of its pools fits."""
    rows: list[Placed] = []
    untold: list[Untold] = []
    for w, (workload, request) in enumerate(zip(profiles.workloads, profiles.request, strict=True)):
        if not told[w]:
            continue
        found = _place(workload, request, room)
        if isinstance(found, str):
            untold.append(Untold("workload", workload.name, found))
        else:
            rows.append((w, found, 1.0, 0.0, NO_CAP, None))
    return rows, untold


def _place(workload: Workload, request: Request, room: Room) -> int | str:
    incumbent = workload.incumbent
    place = workload.clusters.pin or (None if incumbent is None else
                                      "/".join(filter(None, (incumbent.cluster, incumbent.pool))))
    if place is None:
        return "neither a plan, a pin nor an incumbent says where it runs: give --plan"
    cluster, _, pool = place.partition("/")
    need = np.array([getattr(request, name) for name in room.resources])
    fits = [p for p, name in enumerate(room.names) if name[0] == cluster and pool in ("", name[1])
            and (need <= room.shape[p] + FITS).all() and _gpu(workload, room, p)]
    if len(fits) == 1:
        return fits[0]
    if not fits:
        return f"it fits no machine of {place}"
    names = ", ".join(room.names[p][1] for p in fits[:4])
    return f"it fits several pools of {cluster} ({names}): name one, or give --plan"


def _gpu(workload: Workload, room: Room, pool: int) -> bool:
    models = workload.hardware.gpu_models
    return models is None or room.machines[pool].gpu_model in models


def shape_rows(room: Room, units: Located, requests: Sequence[Request]) -> tuple[Floats, Floats]:
    """Of one replica of every unit [U, 5]: the whole part of a machine that it takes, and what it asks for."""
    asked = np.array([[getattr(request, name) for name in room.resources] for request in requests], float)
    ask = asked[units.workload].reshape(len(units.workload), len(room.resources))
    shape = room.shape[units.pool]
    with np.errstate(divide="ignore", invalid="ignore"):
        fit = np.where(ask > 0, np.maximum(1.0, np.floor(shape / np.where(ask > 0, ask, 1.0) + FITS)), np.inf)
    return 1.0 / fit, ask
