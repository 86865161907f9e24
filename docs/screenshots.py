"""Take the pictures of pages that the README shows, of the example `hybrid`: python -m docs.screenshots

It serves the example from an empty folder, plans it, puts the plan in force, asks one what-if, and looks at the pages
with chromium. Run it from the folder of the project when pages have changed, and look at what it made.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks.service_process import Served, serving

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
HYBRID = ROOT / "examples" / "hybrid"
SIZE = {"width": 1100, "height": 720}
PLAN_S, READ_S = 60, 600
CHANGES = ["demand serving:+40%", "remove-cluster aws-ireland"]


def main() -> None:
    """Serve, plan, look."""
    found = shutil.which("chromium")
    if found is None:
        sys.exit("chromium is not installed: it takes the pictures")
    PICTURES.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        started = stack.enter_context(sync_playwright())
        hybrid = _of_this_week(Path(folder) / "scenarios" / "hybrid")
        served = stack.enter_context(serving(Path(folder) / "data", scenarios=hybrid.parent, niceness=0,
                                             telemetry=HYBRID / "telemetry.parquet", watch={"scenario": str(hybrid)}))
        plan_id = _in_force(served)
        asked = {"scenario": "hybrid", "changes": CHANGES, "against": "in_force", "time_limit_s": PLAN_S}
        what_if = _job(served, {"kind": "what_if", "request": asked})
        served.http.get("/v1/diagnostics/clusters", timeout=READ_S).raise_for_status()
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        for name, (address, part) in {
            "fleet": ("/", None), "plan": (f"/plans/{plan_id}", "#heat"),
            "what-if": (f"/what-if/{what_if}", None), "diagnostics": ("/diagnostics/onprem-ashburn", "article.alarm"),
        }.items():
            _take(page, served.url + address, PICTURES / f"{name}.png", part)
        browser.close()


def _of_this_week(folder: Path) -> Path:
    """The example as if it began on Monday: a plan of a week that is over is not put in force."""
    shutil.copytree(HYBRID, folder)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    file, monday = folder / "scenario.yaml", today - timedelta(days=today.weekday())
    file.write_text(re.sub(r"start: [^,}]+", f"start: {monday:%Y-%m-%dT%H:%M:%SZ}", file.read_text(), count=1))
    return folder


def _in_force(served: Served) -> str:
    """Id of the plan of the example, checked, approved and put in force."""
    asked = served.http.post("/v1/plans", json={"scenario": "hybrid", "time_limit_s": PLAN_S}).raise_for_status()
    plan_id = str(served.ended(asked.json()["id"])["id"])
    for step, state in (("verify", "verified"), ("approve", "approved"), ("apply", "applying")):
        address = f"/v1/plans/{plan_id}/{step}"
        headers = {"If-Match": served.http.get(f"/v1/plans/{plan_id}/life-cycle").headers["ETag"]}
        served.http.post(address, json={"why": "looked at it"}, headers=headers).raise_for_status()
        while served.http.get(f"/v1/plans/{plan_id}/life-cycle").json()["state"] not in (state, "in_force"):
            time.sleep(0.1)
    return plan_id


def _job(served: Served, body: Mapping[str, Any]) -> str:
    """Id of a job that is done."""
    job_id = str(served.http.post("/v1/jobs", json=body).raise_for_status().json()["id"])
    while (state := served.http.get(f"/v1/jobs/{job_id}").json())["status"] in ("queued", "running"):
        time.sleep(0.1)
    if state["status"] != "done":
        raise RuntimeError(f"{body['kind']}: {state['errors']}")
    return job_id


def _take(page: Page, address: str, file: Path, part: str | None) -> None:
    """One picture, of the top of a page or from some part of it on."""
    page.goto(address, wait_until="load")
    if part is not None:
        page.locator(part).evaluate("part => part.closest('section').scrollIntoView()")
    page.wait_for_timeout(500)
    page.screenshot(path=file)


if __name__ == "__main__":
    main()
