"""A service with things to show, and a browser that looks at it."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from api.database.tenancy import DEFAULT
from api.life_cycle import steps
from api.life_cycle.lives import Lives
from api.store.files import FLEET, JSON, PARQUET, ROUTES, SUMMARY, WORKLOADS
from api.store.jobs import Kind, Submission
from api.store.store import Store
from planner.directing.routes import Routes, routes_text
from planner.plan import Plan
from planner.report.fleet import fleet_view
from planner.report.page import plan_view
from planner.scenario.model import Cluster, Workload
from planner.workload_list import table_bytes, table_of

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pages are not looked at")

EVIL = "<script>window.owned=1</script><img src=x onerror=window.owned=1>"
Json = dict[str, Any]


def shown(plan: Plan) -> dict[str, tuple[str, bytes]]:
    """What pages show of a plan, as if it had been made of a scenario: kinds, owners and costs by turns."""
    names = sorted({unit.workload for unit in plan.assignments} | {row.workload for row in plan.unplaced})
    kinds, owners = ("etl", "serving", "training"), ("red", "blue")
    workloads = [Workload.model_validate({
        "name": name, "kind": kinds[at % 3], "owner": owners[at % 2], "pipeline": f"pipe-{at % 7}",
        "priority": at % 100, "request": {"vcpu": 1.0, "memory_gib": 1.0}, "replicas": [1]}, strict=False)
        for at, name in enumerate(names)]
    table = table_of(plan, workloads, {name: float(at) for at, name in enumerate(names)}, set())
    pool = {"name": "p", "machine": {"name": "m", "vcpu": 4.0, "memory_gib": 16.0}, "max": 9}
    clusters = [Cluster.model_validate({"name": name, "provider": by, "region": "west", "pools": [pool]}, strict=False)
                for name, by in (("cheap", "aws"), ("dear", "azure"))]
    fleet = fleet_view(plan, clusters, "cluster", {"cheap": 70.5, "dear": 50.0})
    return {SUMMARY: (JSON, json.dumps(plan_view(plan, None)).encode()), FLEET: (JSON, json.dumps(fleet).encode()),
            WORKLOADS: (PARQUET, table_bytes(table))}


class _Nowhere:
    """A queue from which nobody takes."""

    def put(self, connection: Connection, job_id: str, priority: int, *, quick: bool) -> None: ...


@dataclass
class Held:
    """The store of a service, into which things are put as if they had been made."""

    database: str
    _store: Store = field(init=False)

    def __post_init__(self) -> None:
        self._store = Store(self.database, _Nowhere()).of(DEFAULT)

    @property
    def store(self) -> Store:
        return self._store

    def job(self, kind: Kind, name: str, *, running: bool = False, asked: Json | None = None) -> str:
        """A job that waits, or one that somebody works on."""
        job_id = self._store.submit(Submission(name, asked or {}, None, (), "x", kind=kind))
        if running:
            job = self._store.begin(job_id, 3)
            assert job is not None
            self._store.report(job, {"seconds": 3.0, "share": 0.4, "objective": 12.0, "phase": "searching"})
        return job_id

    def failed(self, kind: Kind, name: str, *errors: str) -> str:
        """A job of which nothing came."""
        job_id = self._store.submit(Submission(name, {}, None, (), "x", kind=kind))
        job = self._store.begin(job_id, 3)
        assert job is not None
        self._store.fail(job, list(errors))
        return job_id

    def plan(self, plan: Plan, state: str = "draft", files: dict[str, tuple[str, bytes]] | None = None,
             clusters: tuple[str, ...] = (), given: str = "{}") -> str:
        """A plan that is done, on its way into force up to a state."""
        plan_id = self._store.submit(Submission(plan.name, {}, given, clusters, plan.plan_id))
        job = self._store.begin(plan_id, 3)
        assert job is not None
        routes = Routes(plan_id=plan.plan_id, name=plan.name, horizon=plan.horizon, clusters={}, workloads={})
        made = {ROUTES: (JSON, routes_text(routes).encode())} | shown(plan) | (files or {})
        assert self._store.finish_plan(job, plan, made)
        lives = Lives(self._store.engine)
        for name, step in (("verified", lambda now: steps.verify(now.life, [])),
                           ("approved", lambda now: steps.approve(now.life)),
                           ("in_force", lambda now: steps.put_in_force(now.life, now.fleet, datetime.now(UTC)))):
            if state in ("draft", "applying"):
                break
            lives.change(plan_id, step, "test")
            if name == state:
                break
        return plan_id


@dataclass
class Look:
    """One browser window, and what went wrong in it."""

    page: Any
    origin: str
    wrong: list[str] = field(default_factory=list)

    def at(self, path: str) -> Any:
        """Go to a page of the service."""
        self.page.goto(self.origin + path, wait_until="load")
        return self.page


@cache
def axe() -> str:
    """The script that knows the rules of accessibility."""
    return files("axe_playwright_python").joinpath("axe.min.js").read_text()


def complaints(page: Any) -> list[str]:
    """What axe-core has against a page. It is run beside the page's policy, which lets no script in."""
    page.evaluate(axe())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{rule['id']}: {node['html'][:120]}" for rule in found["violations"] for node in rule["nodes"]]


@pytest.fixture(scope="session")
def looked_at() -> Callable[[Look, str], None]:
    """Looks at a page as everybody may: nothing against it by axe-core, nothing wider than the screen, no name that
    became code. A page that says that there is nothing may be answered with 404.
    """

    def one(window: Look, address: str) -> None:
        page = window.at(address)
        if address.endswith("/nothing"):
            window.wrong = [line for line in window.wrong if "404" not in line]
        assert complaints(page) == [], address
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, address
        assert page.evaluate("window.owned") is None, address

    return one


class Chromium:
    """A browser that is started again where it fell over, as one does on a machine that has too much to do."""

    def __init__(self, kind: Any, program: str) -> None:
        self._kind, self._program = kind, program
        self._now: Any = None

    def new_context(self, **how: Any) -> Any:
        """A window of its own, with nothing kept of others."""
        if self._now is None or not self._now.is_connected():
            self._now = self._kind.launch(executable_path=self._program, args=["--no-sandbox", "--disable-gpu"],
                                          timeout=180_000)
        return self._now.new_context(**how)

    def close(self) -> None:
        """End it, where it is running."""
        if self._now is not None and self._now.is_connected():
            self._now.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """One browser for all tests of a module."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("PLANNER_REQUIRE_DATA"):
            pytest.fail("chromium is not installed, and PLANNER_REQUIRE_DATA is set")
        pytest.skip("chromium is not installed: pages are not looked at")
    with playwright.sync_playwright() as started:
        made = Chromium(started.chromium, found)
        yield made
        made.close()


@pytest.fixture
def look(browser: Any, served: Any) -> Iterator[Callable[..., Look]]:
    """Opens windows; fails where one asked anybody but the service, or something went wrong in its scripts."""
    opened: list[tuple[Any, Look]] = []

    def one(*, dark: bool = False, phone: bool = False, **more: Any) -> Look:
        size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 860}
        context = browser.new_context(viewport=size, color_scheme="dark" if dark else "light", **more)
        context.set_default_timeout(60_000)
        origin = str(served.http.base_url).rstrip("/")
        window = Look(context.new_page(), origin)
        window.page.on("request", lambda request: None if request.url.startswith((origin, "data:"))
                       else window.wrong.append(f"asked {request.url}"))
        window.page.on("pageerror", lambda error: window.wrong.append(f"fault {error}"))
        window.page.on("console", lambda said: window.wrong.append(f"{said.type} {said.text}")
                       if said.type in ("error", "warning") else None)
        opened.append((context, window))
        return window

    yield one
    for context, _ in opened:
        with suppress(playwright.Error):  # its browser fell over
            context.close()
    assert [line for _, window in opened for line in window.wrong] == []


@pytest.fixture(scope="session")
def plan_of() -> Callable[..., Plan]:
    """Makes plans of a name, with what its fields say otherwise."""

    def one(name: str = "tiny", units: int = 3, **fields: Any) -> Plan:
        start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        content: Json = {
            "schema": 1, "name": name, "status": "optimal", "mode": "min_cost", "cost_usd": 120.5,
            "costs": {"machines": 100.0, "egress": 20.5, "storage": 0, "moves": 0, "carbon": 0}, "sla_attainment": 1.0,
            "bound": 120.0, "gap": 0.004, "bound_method": "test", "parent": None,
            "machines": [{"cluster": "cheap", "pool": "p", "purchase": "on_demand", "count": [1, 2, 3, 2]},
                         {"cluster": "dear", "pool": "p", "purchase": "spot", "count": [0, 1, 1, 0]}],
            "reasons": [{"workload": "work-00000", "why": "cheapest of two", "runner_up": "dear/p",
                         "runner_up_extra_usd": 4.5}],
            "fallbacks": [{"lost": "cheap", "workload": "work-00000", "cluster": "dear", "pool": "p"}],
            "horizon": {"start": start.isoformat(), "slots": 4, "slot_minutes": 60},
            "valid_until": (start + timedelta(hours=4)).isoformat(),
            "assignments": [{"workload": f"work-{at:05d}", "cluster": ("cheap", "dear")[at % 2], "pool": "p"}
                            for at in range(units)],
            "groups": [{"cluster": "cheap", "pool": "p", "workloads": ["work-00000", "work-00002"],
                        "sum_of_peaks": 5, "peak_of_sum": 3, "saved_usd": 12.0}],
            "scarce": [{"what": "pool cheap/p: max 3", "price_usd": 1.5}],
        }  # fmt: skip
        return Plan.model_validate(content | fields, strict=False).with_id()

    return one


@pytest.fixture(scope="module")
def served(start: Any, tmp_path_factory: pytest.TempPathFactory, scenarios: Path) -> Iterator[Any]:
    """One service for all tests of a module."""
    running = start(tmp_path_factory.mktemp("pages"), scenarios=scenarios)
    yield running
    running.kill()


@pytest.fixture(scope="module")
def held(served: Any) -> Held:
    """What that service keeps."""
    return Held(served.database)
