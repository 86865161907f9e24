"""What is left of a scenario from a slot on, while a plan in force runs: nothing before that slot is planned again.

The horizon is cut at `now`, and with it all that varies by slot. Batch runs that have begun stay where they are and
when they began: what is left of them is work without a window, pinned to its pool. Runs that have not begun may begin
from `now` on. What the plan in force has bought for the horizon (owned and committed machines, units of commitments) is
there and paid for. All other work runs on where it is, unless a move is worth it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from placement.needs import unit_needs
from placement.problem import Counts
from planner.errors import InputError
from planner.formulate import formulate
from planner.interpret import read_assignments
from planner.plan import Assignment, Frozen, Held, Plan, Running
from planner.profiles import Profiles, profile
from planner.scenario.model import ClusterRules, Hardware, Horizon, Offer, Period, Pool, Scenario, Workload
from planner.timeline import Timeline

FIXED = ("owned", "committed")
"""Purchases that hold for the horizon."""


def slot_of(now: str, horizon: Horizon) -> int:
    """The first slot that has not begun at `now`: a slot's number, or a time in ISO 8601 (UTC where none is said)."""
    if now.isdigit():
        slot = int(now)
    else:
        try:
            moment = datetime.fromisoformat(now)
        except ValueError:
            raise InputError([f"--now: {now}: a slot or a time as 2026-11-03T06:00:00Z is needed"]) from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        minutes = (moment - horizon.start).total_seconds() / 60
        slot = int(np.searchsorted(Timeline.of(horizon).minute, minutes))
    if not 0 < slot < horizon.slots:
        raise InputError([f"--now: {now}: slot {slot}: from 1 to {horizon.slots - 1} is allowed"])
    return slot


def frozen_at(plan: Plan, slot: int) -> Frozen:
    """What a plan in force fixes at a slot of the scenario's horizon. Raises InputError where it began later."""
    before = plan.frozen.slot if plan.frozen else 0
    if slot < before:
        raise InputError([f"--now: slot {slot}: the plan in force begins at slot {before}"])
    held = {(one.cluster, one.pool, one.purchase): one.count for one in (plan.frozen.held if plan.frozen else ())}
    for row in plan.machines:
        if row.purchase in FIXED:
            key = (row.cluster, row.pool, row.purchase)
            held[key] = max(held.get(key, 0), *row.count)
    bought = dict(plan.frozen.bought) if plan.frozen else {}
    for one in plan.commitments:
        bought[one.name] = bought.get(one.name, 0.0) + one.bought
    return Frozen(slot=slot, held=tuple(Held(cluster=c, pool=p, purchase=kind, count=count)
                                        for (c, p, kind), count in sorted(held.items()) if count),
                  bought={name: amount for name, amount in sorted(bought.items()) if amount},
                  running=tuple(_running(plan, slot, before)))


def _running(plan: Plan, slot: int, before: int) -> Iterator[Running]:
    """Runs that have begun; a workload with several units cannot be frozen in part."""
    units: dict[str, list[Assignment]] = {}
    for unit in plan.assignments:
        units.setdefault(unit.workload, []).append(unit)
    yield from plan.frozen.running if plan.frozen else ()
    for name, mine in sorted(units.items()):
        begun = [unit for unit in mine if unit.start_slot is not None and unit.start_slot + before < slot]
        if begun:
            if len(mine) > 1:
                why = "freezing one of several units is not available yet; choose a slot before it begins"
                raise InputError([f"--now: slot {slot}: {name} has {len(mine)} units and has begun: {why}"])
            unit = begun[0]
            yield Running(workload=name, user_region=unit.user_region, cluster=unit.cluster, pool=unit.pool,
                          start_slot=(unit.start_slot or 0) + before)


def shifted(plan: Plan, frozen: Frozen) -> Plan:
    """A plan in force in the slots of the cut horizon: what has begun has no start any more."""
    before = plan.frozen.slot if plan.frozen else 0
    running = {row.workload for row in frozen.running}
    rows = tuple(unit if unit.start_slot is None else unit.model_copy(update={
        "start_slot": None if unit.workload in running else unit.start_slot + before - frozen.slot})
        for unit in plan.assignments)
    return plan.model_copy(update={"assignments": rows})


@dataclass(frozen=True, slots=True)
class _Cut:
    """What to cut: the original horizon's `days` [T] and the first `slot` that is left."""

    frozen: Frozen
    slot: int
    slots: int
    day: float

    def tail(self, value: Any) -> Any:  # noqa: ANN401 (a number, or one for each slot)
        return tuple(value[self.slot:]) if isinstance(value, list | tuple) else value


def left_of(scenario: Scenario, profiles: Profiles, frozen: Frozen) -> tuple[Scenario, Profiles]:
    """A resolved scenario from a slot on, and what its workloads need there. Raises InputError."""
    if scenario.sizing == "pooled":
        raise InputError(["--now: not available yet with sizing: pooled; use each"])
    timeline = Timeline.of(scenario.horizon)
    cut = _Cut(frozen, frozen.slot, scenario.horizon.slots, float(timeline.days[frozen.slot]))
    rest = _rest_of_runs(scenario, profiles, frozen)
    workloads = tuple(_workload(workload, cut, scenario.objective.mode) for workload in profiles.workloads)
    replicas = profiles.replicas[:, frozen.slot:].copy()
    for w, workload in enumerate(profiles.workloads):
        if workload.name in rest:
            replicas[w] = rest[workload.name]
    replicas.setflags(write=False)
    clusters = tuple(cluster.model_copy(update={
        "grid_g_per_kwh": cut.tail(cluster.grid_g_per_kwh),
        "pools": tuple(_pool(cluster.name, pool, cut) for pool in cluster.pools)}) for cluster in scenario.clusters)
    commitments = tuple(one.model_copy(update={
        "owned": one.owned + (extra := frozen.bought.get(one.name, 0.0)), "max_buy": max(0.0, one.max_buy - extra)})
        for one in scenario.commitments)
    kept = scenario.folder, scenario.source_sha256, scenario.given_replicas
    later = scenario.model_copy(update={
        "horizon": cut_horizon(scenario.horizon, frozen.slot), "clusters": clusters, "commitments": commitments,
        "workloads": workloads}).with_source(*kept)
    return later, replace(profiles, workloads=workloads, replicas=replicas)


def part_of(plan: Plan, scenario: Scenario) -> tuple[Scenario, Profiles]:
    """The part of a resolved scenario that a plan plans, and what its workloads need there. Raises InputError."""
    profiles = profile(scenario, plan.provenance.seed)
    return (scenario, profiles) if plan.frozen is None else left_of(scenario, profiles, plan.frozen)


def cut_horizon(horizon: Horizon, slot: int) -> Horizon:
    """The horizon from a slot on; windows keep the days that a slot of theirs stands for."""
    windows, at = [], slot
    for window in horizon.windows:
        if at < window.slots:
            minutes = np.timedelta64(at * horizon.slot_minutes, "m").astype("timedelta64[s]").item()
            windows.append(Period(start=window.start + minutes, slots=window.slots - at,
                                  stands_for_days=window.stands_for_days * (window.slots - at) / window.slots))
        at = max(0, at - window.slots)
    return horizon.model_copy(update={"start": windows[0].start, "slots": horizon.slots - slot,
                                      "periods": tuple(windows) if horizon.periods else ()})


def _pool(cluster: str, pool: Pool, cut: _Cut) -> Pool:
    """A pool from a slot on; machines could be ordered since the horizon began."""
    held = {one.purchase: one.count for one in cut.frozen.held if (one.cluster, one.pool) == (cluster, pool.name)}
    offers = tuple(_offer(offer, held.get(offer.purchase, 0), cut) for offer in pool.offers)
    return pool.model_copy(update={"min": cut.tail(pool.min), "max": cut.tail(pool.max), "offers": offers,
                                   "lead_time_days": max(0.0, pool.lead_time_days - cut.day)})


def _offer(offer: Offer, held: int, cut: _Cut) -> Offer:
    """An offer from a slot on, of which as many machines are owned as the plan in force holds, where limits allow."""
    most, owned = cut.tail(offer.max), cut.tail(offer.owned)
    if held:
        left = cut.slots - cut.slot
        limit = np.broadcast_to(np.asarray(held if most is None else most), left)
        owned = tuple(np.maximum(np.broadcast_to(owned, left), np.minimum(limit, held)).tolist())
    return offer.model_copy(update={"price_usd_per_hour": cut.tail(offer.price_usd_per_hour), "max": most,
                                    "owned": owned, "assured_max": cut.tail(offer.assured_max)})


def _workload(workload: Workload, cut: _Cut, mode: str) -> Workload:
    run = next((row for row in cut.frozen.running if row.workload == workload.name), None)
    deadline = workload.slo.deadline_slot
    slo = workload.slo.model_copy(update={"deadline_slot": None if deadline is None else deadline - cut.slot})
    if run is not None:
        return workload.model_copy(update={
            "batch": None, "slo": slo.model_copy(update={"deadline_slot": None}), "survive": "none",
            "hardware": workload.hardware.model_copy(update={"throughput": Hardware().throughput}),
            "clusters": ClusterRules(pin=f"{run.cluster}/{run.pool}")})
    if workload.batch is None:
        return workload
    latest = workload.batch.latest_slot
    if (latest is not None and latest < cut.slot) or (deadline is not None and deadline < cut.slot):
        return _too_late(workload, cut, mode)
    window = {"earliest_slot": max(0, workload.batch.earliest_slot - cut.slot),
              "latest_slot": None if latest is None else latest - cut.slot}
    return workload.model_copy(update={"batch": workload.batch.model_copy(update=window), "slo": slo})


def _too_late(workload: Workload, cut: _Cut, mode: str) -> Workload:
    """A run that did not begin in time: it has no place any more. Raises InputError where it must have one."""
    if mode == "min_cost" and not workload.droppable:
        why = "the plan in force does not run it: give it a later batch.latest_slot, or mark it droppable"
        raise InputError([f"--now: slot {cut.slot}: {workload.name} had to begin before, and {why}"])
    never = {"batch": None, "slo": workload.slo.model_copy(update={"deadline_slot": None}),
             "clusters": ClusterRules(deny=("*",))}
    return workload.model_copy(update=never)


def _rest_of_runs(scenario: Scenario, profiles: Profiles, frozen: Frozen) -> dict[str, Counts]:
    """Replicas [T - slot] that are left of the runs that have begun, by workload."""
    if not frozen.running:
        return {}
    rows = [Assignment(workload=row.workload, user_region=row.user_region, cluster=row.cluster, pool=row.pool,
                       start_slot=row.start_slot) for row in frozen.running]
    formulation = formulate(scenario, profiles, {(row.workload, row.user_region): 1 for row in rows})
    units, wrong = read_assignments(rows, formulation)
    if wrong:
        raise InputError([f"--now: slot {frozen.slot}: what runs then is not legal in this scenario: {wrong[0]}"])
    needs = unit_needs(formulation.problem, units)[:, frozen.slot:]
    return {formulation.names.streams[s][0]: row for s, row in zip(units.stream.tolist(), needs, strict=True)}
