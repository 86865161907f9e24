"""What changes from one plan to another, and how people read it."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from planner.cli import run
from planner.diff import Route, diff
from planner.diff_view import markdown, sentence, terminal_view
from planner.plan import Assignment, Costs, Fallback, Plan, PlanHorizon, Unplaced, write_plan

PlanOf = Callable[..., Plan]


def unit(workload: str, place: str, copy: int = 0, region: str | None = None, start: int | None = None) -> Assignment:
    """One unit in cluster/pool."""
    cluster, pool = place.split("/")
    return Assignment(workload=workload, user_region=region, copy=copy, cluster=cluster, pool=pool, start_slot=start)


def two(plan_of: PlanOf, old: list[Assignment], new: list[Assignment], **after: Any) -> tuple[Plan, Plan]:
    """Two plans that differ in their units and in what `after` says."""
    plan = plan_of({}, {("a/x", "on_demand"): [1, 3, 2, 0]})
    plan = plan.model_copy(update={"horizon": PlanHorizon(slots=4), "cost_usd": 6.0, "costs": Costs(machines=6.0)})
    return (plan.model_copy(update={"assignments": tuple(old)}),
            plan.model_copy(update={"assignments": tuple(new), **after}))


def text_of(found: Any, width: int = 100, **options: Any) -> str:
    """What a terminal of that width shows."""
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(terminal_view(found, **options))
    return out.getvalue()


def test_every_kind_of_change_is_told_apart(plan_of: PlanOf) -> None:
    """New, gone, moved, another number of copies and another start are five things; what stays is not listed."""
    old = [unit("stays", "a/x"), unit("goes", "a/x"), unit("moves", "a/x", region="aws/r"), unit("copied", "a/x"),
           unit("starts", "a/x", start=1)]
    new = [unit("stays", "a/x"), unit("comes", "b/y"), unit("moves", "b/y", region="aws/r"), unit("copied", "b/y", 0),
           unit("copied", "a/x", 1), unit("starts", "a/x", start=3)]
    found = diff(*two(plan_of, old, new))
    rows = {row.workload: (row.kind, row.before, row.after) for row in found.changed}
    assert rows == {"goes": ("gone", ("a/x",), ()), "comes": ("new", (), ("b/y",)),
                    "moves": ("moved", ("a/x",), ("b/y",)), "copied": ("copies", (), ("b/y",)),
                    "starts": ("start", ("a/x from slot 1",), ("a/x from slot 3",))}
    assert found.routes == (Route("a/x", "b/y", 1),)
    assert [row.workload for row in found.changed] == sorted(rows)


def test_copies_that_change_places_with_each_other_have_not_moved(plan_of: PlanOf) -> None:
    """Copies of a workload are alike, so only where they are counts, not their numbers."""
    found = diff(*two(plan_of, [unit("w", "a/x", 0), unit("w", "b/y", 1)], [unit("w", "b/y", 0), unit("w", "a/x", 1)]))
    assert found.same
    assert sentence(found) == "Nothing differs: the same places, machines and costs."


def test_what_diagnostics_cost_is_told_by_kind(plan_of: PlanOf) -> None:
    """Kinds that cost otherwise are listed before and after, one that only one plan has among them; others are not."""
    old, new = (plan.model_copy(update={"costs_of_diagnostics": costs}) for plan, costs in zip(
        two(plan_of, [unit("w", "a/x")], [unit("w", "a/x")]),
        ({"scoring": 2.0, "training": 5.0}, {"scoring": 3.5, "training": 5.0, "drift": 1.0}), strict=True))
    found = diff(old, new)
    rows = [(row.name, row.before, row.after) for row in found.diagnostics]
    assert rows == [("drift", 0, 1.0), ("scoring", 2.0, 3.5)]
    assert "| scoring | 2.00 | 3.50 | +1.50 |" in markdown(found)


def test_figures_are_cost_by_part_service_survival_and_machines(plan_of: PlanOf) -> None:
    """Cost by part, attainment, who survives a lost cluster, peak and hours of machines by pool, and what fell out."""
    old = [unit("single", "a/x"), unit("double", "a/x", 0), unit("double", "b/y", 1)]
    machines = plan_of({}, {("a/x", "on_demand"): [1, 1, 1, 1], ("a/x", "spot"): [0, 4, 0, 0]}).machines
    before, after = two(plan_of, old, [unit("single", "a/x"), unit("double", "a/x")], cost_usd=9.0, machines=machines,
                        costs=Costs(machines=8.0, egress=1.0), sla_attainment=0.75, costs_by_owner={"me": 9.0},
                        unplaced=(Unplaced(workload="out", reasons=("no room",)),))
    before = before.model_copy(update={"fallbacks": (Fallback(lost="a", workload="single", cluster="b", pool="y"),)})
    found = diff(before, after)
    assert (found.before.covered, found.after.covered, found.after.streams) == (2, 0, 2)
    assert found.uncovered == ("double", "single")
    (pool,) = found.pools
    assert (pool.peak_before, pool.peak_after, pool.hours_before, pool.hours_after) == (3, 5, 6.0, 8.0)
    assert found.unplaced == (("out", ("no room",)),)
    assert [(row.name, row.by) for row in found.owners] == [("me", 9.0)]
    shown = text_of(found)
    assert all(words in shown for words in ("+3.00", "machines USD", "egress USD", "75 %", "2 of 2", "0 of 2", "out",
                                            "no room", "Fallbacks by what is lost"))


def test_a_diff_fits_a_narrow_terminal_and_says_how_many_more(plan_of: PlanOf) -> None:
    """No line is wider than the terminal, and lists stop at N rows with the rest counted."""
    old = [unit(f"workload-with-a-long-name-{i:02}", "a/x") for i in range(30)]
    new = [unit(row.workload, "b/y") for row in old]
    shown = text_of(diff(*two(plan_of, old, new)), width=48, rows=5)
    assert max(len(line) for line in shown.splitlines()) <= 48
    assert "and 25 more" in shown
    assert "Moved, by pool" in shown


def test_markdown_is_a_table_that_names_cannot_break(plan_of: PlanOf) -> None:
    """Pipes, backticks and tags in names are shown as they are, every row has as many cells as its heading."""
    shown = markdown(diff(*two(plan_of, [], [unit("w|`x`<img>\n# no", "a/x")])), title="A *b*")
    assert "w\\|\\`x\\`&lt;img&gt;" in shown
    assert "\n# no" not in shown
    assert shown.startswith("### A \\*b\\*\n")
    tables = [line for line in shown.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables if "w" in line and "a/x" in line} == {3}


def test_a_plan_that_is_not_there_is_one_sentence(plan_of: PlanOf) -> None:
    """Infeasible afterwards: it says so and does not list every workload as gone."""
    found = diff(*two(plan_of, [unit("w", "a/x")], [], status="infeasible", machines=()))
    assert sentence(found) == "No plan is possible after the change."
    assert "Gone" not in text_of(found)


def test_plans_that_do_not_compare_say_why(plan_of: PlanOf) -> None:
    """Another scenario, horizon or objective is noted."""
    before, after = two(plan_of, [], [], name="other", horizon=PlanHorizon(slots=8), mode="max_sla")
    notes = diff(before, after).notes
    assert any("different scenarios: small and other" in note for note in notes)
    assert any("costs do not compare" in note for note in notes)
    assert any("objectives differ: min_cost and max_sla" in note for note in notes)


places = st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from(["a/x", "a/y", "b/x"])), max_size=6)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(old=places, new=places)
def test_a_diff_backwards_is_the_mirror_of_the_diff(plan_of: PlanOf, old: Any, new: Any) -> None:
    """What is new one way is gone the other way, and every moved place comes back; a plan differs not from itself."""
    def units(rows: Any) -> list[Assignment]:
        return [unit(name, place, copy) for copy, (name, place) in enumerate(rows)]

    before, after = two(plan_of, units(old), units(new))
    mirror = {"new": "gone", "gone": "new"}
    there, back = diff(before, after).changed, diff(after, before).changed
    assert [(row.workload, mirror.get(row.kind, row.kind), row.after, row.before) for row in there] == [
        (row.workload, row.kind, row.before, row.after) for row in back]
    assert diff(before, before).same


def test_fifty_thousand_units_are_compared_in_seconds(plan_of: PlanOf) -> None:
    """50,000 assignments, two thirds of them elsewhere: under 4 CPU seconds, and 20 rows are shown."""
    old = [Assignment(workload=f"w{i}", cluster=f"c{i % 100}", pool="p") for i in range(50_000)]
    new = [Assignment(workload=f"w{i}", cluster=f"c{(i + i % 3) % 100}", pool="p") for i in range(50_000)]
    plans = two(plan_of, old, new)
    start = time.process_time()
    found = diff(*plans)
    shown = text_of(found)
    assert time.process_time() - start < 4
    assert len(found.changed) == 33_333
    assert "and 33,313 more" in shown


def test_the_command_prints_tables_markdown_and_json(plan_of: PlanOf, tmp_path: Any,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    """`planner diff A B` in its three forms; a file that is no plan is one line and exit status 2."""
    plans = two(plan_of, [unit("w", "a/x")], [unit("w", "b/y")])
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for plan, path in zip(plans, paths, strict=True):
        write_plan(plan, path)
    names = [str(path) for path in paths]
    assert run(["diff", *names]) == 0
    assert "Moved (1)" in capsys.readouterr().out
    assert run(["diff", *names, "--markdown"]) == 0
    assert "| w | a/x | b/y |" in capsys.readouterr().out
    assert run(["diff", *names, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"][0]["after"] == ["b/y"]
    assert run(["diff", names[0], str(tmp_path / "c.json")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
