"""Teaching a search what pools need that are sized on sample paths: rows fitted to the plan that it holds."""

from __future__ import annotations

import numpy as np

from placement.complete import Packings
from placement.pooled_rows import Estimate
from placement.problem import Problem
from placement.searcher import Searcher


class PooledTeacher:
    """Teaches one searcher of a problem with sample paths; `packings` size its plans."""

    def __init__(self, problem: Problem, searcher: Searcher, packings: Packings) -> None:
        self._searcher, self._estimate, self._packings = searcher, Estimate(problem), packings

    def fit(self) -> None:
        """Have the search need what the plan that it holds does."""
        self._estimate.fit(self._searcher.plan(), np.unique(self._searcher.units.variant))
        self._searcher.need_as(self._estimate.problem)

    def teach(self) -> None:
        """Size the plan's pools on the paths; where they need other than what the search counts, count that."""
        counted = self._searcher.machines[1].sum(axis=1)
        needs = np.array([need.machines.min(axis=0).sum() for need in self._packings.of(self._searcher.plan())])
        wrong = np.flatnonzero((counted > 0) & (needs > 0) & (needs != counted))
        self._estimate.correct(wrong, needs[wrong] / counted[wrong])
        self.fit()
