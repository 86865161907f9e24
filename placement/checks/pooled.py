"""Pools sized on sample paths: in every slot the machines that run must hold the replicas of enough paths, each whole.

What units need is worked out from the paths once more, and every path is packed onto the machines that there are; the
sizing of pools has no part in it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from placement.checks.packs import unpacked
from placement.checks.violation import Violation
from placement.jit import jit
from placement.needs import Load, firm_without_spot, has_spot, machines_by_kind, unit_needs
from placement.packing import Packer
from placement.problem import TOLERANCE, Bools, Counts, Floats, Ints, Paths, Problem, Purchase
from placement.result import Solution, Units

HARD = 400
"""Most paths of a pool that are packed by exact search, where simple orders leave a slot short."""


def broken_pools(problem: Problem, solution: Solution, paths: Paths) -> Iterator[Violation]:
    """Pools and slots whose machines hold too few of the `paths`. The units' rows must exist in the problem."""
    kinds = machines_by_kind(problem, solution.machines)
    pool = problem.candidates.pool[solution.units.candidate]
    for p in np.unique(pool).tolist():
        load = load_on_paths(problem, p, _some(solution.units, pool == p), paths)
        misfit = (problem.shapes[load.shapes] > problem.pools.room[p] + TOLERANCE).any(axis=1)
        misfit &= (load.firm + load.flexible).any(axis=1)
        for shape in load.shapes[misfit]:
            yield Violation("misfit", {"pool": p, "shape": int(shape)}, 1.0, 0.0,
                            f"a replica of shape {shape} fits no machine of pool {p}")
        if not misfit.any():
            yield from _short(p, held_paths(problem, p, load, kinds[p], paths), kinds[p], paths)


def _short(pool: int, held: Bools, kinds: Ints, paths: Paths) -> Iterator[Violation]:
    enough = held.sum(axis=0)
    slots = np.flatnonzero(enough < paths.needed)
    if len(slots):
        t = int(slots[enough[slots].argmin()])
        yield Violation("room", {"pool": pool, "slot": t}, float(enough[t]), float(paths.needed),
                        f"pool {pool} runs {kinds[:, t].sum()} machines in slot {t}, which hold {enough[t]} of "
                        f"{len(held)} sample paths; at least {paths.needed} are needed ({len(slots)} such slots)")


def held_paths(problem: Problem, pool: int, load: Load, kinds: Ints, paths: Paths) -> Bools:
    """[N, T] whether the machines of a pool, `kinds` [4, T], hold what is needed on each path.

    `load` has a column for every path and slot. Simple orders decide, and exact search where they leave a slot short.
    """
    count, slots = paths.loads.shape[1], problem.slots
    firm, total = kinds[: Purchase.SPOT].sum(axis=0), kinds.sum(axis=0)
    wants = np.concatenate((load.firm, load.flexible)).reshape(-1, count, slots)
    sizes = np.tile(problem.shapes[load.shapes], (2, 1))
    own = np.arange(len(sizes)) < len(load.shapes)
    held = np.zeros((count, slots), np.bool_)
    for order in _orders(sizes, problem.pools.room[pool], own):
        _pack(wants, sizes, problem.pools.room[pool] + TOLERANCE, own, order, firm, total, held)
    for t in np.flatnonzero(held.sum(axis=0) < paths.needed).tolist():
        _pack_hard(problem, pool, load, t, firm, total, paths.needed, held)
    return held


def _pack_hard(problem: Problem, pool: int, load: Load, slot: int, firm: Ints, total: Ints, needed: int,
               held: Bools) -> None:
    """Search for packings of the paths that simple orders did not pack in a slot, as long as enough may be held."""
    open_ = np.flatnonzero(~held[:, slot])
    columns = open_ * held.shape[1] + slot
    some = Load(load.shapes, load.firm[:, columns], load.flexible[:, columns])
    machines = np.repeat(firm[slot], len(open_)), np.repeat(total[slot], len(open_))
    packer = Packer(firm_without_spot(some, machines[1] - machines[0]), problem.shapes, problem.pools.room[pool])
    may = np.flatnonzero((packer.low[packer.which] <= total[slot]) & (packer.low_firm[packer.which] <= firm[slot]))
    if held[:, slot].sum() + len(may) < needed:
        return
    may = may[np.argsort(packer.low[packer.which[may]], kind="stable")[:HARD]]
    chosen = Load(load.shapes, some.firm[:, may], some.flexible[:, may])
    packed = np.ones(len(may), np.bool_)
    short = unpacked(problem, pool, chosen, machines[0][may], machines[1][may], _not_shown)
    packed[[one.slot for one in short]] = False
    held[open_[may], slot] = packed


def _not_shown(_: int) -> bool:
    """No packing comes with the plan."""
    return False


def _orders(sizes: Floats, room: Floats, firm: Bools) -> list[Ints]:
    """Orders of classes, the largest first, those that must not be on spot before the others."""
    share = np.where(sizes > 0, sizes / np.maximum(room, 1e-12), 0.0)
    keys = [share.max(axis=1, initial=0.0), share.sum(axis=1), *share.T[:2]]
    return [np.lexsort((-key, ~firm)).astype(np.int64) for key in keys]


@jit
def _pack(wants: Counts, sizes: Floats, room: Floats, own: Bools, order: Ints, firm: Ints, total: Ints,
          held: Bools) -> None:
    """First fit of what each path wants [2c, N, T] onto `total` machines, classes that are `own` onto the `firm` ones.

    What `held` [N, T] says already is left; what is packed is noted there.
    """
    most = 0
    for t in range(len(total)):
        most = max(most, total[t])
    left = np.zeros((most + 1, len(room)))
    for i in range(wants.shape[1]):
        for t in range(wants.shape[2]):
            if held[i, t]:
                continue
            left[:total[t]] = room
            fits = True
            for c in order:
                machine, last = 0, firm[t] if own[c] else total[t]
                for _ in range(wants[c, i, t]):
                    while machine < last and not (left[machine] >= sizes[c]).all():
                        machine += 1
                    if machine >= last:
                        fits = False
                        break
                    left[machine] -= sizes[c]
                if not fits:
                    break
            held[i, t] = fits


def load_on_paths(problem: Problem, pool: int, units: Units, paths: Paths) -> Load:
    """What `units`, all in `pool`, need, with a column for every path and slot, path by path."""
    flexible = problem.streams.preemptible[units.stream] & has_spot(problem)[pool]
    shapes, place = np.unique(problem.streams.shape[units.stream], return_inverse=True)
    total = np.zeros((2, len(shapes), paths.loads.shape[1], problem.slots), np.int32)
    same = unit_needs(problem, units)
    for u in range(len(units.stream)):
        own = paths.load[units.stream[u]]
        total[int(flexible[u]), place[u]] += same[u] if own < 0 else need_on_paths(problem, units, u, paths)
    columns = total.shape[2] * total.shape[3]
    return Load(shapes, total[0].reshape(len(shapes), columns), total[1].reshape(len(shapes), columns))


def need_on_paths(problem: Problem, units: Units, u: int, paths: Paths) -> Counts:
    """Replicas [N, T] of unit u, whose stream has a load, on every path and in every slot."""
    v, stream, variant = problem.variants, units.stream[u], units.variant[u]
    part = paths.loads[paths.load[stream]] * float(paths.portion[stream]) / max(1, int(v.copies[variant]) - 1)
    if v.row[variant] >= 0:
        steady: Counts = np.ceil(part / paths.throughput[variant] - 1e-9).astype(np.int32)
        return steady
    need = np.zeros(part.shape, np.int32)
    level = np.ceil(part.max(axis=1) - 1e-9).astype(np.int32)
    for run in range(int(v.runs[variant])):
        first = int(units.start[u] + run * v.period[variant])
        need[:, max(0, first): max(0, first + int(v.length[variant]))] = level[:, None]
    return need


def _some(units: Units, rows: Bools) -> Units:
    return Units(*(column[rows] for column in (units.stream, units.copy, units.candidate, units.variant, units.start)))
