"""The same problem with fewer candidates: a workload forced to a place, or kept away from one."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from placement.problem import Bools, Candidates, Problem


def keep_candidates(problem: Problem, keep: Bools) -> Problem:
    """`problem` without the candidates that are not in `keep` [N]. Streams may be left with none."""
    c = problem.candidates
    kept = Candidates(*(getattr(c, part.name)[keep] for part in fields(Candidates)))
    first = np.searchsorted(kept.stream, np.arange(len(problem.streams.workload) + 1))
    parts = problem.parts and replace(problem.parts, whole_usd=problem.parts.whole_usd[keep])
    return replace(problem, candidates=kept, streams=replace(problem.streams, candidate_first=first), parts=parts)


def forced(problem: Problem, stream: int, candidate: int) -> Problem:
    """`problem` with all copies of a stream at one candidate, which only a stream of one copy can be."""
    at = np.arange(len(problem.candidates.stream))
    return keep_candidates(problem, (problem.candidates.stream != stream) | (at == candidate))
