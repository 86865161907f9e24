"""Hosting over HTTP and on the command line: telemetry in, verdicts out, where is what, and who saw it."""

import shutil
from collections.abc import Callable
from json import dumps
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from typer.testing import CliRunner

from api.database.engine import engine_of
from api.database.tables import cursors, verdicts
from api.database.tenancy import DEFAULT, of_tenant
from api.hosting.rollouts import note
from diagnostics.store import ModelStore, NewVersion
from planner.cli import app

Json = dict[str, Any]
LATER = 1_790_640_000
"""After all rows that are sent."""


@pytest.fixture(scope="module")
def served(
    serve_long: Any, start_long: Callable[..., Any], model_files: Path, watched_scenario: Callable[[], Json],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:  # fmt: skip
    """A service with a plan in force that watches a and b and a policy of alarms, and the host of a."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(model_files, folder / "models")
    (folder / "alarms.yaml").write_text("users: [{match: {cluster: a}, affected: 0.5}]", encoding="utf-8")
    nobody = {"name": "nobody", "kind": "webhook", "url": "http://127.0.0.1:1/", "about": ["alarm"]}
    served = serve_long(folder / "data", models=folder / "models", watch={"alarms": str(folder / "alarms.yaml")},
                        channels=[nobody])
    scenario = watched_scenario()
    scenario["clusters"][1]["software_version"] = "7.2"
    scenario["model_stores"] = [{"name": "dublin", "region": "aws/eu-west-1"}]
    assert served.http.get("/v1/hosting").status_code == 404
    plan = served.ended(served.ask({"scenario": scenario}).json()["id"])
    assert plan["status"] == "done", plan
    start_long("a", served.database, folder / "models")
    return served


def row(cluster: str, ts: str, **values: float) -> Json:
    return {"cluster": cluster, "ts": ts, "hosts": {"host-1": values}}


def test_rows_are_taken_in_and_verdicts_given_out(served: Any, fleet: Any, eventually: Callable[..., Any]) -> None:
    """A plan of the service places the diagnostics; rows that come by HTTP are scored by the host of their cluster;
    what is wrong with a row is said; who serves what can be asked.
    """
    http: httpx.Client = served.http
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
    assert {one["model_store"] for one in work.values()} == {"dublin"}
    assert http.get("/v1/clusters/nowhere/verdicts").status_code == 404
    engine = of_tenant(engine_of(served.database), DEFAULT)
    note(engine, ("run-1", "training", "mixed-disk"), "ingest", "go_on", {"values": 3})
    engine.dispose()
    assert http.get("/v1/retraining").json()["steps"][0]["detail"] == {"values": 3}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"rows": []}, "body: rows"),
        ({"rows": [row("a", "2026-09-21T00:00:00", iops=1)]}, "timezone"),
        ({"rows": [row("a", "2026-09-21T00:00:00Z")]}, "no finite value"),
        ({"rows": [row("x", "2026-09-21T00:00:00Z", iops=1)]}, "cluster: 'x': not a cluster of the plan in force"),
        ({"rows": [row("a", "2226-09-21T00:00:00Z", iops=1)]}, "more than 5 minutes ahead"),
        ({"rows": [row("a", "2026-09-21T00:00:00Z", iops=1) | {"more": 1}]}, "more"),
    ],
)
def test_what_is_no_row_is_refused(served: Any, body: Json, says: str) -> None:
    """Each mistake by its place; where nothing is stored the answer is a problem."""
    answer = served.http.post("/v1/telemetry", json=body)
    assert answer.status_code == 422, answer.text
    assert says in answer.text, answer.text


def test_it_is_asked_from_the_command_line(
    served: Any, tmp_path: Path, fleet: Any, model_files: Path, eventually: Callable[..., Any]
) -> None:
    """A file of telemetry goes into the streams of a service; where, runs and versions then say who served it."""
    rows = [{"cluster": "b", "host": host, "hardware_class": "mixed-disk", "metric": metric,
             "ts": pd.Timestamp(f"2026-09-21T{hour:02}:00Z"), "value": value}
            for hour, (_, hosts) in enumerate(fleet(1)["b"]) for host, values in hosts.items()
            for metric, value in values.items()]  # fmt: skip
    file = tmp_path / "rows.parquet"
    pd.DataFrame(rows).to_parquet(file)
    asked = CliRunner()

    def planner(*words: str) -> str:
        done = asked.invoke(app, [*words, "--service", str(served.http.base_url)])
        assert done.exit_code == 0, done.output
        return done.output

    assert "24 rows stored, 0 were there already" in planner("telemetry", "ingest", str(file))
    assert "0 rows stored, 24 were there already" in planner("telemetry", "ingest", str(file))
    version = ModelStore(model_files).serving("mixed-disk").id
    said = eventually(lambda: f"{version} (24 rows)" in planner("where", "diagnostics-b") and
                      planner("where", "diagnostics-b"))  # fmt: skip
    plan_id = served.http.get("/v1/plans").json()["plans"][0]["id"]
    assert f"{plan_id}: draft; nothing of its scenario is in force" in said
    assert "diagnostics-b" in planner("runs", "a")
    matrix = planner("versions", "--days", "400")
    assert "7.2" in matrix
    assert version in matrix
    nothing = asked.invoke(app, ["where", "diagnostics-x", "--service", str(served.http.base_url)])
    assert nothing.exit_code != 0


def test_models_are_listed_promoted_and_rolled_back_without_recorded_telemetry(served: Any) -> None:
    """The service of hosts, which was given models and no file of telemetry: over HTTP with who and why, and on pages,
    which offer nothing that needs such a file.
    """
    http: httpx.Client = served.http
    store = ModelStore(Path(served.database.removeprefix("sqlite:///")).parents[1] / "models")
    first, second = (store.register(NewVersion("tape", f"{at:064d}", "rows", "code", "0" * 64, {"at": at}, {}),
                                    b"tape", "trainer", "made for a test").id for at in (1, 2))  # fmt: skip
    serving = store.serving("mixed-disk")
    store.close()
    assert serving is not None
    known = {one["id"]: one for one in http.get("/v1/models").json()["models"]}
    assert (known[serving.id]["serves"], known[first]["serves"]) == (True, False)
    assert http.get(f"/v1/models/{second}").json()["stage"] == "candidate"
    for name in (first, second):
        assert http.post(f"/v1/models/{name}/promote", json={"why": "better on tape"}).json()["after"] == name
    back = http.post("/v1/models/rollback", json={"hardware": "tape", "why": "floods us"}).json()
    assert (back["before"], back["after"], back["by"]) == (second, first, "local")
    told = http.get("/v1/models/history", params={"hardware": "tape"}).json()["history"]
    assert [one["why"] for one in told] == ["made for a test"] * 2 + ["better on tape"] * 2 + ["floods us"]
    listed = http.get("/models", params={"hardware": "tape"}).text
    assert all(word in listed for word in (first, second, "floods us"))
    assert "Train a candidate" not in listed
    assert "retired" in http.get(f"/models/{second}").text
    assert "Measure them" not in http.get("/models/compare", params={"version": [first, second]}).text


def test_who_reads_verdicts_is_on_record(served: Any) -> None:
    """Reads of what tells of telemetry stand in the record with what was asked for and what came of it; others not."""
    http: httpx.Client = served.http
    before = http.get("/v1/audit").json()["entries"][0]["seq"]
    assert http.get("/v1/clusters/z/verdicts").status_code == 404
    assert http.get("/v1/clusters/a/verdicts?limit=5").status_code == 200
    assert http.get("/v1/hosting").status_code == 200
    assert http.get("/v1/hosting/alarms").status_code == 200
    found = [one for one in reversed(http.get("/v1/audit").json()["entries"]) if one["seq"] > before]
    assert [(one["action"], one["target"], one["result"]) for one in found] == [
        ("GET /v1/clusters/{name}/verdicts", "/v1/clusters/z/verdicts", "404"),
        ("GET /v1/clusters/{name}/verdicts", "/v1/clusters/a/verdicts?limit=5", "200"),
        ("GET /v1/hosting/alarms", "/v1/hosting/alarms", "200"),
    ]


def test_alarms_of_hosts_go_by_the_policy_of_the_watch(served: Any, eventually: Callable[..., Any]) -> None:
    """What the policy says that users of a notice pages; of b nobody says anything. People are told of what lasts."""
    said = {"model_version": "m", "status": "alarm", "score": 9.0, "threshold": 3.0, "workload": "w", "host": "h",
            "epoch": 1, "seconds": 0.1}  # fmt: skip
    alarm = {"host": "host-1", "metric": "read_latency_ms", "value": 40.0, "expected": 4.0, "z": 12.0}
    engine = of_tenant(engine_of(served.database), DEFAULT)
    with engine.begin() as connection:
        connection.execute(verdicts.insert(), [said | {"cluster": cluster, "ts": LATER + at, "alarms": dumps([alarm])}
                                               for cluster, at in (("a", 0), ("b", 7200))])  # fmt: skip
        connection.execute(cursors.insert().values(workload="w", cluster="b", number=1))
    engine.dispose()
    found = served.http.get("/v1/hosting/alarms?hours=3").json()["super_alarms"]
    assert [(one["severity"], one["users_affected"]) for one in found] == [("page", 0.5), ("ticket", None)]

    def told() -> list[tuple[str, bool]]:
        rows = served.http.get("/v1/notifications", params={"channel": "nobody"}).json()["notifications"]
        return [(row["severity"], row["resolved"]) for row in rows if row["fields"].get("clusters") == "b"]

    assert eventually(told) == [("warning", False)]
