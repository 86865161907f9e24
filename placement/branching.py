"""Branching on the dearest streams: how many copies they have, which clusters and pools they use.

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
_SPLIT_ENOUGH = 0.002
"""A stream whose fractions are nearer to whole than this, times its share of the usual cost, is not branched on."""


@dataclass(frozen=True, slots=True)
class _Branch:
    """What is fixed, what the bound is, and the decision to take next (its `yes` says nothing yet).

    `taken` are the decisions that fixed it, `proof` the row prices that prove the bound.
    """

    fixed: Fixed
    bound: float
    decision: Decision | None
    taken: tuple[Decision, ...]
    proof: RowProof | None


class Branching:
    """Raises the bound of a settled `Bounding` by best-first branching; `advance` works off one branch."""

    def __init__(self, problem: Problem, bounding: Bounding, stopped: Callable[[], bool], *,
                 pools: bool = False) -> None:
        """With `pools` branches decide on pools too, which `certificate` cannot tell."""
        self._problem, self._bounding, self._stopped, self._pools = problem, bounding, stopped, pools
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
        assert branch.decision is not None, "a branch without a decision has no children"
        sides = [replace(branch.decision, yes=yes) for yes in (False, True)]
        return [(self._narrowed(branch.fixed, side), (*branch.taken, side)) for side in sides]

    def _narrowed(self, fixed: Fixed, side: Decision) -> Fixed:
        """What is fixed once a decision is taken too."""
        s, allowed, domains = side.stream, fixed.copies.copy(), fixed.domains.copy()
        if side.domain < 0:
            few = np.arange(allowed.shape[1]) <= side.copies
            allowed[s] &= few if side.yes else ~few
            return replace(fixed, copies=allowed)
        if side.pool < 0 or side.yes:
            domains[s, side.domain] = 1 if side.yes else -1
        if side.pool < 0:
            return replace(fixed, domains=domains)
        c = self._problem.candidates
        here = (c.stream == s) & (self._domain == side.domain)
        gone = here & ((c.pool != side.pool) if side.yes else (c.pool == side.pool))
        return replace(fixed, domains=domains, never=gone if fixed.never is None else fixed.never | gone)

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
        if fixed.never is not None and fixed.never[self._candidates(column)].any():
            return False
        here = self._domain[self._candidates(column)]
        wish = fixed.domains[s]
        return bool((wish[here] >= 0).all()) and not bool((np.delete(wish, here) > 0).any())

    def _candidates(self, column: Column) -> Ints:
        units = self._bounding.master.units.units
        return np.array([units[u][0] for u in column.units], np.int64)

    def _decide(self, fixed: Fixed) -> Decision | None:
        """The decision that matters most, on copies, a failure domain or a pool."""
        master, c = self._bounding.master, self._problem.candidates
        use: Floats = np.zeros(fixed.domains.shape)
        copies: Floats = np.zeros(fixed.copies.shape)
        of_pool: Floats = np.zeros(len(c.pool))
        for column, value in zip(master.columns, master.fraction, strict=False):
            if value > 1e-7:
                at = self._candidates(column)
                use[column.stream, self._domain[at]] += value
                of_pool[at] += value
                copies[column.stream, min(len(column.units), copies.shape[1] - 1)] += value
        dual = np.maximum(master.stream_duals(), 0.0)
        by_copies = _halves(np.cumsum(copies, axis=1)) * dual[:, None]
        by_domain = _halves(use) * (fixed.domains == 0) * dual[:, None]
        by_pool = _halves(of_pool) * dual[c.stream] if self._pools else np.zeros(1)
        little = _SPLIT_ENOUGH * max(float(dual.mean()), 1e-9)
        if max(by_copies.max(), by_domain.max(), by_pool.max(initial=0.0)) <= little:
            return None
        if by_copies.max() >= 0.5 * max(by_domain.max(), by_pool.max(initial=0.0)):
            s, k = np.unravel_index(int(by_copies.argmax()), by_copies.shape)
            return Decision(int(s), -1, int(k), yes=True)
        if by_pool.max(initial=0.0) > by_domain.max():
            n = int(by_pool.argmax())
            return Decision(int(c.stream[n]), int(self._domain[n]), 0, yes=True, pool=int(c.pool[n]))
        s, d = np.unravel_index(int(by_domain.argmax()), by_domain.shape)
        return Decision(int(s), int(d), 0, yes=True)


def _halves(fractions: Floats) -> Floats:
    """How far each fraction is from whole."""
    inside = np.clip(fractions, 0.0, 1.0)
    return np.minimum(inside, 1.0 - inside)

