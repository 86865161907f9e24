"""Models of healthy hosts: versions and where they come from, two compared, who serves, promoted and rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import Query, Request, Response

from api.context import Service, ServiceDep
from api.pages.shell import page, page_router
from api.routes.models import store_of
from api.views import job_state
from api.web.paging import PageDep

if TYPE_CHECKING:
    from diagnostics.store import Version

router = page_router()

FIGURES: Final = {"relative_error": "error", "missed_faults": "faults missed",
                  "false_alarms_per_host_day": "false alarms a host and day"}
"""Figures of a version that the list shows, and what it calls them."""
HISTORY: Final = 100
"""Changes that a page shows, the newest."""


@router.get("/models")
def list_models(request: Request, service: ServiceDep, asked: PageDep, hardware: str = "") -> Response:
    """Versions, the newest first, and what was changed."""
    with store_of(service) as store:
        every = store.versions()
        history = store.history(hardware or None)[::-1]
    versions, following = asked.cut([one for one in every[::-1] if hardware in ("", one.made.hardware)],
                                    lambda one: one.id)
    return page(request, "models.html.j2", versions=versions, next=following, history=history[:HISTORY],
                hardware=hardware, figures=FIGURES, classes=sorted({one.made.hardware for one in every}),
                recorded=_recorded(service),
                serving={one.made.hardware: one.id for one in every if one.serves})


@router.get("/models/compare")
def compare_models(request: Request, service: ServiceDep, version: Annotated[tuple[str, ...], Query()] = (),
                   kind: Literal["validation", "shadow"] = "validation") -> Response:
    """Versions side by side; the first is compared with."""
    from diagnostics.store.compare import compare

    with store_of(service) as store:
        found = compare(store, version, kind)
    return page(request, "model_compare.html.j2", found=found, kind=kind, recorded=_recorded(service),
                measuring=_measuring(service, found.versions))


@router.get("/models/{version}")
def one_model(version: str, request: Request, service: ServiceDep) -> Response:
    """One version: how it was made, what from, and what came of it."""
    from diagnostics.training.search import effects

    with store_of(service) as store:
        found = store.version(version)
        every = {one.id: one for one in store.versions(found.made.hardware)}
        serving, history = store.serving(found.made.hardware), store.history(found.made.hardware)
    return page(request, "model.html.j2", model=found, effects=list(effects(found.made.trials)),
                ancestors=list(_ancestors(found, every)), serving=serving,
                children=[one for one in every.values() if one.made.parent == found.id],
                history=[event for event in history[::-1] if found.id in (event.version, event.before, event.after)])


def _recorded(service: Service) -> bool:
    """Whether there is recorded telemetry, which jobs train and measure on; hosts train on what they are sent."""
    return service.settings.telemetry is not None


def _ancestors(version: Version, every: Mapping[str, Version]) -> Iterator[Version]:
    """The version that served when one was trained, and so on back."""
    parent = every.get(version.made.parent or "")
    while parent is not None:
        yield parent
        parent = every.get(parent.made.parent or "")


def _measuring(service: Service, versions: Sequence[str]) -> Any:  # noqa: ANN401 - a job, or None
    """The newest job that measures these versions on the same rows; None where there is none."""
    jobs = (job_state(row) for row in service.store.jobs("evaluate", 100, None))
    return next((job for job in jobs if set(job.settings.get("versions", ())) == set(versions)), None)
