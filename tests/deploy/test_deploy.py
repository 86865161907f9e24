"""What the service and its hosts are deployed with: valid, hardened, and naming only what the program has."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import typer
import yaml

from api.configured import read_settings
from planner import __version__
from planner.cli import app

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "examples" / "deploy"
KUBERNETES = "1.34"
MANIFESTS: dict[str, list[dict[str, Any]]] = {
    name: list(yaml.safe_load_all((DEPLOY / "kubernetes" / f"{name}.yaml").read_text()))
    for name in ("planner", "hosts")
}
UNITS = ("planner.service", "planner-host@.service")
each_file = pytest.mark.parametrize("file", MANIFESTS)


def one(file: str, kind: str) -> dict[str, Any]:
    (found,) = [manifest for manifest in MANIFESTS[file] if manifest["kind"] == kind]
    return found


def pod_of(file: str) -> dict[str, Any]:
    found: dict[str, Any] = one(file, "Deployment")["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("manifest", [one for every in MANIFESTS.values() for one in every],
                         ids=lambda manifest: f"{manifest['kind']}-{manifest['metadata']['name']}")
def test_manifests_are_valid(manifest: dict[str, Any]) -> None:
    """Every manifest passes the schema of its kind, with no field that the schema does not have."""
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@each_file
def test_the_pods_are_locked_down(file: str) -> None:
    """Not root, nothing gained, a read-only root, probes and resources; and no variables that would be settings."""
    pod = pod_of(file)
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
    assert one(file, "PodDisruptionBudget")["spec"]["minAvailable"] < one(file, "Deployment")["spec"]["replicas"]
    assert one(file, "NetworkPolicy")["spec"]["policyTypes"] == ["Ingress", "Egress"]


@each_file
def test_labels_meet(file: str) -> None:
    """Service, disruption budget and network policy are for the pods that the deployment makes."""
    labels = one(file, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert one(file, "Service")["spec"]["selector"] == labels
    assert one(file, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert one(file, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels


@pytest.mark.parametrize("words", [
    *(pod_of(file)["containers"][0]["args"] for file in MANIFESTS),
    *(shlex.split(line)[1:] for unit in UNITS
      for line in re.findall(r"^ExecStart=(.+)$", (DEPLOY / unit).read_text(), re.MULTILINE)),
], ids=["planner.yaml", "hosts.yaml", *UNITS])  # fmt: skip
def test_the_command_has_the_options(words: list[str]) -> None:
    """What pods and units start takes every option that they give."""
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_hosts_are_probed_and_scraped_where_they_listen() -> None:
    """On the port of their command, on an address that others reach."""
    (container,) = pod_of("hosts")["containers"]
    (port,) = container["ports"]
    told = dict(zip(container["args"], container["args"][1:], strict=False))
    assert (told["--host"], told["--port"]) == ("0.0.0.0", str(port["containerPort"]))
    assert {container[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        port["name"]}
    assert one("hosts", "Service")["spec"]["ports"][0]["targetPort"] == port["name"]


@pytest.mark.parametrize("text", [(DEPLOY / "planner.toml").read_text(),
                                  *(one(file, "ConfigMap")["data"]["planner.toml"] for file in MANIFESTS)])
def test_the_settings_are_what_the_program_reads(text: str, tmp_path: Path) -> None:
    """Every name and value is allowed; folders and secrets stand where the files say, here in a folder of the test."""
    (tmp_path / "scenarios").mkdir()
    for name in ("database", "models_database"):
        (tmp_path / name).write_text("postgresql://planner@db/planner")
    (tmp_path / "name_key").write_text("a secret of many bytes")
    text = text.replace("/etc/planner", str(tmp_path)).replace("/run/secrets/planner", str(tmp_path))
    (tmp_path / "planner.toml").write_text(text)
    settings = read_settings(tmp_path / "planner.toml", {}, {})
    assert settings.host == "0.0.0.0" or settings.models_database is not None


OF_ROOT = ("useradd ", "python3.11 -m venv", "/opt/planner/.venv/bin/pip ", "chown ", "systemctl ")
"""How commands of the guide begin that make a user, install, and start the unit."""


@pytest.fixture
def installed(tmp_path: Path) -> tuple[Callable[[str], str], str]:
    """What the guide for systemd says, done in folders of the test: where they lie instead, and what was printed."""
    places = {"/etc/systemd/system": tmp_path / "units", "/etc/planner": tmp_path / "etc",
              "/var/lib/planner": tmp_path / "lib" / "planner", "/opt/planner/.venv/bin": Path(sys.executable).parent,
              "runuser -u planner -- ": ""}  # fmt: skip

    def here(text: str) -> str:
        for place, instead in places.items():
            text = text.replace(place, str(instead))
        return text

    (tmp_path / "units").mkdir()
    guide = (DEPLOY / "README.md").read_text().partition("**One machine, systemd.**")[2].partition("\n**")[0]
    commands = [line.strip() for line in guide.splitlines() if line.startswith("    ")]
    rest = [line for line in commands if not line.startswith(OF_ROOT)]
    assert len(commands) - len(rest) == len(OF_ROOT)
    done = subprocess.run(["bash", "-ec", here("\n".join(rest))], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return here, done.stdout


def test_the_guide_for_systemd_ends_in_a_service_that_is_ready(installed: tuple[Callable[[str], str], str],
                                                               tmp_path: Path) -> None:
    """Its commands, then what the unit starts with the settings of the file, but on a free port of this machine: it is
    ready, takes the key that was shown, and has the nightly plan.
    """
    here, shown = installed
    unit = here((tmp_path / "units" / "planner.service").read_text())
    (environment,) = re.findall("^Environment=(.*)$", unit, re.MULTILINE)
    (command,) = re.findall("^ExecStart=(.*)$", unit, re.MULTILINE)
    said = dict(one.split("=", 1) for one in environment.split() if one.startswith("PLANNER_"))
    (file,) = (tmp_path / "etc").glob("*.toml")
    file.write_text(here(file.read_text()))
    variables = {name: text.replace("%S", str(tmp_path / "lib")) for name, text in said.items()}
    log = tmp_path / "log"
    with log.open("w") as out:
        service = subprocess.Popen(command.split(), stderr=out, cwd=tmp_path,
                                   env=os.environ | variables | {"PLANNER_HOST": "127.0.0.1", "PLANNER_PORT": "0"})
    try:
        give_up = time.monotonic() + 120
        while (address := re.match(r"planner serves (\S+) ", log.read_text())) is None:
            assert service.poll() is None, log.read_text()
            assert time.monotonic() < give_up
            time.sleep(0.05)
        (key,) = shown.split()
        with httpx.Client(base_url=address[1], headers={"X-API-Key": key}, timeout=120) as client:
            assert client.get("/readyz").json() == {"status": "ok"}
            assert [one["name"] for one in client.get("/v1/schedules").json()["schedules"]] == ["nightly"]
            client.headers.clear()
            assert client.get("/v1/schedules").status_code == 401
    finally:
        service.terminate()
        assert service.wait(60) == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("name", UNITS)
def test_the_unit_is_valid_and_exposes_little(name: str, tmp_path: Path) -> None:
    """Systemd finds no fault with it, and rates its exposure below 3 of 10."""
    unit = (DEPLOY / name).read_text()
    (tmp_path / "planner").write_text("#!/bin/sh\n")
    (tmp_path / "planner").chmod(0o755)
    here = unit.replace("/opt/planner/.venv/bin/python", sys.executable).replace(
        "/opt/planner/.venv/bin/planner", str(tmp_path / "planner"))
    file = tmp_path / name.replace("@", "@edge-1")
    file.write_text(here)
    checked = subprocess.run(["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True,
                             check=False, timeout=60)
    assert [line for line in checked.stderr.splitlines() if file.name in line] == []
    rated = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=30", str(file)],
                           capture_output=True, text=True, check=False, timeout=60)
    assert rated.returncode == 0, rated.stdout.splitlines()[-1:]


def test_the_image_runs_without_root_and_with_what_is_pinned() -> None:
    """The last user is a number that is not root's, versions are those of constraints.txt, and SIGTERM ends it."""
    text = (DEPLOY / "Containerfile").read_text()
    (user,) = re.findall(r"^USER (\d+):\d+$", text, re.MULTILINE)
    assert user == str(pod_of("planner")["securityContext"]["runAsUser"])
    assert "--constraint constraints.txt" in text
    assert "STOPSIGNAL SIGTERM" in text
