"""Scenarios: sent, kept version by version, compared, retired. Plans and other jobs refer to them by name."""

from __future__ import annotations

import codecs
import json
import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from api.access import CallerDep, Route
from api.archives import GZIP, ZIP, packed, unpack
from api.context import Service, ServiceDep
from api.scenarios import AT, MAIN, NOWHERE, Scenarios, sent_scenarios
from api.store.files import JSON
from api.store.scenarios import NAME, AmbiguousError, FullError, Sent, SentScenarios, UsedError, VersionRow, Versions
from api.web.bodies import parsed
from api.web.paging import PageDep
from api.web.preconditions import expect, tag
from api.web.problems import Problem, unknown
from planner.errors import InputError

router = APIRouter(prefix="/v1/scenarios", tags=["scenarios"], route_class=Route)

YAML = "application/yaml"
YAML_BYTES = 2**20
"""Of a file of YAML, whose values take up to 210 times their length while they are read."""
TYPES = {JSON: JSON, YAML: YAML, "application/x-yaml": YAML, "text/yaml": YAML, ZIP: ZIP, GZIP: GZIP,
         "application/x-gzip": GZIP}
"""What a scenario may be sent as, and what that is here."""
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {
    JSON: {"schema": {"type": "object"}}, YAML: {"schema": {"type": "string"}}, ZIP: _BINARY, GZIP: _BINARY}}}
_CONTENT: dict[int | str, dict[str, Any]] = {200: {
    "description": "the scenario", "content": {JSON: {"schema": {"type": "object"}}, ZIP: _BINARY}}}
_VERSION = "3f6c0e9d5b7a41c28e90d1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6"
_EXAMPLE: dict[str, Any] = {
    "name": "medical", "version": _VERSION, "reference": f"medical@{_VERSION}", "at": "2026-11-02T08:00:00.000Z",
    "by": "ann", "why": "two more clusters", "media_type": JSON, "bytes": 18_204, "clusters": 12, "workloads": 80,
    "slots": 24, "retired_at": None, "retired_by": None}

Name = Annotated[str, InPath(max_length=200, description="name of the scenario, as it says itself")]
Version = Annotated[str, InPath(pattern="^[0-9a-f]{8,64}$", description="a version, or its first eight letters")]


class ScenarioVersion(BaseModel):
    """One version of a scenario that was sent."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    name: str
    version: str = Field(description="SHA-256 of the content; layout, comments and defaults do not change it")
    reference: str = Field(description="what jobs may name as their scenario")
    at: str = Field(description="when it was sent last")
    by: str
    why: str
    media_type: str = Field(description="application/json, or application/zip of a folder")
    bytes: int
    clusters: int
    workloads: int
    slots: int
    retired_at: str | None
    retired_by: str | None


class ScenarioState(BaseModel):
    """A scenario that jobs may name."""

    model_config = ConfigDict(json_schema_extra={"example": {
        "name": "medical", "origin": "sent", "versions": 3, "retired": 1, "newest": _EXAMPLE}})

    name: str
    origin: Literal["folder", "sent"] = Field(description="folder: one of the service's own, which is changed there")
    versions: int = Field(description="0 of a folder, which is read anew each time")
    retired: int
    newest: ScenarioVersion | None = Field(description="what the plain name means; null of a folder, or where all are "
                                           "retired")


class ScenarioList(BaseModel):
    """Scenarios by name."""

    model_config = ConfigDict(json_schema_extra={"example": {"scenarios": [
        {"name": "medical", "origin": "sent", "versions": 3, "retired": 1, "newest": _EXAMPLE}], "next": None}})

    scenarios: list[ScenarioState]
    next: str | None = Field(description="address of the scenarios after these; null when there are none")


class ScenarioVersionList(BaseModel):
    """Versions of a scenario, the newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"versions": [_EXAMPLE], "next": None}})

    versions: list[ScenarioVersion]
    next: str | None = Field(description="address of the versions after these; null when there are none")


class ScenarioChange(BaseModel):
    """A field that differs."""

    path: str = Field(description="what has a name stands under its name: workloads.web.replicas")
    before: Any = Field(description="null where it is not there; of long lists of numbers how many, mean and peak")
    after: Any


class ScenarioDifference(BaseModel):
    """What differs between two versions."""

    model_config = ConfigDict(json_schema_extra={"example": {
        "before": "3f6c0e9d", "after": "a1b2c3d4", "changes": [
            {"path": "clusters.dublin.pools.general.max", "before": 40, "after": 60}], "next": None}})

    before: str
    after: str
    changes: list[ScenarioChange]
    next: str | None = Field(description="address of the changes after these; null when there are none")


@router.post("", status_code=HTTPStatus.CREATED, response_model=ScenarioVersion, openapi_extra=_BODY,
             responses={200: {"model": ScenarioVersion, "description": "the newest version is this one already"}})
async def send_scenario(
    request: Request,
    response: Response,
    service: ServiceDep,
    caller: CallerDep,
    why: Annotated[str, Query(max_length=1000, description="what has changed, for the history")] = "",
    if_match: Annotated[str | None, Header(description="ETag of the scenario: only if nobody sent another version "
                                           "meanwhile")] = None,
    content_type: Annotated[str | None, Header()] = None,
) -> ScenarioVersion:
    """Send a scenario: its fields as JSON or YAML, or its folder with all tables as a zip or a gzipped tar. It is kept
    under its own name as the newest version; the same content again is the same version. It is read as a plan would be
    made of it, and refused with every mistake in it.
    """
    kind = TYPES.get((content_type or "").split(";")[0].strip().lower())
    if kind is None:
        detail = f"Content-Type: {content_type or 'missing'}: a scenario is {', '.join(dict.fromkeys(TYPES.values()))}"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    with tempfile.TemporaryFile(prefix="planner-scenario-") as body:
        async for piece in request.stream():
            body.write(piece)
        body.seek(0)
        found, new = await run_in_threadpool(_keep, service, kind, body, (caller.name, why), if_match)
    assert found.newest is not None
    response.status_code = HTTPStatus.CREATED if new else HTTPStatus.OK
    response.headers["Location"] = f"/v1/scenarios/{found.name}/versions/{found.newest.version}"
    response.headers["ETag"] = tag(found.state)
    return _version(found.newest)


@router.get("", response_model=ScenarioList)
def list_scenarios(service: ServiceDep, page: PageDep) -> ScenarioList:
    """Scenarios that jobs may name, by name: those in the service's folder and those that were sent."""
    held = Scenarios.of(service.settings, service.store)
    folders = held.folders
    names, following = page.cut(held.names(), lambda name: name)
    return ScenarioList(scenarios=[_state(held, name, folders) for name in names], next=following)


@router.get("/{name}", response_model=ScenarioState)
def get_scenario(name: Name, service: ServiceDep, response: Response) -> ScenarioState:
    """A scenario and its newest version; the `ETag` is what `If-Match` of the next version names."""
    held = Scenarios.of(service.settings, service.store)
    folders = held.folders
    if name not in folders:
        response.headers["ETag"] = tag(_there(held.sent, name).state)
    return _state(held, name, folders)


@router.get("/{name}/versions", response_model=ScenarioVersionList)
def list_versions(name: Name, service: ServiceDep, page: PageDep) -> ScenarioVersionList:
    """Versions of a scenario that was sent, the newest first, retired ones too."""
    sent = sent_scenarios(service.settings, service.store)
    _there(sent, name)
    rows = sent.history(name, page.limit, page.number)
    return ScenarioVersionList(versions=[_version(row) for row in rows], next=page.next([row.seq for row in rows]))


@router.get("/{name}/versions/{version}", response_model=ScenarioVersion)
def get_version(name: Name, version: Version, service: ServiceDep) -> ScenarioVersion:
    """One version: who sent it, when and why, and how much there is in it."""
    return _version(_found(sent_scenarios(service.settings, service.store), name, version))


@router.get("/{name}/versions/{version}/content", response_class=Response, responses=_CONTENT)
def get_content(name: Name, version: Version, service: ServiceDep) -> Response:
    """The scenario itself: its fields as JSON, or its folder as a zip where it was sent as a folder."""
    sent = sent_scenarios(service.settings, service.store)
    row = _found(sent, name, version)
    return Response(sent.content(row), media_type=row.media_type)


@router.get("/{name}/versions/{version}/diff/{other}", response_model=ScenarioDifference)
def compare_versions(name: Name, version: Version, other: Version, service: ServiceDep, page: PageDep
                     ) -> ScenarioDifference:
    """What changes from a version to another one, field by field."""
    from planner.scenario.difference import changes  # pandas: the service answers before it is loaded

    held = Scenarios.of(service.settings, service.store)
    old, new = _found(held.sent, name, version), _found(held.sent, name, other)
    with tempfile.TemporaryDirectory(prefix="planner-scenarios-") as folder:
        found = changes(held.read_version(old, Path(folder)), held.read_version(new, Path(folder)))
    some, following = page.cut(found, lambda change: change.path)
    return ScenarioDifference(before=old.version, after=new.version, next=following,
                              changes=[ScenarioChange(**vars(change)) for change in some])


@router.post("/{name}/versions/{version}/retire", response_model=ScenarioVersion)
def retire_version(name: Name, version: Version, service: ServiceDep, caller: CallerDep) -> ScenarioVersion:
    """Let nothing new be asked of a version; what was made of it stays, and so does the version. Sending the same
    content again brings it back.
    """
    sent = sent_scenarios(service.settings, service.store)
    sent.retire(_found(sent, name, version), caller.name)
    return _version(_found(sent, name, version))


@router.delete("/{name}/versions/{version}", status_code=HTTPStatus.NO_CONTENT)
def remove_version(name: Name, version: Version, service: ServiceDep) -> None:
    """Remove a version that no job refers to."""
    sent = sent_scenarios(service.settings, service.store)
    try:
        sent.remove(_found(sent, name, version))
    except UsedError as job:
        detail = f"scenario {name}: version {version}: job {job} refers to it: retire it instead"
        raise Problem(HTTPStatus.CONFLICT, detail) from None


def _keep(service: Service, kind: str, body: IO[bytes], said: tuple[str, str], if_match: str | None
          ) -> tuple[Versions, bool]:
    sent = _read(kind, body, *said)
    if sent.name in Scenarios.of(service.settings, service.store).folders:
        detail = f"scenario {sent.name}: a folder of the service has that name: change it there, or name this otherwise"
        raise Problem(HTTPStatus.CONFLICT, detail)

    def expected(there: Versions) -> None:
        if if_match is not None:
            expect(if_match, there.state)

    try:
        return sent_scenarios(service.settings, service.store).add(sent, expected)
    except FullError as held:
        detail = (f"scenarios: {held} bytes are kept, and this one has {len(sent.content)}: limits.scenario_bytes is "
                  f"{service.settings.limits.scenario_bytes}: remove versions that nobody needs")
        raise Problem(HTTPStatus.INSUFFICIENT_STORAGE, detail) from None


def _read(kind: str, body: IO[bytes], by: str, why: str) -> Sent:
    """The scenario in a body, checked as for a plan. Raises InputError."""
    from planner.catalog import builtin_catalog
    from planner.resolve import resolve
    from planner.scenario import parse_scenario, read_scenario

    with tempfile.TemporaryDirectory(prefix="planner-scenarios-") as name:
        if kind in (ZIP, GZIP):
            unpack(kind, body, MAIN, Path(name))
            _check_yaml(Path(name))
            try:
                scenario, kind, kept = read_scenario(Path(name)), ZIP, packed(Path(name))
            except InputError as error:  # where it was unpacked is nothing to whoever sent it
                raise InputError([problem.replace(f"{name}/", "") for problem in error.problems]) from None
        else:
            fields = _fields(kind, body.read())
            scenario, kind, kept = parse_scenario(fields, NOWHERE, "scenario"), JSON, _text(fields)
        resolve(scenario, builtin_catalog())
    if not NAME.fullmatch(scenario.name):
        allowed = "letters, digits, '.', '_' and '-' only, 100 at most: it stands in addresses"
        raise InputError([f"name: {scenario.name!r}: {allowed}"])
    return Sent(scenario.name, scenario.source_sha256, kind, kept, by, why, len(scenario.clusters),
                len(scenario.workloads), scenario.horizon.slots)


def _check_yaml(folder: Path) -> None:
    """Raise Problem for more YAML than memory bears."""
    for path in sorted(folder.rglob("*.y*ml")):
        _check_length(path.relative_to(folder).as_posix(), path.stat().st_size)


def _check_length(what: str, size: int) -> None:
    if size > YAML_BYTES:
        detail = f"{what}: {size:,} bytes of YAML: at most {YAML_BYTES:,} are read"
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{detail}: put long lists into tables, or send JSON")


def _fields(kind: str, content: bytes) -> dict[str, Any]:
    from planner.scenario.yaml_file import parse_yaml

    if kind == JSON:
        found = parsed(content.removeprefix(codecs.BOM_UTF8))
    else:
        _check_length("body", len(content))
        try:
            found = parse_yaml(content.decode("utf-8-sig"), "body")
        except UnicodeDecodeError as error:
            raise InputError([f"body: byte {error.start} is not UTF-8 text"]) from None
    if not isinstance(found, dict):
        raise InputError(["body: a mapping of fields is needed: name: ..., horizon: ..."])
    return found


def _text(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


def _state(held: Scenarios, name: str, folders: list[str]) -> ScenarioState:
    if name in folders:
        return ScenarioState(name=name, origin="folder", versions=0, retired=0, newest=None)
    there = held.sent.of(name)
    newest = None if there.newest is None else _version(there.newest)
    return ScenarioState(name=name, origin="sent", versions=there.count, retired=there.retired, newest=newest)


def _there(sent: SentScenarios, name: str) -> Versions:
    """What there is under a name. Raises Problem where nothing is."""
    found = sent.of(name)
    if not found.count:
        raise unknown("scenario", name, sent.names())
    return found


def _found(sent: SentScenarios, name: str, version: str) -> VersionRow:
    """A version. Raises Problem where there is none, or several begin so."""
    try:
        row = sent.find(name, version)
    except AmbiguousError:
        detail = f"scenario {name}: version {version}: several begin so: more of its letters are needed"
        raise Problem(HTTPStatus.CONFLICT, detail) from None
    if row is None:
        _there(sent, name)
        detail = f"scenario {name}: version {version}: not known; GET /v1/scenarios/{name}/versions lists them"
        raise Problem(HTTPStatus.NOT_FOUND, detail)
    return row


def _version(row: VersionRow) -> ScenarioVersion:
    fields = {name: getattr(row, name) for name in ScenarioVersion.model_fields if name != "reference"}
    return ScenarioVersion(**fields, reference=f"{row.name}{AT}{row.version}")
