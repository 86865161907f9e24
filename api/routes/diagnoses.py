"""How clusters are, by their telemetry."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.access import Route
from api.context import ServiceDep
from api.description.shapes import Diagnosis, OneClusterDiagnosed
from api.web.problems import unknown
from planner.watch import Findings

router = APIRouter(prefix="/v1/diagnostics", tags=["diagnostics"], route_class=Route)

At = Annotated[str | None, Query(description="stuck jobs as of this time, ISO-8601 with its zone; left out: now")]


@router.get("/clusters", response_model=None, responses={200: {"model": Diagnosis}})
def diagnosed_clusters(service: ServiceDep) -> dict[str, Any]:
    """The diagnosis of all clusters that send telemetry."""
    return service.diagnoses.current().diagnosis.to_dict()


@router.get("/clusters/{name}", response_model=None, responses={200: {"model": OneClusterDiagnosed}})
def diagnosed_cluster(name: str, service: ServiceDep, at: At = None) -> dict[str, Any]:
    """One cluster: status, alarms with their chance, super alarms with causes and remedies, drift of every metric,
    rules of health that fired, jobs that are stuck (null where no jobs are watched), and the models that answer for its
    hardware.
    """
    found = service.diagnoses.current()
    diagnosis = found.diagnosis.to_dict()
    clusters: dict[str, dict[str, Any]] = {cluster["cluster"]: cluster for cluster in diagnosis.pop("clusters")}
    if name not in clusters:
        raise unknown("cluster with telemetry", name, clusters)
    jobs = service.settings.watch.jobs
    return diagnosis | clusters[name] | {
        "super_alarms": _super_alarms(found, name),
        "health": [asdict(firing) for firing in found.firings if firing.subject == name],
        "stuck_jobs": None if jobs is None else _stuck(jobs, name, at),
        "models": [one for one in diagnosis["models"] if one["hardware_class"] in clusters[name]["hardware_classes"]],
    }  # fmt: skip


def _super_alarms(found: Findings, cluster: str) -> list[dict[str, Any]]:
    """Those with an alarm of the cluster."""
    from diagnostics.alarms.recorded import as_dict

    return [as_dict(one) for one in found.together
            if any(("cluster", cluster) in alarm.attributes for alarm in one.alarms)]


def _stuck(jobs: Path, cluster: str, at: str | None) -> list[dict[str, Any]]:
    from diagnostics.jobs import StuckSettings
    from planner.jobs import stuck_jobs

    found = (one for one in stuck_jobs(jobs, at, StuckSettings()) if one.cluster == cluster)
    return [asdict(one) | {"hints": [hint._asdict() for hint in one.hints]} for one in found]
