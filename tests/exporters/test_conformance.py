"""Every exporter keeps these promises: golden files, the same bytes again, valid manifests, mistakes told."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from planner.cli import run
from planner.errors import InputError
from planner.exporters import EXPORTERS, exporter
from planner.exporters.planned import Planned, open_planned, planned_of
from planner.kube.labels import dns_label

GOLDEN = Path(__file__).parent / "golden"
TEXT = (".yaml", ".json", ".tf", ".csv", ".md")
KUBERNETES = "1.34"
OWN_GROUPS = ("v1", "apps/", "batch/", "scheduling.k8s.io/")
NO_SCHEMA_HERE = {"Kustomization", "CronFederatedHPA", "AdmissionCheck", "AddOnPlacementScore", "Placement",
                  "PlacementDecision"}
"""Kinds whose published schema is not among the shared data."""


@pytest.mark.parametrize("name", EXPORTERS)
def test_files_are_the_golden_ones(name: str, planned: Planned) -> None:
    """Text files are byte for byte the committed ones; PLANNER_WRITE_GOLDEN=1 writes them anew."""
    files = {path: found for path, found in exporter(name)(planned, None).items() if path.endswith(TEXT)}
    folder = GOLDEN / name
    if os.environ.get("PLANNER_WRITE_GOLDEN") == "1":
        for path, found in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(found)
    golden = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert sorted(files) == sorted(golden)
    for path, found in files.items():
        assert found.decode() == golden[path].decode(), path


@pytest.mark.parametrize("name", EXPORTERS)
def test_the_same_plan_gives_the_same_bytes(name: str, planned: Planned, fleet: Path) -> None:
    """Read anew and written again, no byte differs, and paths stay in the folder."""
    again = open_planned(fleet / "scenario.yaml", fleet / "plan.json")
    files = exporter(name)(planned, 2)
    assert files == exporter(name)(again, 2)
    assert files
    for path, found in files.items():
        assert found, path
        assert not Path(path).is_absolute()
        assert ".." not in Path(path).parts


@pytest.mark.parametrize("name", EXPORTERS)
def test_a_slot_that_is_not_there_is_refused(name: str, planned: Planned) -> None:
    """The slot, and which there are."""
    with pytest.raises(InputError, match=r"--slot: 6: the plan has slots 0 to 5"):
        exporter(name)(planned, 6)


@pytest.mark.parametrize("name", EXPORTERS)
@pytest.mark.parametrize("slot", [None, 2])
def test_manifests_are_valid(name: str, slot: int | None, planned: Planned,
                             resource_schema: Callable[[str, str], dict[str, Any] | None]) -> None:
    """Kubernetes' own kinds pass kubernetes-validate, custom resources their published schemas; names are legal."""
    for path, found in _objects(exporter(name)(planned, slot)):
        api_version, kind = found["apiVersion"], found["kind"]
        if kind != "Kustomization":
            assert dns_label(found["metadata"]["name"]) == found["metadata"]["name"], path
        if api_version.startswith(OWN_GROUPS):
            kubernetes_validate.validate(found, KUBERNETES, strict=True)
            continue
        schema = resource_schema(api_version, kind)
        assert (schema is None) == (kind in NO_SCHEMA_HERE), (path, api_version, kind)
        if schema is not None:
            jsonschema.Draft202012Validator(schema).validate(found)


def test_the_validator_refuses_what_is_wrong(resource_schema: Callable[[str, str], dict[str, Any] | None]) -> None:
    """A misspelt field and a text for a number are found in a custom resource and in Kubernetes' own."""
    schema = resource_schema("keda.sh/v1alpha1", "ScaledObject")
    assert schema is not None
    good = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "a"},
            "spec": {"scaleTargetRef": {"name": "a"}, "triggers": [{"type": "cron", "metadata": {}}]}}
    jsonschema.Draft202012Validator(schema).validate(good)
    for wrong in ({"minReplicas": 1}, {"minReplicaCount": "1"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(schema).validate(good | {"spec": good["spec"] | wrong})  # type: ignore[operator]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
                                      "spec": {"replicas": "2"}}, KUBERNETES, strict=True)


def test_an_infeasible_plan_is_not_exported(planned: Planned, fleet: Path) -> None:
    """There is nothing to apply."""
    from planner.opened import open_plan

    opened = open_plan(fleet / "scenario.yaml", planned.plan.model_copy(
        update={"status": "infeasible", "assignments": (), "machines": (), "fallbacks": ()}))
    with pytest.raises(InputError, match="plan: status: infeasible: nothing can be applied"):
        planned_of(opened)


def test_the_command_replaces_what_it_wrote_and_nothing_else(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files that the last export wrote and this one does not go; a file of somebody else's is never overwritten."""
    command = ["export", "kubernetes", str(fleet / "scenario.yaml"), str(fleet / "plan.json"), "-o", str(tmp_path)]
    assert run([*command, "--slot", "0"]) == 0
    assert "11 files" in capsys.readouterr().out
    (tmp_path / "hall" / "mine.yaml").write_text("mine")
    assert run(["export", "keda", *command[2:]]) == 0
    kept = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert kept == ["aws-ireland/scaledobjects.yaml", "export.json", "hall/mine.yaml", "hall/scaledobjects.yaml"]
    (tmp_path / "export.json").unlink()
    assert run(["export", "keda", *command[2:]]) == 2
    told = capsys.readouterr().err
    assert "scaledobjects.yaml: is there already, and export.json does not list it: name another folder" in told


def test_an_export_of_nothing_says_so(fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the plan has nothing that the tool is for, that is said with how many files there are."""
    monkeypatch.setattr("planner.exporters.keda.export", lambda *_: {})
    assert run(["export", "keda", str(fleet / "scenario.yaml"), str(fleet / "plan.json"), "-o", str(tmp_path)]) == 0
    assert "0 files" in (told := capsys.readouterr().out)
    assert "nothing in the plan is what keda is for" in " ".join(told.split())


@pytest.mark.skipif(which("kubectl") is None, reason="kubectl is not installed: kustomizations are not built")
def test_a_kustomization_builds(planned: Planned, tmp_path: Path) -> None:
    """`kubectl kustomize` takes a cluster's folder and sets the tag of its images."""
    for path, found in exporter("kubernetes")(planned, None).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(found)
    built = subprocess.run(["kubectl", "kustomize", str(tmp_path / "aws-ireland")], capture_output=True, check=True)
    objects = list(yaml.safe_load_all(built.stdout))
    assert {found["kind"] for found in objects} == {"Deployment", "CronJob", "PriorityClass", "ConfigMap"}
    images = {found["spec"]["template"]["spec"]["containers"][0]["image"] for found in objects
              if found["kind"] == "Deployment"}
    assert images == {f"{dns_label('Ledger')}:latest", "search:latest"}


def _objects(files: dict[str, bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of every YAML file that holds Kubernetes objects."""
    for path, found in files.items():
        if path.endswith(".yaml"):
            for one in yaml.safe_load_all(found):
                if "apiVersion" in one:
                    yield path, one
