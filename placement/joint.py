"""Machines of several pools bought together, where they share limits or commitments: a small mixed-integer program.

Columns: run[o, t] machines of an offer; level[o] held of one paid in every slot, and beyond[o, v] where more is owned
in some slots; way[p, t, j] which of its needs a pool meets; lack[p, t] machines that no offer gives; held[k] units of a
commitment; pays[k, o, t] on_demand machines that it pays for. Every pool runs just what it needs (or must), so that
nothing runs idly because it is paid for.

Commitments that cover the same offer are free here to share it as is cheapest, which their order may not allow: what
is then bought of them is worked out again from the machines (`placement.shared.best_bought`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from placement.mip import Draft
from placement.packing import Pairs
from placement.problem import Counts, Floats, Ints, Problem, Purchase
from placement.shared import DIGITS, best_bought, commitments_usd
from placement.shared_rows import Paid, add_commitments, add_limits, add_paid

GAP = 1e-6
"""Relative gap to which machines are bought."""
_NODES = 2000
"""Branches after which the best purchase found is taken."""


@dataclass(frozen=True, slots=True)
class Purchased:
    """`machines` [O, T], what is `bought` [K] of commitments, and machines `lacking` [P, T] that limits do not allow.
    """

    machines: Counts
    bought: Floats
    lacking: Ints


def buy_jointly(problem: Problem, needs: Sequence[Pairs]) -> Purchased | None:
    """The cheapest machines that meet the `needs` of all pools, as few as can be lacking; None if none were found.

    Limits that what is owned passes by itself cannot be kept at all: then there is no purchase.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # heavy: only shared limits and commitments need it
    from scipy.sparse import csr_matrix

    draft = Draft()
    run = np.full(problem.offers.price_usd.shape, -1, np.int64)
    lack = np.full(problem.pools.max_machines.shape, -1, np.int64)
    paid = Paid.none(problem)
    excess_usd = 10.0 * (1.0 + float(problem.offers.price_usd.sum()) + float(problem.pools.run_usd.sum()))
    for pool, need in enumerate(needs):
        _pool(problem, draft, pool, need, run, lack, paid, excess_usd)
    add_limits(problem, draft, run, paid)
    held = add_commitments(problem, draft, run)
    model = draft.model(draft.costs())
    rows = csr_matrix((model.value, model.column, model.row_start), (len(model.row_lower), len(model.cost)))
    found = milp(model.cost, integrality=model.whole.astype(int), bounds=Bounds(model.lower, model.upper),
                 constraints=LinearConstraint(rows, model.row_lower, model.row_upper),
                 options={"mip_rel_gap": GAP, "node_limit": _NODES})
    if found.x is None:
        return None
    values = np.round(found.x)
    machines = np.where(run >= 0, values[np.maximum(run, 0)], 0).astype(np.int32)
    lacking = values[lack].astype(np.int64)
    return Purchased(machines, _bought(problem, machines, found.x[held]), lacking)


def _bought(problem: Problem, machines: Counts, held: Floats) -> Floats:
    """What to buy of commitments: the program's answer or the one in order, whichever costs less."""
    owned = problem.commitments.owned
    ordered = best_bought(problem, machines)
    if not len(owned):
        return ordered
    free = np.clip(np.round(held - owned, DIGITS), 0.0, problem.commitments.most)
    free = np.where(problem.commitments.by_machine, np.round(free), free)
    better = commitments_usd(problem, machines, owned + free) < commitments_usd(problem, machines, owned + ordered)
    return free if better else ordered


def _pool(problem: Problem, draft: Draft, pool: int, need: Pairs, run: Ints, lack: Ints, paid: Paid,
          excess_usd: float) -> None:
    """Columns and rows of one pool: its offers within their limits, meeting one of its needs in every slot."""
    offers, slots = problem.offers, problem.slots
    mine = np.flatnonzero(offers.pool == pool)
    most = problem.pools.max_machines[pool].astype(np.float64)
    loose = offers.purchase > Purchase.COMMITTED
    for offer in mine:
        usd = problem.pools.run_usd[pool] + (offers.price_usd[offer] if loose[offer] else 0.0)
        upper = np.minimum(offers.max_machines[offer], most)
        run[offer] = draft.add_columns(slots, upper, cost=usd, whole=True)
        if not loose[offer]:
            add_paid(problem, draft, int(offer), run[offer], float(upper.max(initial=0)), paid)
    most_lacking = float(need.machines.max(initial=0))
    lack[pool] = draft.add_columns(slots, most_lacking, cost=excess_usd, whole=True)
    draft.put(draft.add_rows(slots, upper=most), run[mine], 1.0)
    total, firm = _wanted(draft, need, problem.pools.min_machines[pool])
    for rows, counted in ((total, mine), (firm, mine[offers.purchase[mine] != Purchase.SPOT])):
        draft.put(rows, run[counted], 1.0)
        draft.put(rows, lack[pool], 1.0)


def _wanted(draft: Draft, need: Pairs, least: Counts) -> tuple[Ints, Ints]:
    """Rows for all machines and for those that are not spot; in every slot one of the needs is chosen."""
    slots = need.machines.shape[1]
    total = np.maximum(need.machines, least)
    if len(total) == 1:
        return draft.add_rows(slots, total[0], total[0]), draft.add_rows(slots, need.firm[0])
    way = draft.add_columns(total.size, whole=True).reshape(total.shape)
    draft.put(draft.add_rows(slots, 1.0, 1.0), way, 1.0)
    rows = draft.add_rows(slots, 0.0, 0.0), draft.add_rows(slots, 0.0)
    draft.put(rows[0], way, -total.astype(np.float64))
    draft.put(rows[1], way, -need.firm.astype(np.float64))
    return rows


