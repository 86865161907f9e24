"""Prices by which a search is led to what pools share: each pool by itself then does what is good for all.

A limit that the plan held passes makes what counts for it dearer, one with room to spare cheaper again. A unit of a
commitment becomes dearer in slots that would use more than is held, cheaper in those that leave some idle; a covered
machine costs the search what its units are worth there. The steps are those of a subgradient, each kept small, so that
a search is not driven back and forth.
"""

from __future__ import annotations

import numpy as np

from placement.problem import Counts, Floats, Ints, Problem
from placement.purchase import buy, terms
from placement.shared import best_bought, cover, covered, measured, passed, units_per_machine
from placement.shared_bound import SharedPrices, priced

_STEP = 0.25
"""Share of a machine's price by which a limit passed by all of itself makes it dearer in one step."""
_LEAST = 1.0
"""A limit that packing passes is taken to be passed by this share of itself at least: small steps come too late."""


class Steering:
    """Prices in USD of what pools share, for one search; `priced` is the problem at them."""

    def __init__(self, problem: Problem, shared: SharedPrices, cost_scale: float) -> None:
        """Begin with the prices of a bound, in units of its objective."""
        limits, c = problem.limits, problem.commitments
        self._problem, usable = problem, cost_scale > 0
        self._limit = shared.limit / cost_scale if usable and len(shared.limit) else np.zeros_like(limits.most)
        self._unit = shared.unit / cost_scale if usable and len(shared.unit) else c.price_usd.copy()
        self._worth, self._dearest = self._limit_worth(), self._unit_worth()

    def _limit_worth(self) -> Floats:
        """USD that one unit of each limit's measure costs about [L]: a machine's mean price over what it counts."""
        offers, limits = self._problem.offers, self._problem.limits
        worth = np.ones(len(limits.paid))
        for row in np.flatnonzero(~limits.paid):
            amount = limits.amount[row, offers.pool]
            mine = amount > 0
            if mine.any():
                worth[row] = float((offers.price_usd[mine].mean(axis=1) / amount[mine]).mean())
        return worth

    def _unit_worth(self) -> Floats:
        """USD that a unit of each commitment saves at most in each slot [K, T]."""
        problem = self._problem
        most = np.zeros_like(problem.commitments.price_usd)
        for k in range(len(most)):
            rows = covered(problem, k)
            each = units_per_machine(problem, k, rows)
            saves = np.divide(problem.offers.price_usd[rows], each, out=np.zeros_like(each), where=each > 0)
            most[k] = saves.max(axis=0, initial=0.0)
        return most

    @property
    def priced(self) -> Problem:
        """The problem with its machines at these prices."""
        return priced(self._problem, SharedPrices(self._limit, self._unit), 1.0)[0]

    def learn(self, firm: Ints, every: Ints) -> None:
        """Take a step for a plan that needs these machines, `firm` of them not spot, [P, T] each."""
        machines = self._machines(firm, every)
        most = self._problem.limits.most
        if len(most):
            over = (measured(self._problem, machines) - most) / np.maximum(most, 1e-9)
            self._limit = np.maximum(0.0, self._limit + _STEP * self._worth[:, None] * np.clip(over, -0.5, 1.0))
        left, bought = machines.astype(np.float64), best_bought(self._problem, machines)
        for k, owned in enumerate(self._problem.commitments.owned):
            _, wanted = cover(self._problem, k, left, np.inf)
            level = float(owned + bought[k])
            left -= cover(self._problem, k, left, level)[0]
            apart = (wanted - level) / max(level, float(wanted.max(initial=0.0)), 1e-9)
            self._unit[k] = np.clip(self._unit[k] + _STEP * self._dearest[k] * apart, 0.0, self._dearest[k])

    def press(self, machines: Counts) -> None:
        """Make dearer what passes a limit with the `machines` [O, T] that packing came to, and nothing cheaper."""
        most = self._problem.limits.most
        over = measured(self._problem, machines) / np.maximum(most, 1e-9) - 1
        step = np.where(passed(self._problem, machines), np.clip(over, _LEAST, 1.0), 0.0)
        self._limit += _STEP * self._worth[:, None] * step

    def _machines(self, firm: Ints, every: Ints) -> Counts:
        """What each pool would buy at these prices [O, T]."""
        problem = self.priced
        offered, counts = terms(problem), np.zeros(problem.offers.price_usd.shape, np.int32)
        for pool in np.flatnonzero(every.any(axis=1)).tolist():
            found = buy(pool, offered, np.minimum(firm[pool], every[pool])[None], every[pool][None])
            there = offered.offer[pool] >= 0
            counts[offered.offer[pool][there]] = found.counts[there]
        return counts
