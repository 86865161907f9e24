"""Figures of forecasts in the documents are those that the benchmarks wrote, and say which libraries made them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.machine import describe_machine

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
M4 = ("owa", "msis", "acd", "coverage_p90", "cpu_seconds_per_series", "series")
AZURE = ("wql", "naive", "coverage_p90", "coverage_p99", "poor_p90", "cpu_seconds_per_series")


def measured(name: str) -> dict[str, dict[str, float]]:
    """Figures by method of a file of results."""
    runs = json.loads((RESULTS / f"forecasting-{name}.json").read_text())["runs"]
    return {run["method"]: {**run["figures"], "cpu_seconds_per_series":
                            run["usage"]["cpu_seconds"] / run["figures"]["series"]} for run in runs}


def rows(page: str, *first: str) -> list[list[str]]:
    """Rows of tables on a page whose first cell is one of these."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    return [row for row in cells if row[0] in first and re.match(r"^[0-9.,]+$", row[1])]


def assert_said(row: list[str], figures: list[float]) -> None:
    """Every cell is its figure, rounded to the digits that it has."""
    for said, figure in zip(row[1:], figures, strict=True):
        digits = len(said.partition(".")[2])
        assert said.replace(",", "") == f"{figure:.{digits}f}", (row, figure)


@pytest.fixture(scope="module")
def page() -> str:
    """The section of forecasts of the page of benchmarks."""
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    return text.split("\n## Forecasting\n")[1].split("\n## ")[0]


def test_figures_on_m4_are_those_measured(page: str) -> None:
    """All methods that were measured are in the table, with their errors, coverage and cost."""
    found = measured("m4")
    told = rows(page, *found)
    assert [row[0] for row in told] == list(found)
    for row in told:
        assert_said(row, [found[row[0]][name] for name in M4])


def test_figures_on_azure_are_those_measured(page: str) -> None:
    """Losses and coverage by the hour and by 5 minutes, and what the text says of peers."""
    files = {"by the hour": "azure-hourly", "by 5 minutes": "azure-5min"}
    told = rows(page, *files)
    assert len(told) == 2
    for row in told:
        found = measured(files[row[0]])
        planner, naive = found["planner"], found["seasonal-naive"]["wql"]
        assert_said(row, [*({**planner, "naive": naive}[name] for name in AZURE)])
        assert f"{1 - planner['wql'] / naive:.0%}".replace("%", " %") in page
    for name, peers in (("azure-hourly", ("theta", "mstl", "statsmodels", "prophet")),
                        ("azure-5min-peers", ("prophet", "theta", "statsmodels"))):
        for method in peers:
            assert f"{method} {measured(name)[method]['wql']:.3f}" in " ".join(page.split())


def test_figures_of_many_series_are_those_measured() -> None:
    """CPU time, seconds and memory of each engine."""
    told = rows((ROOT / "docs" / "forecasting.md").read_text(encoding="utf-8"), "processes", "ray")
    assert [row[0] for row in told] == ["processes", "ray"]
    found = json.loads((RESULTS / "forecasting-scale.json").read_text())["rows"]
    for name, *cells, same in told:
        figures = {row["metric"]: row for row in found if row["method"] == f"planner-{name}"}
        cost = figures["cpu_seconds_per_series"]
        assert_said([name, *cells], [1000 * cost["value"], cost["seconds"], cost["peak_mib"]])
        assert figures["same_as_first"]["value"] == 1
        assert same == ("the same bytes" if name != "processes" else "")


def test_figures_of_the_first_use_are_those_measured() -> None:
    """Seconds of the import and of a first forecast, which are within what is aimed at."""
    page = (ROOT / "docs" / "forecasting.md").read_text(encoding="utf-8")
    found = json.loads((RESULTS / "forecasting-first.json").read_text())["rows"]
    told = rows(page, "`forecasting` is imported", "100 such series have been read and forecast, import included")
    for (name, *cells, aim), row in zip(told, found, strict=True):
        assert_said([name, *cells], [row["seconds"], row["cpu_seconds"]])
        assert row["value"] == row["seconds"] < float(aim)


def test_results_name_the_libraries_that_made_them() -> None:
    """Versions of every library that a method of the benchmark is of stand in what it writes."""
    versions = describe_machine()["versions"]
    assert {"lightgbm", "statsforecast", "statsmodels", "prophet", "numba", "numpy", "pandas"} <= set(versions)
