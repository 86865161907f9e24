"""The threat model: every threat names tests that are there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_threat_names_tests_that_exist() -> None:
    """docs/security.md has at least one test for every threat, and each of them is defined under tests/."""
    rows = re.findall(r"^\| (?!threat|---)(.+?) \| .+ \| (.+) \|$", (ROOT / "docs" / "security.md").read_text(), re.M)
    modules = [ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("test_*.py")]
    defined = {node.name for module in modules for node in module.body if isinstance(node, ast.FunctionDef)}
    assert len(rows) > 15
    for threat, tests in rows:
        named = re.findall(r"`(test_\w+)`", tests)
        assert named, threat
        assert set(named) <= defined, (threat, set(named) - defined)
