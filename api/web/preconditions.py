"""What a request expects to find (RFC 9110): tags of states, and the answer where things have changed meanwhile."""

from __future__ import annotations

from http import HTTPStatus

from api.web.problems import Problem

COMPRESSED = '-gzip"'
"""How the tag of a compressed answer ends: its bytes are others than those of the plain one."""


def tag(version: str) -> str:
    """A strong entity tag."""
    return f'"{version}"'


def expect(if_match: str | None, version: str) -> None:
    """Raise Problem unless If-Match names this version: 428 where there is none, 412 where it is stale."""
    current = tag(version)
    if if_match is None:
        detail = "If-Match: missing: send the ETag of what this step is to change, so that nothing new is overlooked"
        raise Problem(HTTPStatus.PRECONDITION_REQUIRED, detail, headers={"ETag": current})
    if not {current, "*"} & set(_named(if_match)):
        detail = f"If-Match: {if_match}: it has changed meanwhile; look at it again: its ETag is now {current}"
        raise Problem(HTTPStatus.PRECONDITION_FAILED, detail, headers={"ETag": current})


def none_match(if_none_match: str | None, current: str) -> bool:
    """Whether If-None-Match names the tag of what there is: the client has it."""
    known = set() if if_none_match is None else {one.removeprefix("W/") for one in _named(if_none_match)}
    return bool({current, "*"} & known)


def _named(header: str) -> list[str]:
    """The tags in a header, as those of what is not compressed."""
    return [part.strip().replace(COMPRESSED, '"') for part in header.split(",")]
