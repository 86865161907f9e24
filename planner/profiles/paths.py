"""Joint sample paths of a scenario: those given, and on which of them work runs that is only done with some chance."""

from __future__ import annotations

import hashlib

import numpy as np

from planner.profiles.model import Counts, PathNeeds
from planner.scenario.model import Scenario

DRAWN = 200
"""Paths that are drawn where no workload gives any, and some run only with a probability."""


def path_needs(scenario: Scenario, replicas: Counts, seed: int) -> PathNeeds:
    """The joint demand of a scenario whose workloads need `replicas` [W, T] where they give no paths.

    A workload with a `probability` runs on a path where the draw for its name, the path's number and the seed is below
    it (see `draw`). Without any random demand there is one path.
    """
    given = scenario.given_replicas.paths
    chance = np.array([workload.probability for workload in scenario.workloads])
    random = [w for w, workload in enumerate(scenario.workloads) if workload.name in given.row or chance[w] < 1]
    numbers = given.path or tuple(range(DRAWN if random else 1))
    kind = given.counts.dtype if replicas[random].max(initial=0) <= np.iinfo(given.counts.dtype).max else np.int32
    counts = np.zeros((len(random), len(numbers), replicas.shape[1]), kind)
    runs = np.ones((len(random), len(numbers)), np.bool_)
    for at, w in enumerate(random):
        name = scenario.workloads[w].name
        counts[at] = given.counts[given.row[name]] if name in given.row else replicas[w]
        if chance[w] < 1:
            runs[at] = [draw(name, number, seed) < chance[w] for number in numbers]
    counts.setflags(write=False)
    return PathNeeds(scenario.service_level, len(numbers), np.array(random, np.int64), counts, runs)


def draw(workload: str, path: int, seed: int) -> float:
    """A number from 0 to 1 that anybody can work out again: the first 8 bytes of SHA-256 of `seed/workload/path`."""
    digest = hashlib.sha256(f"{seed}/{workload}/{path}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64
