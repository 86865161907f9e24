"""What runs where."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from api.access import Route
from api.context import Service, ServiceDep
from api.hosting.requests import Served
from api.hosting.whereabouts import tenures_of
from api.life_cycle.lives import Lives
from api.store.files import ROUTES
from api.store.placements import Placements
from api.views import ClusterRuns, Machines, Unit, Whereabouts
from api.web.problems import Problem, unknown

router = APIRouter(prefix="/v1", tags=["fleet"], route_class=Route)

PlanId = Annotated[str | None, Query(description="a plan's id; the newest that is done when left out")]


@router.get("/clusters/{name}/runs", response_model=ClusterRuns)
def cluster_runs(name: str, service: ServiceDep, plan: PlanId = None) -> ClusterRuns:
    """What a plan runs on a cluster, diagnostics models and drift monitors among it, and on how many machines."""
    plan_id, clusters = _done_plan(service, plan)
    if name not in clusters:
        raise unknown("cluster", name, clusters)
    engine = service.store.engine
    return ClusterRuns(
        cluster=name,
        plan=plan_id,
        state=Lives(engine).states([plan_id]).get(plan_id),
        in_force=service.store.in_force(ROUTES),
        runs=[Unit(**unit) for unit in Placements(engine).units(plan_id, cluster=name)],
        machines=[Machines(**row) for row in Placements(engine).machines(plan_id, name)],
        served=[Served.of(one) for one in tenures_of(engine, cluster=name)],
    )


@router.get("/where/{workload:path}", response_model=Whereabouts)
def where(workload: str, service: ServiceDep, plan: PlanId = None) -> Whereabouts:
    """Where a plan runs a workload; of diagnostics also who served it when, and with which versions of models."""
    plan_id, _ = _done_plan(service, plan)
    engine = service.store.engine
    units = Placements(engine).units(plan_id, workload=workload)
    if not units:
        raise unknown("placed workload", workload, Placements(engine).workloads(plan_id))
    return Whereabouts(
        workload=workload,
        plan=plan_id,
        state=Lives(engine).states([plan_id]).get(plan_id),
        in_force=service.store.in_force(ROUTES),
        units=[Unit(**unit) for unit in units],
        served=[Served.of(one) for one in tenures_of(engine, workload=workload)],
    )


def _done_plan(service: Service, plan_id: str | None) -> tuple[str, tuple[str, ...]]:
    """The plan that is asked about, and the clusters of its scenario."""
    chosen = plan_id or service.store.newest_done()
    if chosen is None:
        raise Problem(HTTPStatus.NOT_FOUND, "no plan is done yet: POST /v1/plans asks for one")
    clusters, row = service.store.clusters(chosen), service.store.job(chosen, "plan")
    if clusters is None or row is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"plan: {chosen}: not known; GET /v1/plans lists them")
    if row.status != "done":
        raise Problem(HTTPStatus.CONFLICT, f"plan: {chosen}: {row.status}: nothing runs by a plan that is not done")
    return chosen, clusters
