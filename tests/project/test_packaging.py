"""The project's own promises: dependencies with reasons, pinned versions, arrows between packages."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("planner", "placement", "forecasting", "diagnostics", "api")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMPORTED_AS = {"mlflow-skinny": "mlflow", "opentelemetry-exporter-otlp-proto-http": "opentelemetry",
               "opentelemetry-sdk": "opentelemetry", "prometheus-client": "prometheus_client", "pyjwt": "jwt",
               "pyyaml": "yaml", "scikit-learn": "sklearn"}
LOADED_BY_NAME = {"httptools", "uvloop"}
"""What uvicorn loads by name."""
COMES_WITH = {"markupsafe": "jinja2", "starlette": "fastapi", "pydantic_core": "pydantic"}
"""Modules that are the public foundation of a declared dependency."""


def names(requirements: list[str]) -> set[str]:
    """Names of requirements, normalised."""
    return {re.split(r"[\s<>=!~\[;]", line, maxsplit=1)[0].lower().replace("_", "-") for line in requirements}


def everything() -> list[str]:
    """Requirements of the packages, of all that may be added to them, and of those who work on them."""
    return PROJECT["dependencies"] + [line for more in PROJECT["optional-dependencies"].values() for line in more]


def imported() -> set[str]:
    """Top-level modules that the five packages import."""
    found = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    found.add(node.module.split(".")[0])
    return found


def test_constraints_are_bare_pins_of_everything() -> None:
    """constraints.txt has one `name==version` a line, sorted, and covers every dependency."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.+]+", line) for line in lines)
    assert lines == sorted(lines, key=lambda line: line.split("==")[0])
    assert names(everything()) <= names(lines)


def test_every_dependency_has_a_reason() -> None:
    """docs/dependencies.md names each direct dependency and no other."""
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE)
    assert set(rows) == names(everything())
    assert len(rows) == len(set(rows))


def test_dependencies_are_what_is_imported() -> None:
    """Every declared dependency is imported by the packages, and every import is declared."""
    to_run = names(everything()) - names(PROJECT["optional-dependencies"]["dev"])
    declared = {IMPORTED_AS.get(name, name) for name in to_run} - LOADED_BY_NAME
    used = imported() - set(sys.stdlib_module_names) - set(PACKAGES) - set(COMES_WITH)
    assert used == declared


def test_imports_follow_the_arrows() -> None:
    """The service knows the planner, the planner the three engines, and these do not know each other; no cycles."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs"])
def test_links_between_documents_lead_somewhere(path: str) -> None:
    """Relative links and pictures in the documents exist."""
    files = sorted((ROOT / path).rglob("*.md")) if (ROOT / path).is_dir() else [ROOT / path]
    for file in files:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", file.read_text()):
            assert (file.parent / target).exists(), f"{file.name}: {target}"
