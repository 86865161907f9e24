"""What people want to see beside the plan itself: use of machines, and cost by cluster and by workload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from placement.needs import unit_needs
from placement.problem import Counts, Floats, Ints, Problem
from placement.result import Solution
from planner.bill import Bill, bill
from planner.formulate import Formulation
from planner.planning import Planned


@dataclass(frozen=True, eq=False)
class Figures:
    """`use` [G, T] is the share of running machines' room taken, by the tightest resource (NaN: nothing runs).

    `cluster_usd` holds [G] USD over the horizon by part of the cost; `workload_usd` is USD by workload. Machines and
    carbon count where they run; data, users, storage and moves where the unit is that needs them.
    """

    clusters: tuple[str, ...]
    use: Floats
    cluster_usd: Mapping[str, Floats]
    workload_usd: Mapping[str, float]


def figures_of(planned: Planned) -> Figures:
    """Return the figures of a plan; without a solution there are none."""
    if planned.solution is None:
        return Figures((), np.zeros((0, planned.formulation.problem.slots)), {}, {})
    return _figures(planned.formulation, planned.solution)


def _figures(formulation: Formulation, solution: Solution) -> Figures:
    problem, names = formulation.problem, formulation.names
    account = bill(formulation, solution)
    by_workload = account.workload_usd(problem, solution.units).tolist()
    return Figures(names.clusters, _use(problem, solution), _cluster_usd(formulation, solution, account),
                   dict(zip(names.workloads, by_workload, strict=True)))


def _use(problem: Problem, solution: Solution) -> Floats:
    """Taken room over running room [G, T] of the tightest resource."""
    units, pools = solution.units, problem.pools
    clusters, resources = len(problem.clusters.availability), problem.shapes.shape[1]
    pool = problem.candidates.pool[units.candidate]
    shape = problem.shapes[problem.streams.shape[units.stream]]
    needs = unit_needs(problem, units)
    running = np.zeros((len(pools.cluster), problem.slots))
    np.add.at(running, problem.offers.pool, solution.machines)
    use = np.full((clusters, problem.slots), np.nan)
    for r in range(resources):
        taken, room = np.zeros_like(use), np.zeros_like(use)
        np.add.at(taken, pools.cluster[pool], needs * shape[:, r, None])
        np.add.at(room, pools.cluster, running * pools.room[:, r, None])
        share = np.divide(taken, room, out=np.full_like(use, np.nan), where=room > 0)
        use = np.fmax(use, share)
    return use


def _cluster_usd(formulation: Formulation, solution: Solution, account: Bill) -> dict[str, Floats]:
    problem, parts, candidate = formulation.problem, formulation.cost_parts, solution.units.candidate
    pool_cluster = problem.pools.cluster
    at = pool_cluster[problem.candidates.pool[candidate]]

    def total(cluster: Ints, usd: Floats) -> Floats:
        return np.bincount(cluster, usd, len(problem.clusters.availability)).astype(float)

    carbon = total(pool_cluster[problem.offers.pool], _carbon(problem, solution.machines))
    storage, moves = total(at, parts.storage_usd[candidate]), total(at, parts.moves_usd[candidate])
    return {"machines": total(pool_cluster, account.pool_usd) - carbon,
            "egress": total(at, account.unit_other_usd) - storage - moves,
            "storage": storage, "moves": moves, "carbon": carbon}


def _carbon(problem: Problem, machines: Counts) -> Floats:
    """USD of carbon by offer [O]."""
    usd: Floats = (machines * problem.pools.run_usd[problem.offers.pool]).sum(axis=1)
    return usd
