"""Clusters in the order in which a plan would have a workload there."""

from __future__ import annotations

from planner.exporters.planned import Planned, Unit


def ranking(planned: Planned, workload: str) -> tuple[str, ...]:
    """Where it is, in the order of its units; where it falls back to; then the next best place."""
    own = [unit.cluster.name for unit in planned.units_of(workload)]
    lost = [row.cluster for row in planned.plan.fallbacks if row.workload == workload]
    next_best = [row.runner_up.split("/", 1)[0] for row in planned.plan.reasons
                 if row.workload == workload and row.runner_up]
    return tuple(dict.fromkeys([*own, *lost, *next_best]))


def fallback_of(planned: Planned, unit: Unit) -> tuple[str, str] | None:
    """Cluster and pool of a unit's fallback: for the loss of its cluster, else its region, else its provider."""
    rows = {row.lost: (row.cluster, row.pool) for row in planned.plan.fallbacks
            if (row.workload, row.user_region, row.copy_, row.part)
            == (unit.workload.name, unit.user_region, unit.copy, unit.part)}
    home = unit.cluster
    return next((rows[lost] for lost in (home.name, home.region_key, home.provider) if lost in rows), None)
