"""What goes wrong when a service is asked: its problems (RFC 9457) by kind, and no answer at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

    from planner.client.results import JobState, PlanState


class ServiceError(Exception):
    """An answer that is not the one asked for. `errors` has one line for each mistake in what was sent, `more` what
    else the problem says.
    """

    def __init__(self, status: int, detail: str, errors: tuple[str, ...] = (), more: Mapping[str, Any] | None = None
                 ) -> None:
        super().__init__(f"{status} {_title(status)}: {detail}")
        self.status, self.detail, self.errors, self.more = status, detail, errors, dict(more or {})


class InvalidError(ServiceError):
    """What was sent cannot be (400, 413, 422)."""


class UnknownCallerError(ServiceError):
    """No key or token, or one that is not valid (401)."""


class NotAllowedError(ServiceError):
    """The caller lacks the role (403)."""


class NotFoundError(ServiceError):
    """There is nothing of that name (404)."""


class ConflictError(ServiceError):
    """Not possible in the state that things are in (409)."""


class StaleError(ServiceError):
    """Things are not as the caller thinks; `more` has how they are (412, 428)."""


class TooManyRequestsError(ServiceError):
    """The caller has asked too often, also after waiting as told (429)."""


class UnavailableError(ServiceError):
    """The service, or what a request needs of it, is not there now, also after waiting (502, 503, 504)."""


class UnreachableError(Exception):
    """No answer came. A request that changes something, and had no key, may have been carried out."""


class NotDoneError(Exception):
    """A job that was waited for ended without a result; `state` says how and why."""

    def __init__(self, state: JobState | PlanState) -> None:
        super().__init__(f"{state.id}: {state.status}: {'; '.join(state.errors) or 'no reason given'}")
        self.state = state


KINDS: Mapping[int, type[ServiceError]] = {
    400: InvalidError, 401: UnknownCallerError, 403: NotAllowedError, 404: NotFoundError, 409: ConflictError,
    412: StaleError, 413: InvalidError, 422: InvalidError, 428: StaleError, 429: TooManyRequestsError,
    502: UnavailableError, 503: UnavailableError, 504: UnavailableError,
}  # fmt: skip


def problem_of(response: httpx.Response) -> ServiceError:
    """The error that an answer is; also of something in between that does not answer in problem details."""
    try:
        body = json.loads(response.content)
    except ValueError:
        body = None
    if not isinstance(body, dict) or "detail" not in body:
        body = {"detail": response.text[:200] or "no more is said"}
    more = {name: value for name, value in body.items() if name not in ("type", "title", "status", "detail", "errors")}
    kind = KINDS.get(response.status_code, ServiceError)
    return kind(response.status_code, str(body["detail"]), tuple(map(str, body.get("errors", ()))), more)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no status that is known"
