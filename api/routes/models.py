"""Versions of diagnostics models: who serves, how they compare, promoted and rolled back, by whom and when."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.access import CallerDep, Route
from api.context import Service, ServiceDep
from api.description.shapes import ComparedModels, Model, ModelChange, ModelHistory, ModelList
from api.web.paging import PageDep
from api.web.problems import Problem

if TYPE_CHECKING:
    from diagnostics.store import ModelStore

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=Route)

Hardware = Annotated[str | None, Query(description="a hardware class, family:NAME or all; left out: every one")]


class Change(BaseModel):
    """Why somebody changes who serves, and who serves as far as they know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    why: str = Field(min_length=1, max_length=1000)
    expect: str | None = Field(None, description="who serves now, none for nobody: refused if it is another by then; "
                                                 "left out: whoever serves when this comes in")


class Rollback(Change):
    """Which hardware goes back, and to what."""

    hardware: str = Field(description="a hardware class, family:NAME or all")
    to: str = Field("last-known-good", description="last-known-good, or a version")


@contextmanager
def store_of(service: Service) -> Iterator[ModelStore]:
    """The store; what it refuses is a problem: 404 for what is not there, 409 for what cannot be done now. A database
    that is away is told as one is everywhere.
    """
    from diagnostics.store import NoModelError, StoreAwayError, StoreError, UnknownVersionError

    try:
        yield service.diagnoses.models
    except (UnknownVersionError, NoModelError) as error:
        raise Problem(HTTPStatus.NOT_FOUND, str(error)) from error
    except StoreAwayError as error:
        raise (error.__cause__ or error) from None
    except StoreError as error:
        raise Problem(HTTPStatus.CONFLICT, str(error)) from error


@router.get("", response_model=None, responses={200: {"model": ModelList}})
def list_models(service: ServiceDep, page: PageDep, hardware: Hardware = None) -> dict[str, Any]:
    """All versions, the oldest first: stage, who serves, figures, lineage."""
    with store_of(service) as store:
        versions, following = page.cut(store.versions(hardware), lambda version: version.id)
        found = [version.to_dict() for version in versions]
    rows = [{name: value for name, value in one.items() if name != "trials"} for one in found]
    return {"models": rows, "next": following}


@router.get("/compare", response_model=None, responses={200: {"model": ComparedModels}})
def compare_models(
    service: ServiceDep,
    version: Annotated[list[str], Query(description="two or more; the first is compared with")],
    kind: Annotated[Literal["validation", "shadow"], Query(description="by which losses")] = "validation",
) -> dict[str, Any]:
    """Versions side by side: parameters and figures that differ, and what chance does not explain."""
    from diagnostics.store.compare import compare

    with store_of(service) as store:
        return compare(store, version, kind).to_dict()


@router.get("/history", response_model=None, responses={200: {"model": ModelHistory}})
def history(service: ServiceDep, page: PageDep, hardware: Hardware = None) -> dict[str, Any]:
    """Who changed what, when and why; the oldest first."""
    with store_of(service) as store:
        numbered, following = page.cut(list(enumerate(store.history(hardware), 1)), lambda row: row[0])
    return {"history": [asdict(event) for _, event in numbered], "next": following}


@router.post("/rollback", response_model=None, responses={200: {"model": ModelChange}})
def rollback(body: Rollback, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Let an earlier stable version serve again; what came to serve after it is retired."""
    with store_of(service) as store:
        return asdict(store.rollback(body.hardware, body.to, caller.name, body.why, body.expect))


@router.get("/{version}", response_model=None, responses={200: {"model": Model}})
def get_model(version: str, service: ServiceDep) -> dict[str, Any]:
    """One version with everything that was tried beside it, by an id or how it alone begins."""
    with store_of(service) as store:
        return store.version(version).to_dict()


@router.post("/{version}/promote", response_model=None, responses={200: {"model": ModelChange}})
def promote(version: str, body: Change, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Let a candidate serve, unless it got worse on a scenario; who served stays stable, the last known good."""
    from diagnostics import lifecycle

    with store_of(service) as store:
        serving = store.serving(store.version(version).made.hardware)
        now = serving.id if serving else None
        expected = now if body.expect is None else None if body.expect == "none" else body.expect
        return asdict(lifecycle.promote(store, version, expected, caller.name, body.why))
