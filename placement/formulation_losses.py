"""Survival of every loss as rows of the mixed-integer program: fallback columns, and packing rows after each loss.

Columns: back[l, option, candidate] that a copy falls back there after loss l; twice[l, s, k] that stream s loses two of
its k copies or more; taken[l, p] that pool p takes fallbacks; there[o, t] machines of a held offer after a loss;
uses[l, p, t, j] of pattern j then; top[o, t] that an offer runs as many machines as are held.

Rows:
    one copy: sum of back = x;  more: sum of back >= x + twice - 1;  lost copies <= 1 + (k - 1) twice
    apart: back into a failure domain + x of the stream's copies there <= 1
    room: sum_j pattern[j, c] uses >= replicas of c, those that fall back included;  sum_j uses <= there + assured + run
          of spot + (pool's max where not taken);  firm patterns without spot
    levels: held <= owned, or run = held in some slot
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.domains import failure_domains
from placement.mip import Draft
from placement.options import Options, needs_of
from placement.packing_rows import PoolWork, maximal_patterns
from placement.problem import Bools, Counts, Ints, Problem, Purchase
from placement.result import Fallbacks, Units
from placement.survival import asked_of, lost_units, variants_at

MAX_BACK = 3_000
"""Most fallback columns that are written out."""
MAX_USES = 12_000
"""Most pattern columns after losses."""


@dataclass(frozen=True, slots=True)
class Ways:
    """Every fallback of every option: `loss`, `option`, `candidate`, `pool` [Y], what it needs there `needs` [Y, T]."""

    loss: Ints
    option: Ints
    candidate: Ints
    pool: Ints
    needs: Counts


def ways_back(problem: Problem, options: Options) -> Ways | None:
    """All fallbacks, or None where they are too many; raises ValueError where nothing is to be survived."""
    survival, c = asked_of(problem), problem.candidates
    loss, option = np.nonzero(_lost(problem, options))
    first, end = (problem.streams.candidate_first[options.stream[option] + i] for i in (0, 1))
    count = end - first
    if count.sum() > 4 * MAX_BACK:
        return None
    candidate = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count - first, count)
    loss, option = np.repeat(loss, count), np.repeat(option, count)
    variant = variants_at(problem, options.variant[option], candidate, options.start[option])
    legal = (variant >= 0) & ~survival.lost[loss, problem.pools.cluster[c.pool[candidate]]]
    if legal.sum() > MAX_BACK:
        return None
    loss, option, candidate, variant = loss[legal], option[legal], candidate[legal], variant[legal]
    needs = [_needs(problem, int(v), int(t)) for v, t in zip(variant, options.start[option], strict=True)]
    return Ways(loss, option, candidate, c.pool[candidate],
                np.array(needs, np.int32).reshape(len(loss), problem.slots))


def _lost(problem: Problem, options: Options) -> Bools:
    """[L, N] options that a loss takes of streams that survive it."""
    survival = asked_of(problem)
    hit = survival.lost[:, problem.pools.cluster[options.pool]]
    asked: Bools = hit & (survival.kind[:, None] == survival.asked[options.stream])
    return asked


def _needs(problem: Problem, variant: int, start: int) -> Counts:
    v = problem.variants
    table: Counts = needs_of(problem, variant)[0 if v.row[variant] >= 0 else start - int(v.earliest[variant])]
    return table


def add_losses(problem: Problem, options: Options, draft: Draft, ways: Ways, run: Ints, held: Ints) -> Ints | None:
    """Add columns and rows; returns the columns of `ways` [Y], or None where pools have too many patterns.

    x are the first columns, `run` [O, T] and `held` [O] others of the draft.
    """
    works = [(loss, pool, _work(problem, options, ways, loss, pool, draft.columns))
             for loss, pool in np.unique(np.column_stack((ways.loss, ways.pool)), axis=0).tolist()]
    patterns = [maximal_patterns(work) for _, _, work in works]
    slots = [np.flatnonzero(ways.needs[(ways.loss == loss) & (ways.pool == pool)].any(axis=0))
             for loss, pool, _ in works]
    if any(one is None for one in patterns) or sum(
            len(one) * len(t) for one, t in zip(patterns, slots, strict=True) if one is not None) > MAX_USES:
        return None
    back = draft.add_columns(len(ways.loss), whole=True)
    _choices(problem, options, draft, ways, back)
    there = _held(problem, draft, np.unique(ways.pool), run, held)
    for (loss, pool, work), pattern, when in zip(works, patterns, slots, strict=True):
        if pattern is not None and len(when):
            mine = back[(ways.loss == loss) & (ways.pool == pool)]
            _room(problem, draft, work, pattern, when, run, there, mine)
    return back


def _choices(problem: Problem, options: Options, draft: Draft, ways: Ways, back: Ints) -> None:
    """Who needs a fallback, and that copies stay apart."""
    lost = _lost(problem, options)
    for loss, option in np.argwhere(lost & (options.copies == 1)).tolist():
        row = draft.add_rows(1, 0.0, 0.0)
        draft.put(row, back[(ways.loss == loss) & (ways.option == option)], 1.0)
        draft.put(row, option, -1.0)
    several = np.argwhere(lost & (options.copies > 1))
    groups = {(loss, int(options.stream[i]), int(options.copies[i])) for loss, i in several.tolist()}
    for loss, stream, copies in sorted(groups):
        mine = (options.stream == stream) & (options.copies == copies)
        gone = np.flatnonzero(mine & lost[loss])
        if len(np.unique(options.domain[gone])) > 1:
            _together(problem, options, draft, ways, back, loss, mine, gone, copies)


def _together(problem: Problem, options: Options, draft: Draft, ways: Ways, back: Ints, loss: int, mine: Bools,
              gone: Ints, copies: int) -> None:
    """Copies of one stream that may be lost together."""
    twice = draft.add_columns(1, whole=True)
    count = draft.add_rows(1, upper=1.0)
    draft.put(count, gone, 1.0)
    draft.put(count, twice, 1.0 - copies)
    here = (ways.loss == loss) & np.isin(ways.option, gone)
    for option in gone.tolist():
        row = draft.add_rows(1, lower=-1.0)
        draft.put(row, back[here & (ways.option == option)], 1.0)
        draft.put(row, [option, int(twice[0])], -1.0)
    target = failure_domains(problem).pool[ways.pool]
    for domain in np.unique(target[here]).tolist():
        row = draft.add_rows(1, upper=1.0)
        draft.put(row, back[here & (target == domain)], 1.0)
        draft.put(row, np.flatnonzero(mine & (options.domain == domain)), 1.0)


def _held(problem: Problem, draft: Draft, pools: Ints, run: Ints, held: Ints) -> Ints:
    """there[o, t] of the held offers of pools that may take fallbacks (-1: others); levels are reached in some slot."""
    offers = problem.offers
    there = np.full(run.shape, -1, np.int64)
    for o in np.flatnonzero((offers.purchase <= Purchase.COMMITTED) & np.isin(offers.pool, pools)).tolist():
        most = offers.max_machines[o].astype(np.float64)
        there[o] = draft.add_columns(problem.slots, most)
        more = offers.owned[o] - offers.owned[o].min()
        either = draft.add_columns(problem.slots, (more > 0).astype(float), whole=True)  # what is owned then, or held
        rows = draft.add_rows(problem.slots, upper=0.0)
        draft.put(rows, there[o], 1.0)
        draft.put(rows, int(held[o]), -1.0)
        draft.put(rows, either, -most)
        rows = draft.add_rows(problem.slots, upper=np.maximum(offers.owned[o], most) + most)
        draft.put(rows, there[o], 1.0)
        draft.put(rows, either, np.maximum(offers.owned[o], most) + most - offers.owned[o])
        _reached(problem, draft, o, run[o], int(held[o]))
    return there


def _reached(problem: Problem, draft: Draft, offer: int, run: Ints, held: int) -> None:
    most, owned = float(problem.offers.max_machines[offer].max()), float(problem.offers.owned[offer].min())
    more, top = int(draft.add_columns(1, whole=True)[0]), draft.add_columns(len(run), whole=True)
    row = draft.add_rows(1, upper=owned)
    draft.put(row, held, 1.0)
    draft.put(row, more, -most)
    row = draft.add_rows(1, lower=0.0)
    draft.put(row, top, 1.0)
    draft.put(row, more, -1.0)
    rows = draft.add_rows(len(run), lower=-max(most, owned))
    draft.put(rows, run, 1.0)
    draft.put(rows, held, -1.0)
    draft.put(rows, top, -max(most, owned))


def _work(problem: Problem, options: Options, ways: Ways, loss: int, pool: int, columns: int) -> PoolWork:
    """What may be in a pool after a loss: its own options, and those that fall back to it (columns from `columns`)."""
    here, come = np.flatnonzero(options.pool == pool), np.flatnonzero((ways.loss == loss) & (ways.pool == pool))
    stream = np.concatenate((options.stream[here], options.stream[ways.option[come]]))
    offers = problem.offers
    spot = bool((offers.max_machines[(offers.pool == pool) & (offers.purchase == Purchase.SPOT)] > 0).any())
    key, of_class = np.unique(problem.streams.shape[stream] * 2 + (~problem.streams.preemptible[stream] & spot),
                              return_inverse=True)
    needs = np.concatenate((options.needs[options.need[here]], ways.needs[come]))
    most = np.zeros(len(key), np.int64)
    for s in np.unique(stream):
        most[of_class[stream == s][0]] += needs[stream == s].max(initial=0)
    return PoolWork(pool, problem.pools.room[pool], np.concatenate((here, columns + come)), of_class, needs,
                    problem.shapes[key // 2], key % 2 == 1, most)


def _room(problem: Problem, draft: Draft, work: PoolWork, patterns: Ints, slots: Ints, run: Ints, there: Ints,
          back: Ints) -> None:
    """Packing rows of one pool after one loss, in the slots in which something may fall back to it."""
    survival, offers, pool = asked_of(problem), problem.offers, work.pool
    most = problem.pools.max_machines[pool, slots].astype(np.float64)
    uses = draft.add_columns(len(patterns) * len(slots), np.tile(most, len(patterns)), whole=True)
    uses = uses.reshape(len(patterns), len(slots))
    active = work.active()[:, slots]
    cover = np.zeros(active.shape, np.int64)
    cover[active] = draft.add_rows(int(active.sum()), lower=0.0)
    j, c = np.nonzero(patterns)
    at, t = np.nonzero(active[c])
    draft.put(cover[c[at], t], uses[j[at], t], patterns[j[at], c[at]])
    unit, t = np.nonzero(work.needs[:, slots])
    draft.put(cover[work.of_class[unit], t], work.option[unit], -work.needs[unit, slots[t]].astype(np.float64))
    mine = np.flatnonzero(offers.pool == pool)
    demand, spot = (mine[offers.purchase[mine] == kind] for kind in (Purchase.ON_DEMAND, Purchase.SPOT))
    sure = survival.assured[demand][:, slots].sum(axis=0).astype(np.float64)
    free = float(most.max(initial=0)) if (survival.assured[demand] < offers.max_machines[demand]).any() else 0.0
    taken = draft.add_columns(1, whole=True)
    rows = draft.add_rows(len(back), upper=0.0)
    draft.put(rows, back, 1.0)
    draft.put(rows, int(taken[0]), -1.0)
    limit = draft.add_rows(len(slots), upper=most)
    draft.put(limit, uses, 1.0)
    firm = (patterns[:, work.firm] > 0).any(axis=1)
    for among, beside in ((np.ones(len(patterns), bool), spot), (firm, spot[:0])):
        if not among.any():
            continue
        rows = draft.add_rows(len(slots), upper=sure + free)
        draft.put(rows, uses[among], 1.0)
        draft.put(rows, int(taken[0]), free)
        for o in mine[offers.purchase[mine] <= Purchase.COMMITTED]:
            draft.put(rows, there[o, slots], -1.0)
        for o in beside:
            draft.put(rows[run[o, slots] >= 0], run[o, slots][run[o, slots] >= 0], -1.0)


def fallbacks_of(problem: Problem, options: Options, ways: Ways, chosen: Ints, units: Units) -> Fallbacks:
    """The fallbacks that the chosen ways (rows) are, for units that need one."""
    key = {(int(c), int(v), int(t)): u for u, (c, v, t) in enumerate(zip(units.candidate, units.variant, units.start,
                                                                         strict=True))}
    found: dict[tuple[int, int], int] = {}
    for row in chosen.tolist():
        i = int(ways.option[row])
        unit = key.get((int(options.candidate[i]), int(options.variant[i]), int(options.start[i])))
        if unit is not None:
            found.setdefault((int(ways.loss[row]), unit), int(ways.candidate[row]))
    needed = zip(*(part.tolist() for part in lost_units(problem, units)), strict=True)
    rows = [(loss, unit, found[loss, unit]) for loss, unit in needed if (loss, unit) in found]
    return Fallbacks(*np.array(sorted(rows), np.int64).reshape(-1, 3).T.copy())
