"""`planner profile` and `planner learn` on described tasks."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from planner.cli import run
from planner.profiles.library import read_library

EXAMPLE = Path(__file__).parents[2] / "examples/new-tasks"


def test_three_tasks_chain(capsys: pytest.CaptureFixture[str]) -> None:
    """The example: a warehouse on a schedule, then an H100 for some hours a day, then CPUs near the users."""
    assert run(["profile", str(EXAMPLE / "tasks.yaml"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    etl, training, serving = (found[name] for name in ("claims-etl", "cancer-odds-training", "cancer-odds-serving"))
    figures = {name: {figure["name"]: figure for figure in one["figures"]} for name, one in found.items()}
    assert (etl["storage_kind"], etl["working_kind"]) == ("data warehouse", "memory")
    assert [slot for slot, units in enumerate(etl["warehouse_dwu"]) if units] == list(range(0, 168, 24))
    assert figures["cancer-odds-training"]["machine"]["value"] == "NVIDIA H100"
    assert 0 < sum(count > 0 for count in training["replicas"]) < 168
    assert "4e+08 rows of 7 columns" in figures["cancer-odds-training"]["device"]["why"]
    assert (serving["runtime"], serving["request"]["gpu"]) == ("NVIDIA Triton", 0)
    assert figures["cancer-odds-serving"]["location"]["value"] == "within 50 ms of the users"
    assert etl["figures"][0]["source"] == "formula"


def test_past_tasks_change_figures_and_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """With the library the ETL's storage is corrected, and the table says from what."""
    arguments = ["profile", str(EXAMPLE / "tasks.yaml"), "--library", str(EXAMPLE / "library.csv")]
    assert run([*arguments, "--json"]) == 0
    etl = json.loads(capsys.readouterr().out)["claims-etl"]
    storage = next(figure for figure in etl["figures"] if figure["name"] == "storage_gb")
    assert storage["source"] == "both"
    assert storage["low"] < storage["value"] == pytest.approx(4862, rel=0.01)
    assert len(etl["neighbours"]) == 3
    assert run(arguments) == 0
    shown = capsys.readouterr().out
    assert "Past tasks most like it" in shown
    assert "300 in slot 0; 0 in slots 1 to 23" in shown


def test_the_library_of_the_example_is_what_its_script_makes(tmp_path: Path) -> None:
    """Byte for byte."""
    spec = importlib.util.spec_from_file_location("make_library", EXAMPLE / "make_library.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.write(tmp_path / "library.csv")
    assert (tmp_path / "library.csv").read_bytes() == (EXAMPLE / "library.csv").read_bytes()


def test_a_finished_run_is_learned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run of the training task is stored with the data that the ETL before it makes."""
    used, library = tmp_path / "used.yaml", tmp_path / "runs.csv"
    used.write_text("finished: 2026-11-01T03:10:00Z\nused: {gpu: 1, gpu_model: A100, run_hours: 3.5}\n")
    arguments = ["learn", str(EXAMPLE / "tasks.yaml"), str(used), "--library", str(library)]
    assert run([*arguments, "--task", "cancer-odds-training"]) == 0
    assert "1 run; 1 application of kind training" in capsys.readouterr().out
    (kept,) = read_library(library).runs
    assert (kept.application, kept.used["gpu_model"], kept.task.data.rows) == ("cancer-odds-training", "A100", 4e8)
    assert run(arguments) == 2
    assert "name one of claims-etl" in capsys.readouterr().err
    used.write_text("finished: 2026-11-01T03:10:00Z\nused: {vcpus: 1}\n")
    assert run([*arguments, "--task", "claims-etl"]) == 2
    assert "did you mean used.vcpu?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "status", "line"),
    [
        ("kind: etl\ntask: {cadence: daily}\n", 1, "volume_gb: not known, nor are rows: not enough evidence"),
        ("kind: etl\ntask: {volume_gb: 3 TB}\n", 2, "task.yaml: volume_gb: 3 TB: text for a number of GB; write 3000"),
        ("kind: etl\ndescripton: x\n", 2, "task.yaml: descripton: unknown field: did you mean description?"),
        ("kind: elt\n", 2, "did you mean etl?"),
        ("tasks: []\n", 2, "task.yaml: tasks: a list of 0: at least one item: add one"),
        ("tasks: [{name: a}]\n", 2, "task.yaml: tasks.a.kind: not given: text is needed"),
        ("tasks: [hello]\n", 2, "task.yaml: tasks[0]: hello: a mapping of fields"),
        ("kind: etl\ntask: [3]\n", 2, "task.yaml: task: a list of 1: a mapping"),
        ("kind: serving\nslo: {latency: 4}\n", 2, "task.yaml: slo.latency: unknown field: did you mean latency_ms?"),
        ("tasks: [{name: a, kind: etl, task: {volume_gb: 1}}, {name: b, kind: training, task: {input_from: c}}]\n", 2,
         "task.yaml: b: task.input_from: 'c': no task before it has this name"),
        ("tasks: [{name: a, kind: etl}, {name: a, kind: etl}]\n", 2, "task.yaml: name: 'a' is there twice"),
    ],
)
def test_answers_of_no_and_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, status: int,
                                    line: str) -> None:
    """Too little evidence is the answer no, a mistake is a line that says where."""
    path = tmp_path / "task.yaml"
    path.write_text(content)
    assert run(["profile", str(path)]) == status
    told = capsys.readouterr().err
    assert line in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(("used", "line"), [
    ("kind: serving\nused: {vcpu: 4}\n", "used.yaml: kind: unknown field: known: finished, times, used"),
    ("task.volume_gb: 7\nused: {vcpu: 4}\n", "used.yaml: task.volume_gb: unknown field"),
])
def test_a_finished_run_does_not_rewrite_its_description(tmp_path: Path, capsys: pytest.CaptureFixture[str], used: str,
                                                         line: str) -> None:
    """What a run used is measured; what it is stays as its description says."""
    (tmp_path / "task.yaml").write_text("kind: etl\ntask: {volume_gb: 3}\n")
    (tmp_path / "used.yaml").write_text(used)
    library = tmp_path / "library.csv"
    assert run(["learn", str(tmp_path / "task.yaml"), str(tmp_path / "used.yaml"), "--library", str(library)]) == 2
    assert line in capsys.readouterr().err
    assert not library.exists()


def test_a_task_may_come_with_its_past_demand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The history lies beside the description, with rows of other tasks; without one that is meant they are named."""
    rows = [f"2026-10-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z,{name},{times * (18 + hour % 24)}"
            for hour in range(9 * 24) for name, times in (("web", 1), ("shop", 5))]
    (tmp_path / "past.csv").write_text("\n".join(["ts,workload,value", *rows]) + "\n")
    task = tmp_path / "task.yaml"
    task.write_text("{name: web, kind: etl, history: {file: past.csv, per_replica: 10}, "
                    "request: {vcpu: 4, memory_gib: 16}}\n")
    assert run(["profile", str(task), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["replicas"][0], found["replicas"][23]) == (2, 5)
    assert (found["request"]["vcpu"], found["batch"], len(found["replicas"])) == (4, None, 168)
    task.write_text(task.read_text().replace("name: web", "name: wep"))
    assert run(["profile", str(task)]) == 2
    assert "past.csv: workload: no rows for 'wep'; did you mean web?" in capsys.readouterr().err
