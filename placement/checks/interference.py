"""Whether needs count what interference asks for: worked out again pool by pool and slot by slot."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from placement.checks.violation import Violation
from placement.needs import needs_alone
from placement.problem import Counts, Problem
from placement.result import Units


def broken_interference(problem: Problem, units: Units, needs: Counts) -> Iterator[Violation]:
    """Units whose `needs` [U, T] are not those alone divided by what their worst partner in the pool leaves them."""
    table = problem.interference
    if table is None:
        return
    alone = needs_alone(problem, units).tolist()
    pool = problem.candidates.pool[units.candidate].tolist()
    workload = problem.streams.workload[units.stream].tolist()
    rows: dict[int, list[tuple[int, int, float]]] = {}
    for i, slowed in enumerate(table.slowed.tolist()):
        rows.setdefault(slowed, []).append((i, int(table.by[i]), float(table.factor[i])))
    there = {(p, w, t) for p, w, needed in zip(pool, workload, alone, strict=True) for t, n in enumerate(needed) if n}
    for u, (p, w) in enumerate(zip(pool, workload, strict=True)):
        for t, n in enumerate(alone[u]):
            worst = min([1.0, *(factor for i, by, factor in rows.get(w, ())
                                if n and table.pools[i, p] and (p, by, t) in there)])
            wanted = ceil(n / worst - 1e-9)
            if int(needs[u, t]) != wanted:
                yield Violation("interference", {"unit": u, "pool": p, "slot": t}, float(needs[u, t]), float(wanted),
                                f"unit {u} is counted as {needs[u, t]} replicas in slot {t}; beside what slows it down "
                                f"in pool {p} it needs {wanted}")
                break
