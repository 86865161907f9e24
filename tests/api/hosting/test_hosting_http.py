"""Telemetry in and verdicts out over HTTP."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from api.database.engine import engine_of
from api.database.tenancy import DEFAULT, of_tenant
from api.hosting.rollouts import note


def row(cluster: str, ts: str, **values: float) -> dict[str, Any]:
    return {"cluster": cluster, "ts": ts, "hosts": {"host-1": values}}


def test_rows_are_taken_in_and_verdicts_given_out(
    serve: Any,
    tmp_path: Path,
    fleet: Any,
    models: Path,
    start_process: Callable[..., Any],
    eventually: Callable[..., Any],
    watched: dict[str, Any],
) -> None:
    """A plan of the service places the diagnostics; rows that come by HTTP are scored by the host of their cluster;
    what is wrong with a row is said; who serves what can be asked.
    """
    served = serve(models=models)
    http: httpx.Client = served.http
    assert http.get("/v1/hosting").status_code == 404
    plan = served.ended(served.ask({"scenario": watched}).json()["id"])
    assert plan["status"] == "done", plan
    database = f"sqlite:///{tmp_path / 'data' / 'planner.sqlite'}"
    start_process("a", database, models)
    sent = [{"cluster": "a", "ts": f"2026-09-21T{hour:02}:00:00Z", "hosts": hosts}
            for hour, (_, hosts) in enumerate(fleet(1)["a"])]  # fmt: skip
    answer = http.post("/v1/telemetry", json={"rows": [*sent, row("A", "2026-09-21T00:00:00Z", iops=1)]})
    assert answer.json() == {
        "stored": 24,
        "again": 0,
        "refused": ["cluster: 'A': not a cluster of the plan in force; 1 row is not stored"],
    }
    assert http.post("/v1/telemetry", json={"rows": sent}).json()["again"] == 24
    found = eventually(lambda: len(http.get("/v1/clusters/a/verdicts").json()["verdicts"]) == 24
                       and http.get("/v1/clusters/a/verdicts?limit=5").json()["verdicts"])  # fmt: skip
    assert [one["ts"] for one in found] == [f"2026-09-21T{hour:02}:00:00Z" for hour in (23, 22, 21, 20, 19)]
    assert {one["status"] for one in found} <= {"ok", "alarm"}
    work = {one["workload"]: one for one in http.get("/v1/hosting").json()["work"]}
    assert work["diagnostics-a"]["served_on"] == "a"
    assert work["diagnostics-a"]["waiting_rows"] == 0
    assert http.get("/v1/clusters/nowhere/verdicts").status_code == 404
    note(of_tenant(engine_of(database), DEFAULT), ("run-1", "training", "mixed-disk"), "ingest", "go_on", {"values": 3})
    assert http.get("/v1/retraining").json()["steps"][0]["detail"] == {"values": 3}
    refuses_what_is_no_row(http)


def refuses_what_is_no_row(http: httpx.Client) -> None:
    """Each mistake by its place; where nothing is stored the answer is a problem."""
    for body, says in (
        ({"rows": []}, "body: rows"),
        ({"rows": [row("a", "2026-09-21T00:00:00", iops=1)]}, "timezone"),
        ({"rows": [row("a", "2026-09-21T00:00:00Z")]}, "no finite value"),
        ({"rows": [row("x", "2026-09-21T00:00:00Z", iops=1)]}, "cluster: 'x': not a cluster of the plan in force"),
        ({"rows": [row("a", "2226-09-21T00:00:00Z", iops=1)]}, "more than 5 minutes ahead"),
        ({"rows": [row("a", "2026-09-21T00:00:00Z", iops=1) | {"more": 1}]}, "more"),
    ):
        answer = http.post("/v1/telemetry", json=body)
        assert answer.status_code == 422, answer.text
        assert says in answer.text, answer.text
