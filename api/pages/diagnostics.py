"""Diagnostics: how clusters are, which alarms belong together and why, metrics with their alarms marked, drift; and
whether alarms were right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Request, Response

from api.context import Service, ServiceDep
from api.marks import Said
from api.pages.shell import GIVEN, page, page_router
from api.web.problems import unknown

if TYPE_CHECKING:
    from diagnostics.diagnose import ClusterDiagnosis, Diagnosis, Status

router = page_router()

PATIENCE_S: Final = 2.0
"""How long a page waits for a diagnosis of what has changed."""
DRAWN: Final = 12
"""Metrics that one page draws."""
SHOWN: Final = 100
"""Rows of a table, super alarms and clusters of one page; filters and pages of clusters show others."""
JUDGED: Final = 20
"""Judgements that a page shows, the newest."""
STATUSES: Final[tuple[Status, ...]] = ("alarm", "drift", "silent", "no_baseline", "ok")
"""The gravest first."""


@router.get("/diagnostics")
def fleet_diagnostics(request: Request, service: ServiceDep, hardware: str = "", model: str = "",
                      status: Annotated[str | None, GIVEN] = None) -> Response:
    """All clusters, or those of a hardware class, a model version or a status."""
    from planner.report.diagnosis import NO_MODEL, view_of

    if service.settings.telemetry is None:
        return page(request, "no_telemetry.html.j2")
    view, newest = service.diagnoses.shown(PATIENCE_S)
    if view is None:
        return page(request, "diagnosing.html.j2")
    found: Diagnosis = view["found"]
    models = {one.hardware_class: one.version or NO_MODEL for one in found.models}

    def wanted(one: ClusterDiagnosis) -> bool:
        read = {models.get(name, NO_MODEL) for name in one.hardware_classes}
        return status in (None, one.status) and hardware in ("", *one.hardware_classes) and model in ("", *read)

    kept = sorted(filter(wanted, found.clusters), key=lambda one: STATUSES.index(one.status))
    shown = view_of(view, {one.cluster for one in kept}, DRAWN)
    if len(kept) < len(found.clusters):
        shown["headlines"] = []  # they are of the whole fleet
    return _page(request, service, shown, cluster=None, matrix=kept[:SHOWN], more=len(kept) - SHOWN, statuses=STATUSES,
                 asked={"hardware": hardware, "model": model, "status": status},
                 classes=sorted({name for one in found.clusters for name in one.hardware_classes}),
                 versions=sorted(set(models.values())), newest=newest)


@router.get("/diagnostics/{cluster}")
def cluster_diagnostics(cluster: str, request: Request, service: ServiceDep) -> Response:
    """One cluster."""
    from planner.report.diagnosis import view_of

    if service.settings.telemetry is None:
        return page(request, "no_telemetry.html.j2")
    view, newest = service.diagnoses.shown(PATIENCE_S)
    if view is None:
        return page(request, "diagnosing.html.j2")
    known = {one.cluster: one for one in view["found"].clusters}
    if cluster not in known:
        raise unknown("cluster with telemetry", cluster, known)
    shown = view_of(view, {cluster}, DRAWN) | {"headlines": []}
    models = [one for one in view["found"].models if one.hardware_class in known[cluster].hardware_classes]
    return _page(request, service, shown, cluster=known[cluster], matrix=[], models=models, newest=newest)


def _page(request: Request, service: Service, view: Mapping[str, Any], **context: Any) -> Response:  # noqa: ANN401
    """What is found, with what people said of it."""
    seen, said = service.marks.seen(), service.marks.judgements()
    clusters = {one.cluster for one in view["found"].clusters}
    verdicts: dict[tuple[str, str], list[Said]] = {}
    for word in said:
        verdicts.setdefault((word.fingerprint, word.since), []).append(word)
    marks = {one["id"]: sorted({(seen[key].by, seen[key].note) for key in one["keys"] if key in seen})
             for one in view["together"]}
    unseen = {one["id"] for one in view["together"] if not all(key in seen for key in one["keys"])}
    return page(request, "diagnostics.html.j2", **{
        **view, "shown": SHOWN, "marks": marks, "unseen": unseen, "verdicts": verdicts,
        "judgements": [word for word in said[::-1] if word.cluster in clusters][:JUDGED], **context})
