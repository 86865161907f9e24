"""A fleet at a glance: what a plan runs on each cluster, what that costs, and whether it is ready for a loss."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from planner.report.page import Headline, headlines
from planner.report.plain import plain

if TYPE_CHECKING:
    from planner.plan import Plan
    from planner.scenario.model import Cluster
    from planner.scenario.values import Survive


def fleet_view(plan: Plan, clusters: Sequence[Cluster], survive: Survive, cluster_usd: Mapping[str, float]
               ) -> dict[str, Any]:
    """What a page shows of it, as JSON has it: figures of the whole, and clusters by provider, region and name."""
    units, workloads = Counter(unit.cluster for unit in plan.assignments), defaultdict[str, set[str]](set)
    for unit in plan.assignments:
        workloads[unit.cluster].add(unit.workload)
    machines: dict[str, list[int]] = defaultdict(lambda: [0] * plan.horizon.slots)
    for row in plan.machines:
        machines[row.cluster] = [a + b for a, b in zip(machines[row.cluster], row.count, strict=True)]
    ready = Counter(row.lost for row in plan.fallbacks)
    shown = [{"name": one.name, "provider": one.provider, "region": one.region, "country": one.country or "",
              "tier": one.tier, "units": units[one.name], "workloads": len(workloads[one.name]),
              "machines": max(machines[one.name], default=0) if one.name in machines else 0,
              "usd": round(cluster_usd.get(one.name, 0.0), 2) + 0.0} for one in clusters]
    shown.sort(key=lambda row: (row["provider"], row["region"], row["name"]))
    found: dict[str, Any] = plain({"headlines": [*headlines(plan), _survival(plan, survive, ready.total())],
                                   "clusters": shown, "lacks": [*(f"{name} is shed" for name in plan.shed),
                                                                *([plan.exposed] if plan.exposed else [])]})
    return found


def _survival(plan: Plan, survive: Survive, ready: int) -> Headline:
    if survive == "none":
        return Headline("Survives", "not asked", f"{ready:,} units have another place ready")
    if plan.exposed:
        return Headline("Survives", "not every loss", plan.exposed)
    return Headline("Survives", f"any one {survive}", f"{ready:,} units have another place ready")
