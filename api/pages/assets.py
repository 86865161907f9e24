"""Styles and scripts: those of the pages, and those that they share with the reports."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Final

from starlette.responses import Response

from api.pages.shell import HEADERS, page_router
from api.web.problems import Problem

router = page_router()

_OURS, _SHARED = ("api.pages", "static"), ("planner.report", "templates")
CSS, SCRIPT = "text/css", "text/javascript"
ASSETS: Final[dict[str, tuple[str, str, str]]] = {
    "report.css": (*_SHARED, CSS),
    "drawing.js": (*_SHARED, SCRIPT),
    "charts.js": (*_SHARED, SCRIPT),
    "forecast.js": (*_SHARED, SCRIPT),
    "capacity.js": (*_SHARED, SCRIPT),
    "suppose.js": (*_SHARED, SCRIPT),
    "curve.js": (*_SHARED, SCRIPT),
    "diagnosis.js": (*_SHARED, SCRIPT),
    "echarts.min.js": ("planner.report", "vendor", SCRIPT),
    "pages.css": (*_OURS, CSS),
    "pages.js": (*_OURS, SCRIPT),
}
"""Package, folder and type of each file that is served."""


@router.get("/assets/{name}")
def asset(name: str) -> Response:
    """A style or a script."""
    if name not in ASSETS:
        raise Problem(HTTPStatus.NOT_FOUND, f"/assets/{name}: nothing is served here")
    return Response(_content(name), media_type=ASSETS[name][2], headers=HEADERS)


@cache
def _content(name: str) -> bytes:
    package, folder, _ = ASSETS[name]
    return files(package).joinpath(folder).joinpath(name).read_bytes()
