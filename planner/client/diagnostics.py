"""Diagnoses, alarms and what people say of them, versions of models, and the hosts that watch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

from planner.client.results import Accepted, Hosting, Json, Retrained, RowVerdict, VersionMatrix
from planner.client.transport import Query, Transport

Severity = str
"""As the service's alarm policy has them."""


class Diagnostics:
    """Diagnoses of clusters."""

    def __init__(self, to: Transport) -> None:
        self._to = to

    def clusters(self) -> Json:
        """The fleet: every cluster with its verdict."""
        return self._to.json("GET", "/v1/diagnostics/clusters")

    def cluster(self, name: str, at: str | None = None) -> Json:
        """One cluster: alarms, drift, root causes, the model that watches it."""
        return self._to.json("GET", "/v1/diagnostics/clusters/{name}", {"name": name}, query={"at": at})

    def push(self, rows: Sequence[Mapping[str, object]]) -> Accepted:
        """Take in rows of telemetry (`cluster`, `ts`, `hosts`); a row counts once, however often it is sent."""
        body = {"rows": [dict(row) for row in rows]}
        return self._to.read(Accepted, "POST", "/v1/telemetry", body=body, safe=True)

    def verdicts(self, cluster: str, since: datetime | None = None) -> Iterator[RowVerdict]:
        """What models said of the rows of a cluster, the newest first."""
        query = {"since": None if since is None else since.isoformat()}
        template = self._to.path("/v1/clusters/{name}/verdicts", {"name": cluster})
        for page in self._to.pages(template, query):
            yield from map(RowVerdict.model_validate, page["verdicts"])

    def hosting(self) -> Hosting:
        """Who serves what by the plan in force."""
        return self._to.read(Hosting, "GET", "/v1/hosting")

    def versions(self, days: float | None = None) -> VersionMatrix:
        """Which versions of models served which hardware and software in the last days."""
        return self._to.read(VersionMatrix, "GET", "/v1/hosting/versions", query={"days": days})

    def hosted_alarms(self, hours: float | None = None) -> Json:
        """Super alarms of what hosts found."""
        return self._to.json("GET", "/v1/hosting/alarms", query={"hours": hours})

    def retraining(self, run: str | None = None) -> Retrained:
        """Steps of models that were trained again."""
        return self._to.read(Retrained, "GET", "/v1/retraining", query={"run": run})


class Alarms:
    """Super alarms, and what people say of them."""

    def __init__(self, to: Transport) -> None:
        self._to = to

    def list(self, *, cluster: str | None = None, hardware_class: str | None = None, metric: str | None = None,
             severity: Severity | None = None, state: str | None = None, acknowledged: bool | None = None
             ) -> Iterator[Json]:
        """Super alarms."""
        query: Query = {"cluster": cluster, "hardware_class": hardware_class, "metric": metric, "severity": severity,
                        "state": state, "acknowledged": acknowledged}
        for page in self._to.pages("/v1/alarms", query):
            yield from page["alarms"]

    def get(self, alarm_id: str) -> Json:
        """One super alarm."""
        return self._to.json("GET", "/v1/alarms/{alarm_id}", {"alarm_id": alarm_id})

    def acknowledge(self, alarm_id: str, note: str = "") -> Json:
        """Say that somebody looks after it."""
        path = {"alarm_id": alarm_id}
        return self._to.json("POST", "/v1/alarms/{alarm_id}/acknowledge", path, body={"note": note})

    def judge(self, alarm_id: str, verdict: Literal["true_positive", "false_positive"], *,
              alarms: Sequence[str] | None = None, note: str = "") -> Json:
        """Say whether it was right, or which of its alarms were."""
        body = {"verdict": verdict, "alarms": None if alarms is None else list(alarms), "note": note}
        return self._to.json("POST", "/v1/alarms/{alarm_id}/feedback", {"alarm_id": alarm_id}, body=body)

    def feedback(self) -> Iterator[Json]:
        """What people said, the oldest first."""
        for page in self._to.pages("/v1/alarms/feedback", {}):
            yield from page["feedback"]


class Models:
    """Versions of models of healthy hosts."""

    def __init__(self, to: Transport) -> None:
        self._to = to

    def list(self, hardware: str | None = None) -> Iterator[Json]:
        """All versions."""
        for page in self._to.pages("/v1/models", {"hardware": hardware}):
            yield from page["models"]

    def get(self, version: str) -> Json:
        """One version with everything that was tried beside it."""
        return self._to.json("GET", "/v1/models/{version}", {"version": version})

    def compare(self, versions: Sequence[str], kind: Literal["validation", "shadow"] = "validation") -> Json:
        """Versions side by side, the first compared with the others."""
        return self._to.json("GET", "/v1/models/compare", query={"version": list(versions), "kind": kind})

    def history(self, hardware: str | None = None) -> Iterator[Json]:
        """Who changed what, when and why, the oldest first."""
        for page in self._to.pages("/v1/models/history", {"hardware": hardware}):
            yield from page["history"]

    def promote(self, version: str, why: str, expect: str | None = None) -> Json:
        """Let a candidate serve. `expect`: the version that serves now, `none` where none does."""
        path, body = {"version": version}, {"why": why, "expect": expect}
        return self._to.json("POST", "/v1/models/{version}/promote", path, body=body)

    def rollback(self, hardware: str, why: str, *, to: str = "last-known-good", expect: str | None = None) -> Json:
        """Let an earlier stable version serve again."""
        body = {"hardware": hardware, "why": why, "to": to, "expect": expect}
        return self._to.json("POST", "/v1/models/rollback", body=body)
