"""What others apply, written from a plan. An exporter is `export(planned, slot) -> {path: bytes}` in its own module.

It reads nothing but the `Planned` it is given, and the same plan gives the same bytes. They are named, not imported:
`planner --help` lists them, and each command loads its own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from planner.exporters.planned import Planned
    from planner.exporters.text import Files


class Entry(NamedTuple):
    """The module of an exporter and what it writes, in one line."""

    module: str
    about: str


EXPORTERS: dict[str, Entry] = {
    "kubernetes": Entry("kubernetes", "Deployments and CronJobs of every cluster: requests, node selectors, spread."),
    "keda": Entry("keda", "KEDA cron scalers: the replicas of every slot."),
    "karmada": Entry("karmada", "Karmada policies: weights that divide replicas as planned, pools, fallbacks."),
    "kueue": Entry("kueue", "Kueue quotas of every cluster, and MultiKueue's order of clusters."),
    "ocm": Entry("ocm", "Open Cluster Management: placement scores of every cluster."),
    "placementdecision": Entry("placement_decisions", "SIG-Multicluster PlacementDecisions."),
    "skypilot": Entry("skypilot", "SkyPilot tasks whose ordered resources are the plan's places."),
    "terraform": Entry("terraform", "Node pools for Terraform: sizes by purchase, with a schedule."),
    "csv": Entry("csv_tables", "Units, replicas, machines and fallbacks as CSV files."),
    "parquet": Entry("parquet_tables", "The same tables as Parquet files."),
    "markdown": Entry("markdown", "The plan as a page for a wiki or a pull request."),
}
"""Exporters by name."""


class Exporter(Protocol):
    """A function that says a plan in the words of another tool."""

    def __call__(self, planned: Planned, slot: int | None) -> Files:
        """Files of a plan; `slot` is whose state is written where a format holds only one (None: as each explains).

        Raises InputError for a slot that the plan does not have, and for what the format cannot say.
        """
        ...


def exporter(name: str) -> Exporter:
    """The exporter of a name in `EXPORTERS`."""
    found: Exporter = import_module(f"planner.exporters.{EXPORTERS[name].module}").export
    return found
