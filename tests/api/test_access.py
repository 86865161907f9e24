"""Routes and roles: whoever adds a route says who may ask for it."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter

from api.access import NEEDED, PAGES, Route, all_guarded
from api.app import create_app
from api.roles import ROLES
from api.settings import Settings


def test_every_route_of_the_description_is_in_the_table(tmp_path: Path) -> None:
    """What OpenAPI offers and what the table has are the same, but for the description itself and pages for people."""
    paths = create_app(Settings(data=tmp_path)).openapi()["paths"]
    offered = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert offered == NEEDED.keys() - PAGES.keys() - {("GET", "/openapi.json")}


def test_a_route_without_an_entry_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new route that the table does not have is named."""
    router = APIRouter(route_class=Route)

    @router.get("/v1/new")
    def new() -> None:
        """New."""

    monkeypatch.setattr("api.access.NEEDED", {})
    with pytest.raises(RuntimeError, match="GET /v1/new: served or in the table"):
        all_guarded([router])


def test_a_route_that_asks_for_no_role_does_not_start() -> None:
    """A router without the guarding class is refused, even for a path of the table."""
    router = APIRouter()

    @router.get("/healthz")
    def alive() -> None:
        """Alive."""

    with pytest.raises(TypeError, match="route_class"):
        all_guarded([router])


def test_every_role_may_what_a_viewer_may() -> None:
    """Each role has its own leave and a viewer's; an admin has all."""
    assert all({role, "viewer"} <= held for role, held in ROLES.items())
    assert ROLES["admin"] == set(ROLES)


def test_the_description_is_served(service: Any) -> None:
    """`/openapi.json` needs a role like all else."""
    assert service.http.get("/openapi.json").json()["info"]["title"] == "planner"
