"""One plan: its cost and proof, what runs when, who shares with whom, what is scarce, and its way into force."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request, Response

from api.context import Service, ServiceDep
from api.life_cycle.lives import Lives
from api.life_cycle.steps import Step
from api.life_cycle.views import life_cycle
from api.pages.kept import summary_of
from api.pages.shell import page, page_router
from api.routes.plans import plan_row
from api.views import plan_state
from api.web.preconditions import tag

router = page_router()

STEPS: Final[dict[Step, tuple[str, str, str]]] = {
    "verify": ("Check", "POST", "verify"),
    "approve": ("Approve", "POST", "approve"),
    "apply": ("Apply", "POST", "apply"),
    "wave": ("Report wave", "POST", "waves/{wave}"),
    "put_in_force": ("Put in force at once", "PUT", "in-force"),
    "roll_back": ("Roll back", "POST", "roll-back"),
    "retire": ("Retire", "POST", "retire"),
}
"""What a button for each step says, and the route of the API below that of the plan."""


@router.get("/plans/{plan_id}")
def one_plan(plan_id: str, request: Request, service: ServiceDep) -> Response:
    """A plan that is made, or how far it is."""
    row, view = plan_row(service, plan_id), summary_of(service, plan_id)
    listed: dict[str, Any] = {"workloads_at": f"/plans/{plan_id}/workloads"} if row.status == "done" else {}
    return page(request, "plan.html.j2", asked=plan_state(row), view=view, steps=STEPS, **_life(service, plan_id),
                **(view or {}), **listed)


def _life(service: Service, plan_id: str) -> dict[str, Any]:
    """How far a plan is on its way into force, and the tag that its next step expects."""
    standing = Lives(service.store.engine).standing(plan_id)
    if standing is None:
        return {"life": None, "life_tag": "", "wave": None}
    life = life_cycle(standing)
    left = [wave.wave for wave in life.waves if wave.made < wave.moves]
    return {"life": life, "life_tag": tag(standing.version), "wave": left[0] if left else len(life.waves)}
