"""Diagnostics and models in a real browser: found, marked as right or false, compared, promoted and rolled back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diagnostics.store import ModelStore, NewVersion

pytestmark = pytest.mark.slow
HYBRID = Path(__file__).resolve().parents[3] / "examples" / "hybrid"


def registered(store: ModelStore, number: int, parent: str | None) -> str:
    """One more version."""
    made = NewVersion("mixed-disk", f"{number:064d}", "rows.parquet", "code", "0" * 64, {"number": number},
                      {"relative_error": 0.1 * number}, parent=parent)
    return store.register(made, f"file {number}".encode(), "trainer", "made for a test").id


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A store of models with two candidates."""
    folder = tmp_path_factory.mktemp("store") / "models"
    store = ModelStore(folder)
    first = registered(store, 1, None)
    second = registered(store, 2, first)
    store.close()
    return folder, first, second


@pytest.fixture(scope="module")
def served(start: Any, tmp_path_factory: pytest.TempPathFactory, versions: Any) -> Iterator[Any]:
    """A service with telemetry and models."""
    running = start(tmp_path_factory.mktemp("diagnosed"), telemetry=HYBRID / "telemetry.parquet", models=versions[0])
    assert running.http.get("/v1/diagnostics/clusters", timeout=180).status_code == 200
    yield running
    running.kill()


def test_an_alarm_is_called_false(look: Any, served: Any) -> None:
    """A cluster in alarm shows why, what to do and its metric drawn; who looks after it, and what it was called, stand
    there at once, for everybody who looks.
    """
    page = look().at("/diagnostics?status=alarm")
    page.get_by_role("list", name="Clusters").get_by_role("link").first.click()
    page.locator("article.alarm").first.wait_for()
    assert page.get_by_role("heading", name="Why, probably").count() >= 1
    assert page.get_by_role("heading", name="What to do").count() >= 1
    page.locator(".chart canvas").first.wait_for()
    other = look().at(page.url.removeprefix(look().origin))
    page.get_by_role("button", name="I look after it").first.click()
    for window in (page, other):
        window.get_by_text("Looked after by local").first.wait_for()
    page.locator("article.alarm summary").first.click()
    page.get_by_role("button", name="Right onprem-ashburn").first.click()
    people = page.get_by_role("region", name="What people said")
    people.get_by_role("cell", name="right", exact=True).first.wait_for()
    before = len(served.http.get("/v1/alarms/feedback").json()["feedback"])
    page.get_by_role("button", name="False alarm").first.click()
    people.get_by_role("cell", name="false", exact=True).first.wait_for()
    said = served.http.get("/v1/alarms/feedback").json()["feedback"]
    assert len(said) == before  # of one person the last word on an alarm counts
    assert said[-1]["verdict"] == "false_positive"


def test_clusters_are_found_by_status_hardware_and_model(look: Any, served: Any) -> None:
    """What is chosen stands in the address; drift is told by month, hardware class and model."""
    page = look().at("/diagnostics")
    every = page.get_by_role("list", name="Clusters").get_by_role("link").all_inner_texts()
    page.get_by_label("Hardware").select_option("mixed-disk")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/diagnostics?hardware=mixed-disk")
    found = page.get_by_role("list", name="Clusters").get_by_role("link").all_inner_texts()
    assert 0 < len(found) < len(every)
    page.get_by_role("heading", name="Drift by hardware class and model").wait_for()


def test_a_version_is_promoted_compared_and_rolled_back(look: Any, served: Any, versions: Any) -> None:
    """Each step with a reason, which history shows with who took it; two that are chosen stand side by side, and are
    measured on the same rows when that is asked for.
    """
    _, first, second = versions
    page = look().at("/models")
    for name in (first, second):
        page.get_by_role("button", name=f"Promote {name}").click()
        page.get_by_label("Why").last.fill(f"{name} is better")
        page.get_by_role("dialog").get_by_role("button", name="Promote").click()
        page.get_by_role("row", name=f"local promote {name}").get_by_text(f"{name} is better").wait_for()
    page.get_by_role("button", name="Roll back mixed-disk").click()
    page.get_by_label("Why").last.fill("floods us")
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    page.get_by_role("row", name="local rollback").get_by_text("floods us").wait_for()
    assert served.http.get(f"/v1/models/{second}").json()["stage"] == "retired"
    for name in (first, second):
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("button", name="Compare those chosen").click()
    page.get_by_role("heading", name="Parameters that differ").wait_for()
    page.get_by_role("button", name="Measure them on the same rows").click()
    page.get_by_text("Measured by").wait_for()
    page.get_by_role("link", name=second).first.click()
    assert page.get_by_role("heading", name="Lineage").count() == 1


@pytest.mark.parametrize("guise", [{}, {"dark": True, "phone": True}], ids=["laptop", "dark phone"])
def test_diagnoses_and_models_are_for_everybody(look: Any, looked_at: Any, served: Any, versions: Any, guise: Any
                                                ) -> None:
    """Fleet, one cluster, models, one model and two compared, on a laptop and on a phone."""
    served.http.get("/v1/diagnostics/clusters", timeout=180)  # pages look again until it is there
    window, (_, first, second) = look(**guise), versions
    for address in ("/diagnostics", "/diagnostics?hardware=mixed-disk", "/diagnostics/onprem-ashburn", "/models",
                    f"/models/{second}", f"/models/compare?version={first}&version={second}"):
        looked_at(window, address)
