"""Loads of pools on sample paths, added up unit by unit in compiled code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from placement.jit import jit

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@jit
def add_units(replicas: Singles, workload: Ints, share: Floats, skip: Floats, cap: Floats, speed: Floats, pool: Ints,
              runs: Bools, each: Floats, loads: Singles) -> None:
    """Add `each` [U, R] of every unit's replicas to `loads` [P, R, K, T] of its pool.

    Where it `runs` [U, T], a unit takes `replicas` [W, K, T] of its workload x share, those after the first `skip` and
    `cap` at most, over its speed, rounded up.
    """
    paths, steps, kinds = replicas.shape[1], replicas.shape[2], each.shape[1]
    for unit in range(len(workload)):
        w, p = workload[unit], pool[unit]
        for k in range(paths):
            for t in range(steps):
                there = replicas[w, k, t] * share[unit] - skip[unit]
                if there <= 0 or not runs[unit, t]:
                    continue
                need = np.ceil(min(there, cap[unit]) / speed[unit] - 1e-6)
                for r in range(kinds):
                    if each[unit, r] > 0:
                        loads[p, r, k, t] += need * each[unit, r]
