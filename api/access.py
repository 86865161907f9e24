"""Who asks, and who may ask for what: one table of all routes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from api.problems import Problem
from api.tenancy import DEFAULT

Role = Literal["viewer", "planner", "sre", "admin"]
ROLES: Final[dict[Role, frozenset[Role]]] = {
    "viewer": frozenset({"viewer"}),
    "planner": frozenset({"viewer", "planner"}),
    "sre": frozenset({"viewer", "sre"}),
    "admin": frozenset({"viewer", "planner", "sre", "admin"}),
}
"""What each role may do: its own, and what others may."""

NEEDED: Final[dict[tuple[str, str], Role | None]] = {
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/metrics"): "sre",
    ("GET", "/openapi.json"): "viewer",
    ("POST", "/v1/plans"): "planner",
    ("GET", "/v1/plans"): "viewer",
    ("GET", "/v1/plans/{plan_id}"): "viewer",
    ("GET", "/v1/plans/{plan_id}/events"): "viewer",
    ("POST", "/v1/plans/{plan_id}/cancel"): "planner",
    ("GET", "/v1/plans/{plan_id}/life-cycle"): "viewer",
    ("POST", "/v1/plans/{plan_id}/verify"): "planner",
    ("POST", "/v1/plans/{plan_id}/approve"): "sre",
    ("POST", "/v1/plans/{plan_id}/apply"): "sre",
    ("POST", "/v1/plans/{plan_id}/waves/{wave}"): "sre",
    ("PUT", "/v1/plans/{plan_id}/in-force"): "sre",
    ("GET", "/v1/plans/{plan_id}/roll-back"): "viewer",
    ("POST", "/v1/plans/{plan_id}/roll-back"): "sre",
    ("POST", "/v1/plans/{plan_id}/retire"): "planner",
    ("GET", "/v1/plans/{plan_id}/diff/{other}"): "viewer",
    ("POST", "/v1/plans/{plan_id}/replan"): "planner",
    ("GET", "/v1/plans/{plan_id}/packings"): "viewer",
    ("GET", "/v1/plans/{plan_id}/explain/{workload}"): "viewer",
    ("POST", "/v1/forecasts"): "planner",
    ("GET", "/v1/forecasts/{job_id}"): "viewer",
    ("GET", "/v1/forecasts/{job_id}/quantiles"): "viewer",
    ("GET", "/v1/forecasts/{job_id}/backtest"): "viewer",
    ("POST", "/v1/capacity"): "planner",
    ("GET", "/v1/capacity/{job_id}"): "viewer",
    ("POST", "/v1/profiles/predict"): "viewer",
    ("POST", "/v1/jobs"): "planner",
    ("GET", "/v1/jobs"): "viewer",
    ("GET", "/v1/jobs/{job_id}"): "viewer",
    ("GET", "/v1/jobs/{job_id}/result"): "viewer",
    ("GET", "/v1/jobs/{job_id}/events"): "viewer",
    ("POST", "/v1/jobs/{job_id}/cancel"): "planner",
    ("POST", "/v1/schedules"): "planner",
    ("GET", "/v1/schedules"): "viewer",
    ("GET", "/v1/schedules/{name}"): "viewer",
    ("DELETE", "/v1/schedules/{name}"): "planner",
    ("GET", "/v1/notifications"): "viewer",
    ("POST", "/v1/notifications/test"): "sre",
    ("GET", "/v1/clusters/{name}/runs"): "viewer",
    ("GET", "/v1/where/{workload}"): "viewer",
    ("GET", "/v1/diagnostics/clusters"): "viewer",
    ("GET", "/v1/diagnostics/clusters/{name}"): "viewer",
    ("GET", "/v1/alarms"): "viewer",
    ("GET", "/v1/alarms/feedback"): "viewer",
    ("GET", "/v1/alarms/{alarm_id}"): "viewer",
    ("POST", "/v1/alarms/{alarm_id}/acknowledge"): "sre",
    ("POST", "/v1/alarms/{alarm_id}/feedback"): "sre",
    ("GET", "/v1/models"): "viewer",
    ("GET", "/v1/models/compare"): "viewer",
    ("GET", "/v1/models/history"): "viewer",
    ("POST", "/v1/models/rollback"): "sre",
    ("GET", "/v1/models/{version}"): "viewer",
    ("POST", "/v1/models/{version}/promote"): "sre",
    ("GET", "/v1/direct/{workload}"): "viewer",
    ("POST", "/v1/telemetry"): "sre",
    ("GET", "/v1/clusters/{name}/verdicts"): "viewer",
    ("GET", "/v1/hosting"): "viewer",
    ("GET", "/v1/retraining"): "viewer",
    ("GET", "/v1/clusters/{name}/health"): "viewer",
    ("PUT", "/v1/clusters/{name}/health"): "sre",
}
"""The role that each route needs, None where anybody may ask. A route that is not here does not start."""
OPERATORS: Final = frozenset({("GET", "/metrics")})
"""Routes that tell of all tenants: only callers of the tenant `default`, who run the service, may ask."""
PUBLIC: Final = frozenset(path for (_, path), role in NEEDED.items() if role is None)
"""Addresses that anybody may ask."""
_CALLER = "planner.caller"


@dataclass(frozen=True)
class Caller:
    """Who asks, what they may, and whose rows they see."""

    tenant: str
    name: str
    roles: frozenset[Role]


LOCAL: Final = Caller(DEFAULT, "local", frozenset(ROLES))
"""Whoever asks from this machine, where the service is not told to ask for keys."""


NOBODY: Final = Caller(DEFAULT, "nobody", frozenset())
"""Whoever asks for what anybody may ask for."""


def known_as(scope: Scope, caller: Caller) -> None:
    """Note who asks."""
    scope[_CALLER] = caller


def caller_of(request: Request) -> Caller:
    """Who asks."""
    caller = request.scope[_CALLER]
    assert isinstance(caller, Caller)
    return caller


async def _caller(request: Request) -> Caller:
    return caller_of(request)


CallerDep = Annotated[Caller, Depends(_caller)]
"""Who asks, for routes that need to know."""


class Route(APIRoute):
    """A route that is reached with the role it needs only; nothing of the body has been read by then."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or go on."""
        asked = scope["method"], self.path_format
        needed = NEEDED.get(asked)
        if needed is not None:
            caller: Caller = scope[_CALLER]
            if needed not in caller.roles:
                held = ", ".join(sorted(caller.roles)) or "none"
                raise Problem(HTTPStatus.FORBIDDEN, f"{asked[0]} {asked[1]}: needs the role {needed}; yours: {held}")
            if asked in OPERATORS and caller.tenant != DEFAULT:
                raise Problem(HTTPStatus.FORBIDDEN, f"{asked[0]} {asked[1]}: tells of all tenants: for who runs this")
        await super().handle(scope, receive, send)


def all_guarded(routers: Iterable[APIRouter]) -> None:
    """Refuse to serve routes that the table does not have, or that do not ask it. Raises TypeError or RuntimeError."""
    served = set()
    for router in routers:
        for route in router.routes:
            if not isinstance(route, Route):
                unasked = f"{route}: asks for no role: make its router with route_class=Route of api.access"
                raise TypeError(unasked)
            served |= {(method, route.path_format) for method in route.methods or ()}
    odd = served ^ NEEDED.keys()
    if odd:
        method, path = min(odd)
        raise RuntimeError(f"{method} {path}: served or in the table of api.access, but not both")
