"""The HTML report of a replay: the answer, what ran over time, who missed what."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from markupsafe import Markup

from planner.files import write_atomically
from planner.replay import Replayed
from planner.replay_view import notes
from planner.report.page import SHOWN, Headline, drawn_by, environment, text_of
from planner.terminal import percent, usd


def write_replay_report(path: Path, found: Replayed) -> None:
    """Write the report to `path`, whole or not at all. Raises OSError when that is not possible."""
    write_atomically(path, render_replay(found).encode())


def render_replay(found: Replayed) -> str:
    """Return the page. The same replay gives the same bytes."""
    services = sorted(found.services, key=lambda one: (one.kept, -one.share, -one.moves, one.workload))
    parts = [(part, planned, realised) for (part, planned), realised
             in zip(found.opened.plan.costs.model_dump().items(), found.realised.model_dump().values(), strict=True)
             if planned or realised]
    return environment().get_template("replay.html.j2").render(
        plan=found.opened.plan, found=found, parts=parts, services=services[:SHOWN], headlines=_headlines(found),
        notes=tuple(notes(found)), usd=usd, percent=percent, css=Markup(text_of("templates/report.css")),  # noqa: S704
        **drawn_by("replay.js", _data(found)))


def _headlines(found: Replayed) -> list[Headline]:
    missed, asked = found.missed
    plan, cloud = found.opened.plan, found.cloud
    bill = [Headline("Bill", f"USD {usd(cloud.effective_usd)}", "EffectiveCost within the horizon")] if cloud else []
    lost = sum(not one.kept for one in found.services)
    return [
        Headline("Realised cost", f"USD {usd(found.cost_usd)}", f"USD {usd(plan.cost_usd)} as planned"), *bill,
        Headline("Slots missed", percent(missed / asked if asked else 0.0), f"{missed:,} of {asked:,}"),
        Headline("Service level lost", f"{lost:,}", f"of {len(found.services):,} workloads"),
        Headline("Moves", f"{found.replicas('moved'):,}", f"after {found.replicas('evicted'):,} evictions"),
    ]


def _data(found: Replayed) -> dict[str, Any]:
    run, horizon = found.run, found.opened.scenario.horizon
    begin = [window.start + timedelta(minutes=t * horizon.slot_minutes)
             for window in horizon.windows for t in range(window.slots)]
    return {"slots": [moment.strftime("%a %d %b %H:%M") for moment in begin],
            "planned": found.plan_machines.sum(axis=0).tolist(), "ran": run.machines.sum(axis=0).tolist(),
            "used": run.used.sum(axis=0).tolist(), "packed": found.packed.sum(axis=0).tolist(),
            "waited": run.short.sum(axis=0).tolist()}
