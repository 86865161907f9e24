"""Pages of the service with a large plan in force: what the server takes, how much it sends, and what a browser shows.

    python -m benchmarks.pages [--workloads N] [--slots T] [--requests N] [--seed N] [--json out.json]

The plan is made up, and kept by the service's code as one that it has made (`pages_plan`). Over HTTP: `first page`,
`plan`, `workloads`, `filtered` (a word, a kind and an owner), `sorted` and `last page` of that list: `first_ms` is the
first answer of a service that was started anew, `p50_ms` and `p99_ms` are of `--requests` more, one after another; `kb`
is what the page, its styles and its scripts weigh, without the library of charts. In chromium `plan` and `workloads`:
from asking to rows that can be seen, the plan also to charts that are drawn; `filter`: from the last letter to the rows
that fit, with the pause in which more letters may come.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness import Row
from benchmarks.machine import describe_machine
from benchmarks.pages_plan import keep_plan
from benchmarks.service import show, write
from benchmarks.service_process import Served, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

AIMS = {
    ("first page", "p99_ms"): "<= 200", ("first page", "kb"): "<= 300", ("plan in chromium", "rows_ms"): "<= 1000",
    ("workloads in chromium", "rows_ms"): "<= 1000", ("filter in chromium", "rows_ms"): "<= 300",
}  # fmt: skip
TIMES = 15
"""How often a browser looks."""
CHART = "echarts.min.js"


Found = Iterator[tuple[str, dict[str, tuple[float, str]], Served]]
"""Instance, figures by metric with their unit, and the service that was asked."""


def addresses(plan_id: str) -> dict[str, str]:
    """What is asked for, by its instance."""
    plan = f"/plans/{plan_id}"
    return {"first page": "/", "plan": plan, "workloads": f"{plan}/workloads",
            "filtered": f"{plan}/workloads?q=-0012&kind=etl&owner=team-07",
            "sorted": f"{plan}/workloads?sort=-runner_up_extra_usd", "last page": f"{plan}/workloads?at=100000"}


def over_http(data: Path, plan_id: str, requests: int) -> Found:
    """What the server takes and sends."""
    for name, address in addresses(plan_id).items():
        with serving(data) as served:
            first, *more = [_ask(served, address) for _ in range(requests + 1)]
            page = served.http.get(address).raise_for_status()
            parts = set(re.findall(r'"(/assets/[^"]+)"', page.text)) - {f"/assets/{CHART}"}
            weight = len(page.content) + sum(len(served.http.get(part).content) for part in parts)
            p50, p99 = np.quantile(more, (0.5, 0.99))
            yield name, {"first_ms": (first, "ms"), "p50_ms": (float(p50), "ms"), "p99_ms": (float(p99), "ms"),
                         "kb": (weight / 1000, "kB")}, served


def _ask(served: Served, address: str) -> float:
    """Milliseconds to the whole answer."""
    began = time.perf_counter()
    served.http.get(address).raise_for_status()
    return 1000 * (time.perf_counter() - began)


def in_chromium(data: Path, plan_id: str) -> Found:
    """What somebody sees. Raises RuntimeError without a browser."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if program is None:
        raise RuntimeError("chromium is not installed: leave it out with --without-browser")
    asked = addresses(plan_id)
    with serving(data) as served, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.add_init_script(ROWS)
        rows, drawn = zip(*(_plan(page, served.url + asked["plan"]) for _ in range(TIMES)), strict=True)
        yield "plan in chromium", _middle("rows_ms", rows) | _middle("drawn_ms", drawn), served
        rows = tuple(_seen(page, served.url + asked["workloads"]) for _ in range(TIMES))
        yield "workloads in chromium", _middle("rows_ms", rows), served
        words = [f"-{at:03d}" for at in range(TIMES)]
        yield "filter in chromium", _middle("rows_ms", [float(page.evaluate(FILTER, word)) for word in words]), served
        browser.close()


FILTER = """
async (word) => {
  const field = document.querySelector("input[name=q]"), list = document.getElementById("list");
  const began = performance.now();
  field.value = word;
  field.dispatchEvent(new Event("input", {bubbles: true}));
  await new Promise((done) => {
    const look = () => document.getElementById("list") === list ? requestAnimationFrame(look) : done();
    look();
  });
  return performance.now() - began;
}
"""


ROWS = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("main tbody tr")) return;
  observer.disconnect();
  requestAnimationFrame(() => { window.rowsAt = performance.now(); });
}).observe(document, {childList: true, subtree: true});
"""
"""Notes when rows are painted, whatever the page does afterwards."""


def _plan(page: Page, address: str) -> tuple[float, float]:
    """Milliseconds to rows and to the heat map."""
    rows = _seen(page, address)
    page.wait_for_selector("#heat canvas")
    return rows, float(page.evaluate("performance.now()"))


def _seen(page: Page, address: str) -> float:
    """Milliseconds from asking for a page until its first rows are there, with nothing kept from before."""
    page.context.new_cdp_session(page).send("Network.clearBrowserCache")
    page.goto(address, wait_until="load")
    return float(page.evaluate("window.rowsAt"))


def _middle(metric: str, taken: Any) -> dict[str, tuple[float, str]]:  # noqa: ANN401 - numbers, in any sequence
    return {metric: (statistics.median(taken), "ms"), f"worst_{metric}": (max(taken), "ms")}


def main() -> None:
    """Run the command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--workloads", type=int, default=100_000)
    made.add_argument("--slots", type=int, default=168)
    made.add_argument("--requests", type=int, default=100)
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--without-browser", action="store_true")
    made.add_argument("--json", type=Path, help="where to write the figures, after every instance")
    asked = made.parse_args()
    machine, rows = describe_machine() | {"workloads": asked.workloads, "slots": asked.slots}, list[Row]()
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        plan_id = keep_plan(data, asked.workloads, asked.slots, asked.seed)
        began = time.perf_counter()
        for found in (over_http(data, plan_id, asked.requests),
                      *(() if asked.without_browser else (in_chromium(data, plan_id),))):
            for instance, figures, served in found:
                took, cpu, peak = time.perf_counter() - began, served.cpu_seconds(), served.resident_mib()
                rows += [Row(instance, "planner", metric, round(value, 2), unit, round(took, 2), round(cpu, 2),
                             round(peak, 1)) for metric, (value, unit) in figures.items()]
                began = time.perf_counter()
                if asked.json:
                    write("pages", asked.json, machine, rows)
    show("Pages", rows, AIMS)


if __name__ == "__main__":
    main()
