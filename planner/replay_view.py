"""A replay for people in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from planner.focus import CloudBill
from planner.replay import Replayed, Service
from planner.terminal import percent, plain, usd

SHOWN = 15
"""Workloads shown, those that missed most first; JSON and tables have all."""


def replay_view(found: Replayed) -> RenderableType:
    """Costs side by side, who missed what, and the answer in a sentence."""
    return Group(_costs(found), *_services(found), Text(f"{plain(found.sentence)}.", style="bold"),
                 *(Text(line) for line in notes(found)))


def _costs(found: Replayed) -> Table:
    cloud, plan = found.cloud, found.opened.plan
    title = Text(f"{plain(plan.name)}: recorded demand, policy {found.asked.policy}")
    table = Table(title=title, title_justify="left", expand=False)
    for heading in ("USD", "Planned", "Realised", *(["Bill"] if cloud else [])):
        table.add_column(heading, justify="left" if heading == "USD" else "right")
    planned = plan.costs.model_dump()
    for part, amount in found.realised.model_dump().items():
        if amount or planned[part]:
            table.add_row(part, usd(planned[part]), usd(amount), *([""] if cloud else []))
    table.add_section()
    table.add_row("all", usd(plan.cost_usd), usd(found.cost_usd), *([usd(cloud.effective_usd)] if cloud else []))
    if cloud:
        for provider in sorted(set(cloud.by_provider) | set(found.by_provider)):
            table.add_row(f"at {plain(provider)}", "", *(usd(amounts[provider]) if provider in amounts else ""
                                                         for amounts in (found.by_provider, cloud.by_provider)))
    return table


def _services(found: Replayed) -> Iterator[RenderableType]:
    worst = sorted((one for one in found.services if one.missed_slots or one.deadline_missed),
                   key=lambda one: (one.kept, -one.share, one.workload))
    if not worst:
        return
    table = Table(title=Text(f"{len(worst)} of {len(found.services)} workloads missed slots"), title_justify="left",
                  expand=False)
    for heading in ("Workload", "Missed", "of slots", "Share", "Allowed", "Kept", "Moves"):
        table.add_column(heading, justify="left" if heading in ("Workload", "Kept") else "right", overflow="fold")
    for one in worst[:SHOWN]:
        table.add_row(Text(plain(one.workload)), f"{one.missed_slots:,}", f"{one.asked_slots:,}", percent(one.share),
                      percent(one.allowed), _kept(one), f"{one.moves:,}")
    yield table
    if len(worst) > SHOWN:
        yield Text(f"and {len(worst) - SHOWN} more")


def _kept(one: Service) -> str:
    return ("yes" if one.kept else "no") + (", deadline missed" if one.deadline_missed else "")


def notes(found: Replayed) -> Iterator[str]:
    """Lines on machines, replicas, causes and the bill."""
    figures = found.to_dict()
    machines, causes = figures["machine_slots"], figures["pool_slots_by_cause"]
    yield (f"Machines x slots: {machines['planned']:,} planned, {machines['ran']:,} ran ({machines['beyond_plan']:,} "
           f"beyond the plan), {machines['used']:,} in use; packed anew in simple orders, {machines['packed_anew']:,} "
           "would do")
    waited, asked = figures["replica_slots"]["waited"], figures["replica_slots"]["asked"]
    yield (f"Replicas x slots: {waited:,} of {asked:,} waited; {figures['evictions']:,} evictions, "
           f"{figures['interrupted_machines']:,} machines interrupted")
    if causes:
        yield "Pools x slots in which replicas waited: " + ", ".join(f"{count:,} for {why}"
                                                                     for why, count in causes.items())
    if found.cloud:
        yield from _bill_notes(found.cloud)


def _bill_notes(cloud: CloudBill) -> Iterator[str]:
    parts = ", ".join(f"{plain(name)} {usd(amount)}" for name, amount in cloud.by_category.items())
    yield (f"Bill: EffectiveCost of {cloud.rows:,} charges ({parts}); {cloud.cut:,} counted in part, {cloud.outside:,} "
           f"outside the horizon, {cloud.purchases:,} purchases of commitments left out (they are spread over usage)")
