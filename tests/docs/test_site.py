"""The documents: a tutorial that works as written, and a site without broken links or anything from elsewhere."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from planner.cli import run

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```sh(?: file=(\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_command_of_the_tutorial_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an empty folder, one after the other, each ends well."""
    monkeypatch.chdir(tmp_path)
    done = 0
    for name, text in BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")):
        if name:
            Path(name).write_text(text, encoding="utf-8")
            continue
        for line in text.splitlines():
            words = shlex.split(line)
            assert words[0] == "planner"
            assert run(words[1:]) == 0, line
            done += 1
    assert done == 7
    assert {"plan.html", "manifests", "sizes"} <= {path.name for path in tmp_path.iterdir()}


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
