"""What pages show of a plan: computed once when it was made, kept beside it, and only read here."""

from __future__ import annotations

import json
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from api.context import Service
from api.routes.plans import plan_row
from api.store.files import SUMMARY, WORKLOADS
from api.web.problems import Problem

if TYPE_CHECKING:
    from planner.workload_list import WorkloadList


def summary_of(service: Service, plan_id: str) -> dict[str, Any] | None:
    """Figures, charts and tables of a plan; None where it is not made yet. What an earlier version made has none: they
    are taken from the plan, without what only its scenario tells.
    """
    kept = service.store.file(plan_id, SUMMARY)
    if kept is not None:
        return _parsed(kept[1])
    document = service.store.result(plan_id)
    return None if document is None else _viewed(document)


def workloads_of(service: Service, plan_id: str) -> WorkloadList:
    """The list of a plan's workloads. Raises Problem where there is none."""
    row = plan_row(service, plan_id)
    kept = service.store.file(plan_id, WORKLOADS)
    if kept is None:
        why = f"{row.status}: only a plan that is done has a list of workloads" if row.status != "done" else \
            f"it was made before plans kept a list of workloads: GET /v1/plans/{plan_id}/assignments has its units"
        raise Problem(HTTPStatus.CONFLICT, f"plan {plan_id}: {why}")
    return _listed(kept[1])


@lru_cache(maxsize=4)
def _parsed(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(content)
    return found


@lru_cache(maxsize=2)
def _viewed(document: str) -> dict[str, Any]:
    from planner.plan import Plan
    from planner.report.page import plan_view

    return plan_view(Plan.model_validate_json(document), None)


@lru_cache(maxsize=2)
def _listed(content: bytes) -> WorkloadList:
    from planner.workload_list import WorkloadList  # pyarrow: the service answers before it is loaded

    return WorkloadList.of(content)
