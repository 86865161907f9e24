"""What really came so far, beside plans small enough to follow by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.actuals import judge
from planner.errors import InputError
from planner.plan import Plan, write_plan
from planner.scenario import read_scenario

SP = "aws-sp/m6i"


@pytest.fixture
def judged(tmp_path: Path, fleet: dict[str, Any], new: Callable[..., dict[str, Any]], plan_of: Callable[..., Plan]
           ) -> Callable[..., dict[str, Any]]:
    """Judges a plan of one workload that wants 2, 4, 8 and 1 replicas, four to a machine, by reports of what came."""

    def one(*reports: str) -> dict[str, Any]:
        fleet["workloads"] = [new("etl", replicas=[2, 4, 8, 1])]
        (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(fleet), encoding="utf-8")
        write_plan(plan_of({"etl": SP}, {(SP, "on_demand"): [1, 1, 2, 1]}), tmp_path / "plan.json")
        tables = [tmp_path / f"demand-{number}.csv" for number in range(len(reports))]
        for path, text in zip(tables, reports, strict=True):
            path.write_text("workload,slot,replicas\n" + text, encoding="utf-8")
        return judge(read_scenario(tmp_path), tmp_path / "plan.json", tables, None, tmp_path)

    return one


def test_only_what_was_reported_counts(judged: Callable[..., Any]) -> None:
    """After two of four slots: errors, misses and cost of these two, whatever is planned for the rest."""
    found = judged("etl,0,2\netl,1,4\n")
    assert (found["slots"], found["of"]) == (2, 4)
    assert found["forecast"] == {"wape": 0.0, "bias": 0.0, "above_plan": 0.0}
    assert found["misses"] == {"asked": 2, "missed": 0, "workloads": {}}
    assert found["machines_usd"]["planned"] == found["machines_usd"]["realised"]
    more = judged("etl,0,2\netl,1,8\n")
    assert more["forecast"] == {"wape": 0.4, "bias": -0.4, "above_plan": 0.5}
    assert more["machines_usd"]["realised"] > more["machines_usd"]["planned"] == found["machines_usd"]["planned"]


def test_the_last_word_counts_and_gaps_end_what_counts(judged: Callable[..., Any]) -> None:
    """A slot that is reported again is as said last; behind a slot that is missing nothing counts yet."""
    assert judged("etl,0,9\n", "etl,0,2\n")["forecast"]["wape"] == 0.0
    assert judged("etl,0,2\n", "etl,2,8\n")["slots"] == 1
    assert judged("etl,2,8\netl,0,2\n", "etl,1,4\netl,3,1\n")["slots"] == 4


@pytest.mark.parametrize(("report", "says"), [
    ("etl,1,4\n", "slot 0: no row of etl yet"), ("elt,0,4\n", "workload: elt: not in the scenario: did you mean etl?"),
    ("etl,9,4\n", "the horizon has slots 0 to 3"), ("etl,0,-1\n", "a whole number of at least 0"),
])
def test_what_makes_no_sense_is_named(judged: Callable[..., Any], report: str, says: str) -> None:
    """A first slot that is missing, other names, other slots and odd numbers."""
    with pytest.raises(InputError, match=says):
        judged(report)
