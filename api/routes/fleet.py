"""What runs where."""

from __future__ import annotations

from http import HTTPStatus
from itertools import chain
from typing import Annotated

from fastapi import APIRouter, Query

from api.access import Route
from api.context import Service, ServiceDep
from api.hosting.requests import Served
from api.hosting.whereabouts import tenures_of
from api.life_cycle.lives import Lives
from api.routes.plans import plan_row
from api.store.placements import Placements
from api.store.running import running
from api.views import ClusterRuns, Machines, Unit, Whereabouts
from api.web.problems import Problem, unknown

router = APIRouter(prefix="/v1", tags=["fleet"], route_class=Route)

PlanId = Annotated[str | None, Query(description="a plan's id; left out, the plans that requests go by, and where "
                                                 "there is none the newest that is done and not of a shadow")]


@router.get("/clusters/{name}/runs", response_model=ClusterRuns)
def cluster_runs(name: str, service: ServiceDep, plan: PlanId = None) -> ClusterRuns:
    """What a plan runs on a cluster, diagnostics models and drift monitors among it, and on how many machines."""
    known = {one: service.store.clusters(one) or () for one in _plans(service, plan)}
    plans = [one for one, clusters in known.items() if name in clusters]
    if not plans:
        raise unknown("cluster", name, chain.from_iterable(known.values()))
    engine, placed = service.store.engine, Placements(service.store.engine)
    return ClusterRuns(
        cluster=name,
        plan=plans[0],
        plans=plans,
        **_standing(service, plans[0]),
        runs=[Unit(**unit) for one in plans for unit in placed.units(one, cluster=name)],
        machines=[Machines(**row) for one in plans for row in placed.machines(one, name)],
        served=[Served.of(one) for one in tenures_of(engine, cluster=name)],
    )


@router.get("/where/{workload:path}", response_model=Whereabouts)
def where(workload: str, service: ServiceDep, plan: PlanId = None) -> Whereabouts:
    """Where a plan runs a workload; of diagnostics also who served it when, and with which versions of models."""
    engine, placed, plans = service.store.engine, Placements(service.store.engine), _plans(service, plan)
    for one in plans:
        if units := placed.units(one, workload=workload):
            return Whereabouts(
                workload=workload,
                plan=one,
                **_standing(service, one),
                units=[Unit(**unit) for unit in units],
                served=[Served.of(tenure) for tenure in tenures_of(engine, workload=workload)],
            )
    raise unknown("placed workload", workload, [name for one in plans for name in placed.workloads(one)])


def _plans(service: Service, asked: str | None) -> list[str]:
    """The plan that is asked about; else those that requests go by, or the newest."""
    if asked is None:
        newest = service.store.newest_done()
        plans = [one.plan_id for one in running(service.store.engine)] or ([] if newest is None else [newest])
        if not plans:
            raise Problem(HTTPStatus.NOT_FOUND, "no plan is done yet: POST /v1/plans asks for one")
        return plans
    row = plan_row(service, asked)
    if row.status != "done":
        raise Problem(HTTPStatus.CONFLICT, f"plan: {asked}: {row.status}: nothing runs by a plan that is not done")
    return [asked]


def _standing(service: Service, plan_id: str) -> dict[str, str | None]:
    """How far a plan is, and which one of its scenario is in force."""
    standing = Lives(service.store.engine).standing(plan_id)
    force = None if standing is None else standing.fleet.in_force
    return {"state": None if standing is None else standing.life.state,
            "in_force": None if force is None else force.plan_id}
