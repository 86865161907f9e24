"""How often what runs is more than its pool holds: stated from the sample paths, and measured on paths held out.

Only where pools are sized on joint sample paths. A path misses in a pool and slot where its replicas do not all find
room on the machines that run. The back-test sizes every pool anew without a fifth of the paths and counts the misses on
that fifth, five times over, so that each path is once held out; the units stay where they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np

from placement.checks.pooled import held_paths, load_on_paths
from placement.needs import machines_by_kind, unit_needs
from placement.pooled import add_needs, by_pool, machines_by_path, order_statistic
from placement.problem import Bools, Floats, Ints, Paths, Problem, Purchase
from placement.result import Solution, Units
from planner.formulate import Formulation
from planner.plan import Miss, PathTable, Plan, PoolMiss, UsedPaths
from planner.profiles import Profiles
from planner.scenario.model import Scenario

FOLDS = 5
"""Parts into which the paths are dealt, one by one, for the back-test."""
DIGITS = 9
NEARLY = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class PoolChance:
    """Of one pool, in every slot [T]: the share of paths that miss, and of those held out; `asked`: any path needs it.
    """

    missed: Floats
    held_out: Floats
    asked: Bools


def misses(formulation: Formulation, solution: Solution) -> tuple[tuple[Miss, ...], tuple[PoolMiss, ...]]:
    """The chances of a miss by workload and by pool, sorted by name; none where each unit is sized by itself."""
    problem = formulation.problem
    if problem.paths is None:
        return (), ()
    chances = dict(_chances(problem, solution, problem.paths))
    pools = [PoolMiss(cluster=formulation.names.pools[p][0], pool=formulation.names.pools[p][1],
                      **_figures([(chance, chance.asked)])) for p, chance in chances.items() if chance.asked.any()]
    found: dict[str, list[tuple[PoolChance, Bools]]] = {}
    for u, pool in enumerate(problem.candidates.pool[solution.units.candidate].tolist()):
        name = formulation.names.streams[solution.units.stream[u]][0]
        found.setdefault(name, []).append((chances[pool], _asked(problem, solution.units, u)))
    rows = [Miss(workload=name, **_figures(parts)) for name, parts in sorted(found.items())]
    return tuple(rows), tuple(sorted(pools, key=lambda row: (row.cluster, row.pool)))


def _figures(parts: list[tuple[PoolChance, Bools]]) -> dict[str, float]:
    """The worst slot's chance, and averages over all slots in which something is asked for."""
    missed = np.concatenate([chance.missed[asked] for chance, asked in parts])
    held_out = np.concatenate([chance.held_out[asked] for chance, asked in parts])
    if not len(missed):
        return {"chance": 0.0, "mean": 0.0, "held_out": 0.0}
    return {"chance": round(float(missed.max()), DIGITS), "mean": round(float(missed.mean()), DIGITS),
            "held_out": round(float(held_out.mean()), DIGITS)}


def _asked(problem: Problem, units: Units, u: int) -> Bools:
    """[T] slots in which a unit needs anything on any path."""
    one = Units(*(column[[u]] for column in (units.stream, units.copy, units.candidate, units.variant, units.start)))
    assert problem.paths is not None
    if problem.paths.load[units.stream[u]] < 0:
        return np.asarray(unit_needs(problem, one)[0] > 0, np.bool_)
    total = np.zeros(problem.paths.loads.shape[1:], np.int32)
    add_needs(problem, int(units.variant[u]), int(units.start[u]), total)
    return np.asarray(total.any(axis=0), np.bool_)


def _chances(problem: Problem, solution: Solution, paths: Paths) -> Iterator[tuple[int, PoolChance]]:
    """Every pool that has units."""
    kinds = machines_by_kind(problem, solution.machines)
    for pool, own in enumerate(by_pool(problem, solution.units)):
        if not len(own.stream):
            continue
        load = load_on_paths(problem, pool, own, paths)
        held = held_paths(problem, pool, load, kinds[pool], paths)
        _, firm, total = machines_by_path(problem, pool, own)
        held_out = _held_out(firm[0], total[0], kinds[pool], paths)
        yield pool, PoolChance(1.0 - held.mean(axis=0), held_out, np.asarray(total.any(axis=(0, 1)), np.bool_))


def _held_out(firm: Ints, total: Ints, kinds: Ints, paths: Paths) -> Floats:
    """Share of paths [T] that need more machines than would run if pools were sized on the other four fifths.

    `firm` and `total` [N, T] machines are those of each path's first packing, `kinds` [4, T] those that run. What runs
    beyond what all paths ask for would do so then, too.
    """
    runs = kinds[: Purchase.SPOT].sum(axis=0), kinds.sum(axis=0)
    spare = [np.maximum(0, have - want) for have, want in zip(runs, _sizes(firm, total, paths.share), strict=True)]
    missed, fold = np.zeros(total.shape[1]), np.arange(len(total)) % FOLDS
    for part in range(min(FOLDS, len(total)) if len(total) > 1 else 0):
        out, kept = fold == part, fold != part
        firm_most, most = (size + more for size, more in
                           zip(_sizes(firm[kept], total[kept], paths.share), spare, strict=True))
        missed += ((total[out] > most) | (firm[out] > firm_most)).sum(axis=0)
    return missed / len(total)


def _sizes(firm: Ints, total: Ints, share: float) -> tuple[Ints, Ints]:
    """The fewest machines, and of these the fewest not spot, that hold the share of paths [T each]."""
    needed = int(np.ceil(share * len(total) - 1e-9))
    most = order_statistic(total, needed)
    return order_statistic(np.where(total <= most, firm, np.iinfo(np.int64).max), needed), most


def understated(plan: Plan, formulation: Formulation, solution: Solution) -> Iterator[str]:
    """Where a plan states a lower chance of a miss than there is, or none."""
    by_workload, by_pool_ = misses(formulation, solution)
    stated = {row.workload: row for row in plan.misses}
    of_pool = {(row.cluster, row.pool): row for row in plan.pool_misses}
    for name, row in ((miss.workload, miss) for miss in by_workload):
        yield from _less(f"misses: {name}", stated.get(name), row)
    for pool in by_pool_ if plan.pool_misses else ():
        yield from _less(f"pool_misses: {pool.cluster}/{pool.pool}", of_pool.get((pool.cluster, pool.pool)), pool)


def _less(what: str, said: Miss | PoolMiss | None, found: Miss | PoolMiss) -> Iterator[str]:
    for field in ("chance", "mean", "held_out"):
        true, stated = getattr(found, field), getattr(said, field) if said is not None else 0.0
        if stated is not None and true > stated + NEARLY:
            yield f"{what}: {field} is stated as {stated:.6g}; it is {true:.6g} on the sample paths"


def used_paths(scenario: Scenario, profiles: Profiles) -> UsedPaths | None:
    """What a plan says of the paths that its pools were sized on."""
    needs = profiles.paths
    if needs is None:
        return None
    files = tuple(PathTable(file=one.file, sha256=one.sha256) for one in scenario.given_replicas.paths.files)
    drawn = sum(workload.probability < 1 for workload in scenario.workloads)
    return UsedPaths(count=needs.count, needed=ceil(needs.level * needs.count - 1e-9), files=files, drawn=drawn)
