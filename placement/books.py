"""The plan in force and what becomes of it, in the books of the search, over shortlists that are made anew.

The books (`placement.booking`) count machines by packing weights: here shares of machines, scaled pool by pool to what
the plan in force really runs.
"""

from __future__ import annotations

import numpy as np

from placement.booking import State, Tables, book_all, new_state
from placement.jit import jit
from placement.mending import Leave, new_scratch
from placement.needs import Load
from placement.openings import list_units
from placement.payment import Purse, make_purse, pool_cost
from placement.problem import Bools, Floats, Incumbent, Ints, Problem
from placement.result import Units
from placement.search import Scratch
from placement.searcher import make_links, make_rules, placeable

_HEAVIEST = 1.3
"""Shares are not scaled by more than this to come to the machines that really run."""
_UNKNOWN, _FEW = 1.1, 10
"""What shares are scaled by where nothing runs yet, and the size of pools so small that they are not: there a tenth is
a machine that packing seldom needs, for want of which work would be shed.
"""


class Books:
    """A plan over a shortlist: `state` and `tables` for compiled steps, `leave` what leaving a place means.

    `homes` [S] are the places that streams have by the plan in force, `whole` [S] whether these are all they need.
    `limit` [P, T] are the machines that the books may use: what packing takes away is taken here.
    """

    state: State
    tables: Tables
    scratch: Scratch
    leave: Leave

    def __init__(self, problem: Problem, incumbent: Incumbent, weights: tuple[Floats, Ints], left_out: Bools) -> None:
        self.problem, self.incumbent = problem, incumbent
        self._weights, self._counts = weights
        self._rules, self._links = make_rules(problem, np.zeros(len(left_out))), make_links(problem)
        self.purse = make_purse(problem)
        self.dropped = ~placeable(problem) | left_out
        self.homes = np.bincount(incumbent.stream, minlength=len(problem.streams.shape))
        wanted = np.zeros_like(self.homes)
        wanted[incumbent.stream] = problem.variants.copies[incumbent.variant]
        self.whole = (self.homes > 0) & (self.homes == wanted)
        self.limit = self.purse.pool_max.copy()

    def price(self, problem: Problem) -> None:
        """Pay from now on as this problem does: the same one, with its machines at other prices."""
        self.purse = make_purse(problem)
        self.purse.pool_max[:] = self.limit
        if hasattr(self, "tables"):
            self.tables = self.tables._replace(purse=self.purse)
            _pay(self.state, self.purse)

    def open(self, held: Ints, places: Ints, stay_usd: Floats) -> None:
        """Hold a plan [K, 4], over a shortlist of these `places` [n, 4] and those held now and in the plan in force.

        Rows are (stream, candidate, variant, start); a place at home counts `stay_usd` [S] less than it costs.
        """
        problem = self.problem
        listed = list_units(problem, self.incumbent, held, places, stay_usd)
        first = np.searchsorted(self.incumbent.stream, np.arange(len(self.homes) + 1))
        copies = np.bincount(held[:, 0], minlength=len(self.homes))
        placed = np.zeros((len(copies), max(1, int(listed.units.block_copies.max(initial=1)))), np.int64)
        placed[held[:, 0], _turn(held[:, 0])] = listed.held
        self.state = new_state(placed, copies, self.dropped.copy(), self._weights, self.purse.held, problem.slots)
        self.tables = Tables(listed.units, self._rules, self.purse, self._links, self._weights, self._counts)
        same = np.zeros(len(listed.home), np.bool_)
        same[listed.own] = True
        self.scratch, self.leave = new_scratch(self.state), Leave(listed.home, same, listed.own, first, self.whole)
        self.purse.pool_max[:] = self.limit
        book_all(self.state, self.tables)

    def use(self, most: Floats) -> None:
        """Fill pools up to `most` [P, T] machines for now."""
        self.purse.pool_max[:] = most
        _pay(self.state, self.purse)

    def squeeze(self, pool: Ints, slot: Ints, lacking: Ints) -> None:
        """Do with `lacking` machines fewer than are used there, from now on; [k] each."""
        used = self.state.machines[pool, slot]
        self.limit[pool, slot] = np.maximum(np.minimum(self.limit[pool, slot], used) - lacking, 0)
        self.use(self.limit)

    def bar(self, pools: Bools) -> None:
        """Make all in these pools [P] but the plan in force too dear for any search."""
        units = self.tables.units
        units.usd[pools[units.pool] & ~self.leave.same] = np.inf

    def placed(self) -> tuple[Ints, Ints]:
        """The stream and the row in the shortlist of every unit held."""
        copies = self.state.copies
        stream = np.repeat(np.arange(len(copies)), copies)
        return stream, self.state.placed[stream, _turn(stream)]

    def plan(self) -> Units:
        """The plan held as units, sorted by stream and copy."""
        (stream, at), units = self.placed(), self.tables.units
        return Units(stream, _turn(stream), units.candidate[at], units.variant[at], units.start[at])

    @property
    def moves(self) -> int:
        """Places of the plan in force that were left."""
        stream, unit = self.placed()
        left = self.homes - np.bincount(stream[self.leave.home[unit]], minlength=len(self.homes))
        return int(left[(self.state.copies > 0) & self.whole].sum())


@jit
def _pay(state: State, purse: Purse) -> None:
    """Pay all machines anew, as limits or prices have changed."""
    for p in range(len(state.pool_usd)):
        usd, level = pool_cost(purse, p, state.level[p], state.firm_machines[p], state.machines[p])
        state.totals[0] += usd - state.pool_usd[p]
        state.pool_usd[p] = usd
        state.level[p] = level


def _turn(stream: Ints) -> Ints:
    """Which of its stream's units each is; `stream` is sorted."""
    turn: Ints = np.arange(len(stream)) - np.searchsorted(stream, stream)
    return turn


def share_weights(problem: Problem, loads: tuple[Load, ...], running: Ints) -> tuple[Floats, Ints]:
    """Weights [P, C, W] and how many of each pool [P]: shares of its machines by resource, one for each, scaled so that
    its load comes to the machines that are `running` [P, T].
    """
    room = np.maximum(problem.pools.room, 1e-12)[:, :, None]
    share = problem.shapes.T[None] / room
    vectors = np.concatenate([share, np.where(share > 0.5 + 1e-9, 1.0, 0.0)], axis=1)
    unknown = np.where(problem.pools.max_machines.max(axis=1, initial=0) > _FEW, _UNKNOWN, 1.0)
    factor = unknown.copy()
    for p, load in enumerate(loads):
        if len(load.shapes):
            counts = np.ceil((vectors[p][:, load.shapes] @ (load.firm + load.flexible)).max(axis=0) - 1e-6).sum()
            factor[p] = running[p].sum() / counts if counts else unknown[p]
    factor = np.clip(factor, 1.0, _HEAVIEST)
    below = (vectors[:, :, None] <= vectors[:, None] + 1e-12).all(axis=3)
    first = np.tri(vectors.shape[1], k=-1, dtype=bool)
    beaten = (below & (first | ~below.transpose(0, 2, 1)) & ~np.eye(vectors.shape[1], dtype=bool)).any(axis=2)
    counts = (~beaten).sum(axis=1)
    order = np.argsort(beaten, axis=1, kind="stable")[:, : int(counts.max(initial=1))]
    kept = np.take_along_axis(vectors * factor[:, None, None], order[:, :, None], axis=1)
    kept *= (np.arange(kept.shape[1]) < counts[:, None])[:, :, None]
    return np.ascontiguousarray(kept.transpose(0, 2, 1)), counts
