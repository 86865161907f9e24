"""Scenarios: sent, kept version by version, compared, retired."""

from __future__ import annotations

import json
from collections.abc import Iterator

from planner.client.results import Json, ScenarioChange, ScenarioState, ScenarioVersion
from planner.client.transport import Transport

JSON = "application/json"


class Scenarios:
    """Scenarios that jobs may name."""

    def __init__(self, to: Transport) -> None:
        self._to = to

    def send(self, scenario: Json | bytes, *, media_type: str = JSON, why: str = "", after: ScenarioState | None = None
             ) -> ScenarioVersion:
        """Keep a scenario under its own name as its newest version: its fields, or bytes of JSON, YAML
        (`application/yaml`), or a folder as a zip or gzipped tar (`application/zip`, `application/gzip`). The same
        content is the same version, so it may be sent twice. With `after`, only if that is still how it stands.

        Raises InvalidError with every mistake, ConflictError, StaleError.
        """
        content = scenario if isinstance(scenario, bytes) else json.dumps(scenario).encode()
        headers = {"Content-Type": media_type}
        if after is not None:
            headers["If-Match"] = after.etag
        return self._to.read(ScenarioVersion, "POST", "/v1/scenarios", query={"why": why or None}, content=content,
                             headers=headers, safe=after is None)

    def list(self) -> Iterator[ScenarioState]:
        """Those of the service's folder and those that were sent, by name."""
        for page in self._to.pages("/v1/scenarios", {}):
            yield from map(ScenarioState.model_validate, page["scenarios"])

    def get(self, name: str) -> ScenarioState:
        """A scenario and its newest version."""
        response = self._to.ask("GET", "/v1/scenarios/{name}", {"name": name})
        found = ScenarioState.model_validate_json(response.content)
        return found.model_copy(update={"etag": response.headers.get("ETag", "")})

    def versions(self, name: str) -> Iterator[ScenarioVersion]:
        """Versions of a scenario, the newest first."""
        for page in self._to.pages(self._to.path("/v1/scenarios/{name}/versions", {"name": name}), {}):
            yield from map(ScenarioVersion.model_validate, page["versions"])

    def version(self, name: str, version: str) -> ScenarioVersion:
        """One of them, by its first letters."""
        path = {"name": name, "version": version}
        return self._to.read(ScenarioVersion, "GET", "/v1/scenarios/{name}/versions/{version}", path)

    def content(self, name: str, version: str) -> bytes:
        """What was sent: JSON, or a zip of the folder."""
        path = {"name": name, "version": version}
        return self._to.ask("GET", "/v1/scenarios/{name}/versions/{version}/content", path).content

    def diff(self, name: str, version: str, other: str) -> Iterator[ScenarioChange]:
        """What changes from a version to another one, field by field."""
        path = {"name": name, "version": version, "other": other}
        address = self._to.path("/v1/scenarios/{name}/versions/{version}/diff/{other}", path)
        for page in self._to.pages(address, {}):
            yield from map(ScenarioChange.model_validate, page["changes"])

    def retire(self, name: str, version: str) -> ScenarioVersion:
        """Let nothing new be asked of a version."""
        path = {"name": name, "version": version}
        return self._to.read(ScenarioVersion, "POST", "/v1/scenarios/{name}/versions/{version}/retire", path, safe=True)

    def remove(self, name: str, version: str) -> None:
        """Remove a version that no job refers to. Raises ConflictError."""
        path = {"name": name, "version": version}
        self._to.ask("DELETE", "/v1/scenarios/{name}/versions/{version}", path)
