"""Jobs: how far they are, which are stuck, and what became of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args

from fastapi import Request, Response

from api.context import Service, ServiceDep
from api.pages.asked import facts
from api.pages.outcomes import OUTCOMES
from api.pages.shell import GIVEN, page, page_router
from api.routes.jobs import job_row
from api.store.files import LOG
from api.store.jobs import ENDED, Kind, Status
from api.views import JobState, job_state
from api.web.paging import PageDep

if TYPE_CHECKING:
    from diagnostics.jobs import StuckJob

router = page_router()

STUCK_S: Final = {"queued": 2 * 3600.0, "running": 48 * 3600.0}
"""Seconds in a state from which a job is called stuck: waiting for hours, running for days."""
KINDS: Final[tuple[str, ...]] = tuple(kind for kinds in get_args(Kind) for kind in get_args(kinds))
PAGES: Final[dict[str, str]] = {"plan": "/plans"} | {kind: one.address for kind, one in OUTCOMES.items()}
"""Where pages show what jobs of a kind made."""
SHOWN_AT: Final = {"train": "/models", "evaluate": "/models", "drift": "/diagnostics"}
"""The same where it has no page of its own."""


@router.get("/jobs")
def list_jobs(request: Request, service: ServiceDep, asked: PageDep, kind: Annotated[Kind | None, GIVEN] = None,
              status: Annotated[Status | None, GIVEN] = None) -> Response:
    """Jobs, the newest first."""
    rows = service.store.jobs(kind, asked.limit, asked.number, status)
    return page(request, "jobs.html.j2", jobs=[_told(job_state(row)) for row in rows], kind=kind, status=status,
                kinds=KINDS, statuses=get_args(Status), next=asked.next([row.seq for row in rows]),
                watched=_watched(service))


@router.get("/jobs/{job_id}")
def one_job(job_id: str, request: Request, service: ServiceDep) -> Response:
    """One job: what was asked, how far it is, what it printed, and what went wrong."""
    state = job_state(job_row(service, job_id))
    log = service.store.file(job_id, LOG)
    return page(request, "job.html.j2", job=_told(state), asked=facts(state.settings),
                log=None if log is None else log[1].decode(errors="replace"))


def _told(state: JobState) -> dict[str, Any]:
    """A job with what a page says of it beside the API."""
    now = datetime.now(UTC)
    begin = state.created_at if state.status == "queued" or state.started_at is None else state.started_at
    end = now if state.finished_at is None else datetime.fromisoformat(state.finished_at)
    seconds = max(0.0, (end - datetime.fromisoformat(begin)).total_seconds())
    progress = state.progress
    return state.model_dump() | {
        "page": f"{PAGES[state.kind]}/{state.id}" if state.kind in PAGES else
                SHOWN_AT.get(state.kind, f"/jobs/{state.id}"),
        "took": span(seconds), "ended": state.status in ENDED,
        "stuck": state.status not in ENDED and seconds > STUCK_S[state.status],
        "percent": None if progress is None or progress.share is None else round(100 * progress.share),
        "phase": "" if progress is None else progress.phase or "",
    }


def span(seconds: float) -> str:
    """A length of time in words."""
    for unit, length in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _watched(service: Service) -> tuple[StuckJob, ...] | None:
    """Jobs of the clusters that are stuck; None where none are watched."""
    table = service.settings.watch.jobs
    if table is None:
        return None
    from diagnostics.jobs import StuckSettings
    from planner.jobs import stuck_jobs

    return stuck_jobs(table, None, StuckSettings())
