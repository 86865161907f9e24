"""Diagnostics and models in a real browser: found, marked as right or false, compared, promoted and rolled back."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from diagnostics.store import ModelStore, NewVersion

pytestmark = pytest.mark.slow
TELEMETRY = Path(__file__).resolve().parents[3] / "examples" / "hybrid" / "telemetry.parquet"
CALM_UNTIL = pd.Timestamp("2026-11-01T12:00Z")
"""Its only alarms come later."""


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
def telemetry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of telemetry, as it was before anything was wrong."""
    file = tmp_path_factory.mktemp("telemetry") / "telemetry.parquet"
    rows = pd.read_parquet(TELEMETRY)
    rows[pd.to_datetime(rows["ts"], utc=True) < CALM_UNTIL].to_parquet(file)
    return file


def goes_on(telemetry: Path) -> None:
    """More telemetry is there, and something is wrong; files are put in place whole."""
    shutil.copy(TELEMETRY, telemetry.with_suffix(".new"))
    telemetry.with_suffix(".new").replace(telemetry)


@pytest.fixture(scope="module")
def served(start: Any, tmp_path_factory: pytest.TempPathFactory, versions: Any, telemetry: Path) -> Iterator[Any]:
    """A service with telemetry and models."""
    running = start(tmp_path_factory.mktemp("diagnosed"), telemetry=telemetry, models=versions[0])
    yield running
    running.kill()


@pytest.fixture(scope="module")
def wrong(served: Any, telemetry: Path) -> Any:
    """That service, once something is wrong."""
    goes_on(telemetry)
    assert served.http.get("/v1/diagnostics/clusters", timeout=180).status_code == 200
    return served


def stays(page: Any) -> None:
    """Mark a page, so that it is known whether it was loaded again."""
    page.evaluate("window.stayed = true")


def test_an_alarm_is_seen_as_it_comes(look: Any, served: Any, telemetry: Path) -> None:
    """Who looks while telemetry goes wrong sees the alarm and its metric drawn, in the list of clusters and on the page
    of the cluster, without loading it again; what was chosen meanwhile stays chosen.
    """
    window = look()
    page, other = window.at("/diagnostics"), look().at("/diagnostics/onprem-ashburn")
    for one in (page, other):
        one.locator("#found").wait_for()  # until then it is another page: that the telemetry is being read
        one.wait_for_load_state()
        stays(one)
    assert page.locator(".matrix li.alarm").count() == other.locator("article.alarm").count() == 0
    page.get_by_role("combobox", name="Hardware").select_option("mixed-disk")
    goes_on(telemetry)
    page.locator(".matrix li.alarm", has_text="onprem-ashburn").wait_for()
    other.locator("article.alarm").first.wait_for()
    other.locator(".chart canvas").first.wait_for()
    assert page.evaluate("window.stayed") is other.evaluate("window.stayed") is True
    assert page.get_by_role("combobox", name="Hardware").input_value() == "mixed-disk"


def says(page: Any, button: str, note: str = "") -> None:
    """Say something of an alarm, with a note or without."""
    page.get_by_role("button", name=button).first.click()
    page.get_by_label("Note").fill(note)
    page.get_by_role("dialog").get_by_role("button").first.click()


def test_an_alarm_is_called_false(look: Any, wrong: Any) -> None:
    """A cluster in alarm shows why, what to do and its metric drawn; who looks after it, and what it was called, stand
    there at once with their notes, for everybody who looks.
    """
    page = look().at("/diagnostics?status=alarm")
    page.get_by_role("list", name="Clusters").get_by_role("link").first.click()
    page.locator("article.alarm").first.wait_for()
    assert page.get_by_role("heading", name="Why, probably").count() >= 1
    assert page.get_by_role("heading", name="What to do").count() >= 1
    page.locator(".chart canvas").first.wait_for()
    other = look().at(page.url.removeprefix(look().origin))
    says(page, "I look after it", "disk ordered")
    for window in (page, other):
        window.get_by_text("Looked after by local: disk ordered.").first.wait_for()
    page.locator("article.alarm summary").first.click()
    says(page, "Right onprem-ashburn")
    people = page.get_by_role("region", name="What people said")
    people.get_by_role("cell", name="right", exact=True).first.wait_for()
    assert page.locator("article.alarm details").first.get_attribute("open") is not None
    before = len(wrong.http.get("/v1/alarms/feedback").json()["feedback"])
    says(page, "False alarm", "a test of ours")
    people.get_by_role("cell", name="a test of ours").first.wait_for()
    said = wrong.http.get("/v1/alarms/feedback").json()["feedback"]
    assert len(said) == before  # of one person the last word on an alarm counts
    assert (said[-1]["verdict"], said[-1]["note"]) == ("false_positive", "a test of ours")


def test_clusters_are_found_by_status_hardware_and_model(look: Any, wrong: Any) -> None:
    """What is chosen stands in the address; drift is told by month, hardware class and model."""
    page = look().at("/diagnostics")
    every = page.get_by_role("list", name="Clusters").get_by_role("link").all_inner_texts()
    page.get_by_role("combobox", name="Hardware").select_option("mixed-disk")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/diagnostics?hardware=mixed-disk")
    found = page.get_by_role("list", name="Clusters").get_by_role("link").all_inner_texts()
    assert 0 < len(found) < len(every)
    page.get_by_role("heading", name="Drift by hardware class and model").wait_for()


def test_a_version_is_promoted_compared_and_rolled_back(look: Any, served: Any, versions: Any) -> None:
    """Each step with a reason, which history shows with who took it; two that are chosen stand side by side, and are
    measured on the same rows when that is asked for. Who looks meanwhile sees who serves, and what they chose stays.
    """
    _, first, second = versions
    page, other = look().at("/models"), look().at("/models")
    stays(other)
    other.get_by_label(f"Compare {first}").check()
    for name in (first, second):
        page.get_by_role("button", name=f"Promote {name}").click()
        page.get_by_label("Why").last.fill(f"{name} is better")
        page.get_by_role("dialog").get_by_role("button", name="Promote").click()
        page.get_by_role("row", name=f"local promote {name}").get_by_text(f"{name} is better").wait_for()
    other.get_by_role("row", name=second).get_by_text("serves", exact=True).wait_for()
    other.get_by_role("row", name=f"local promote {second}").wait_for()
    assert other.evaluate("window.stayed") is True
    assert other.get_by_label(f"Compare {first}").is_checked()
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
def test_diagnoses_and_models_are_for_everybody(look: Any, looked_at: Any, wrong: Any, versions: Any, guise: Any
                                                ) -> None:
    """Fleet, one cluster, models, one model and two compared, on a laptop and on a phone."""
    wrong.http.get("/v1/diagnostics/clusters", timeout=180)  # pages show one that is being made once it is there
    window, (_, first, second) = look(**guise), versions
    for address in ("/diagnostics", "/diagnostics?hardware=mixed-disk", "/diagnostics/onprem-ashburn", "/models",
                    f"/models/{second}", f"/models/compare?version={first}&version={second}"):
        looked_at(window, address)
