"""`planner replan`: read a plan, mend it, show what that took."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from planner.catalog import Catalog
from planner.commands.basic import DONE, NO, print_json
from planner.outputs import not_lost, writing
from planner.plan import Plan, read_plan, write_plan
from planner.replan import Replanned, ReplanRequest, replan
from planner.terminal import Interrupt, plain, usd


def replan_plan(scenario: Path, path: Path, request: ReplanRequest, output: Path | None, prices: Catalog,
                as_json: bool) -> int:
    """Mend a plan, write it, say what moved. The answer is no when work had to be shed that may not be, and when a loss
    that must be survived would find no room.
    """
    before = read_plan(path)
    with Interrupt() as interrupted:
        found = replan(scenario, before, request, prices, interrupted)
    if found is None:
        return _unchanged(before, output, as_json)
    plan = found.planned.plan
    if output is not None:
        with not_lost(lambda: _show(found, before, found.planned.plan, as_json)), writing("-o", output):
            plan = found.planned.write(output)
    _show(found, before, plan, as_json)
    return DONE if found.holds else NO


def _show(found: Replanned, before: Plan, plan: Plan, as_json: bool) -> None:
    if as_json:
        print_json({**_figures(found), "plan": plan.to_dict()})
    else:
        for line in _lines(found, before, plan):
            typer.echo(plain(line))


def _unchanged(plan: Plan, output: Path | None, as_json: bool) -> int:
    """Nothing new is down: the plan in force stays."""
    if output is not None:
        with writing("-o", output):
            write_plan(plan, output)
    down = ", ".join(plan.provenance.down)
    if as_json:
        print_json({"changed": False, "down": plan.provenance.down, "plan": plan.to_dict()})
    else:
        typer.echo(plain(f"nothing changes: {down} was down already, and the plan in force does without"))
    return DONE


def _figures(found: Replanned) -> dict[str, object]:
    return {"changed": True, "down": found.planned.plan.provenance.down, "lost": found.lost, "moved": found.moved,
            "kept": found.kept, "extra_usd": round(found.extra_usd, 6), "shed": found.shed,
            "left_out": found.left_out, "exposed": found.exposed or None,
            "first_plan_cpu_seconds": round(found.first_seconds, 3), "cpu_seconds": round(found.seconds, 3)}


def _lines(found: Replanned, before: Plan, plan: Plan) -> Iterator[str]:
    """What happened, what it costs, what was shed and why, and the waves."""
    down = ", ".join(plan.provenance.down)
    yield f"down: {down}" if down else "nothing is down any more"
    yield f"{found.lost} units lost their place, {found.moved} others moved, {found.kept} stay"
    sign = "more" if found.extra_usd >= 0 else "less"
    yield f"USD {usd(plan.cost_usd)}, {usd(abs(found.extra_usd))} {sign} than the plan in force {usd(before.cost_usd)}"
    for row in plan.unplaced:
        if row.workload in found.shed:
            yield f"not placed: {row.workload}: {row.reasons[0]}"
        if row.workload in found.left_out:
            yield f"left out: {row.workload}: {row.reasons[0]}"
    if found.exposed:
        yield f"not ready for a loss: {found.exposed}; planner plan --incumbent makes a plan that is"
    for wave in plan.waves:
        note = f"; {wave.note}" if wave.note else ""
        yield (f"wave {wave.wave}: {len(wave.moves)} moves, USD {usd(wave.machines_usd_extra)} of machines meanwhile "
               f"for each slot it takes{note}")
    yield f"first whole plan after {found.first_seconds:.2f} s of processor time, this one after {found.seconds:.2f} s"
