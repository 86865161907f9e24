"""Moves from a plan in force: which places count, and the row that keeps a mixed-integer program within a limit.

A stream that still has all its copies in force makes a move for every place that it leaves (`placement.problem`).
`placement.verify` and brute force count moves by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.mip import Draft
from placement.options import Options
from placement.problem import Bools, Incumbent, Ints, Problem


@dataclass(frozen=True, slots=True)
class Homes:
    """Streams `whole` [S] whose places count, how many they have, `places` [S], and candidates that are places, `home`
    [N].
    """

    whole: Bools
    places: Ints
    home: Bools


def most_moves(problem: Problem) -> int | None:
    """How many moves there may be at most; None where any number may."""
    return None if problem.incumbent is None else problem.incumbent.most_moves


def homes(problem: Problem, incumbent: Incumbent) -> Homes:
    """The places of a plan in force."""
    streams = len(problem.streams.shape)
    held, wanted = np.bincount(incumbent.stream, minlength=streams), np.zeros(streams, np.int64)
    wanted[incumbent.stream] = problem.variants.copies[incumbent.variant]
    whole = (held > 0) & (held == wanted)
    home = np.zeros(len(problem.candidates.pool), bool)
    home[incumbent.candidate] = True
    return Homes(whole, np.where(whole, held, 0), home & whole[problem.candidates.stream])


def add_moves(problem: Problem, options: Options, draft: Draft, x: Ints, attained: Ints) -> None:
    """Sum over whole streams of (places x attained) - options at home that are taken <= the most moves."""
    if problem.incumbent is None or problem.incumbent.most_moves is None:
        return
    force = homes(problem, problem.incumbent)
    row = draft.add_rows(1, upper=float(problem.incumbent.most_moves))
    places = np.zeros(len(attained))
    np.add.at(places, problem.streams.workload, force.places)
    some = np.flatnonzero(places)
    draft.put(row, attained[some], places[some])
    draft.put(row, x[force.home[options.candidate]], -1.0)
