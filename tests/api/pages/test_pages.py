"""Pages in a real browser: what they show, what they let people do, and that they ask nobody but the service."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

pytestmark = pytest.mark.slow
Json = dict[str, Any]
EVIL = "<script>window.owned=1</script><img src=x onerror=window.owned=1>"


@dataclass
class Shown:
    """Ids of what the service shows."""

    waiting: str
    running: str
    failed: str
    plan: str


@pytest.fixture(scope="module")
def shown(held: Any, plan_of: Callable[..., Any]) -> Shown:
    """Jobs in several states, and a plan whose names try to break out of the page."""
    return Shown(held.job("forecast", EVIL), held.job("plan", "tiny", running=True),
                 held.failed("train", "train", f"no rows: {EVIL}"), held.plan(plan_of(EVIL)))


def addresses(shown: Shown) -> list[str]:
    """Every page, in the states that have most to show."""
    return ["/jobs", "/jobs?kind=forecast&status=queued", f"/jobs/{shown.failed}", f"/jobs/{shown.running}", "/plans",
            "/plans?status=done&state=draft", "/jobs/nothing",
            f"/plans/{shown.plan}"]


@pytest.mark.parametrize("guise", [{}, {"dark": True, "phone": True}], ids=["laptop", "dark phone"])
def test_every_page_is_for_everybody(look: Any, looked_at: Any, shown: Shown, guise: Json) -> None:
    """On a laptop and on a phone, light and dark: nothing against it by axe-core, nothing wider than the screen, no
    name that became code, and nobody asked but the service.
    """
    window = look(**guise)
    for address in addresses(shown):
        looked_at(window, address)


def test_jobs_are_followed_and_cancelled(look: Any, held: Any, shown: Shown) -> None:
    """A job that is asked for meanwhile appears by itself; cancelled with the keyboard alone, it is shown as that."""
    page = look().at("/jobs")
    new = held.job("capacity", "came-later")
    row = page.locator("tr", has=page.locator(f'a[href="/jobs/{new}"]'))
    row.wait_for()
    row.get_by_role("button", name="Cancel").focus()
    page.keyboard.press("Enter")
    row.locator(".status.cancelled").wait_for()
    assert held.store.job(new).status == "cancelled"
    assert page.get_by_role("row", name="40 %").count() == 1


def test_a_filter_is_an_address(look: Any, shown: Shown) -> None:
    """What is chosen stands in the address; that address shows the same again, and nothing else stands in it."""
    page = look().at("/jobs")
    page.get_by_label("Kind").select_option("forecast")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/jobs?kind=forecast")
    kinds = page.locator("#jobs tbody tr td:nth-child(2)").all_inner_texts()
    assert set(kinds) == {"forecast"}
    page.reload()
    assert page.get_by_label("Kind").input_value() == "forecast"
    assert EVIL in page.locator("#jobs").inner_text()


def test_pages_are_walked_by_keyboard(look: Any, shown: Shown) -> None:
    """The first stop skips the menu; every stop after it can be seen, and is reached in the order in which it stands.
    """
    page = look().at("/plans")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.evaluate("document.activeElement.blur()")
    page.goto(page.url.split("#")[0])
    tops, seen = [], 0
    for _ in range(9):
        page.keyboard.press("Tab")
        box = page.evaluate("(() => { const e = document.activeElement, b = e.getBoundingClientRect(); return "
                            "{top: b.top, width: b.width, shown: getComputedStyle(e).outlineStyle !== 'none'}; })()")
        assert box["width"] > 0
        seen += box["shown"]
        tops.append(box["top"])
    assert seen == len(tops)
    assert all(then <= now + 8 for then, now in pairwise(tops[1:]))


def test_changes_need_the_script_and_pages_do_not(look: Any, shown: Shown) -> None:
    """Without JavaScript what is can still be read, and that is said."""
    page = look(java_script_enabled=False).at("/plans")
    assert page.locator("#plans tbody tr").count() >= 1
    assert "Without JavaScript" in page.locator("body").inner_text()


def test_a_plan_is_approved_for_a_reason(look: Any, held: Any, served: Any, plan_of: Callable[..., Any]) -> None:
    """A plan that was checked is approved on its page, with the reason in its history; its charts are drawn, and what
    diagnostics cost is told by kind.
    """
    plan_id = held.plan(plan_of("to-approve", costs_of_diagnostics={"drift_monitor": 3.5, "training": 9.0}), "verified")
    page = look().at(f"/plans/{plan_id}")
    assert page.locator("#machines canvas").count() == 1
    costs = page.locator("section", has=page.get_by_role("heading", name="Cost of diagnostics"))
    assert "drift_monitor\t3.50" in costs.inner_text()
    page.get_by_role("button", name="Approve").click()
    page.get_by_label("Why").fill("looked at it")
    page.get_by_role("dialog").get_by_role("button", name="Approve").click()
    page.locator("#life .status.approved").wait_for()
    page.get_by_text("Steps that were taken").click()
    page.get_by_role("cell", name="looked at it").wait_for()
    assert served.step(plan_id, "retire", {"why": "after all not"}).status_code == 200
    page.get_by_role("cell", name="after all not").wait_for()  # what was opened stays so when it changes


def test_a_step_on_a_plan_that_has_changed_is_not_taken(look: Any, held: Any, served: Any, plan_of: Any) -> None:
    """Whoever decides on what they see is told that it has changed meanwhile, and nothing is changed."""
    plan_id = held.plan(plan_of("moved-on"), "verified")
    window = look()
    page = window.at(f"/plans/{plan_id}")
    page.evaluate("document.querySelectorAll('#life').forEach((part) => part.removeAttribute('data-live'))")
    assert served.step(plan_id, "approve").status_code == 200
    page.get_by_role("button", name="Retire").click()
    page.get_by_label("Why").fill("not wanted")
    page.get_by_role("dialog").get_by_role("button", name="Retire").click()
    page.get_by_text("It has changed meanwhile").wait_for()
    window.wrong = [line for line in window.wrong if "412" not in line]
    assert served.life(plan_id)["state"] == "approved"
