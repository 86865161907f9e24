"""Demand run against a plan as clusters would run it: what starts, what waits, what has to move, slot by slot.

Pools are independent. In every slot of a pool, in this order:

1. Units ask for what they need now. Of less than before, replicas that wait end first, then the newest. A gang asks for
   all of its replicas from its start on, until it has run as many slots as it was planned to.
2. Spot machines that ran in the slot before are interrupted by chance, if asked for: gone for this slot, not paid.
3. Machines beyond the limit stop, those where gangs run last, the least filled first, of equal ones the highest number;
   what runs there goes back to the queue (an eviction; a gang stops as a whole). Machines that the plan says start.
4. The queue is served: higher priority first, then who waits longest, the larger dominant share, the lower row. A
   replica goes where the dominant share of the machine is largest afterwards (best fit), of equal ones to the lowest
   number; one that may be interrupted looks at spot machines first. A gang starts only if all of it fits. What fits
   nowhere starts the cheapest machine that the limits allow, and waits where there is none; others may pass it.
5. Machines beyond the plan's that nothing runs on stop. Nothing is ever repacked.

The plan's machines run in any case. `fixed`: no others. `autoscale`: beyond them, owned and committed machines that the
plan pays for anyway, and on_demand and spot machines up to the offer's max; within the pool's max.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from placement.needs import has_spot, unit_needs
from placement.problem import Bools, Counts, Floats, Ints, Problem, Purchase
from placement.result import Solution, Units
from placement.scheduler import run_pool
from placement.scheduler_state import SHORT_LIST, Ground, Outcome, State

Policy = Literal["fixed", "autoscale"]
EVENTS = ("placed", "left", "moved", "evicted", "started", "stopped", "interrupted")
"""What the numbers in `Events.what` mean."""
_GUESS = 1024


@dataclass(frozen=True, slots=True)
class Rules:
    """How a plan is run. `priority` [U]: higher is served first.

    `interruption` [O] is the chance that a machine is taken back between two slots, drawn from `seed`. `window` [T]
    says which slots follow on each other (empty: all): at the begin of a window nothing runs yet. `every`: note
    placements and departures among the events, not only what is out of the ordinary.
    """

    policy: Policy
    priority: Ints
    interruption: Floats
    seed: int = 0
    window: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    every: bool = False


@dataclass(frozen=True, slots=True)
class Events:
    """What happened, pool by pool in order; each array [E]. `what` is a row of `EVENTS`.

    `machine` counts from 0 in its `offer`; `unit` is -1 for events of machines, whose `replicas` are those that ran
    there before.
    """

    slot: Ints
    what: Ints
    offer: Ints
    machine: Ints
    unit: Ints
    replicas: Ints


@dataclass(frozen=True, slots=True)
class Run:
    """What came of it: `machines` [O, T] that ran, `used` [P, T] with a replica on them, replicas of units that `ran`
    and that were `short` of what was asked [U, T] each, and the events.
    """

    machines: Counts
    used: Counts
    ran: Counts
    short: Counts
    events: Events


def run_online(problem: Problem, plan: Solution, rules: Rules) -> Run:
    """Run the needs of the plan's units, as the problem has them, on the plan's machines.

    The problem may be another than the plan was made for: same tables of pools and offers, other replicas. Work grows
    with changes of replicas x machines of the pool; memory with units x slots. Same input, same outcome.
    """
    needs = unit_needs(problem, plan.units)
    run = Run(np.zeros_like(plan.machines), np.zeros((len(problem.pools.cluster), problem.slots), np.int32),
              np.zeros_like(needs), np.zeros_like(needs), _joined([]))
    pool = problem.candidates.pool[plan.units.candidate]
    members, offers = _rows_by(pool, len(run.used)), _rows_by(problem.offers.pool, len(run.used))
    found = [_run_pool(_Pool.of(problem, plan, rules, needs, p, members[p], offers[p]), run)
             for p in range(len(run.used)) if len(members[p]) or plan.machines[offers[p]].any()]
    return Run(run.machines, run.used, run.ran, run.short, _joined(found))


def gangs(problem: Problem, units: Units) -> Bools:
    """[U] whether a unit runs all of its replicas together, for a number of slots from its start."""
    gang: Bools = problem.variants.row[units.variant] < 0
    return gang


@dataclass(frozen=True, slots=True)
class _Pool:
    row: int
    units: Ints
    offers: Ints
    ground: Ground

    @classmethod
    def of(cls, problem: Problem, plan: Solution, rules: Rules, needs: Counts, pool: int, mine: Ints,
           offers: Ints) -> _Pool:
        units, room = plan.units, problem.pools.room[pool]
        shape = problem.streams.shape[units.stream[mine]]
        size = np.ascontiguousarray(problem.shapes[shape], np.float64).reshape(len(mine), len(room))
        flexible = problem.streams.preemptible[units.stream[mine]] & has_spot(problem)[pool]
        share = np.divide(size, room, out=np.zeros_like(size), where=room > 0).max(axis=1, initial=0.0)
        floor = plan.machines[offers].astype(np.int64)
        limit = np.maximum(floor, _limit(problem, plan, offers)) if rules.policy == "autoscale" else floor
        first = np.concatenate(([0], np.cumsum(limit.max(axis=1, initial=0)))).astype(np.int64)
        kind = problem.offers.purchase[offers]
        held = (kind <= Purchase.COMMITTED)[:, None]
        own = needs[mine]
        return cls(pool, mine, offers, Ground(
            own, size, flexible, gangs(problem, units)[mine], own.max(axis=1, initial=0).astype(np.int64),
            _places(np.lexsort((np.arange(len(mine)), -np.round(share, 9)))),
            np.unique(-rules.priority[mine], return_inverse=True)[1].astype(np.int64),
            np.unique(shape * 2 + flexible, return_inverse=True)[1].astype(np.int64), np.array(room, np.float64),
            kind == Purchase.SPOT, first, floor, limit, np.where(held, 0.0, problem.offers.price_usd[offers]),
            np.array(rules.interruption[offers], np.float64), _salts(rules.seed, offers),
            problem.pools.max_machines[pool].astype(np.int64), _begins(rules.window, problem.slots), rules.every))


def _begins(window: Ints, slots: int) -> Bools:
    """[T] whether a window begins in a slot, save the first."""
    begins = np.zeros(slots, np.bool_)
    begins[1:] = np.diff(window) != 0 if len(window) else False
    return begins


def _limit(problem: Problem, plan: Solution, offers: Ints) -> Ints:
    """Machines [K, T] that an autoscaler may run: it buys by the slot only, and uses what is paid for anyway."""
    table = problem.offers
    held = np.maximum(table.owned[offers], plan.machines[offers].max(axis=1, initial=0)[:, None])
    most = table.max_machines[offers].astype(np.int64)
    limit: Ints = np.where((table.purchase[offers] <= Purchase.COMMITTED)[:, None], np.minimum(most, held), most)
    return limit


def _places(order: Ints) -> Ints:
    """The place of every row in an order."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place


def _salts(seed: int, offers: Ints) -> Ints:
    """One positive number for each offer, by which its draws differ from others'."""
    return np.array([np.random.SeedSequence([seed, o]).generate_state(1, np.uint64)[0] >> 1 for o in offers.tolist()],
                    np.int64)


def _run_pool(pool: _Pool, run: Run) -> Events:
    """Run one pool into `run`; once more where more happened than was thought."""
    ground, slots = pool.ground, run.used.shape[1]
    out = Outcome(np.zeros((len(pool.offers), slots), np.int32), np.zeros(slots, np.int32),
                  np.zeros(ground.needs.shape, np.int32), np.zeros(ground.needs.shape, np.int32))
    room = _GUESS + (3 * int(np.count_nonzero(np.diff(ground.needs, axis=1, prepend=0))) if ground.every else 0)
    while True:
        state = _empty_state(ground, room)
        happened = run_pool(ground, state, out)
        if happened <= room:
            break
        room = happened
    run.machines[pool.offers], run.used[pool.row] = out.machines, out.used
    run.ran[pool.units], run.short[pool.units] = out.ran, out.short
    slot, what, machine, unit, replicas = state.log[:happened].astype(np.int64).T
    at = np.searchsorted(ground.first, machine, side="right") - 1
    named = np.where(unit >= 0, pool.units[unit] if len(pool.units) else -1, -1)
    return Events(slot, what, pool.offers[at], machine - ground.first[at], named, replicas)


def _empty_state(ground: Ground, events: int) -> State:
    units, offers, machines = len(ground.needs), len(ground.spot), int(ground.first[-1])
    nodes = int(ground.needs.max(axis=1, initial=0).sum()) + 1

    def none(size: int) -> Ints:
        return np.zeros(size, np.int64)

    return State(
        on=np.zeros(machines, np.bool_), load=none(machines), tied=none(machines),
        used=np.zeros((machines, len(ground.room))), counts=none(offers), top=none(offers), lost=none(offers),
        running=none(units), pending=none(units), displaced=none(units), since=none(units), owed=none(units),
        head=np.full(units, -1), below=none(nodes), machine=none(nodes), replicas=none(nodes), free=np.arange(nodes),
        log=np.zeros((events, 5), np.int32), cursor=np.array([nodes, 0]), listed=none(SHORT_LIST),
        fit=none(SHORT_LIST), list_at=none(5))


def _joined(found: list[Events]) -> Events:
    parts = [(e.slot, e.what, e.offer, e.machine, e.unit, e.replicas) for e in found]
    empty = np.zeros(0, np.int64)
    return Events(*(np.concatenate(column) for column in zip(*parts, strict=True))) if parts else Events(*[empty] * 6)


def _rows_by(group: Ints, groups: int) -> list[Ints]:
    order = np.argsort(group, kind="stable")
    ends = np.searchsorted(group[order], np.arange(groups + 1))
    return [order[ends[g]:ends[g + 1]] for g in range(groups)]
