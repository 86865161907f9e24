"""A plan as tables: units, replicas and machines by slot, fallbacks."""

from __future__ import annotations

from typing import Any

from planner.exporters.planned import Planned

Table = dict[str, list[Any]]
"""Columns by name, all of one length."""


def tables(planned: Planned) -> dict[str, Table]:
    """All tables by name; numbers of slots are columns `0`..`T-1`, as in the tables of a scenario."""
    units, machines, fallbacks = planned.units, planned.machines, planned.plan.fallbacks
    slots = range(planned.horizon.slots)
    starts = {(row.workload, row.user_region, row.copy_, row.part): row.start_slot for row in planned.plan.assignments}
    return {
        "units": {
            "unit": [unit.name for unit in units], "workload": [unit.workload.name for unit in units],
            "user_region": [unit.user_region for unit in units], "copy": [unit.copy for unit in units],
            "part": [unit.part for unit in units], "cluster": [unit.cluster.name for unit in units],
            "pool": [unit.pool.name for unit in units],
            "start_slot": [starts[u.workload.name, u.user_region, u.copy, u.part] for u in units]},
        "replicas": {"unit": [unit.name for unit in units],
                     **{str(t): [unit.replicas[t] for unit in units] for t in slots}},
        "machines": {
            "cluster": [row.cluster.name for row in machines], "pool": [row.pool.name for row in machines],
            "purchase": [row.purchase for row in machines], "machine": [row.pool.machine.name for row in machines],
            **{str(t): [row.count[t] for row in machines] for t in slots}},
        "slots": {"slot": list(slots), "start": [planned.moment(t).strftime("%Y-%m-%dT%H:%M:%SZ") for t in slots]},
        "fallbacks": {
            "lost": [row.lost for row in fallbacks], "workload": [row.workload for row in fallbacks],
            "user_region": [row.user_region for row in fallbacks], "copy": [row.copy_ for row in fallbacks],
            "part": [row.part for row in fallbacks], "cluster": [row.cluster for row in fallbacks],
            "pool": [row.pool for row in fallbacks]},
    }
