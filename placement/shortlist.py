"""The units worth trying for every stream, by what they cost at the bound's prices.

The search cannot try every start slot in every pool. Prices say which units a good plan uses: for every stream and number
of copies the cheapest are kept, enough clusters among them to choose from, and every unit that the fractional solution
of the master uses.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.bound import Choices, Prices, most_replicas, peaks
from placement.jit import jit
from placement.master import Column, UnitTable, unit_needs
from placement.problem import Counts, Floats, Ints, Problem

_STARTS_KEPT = 6
_MOST = 40
_DEARER = 1.3
"""A number of copies is left out when even at the prices it costs this much more than the best number."""


class Shortlist(NamedTuple):
    """Units [N] sorted by stream, then copies, then price; and their needs.

    Blocks of one stream and number of copies: `block_first` [B + 1] into units, `block_copies` [B]; the blocks of stream
    s are `stream_first[s]:stream_first[s + 1]`. `usd` is what a unit costs beside machines (users' egress shared by the
    copies). `need` indexes `needs` [M, T]; slots outside `begin`..`end` of a need are empty.
    """

    stream_first: Ints
    block_first: Ints
    block_copies: Ints
    candidate: Ints
    variant: Ints
    start: Ints
    pool: Ints
    usd: Floats
    need: Ints
    needs: Counts
    begin: Ints
    end: Ints


@jit
def _cheapest_units(
    q_stream: Ints,
    q_variant: Ints,
    streams: tuple[Ints, Ints, Ints],
    candidates: tuple[Ints, Ints, Floats, Floats, Ints, Ints],
    variants: tuple[Ints, Ints, Ints, Ints, Ints, Ints, Ints, Ints, Ints, Ints],
    rows: Counts,
    replica_usd: Floats,
    most: int,
    starts_kept: int,
    wanted: Ints,
    out: Ints,
    out_cost: Floats,
) -> Ints:
    """For every wanted row q the cheapest units, `out` [Q, most, 3] (candidate, variant, start); returns how many [Q]."""
    shape, kind, candidate_first = streams
    pool, speed, own_usd, user_usd, single, limit = candidates
    v_copies, v_speed, v_row, v_level, v_length, v_period, v_runs, v_earliest, v_latest, v_peak = variants
    slots = replica_usd.shape[3]
    found = np.zeros(len(q_stream), np.int64)
    sums = np.zeros(slots + 1)
    for q in range(len(q_stream)):
        if wanted[q] == 0:
            continue
        s, k = q_stream[q], v_copies[q_variant[q]]
        size = 0
        for n in range(candidate_first[s], candidate_first[s + 1]):
            for u in range(q_variant[q], q_variant[q + 1]):
                if v_speed[u] == speed[n]:
                    size += v_latest[u] - v_earliest[u] + 1 if v_row[u] < 0 else 1
        all_cost = np.empty(size)
        all_unit = np.empty((size, 3), np.int64)
        at = 0
        for n in range(candidate_first[s], candidate_first[s + 1]):
            if k == 1 and single[n] == 0:
                continue
            price = replica_usd[kind[s], shape[s], pool[n]]
            fixed = own_usd[n] + user_usd[n] / k
            for u in range(q_variant[q], q_variant[q + 1]):
                if v_speed[u] != speed[n] or v_peak[u] > limit[n]:
                    continue
                if v_row[u] >= 0:
                    total = fixed
                    for t in range(slots):
                        total += rows[v_row[u], t] * price[t]
                    all_cost[at] = total
                    all_unit[at, 0], all_unit[at, 1], all_unit[at, 2] = n, u, 0
                    at += 1
                    continue
                for t in range(slots):
                    sums[t + 1] = sums[t] + price[t]
                begin = at
                for first in range(v_earliest[u], v_latest[u] + 1):
                    total = 0.0
                    for run in range(v_runs[u]):
                        b = first + run * v_period[u]
                        total += sums[b + v_length[u]] - sums[b]
                    all_cost[at] = fixed + total * v_level[u]
                    all_unit[at, 0], all_unit[at, 1], all_unit[at, 2] = n, u, first
                    at += 1
                if at - begin > starts_kept:  # the cheapest starts of this pool only
                    order = begin + np.argsort(all_cost[begin:at])[:starts_kept]
                    kept_cost, kept_unit = all_cost[order], all_unit[order]
                    at = begin + starts_kept
                    all_cost[begin:at] = kept_cost
                    all_unit[begin:at] = kept_unit
        order = np.argsort(all_cost[:at])[:most]
        found[q] = len(order)
        for i in range(len(order)):
            out[q, i] = all_unit[order[i]]
            out_cost[q, i] = all_cost[order[i]]
    return found


def shortlist(
    problem: Problem, prices: Prices, choices: Choices, columns: list[Column], fraction: Floats, table: UnitTable,
    most: int = _MOST,
) -> Shortlist:  # fmt: skip
    """Build the list from prices [of `placement.bound`], the cheapest choices at them, and the master's solution."""
    s, c, v = problem.streams, problem.candidates, problem.variants
    used: dict[tuple[int, int], set[tuple[int, int, int]]] = {}
    for column, value in zip(columns, fraction, strict=False):
        if value > 1e-6:
            used.setdefault((column.stream, len(column.units)), set()).update(table.units[u] for u in column.units)
    wanted = (choices.cost <= _DEARER * choices.best[choices.stream] + 1e-6) & np.isfinite(choices.cost)
    wanted |= np.array([(int(a), int(b)) in used for a, b in zip(choices.stream, choices.copies, strict=True)], bool)
    new = np.ones(len(v.stream), bool)
    new[1:] = (np.diff(v.stream) != 0) | (np.diff(v.copies) != 0)
    q_variant = np.append(np.flatnonzero(new), len(v.stream)).astype(np.int64)
    out = np.zeros((len(choices.stream), most, 3), np.int64)
    out_cost = np.zeros((len(choices.stream), most))
    found = _cheapest_units(
        choices.stream, q_variant, (s.shape, s.preemptible.astype(np.int64), s.candidate_first),
        (c.pool, c.speed, c.cost_usd, c.user_usd, c.single.astype(np.int64), most_replicas(problem)),
        (v.copies, v.speed, v.row, v.level, v.length, v.period, v.runs, v.earliest, v.latest, peaks(problem)), v.rows,
        prices.replica_usd, most, _STARTS_KEPT, wanted.astype(np.int64), out, out_cost,
    )  # fmt: skip
    return _table(problem, choices, wanted, out, found, used)


def _table(
    problem: Problem, choices: Choices, wanted: np.ndarray, out: Ints, found: Ints,
    used: dict[tuple[int, int], set[tuple[int, int, int]]],
) -> Shortlist:  # fmt: skip
    units: list[tuple[int, int, int]] = []
    block_first, block_copies, block_stream = [0], [], []
    for q in np.flatnonzero(wanted):
        key = (int(choices.stream[q]), int(choices.copies[q]))
        mine = [(int(a), int(b), int(t)) for a, b, t in out[q, : found[q]]]
        mine += sorted(used.get(key, set()) - set(mine))
        first, k = int(choices.first[q]), key[1]
        best = [(int(choices.candidate[i]), int(choices.variant[i]), int(choices.start[i])) for i in range(first, first + k + 1)]
        mine += [unit for unit in best if unit[0] >= 0 and unit not in mine]
        units += mine
        block_first.append(len(units))
        block_copies.append(k)
        block_stream.append(key[0])
    needs: dict[tuple[int, int], int] = {}
    need = np.array([needs.setdefault((u, t), len(needs)) for _, u, t in units], np.int64)
    rows = np.array([unit_needs(problem, u, t) for u, t in needs], np.int32).reshape(-1, problem.slots)
    table = np.array(units, np.int64).reshape(-1, 3)
    candidate, copies = table[:, 0], np.repeat(block_copies, np.diff(block_first)).astype(np.int64)
    c = problem.candidates
    usd = c.cost_usd[candidate] + c.user_usd[candidate] / np.maximum(copies, 1)
    busy = rows > 0
    begin = np.where(busy.any(axis=1), busy.argmax(axis=1), 0)
    end = np.where(busy.any(axis=1), problem.slots - busy[:, ::-1].argmax(axis=1), 0)
    return Shortlist(
        np.searchsorted(block_stream, np.arange(len(problem.streams.shape) + 1)).astype(np.int64),
        np.array(block_first, np.int64), np.array(block_copies, np.int64),
        candidate.copy(), table[:, 1].copy(), table[:, 2].copy(), c.pool[candidate], usd, need, rows,
        begin.astype(np.int64), end.astype(np.int64),
    )  # fmt: skip
