"""Raising the bound: rounds of column generation, new packing weights and finer time groups, in that order of need."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from placement.bound import Choices, Pricer, Prices
from placement.certificate import Certificate
from placement.evidence import RowProof, no_prices, of_master
from placement.master import Master
from placement.problem import Floats, Ints, Problem
from placement.searcher import Searcher
from placement.shortlist import Shortlist, columns_in_use, shortlist

_ROUGH, _FINE = 1e-3, 2e-4
"""Relative distance of master and bound at which columns suffice, before and after time groups have settled."""
_INNER = 8
_SLOTS_TRIED = 3
_ART_FACTOR, _ART_USD = 30.0, 2000.0
"""A stream left without a choice costs the master this many times its cheapest choice, and this much more."""


class Bounding:
    """The best bound of one problem and the prices that prove it; `advance` raises it, a round at a time.

    `bound` is what `placement.bound` proves: a least cost (`min_cost`) or a least weight left out (`max_sla`), and
    `proof` the row prices that prove it (None: it is 0).
    """

    def __init__(self, problem: Problem, seed: int, stopped: Callable[[], bool], deadline: float) -> None:
        self._problem, self._stopped, self._deadline = problem, stopped, deadline
        self._rng = np.random.default_rng(seed)
        self.pricer = Pricer(problem)
        self.master = Master(problem)
        self.bound = 0.0
        self.proof: RowProof | None = None
        self.prices: Prices
        self.choices: Choices
        self.done = False
        self.rounds = 0
        self._splitting = self._fine = False
        self._start()

    @property
    def settled(self) -> bool:
        """Weights have settled and time groups are being split: the prices are good enough to guide a search."""
        return self._splitting

    def _start(self) -> None:
        """First columns: the cheapest choices when every replica rents its share of the pool's cheapest machine."""
        problem = self._problem
        nothing, never = np.zeros_like(problem.pools.run_usd), np.full(len(problem.workloads.weight), np.inf)
        self.prices = Prices(fluid_rent(problem), nothing, nothing, 1.0, never, 0.0)
        self.choices = self.pricer.cheapest(self.prices)
        finite = np.where(np.isfinite(self.choices.best), self.choices.best, 0.0)
        self.master.art_usd = _ART_FACTOR * finite + _ART_USD
        self.master.add_columns(self.choices, np.full(len(finite), np.inf), 4)
        self.done = not self.solve()

    @property
    def weights(self) -> list[list[Floats]]:
        """Packing weights known, by pool."""
        return self.master.weights

    @property
    def legal(self) -> list[Ints]:
        """Shapes that may be in each pool."""
        return self.master.legal

    def shortlist(self) -> Shortlist:
        """The units worth trying at the prices of now."""
        master = self.master
        used = columns_in_use(self.choices, master.columns, master.fraction, master.units)
        return shortlist(self._problem, self.prices, self.choices, used)

    def start(self) -> Callable[[Searcher, np.random.Generator], None]:
        """A way to start a search from the fractions of now; its units are on the `shortlist` of now."""
        columns, fraction, table = list(self.master.columns), self.master.fraction, self.master.units
        return lambda searcher, rng: searcher.round_columns(columns, fraction, table, rng)

    def certificate(self) -> Certificate:
        """What proves the bound, as far as it is proven without branches."""
        if self.proof is None:
            return no_prices(self._problem)
        return of_master(self._problem, self.master.groups, self.master.weights, [((), self.proof)])

    def _seconds(self) -> float:
        return max(0.05, self._deadline - time.monotonic())

    def solve(self) -> bool:
        """Solve the master in the time left; False when time ran out."""
        return not self._stopped() and self.master.solve(self._seconds())

    def _price(self) -> int:
        """Bound and new columns at the master's prices; returns how many columns are new."""
        prices = self.master.prices()
        choices = self.pricer.cheapest(prices)
        bound = self.pricer.bound(prices, choices)
        if bound > self.bound:
            self.bound, self.proof = bound, self.master.proof()
        self.prices, self.choices = prices, choices
        duals = self.master.stream_duals()
        new = self.master.add_columns(choices, duals - 1e-7 * max(1.0, float(np.abs(duals).max(initial=0.0))), 2)
        close = self.master.objective - bound < (_FINE if self._fine else _ROUGH) * abs(self.master.objective)
        return 0 if close else new

    def advance(self) -> None:
        """One round: columns until master and bound meet, rows and weights the fractions break, finer groups."""
        if self.done:
            return
        inner = 0
        while self._price() and inner < _INNER:
            inner += 1
            if not self.solve():
                self.done = True
                return
        loads = self.master.loads()
        broken = self.master.add_violated(loads)
        weights = self.master.new_weights(loads, self._rng, _SLOTS_TRIED, self._stopped)
        broken += self.master.add_violated(loads) if weights else 0
        splits = 0
        pools = len(self._problem.pools.cluster)
        if self._splitting or weights < max(2, pools // 6):
            self._splitting = True
            worth = 1e-6 * max(self.master.objective, 1.0) if self._problem.objective.mode == "min_cost" else 0.02
            splits, loss = self.master.split(loads, worth)
            self._fine = loss < 0.01 * abs(self.master.objective)
        self.rounds += 1
        self.done = self._splitting and not (broken or weights or splits)
        self.master.purge()
        if not self.done and not self.solve():
            self.done = True


def fluid_rent(problem: Problem) -> Floats:
    """[2, C, P, T]: the cheapest machine-slot of each pool, shared by as many replicas as one machine holds."""
    offers, pools = problem.offers, problem.pools
    rent = np.zeros((2, len(problem.shapes), len(pools.cluster), problem.slots))
    for p in range(len(pools.cluster)):
        with np.errstate(divide="ignore", invalid="ignore"):
            fit = np.where(problem.shapes > 0, pools.room[p] / problem.shapes, np.inf).min(axis=1)
        cheapest = offers.price_usd[offers.pool == p].min(axis=0, initial=np.inf)
        cheapest = np.where(np.isfinite(cheapest), cheapest, 0.0) + pools.run_usd[p]
        rent[:, :, p, :] = cheapest / np.maximum(np.floor(fit + 1e-9), 1.0)[None, :, None]
    return rent
