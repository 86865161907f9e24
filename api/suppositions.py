"""Questions what would be otherwise: read when they come in, so that their mistakes are told now."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from api.context import Service
from api.hosting.sealing import Sealing
from api.life_cycle.lives import Lives
from api.requests import IN_FORCE, NewPareto, NewWhatIf
from api.scenarios import Scenarios
from api.store.jobs import Kind, Submission
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.scenario import Scenario


def what_if(service: Service, body: NewWhatIf) -> Submission:
    """The job that answers a what-if. Raises InputError for a change that matches nothing, and all other mistakes."""
    from planner.catalog import builtin_catalog
    from planner.plan_request import PlanRequest
    from planner.resolve import resolve
    from planner.whatif import Change, check  # numba: the service answers before it is loaded

    changes = tuple(map(Change.read, body.changes))
    asked = PlanRequest(**body.settings.model_dump(), what_if=changes)

    def fits(scenario: Scenario) -> None:
        check(changes, resolve(scenario, builtin_catalog()))
        if body.against is None:
            asked.objective(scenario.objective)
        else:
            _check_against(service, body.against, scenario.name)

    return _submission(service, body, "what_if", fits)


def price_of_nines(service: Service, body: NewPareto) -> Submission:
    """The job that sweeps floors, budgets and availabilities. Raises InputError."""
    from planner.catalog import builtin_catalog
    from planner.plan_request import PlanRequest
    from planner.resolve import resolve

    PlanRequest(solver=body.solver)
    return _submission(service, body, "pareto", lambda scenario: resolve(scenario, builtin_catalog()))


def _submission(service: Service, body: NewWhatIf | NewPareto, kind: Kind, fits: Callable[[Scenario], object]
                ) -> Submission:
    """A job about a scenario that `fits`."""
    held = Scenarios.of(service.settings, service.store)
    named = held.pinned(body.scenario) if isinstance(body.scenario, str) else None
    with tempfile.TemporaryDirectory(prefix="planner-scenarios-") as folder:
        scenario = held.read(named or body.scenario, Path(folder))
        fits(scenario)
    request = body.model_dump(exclude={"scenario", "priority"})
    text = Sealing.of(service.settings).seal(json.dumps(body.scenario)) if named is None else None
    if named is not None:
        request["scenario"] = named
    clusters = tuple(cluster.name for cluster in scenario.clusters)
    return Submission(scenario.name, request, text, clusters, body.sha256(), None, kind, body.priority)


def _check_against(service: Service, named: str, scenario: str) -> None:
    """Raise InputError unless there is a plan to compare with."""
    if named == IN_FORCE:
        if Lives(service.store.engine).of_scenario(scenario, "in_force") is None:
            raise InputError([f"against: {named}: no plan of {scenario} is in force: leave it out, or name a plan"])
        return
    row = service.store.job(named, "plan")
    if row is None or row.status != "done" or row.name != scenario:
        found = "not known" if row is None else row.status if row.status != "done" else f"of the scenario {row.name}"
        raise InputError([f"against: {named}: {found}: a plan of {scenario} that is done is needed"])
