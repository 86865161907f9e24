"""A fleet with everything, its plan, and validators of manifests."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.exporters.planned import Planned, open_planned

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def fleet() -> Path:
    """Folder of a scenario and a plan of it, with copies, parts, users, zones, spot, GPUs, batch runs and fallbacks."""
    return HERE / "fleet"


@pytest.fixture(scope="session")
def planned(fleet: Path) -> Planned:
    """The plan as exporters read it."""
    return open_planned(fleet / "scenario.yaml", fleet / "plan.json")


@pytest.fixture(scope="session")
def resource_schema(shared: Path) -> Callable[[str, str], dict[str, Any] | None]:
    """Published schema of a custom resource by apiVersion and kind, strict about unknown fields; None: none here."""

    @cache
    def find(api_version: str, kind: str) -> dict[str, Any] | None:
        group, version = api_version.split("/")
        for path in sorted((shared / "data" / "schemas").glob("*/*.yaml")):
            found = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
            if (found["group"], found["names"]["kind"]) == (group, kind):
                schema = next(one for one in found["versions"] if one["name"] == version)["schema"]["openAPIV3Schema"]
                return _strict(schema, top=True)
        return None

    return find


def _strict(schema: dict[str, Any], top: bool = False) -> dict[str, Any]:
    """The schema as JSON Schema: integers or texts where both are meant, and no unknown fields."""
    made = {key: value for key, value in schema.items() if not key.startswith("x-") and key != "nullable"}
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    if "properties" in schema:
        made["properties"] = {name: _strict(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
        if top:
            made["properties"] |= {"metadata": {"type": "object"}}
    if isinstance(schema.get("items"), dict):
        made["items"] = _strict(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _strict(schema["additionalProperties"])
    return made
