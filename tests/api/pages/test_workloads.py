"""Workloads of a plan in a real browser: found, filtered and sorted by address, and why each is where it is."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow
MANY = 350


@pytest.fixture(scope="module")
def plan(held: Any, plan_of: Callable[..., Any]) -> str:
    """A plan of several pages of workloads, one of which has no place."""
    lost = [{"workload": "nowhere", "reasons": ["no pool has a machine that fits"]}]
    plan_id: str = held.plan(plan_of("many", MANY, unplaced=lost, sla_attainment=0.99))
    return plan_id


def names(page: Any) -> list[str]:
    found: list[str] = page.locator("#list tbody td:first-child a").all_inner_texts()
    return found


@pytest.mark.parametrize("guise", [{}, {"dark": True, "phone": True}], ids=["laptop", "dark phone"])
def test_lists_and_workloads_are_for_everybody(look: Any, plan: str, guise: Any, looked_at: Any) -> None:
    """The list, those found in it, and the page of a workload: nothing against them by axe-core, nothing too wide."""
    window = look(**guise)
    for address in ("?at=4&sort=workload&q=work-00", "?group=0", "/work-00000", "/nowhere"):
        looked_at(window, f"/plans/{plan}/workloads{address}")


def test_workloads_are_found_as_one_types(look: Any, plan: str) -> None:
    """What is typed and chosen narrows the list at once and stands in the address, which shows the same again."""
    page = look().at(f"/plans/{plan}/workloads")
    assert len(names(page)) == 100
    page.get_by_label("Name").type("K-0012")
    page.wait_for_url("**/workloads?q=K-0012")
    page.get_by_label("Owner").select_option("red")
    page.wait_for_url("**/workloads?q=K-0012&owner=red")
    found = names(page)
    assert set(found) == {f"work-0012{digit}" for digit in (1, 3, 5, 7, 9)}
    page.reload()
    assert names(page) == found
    assert page.get_by_label("Owner").input_value() == "red"


def test_workloads_are_sorted_and_turned_page_by_page(look: Any, plan: str) -> None:
    """A heading sorts, says so to screen readers, and is kept from page to page, until the last."""
    page = look().at(f"/plans/{plan}/workloads")
    page.get_by_role("link", name="Workload", exact=True).click()
    page.wait_for_url("**/workloads?sort=workload")
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Workload")
    assert names(page)[0] == "nowhere"
    page.get_by_role("link", name="Last").click()
    page.wait_for_url("**at=4**")
    assert names(page)[-1] == f"work-{MANY - 1:05d}"
    assert page.get_by_text(f"301–{MANY + 1} of {MANY + 1}").count() == 1


def test_a_workload_says_why_it_is_there_and_with_whom(look: Any, plan: str) -> None:
    """Its reason, the next best place, where it goes when its cluster is lost, and those who share its machines."""
    page = look().at(f"/plans/{plan}/workloads/work-00000")
    text = page.locator("main").inner_text()
    assert "cheapest of two" in text
    assert "The next best place is dear/p, for USD 4.50 more." in text
    assert page.get_by_role("region", name="Fallbacks").get_by_role("cell", name="dear/p").count() == 1
    page.get_by_role("link", name="2 workloads").click()
    page.wait_for_url("**/workloads?group=0")
    assert sorted(names(page)) == ["work-00000", "work-00002"]


def test_what_has_no_place_says_why(look: Any, plan: str) -> None:
    """A workload without a place is found by that, with the reason."""
    page = look().at(f"/plans/{plan}/workloads?standing=not_placed")
    assert names(page) == ["nowhere"]
    assert "no pool has a machine that fits" in page.locator("#list").inner_text()


def test_a_sort_that_is_not_there_is_told(look: Any, plan: str) -> None:
    """An address that asks for the wrong thing is answered with what is allowed."""
    window = look()
    page = window.at(f"/plans/{plan}/workloads?sort=colour")
    assert "sort: colour: allowed are usd, workload" in page.locator("main").inner_text()
    window.wrong = [line for line in window.wrong if "422" not in line]


def test_the_page_of_a_plan_that_is_made_changes_by_itself(look: Any, served: Any) -> None:
    """Who waits for a plan sees it once it is done, with its heat map; why a workload is not elsewhere is computed."""
    plan_id = served.ask().json()["id"]
    page = look().at(f"/plans/{plan_id}")
    page.locator("#heat canvas").first.wait_for()
    page.get_by_role("link", name="3 workloads").click()
    page.get_by_role("link", name="claims-etl").click()
    page.get_by_role("link", name="What every other place would cost").click()
    page.get_by_role("cell", name="dear / general").wait_for()


