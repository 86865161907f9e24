"""Recorded demand run against a plan: what it would have cost, what would have waited, what would have moved.

How pools run is in `placement.online`. Prices are those of the plan's scenario; egress, storage and moves from an
incumbent are as planned, since a record of replicas says nothing about data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp
from pathlib import Path
from typing import Any

import numpy as np

from placement.needs import Load, pool_loads
from placement.online import EVENTS, Events, Policy, Rules, Run, gangs, run_online
from placement.packing import Effort, Needed, needed
from placement.problem import Bools, Counts, Floats, Ints, Problem, Purchase
from placement.result import Solution
from planner.bill import HELD, bill
from planner.build import costs_of, usd
from planner.catalog import Catalog
from planner.errors import InputError
from planner.focus import CloudBill, read_bill
from planner.opened import Opened, open_plan
from planner.plan import Costs
from planner.profiles import Profiles
from planner.recorded import read_demand
from planner.scenario.model import Scenario

CAUSES = ("", "demand", "packing", "backlog", "interruption", "unproven", "not placed")
"""Why replicas waited: demand: no packing of it has room. packing: packed anew it would have had room. backlog: it
would, had gangs run in time. interruption: only for want of machines taken back. unproven: none of these was shown."""
HARD_TRIED = 400
"""Most slots of a pool's waiting replicas for which better packings than simple orders find are looked for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How to replay. `interruptions` is the seed of the draws of spot interruptions; None: there are none."""

    policy: Policy = "autoscale"
    interruptions: int | None = None
    every: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """What one workload got. A slot is missed when any of its units ran fewer replicas than were asked for.

    `share` of the slots it asked for anything were missed, of which `allowed` (1 - service level) may be.
    """

    workload: str
    asked_slots: int
    missed_slots: int
    share: float
    allowed: float
    short_replica_slots: int
    evictions: int
    moves: int
    deadline_missed: bool

    @property
    def kept(self) -> bool:
        """Whether it missed no more slots than its service level allows."""
        return self.share <= self.allowed + 1e-12


@dataclass(frozen=True, eq=False)
class Replayed:
    """A run, what it cost and the bill beside it. `packed` [P, T]: machines that the replicas that ran would need if
    they were packed anew; `cause` [P, T]: row of `CAUSES`, why replicas waited there.
    """

    opened: Opened
    plan_machines: Counts
    asked: Asked
    run: Run
    realised: Costs
    by_provider: Mapping[str, float]
    cloud: CloudBill | None
    packed: Counts
    cause: Ints

    @property
    def cost_usd(self) -> float:
        """What the plan would have cost."""
        return usd(sum(self.realised.model_dump().values()))

    @property
    def problem(self) -> Problem:
        """The problem with the recorded demand."""
        return self.opened.formulation.problem

    @cached_property
    def services(self) -> tuple[Service, ...]:
        """What every workload got, in the order of the scenario."""
        return tuple(_services(self))

    def replicas(self, *what: str) -> int:
        """Replicas of all events of some kinds."""
        return int(self.run.events.replicas[_of_kind(self.run.events, *what)].sum())

    @property
    def missed(self) -> tuple[int, int]:
        """Slots missed and slots asked for, added up over workloads."""
        return sum(s.missed_slots for s in self.services), sum(s.asked_slots for s in self.services)

    @property
    def sentence(self) -> str:
        """The answer in one sentence."""
        missed, asked = self.missed
        said = f", the bill says USD {self.cloud.effective_usd:,.2f}" if self.cloud else ""
        share = 100 * missed / asked if asked else 0.0
        return (f"This plan would have cost USD {self.cost_usd:,.2f} (USD {self.opened.plan.cost_usd:,.2f} as planned)"
                f"{said}, it missed {share:.2f} % of slots and needed {self.replicas('moved'):,} moves")

    def to_dict(self) -> dict[str, Any]:
        """All figures, for machines."""
        return _to_dict(self)


def replay(source: Path | Scenario, plan: Path, actual: Path, asked: Asked | None = None, bill_file: Path | None = None,
           catalog: Catalog | None = None) -> Replayed:
    """Run the demand in the table `actual` against a plan. Raises InputError for what cannot be read or compared."""
    def recorded(scenario: Scenario, profiles: Profiles) -> Profiles:
        names = [workload.name for workload in profiles.workloads]
        return replace(profiles, replicas=read_demand(actual, names, scenario.horizon), paths=None)

    opened, asked = open_plan(source, plan, catalog, recorded), asked or Asked()
    if opened.solution is None:
        raise InputError([f"{plan}: status: infeasible: there is no plan to replay"])
    if asked.policy == "autoscale" and opened.scenario.limits:
        raise InputError(["policy: autoscale: shared limits are kept by the plan's machines only: use fixed"])
    cloud = read_bill(bill_file, opened.scenario.horizon) if bill_file is not None else None
    return _replayed(opened, opened.solution, asked, cloud)


def _replayed(opened: Opened, plan: Solution, asked: Asked, cloud: CloudBill | None) -> Replayed:
    problem = opened.formulation.problem
    run = run_online(problem, plan, _rules(opened, plan, asked))
    account = bill(opened.formulation, replace(plan, machines=run.machines))
    asked_for = pool_loads(problem, plan.units, run.ran + run.short), pool_loads(problem, plan.units)
    providers = _by_provider(opened, plan, account.pool_usd, account.unit_other_usd)
    return Replayed(opened, plan.machines, asked, run, costs_of(account), providers, cloud,
                    _packed(problem, pool_loads(problem, plan.units, run.ran), run),
                    _causes(problem, plan, asked, run, asked_for))


def _rules(opened: Opened, plan: Solution, asked: Asked) -> Rules:
    demand, problem = opened.formulation.demand, opened.formulation.problem
    priority = np.array([workload.priority for workload in demand.workloads], np.int64)
    chance = np.zeros(len(problem.offers.pool))
    if asked.interruptions is not None:
        hours = opened.scenario.horizon.slot_hours
        for o in np.flatnonzero(problem.offers.purchase == Purchase.SPOT).tolist():
            _, pool = opened.formulation.supply.pools[problem.offers.pool[o]]
            rate = next(offer.interruption_per_hour for offer in pool.offers if offer.purchase == "spot")
            chance[o] = 1 - exp(-rate * hours)
    return Rules(asked.policy, priority[problem.streams.workload[plan.units.stream]], chance, asked.interruptions or 0,
                 demand.window, asked.every)


def _by_provider(opened: Opened, plan: Solution, pool_usd: Floats, unit_usd: Floats) -> dict[str, float]:
    """Cost by provider: machines where they run, the rest where the unit is that causes it."""
    problem, clusters = opened.formulation.problem, opened.formulation.supply.clusters
    pool = problem.candidates.pool[plan.units.candidate]
    total = np.bincount(problem.pools.cluster, pool_usd, len(clusters))
    total += np.bincount(problem.pools.cluster[pool], unit_usd, len(clusters))
    found: dict[str, float] = {}
    for cluster, amount in zip(clusters, total.tolist(), strict=True):
        found[cluster.provider] = usd(found.get(cluster.provider, 0.0) + amount)
    return dict(sorted(found.items()))


def _packed(problem: Problem, loads: tuple[Load, ...], run: Run) -> Counts:
    """Machines [P, T] that simple orders need for what ran, never more than were in use."""
    packed = np.zeros_like(run.used)
    for p in np.flatnonzero(run.used.any(axis=1)).tolist():
        found = needed(loads[p], problem.shapes, problem.pools.room[p], effort=Effort.ORDERS)
        packed[p] = np.minimum(found.machines.min(axis=0), run.used[p])
    return packed


Loads = tuple[tuple[Load, ...], tuple[Load, ...]]
"""What every pool was asked for, and what it would have been had every gang run in time."""


def _causes(problem: Problem, plan: Solution, asked: Asked, run: Run, loads: Loads) -> Ints:
    """Rows of `CAUSES` [P, T] for the pools and slots in which replicas waited."""
    waits = np.zeros(run.used.shape, np.int64)
    np.add.at(waits, problem.candidates.pool[plan.units.candidate], run.short)
    cause = np.zeros(run.used.shape, np.int64)
    lost = np.zeros(run.machines.shape, np.int64)
    hit = _of_kind(run.events, "interrupted")
    np.add.at(lost, (run.events.offer[hit], run.events.slot[hit]), 1)
    most = run.machines if asked.policy == "fixed" else _most(problem, plan) - lost
    for p in np.flatnonzero(waits.any(axis=1)).tolist():
        slots = np.flatnonzero(waits[p])
        own = np.flatnonzero(problem.offers.pool == p)
        room = _Room.of(problem, p, slots, most[np.ix_(own, slots)].astype(np.int64), lost[np.ix_(own, slots)])
        cause[p, slots] = _cause(problem, room, loads[0][p], loads[1][p])
    return cause


def _most(problem: Problem, plan: Solution) -> Ints:
    """Machines [O, T] that an autoscaler may run; the pool's max is looked at apart."""
    offers = problem.offers
    held = np.maximum(offers.owned, plan.machines.max(axis=1, initial=0)[:, None])
    steady = np.isin(offers.purchase, HELD)[:, None]
    most: Ints = np.where(steady, np.minimum(offers.max_machines, held), offers.max_machines).astype(np.int64)
    return np.maximum(most, plan.machines)


@dataclass(frozen=True, slots=True)
class _Room:
    """Machines that may run in some slots [n] of a pool, in all and that are not spot, with what was interrupted there
    (`whole`, `whole_firm`) and without.
    """

    pool: int
    slots: Ints
    now: Ints
    now_firm: Ints
    whole: Ints
    whole_firm: Ints

    @classmethod
    def of(cls, problem: Problem, pool: int, slots: Ints, most: Ints, lost: Ints) -> _Room:
        """Room of machines by offer of the pool [K, n]."""
        firm = problem.offers.purchase[problem.offers.pool == pool] != Purchase.SPOT
        cap = problem.pools.max_machines[pool, slots]
        return cls(pool, slots, *(np.minimum(machines.sum(axis=0), cap) for machines in
                                  (most, most[firm], most + lost, (most + lost)[firm])))


def _cause(problem: Problem, room: _Room, asked: Load, in_time: Load) -> Ints:
    """Rows of `CAUSES` [n]."""
    effort = Effort.PATTERNS if len(room.slots) <= HARD_TRIED else Effort.ORDERS

    def packed(load: Load) -> Needed:
        here = Load(load.shapes, load.firm[:, room.slots], load.flexible[:, room.slots])
        return needed(here, problem.shapes, problem.pools.room[room.pool], effort=effort)

    found, whole = packed(asked), packed(in_time)
    fits = ((found.firm <= room.now_firm) & (found.machines <= room.now)).any(axis=0)
    never = (found.low_firm > room.whole_firm) | (found.low > room.whole)
    not_now = (found.low_firm > room.now_firm) | (found.low > room.now)
    never_in_time = (whole.low_firm > room.whole_firm) | (whole.low > room.whole)
    in_time_fits = ((whole.firm <= room.whole_firm) & (whole.machines <= room.whole)).any(axis=0)
    rows: Ints = np.select(
        [fits, never & never_in_time, never & in_time_fits, not_now & ~never],
        [CAUSES.index(why) for why in ("packing", "demand", "backlog", "interruption")], CAUSES.index("unproven"))
    return rows.astype(np.int64)


def _services(found: Replayed) -> Iterator[Service]:
    problem, run, plan = found.problem, found.run, found.opened.solution
    assert plan is not None
    demand, level = found.opened.formulation.demand, found.opened.scenario.service_level
    workload = problem.streams.workload[plan.units.stream]
    asked = np.zeros((len(demand.workloads), problem.slots), np.bool_)
    missed = np.zeros_like(asked)
    np.logical_or.at(asked, workload, run.ran + run.short > 0)
    np.logical_or.at(missed, workload, run.short > 0)
    nowhere = unplaced(found)
    asked[nowhere] |= demand.replicas[nowhere] > 0
    missed[nowhere] |= demand.replicas[nowhere] > 0
    count = len(asked)
    short = np.bincount(workload, run.short.sum(axis=1), count).astype(np.int64)
    evicted, moved = (_by_workload(run.events, workload, kind, count) for kind in ("evicted", "moved"))
    late = _late(found, workload)
    for w, (name, many, few) in enumerate(zip(found.opened.formulation.names.workloads, asked.sum(axis=1).tolist(),
                                              missed.sum(axis=1).tolist(), strict=True)):
        yield Service(name, many, few, few / many if many else 0.0, 1 - level, int(short[w]), int(evicted[w]),
                      int(moved[w]), bool(late[w]))


def unplaced(found: Replayed) -> Ints:
    """Workloads of which the plan leaves a stream out."""
    problem, plan = found.problem, found.opened.solution
    assert plan is not None
    placed = np.isin(np.arange(len(problem.streams.workload)), plan.units.stream)
    rows: Ints = np.unique(problem.streams.workload[~placed])
    return rows


def _late(found: Replayed, workload: Ints) -> Bools:
    """[W] whether a gang's first run ended after the deadline of its workload, or not at all."""
    problem, plan = found.problem, found.opened.solution
    assert plan is not None
    late = np.zeros(len(found.opened.formulation.names.workloads), np.bool_)
    by_name = {one.name: one.slo.deadline_slot for one in found.opened.scenario.workloads}
    deadline = [by_name[name] for name in found.opened.formulation.names.workloads]
    for u in np.flatnonzero(gangs(problem, plan.units)).tolist():
        last = deadline[workload[u]]
        if last is not None and (found.run.ran[u] + found.run.short[u]).any():
            done = int((found.run.ran[u, :last + 1] > 0).sum())
            late[workload[u]] |= done < int(problem.variants.length[plan.units.variant[u]])
    return late


def _by_workload(events: Events, workload: Ints, kind: str, count: int) -> Ints:
    rows = _of_kind(events, kind)
    return np.bincount(workload[events.unit[rows]], events.replicas[rows], count).astype(np.int64)


def _of_kind(events: Events, *kinds: str) -> Ints:
    return np.flatnonzero(np.isin(events.what, [EVENTS.index(kind) for kind in kinds]))


def _to_dict(found: Replayed) -> dict[str, Any]:
    plan, run, (missed, asked) = found.opened.plan, found.run, found.missed
    beyond = np.maximum(run.machines - found.plan_machines, 0)
    return {
        "schema": 1, "name": plan.name, "plan_id": plan.plan_id, "policy": found.asked.policy,
        "interruptions_seed": found.asked.interruptions, "sentence": found.sentence,
        "cost_usd": {"plan": plan.cost_usd, "realised": found.cost_usd,
                     "bill": usd(found.cloud.effective_usd) if found.cloud else None},
        "costs": {"plan": plan.costs.model_dump(), "realised": found.realised.model_dump()},
        "realised_by_provider": dict(found.by_provider), "bill": _bill_dict(found.cloud) if found.cloud else None,
        "slots": {"asked": asked, "missed": missed, "share": missed / asked if asked else 0.0},
        "replica_slots": {"asked": int((run.ran + run.short).sum()), "waited": int(run.short.sum())},
        "pending": run.short.sum(axis=0).tolist(), "evictions": found.replicas("evicted"),
        "moves": found.replicas("moved"), "interrupted_machines": len(_of_kind(run.events, "interrupted")),
        "machine_slots": {"planned": int(found.plan_machines.sum()), "ran": int(run.machines.sum()),
                          "beyond_plan": int(beyond.sum()), "used": int(run.used.sum()),
                          "packed_anew": int(found.packed.sum())},
        "pool_slots_by_cause": {why: int((found.cause == row).sum()) for row, why in enumerate(CAUSES)
                                if (found.cause == row).any() and why},
        "not_kept": [service.workload for service in found.services if not service.kept],
        "workloads": [_service_dict(service) for service in found.services]}


def _service_dict(service: Service) -> dict[str, Any]:
    return {**{name: getattr(service, name) for name in Service.__slots__}, "kept": service.kept}


def _bill_dict(cloud: CloudBill) -> dict[str, Any]:
    return {name: dict(value) if isinstance(value := getattr(cloud, name), Mapping) else value
            for name in CloudBill.__slots__}
