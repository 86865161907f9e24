"""Why a workload that could run somewhere is not placed."""

from __future__ import annotations

import numpy as np

from placement.needs import variants_at
from placement.problem import Floats, Ints, Problem
from placement.result import Solution
from planner.formulate import Formulation
from planner.market import cheapest_prices, free_machines, own_machines

MONEY = "{:,.2f} USD"


def left_out(formulation: Formulation, solution: Solution, workload: int, cost_usd: float) -> tuple[str, ...]:
    """Reasons for a workload of which a stream has no unit in a solution that costs `cost_usd`.

    Where rules forbid everything, they are the reasons. Else: the legal pools, those without room for machines of its
    own, and what the cheapest of the rest would cost.
    """
    name, problem = formulation.names.workloads[workload], formulation.problem
    if name in formulation.rejections:
        return formulation.rejections[name]
    placed = np.isin(np.flatnonzero(problem.streams.workload == workload), solution.units.stream)
    streams = np.flatnonzero(problem.streams.workload == workload)[~placed]
    return tuple(dict.fromkeys(sentence for stream in streams.tolist()
                               for sentence in _stream(formulation, solution, stream, cost_usd)))


def _stream(formulation: Formulation, solution: Solution, stream: int, cost_usd: float) -> tuple[str, ...]:
    problem = formulation.problem
    rows, machines, least_usd, free = places_of(problem, stream, solution)
    room = free >= machines
    region = formulation.names.streams[stream][1]
    whose = f"users in {region}: " if region else ""
    full = f"{whose}{len(rows)} pools are legal, {int((~room).sum())} of them without room for machines of its own"
    if not room.any():
        return (full,)
    best = int(np.where(room, least_usd, np.inf).argmin())
    pool = "/".join(formulation.names.pools[problem.candidates.pool[rows[best]]])
    return full, f"{whose}on {pool} it would cost about {MONEY.format(least_usd[best])}; {_limit(problem, cost_usd)}"


def places_of(problem: Problem, stream: int, solution: Solution | None) -> tuple[Ints, Ints, Floats, Ints]:
    """Candidates [n] of a stream that is not placed, machines of its own at its peak there, what all its copies would
    cost on such machines, and how many machines each pool could still run.
    """
    rows = np.arange(*problem.streams.candidate_first[stream:stream + 2])
    fewest = problem.streams.variant_first[stream]  # variants are sorted by copies: the first have the fewest
    mine = np.full(len(rows), stream)
    variant = variants_at(problem, mine, problem.variants.copies[fewest], problem.candidates.speed[rows])
    peak, total = own_machines(problem, mine, rows, variant)
    run, held = cheapest_prices(problem, spot=bool(problem.streams.preemptible[stream]))
    pool, copies = problem.candidates.pool[rows], problem.variants.copies[fewest]
    with np.errstate(invalid="ignore"):
        machines = np.where(total > 0, np.minimum(run[pool] * total, held[pool] * peak), 0.0)
    usd = copies * (machines + problem.candidates.cost_usd[rows]) + problem.candidates.user_usd[rows]
    free = problem.pools.max_machines.min(axis=1) if solution is None else free_machines(problem, solution)
    return rows, peak, usd, free[pool]


def _limit(problem: Problem, cost_usd: float) -> str:
    asked = problem.objective
    if asked.mode == "max_sla":
        return f"{MONEY.format(max(0.0, asked.budget_usd - cost_usd))} of the budget are left"
    return f"sla_floor {asked.sla_floor:g} allows to drop it"
