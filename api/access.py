"""Who asks, and who may ask for what: one table of all routes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from api.database.recording import Acting
from api.database.tenancy import DEFAULT
from api.roles import ROLES, Role
from api.web.bodies import NEEDS, USUAL, BoundedRequest, limited
from api.web.problems import Problem

API: Final[dict[tuple[str, str], Role | None]] = {
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/metrics"): "sre",
    ("GET", "/openapi.json"): "viewer",
    ("GET", "/v1/audit"): "admin",
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
    ("POST", "/v1/plans/{plan_id}/actuals"): "planner",
    ("GET", "/v1/plans/{plan_id}/actuals"): "viewer",
    ("GET", "/v1/scenarios/{name}/shadow"): "viewer",
    ("PUT", "/v1/scenarios/{name}/shadow"): "sre",
    ("DELETE", "/v1/scenarios/{name}/shadow"): "sre",
    ("POST", "/v1/plans/{plan_id}/replan"): "planner",
    ("GET", "/v1/plans/{plan_id}/assignments"): "viewer",
    ("GET", "/v1/plans/{plan_id}/packings"): "viewer",
    ("GET", "/v1/plans/{plan_id}/explain/{workload}"): "viewer",
    ("POST", "/v1/forecasts"): "planner",
    ("GET", "/v1/forecasts/{job_id}"): "viewer",
    ("GET", "/v1/forecasts/{job_id}/quantiles"): "viewer",
    ("GET", "/v1/forecasts/{job_id}/backtest"): "viewer",
    ("POST", "/v1/scenarios"): "planner",
    ("GET", "/v1/scenarios"): "viewer",
    ("GET", "/v1/scenarios/{name}"): "viewer",
    ("GET", "/v1/scenarios/{name}/versions"): "viewer",
    ("GET", "/v1/scenarios/{name}/versions/{version}"): "viewer",
    ("GET", "/v1/scenarios/{name}/versions/{version}/content"): "viewer",
    ("GET", "/v1/scenarios/{name}/versions/{version}/diff/{other}"): "viewer",
    ("POST", "/v1/scenarios/{name}/versions/{version}/retire"): "planner",
    ("DELETE", "/v1/scenarios/{name}/versions/{version}"): "planner",
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
    ("GET", "/v1/hosting/alarms"): "viewer",
    ("GET", "/v1/hosting/versions"): "viewer",
    ("GET", "/v1/clusters/{name}/health"): "viewer",
    ("PUT", "/v1/clusters/{name}/health"): "sre",
}
"""The role that each route needs, None where anybody may ask. A route that is not here does not start."""
PAGES: Final[dict[tuple[str, str], Role | None]] = {
    ("GET", "/assets/{name}"): None,
    ("GET", "/"): "viewer",
    ("GET", "/sign-in"): None,
    ("POST", "/sign-in"): None,
    ("POST", "/sign-out"): "viewer",
    ("GET", "/events"): "viewer",
    ("GET", "/plans"): "viewer",
    ("GET", "/plans/{plan_id}"): "viewer",
    ("GET", "/plans/{plan_id}/workloads"): "viewer",
    ("GET", "/plans/{plan_id}/workloads/{workload}"): "viewer",
    ("GET", "/forecasts"): "viewer",
    ("GET", "/forecasts/{job_id}"): "viewer",
    ("GET", "/capacity"): "viewer",
    ("GET", "/capacity/{job_id}"): "viewer",
    ("GET", "/what-if"): "viewer",
    ("GET", "/what-if/{job_id}"): "viewer",
    ("GET", "/price-of-nines"): "viewer",
    ("GET", "/price-of-nines/{job_id}"): "viewer",
    ("GET", "/diagnostics"): "viewer",
    ("GET", "/diagnostics/{cluster}"): "viewer",
    ("GET", "/hosting"): "viewer",
    ("GET", "/models"): "viewer",
    ("GET", "/models/compare"): "viewer",
    ("GET", "/models/{version}"): "viewer",
    ("GET", "/jobs"): "viewer",
    ("GET", "/jobs/{job_id}"): "viewer",
}
"""The same of pages for people, which the description of the API leaves out."""
NEEDED: Final[dict[tuple[str, str], Role | None]] = API | PAGES
OPERATORS: Final = frozenset({("GET", "/metrics")})
"""Routes that tell of all tenants: only callers of the tenant `default`, who run the service, may ask."""
CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
UNRECORDED: Final = frozenset({
    ("POST", "/v1/profiles/predict"),  # changes nothing
    ("POST", "/v1/telemetry"),  # measurements, many a second
    ("PUT", "/v1/clusters/{name}/health"),  # the same, but for what people say
    ("POST", "/sign-in"),  # nobody is known yet; who signs in is recorded there, and who signs out
    ("POST", "/sign-out"),
})
"""Changes of which only refusals are recorded, and what `record_this` was said of."""
SEEN: Final = frozenset({
    ("GET", "/v1/clusters/{name}/verdicts"),
    ("GET", "/v1/hosting/alarms"),
    ("GET", "/v1/diagnostics/clusters"),
    ("GET", "/v1/diagnostics/clusters/{name}"),
    ("GET", "/v1/alarms"),
    ("GET", "/v1/alarms/{alarm_id}"),
    ("GET", "/diagnostics"),
    ("GET", "/diagnostics/{cluster}"),
    ("GET", "/hosting"),
})
"""What tells of telemetry: whoever reads it is recorded, with what was asked for, before it is answered."""
PUBLIC: Final = frozenset(path for (_, path), role in NEEDED.items() if role is None)
ASSETS: Final = "/assets/"


def is_public(path: str) -> bool:
    """Whether anybody may ask for an address: styles and scripts are no secret."""
    return path in PUBLIC or path.startswith(ASSETS)


_CALLER, _ACTING, _WANTED = "planner.caller", "planner.acting", "planner.wanted"
REQUEST: Final = "planner.request"
"""Where the id of a request stands in its scope."""


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


def told_of(scope: Scope) -> dict[str, str]:
    """Who asks, for the log; nothing where it is not known."""
    caller: Caller | None = scope.get(_CALLER)
    return {} if caller is None else {"tenant": caller.tenant, "caller": caller.name}


async def _caller(request: Request) -> Caller:
    return caller_of(request)


CallerDep = Annotated[Caller, Depends(_caller)]
"""Who asks, for routes that need to know."""


def acting_of(request: Request) -> Acting | None:
    """What is recorded of this request; None for one that changes nothing."""
    found: Acting | None = request.scope.get(_ACTING)
    return found


def record_this(request: Request) -> None:
    """Have a request recorded whose route is not."""
    request.scope[_WANTED] = True


class Route(APIRoute):
    """A route that is reached with the role it needs only; nothing of the body has been read by then. Who may change
    something is recorded, and who may not.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers, with JSON that is read in bounded memory."""
        answer = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            asked = BoundedRequest(request.scope, request.receive)
            try:
                return await answer(asked)
            except HTTPException:
                if asked.refused is not None:  # FastAPI says of everything but HTTPException that it cannot be parsed
                    raise asked.refused from None
                raise
            finally:
                asked.done()

        return bounded

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        """The body as far as this route takes it."""
        needed = NEEDS.get((scope["method"], self.path_format), USUAL)
        return receive if needed is None else limited(receive, scope, needed)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or go on."""
        asked = scope["method"], self.path_format
        needed = NEEDED.get(asked)
        if needed is None:
            await super().handle(scope, receive, send)
            return
        receive = self._bounded(scope, receive)
        caller: Caller = scope[_CALLER]
        if asked in SEEN:
            await self._seen(needed, scope, receive, send)
            return
        if asked[0] not in CHANGING:
            _refuse(caller, needed, asked)
            await super().handle(scope, receive, send)
            return
        acting = Acting(caller.name, " ".join(asked), scope["path"], scope.get(REQUEST, ""))
        if asked not in UNRECORDED:
            scope[_ACTING] = acting

        async def recorded(status: int) -> None:
            if _unrecorded(asked, acting, status, wanted=_WANTED in scope):
                record = scope["app"].state.services.record
                await run_in_threadpool(record, caller.tenant, acting.ended(str(int(status))))

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                await recorded(message["status"])
            await send(message)

        try:
            _refuse(caller, needed, asked)
        except Problem as refusal:
            await recorded(refusal.status)
            raise
        try:
            await super().handle(scope, receive, told)
        except Exception:
            await recorded(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise


    async def _seen(self, needed: Role, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is recorded with the status of the answer."""
        caller: Caller = scope[_CALLER]
        asked = scope["method"], self.path_format
        query = scope["query_string"].decode("latin-1")
        address = f"{scope['path']}?{query}" if query else scope["path"]
        acting = Acting(caller.name, " ".join(asked), address, scope.get(REQUEST, ""))

        async def recorded(status: int) -> None:
            record = scope["app"].state.services.record
            await run_in_threadpool(record, caller.tenant, acting.ended(str(int(status))))

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                await recorded(message["status"])
            await send(message)

        try:
            _refuse(caller, needed, asked)
        except Problem as refusal:
            await recorded(refusal.status)
            raise
        await super().handle(scope, receive, told)


def _refuse(caller: Caller, needed: Role, asked: tuple[str, str]) -> None:
    """Raise Problem where a caller may not."""
    if needed not in caller.roles:
        held = ", ".join(sorted(caller.roles)) or "none"
        raise Problem(HTTPStatus.FORBIDDEN, f"{asked[0]} {asked[1]}: needs the role {needed}; yours: {held}")
    if asked in OPERATORS and caller.tenant != DEFAULT:
        raise Problem(HTTPStatus.FORBIDDEN, f"{asked[0]} {asked[1]}: tells of all tenants: for who runs this")


def _unrecorded(asked: tuple[str, str], acting: Acting, status: int, *, wanted: bool) -> bool:
    """Whether what came of a request is still to be recorded."""
    if asked in UNRECORDED and not wanted:
        return status in (HTTPStatus.FORBIDDEN, HTTPStatus.INTERNAL_SERVER_ERROR)
    return not acting.committed or status >= HTTPStatus.BAD_REQUEST


def allowed(caller: Caller, method: str, path: str) -> bool:
    """Whether a caller may ask for a route, as the table has it."""
    needed = NEEDED[method, path]
    return needed is None or needed in caller.roles


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
