"""Branching on the dearest streams: how many copies they have, which clusters they use.

A few streams of very large demand carry much of the distance between bound and plan, because the master spreads them
in fractions over places that cannot all be paid for whole. Each branch fixes one such decision; the problem's bound is
the least bound of the open branches (Land and Doig, "An automatic method of solving discrete programming problems",
Econometrica 28, 1960). Every branch's bound is a Lagrangian bound of its own (`placement.bound`), so it holds whatever
the linear solver does.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from placement.bound import Fixed, free
from placement.bounding import Bounding
from placement.certificate import Certificate, Decision
from placement.columns import Column
from placement.domains import failure_domains
from placement.evidence import RowProof, no_prices, of_master
from placement.problem import Floats, Ints, Problem

_PRICING_ROUNDS = 4
_CLOSE = 3e-4
_SPLIT_ENOUGH = 0.02
"""A stream whose fractions are nearer to whole than this is not branched on."""


@dataclass(frozen=True, slots=True)
class _Branch:
    """What is fixed, what the bound is, and the decision to take next (stream, domain; domain -1: copies).

    `taken` are the decisions that fixed it, `proof` the row prices that prove the bound.
    """

    fixed: Fixed
    bound: float
    decision: tuple[int, int, int] | None
    taken: tuple[Decision, ...]
    proof: RowProof | None


class Branching:
    """Raises the bound of a settled `Bounding` by best-first branching; `advance` works off one branch."""

    def __init__(self, problem: Problem, bounding: Bounding, stopped: Callable[[], bool]) -> None:
        self._problem, self._bounding, self._stopped = problem, bounding, stopped
        self._domain = failure_domains(problem).pool[problem.candidates.pool]
        self._open: list[tuple[float, int, _Branch]] = []
        self._count = 0
        self.done = False
        root = free(problem)
        self._push(_Branch(root, bounding.bound, self._decide(root), (), bounding.proof))

    @property
    def branches(self) -> int:
        """Branches made so far."""
        return self._count

    def certificate(self) -> Certificate:
        """What proves the bound: the prices of every branch that is not divided, in the order of their decisions."""
        master = self._bounding.master
        branches = [branch for _, _, branch in sorted(self._open, key=lambda entry: entry[1])]
        leaves = [(branch.taken, branch.proof) for branch in branches if branch.proof is not None]
        if len(leaves) < len(branches):
            return no_prices(self._problem)  # the root proved nothing, and then nothing is claimed
        return of_master(self._problem, master.groups, master.weights, leaves)

    def _push(self, branch: _Branch) -> None:
        heapq.heappush(self._open, (branch.bound, self._count, branch))
        self._count += 1

    def advance(self, enough: float) -> None:
        """Work off the branch of least bound; `enough` is the bound from which no more is wanted (the best plan's)."""
        if self.done or not self._open:
            self.done = True
            return
        bound, _, branch = self._open[0]
        if branch.decision is None or bound >= enough or self._stopped():
            self.done = True
            return
        children = []
        for fixed, taken in self._children(branch):
            child = self._evaluate(replace(branch, fixed=fixed, bound=bound, taken=taken), enough)
            if child is None:
                self.done = True  # cut short: the branch stays open with the bound it has
                return
            children.append(child)
        heapq.heappop(self._open)
        for child in children:
            self._push(child)
        if self._open:
            self._bounding.bound = max(self._bounding.bound, min(self._open[0][0], enough))

    def _children(self, branch: _Branch) -> list[tuple[Fixed, tuple[Decision, ...]]]:
        stream, domain, copies = branch.decision or (0, 0, 0)
        result = []
        for side in (0, 1):
            yes = bool(side) if domain >= 0 else side == 0
            taken = (*branch.taken, Decision(stream, domain, copies if domain < 0 else 0, yes))
            allowed, domains = branch.fixed.copies.copy(), branch.fixed.domains.copy()
            if domain >= 0:
                domains[stream, domain] = 1 if side else -1
            else:
                few = np.arange(allowed.shape[1]) <= copies
                allowed[stream] &= few if side == 0 else ~few
            result.append((Fixed(allowed, domains), taken))
        return result

    def _evaluate(self, branch: _Branch, enough: float) -> _Branch | None:
        """A branch, which comes with its parent's bound, with its own; None when time ran out in it."""
        fixed, best, proof = branch.fixed, branch.bound, branch.proof
        bounding, master = self._bounding, self._bounding.master
        master.forbidden = lambda column: not self._allows(fixed, column)
        try:
            for _ in range(_PRICING_ROUNDS):
                if self._stopped() or not bounding.solve():
                    return None
                prices = master.prices()
                choices = bounding.pricer.cheapest(prices, fixed)
                bound = bounding.pricer.bound(prices, choices)
                if bound > best:
                    best, proof = bound, master.proof()
                if best >= enough or master.objective - best < _CLOSE * abs(master.objective):
                    break
                if not master.add_columns(choices, master.stream_duals() - 1e-6, 2):
                    break
            return replace(branch, bound=best, proof=proof, decision=self._decide(fixed) if best < enough else None)
        finally:
            master.forbidden = lambda _: False

    def _allows(self, fixed: Fixed, column: Column) -> bool:
        s = column.stream
        if not fixed.copies[s, min(len(column.units), fixed.copies.shape[1] - 1)]:
            return False
        here = self._domains(column)
        wish = fixed.domains[s]
        return bool((wish[here] >= 0).all()) and not bool((np.delete(wish, here) > 0).any())

    def _domains(self, column: Column) -> Ints:
        units = self._bounding.master.units.units
        return self._domain[[units[u][0] for u in column.units]]

    def _decide(self, fixed: Fixed) -> tuple[int, int, int] | None:
        """The decision that matters most: stream, domain (or -1 and the number of copies to divide at)."""
        master = self._bounding.master
        use: Floats = np.zeros(fixed.domains.shape)
        copies: Floats = np.zeros(fixed.copies.shape)
        for column, value in zip(master.columns, master.fraction, strict=False):
            if value > 1e-7:
                use[column.stream, self._domains(column)] += value
                copies[column.stream, min(len(column.units), copies.shape[1] - 1)] += value
        dual = np.maximum(master.stream_duals(), 0.0)
        below = np.cumsum(copies, axis=1)
        by_copies = _halves(below) * dual[:, None]
        by_domain = _halves(use) * (fixed.domains == 0) * dual[:, None]
        if max(by_copies.max(), by_domain.max()) <= _SPLIT_ENOUGH * max(float(dual.mean()), 1e-9):
            return None
        if by_copies.max() >= 0.5 * by_domain.max():
            s, k = np.unravel_index(int(by_copies.argmax()), by_copies.shape)
            return int(s), -1, int(k)
        s, d = np.unravel_index(int(by_domain.argmax()), by_domain.shape)
        return int(s), int(d), 0


def _halves(fractions: Floats) -> Floats:
    """How far each fraction is from whole."""
    inside = np.clip(fractions, 0.0, 1.0)
    return np.minimum(inside, 1.0 - inside)

