"""The first page in a real browser: the fleet at a glance, live, and small."""

from collections.abc import Callable
from typing import Any

import pytest

from planner.directing.routes import Routes, routes_text

pytestmark = pytest.mark.slow
MOST_BYTES = 300_000


@pytest.fixture(scope="module")
def plan(held: Any, plan_of: Callable[..., Any]) -> str:
    """A plan in force whose two clusters are directed to."""
    made = plan_of("fleet")
    routes = Routes(plan_id=made.plan_id, name=made.name, horizon=made.horizon, workloads={},
                    clusters={name: (name, f"{by}/west", by) for name, by in (("cheap", "aws"), ("dear", "azure"))})
    plan_id: str = held.plan(made, "in_force", {"routes.json": ("application/json", routes_text(routes).encode())})
    return plan_id


@pytest.mark.parametrize("guise", [{}, {"dark": True, "phone": True}], ids=["laptop", "dark phone"])
def test_the_fleet_is_for_everybody(look: Any, plan: str, guise: Any, looked_at: Any) -> None:
    """Nothing against it by axe-core, nothing wider than the screen; the figures that matter are there."""
    window = look(**guise)
    looked_at(window, "/")
    text = window.page.locator("main").inner_text()
    for words in ("SLA attainment", "100 %", "USD 120.50", "Proven gap", "any one cluster", "2 of 2 up", "Alarms"):
        assert words in text


def test_a_lost_cluster_is_seen_at_once(look: Any, served: Any, plan: str) -> None:
    """A cluster that is reported down is shown as that without anybody asking, first, and found by that."""
    page = look().at("/")
    answer = served.http.put("/v1/clusters/dear/health", json={"state": "down", "by": "person", "note": "power"})
    assert answer.status_code == 200, answer.text
    page.locator(".matrix li.down").wait_for()
    assert page.locator(".matrix li a").all_inner_texts() == ["dear", "cheap"]
    page.goto(page.url + "?state=down&provider=azure")
    assert page.locator(".matrix li a").all_inner_texts() == ["dear"]


def test_the_first_page_is_small(served: Any, plan: str) -> None:
    """All that the first page loads is under 300 kB."""
    loaded = ["/", "/assets/report.css", "/assets/pages.css", "/assets/pages.js"]
    assert sum(len(served.http.get(address).content) for address in loaded) < MOST_BYTES
