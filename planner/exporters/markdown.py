"""A plan as one Markdown page, for a wiki or a pull request."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from planner.exporters.planned import Machines, Planned, Unit
from planner.exporters.text import Files
from planner.sections import Section, listed, markdown_section, markdown_text
from planner.terminal import percent, usd

ROWS = 500
"""Rows of a table that are shown; the others are counted."""


def export(planned: Planned, slot: int | None) -> Files:
    """`plan.md`. All slots are in it."""
    planned.check_slot(slot)
    plan = planned.plan
    bound = usd(plan.bound) if plan.mode == "min_cost" else percent(plan.bound)
    when = f"{planned.moment(0):%Y-%m-%dT%H:%M:%SZ} to {plan.valid_until}"
    slots = f"{planned.horizon.slots} slots of {planned.horizon.slot_minutes} minutes"
    figures = f"USD {usd(plan.cost_usd)}, SLA attainment {percent(plan.sla_attainment)}"
    proof = f"{plan.status}: proven bound {bound}, gap {percent(plan.gap)}"
    lines = [f"# {markdown_text(plan.name)}", "",
             f"Plan `{plan.plan_id[:12]}`: {when}, {slots}. {figures}, {proof}.", ""]
    for section in (_places(planned), _machines(planned), _costs(planned), _diagnostics(planned),
                    _fallbacks(planned), _unplaced(planned)):
        lines += markdown_section(section) if section.rows else []
    return {"plan.md": ("\n".join(lines).rstrip() + "\n").encode()}


def _places(planned: Planned) -> Section:
    why = {row.workload: row.why for row in planned.plan.reasons}
    rows = [(name, ", ".join(dict.fromkeys(f"{unit.cluster.name}/{unit.pool.name}" for unit in units)),
             _replicas(units), why.get(name, "")) for name, units in _by_workload(planned.units)]
    return listed("What runs where", ("workload", "where", "replicas", "why"), rows, ROWS, 2, 3)


def _by_workload(units: tuple[Unit, ...]) -> Iterator[tuple[str, list[Unit]]]:
    for name, group in groupby(units, lambda unit: unit.workload.name):
        yield name, list(group)


def _replicas(units: list[Unit]) -> str:
    """Fewest and most replicas of all units together in a slot."""
    return _range([sum(row) for row in zip(*(unit.replicas for unit in units), strict=True)])


def _range(values: list[int]) -> str:
    least, most = min(values), max(values)
    return f"{least:,}" if least == most else f"{least:,}..{most:,}"


def _machines(planned: Planned) -> Section:
    def row(found: Machines) -> tuple[str, ...]:
        hours = sum(found.count) * planned.horizon.slot_minutes / 60
        return (f"{found.cluster.name}/{found.pool.name}", found.pool.machine.name, found.purchase,
                _range(list(found.count)), f"{hours:,.0f}")

    return listed("Machines", ("pool", "machine", "purchase", "running", "machine hours"),
                  [row(found) for found in planned.machines], ROWS, 3)


def _costs(planned: Planned) -> Section:
    return listed("Cost by owner", ("owner", "USD"),
                  [(owner, usd(amount)) for owner, amount in planned.plan.costs_by_owner.items()], ROWS)


def _diagnostics(planned: Planned) -> Section:
    return listed("Cost of diagnostics", ("kind", "USD"),
                  [(kind, usd(amount)) for kind, amount in planned.plan.costs_of_diagnostics.items()], ROWS)


def _fallbacks(planned: Planned) -> Section:
    rows = [(row.lost, row.workload + (f" for {row.user_region}" if row.user_region else ""),
             f"{row.cluster}/{row.pool}") for row in planned.plan.fallbacks]
    return listed("Where work goes when something is lost", ("lost", "workload", "goes to"), rows, ROWS, 9)


def _unplaced(planned: Planned) -> Section:
    return listed("Not placed", ("workload", "why"),
                  [(row.workload, "; ".join(row.reasons)) for row in planned.plan.unplaced], ROWS, 9)
