"""What the service is deployed with: valid, hardened, and naming only what the program has."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from api.configured import read_settings
from planner import __version__

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "examples" / "deploy"
KUBERNETES = "1.34"
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "planner.yaml").read_text()))


def one(kind: str) -> dict[str, Any]:
    (found,) = [manifest for manifest in MANIFESTS if manifest["kind"] == kind]
    return found


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
def test_manifests_are_valid(manifest: dict[str, Any]) -> None:
    """Every manifest passes the schema of its kind, with no field that the schema does not have."""
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_the_pods_are_locked_down() -> None:
    """Not root, nothing gained, a read-only root, probes and resources; and no variables that would be settings."""
    pod = one("Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
    for container in (*pod["containers"], *pod["initContainers"]):
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                "capabilities": {"drop": ["ALL"]}}
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]
        assert container["image"].endswith(f":{__version__}")
    (container,) = pod["containers"]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
    assert one("PodDisruptionBudget")["spec"]["minAvailable"] < one("Deployment")["spec"]["replicas"]
    assert one("NetworkPolicy")["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_labels_meet() -> None:
    """Service, disruption budget and network policy are for the pods that the deployment makes."""
    labels = one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert one("Service")["spec"]["selector"] == labels
    assert one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels


@pytest.mark.parametrize("text", [(DEPLOY / "planner.toml").read_text(), one("ConfigMap")["data"]["planner.toml"]])
def test_the_settings_are_what_the_program_reads(text: str, tmp_path: Path) -> None:
    """Every name and value is allowed; folders and secrets stand where the files say, here in a folder of the test."""
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "database").write_text("postgresql://planner@db/planner")
    text = text.replace("/etc/planner", str(tmp_path)).replace("/run/secrets/planner", str(tmp_path))
    (tmp_path / "planner.toml").write_text(text)
    assert read_settings(tmp_path / "planner.toml", {}, {}).host == "0.0.0.0"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_unit_is_valid_and_exposes_little(tmp_path: Path) -> None:
    """Systemd finds no fault with it, and rates its exposure below 3 of 10."""
    unit = (DEPLOY / "planner.service").read_text()
    (tmp_path / "planner").write_text("#!/bin/sh\n")
    (tmp_path / "planner").chmod(0o755)
    here = unit.replace("/opt/planner/.venv/bin/python", sys.executable).replace(
        "/opt/planner/.venv/bin/planner", str(tmp_path / "planner"))
    file = tmp_path / "planner.service"
    file.write_text(here)
    checked = subprocess.run(["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True,
                             check=False, timeout=60)
    assert [line for line in checked.stderr.splitlines() if "planner.service" in line] == []
    rated = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=30", str(file)],
                           capture_output=True, text=True, check=False, timeout=60)
    assert rated.returncode == 0, rated.stdout.splitlines()[-1:]


def test_the_image_runs_without_root_and_with_what_is_pinned() -> None:
    """The last user is a number that is not root's, versions are those of constraints.txt, and SIGTERM ends it."""
    text = (DEPLOY / "Containerfile").read_text()
    (user,) = re.findall(r"^USER (\d+):\d+$", text, re.MULTILINE)
    assert user == str(one("Deployment")["spec"]["template"]["spec"]["securityContext"]["runAsUser"])
    assert "--constraint constraints.txt" in text
    assert "STOPSIGNAL SIGTERM" in text
