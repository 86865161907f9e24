"""What a plan costs by part, and who causes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.needs import unit_needs
from placement.problem import Floats, Ints, Problem, Purchase
from placement.result import Solution, Units
from placement.shared import covered, levels, units_per_machine
from planner.bought import use
from planner.formulate import Formulation

HELD = (Purchase.OWNED, Purchase.COMMITTED)


@dataclass(frozen=True, slots=True, eq=False)
class Bill:
    """USD over the horizon.

    By part: `machines_usd`, `egress_usd`, `storage_usd`, `moves_usd`, `carbon_usd`. `pool_usd` [P] is what a pool's
    machines cost (price and carbon), `unit_machine_usd` [U] the part of it that a unit causes, `unit_other_usd` [U] its
    egress (what flows between two streams is put to the receiver), storage and move, and `idle_usd` is
    what machines cost that nobody uses. All of these add up to `cost_usd`.
    """

    machines_usd: float
    egress_usd: float
    storage_usd: float
    moves_usd: float
    carbon_usd: float
    pool_usd: Floats
    unit_machine_usd: Floats
    unit_other_usd: Floats
    idle_usd: float

    @property
    def cost_usd(self) -> float:
        """The sum of the parts."""
        return self.machines_usd + self.egress_usd + self.storage_usd + self.moves_usd + self.carbon_usd

    def workload_usd(self, problem: Problem, units: Units) -> Floats:
        """Cost by workload [W]: its units' share of machines and all that they cost beside."""
        return _summed(problem.streams.workload[units.stream], self.unit_machine_usd + self.unit_other_usd,
                       len(problem.workloads.weight))


def _summed(group: Ints, values: Floats, groups: int) -> Floats:
    total = np.zeros(groups)
    np.add.at(total, group, values)
    return total


def bill(formulation: Formulation, solution: Solution) -> Bill:
    """Cost of a solution by part and by unit.

    What a pool's machines cost in a slot is shared by the units that run there, each by its replicas x the share of a
    machine that one replica takes of its dominant resource. What is paid in every slot (owned and committed machines)
    is shared over the whole horizon in the same way. On_demand machines that a commitment pays for cost what they
    take of it; what is left of it over the horizon is put to the pools that use it, by their use, else to
    all that it covers.
    """
    problem, units = formulation.problem, solution.units
    held, running, carbon = _pool_costs(problem, solution)
    share, idle = _shares(problem, units, held, running + carbon)
    egress, flows = _unit_egress(formulation, units)
    parts = formulation.cost_parts
    storage, moves = parts.storage_usd[units.candidate], parts.moves_usd[units.candidate]
    return Bill(float(held.sum() + running.sum()), float(egress.sum() + flows.sum()), float(storage.sum()),
                float(moves.sum()), float(carbon.sum()), held + (running + carbon).sum(axis=1), share,
                egress + flows + storage + moves, idle)


def _pool_costs(problem: Problem, solution: Solution) -> tuple[Floats, Floats, Floats]:
    """Paid in every slot [P], paid as it runs [P, T], carbon of running machines [P, T]."""
    offers, pools, machines = problem.offers, len(problem.pools.cluster), solution.machines
    steady = np.isin(offers.purchase, HELD)
    most = np.maximum(offers.owned, machines.max(axis=1, initial=0)[:, None])
    held = _summed(offers.pool[steady], (most * offers.price_usd).sum(axis=1)[steady], pools)
    running, count = np.zeros((pools, problem.slots)), np.zeros((pools, problem.slots))
    np.add.at(running, offers.pool[~steady], (machines * offers.price_usd)[~steady])
    np.add.at(count, offers.pool, machines)
    _commit(problem, solution, held, running)
    return held, running, count * problem.pools.run_usd


def _commit(problem: Problem, solution: Solution, held: Floats, running: Floats) -> None:
    """Put what commitments pay for and cost into what is paid in every slot [P] and as it runs [P, T]."""
    offers, c = problem.offers, problem.commitments
    have, (_, paid_for) = levels(problem, solution), use(problem, solution)
    for k, machines in enumerate(paid_for):
        rows = covered(problem, k)
        taken = units_per_machine(problem, k, rows) * machines[rows] * c.price_usd[k]
        np.add.at(running, offers.pool[rows], taken - machines[rows] * offers.price_usd[rows])
        share = _summed(offers.pool[rows], taken.sum(axis=1), len(held))
        part = share if share.sum() > 0 else c.covers[k].astype(float)
        held += (float(have[k] * c.price_usd[k].sum()) - share.sum()) * part / part.sum()


def _shares(problem: Problem, units: Units, held: Floats, running: Floats) -> tuple[Floats, float]:
    """Machine cost by unit [U], and what is left where nobody runs."""
    pool = problem.candidates.pool[units.candidate]
    size = dominant_share(problem, problem.streams.shape[units.stream], pool)
    share, idle = np.zeros(len(pool)), 0.0
    for p in np.flatnonzero((held > 0) | running.any(axis=1)).tolist():
        here = np.flatnonzero(pool == p)
        load = unit_needs(problem, _some(units, here)) * size[here, None]
        by_slot = load.sum(axis=0)
        if by_slot.sum() <= 0:
            idle += float(held[p] + running[p].sum())
            continue
        busy = by_slot > 0
        steady = held[p] + running[p, ~busy].sum()
        share[here] = (load[:, busy] * (running[p, busy] / by_slot[busy])).sum(axis=1)
        share[here] += load.sum(axis=1) * (steady / by_slot.sum())
    return share, idle


def _some(units: Units, rows: Ints) -> Units:
    return Units(units.stream[rows], units.copy[rows], units.candidate[rows], units.variant[rows], units.start[rows])


def dominant_share(problem: Problem, shape: Ints, pool: Ints) -> Floats:
    """Share of a machine of `pool` [N] that one replica of `shape` [N] takes of its dominant resource."""
    room = problem.pools.room[pool]
    wanted = problem.shapes[shape]
    share: Floats = np.divide(wanted, room, out=np.zeros_like(wanted), where=wanted > 0).max(axis=1)
    return share


def _unit_egress(formulation: Formulation, units: Units) -> tuple[Floats, Floats]:
    """Egress by unit [U]: data and users, and what flows to it from upstream (the receiver pays in this account)."""
    problem = formulation.problem
    candidates, flows = problem.candidates, problem.flows
    copies = problem.variants.copies[units.variant]
    own = formulation.cost_parts.egress_usd[units.candidate] + candidates.user_usd[units.candidate] / copies
    cluster = problem.pools.cluster[candidates.pool[units.candidate]]
    first = np.full(len(problem.streams.workload), -1)
    first[units.stream[::-1]] = np.arange(len(units.stream))[::-1]  # sorted by copy, so the lowest is written last
    inward = np.zeros(len(own))
    begin, end = (np.searchsorted(units.stream, flows.receiver, side=side) for side in ("left", "right"))
    for sender, gb, low, high in zip(first[flows.sender].tolist(), flows.gb.tolist(), begin.tolist(), end.tolist(),
                                     strict=True):
        if sender >= 0:
            inward[low:high] += gb * problem.clusters.egress_usd_per_gb[cluster[sender], cluster[low:high]]
    return own, inward
