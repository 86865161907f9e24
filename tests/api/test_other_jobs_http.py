"""Jobs of other kinds than plans: models trained and measured, tables and telemetry checked."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from diagnostics.synthetic import Site, make_fleet
from planner.cli import run

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
SETS = ROOT / "tests" / "diagnostics" / "training" / "small.yaml"


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Json]:
    """Settings of a service that holds telemetry of two countries, and a table with rules and a baseline."""
    folder = tmp_path_factory.mktemp("held")
    sites = [Site("c-br", "mixed-disk", "BR", 4), Site("c-pt", "mixed-disk", "PT", 4)]
    rows = make_fleet(sites, 12, 0).frame()
    countries = rows["cluster"].map({"c-br": "BR", "c-pt": "PT"}).astype(object)
    rows.assign(country=countries).to_parquet(folder / "rows.parquet")
    tables = folder / "tables"
    tables.mkdir()
    good = pd.DataFrame({"age": [20.0 + n % 40 for n in range(400)], "sex": ["f", "m"] * 200})
    good.to_csv(tables / "good.csv", index=False)
    good.assign(age=good.age + 30).to_csv(tables / "today.csv", index=False)
    assert run(["data", "propose", str(tables / "good.csv"), "-o", str(tables / "rules.json")]) == 0
    return {"telemetry": folder / "rows.parquet", "tables": tables, "feature_sets": SETS, "workers": 1}


def done(service: Any, kind: str, request: Json) -> Json:
    """Ask for a job and wait for its end."""
    asked = service.http.post("/v1/jobs", json={"kind": kind, "request": request})
    assert asked.status_code == 202, asked.text
    give_up = time.monotonic() + 300
    while time.monotonic() < give_up:
        state: Json = service.http.get(f"{asked.headers['Location']}/result").json()
        if state["status"] not in ("queued", "running"):
            assert state["address"] == f"/v1/jobs/{state['id']}/result"
            return state
        time.sleep(0.1)
    raise AssertionError(f"still {state}")


@pytest.mark.soak
def test_models_are_trained_and_measured(serve: Any, held: Json) -> None:
    """Two trainings register candidates and promote none; measured on the same rows they are told apart from chance;
    a version that is not there fails the job with its name.
    """
    service = serve(**held)
    asked = {"hardware": "mixed-disk", "countries": "all", "time_limit_s": 1.0}
    first, second = (done(service, "train", asked | {"seed": seed})["result"] for seed in (0, 1))
    assert (first["serving"], first["id"] == second["id"]) == (None, False)
    found = done(service, "evaluate", {"versions": [first["id"], second["id"]]})
    assert {row["loss"] for row in found["result"]["differences"]} >= {"false_alarms", "missed_faults"}
    lost = done(service, "evaluate", {"versions": [first["id"], "nope"]})
    assert lost["status"] == "failed"
    assert "nope" in lost["errors"][0]


@pytest.mark.soak
def test_what_may_be_trained_on_is_known_of_the_scenario(serve: Any, held: Json, tiny: Json, tmp_path: Path) -> None:
    """Rows without a country are trained on where the scenario says where their cluster is, of those alone that opted
    in there.
    """
    rows = make_fleet([Site(name, "mixed-disk", "IE", 4) for name in ("cheap", "dear")], 12, 0).frame()
    rows.drop(columns="country", errors="ignore").to_parquet(tmp_path / "rows.parquet")
    tiny["clusters"][0]["telemetry_opt_in"] = True
    (tmp_path / "scenario.yaml").write_text(json.dumps(tiny))
    watch = {"scenario": str(tmp_path / "scenario.yaml")}
    service = serve(**held | {"telemetry": tmp_path / "rows.parquet", "watch": watch})
    found = done(service, "train", {"hardware": "mixed-disk", "time_limit_s": 1.0})
    assert found["status"] == "done", found["errors"]
    assert list(found["result"]["left_out"]) == ["cluster opted out"]
    assert (found["result"]["parameters"]["data"]["hosts"], found["result"]["parameters"]["data"]["countries"]) == (
        4, ["IE"])


def test_tables_and_telemetry_are_checked(serve: Any, held: Json) -> None:
    """A table that moved by thirty years has drifted from its baseline; telemetry is diagnosed as at its address."""
    telemetry = ROOT / "examples" / "hybrid" / "telemetry.parquet"
    service = serve(**held | {"telemetry": telemetry})
    found = done(service, "validate", {"table": "today", "config": "rules", "baseline": "good"})["result"]
    assert found["interpretation"]["drift"]["state"] != "passed"
    diagnosed = done(service, "drift", {})["result"]
    assert diagnosed == service.http.get("/v1/diagnostics/clusters").json()


@pytest.mark.parametrize(("kind", "request_", "says"), [
    ("train", {}, "request: hardware: Field required"),
    ("train", {"hardware": "a", "hardwear": "b"}, "request: hardwear"),
    ("evaluate", {"versions": ["one"]}, "request: versions"),
    ("validate", {"table": "todai", "config": "rules"}, "request: config: 'rules': not known; this service has none"),
    ("drift", {"a": 1}, "request: a"),
    ("forecast", {"history": "../secret", "horizon": "1h"}, "request: history: '../secret': not known"),
])
def test_what_makes_no_sense_is_refused_at_once(service: Any, kind: str, request_: Json, says: str) -> None:
    """The mistake is named before anything is queued."""
    found = service.http.post("/v1/jobs", json={"kind": kind, "request": request_})
    assert found.status_code == 422
    assert found.json()["detail"].startswith(says), found.text


def test_the_same_key_makes_one_job(service: Any) -> None:
    """A request that is sent again under its key gives the job of the first time; another one is refused."""
    body: Json = {"kind": "drift", "request": {}}
    first, again = (service.http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "j1"}) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    other = service.http.post("/v1/jobs", json=body | {"priority": 3}, headers={"Idempotency-Key": "j1"})
    assert other.status_code == 422
