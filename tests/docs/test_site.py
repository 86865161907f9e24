"""The documents: a tutorial that works as written, and a site without broken links or anything from elsewhere."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.soak
def test_every_command_of_the_tutorial_works(tmp_path: Path) -> None:
    """From an empty folder, as printed, in bash, with a service on another port: none fails, the plan that is in force
    in the end is the one mended after the loss.
    """
    programs, folder = tmp_path / "bin", tmp_path / "empty"
    programs.mkdir()
    folder.mkdir()
    (programs / "planner").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m planner "$@"\n')
    (programs / "planner").chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    text = "".join(BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))).replace("8080", port)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    out = tmp_path / "out"
    with out.open("w") as shown:
        bash = subprocess.Popen(["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=environment, stdout=shown,
                                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            assert bash.wait(600) == 0, out.read_text()[-3000:]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(bash.pid, signal.SIGKILL)
    said = out.read_text()
    states = re.findall(r'"state":"(approved|applying|in_force)"', said)
    assert states == ["approved", "in_force", "approved", "applying", "in_force", "approved", "in_force", "in_force"]
    homes = re.findall(r'"cluster": "(\w+)", "home": "(\w+)"', said)
    assert homes == [("dublin", "dublin"), ("frankfurt", "frankfurt"), ("dublin", "frankfurt")]
    assert {"plan.html", "manifests", "applied"} <= {path.name for path in folder.iterdir()}


def test_the_site_builds_strictly_and_needs_no_network(tmp_path: Path) -> None:
    """No broken link, no page outside the navigation; every command and field is there; nothing is loaded from afar."""
    built = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir",
                            str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
                           env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert built.returncode == 0, built.stderr
    pages = list(tmp_path.rglob("*.html"))
    for page in pages:
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=\"?(https?:[^\"\s>]+)|<link[^>]*rel=\"?(?:stylesheet|"
                            r"preconnect)[^>]*href=\"?(https?:[^\"\s>]+)", page.read_text(encoding="utf-8"))
        assert not loaded, page
    assert "planner import kueue" in (tmp_path / "reference" / "commands.html").read_text(encoding="utf-8")
    assert "survive_priority" in (tmp_path / "reference" / "scenario.html").read_text(encoding="utf-8")
    assert "bound_method" in (tmp_path / "reference" / "plan.html").read_text(encoding="utf-8")
    assert "/v1/plans" in (tmp_path / "reference" / "http.html").read_text(encoding="utf-8")
