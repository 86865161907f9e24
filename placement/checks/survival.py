"""Every loss that is to be survived: who needs a fallback, whether each one given is legal, and whether there is room.

Everything is worked out loss by loss and row by row; the search for fallbacks has no part in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from placement.checks.packs import unpacked
from placement.checks.shown_rows import Shown
from placement.checks.violation import Violation
from placement.domains import failure_domains
from placement.needs import Load, pool_loads, unit_needs
from placement.problem import TOLERANCE, Bools, Ints, Problem, Purchase
from placement.result import Fallbacks, Solution, Units
from placement.shown import PackingRows, roomy
from placement.survival import NO_FALLBACKS, after_loss, asked_of, room_after, unit_clusters, variants_at


def broken_survival(problem: Problem, solution: Solution, packings: PackingRows | None) -> Iterator[Violation]:
    """What is wrong with a solution's fallbacks. Its units' rows must exist in the problem."""
    given = solution.fallbacks or NO_FALLBACKS
    if problem.survival is None:
        if len(given.loss):
            yield Violation("fallback", {}, float(len(given.loss)), 0.0,
                            f"{len(given.loss)} fallbacks are given; the problem asks to survive nothing")
        return
    wrong = tuple(_rows(problem, solution.units, given))
    yield from wrong
    if wrong:
        return
    yield from _missing(problem, solution.units, given)
    illegal = tuple(_illegal(problem, solution.units, given))
    yield from illegal
    yield from _apart(problem, solution.units, given)
    if not illegal:
        yield from _room(problem, solution, given, packings)


def _rows(problem: Problem, units: Units, given: Fallbacks) -> Iterator[Violation]:
    """Rows exist, and no unit has two fallbacks for one loss."""
    for name, rows in (("loss", len(asked_of(problem).kind)), ("unit", len(units.stream)),
                       ("candidate", len(problem.candidates.pool))):
        column: Ints = getattr(given, name)
        for f in np.flatnonzero((column < 0) | (column >= rows)):
            yield Violation("rows", {"fallback": int(f)}, float(column[f]), rows - 1.0,
                            f"fallback {f} names {name} {column[f]}; there are {rows}, numbered from 0")
    for (loss, unit), times in Counter(zip(given.loss.tolist(), given.unit.tolist(), strict=True)).items():
        if times > 1:
            yield Violation("fallback", {"loss": loss, "unit": unit}, float(times), 1.0,
                            f"unit {unit} has {times} fallbacks for loss {loss}; one is allowed")


def _missing(problem: Problem, units: Units, given: Fallbacks) -> Iterator[Violation]:
    """Each lost unit has a fallback, save where a stream keeps all of its copies but one."""
    survival, clusters = asked_of(problem), unit_clusters(problem, units)
    has = set(zip(given.loss.tolist(), given.unit.tolist(), strict=True))
    copies = problem.variants.copies[units.variant]
    for loss in range(len(survival.kind)):
        lost = np.flatnonzero(survival.lost[loss, clusters] & (survival.asked[units.stream] == survival.kind[loss]))
        together = Counter(units.stream[lost].tolist())
        for u in lost.tolist():
            stream = int(units.stream[u])
            if (loss, u) not in has and (copies[u] == 1 or together[stream] > 1):
                yield Violation("fallback", {"loss": loss, "unit": u, "stream": stream}, 0.0, 1.0,
                                f"unit {u} of stream {stream} is lost with loss {loss} and has no fallback")


def _illegal(problem: Problem, units: Units, given: Fallbacks) -> Iterator[Violation]:
    """A fallback is for a unit that is lost, its stream may run there, outside the loss, and may start when it does."""
    survival, c = asked_of(problem), problem.candidates
    cluster, to = unit_clusters(problem, units)[given.unit], problem.pools.cluster[c.pool[given.candidate]]
    variant = variants_at(problem, units.variant[given.unit], given.candidate, units.start[given.unit])
    rules: tuple[tuple[Bools, str], ...] = (
        (~survival.lost[given.loss, cluster], "has a fallback, though it is not lost"),
        (c.stream[given.candidate] != units.stream[given.unit], "falls back by a candidate of another stream"),
        (survival.lost[given.loss, to], "falls back to a pool that is lost too"),
        (variant < 0, "falls back to a pool on which it may not start when it does"))
    told: Bools = np.zeros(len(given.loss), np.bool_)
    for broken, words in rules:
        for f in np.flatnonzero(broken & ~told):
            pool = int(c.pool[given.candidate[f]])
            yield Violation("fallback", {"loss": int(given.loss[f]), "unit": int(given.unit[f]), "pool": pool},
                            1.0, 0.0, f"unit {given.unit[f]} {words}: loss {given.loss[f]}, pool {pool}")
        told |= broken


def _apart(problem: Problem, units: Units, given: Fallbacks) -> Iterator[Violation]:
    """After a loss the copies of a stream that are left, and their fallbacks, lie in distinct failure domains."""
    clusters, domain = unit_clusters(problem, units), failure_domains(problem).pool
    now, to = (domain[problem.candidates.pool[candidate]] for candidate in (units.candidate, given.candidate))
    copies: dict[int, list[int]] = {}
    for u, stream in enumerate(units.stream.tolist()):
        copies.setdefault(stream, []).append(u)
    moved = {(loss, u): d for loss, u, d in zip(given.loss.tolist(), given.unit.tolist(), to.tolist(), strict=True)}
    for loss, stream in sorted({(loss, int(units.stream[u])) for loss, u in moved}):
        own = copies[stream]
        there = [moved.get((loss, u), int(now[u])) for u in own
                 if (loss, u) in moved or not asked_of(problem).lost[loss, clusters[u]]]
        if len(set(there)) < len(there):
            yield Violation("fallback", {"loss": loss, "stream": stream}, float(len(set(there))), float(len(there)),
                            f"after loss {loss} stream {stream} has {len(there)} copies in {len(set(there))} failure "
                            f"domains; each copy needs its own")


# ---------------------------------------------------------------- room


def _room(problem: Problem, solution: Solution, given: Fallbacks, packings: PackingRows | None) -> Iterator[Violation]:
    """After each loss the pools that take fallbacks hold all replicas on the machines that there are then."""
    units, kinds = solution.units, room_after(problem, solution.machines)
    needs = unit_needs(problem, units)
    for loss in np.unique(given.loss).tolist():
        after = after_loss(problem, units, needs, given, loss)
        pool = problem.candidates.pool[after.units.candidate]
        here = np.flatnonzero(np.isin(pool, after.pools))
        loads = pool_loads(problem, _some(after.units, here), after.needs[here])
        shown = Shown(problem, after.units, after.needs, kinds, packings, loss)
        for p in after.pools.tolist():
            yield from _pool_room(problem, loss, p, loads[p], kinds[p], shown)


def _some(units: Units, rows: Ints) -> Units:
    columns = (units.stream, units.copy, units.candidate, units.variant, units.start)
    return Units(*(column[rows] for column in columns))


def _pool_room(problem: Problem, loss: int, pool: int, load: Load, kinds: Ints, shown: Shown) -> Iterator[Violation]:
    most = problem.pools.max_machines[pool].astype(np.int64)
    firm = np.minimum(kinds[: Purchase.SPOT].sum(axis=0), most)
    total = np.minimum(kinds.sum(axis=0), most)
    misfit = ((load.firm + load.flexible).any(axis=1)
              & (problem.shapes[load.shapes] > problem.pools.room[pool] + TOLERANCE).any(axis=1))
    for shape in load.shapes[misfit]:
        yield Violation("misfit", {"pool": pool, "shape": int(shape), "loss": loss}, 1.0, 0.0,
                        f"after loss {loss} a replica of shape {shape} fits no machine of pool {pool}")
    tight = np.flatnonzero(~roomy(problem, pool, load, firm, total))
    if misfit.any() or not len(tight):
        return
    some = Load(load.shapes, load.firm[:, tight], load.flexible[:, tight])
    lacking = unpacked(problem, pool, some, firm[tight], total[tight], lambda i: shown.packs(pool, int(tight[i])))
    if lacking:
        first, t = lacking[0], int(tight[lacking[0].slot])
        words = "" if first.impossible else "; no packing was found, nor is it proven that there is none"
        yield Violation("fallback room" if first.impossible else "unproven", {"loss": loss, "pool": pool, "slot": t},
                        float(total[t]), float(first.low),
                        f"after loss {loss} pool {pool} has {total[t]} machines in slot {t}, {firm[t]} of them not "
                        f"spot; what runs there and falls back to it needs at least {first.low}, "
                        f"{first.low_firm} of them not spot{words} ({len(lacking)} such slots)")
