"""The list of a plan's workloads: what is filtered, sorted and turned is what a plain loop over its rows gives."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.plan import Plan
from planner.scenario.model import Workload
from planner.workload_list import SORTS, Wanted, WorkloadList, table_bytes, table_of

KINDS, OWNERS, CLUSTERS = ("etl", "serving"), ("red", "blue", None), ("north", "south", "west")


def plan_with(names: list[str], **fields: Any) -> Plan:
    """A plan of one unit a workload, by turns on each cluster, and of a second one on the next for every third."""
    units = [{"workload": name, "copy": copy, "cluster": CLUSTERS[(at + copy) % 3], "pool": "p"}
             for at, name in enumerate(names) for copy in range(2 if at % 3 == 0 else 1)]
    content: dict[str, Any] = {
        "name": "made", "status": "optimal", "mode": "min_cost", "cost_usd": 1.0, "costs": {}, "sla_attainment": 1.0,
        "bound": 1.0, "gap": 0.0, "assignments": units, "machines": []}
    return Plan.model_validate(content | fields, strict=False)


def list_of(names: list[str], usd: dict[str, float], **fields: Any) -> WorkloadList:
    workloads = [Workload.model_validate({
        "name": name, "kind": KINDS[at % 2], "owner": OWNERS[at % 3], "priority": at % 5, "pipeline": f"pipe-{at % 4}",
        "request": {"vcpu": 1.0, "memory_gib": 1.0}, "replicas": [1]}, strict=False) for at, name in enumerate(names)]
    return WorkloadList.of(table_bytes(table_of(plan_with(names, **fields), workloads, usd, {names[-1]})))


NAMES = st.lists(st.text("abC1.+%", min_size=1, max_size=5).map(lambda text: f"w{text}"), min_size=1, max_size=20,
                 unique=True)


@settings(deadline=None)  # the first call loads what lists are read with
@given(names=NAMES, data=st.data())
def test_what_is_asked_for_is_what_a_loop_finds(names: list[str], data: st.DataObject) -> None:
    """Search, filters, sort and page together give what going through all rows by hand gives."""
    usd = {name: float(data.draw(st.integers(0, 3))) for name in names}
    found = list_of(names, usd)
    every, total = found.rows(Wanted(), 0, 1000)
    assert total == len(names) == len(found)
    assert [row["workload"] for row in every] == sorted(names, key=lambda name: (-usd[name], name))
    wanted = Wanted(
        search=data.draw(st.sampled_from(["", "a", "A", "+", "%", "pipe-1"])),
        kind=data.draw(st.sampled_from(["", "etl"])),
        owner=data.draw(st.sampled_from(["", "red", "(none)"])), cluster=data.draw(st.sampled_from(["", *CLUSTERS])),
        standing=data.draw(st.sampled_from(["", "attained", "missed"])),
        sort=data.draw(st.sampled_from(["", "-"])) + data.draw(st.sampled_from(SORTS[:-1])))
    kept = [row for row in every
            if (wanted.search.lower() in row["workload"].lower() or wanted.search in row["pipeline"])
            and all(not value or row[column] == value for column, value in (
                ("kind", wanted.kind), ("owner", wanted.owner), ("standing", wanted.standing)))
            and (not wanted.cluster or wanted.cluster in row["clusters"])]
    kept.sort(key=lambda row: row["workload"])
    kept.sort(key=lambda row: row[wanted.sort.removeprefix("-")], reverse=wanted.sort.startswith("-"))
    first, most = data.draw(st.integers(0, 5)), data.draw(st.integers(1, 5))
    assert found.rows(wanted, first, most) == (kept[first:first + most], len(kept))


def test_one_workload_has_its_groups_and_its_fallbacks() -> None:
    """Beside the row of the list, one workload tells whom it shares with and where it goes after a loss."""
    groups = [{"cluster": "north", "pool": "p", "workloads": ["a", "b"], "sum_of_peaks": 3, "peak_of_sum": 2,
               "saved_usd": 1.0}]
    fallbacks = [{"lost": "north", "workload": "a", "copy": 1, "cluster": "west", "pool": "p"}]
    found = list_of(["a", "b", "c"], {}, groups=groups, fallbacks=fallbacks)
    one = found.one("a")
    assert one is not None
    assert (one["groups"], one["places"]) == ([0], ["north/p", "south/p"])
    assert one["fallbacks"] == [{"lost": "north", "user_region": None, "copy": 1, "place": "west/p"}]
    assert found.one("z") is None
    assert [row["workload"] for row in found.rows(Wanted(group=0), 0, 9)[0]] == ["a", "b"]


def test_what_has_no_place_is_said_with_the_reason() -> None:
    """A workload that is nowhere, or misses an objective, is found by that."""
    found = list_of(["a", "b"], {}, unplaced=[{"workload": "a", "reasons": ["no room", "too far"]}])
    (row,), total = found.rows(Wanted(standing="not_placed"), 0, 9)
    assert (row["workload"], row["why"], total) == ("a", "no room; too far", 1)
    assert found.rows(Wanted(standing="missed"), 0, 9)[0][0]["workload"] == "b"


def test_a_column_that_is_not_sorted_by_is_refused() -> None:
    """The message names those that are."""
    with pytest.raises(InputError, match="sort: -colour: allowed are usd, workload"):
        Wanted(sort="-colour")


def test_a_list_is_read_without_pandas(tmp_path: Path) -> None:
    """A service that is asked for a list first does not wait for pandas, however it is filtered."""
    names = [f"w{at}" for at in range(9)]
    made = table_of(plan_with(names), [Workload.model_validate({
        "name": name, "kind": "etl", "request": {"vcpu": 1.0, "memory_gib": 1.0}, "replicas": [1]}, strict=False)
        for name in names], {}, set())
    (tmp_path / "list.parquet").write_bytes(table_bytes(made))
    asked = """
import sys
from pathlib import Path
from planner.workload_list import Wanted, WorkloadList
found = WorkloadList.of(Path(sys.argv[1]).read_bytes())
for wanted in (Wanted(), Wanted("w1", "etl", "(none)", "north", "attained", 0, "-usd"), Wanted(sort="owner")):
    found.rows(wanted, 0, 5)
found.one("w1")
print("pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", asked, tmp_path / "list.parquet"], capture_output=True, text=True,
                          check=True)
    assert done.stdout == "False\n"
