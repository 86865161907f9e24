"""The sets of root causes: storms are what they say, and cases are read from folders as from archives."""

import tarfile
from pathlib import Path

import pytest

from benchmarks import diagnostics_attribution, diagnostics_petshop, diagnostics_storm

CASE = "min,cluster,device,value,cnt\n" + "".join(
    f"{minute},{cluster},{device},{value},100\n" for minute in (0, 60, 120) for cluster in "abc" for device in "xy"
    for value in [40 if minute == 120 and cluster == "b" else 2])


def told(_text: str) -> None:
    """Say nothing."""


def test_a_storm_has_a_thousand_alarms_from_five_faults_and_the_same_seed_gives_it_again() -> None:
    """Events without doubles count 1,000; every fault has alarms, all kinds differ."""
    storm = diagnostics_storm.draw(5)
    assert len(storm.events) == 1050
    assert set(storm.fault.values()) == {-1, 0, 1, 2, 3, 4}
    assert len(set(storm.faults)) == 5
    assert diagnostics_storm.draw(5) == storm


def test_faults_of_a_storm_are_found() -> None:
    """One storm nobody tuned on: 5 to 10 super alarms, each fault named first."""
    rows, _ = diagnostics_storm.measure(Path(), ["59"], ["planner"], 77, told)
    figures = {row.metric: row.value for row in rows if row.instance == "all"}
    assert 5 <= figures["super_alarms"] <= 10
    assert figures["first_right"] >= 0.8
    assert figures["no_fault_lost"] == 1


def test_attribution_cases_are_read_from_folders_and_archives(tmp_path: Path) -> None:
    """Both give the same figures; what is not there is named."""
    folder, packed = tmp_path / "folder", tmp_path / "packed"
    for path in (folder, packed):
        path.mkdir()
    (folder / "one_7.csv").write_text(CASE)
    (folder / "anomaly.yaml").write_text("- {data: one_7, timestamp: 120, cause: {cluster: b}}\n")
    with tarfile.open(packed / "rs_multidim_x.tar.xz", "w:xz") as archive:
        for path in folder.iterdir():
            archive.add(path, f"./data/{path.name}")
    for data in (folder, packed):
        rows, _ = diagnostics_attribution.measure(data, [], ["planner"], 1, told)
        assert {row.value for row in rows} == {1.0}
    with pytest.raises(ValueError, match="no case two; found: one_7"):
        diagnostics_attribution.measure(folder, ["two"], ["planner"], 1, told)
    with pytest.raises(ValueError, match="found: none"):
        diagnostics_petshop.measure(folder, [], ["planner"], 1, told)


def test_petshop_is_ranked_alike_under_permuted_columns(shared: Path) -> None:
    """On the real targets both permutations of a run give the same, and the cause is first in most."""
    rows, _ = diagnostics_petshop.measure(shared / "data" / "diagnostics", [], ["planner"], 3, told)
    figures = {row.metric: row.value for row in rows if row.instance == "all"}
    assert figures["same_permuted"] == 1
    assert figures["top1"] >= 0.6
    assert figures["top3"] >= 0.9
