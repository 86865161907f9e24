"""A sample of streams in place of all, where there are too many to ask each time: large ones more often.

Stream s is drawn with a `chance` and then counts 1 / chance times, so that sums over the sample are right on average;
with chances in proportion to what streams cost, they are also seldom far off (Horvitz and Thompson, "A generalization
of sampling without replacement from a finite universe", Journal of the American Statistical Association 47, 1952).
"""

from __future__ import annotations

import numpy as np

from placement.problem import Floats, Problem

_LEAST = 0.03
"""The least chance of any stream: none stands for more than so many."""
_HALVINGS = 60


def sizes(problem: Problem, replica_usd: Floats) -> Floats:
    """About what machines cost [S] of each stream in the first of its pools, with its fewest copies; 0 where none.

    `replica_usd` [2, C, P, T] are prices of a replica.
    """
    s, v = problem.streams, problem.variants
    size = np.zeros(len(s.shape))
    some = np.flatnonzero((np.diff(s.candidate_first) > 0) & (np.diff(s.variant_first) > 0))
    variant, pool = s.variant_first[some], problem.candidates.pool[s.candidate_first[some]]
    row, total = v.row[variant], (v.level * v.length * v.runs)[variant].astype(float)
    total[row >= 0] = v.rows[row[row >= 0]].sum(axis=1)
    size[some] = total * replica_usd.mean(axis=3)[s.preemptible[some].astype(np.int64), s.shape[some], pool]
    return size


def chances(size: Floats, wanted: int) -> Floats:
    """Chances [S], in proportion to `size` [S] but not below the least, that draw about `wanted` streams."""
    low, high = 0.0, 1 / max(float(size[size > 0].min(initial=np.inf)), 1e-9)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if _chances(size, middle).sum() < wanted:
            low = middle
        else:
            high = middle
    return _chances(size, high)


def _chances(size: Floats, factor: float) -> Floats:
    found: Floats = np.clip(factor * size, _LEAST, 1.0)
    return found
