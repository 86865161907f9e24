"""Pages of lists: every row once, whatever is filtered, and no cursor that the list did not give."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from api.web.paging import Page, _page
from planner.errors import InputError


def page(address: str) -> Page:
    """The page that an address asks for."""
    url = urlsplit(address)
    asked = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    scope = {"type": "http", "path": url.path, "query_string": url.query.encode(), "headers": []}
    return _page(Request(scope), int(asked.get("limit", 50)), asked.get("cursor"))


@given(st.lists(st.text(max_size=8), unique=True, max_size=30), st.integers(1, 7))
def test_every_row_comes_once(names: list[str], limit: int) -> None:
    """Going on from page to page gives all rows in their order; filters stay in the address of the next."""
    address: str | None = f"/v1/things?kind=a%2Fb&limit={limit}"
    seen = list[str]()
    while address is not None:
        some, following = page(address).cut(names, lambda name: name)
        seen += some
        assert following is None or parse_qs(urlsplit(following).query)["kind"] == ["a/b"]
        address = following
    assert seen == names


def test_a_full_page_has_a_next_one() -> None:
    """Where fewer rows came than were asked for there are no more."""
    asked = page("/v1/things?limit=2")
    assert asked.next([9]) is None
    following = asked.next([9, 7])
    assert following is not None
    assert page(following).number == 7
    assert page(page("/v1/things?limit=1").next(["12/a/b"]) or "").numbered == (12, "a/b")


@pytest.mark.parametrize("cursor", ["!", "Zg", "_w", "LTE", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA", "4oCm"])
def test_a_cursor_that_no_list_gave_is_refused(cursor: str) -> None:
    """Not base64, not text, not a number, not a number that there is."""
    with pytest.raises(InputError, match="cursor: not one that this list gave"):
        page(f"/v1/things?cursor={cursor}").number  # noqa: B018 - it raises


def test_a_row_that_is_gone() -> None:
    """The row at the end of the page before was removed meanwhile."""
    following: Any = page("/v1/things?limit=1").next(["a"])
    with pytest.raises(InputError, match="its row is gone"):
        page(following).cut(["b", "c"], lambda name: name)
