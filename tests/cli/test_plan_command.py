"""`planner plan` and `planner verify`: what they write, show and answer."""

import json
import os
import pty
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from planner.cli import run

SCENARIO = """
name: tiny
horizon: {start: 2026-11-02T00:00:00Z, slots: 4, slot_minutes: 60}
objective: {mode: min_cost}
clusters:
  - name: here
    provider: own
    region: here
    country: DE
    pools:
      - {name: small, machine: {name: s, vcpu: 4, memory_gib: 16}, max: 9,
         offers: [{purchase: on_demand, price_usd_per_hour: 1.0}]}
workloads:
  - {name: web, kind: serving, request: {vcpu: 2, memory_gib: 4}, replicas: [1, 2, 3, 2]}
"""

PLAN = ["plan", "--solver", "highs"]
HYBRID = Path(__file__).parents[2] / "examples" / "hybrid"


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """One pool and one workload: two replicas a machine, so 1 + 1 + 2 + 1 machine hours at 1 USD."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "scenario.yaml").write_text(SCENARIO)
    return folder


def change(scenario: Path, old: str, new: str) -> Path:
    """Replace a part of the scenario."""
    file = scenario / "scenario.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return scenario


def test_plan_writes_shows_and_verifies(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan of 5 USD is shown, written with a report, printed as the same JSON, and verified."""
    output, report = scenario / "plan.json", scenario / "plan.html"
    assert run([*PLAN, str(scenario), "-o", str(output), "--report", str(report)]) == 0
    shown = capsys.readouterr().out
    assert all(words in shown for words in ("web", "here", "small", "5.00", "SLA attainment 100 %", "gap 0.00 %"))
    assert json.loads(output.read_text())["cost_usd"] == pytest.approx(5.0)
    assert report.read_text().startswith("<!doctype html>")
    assert run([*PLAN, str(scenario), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plan_id"] == json.loads(output.read_text())["plan_id"]
    assert run(["verify", str(scenario), str(output)]) == 0
    assert "holds: USD 5.00" in capsys.readouterr().out


def test_a_disk_that_fills_up_leaves_the_files_before(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a plan or its packings cannot be written in full, both stay as they were, and the plan is shown."""
    output, packings = scenario / "plan.json", scenario / "plan.packings.parquet"
    asked = [*PLAN, str(scenario), "--packings", "-o", str(output)]
    assert run(asked) == 0
    sizes = sorted(file.stat().st_size for file in (output, packings))
    for file in (output, packings):
        file.write_bytes(b"before")
    for size in sizes:
        capsys.readouterr()
        with largest_file(size - 1):
            assert run(asked) == 2
        shown = capsys.readouterr()
        assert shown.err == f"-o: {output}: not written: File too large\n"
        assert "Cost USD 5.00" in shown.out
        assert {file.read_bytes() for file in (output, packings)} == {b"before"}
    assert {file.name for file in scenario.iterdir()} == {"scenario.yaml", output.name, packings.name}


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file can grow beyond a size in bytes, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_broken_plan_does_not_verify(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan with a machine too few is exit status 1 with the reason."""
    output = scenario / "plan.json"
    assert run([*PLAN, str(scenario), "-o", str(output), "--json"]) == 0
    plan = json.loads(output.read_text())
    plan["machines"][0]["count"][2] = 1
    plan["plan_id"] = ""
    output.write_text(json.dumps(plan))
    capsys.readouterr()
    assert run(["verify", str(scenario), str(output), "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["holds"] is False
    assert any("here/small" in sentence for sentence in shown["violations"])


def test_no_plan_is_the_answer_no(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A replica that fits no machine: exit status 1, status infeasible, the workload and the reason; also written."""
    change(scenario, "vcpu: 2, memory_gib: 4", "vcpu: 64, memory_gib: 4")
    output = scenario / "plan.json"
    assert run(["plan", str(scenario), "-o", str(output), "--report", str(scenario / "plan.html")]) == 1
    shown = capsys.readouterr().out
    assert "no plan is possible" in shown
    assert "web" in shown
    assert json.loads(output.read_text())["status"] == "infeasible"


@pytest.mark.parametrize(("old", "new"), [
    ("mode: min_cost", "mode: max_sla"), ("mode: min_cost", "mode: min_cost, budget_usd: 5, sla_floor: 0.9"),
    ("region: here", "region: here\n    availability: 99.9"), ("name: web", "name: web\n\t"),
    ("replicas: [1, 2, 3, 2]", "replicas: [1, 2, .nan, 2]"), ("replicas: [1, 2, 3, 2]", "replicas: [1, -2, 3, 2]"),
    ("00:00:00Z", "00:00:00"), ("kind: serving", "kind: serving, after: [{workload: web}]"),
    ("max: 9", "max: 9, zones: 3"), ("slot_minutes: 60}", "slot_minutes: 60}\nsurvive: rack"),
    ("name: small", "name: 5"),
])
def test_a_mistake_is_a_line_and_nothing_is_written(scenario: Path, old: str, new: str,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong input: exit status 2, words that name the file, no traceback and no half a file."""
    change(scenario, old, new)
    assert run(["plan", str(scenario), "-o", str(scenario / "plan.json")]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "scenario.yaml" in shown.err or "objective" in shown.err
    assert "Traceback" not in shown.err
    assert not (scenario / "plan.json").exists()


def test_where_to_write_is_looked_at_first(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not there is refused before anything is planned."""
    assert run(["plan", str(scenario), "-o", str(scenario / "no" / "plan.json"), "--report", "/dev/null"]) == 2
    shown = capsys.readouterr().err
    assert "there is no folder" in shown
    assert "not a regular file" in shown


@pytest.mark.parametrize("options", [["--sla-floor", "99"], ["--budget", "5"], ["--time-limit", "0"], ["--seed", "-1"],
                                     ["--solver", "higs"], ["--mode", "max_sla"]])
def test_options_that_cannot_be_are_refused(scenario: Path, options: list[str],
                                            capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong value of an option is one line and exit status 2."""
    assert run(["plan", str(scenario), *options]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_names_cannot_paint_the_terminal(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences and markup in a name are shown, not obeyed."""
    change(scenario, "name: web", 'name: "[red]w\\e[2J"')
    assert run([*PLAN, str(scenario)]) in (0, 2)
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err


def test_demo_names_the_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """An example that is not there is refused with those that are."""
    assert run(["demo", "nope"]) == 2
    assert "hybrid, medical" in capsys.readouterr().err


def test_control_c_gives_the_best_plan_so_far(tmp_path: Path) -> None:
    """Progress shows the best cost; one Ctrl-C then: exit status 0, a written plan that verifies, no process left."""
    folder = tmp_path / "busy"
    folder.mkdir()
    (folder / "scenario.yaml").write_text(busy_scenario())
    output = folder / "plan.json"
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "planner", "plan", str(folder), "--solver", "cp-sat", "--time-limit", "300", "-o",
         str(output)], stdout=subprocess.PIPE, stderr=theirs, text=True, env={**os.environ, "COLUMNS": "160"})
    os.close(theirs)
    shown = read_until(ours, "gap", 240)
    below = psutil.Process(child.pid).children(recursive=True)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=240)
    shown += read_until(ours, "", 0)
    assert child.returncode == 0, shown
    assert "best" in shown
    assert "stopping with the best plan so far" in shown
    assert "no plan costs less than" in out
    assert below, "a process of its own solves"
    psutil.wait_procs(below, timeout=10)
    assert not [process for process in below if process.is_running()]
    assert run(["verify", str(folder), str(output)]) == 0


@pytest.mark.soak
def test_control_c_while_blocks_are_searched(tmp_path: Path) -> None:
    """One Ctrl-C while processes search two blocks: exit status 0, a plan that verifies, and no process left."""
    output = tmp_path / "plan.json"
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "planner", "plan", str(HYBRID), "--blocks", "2", "--time-limit", "300", "-o",
         str(output)], stdout=subprocess.PIPE, stderr=theirs, text=True, env={**os.environ, "COLUMNS": "160"})
    os.close(theirs)
    shown = read_until(ours, "search in blocks", 150)
    below = psutil.Process(child.pid).children(recursive=True)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=120)
    shown += read_until(ours, "", 0)
    assert child.returncode == 0, shown
    assert len(below) >= 2, "one process solves, others search blocks"
    psutil.wait_procs(below, timeout=10)
    assert not [process for process in below if process.is_running()]
    assert run(["verify", str(HYBRID), str(output)]) == 0


def read_until(terminal: int, words: str, seconds: float) -> str:
    """What is written on a terminal until some words are, the time is up, or nothing is left (no words given)."""
    text, end = "", time.monotonic() + seconds
    while (not words or words not in text) and (time.monotonic() < end or not words):
        ready, _, _ = select.select([terminal], [], [], 0.5)
        if not ready and not words:
            break
        try:
            text += os.read(terminal, 65536).decode(errors="replace") if ready else ""
        except OSError:  # the other end is closed
            break
    return text


def busy_scenario(workloads: int = 20) -> str:
    """A scenario that no solver proves optimal in seconds."""
    pools = "\n".join(
        f"      - {{name: p{i}, machine: {{name: m{i}, vcpu: {7 + 3 * i}, memory_gib: {29 + 17 * i}}}, max: 30,\n"
        f"         offers: [{{purchase: on_demand, price_usd_per_hour: {0.37 + 0.13 * i:.2f}}}]}}" for i in range(4))
    head, _, _ = SCENARIO.replace("slots: 4", "slots: 24").partition("      - {name: small")
    rows = "\n".join(
        f"  - {{name: w{i}, kind: serving, request: {{vcpu: {1 + i % 5}, memory_gib: {2 + 3 * (i % 7)}}},\n"
        f"     replicas: {[1 + (i * t + i) % 9 for t in range(24)]}}}" for i in range(workloads))
    return f"{head}{pools}\nworkloads:\n{rows}\n"


def test_a_budget_may_be_given_on_the_command_line_alone(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A scenario of mode max_sla without a budget is planned with --budget, and its plan verified; else refused."""
    change(scenario, "{mode: min_cost}", "{mode: max_sla}")
    output = scenario / "plan.json"
    assert run([*PLAN, str(scenario)]) == 2
    assert "max_sla needs a budget" in capsys.readouterr().err
    assert run([*PLAN, str(scenario), "--budget", "50", "-o", str(output)]) == 0
    assert run(["verify", str(scenario), str(output)]) == 0
    assert run([*PLAN, str(scenario), "--mode", "min_cost", "-o", str(output)]) == 0
    assert run(["verify", str(scenario), str(output)]) == 0


@pytest.mark.parametrize(("stated", "asked", "words"), [
    ("{mode: max_sla, budget_usd: 9}", ["--mode", "min_cost", "--budget", "5"],
     "budget_usd: 5.0: mode min_cost has none; ask for mode max_sla"),
    ("{mode: min_cost, sla_floor: 1}", ["--budget", "5"],
     "budget_usd: 5.0: mode min_cost has none; ask for mode max_sla"),
    ("{mode: max_sla, budget_usd: 9}", ["--sla-floor", "0.5"],
     "sla_floor: 0.5: mode max_sla has none; ask for mode min_cost")])
def test_limits_of_the_other_mode_are_refused(scenario: Path, capsys: pytest.CaptureFixture[str], stated: str,
                                              asked: list[str], words: str) -> None:
    """A budget goes with max_sla and a floor with min_cost, whichever of file and command line gives the mode."""
    assert run([*PLAN, str(change(scenario, "{mode: min_cost}", stated)), *asked]) == 2
    assert capsys.readouterr().err.strip() == words


def test_diagnostics_are_planned_and_verified(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --with-diagnostics the plan holds a model and a monitor, says what they cost by kind, and is verified with
    them, not without; what another says that they cost is told.
    """
    change(scenario, "country: DE", "country: DE\n    hardware_class: general\n    telemetry_opt_in: true")
    output, page = scenario / "plan.json", scenario / "plan.html"
    assert run([*PLAN, str(scenario), "--with-diagnostics", "-o", str(output), "--report", str(page)]) == 0
    plan = json.loads(output.read_text())
    assert plan["costs_of_diagnostics"].keys() == {"diagnostics", "drift_monitor", "training"}
    total = plan["costs_by_owner"]["diagnostics"]
    assert sum(plan["costs_of_diagnostics"].values()) == pytest.approx(total, abs=1e-5)
    assert f"Diagnostics USD {total:.2f}" in capsys.readouterr().out
    assert "Cost of diagnostics" in page.read_text()
    assert {row["workload"] for row in json.loads(output.read_text())["assignments"]} == {
        "web", "diagnostics-here", "drift-monitor-here", "training-general-de"}
    assert run(["verify", str(scenario), str(output), "--with-diagnostics"]) == 0
    assert run(["verify", str(scenario), str(output)]) == 1
    assert "no such workload in the scenario" in capsys.readouterr().out
    plan["plan_id"], plan["costs_of_diagnostics"]["training"] = "", total + 1
    output.write_text(json.dumps(plan))
    assert run(["verify", str(scenario), str(output), "--with-diagnostics"]) == 1
    assert "costs_of_diagnostics.training is stated as" in capsys.readouterr().out


@pytest.mark.parametrize(("droppable", "status"), [("true", 0), ("false", 1)])
def test_a_missed_deadline_costs_attainment_where_work_is_droppable(
        scenario: Path, capsys: pytest.CaptureFixture[str], droppable: str, status: int) -> None:
    """A droppable run past its deadline is half the weight unattained, and no violation; another may not be late."""
    change(scenario, "{mode: min_cost}", "{mode: min_cost, sla_floor: 0.5}")
    file, output = scenario / "scenario.yaml", scenario / "plan.json"
    file.write_text(file.read_text() + "  - {name: night, kind: etl, request: {vcpu: 2, memory_gib: 4}, "
                    "replicas: [1, 1, 1, 1], batch: {duration_slots: 1, latest_slot: 3}, slo: {deadline_slot: 1}, "
                    f"droppable: {droppable}}}\n")
    output.write_text(json.dumps({
        "name": "by hand", "status": "feasible", "mode": "min_cost", "cost_usd": 6.0, "costs": {"machines": 6.0},
        "sla_attainment": 0.5, "bound": 0.0, "gap": 1.0,
        "assignments": [{"workload": "web", "cluster": "here", "pool": "small"},
                        {"workload": "night", "cluster": "here", "pool": "small", "start_slot": 3}],
        "machines": [{"cluster": "here", "pool": "small", "purchase": "on_demand", "count": [1, 1, 2, 2]}]}))
    assert run(["verify", str(scenario), str(output)]) == status
    assert ("holds: USD 6.00" if status == 0 else "night: start_slot 3") in capsys.readouterr().out


def test_an_exported_scenario_gives_the_same_plan(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The scenario with everything written out has the same assignments, machines and cost."""
    assert run(["export", "scenario", str(scenario), "-o", str(scenario / "full")]) == 0
    capsys.readouterr()
    plans = []
    for folder in (scenario, scenario / "full"):
        assert run([*PLAN, str(folder), "--json"]) == 0
        plans.append(json.loads(capsys.readouterr().out))
    for key in ("assignments", "machines", "cost_usd", "costs", "bound"):
        assert plans[0][key] == plans[1][key]
