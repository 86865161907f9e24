"""What jobs made, in a real browser: asked for on a page, followed while it is made, shown when it is there."""

import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
Json = dict[str, Any]
LIMIT_S = 120


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks of hourly demand of one workload."""
    file = tmp_path_factory.mktemp("history") / "shop.csv"
    rows = [f"2026-10-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z,shop,{20 + (hour % 24) + hour % 5}"
            for hour in range(14 * 24)]
    file.write_text("\n".join(["ts,workload,value", *rows]))
    return file


@pytest.fixture(scope="module")
def answers(served: Any, held: Any) -> dict[str, str]:
    """Ids of an answer that is there, of one that waits and of one that failed."""
    body = {"scenario": "small", "changes": ["demand claims-etl:+100%", "remove-cluster dear", "max cheap/general:=9"],
            "time_limit_s": 5}
    asked = served.http.post("/v1/jobs", json={"kind": "pareto", "request": {
        "scenario": "small", "points": 2, "time_limit_s": 3}})
    assert asked.status_code == 202, asked.text
    impossible = served.http.post("/v1/jobs", json={"kind": "what_if", "request": body})
    assert impossible.status_code == 202, impossible.text
    return {"pareto": asked.json()["id"], "what_if": impossible.json()["id"],
            "waiting": held.job("capacity", "waits"), "failed": held.failed("forecast", "bad", "no series")}


@pytest.mark.soak
def test_a_what_if_is_asked_and_answered(look: Any, answers: dict[str, str]) -> None:
    """A mistake in a change is told in the form with the nearest name; mended, the answer appears by itself with both
    plans, drawn and as tables; asked again, the form is as it was.
    """
    window = look()
    page = window.at("/what-if?scenario=small")
    page.get_by_label("Demand").fill("claims:+40%")
    page.get_by_role("button", name="Suppose").click()
    page.get_by_role("alert").get_by_text("did you mean claims-etl").wait_for()
    window.wrong = [line for line in window.wrong if "422" not in line]
    page.get_by_label("Demand").fill("claims-etl:+40%\nfront:x2")
    page.get_by_label("Seconds").fill("30")
    page.get_by_role("button", name="Suppose").click()
    page.get_by_role("heading", name="Figures").wait_for(timeout=1000 * LIMIT_S)
    page.locator(".chart canvas").nth(1).wait_for()
    assert page.get_by_role("row", name="cost USD").count() == 1
    page.get_by_role("link", name="its job").click()
    page.get_by_role("region", name="Log").get_by_text("attempt 1 of what_if").wait_for()
    page.go_back()
    asked = page.locator("section", has=page.get_by_role("heading", name="What was asked")).inner_text()
    assert "Time limit\n30 s" in asked
    assert "_" not in asked
    page.get_by_role("link", name="Change it and ask again").click()
    assert page.get_by_label("Demand").input_value() == "claims-etl:+40%\nfront:x2"


@pytest.mark.soak
def test_a_file_is_forecast(look: Any, history: Path) -> None:
    """A file of this computer is sent, forecast and drawn as a fan, with the scores of its past."""
    page = look().at("/forecasts")
    page.get_by_label("File").set_input_files(history)
    page.get_by_label("Ahead").last.fill("24h")
    page.get_by_role("button", name="Forecast a file").click()
    page.get_by_role("heading", name="Back-test by series").wait_for(timeout=1000 * LIMIT_S)
    page.locator("#fan0 canvas").wait_for()
    assert "shop.csv" in page.get_by_role("heading", level=1).inner_text()


def test_it_is_asked_how_long_room_lasts(look: Any, looked_at: Any) -> None:
    """A scenario that names no history is answered too: when its pools run out, and what that rests on."""
    window = look(phone=True)
    page = window.at("/capacity?scenario=small")
    page.get_by_label("Days").fill("60")
    page.get_by_role("button", name="Look").click()
    page.get_by_role("heading", name="To be known").wait_for(timeout=1000 * LIMIT_S)
    looked_at(window, page.url.removeprefix(window.origin))


@pytest.mark.parametrize("guise", [{}, {"dark": True, "phone": True}], ids=["laptop", "dark phone"])
def test_every_answer_is_for_everybody(look: Any, served: Any, answers: dict[str, str], looked_at: Any, guise: Json
                                       ) -> None:
    """Pages that ask and pages that answer, of what is there, what waits and what failed, on a laptop and a phone."""
    give_up = time.monotonic() + LIMIT_S
    while any(served.http.get(f"/v1/jobs/{answers[kind]}").json()["status"] in ("queued", "running")
              for kind in ("pareto", "what_if")):
        assert time.monotonic() < give_up
        time.sleep(0.1)
    window = look(**guise)
    page = window.at("/what-if")
    assert page.get_by_role("region", name="Asked so far").evaluate("part => part.scrollWidth <= part.clientWidth")
    for address in ("/what-if?scenario=small&change=demand+a:x2&against=in_force", "/forecasts", "/capacity",
                    "/price-of-nines", f"/price-of-nines/{answers['pareto']}", f"/what-if/{answers['what_if']}",
                    f"/capacity/{answers['waiting']}", f"/forecasts/{answers['failed']}"):
        looked_at(window, address)
