"""What runs where, where requests go now, and which clusters are there."""

from __future__ import annotations

from typing import Literal

from planner.client.results import ClusterRuns, ClusterState, Directed, Json, Whereabouts
from planner.client.transport import Transport


class Fleet:
    """The fleet by the plan in force."""

    def __init__(self, to: Transport) -> None:
        self._to = to

    def direct(self, workload: str, *, region: str | None = None, key: str | None = None) -> Directed:
        """Where a request goes, sent from a user region, always the same place for the same `key`."""
        query = {"region": region, "key": key}
        return self._to.read(Directed, "GET", "/v1/direct/{workload}", {"workload": workload}, query=query)

    def where(self, workload: str, plan: str | None = None) -> Whereabouts:
        """Where a plan runs a workload; without one, the plan in force."""
        return self._to.read(Whereabouts, "GET", "/v1/where/{workload}", {"workload": workload}, query={"plan": plan})

    def runs(self, cluster: str, plan: str | None = None) -> ClusterRuns:
        """What a plan runs on a cluster."""
        return self._to.read(ClusterRuns, "GET", "/v1/clusters/{name}/runs", {"name": cluster}, query={"plan": plan})

    def health(self, cluster: str) -> ClusterState:
        """Whether requests go to a cluster, and what was reported."""
        return self._to.read(ClusterState, "GET", "/v1/clusters/{name}/health", {"name": cluster})

    def report(self, cluster: str, state: Literal["up", "down", "unknown"], by: Literal["host", "probe", "person"], *,
               source: str = "", expires_in_s: float | None = None, note: str = "") -> ClusterState:
        """Say how a cluster is. A loss counts for the next request."""
        body = {"state": state, "by": by, "source": source, "expires_in_s": expires_in_s, "note": note}
        return self._to.read(ClusterState, "PUT", "/v1/clusters/{name}/health", {"name": cluster}, body=body, safe=True)

    def profile(self, tasks: Json) -> Json:
        """What described tasks will need: the same description as `planner profile` takes. Answers by name."""
        return self._to.json("POST", "/v1/profiles/predict", body=tasks, safe=True)
