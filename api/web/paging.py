"""Lists in pages: so many rows, and where the next ones are."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request

from planner.errors import InputError

Item = TypeVar("Item")
MOST = 1000
_CURSOR = "cursor"
_DIGITS = 18
"""Of numbers that every database holds."""


@dataclass(frozen=True)
class Page:
    """The rows that are asked for: so many, after the one with key `after` (None: from the first)."""

    limit: int
    after: str | None
    address: str
    asked: tuple[tuple[str, str], ...]

    @property
    def number(self) -> int | None:
        """`after` of rows whose keys are numbers. Raises InputError."""
        return None if self.after is None else _number(self.after)

    @property
    def numbered(self) -> tuple[int, str] | None:
        """`after` of rows whose keys are a number, a slash and more. Raises InputError."""
        number, _, more = (self.after or "").partition("/")
        return None if self.after is None else (_number(number), more)

    def next(self, keys: Sequence[object]) -> str | None:
        """Where the rows after those with these keys are; None where these were fewer than asked for."""
        if len(keys) < self.limit:
            return None
        cursor = base64.urlsafe_b64encode(str(keys[-1]).encode()).decode().rstrip("=")
        rest = [(name, value) for name, value in self.asked if name != _CURSOR]
        return f"{self.address}?{urlencode([*rest, (_CURSOR, cursor)])}"

    def cut(self, rows: Sequence[Item], key: Callable[[Item], object]) -> tuple[list[Item], str | None]:
        """The page of all these rows, and where the next is. Raises InputError where the row before it is gone."""
        first = 0
        if self.after is not None:
            keys = [str(key(row)) for row in rows]
            if self.after not in keys:
                raise InputError([_wrong()])
            first = keys.index(self.after) + 1
        found = list(rows[first:first + self.limit])
        return found, self.next([key(row) for row in found]) if first + self.limit < len(rows) else None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        raise InputError([_wrong()])
    return int(text)


def _wrong() -> str:
    return f"{_CURSOR}: not one that this list gave, or its row is gone: begin again without it"


def _page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MOST, description="rows of a page")] = 50,
    cursor: Annotated[str | None, Query(max_length=2000, description="from `next` of the page before")] = None,
) -> Page:
    try:
        after = None if cursor is None else base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        key = None if after is None else after.decode()
    except (binascii.Error, ValueError):
        raise InputError([_wrong()]) from None
    return Page(limit, key, request.url.path, tuple(request.query_params.multi_items()))


PageDep = Annotated[Page, Depends(_page)]
"""The page of a list that is asked for."""
