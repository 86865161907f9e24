"""Shared limits and commitments as rows and columns of a mixed-integer program."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.mip import Draft
from placement.problem import Floats, Ints, Problem, Purchase
from placement.shared import covered, units_per_machine


@dataclass(frozen=True, slots=True)
class Paid:
    """Columns that say how many machines of an offer are paid in a slot, whether they run or not.

    `held` [O] for the horizon (-1: paid as they run), and `beyond` [O, T] where more than that is owned (-1: no more).
    """

    held: Ints
    beyond: Ints

    @classmethod
    def none(cls, problem: Problem) -> Paid:
        """No columns yet."""
        shape = problem.offers.price_usd.shape
        return cls(np.full(shape[0], -1, np.int64), np.full(shape, -1, np.int64))


def add_paid(problem: Problem, draft: Draft, offer: int, run: Ints, highest: float, paid: Paid) -> None:
    """held[o] of an owned or committed offer, at least what `run` [n] in any slot and what is owned; fills `paid`.

    Where slots own more than the fewest owned in any, what is owned there beyond what is held is paid too.
    """
    owned, price = problem.offers.owned[offer], problem.offers.price_usd[offer]
    least = float(owned.min())
    held = draft.add_columns(1, max(least, highest), lower=least, cost=price.sum(), whole=True)
    paid.held[offer] = held[0]
    rows = draft.add_rows(len(run), upper=0.0)
    draft.put(rows, run, 1.0)
    draft.put(rows, held, -1.0)
    for level in np.unique(owned)[1:]:
        beyond = draft.add_columns(1, float(level), cost=float(price[owned == level].sum()))
        paid.beyond[offer, owned == level] = beyond[0]
        draft.put(draft.add_rows(1, lower=float(level)), np.append(held, beyond), 1.0)


def add_limits(problem: Problem, draft: Draft, run: Ints, paid: Paid, room: float = 1.0) -> None:
    """A row for every limit and slot; `run` [O, T] (-1: never any). `room` < 1 keeps that share of what machines may
    count.
    """
    limits, offers = problem.limits, problem.offers
    for row in range(len(limits.paid)):
        mine = np.flatnonzero(limits.amount[row, offers.pool] > 0)
        amount = limits.amount[row, offers.pool]
        if not limits.paid[row]:
            _put(draft, draft.add_rows(problem.slots, upper=limits.most[row] * room), run, mine,
                 np.repeat(amount[:, None], problem.slots, axis=1))
            continue
        rows, usd = draft.add_rows(problem.slots, upper=limits.most[row]), amount[:, None] * offers.price_usd
        fixed = offers.purchase[mine] <= Purchase.COMMITTED
        _put(draft, rows, run, mine[~fixed], usd)
        _put(draft, rows, np.repeat(paid.held[:, None], problem.slots, axis=1), mine[fixed], usd)
        _put(draft, rows, paid.beyond, mine[fixed], usd)


def _put(draft: Draft, rows: Ints, column: Ints, offers: Ints, value: Floats) -> None:
    """Entries of the columns [O, T] of some offers that exist."""
    at, t = np.nonzero(column[offers] >= 0)
    draft.put(rows[t], column[offers[at], t], value[offers[at], t])


def add_commitments(problem: Problem, draft: Draft, run: Ints) -> Ints:
    """held[k] and pays[k, o, t] with their rows; returns the columns held [K].

    Where several commitments cover an offer, any may pay for any part of it: their turns are not in the program.
    """
    c = problem.commitments
    held = np.zeros(len(c.owned), np.int64)
    pays: list[tuple[Ints, Ints, Ints]] = []
    for k in range(len(held)):
        held[k] = draft.add_columns(1, c.owned[k] + c.most[k], lower=c.owned[k], cost=float(c.price_usd[k].sum()),
                                    whole=bool(c.by_machine[k]))[0]
        rows = covered(problem, k)
        at, t = np.nonzero(run[rows] >= 0)
        each, offer = units_per_machine(problem, k, rows)[at, t], rows[at]
        columns = draft.add_columns(len(offer), problem.offers.max_machines[offer, t],
                                    cost=-problem.offers.price_usd[offer, t])
        used = draft.add_rows(problem.slots, upper=0.0)
        draft.put(used[t], columns, each)
        draft.put(used, held[k], -1.0)
        pays.append((offer, t, columns))
    if pays:
        _pay_once(problem, draft, run, pays)
    return held


def _pay_once(problem: Problem, draft: Draft, run: Ints, pays: list[tuple[Ints, Ints, Ints]]) -> None:
    """No more machines of an offer are paid for, by all commitments together, than run."""
    offer, t, columns = (np.concatenate(parts) for parts in zip(*pays, strict=True))
    place, at = np.unique(offer * problem.slots + t, return_inverse=True)
    rows = draft.add_rows(len(place), upper=0.0)
    draft.put(rows[at], columns, 1.0)
    draft.put(rows, run[place // problem.slots, place % problem.slots], -1.0)
