"""Signing in with a key, and out again."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, RedirectResponse

from api.access import REQUEST, Caller, caller_of
from api.database.recording import Deed
from api.pages.shell import HEADERS, page, page_router
from api.security.authentication import Doorkeeper
from api.security.sessions import COOKIE, LASTS_S, SCOPE, own_origin
from api.web.problems import Problem

router = page_router()

FIRST: Final = "/"
"""Where people go who signed in without wanting a page."""
_MOST_BYTES = 4_096


@router.get("/sign-in")
def sign_in(request: Request, then: str = FIRST) -> Response:
    """Asks for a key."""
    return page(request, "sign_in.html.j2", then=_inside(then), wrong="")


@router.post("/sign-in")
async def signed_in(request: Request) -> Response:
    """Begins a session, or says that the key is none."""
    own_origin(request.headers)
    content = await request.body()
    if len(content) > _MOST_BYTES:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a key and an address are shorter than {_MOST_BYTES} bytes")
    try:
        given = {name: values[0] for name, values in parse_qs(content.decode("latin-1"), max_num_fields=8).items()}
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"form: {error}") from None
    then, key = _inside(given.get("then", FIRST)), given.get("key", "").strip()
    if not key:
        return page(request, "sign_in.html.j2", HTTPStatus.UNPROCESSABLE_ENTITY, then=then, wrong="key: needed")
    try:
        session, caller = await run_in_threadpool(_doorkeeper(request).sign_in, key,
                                                  request.client.host if request.client else "")
    except Problem as problem:
        if problem.status != HTTPStatus.UNAUTHORIZED:
            raise
        return page(request, "sign_in.html.j2", HTTPStatus.UNAUTHORIZED, then=then, wrong=problem.detail)
    await run_in_threadpool(_recorded, request, caller, "sign in")
    answer = RedirectResponse(then, HTTPStatus.SEE_OTHER, HEADERS)
    answer.set_cookie(COOKIE, session.cookie, max_age=int(LASTS_S), path="/", httponly=True, samesite="strict",
                      secure=_by_https(request))
    return answer


@router.post("/sign-out")
def signed_out(request: Request) -> Response:
    """Ends the session."""
    session = request.scope.get(SCOPE)
    if session is not None:
        _doorkeeper(request).sign_out(session)
        _recorded(request, caller_of(request), "sign out")
    answer = JSONResponse({}, headers=HEADERS)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=_by_https(request))
    return answer


def _by_https(request: Request) -> bool:
    """Whether the browser came by https: it says so itself, also where something before this service speaks it."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")


def _recorded(request: Request, caller: Caller, action: str) -> None:
    deed = Deed(caller.name, action, request.url.path, request_id=request.scope.get(REQUEST, ""))
    request.app.state.services.record(caller.tenant, deed)


def _inside(then: str) -> str:
    """An address of this service; the first page instead of any other."""
    parts = urlsplit(then)
    inside = then.startswith("/") and not then.startswith(("//", "/\\")) and not parts.netloc and then.isprintable()
    return then if inside else FIRST


def _doorkeeper(request: Request) -> Doorkeeper:
    found = request.app.state.doorkeeper
    assert isinstance(found, Doorkeeper)
    return found
