"""Sizes of node pools for Terraform: a variable for `for_each`, with a schedule for every pool and purchase."""

from __future__ import annotations

from typing import Any

from planner.exporters.planned import Machines, Planned
from planner.exporters.schedule import spans
from planner.exporters.text import Files, json_text

VARIABLES = """\
variable "planner_node_pools" {
  description = "Machines of every pool by purchase (owned, committed, on_demand, spot), and when how many run."
  type = map(object({
    cluster  = string
    pool     = string
    purchase = string
    provider = string
    region   = string
    zone     = string
    machine  = string
    min      = number
    max      = number
    schedule = list(object({ from = string, until = string, size = number }))
  }))
}
"""


def export(planned: Planned, slot: int | None) -> Files:
    """`planner.auto.tfvars.json`, which Terraform reads by itself, and the variable it sets. All slots are in it."""
    planned.check_slot(slot)
    pools = {f"{row.cluster.name}/{row.pool.name}/{row.purchase}": _pool(row, planned) for row in planned.machines}
    return {"planner.auto.tfvars.json": json_text({"planner_node_pools": pools}),
            "planner_variables.tf": VARIABLES.encode()}


def _pool(row: Machines, planned: Planned) -> dict[str, Any]:
    form = "%Y-%m-%dT%H:%M:%SZ"
    schedule = [{"from": span.start.strftime(form), "until": span.end.strftime(form), "size": span.value}
                for span in spans(row.count, planned.horizon)]
    return {"cluster": row.cluster.name, "pool": row.pool.name, "purchase": row.purchase,
            "provider": row.cluster.provider, "region": row.cluster.region, "zone": row.pool.zone,
            "machine": row.pool.machine.name, "min": min(row.count), "max": max(row.count), "schedule": schedule}
