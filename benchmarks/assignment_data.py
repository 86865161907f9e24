"""Generalized assignment instances: read from a folder, and stated as a placement in one slot on machines held anyway.

A file, plain or `.xz`, holds whole numbers: agents m and jobs n, then costs [m, n], sizes [m, n] and capacities [m].
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from placement.problem import (
    Candidates,
    Clusters,
    Flows,
    Ints,
    Objective,
    Offers,
    Pools,
    Problem,
    Purchase,
    Streams,
    Variants,
    Workloads,
)

BEST_KNOWN = {
    "d10400": 24961, "d20400": 24563, "d40400": 24350, "d15900": 55404, "d30900": 54834, "d201600": 97824,
    "e10400": 45746, "e20400": 44877, "e40400": 44561, "e15900": 102421, "e30900": 100427, "e401600": 178293,
}
"""Least costs proven or bounded from below in the literature; where a range is known, its lower end."""


@dataclass(frozen=True)
class Instance:
    """`cost`, `size` [m, n] and `capacity` [m] of agents and jobs; `best` is the best known cost, None if unknown."""

    name: str
    cost: Ints
    size: Ints
    capacity: Ints
    best: int | None


def instance_files(data: Path) -> dict[str, Path]:
    """Instances in a folder by name: files without extension or with `.xz` whose first two words are whole numbers."""
    found = {}
    for file in sorted(data.iterdir()):
        if file.is_file() and file.suffix in ("", ".xz", ".txt") and _head(file):
            found[file.stem if file.suffix else file.name] = file
    return found


def _head(file: Path) -> bool:
    with (lzma.open(file, "rt") if file.suffix == ".xz" else file.open()) as text:
        words = text.read(64).split()[:2]
    return len(words) == 2 and all(word.isdigit() for word in words)


def read_instance(file: Path) -> Instance:
    """One instance. Raises ValueError when the number of figures is not what its first two say."""
    with (lzma.open(file, "rt") if file.suffix == ".xz" else file.open()) as text:
        figures = np.array(text.read().split(), np.int64)
    m, n = int(figures[0]), int(figures[1])
    if len(figures) != 2 + 2 * m * n + m:
        raise ValueError(f"{file}: {len(figures)} numbers; {m} agents and {n} jobs need {2 + 2 * m * n + m}")
    cost, size = figures[2: 2 + 2 * m * n].reshape(2, m, n)
    name = file.stem if file.suffix else file.name
    return Instance(name, cost, size, figures[2 + 2 * m * n:], BEST_KNOWN.get(name))


def as_placement(instance: Instance) -> Problem:
    """Agents as pools with as many machines of one replica as they have capacity, jobs as streams in one slot.

    Machines are owned and cost nothing; a job needs `size` replicas, by agent, as work does that runs slower on some
    hardware; what it costs with an agent is what one copy costs there beside machines.
    """
    m, n = instance.cost.shape
    one_slot = instance.capacity[:, None].astype(np.int32)
    agents, jobs, first = np.arange(m), np.arange(n), m * np.arange(n + 1)
    stream, agent, none = np.repeat(jobs, m), np.tile(agents, n), np.zeros(n * m, np.int64)
    return Problem(
        slots=1, objective=Objective("min_cost"), shapes=np.ones((1, 1)),
        clusters=Clusters(np.ones(m), np.zeros((m, m))),
        pools=Pools(agents.copy(), np.ones((m, 1)), one_slot.copy(), np.zeros((m, 1))),
        offers=Offers(agents.copy(), np.full(m, int(Purchase.OWNED)), instance.capacity.copy(), np.zeros((m, 1)),
                      one_slot.copy()),
        workloads=Workloads(np.ones(n), np.zeros(n, np.bool_)),
        streams=Streams(jobs, np.zeros(n, np.int64), np.zeros(n, np.bool_), np.zeros(n), first, first.copy()),
        candidates=Candidates(stream, agent, agent.copy(), instance.cost.T.ravel().astype(np.float64),
                              np.zeros(n * m), np.ones(n * m, np.bool_)),
        variants=Variants(stream.copy(), none + 1, agent.copy(), np.arange(n * m), none, none.copy(), none.copy(),
                          none.copy(), none.copy(), none.copy(),
                          instance.size.T.reshape(-1, 1).astype(np.int32)),
        flows=Flows(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)))
