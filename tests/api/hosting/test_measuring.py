"""Requests and replicas of diagnostics follow what stored models were measured to take."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from api.hosting.measuring import measure
from diagnostics.store import ModelStore
from planner.catalog import builtin_catalog
from planner.cli import app, run
from planner.errors import InputError
from planner.hosting import MEASURED, Cost, measured_by, with_diagnostics
from planner.resolve import resolve
from planner.scenario import read_scenario


@pytest.fixture
def scenario(watched: dict[str, Any], tmp_path: Path) -> Path:
    """Two clusters of mixed-disk that send 200,000 rows an hour of 20 hosts each."""
    for cluster in watched["clusters"]:
        cluster["telemetry"] = {"rows_per_hour": 200_000.0, "hosts": 20}
    del watched["with_diagnostics"]
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(watched))
    return path


def test_what_is_measured_is_kept_and_asked_for(models: Path, scenario: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`planner models measure` writes figures by hardware to the store; `--with-diagnostics` requests by them."""
    asked = CliRunner().invoke(app, ["models", "measure", "--store", str(models), "--json"])
    assert asked.exit_code == 0, asked.output
    told = json.loads(asked.stdout)["diagnostics_costs"]
    assert sorted(told) == ["all", "mixed-disk"]
    found = Cost.from_dict(told["mixed-disk"])
    assert 0 < found.score_cpu_s < 0.1
    assert ModelStore(models).costs()["mixed-disk"].figures == told["mixed-disk"]
    monkeypatch.setenv("PLANNER_MODELS", str(models))
    plan = str(scenario.parent / "plan.json")
    assert run(["plan", str(scenario), "--with-diagnostics", "-o", plan]) == 0
    assert run(["verify", str(scenario), plan, "--with-diagnostics"]) == 0


def test_requests_are_those_of_the_hardware_class(models: Path, scenario: Path) -> None:
    """Ten times the cost is ten times the processors; the scenario's own figures win; a class without any has the
    built-in ones.
    """
    read = resolve(read_scenario(scenario), builtin_catalog())
    store = ModelStore(models)
    cost = measure(store, store.serving("mixed-disk"))
    told = {"mixed-disk": {**vars_of(cost), "score_cpu_s": 10 * MEASURED.score_cpu_s}}

    def processors(by: dict[str, dict[str, float]]) -> float:
        work = with_diagnostics(read.model_copy(update={"diagnostics_costs": by})).workloads[1]
        assert work.request is not None
        assert isinstance(work.replicas, tuple)
        return work.request.vcpu * work.replicas[0]

    assert processors(told) == pytest.approx(10 * processors({}), rel=0.01)
    assert processors({"other": told["mixed-disk"]}) == processors({})
    assert measured_by(read, models).diagnostics_costs["mixed-disk"] == vars_of(cost)
    own = read.model_copy(update={"diagnostics_costs": told})
    assert measured_by(own, models).diagnostics_costs == told


def test_figures_that_are_none_are_refused(scenario: Path, tmp_path: Path) -> None:
    """A class with a figure too few, and a store that is not there, are told by name."""
    read = resolve(read_scenario(scenario), builtin_catalog())
    with pytest.raises(InputError, match="diagnostics_costs: mixed-disk: cost: score_cpu_s: needed are score_cpu_s"):
        with_diagnostics(read.model_copy(update={"diagnostics_costs": {"mixed-disk": {"score_cpu_s": 1.0}}}))
    with pytest.raises(InputError, match=r"PLANNER_MODELS: .*no model store"):
        measured_by(read, tmp_path / "none")


def vars_of(cost: Cost) -> dict[str, float]:
    return {name: getattr(cost, name) for name in Cost.__dataclass_fields__}
