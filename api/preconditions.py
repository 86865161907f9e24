"""What a request expects to find (RFC 9110): tags of states, and the answer where things have changed meanwhile."""

from __future__ import annotations

from http import HTTPStatus

from api.problems import Problem


def tag(version: str) -> str:
    """A strong entity tag."""
    return f'"{version}"'


def named(header: str) -> list[str]:
    """The tags in an If-Match or If-None-Match, without the mark of a compressed answer."""
    return [part.strip().replace('-gzip"', '"') for part in header.split(",") if part.strip()]


def expect(if_match: str | None, version: str) -> None:
    """Raise Problem unless If-Match names this version: 428 where there is none, 412 where it is stale."""
    current = tag(version)
    if if_match is None:
        detail = "If-Match: missing: send the ETag of what this step is to change, so that nothing new is overlooked"
        raise Problem(HTTPStatus.PRECONDITION_REQUIRED, detail, headers={"ETag": current})
    given = named(if_match)
    if current not in given and given != ["*"]:
        detail = f"If-Match: {if_match}: it has changed meanwhile; look at it again: its ETag is now {current}"
        raise Problem(HTTPStatus.PRECONDITION_FAILED, detail, headers={"ETag": current})
