"""Measured interference between workloads: from pairs of names, or of patterns of names, to rows of the problem."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np

from placement.problem import TOLERANCE, Bools, Interference
from planner.demand import Demand
from planner.errors import InputError
from planner.scenario.model import Pair
from planner.supply import RESOURCES, Supply

MOST = 1_000_000
"""Pairs of workloads that patterns may match."""


def problem_interference(pairs: Sequence[Pair], demand: Demand, supply: Supply) -> Interference | None:
    """Rows for all matching workloads, the worst where several match; None where nobody slows another down.

    Raises InputError where patterns match too many.
    """
    names = [workload.name for workload in demand.workloads]
    worst: dict[tuple[int, int, str | None], float] = {}
    for pair in pairs:
        mine, others = ([w for w, name in enumerate(names) if fnmatchcase(name, pattern)]
                        for pattern in (pair.workload, pair.other))
        if len(mine) * len(others) > MOST:
            what = f"{pair.workload} beside {pair.other}: more than {MOST} pairs of workloads"
            raise InputError([f"scenario.yaml: interference: {what}: name fewer"])
        for a in mine:
            for b in others:
                for key, factor in (((a, b, pair.gpu_model), pair.throughput),
                                    ((b, a, pair.gpu_model), pair.other_throughput)):
                    if a != b and factor < worst.get(key, 1.0):
                        worst[key] = factor
    if not worst:
        return None
    rows = sorted(worst.items(), key=lambda row: (row[0][0], row[0][1], row[0][2] or ""))
    slowed, by = (np.array([key[i] for key, _ in rows], np.int64) for i in (0, 1))
    together = _one_machine(demand, supply, slowed, by) & np.array([_with(supply, key[2]) for key, _ in rows])
    return Interference(slowed, by, np.array([factor for _, factor in rows]), together)


def _one_machine(demand: Demand, supply: Supply, slowed: np.ndarray, by: np.ndarray) -> Bools:
    """[I, P] whether a replica of each fits one machine."""
    asks = np.array([[getattr(request, name) for name in RESOURCES] for request in demand.requests], float)
    both = asks[slowed] + asks[by]
    fits: Bools = (both[:, None, :] <= supply.room[None] + TOLERANCE).all(axis=2)
    return fits


def _with(supply: Supply, gpu_model: str | None) -> list[bool]:
    return [gpu_model is None or machine.gpu_model == gpu_model for machine in supply.machines]
