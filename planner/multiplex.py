"""Which workloads share a pool's machines at different times, and what that saves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.needs import needs_alone
from placement.problem import TOLERANCE, Floats, Ints, Problem, Purchase
from placement.result import Solution

HELD = (Purchase.OWNED, Purchase.COMMITTED)


@dataclass(frozen=True, slots=True, eq=False)
class Sharing:
    """The workloads [m] that share pool `pool`.

    `sum_of_peaks` are the machines that each would need alone at its own peak, added up; `peak_of_sum` the most that
    run in any slot. `saved_usd` is what machines for each alone would cost beyond machines for all together.
    """

    pool: int
    workloads: Ints
    sum_of_peaks: int
    peak_of_sum: int
    saved_usd: float


def sharing(problem: Problem, solution: Solution) -> tuple[Sharing, ...]:
    """All pools with two or more workloads, by pool.

    A workload's replicas are alike, so alone it needs ceil(replicas / those that fit one machine) machines in a slot.
    Both sides of the saving are bought in the same way: a k-th machine runs in the slots that need k or more, and is
    paid at the cheapest of the pool's offers for that (as it runs, or held throughout), limits aside and spot only
    where all members may use it. As many of the dearest as are owned in all slots already cost nothing.
    """
    units = solution.units
    pool, workload = problem.candidates.pool[units.candidate], problem.streams.workload[units.stream]
    pairs, member = np.unique(np.vstack([pool, workload]), axis=1, return_inverse=True)
    alone = _alone(problem, solution, pairs, member.reshape(-1))
    pairs, alone = pairs[:, alone.any(axis=1)], alone[alone.any(axis=1)]  # who never runs shares nothing
    together = np.zeros((len(problem.pools.cluster), problem.slots), np.int64)
    np.add.at(together, problem.offers.pool, solution.machines)
    preemptible = np.ones(len(problem.workloads.weight), bool)
    preemptible[problem.streams.workload] = problem.streams.preemptible
    return tuple(_sharing(problem, p, pairs[1, rows], alone[rows], together[p], bool(preemptible[pairs[1, rows]].all()))
                 for p in np.unique(pairs[0]).tolist() if len(rows := np.flatnonzero(pairs[0] == p)) > 1)


def _sharing(problem: Problem, pool: int, workloads: Ints, alone: Ints, together: Ints, spot: bool) -> Sharing:
    buy = _Prices.of(problem, pool, spot)
    return Sharing(pool, workloads, int(alone.max(axis=1).sum()), int(together.max()),
                   buy.usd(alone) - buy.usd(together[None]))


def _alone(problem: Problem, solution: Solution, pairs: Ints, member: Ints) -> Ints:
    """Machines [pairs, T] that each workload would need with a pool to itself."""
    units = solution.units
    replicas = np.zeros((pairs.shape[1], problem.slots), np.int64)
    np.add.at(replicas, member, needs_alone(problem, units))
    shape = np.zeros(pairs.shape[1], np.int64)
    shape[member] = problem.streams.shape[units.stream]
    return -(-replicas // per_machine(problem, shape, pairs[0])[:, None])


def per_machine(problem: Problem, shape: Ints, pool: Ints) -> Ints:
    """Replicas of `shape` [N] that fit one empty machine of `pool` [N]; at least 1."""
    wanted, room = problem.shapes[shape], problem.pools.room[pool] + TOLERANCE
    fit = np.divide(room, wanted, out=np.full_like(wanted, 2**31), where=wanted > 0).min(axis=1)
    whole: Ints = np.maximum(1, np.floor(fit)).astype(np.int64)
    return whole


@dataclass(frozen=True, slots=True, eq=False)
class _Prices:
    """The cheapest ways to pay: `held_usd` for a machine in all slots, `slot_usd` [T] for one that comes and goes."""

    owned: int
    held_usd: float
    slot_usd: Floats
    run_usd: Floats

    @classmethod
    def of(cls, problem: Problem, pool: int, spot: bool) -> _Prices:
        offers = problem.offers
        here = offers.pool == pool
        held = here & np.isin(offers.purchase, HELD)
        free = here & ~held & (spot | (offers.purchase != Purchase.SPOT))
        owned = offers.owned[held].min(axis=1, initial=2**31 - 1)
        return cls(int(owned.sum()), float(offers.price_usd[held].sum(axis=1).min(initial=np.inf)),
                   offers.price_usd[free].min(axis=0, initial=np.inf), problem.pools.run_usd[pool])

    def usd(self, machines: Ints) -> float:
        """Cost of machines [m, T] of m buyers who share none, beyond the owned ones."""
        usd = np.concatenate([self._each(own) for own in machines])
        bought = np.sort(usd)[:max(0, len(usd) - self.owned)]
        return float(bought.sum() + (machines.sum(axis=0) * self.run_usd).sum())

    def _each(self, machines: Ints) -> Floats:
        """What one buyer's first, second, ... machine costs, when `machines` [T] are needed."""
        runs = machines >= np.arange(1, int(machines.max(initial=0)) + 1)[:, None]
        as_needed: Floats = np.where(runs, self.slot_usd, 0.0).sum(axis=1)
        return np.minimum(as_needed, self.held_usd)
