"""The benchmark of pages: its plan is shown as the service's own, and every page that is asked for is measured."""

from pathlib import Path

from benchmarks.pages import addresses
from benchmarks.pages_plan import keep_plan
from benchmarks.service_process import serving


def test_a_plan_that_is_made_up_is_shown_as_any(tmp_path: Path) -> None:
    """Every page of the benchmark is there, and has what it should: figures, a heat map, rows, and fewer by a filter.
    """
    plan_id = keep_plan(tmp_path / "data", 400, 24, 1)
    with serving(tmp_path / "data") as served:
        pages = {name: served.http.get(address).raise_for_status().text
                 for name, address in addresses(plan_id).items()}
    assert "SLA attainment" in pages["first page"]
    assert 'id="heat"' in pages["plan"]
    rows = {name: page.count("<tr>") - 1 for name, page in pages.items()}
    assert (rows["workloads"], rows["sorted"], rows["last page"]) == (100, 100, 0)
    assert rows["filtered"] < 100
