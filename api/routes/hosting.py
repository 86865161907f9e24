"""Telemetry in, and what hosts say of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from api.access import Route
from api.context import Service, ServiceDep
from api.description.shapes import HostedAlarms
from api.directing.directing import NONE
from api.hosting.leases import standing
from api.hosting.looking import HOURS, Looked, look
from api.hosting.plans import Following
from api.hosting.requests import (
    Accepted,
    Hosting,
    Retrained,
    RowVerdict,
    StepTaken,
    TelemetryRows,
    VerdictsOf,
    VersionMatrix,
    VersionServes,
    Work,
)
from api.hosting.results import verdicts_of
from api.hosting.rollouts import record
from api.hosting.sealing import Sealing
from api.hosting.streams import Given, push
from api.hosting.whereabouts import serving_versions
from api.web.paging import PageDep
from api.web.problems import Problem, unknown
from planner.hosting import Hosted

router = APIRouter(prefix="/v1", tags=["hosting"], route_class=Route)

FOREVER = 2**31 - 1


@router.post("/telemetry", response_model=Accepted)
def post_telemetry(body: TelemetryRows, service: ServiceDep) -> Accepted:
    """Take in rows of telemetry. A row is all metrics of all hosts of a cluster at one time, and counts once.

    Rows of clusters that the plan in force does not know, without values or from the future are refused by name; the
    others are stored. Where none is stored, the answer is a problem.
    """
    hosted = _hosted(service)
    rows = [Given(row.cluster, int(row.ts.timestamp()), row.hosts) for row in body.rows]
    kept = service.settings.retention.telemetry_days
    pushed = push(service.store.engine, rows, hosted.clusters, Sealing.of(service.settings), kept)
    if pushed.refused and not pushed.stored and not pushed.again:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, pushed.refused[0], pushed.refused)
    return Accepted(stored=pushed.stored, again=pushed.again, refused=list(pushed.refused))


@router.get("/clusters/{name}/verdicts", response_model=VerdictsOf)
def get_verdicts(
    name: str,
    service: ServiceDep,
    page: PageDep,
    since: Annotated[AwareDatetime | None, Query(description="only rows from then on")] = None,
) -> VerdictsOf:
    """What models said of the rows of a cluster, the newest first: which version, which host, and what is off."""
    hosted = _hosted(service)
    if name not in hosted.clusters:
        raise unknown("cluster", name, hosted.clusters)
    first = 0 if since is None else int(since.timestamp())
    found = verdicts_of(service.store.engine, [name], first, FOREVER, page.limit, page.numbered)
    return VerdictsOf(cluster=name, verdicts=[RowVerdict(**row | {"ts": _utc(row["ts"])}) for row in found],
                      next=page.next([f"{row['ts']}/{row['model_version']}" for row in found]))


@router.get("/hosting", response_model=Hosting)
def get_hosting(service: ServiceDep) -> Hosting:
    """Who serves what by the plan in force, how often it changed hands, and how many rows wait."""
    hosted = _hosted(service)
    held = standing(service.store.engine)
    work = []
    for name, one in sorted(hosted.work.items()):
        holder = held.get(name)
        work.append(
            Work(
                workload=name,
                plan=hosted.plan_of(name),
                purpose=one.watches.purpose,
                hardware_class=one.watches.hardware_class,
                clusters=list(one.watches.clusters),
                places=[place.cluster for place in one.places],
                host=None if holder is None else holder.host,
                served_on=None if holder is None else holder.cluster,
                model_store=_nearest(hosted, one.places[0].cluster if holder is None else holder.cluster),
                epoch=0 if holder is None else holder.epoch,
                waiting_rows=0 if holder is None else holder.waiting,
            )
        )
    return Hosting(plan=hosted.plan_id, work=work)


@router.get("/hosting/versions", response_model=VersionMatrix)
def get_versions(
    service: ServiceDep,
    days: Annotated[float, Query(gt=0, le=400, description="by rows of the last so many days")] = 7.0,
) -> VersionMatrix:
    """Which versions of models serve which hardware class and which software version: models are released without
    waiting for an update of clusters.
    """
    hosted = _hosted(service)
    serves = [VersionServes(**asdict(one) | {"clusters": list(one.clusters), "last": _utc(one.last)})
              for one in serving_versions(service.store.engine, hosted, days)]  # fmt: skip
    return VersionMatrix(plan=hosted.plan_id, serves=serves)


@router.get("/hosting/alarms", response_model=None, responses={200: {"model": HostedAlarms}})
def get_hosted_alarms(
    service: ServiceDep,
    hours: Annotated[float, Query(gt=0, le=24 * 90, description="rows of the last so many hours")] = HOURS,
) -> dict[str, Any]:
    """What belongs together of what models said: super alarms with hypotheses, severity, and what to do.

    Of the hours asked for the newest 100,000 rows with an alarm are looked at, and so many without of the same
    clusters: the answer is complete from `complete_from` on.
    """
    from diagnostics.alarms.recorded import as_dict

    found = hosted_alarms(service, hours)
    first = found.complete_from
    return {"complete_from": None if first is None else f"{_utc(first):%Y-%m-%dT%H:%M:%SZ}",
            "super_alarms": [as_dict(one) for one in found.super_alarms]}


def hosted_alarms(service: Service, hours: float) -> Looked:
    """Super alarms of rows of the last so many hours. Raises Problem where no plan is in force, InputError for a policy
    that cannot be used.
    """
    return look(service.store.engine, _hosted(service), service.policy.now(), Sealing.of(service.settings), hours)


@router.get("/retraining", response_model=Retrained)
def get_retraining(
    service: ServiceDep, run: Annotated[str | None, Query(description="only this run")] = None
) -> Retrained:
    """What became of every step of retraining, the oldest first."""
    rows = record(service.store.engine, run)
    return Retrained(steps=[StepTaken(**row | {"at": _utc(row["at"])}) for row in rows])


def _nearest(hosted: Hosted, cluster: str | None) -> str | None:
    known = hosted.clusters.get(cluster or "")
    return known.model_stores[0] if known is not None and known.model_stores else None


def _hosted(service: Service) -> Hosted:
    hosted = Following(service.store.engine).now()
    if hosted is None:
        raise Problem(HTTPStatus.NOT_FOUND, NONE)
    return hosted


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
