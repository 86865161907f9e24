"""What pages show of a plan: computed once when it was made, kept beside it, and only read here."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from api.context import Service
from api.routes.plans import plan_row
from api.store.files import SUMMARY, WORKLOADS
from api.store.store import Store
from api.web.problems import Problem

if TYPE_CHECKING:
    from planner.workload_list import WorkloadList


@dataclass(frozen=True)
class _Plan:
    """A plan that is made: what is kept of it stays as it is, so that it is read once for all who look."""

    id: str
    store: Store = field(compare=False)


class _NothingError(Exception):
    """Nothing is kept yet."""


def summary_of(service: Service, plan_id: str) -> dict[str, Any] | None:
    """Figures, charts and tables of a plan; None where it is not made yet. What an earlier version made has none: they
    are taken from the plan, without what only its scenario tells.
    """
    try:
        return _summary(_Plan(plan_id, service.store))
    except _NothingError:
        return None


def workloads_of(service: Service, plan_id: str) -> WorkloadList:
    """The list of a plan's workloads. Raises Problem where there is none."""
    row = plan_row(service, plan_id)
    try:
        return _workloads(_Plan(plan_id, service.store))
    except _NothingError:
        why = f"{row.status}: only a plan that is done has a list of workloads" if row.status != "done" else \
            f"it was made before plans kept a list of workloads: GET /v1/plans/{plan_id}/assignments has its units"
        raise Problem(HTTPStatus.CONFLICT, f"plan {plan_id}: {why}") from None


@lru_cache(maxsize=4)
def _summary(plan: _Plan) -> dict[str, Any]:
    kept = plan.store.file(plan.id, SUMMARY)
    if kept is not None:
        found: dict[str, Any] = json.loads(kept[1])
        return found
    document = plan.store.result(plan.id)
    if document is None:
        raise _NothingError
    from planner.plan import Plan
    from planner.report.page import plan_view

    return plan_view(Plan.model_validate_json(document), None)


@lru_cache(maxsize=2)
def _workloads(plan: _Plan) -> WorkloadList:
    kept = plan.store.file(plan.id, WORKLOADS)
    if kept is None:
        raise _NothingError
    from planner.workload_list import WorkloadList  # pyarrow: the service answers before it is loaded

    return WorkloadList.of(kept[1])
