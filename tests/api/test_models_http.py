"""Versions of models over HTTP: who serves, who changed it, and what cannot be done."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from api.database.engine import engine_of
from api.diagnoses import Diagnoses
from api.marks import Marks
from api.settings import Settings
from diagnostics.store import ModelStore, NewVersion

ROOT = Path(__file__).resolve().parents[2]
Watching = tuple[Any, dict[str, list[str]], Path]


def registered(store: ModelStore, hardware: str, number: int) -> str:
    """One more version."""
    made = NewVersion(hardware, f"{number:064d}", "rows.parquet", "code", "0" * 64, {"number": number},
                      {"relative_error": 0.1 * number})
    return store.register(made, f"{hardware} {number}".encode(), "trainer", "made for a test").id


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory, serve_long: Any) -> Watching:
    """A service with a store of three candidates for each of several classes, their ids, and the folder of the store.
    """
    tmp_path = tmp_path_factory.mktemp("models")
    store = ModelStore(tmp_path / "models")
    ids = {name: [registered(store, name, number) for number in (1, 2, 3)] for name in ("mixed-disk", "tape", "nvme")}
    store.close()
    telemetry = ROOT / "examples" / "hybrid" / "telemetry.parquet"
    return serve_long(tmp_path / "data", telemetry=telemetry, models=tmp_path / "models"), ids, tmp_path / "models"


def test_a_life_of_versions(watching: Watching) -> None:
    """Promoted, compared, rolled back: history names who, when and why; a diagnosis does without a broken one."""
    http, (first, second, third) = watching[0].http, watching[1]["mixed-disk"]
    mixed = http.get("/v1/models", params={"hardware": "mixed-disk"}).json()["models"]
    assert [one["id"] for one in mixed] == [first, second, third]
    assert len(http.get("/v1/models").json()["models"]) == 9
    assert http.get("/v1/models", params={"hardware": "unknown"}).json()["models"] == []
    for name, before in ((first, None), (second, first)):
        event = http.post(f"/v1/models/{name}/promote", json={"why": "better"}).json()
        assert (event["action"], event["before"], event["after"], event["by"]) == ("promote", before, name, "local")
    cluster = http.get("/v1/diagnostics/clusters/onprem-ashburn").json()
    (model,) = cluster["models"]
    assert (model["hardware_class"], model["version"]) == ("mixed-disk", None)
    assert "read without a model: no skops file" in model["sentence"]  # these files are no models
    compared = http.get("/v1/models/compare", params={"version": [first, second]}).json()
    assert compared["parameters"]["number"] == [1, 2]
    back = http.post("/v1/models/rollback", json={"hardware": "mixed-disk", "why": "floods us"}).json()
    assert (back["after"], back["why"]) == (first, "floods us")
    told = http.get("/v1/models/history", params={"hardware": "mixed-disk"}).json()["history"]
    assert [event["action"] for event in told] == ["register"] * 3 + ["promote"] * 2 + ["rollback"]
    assert http.get(f"/v1/models/{second[:6]}").json()["stage"] == "retired"


def test_what_cannot_be_done_changes_nothing(watching: Watching) -> None:
    """A version typed wrong, no earlier stable version, no reason, a changed file: a problem each, and no change."""
    served, ids, folder = watching
    first, second, _ = ids["tape"]
    answers: list[tuple[int, str]] = []

    def ask(address: str, body: Any) -> None:
        answer = served.http.post(address, json=body)
        answers.append((answer.status_code, answer.json()["detail"]))

    ask(f"/v1/models/{first[:-1]}x/promote", {"why": "better"})
    ask("/v1/models/rollback", {"hardware": "tape", "why": "bad"})
    ask(f"/v1/models/{first}/promote", {"why": ""})
    ask(f"/v1/models/{first}/promote", {"why": "better", "expect": second})
    for file in (folder / "files").rglob("*"):
        if file.is_file() and file.read_bytes() == b"tape 1":
            file.chmod(0o600)
            file.write_bytes(b"another")
    ask(f"/v1/models/{first}/promote", {"why": "better"})
    assert [status for status, _ in answers] == [404, 409, 422, 409, 409]
    assert "did you mean" in answers[0][1]
    assert "no version was promoted yet" in answers[1][1]
    history = served.http.get("/v1/models/history", params={"hardware": "tape"}).json()["history"]
    assert [event["action"] for event in history] == ["register"] * 3


def test_of_two_promotions_at_once_one_counts(watching: Watching) -> None:
    """Both expect that nobody serves: one is told that the other was faster."""
    served, ids, _ = watching
    first, second, _ = ids["nvme"]
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(served.http.post, f"/v1/models/{name}/promote", json={"why": "w", "expect": "none"})
                 for name in (first, second)]
        answers = [one.result() for one in asked]
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert "nothing changed" in next(answer for answer in answers if answer.status_code == 409).json()["detail"]


def test_a_service_without_telemetry_has_models_once_a_host_has_trained_them(tmp_path: Path) -> None:
    """They are in the data folder, as nobody said where; looking for changes makes nothing there."""
    settings = Settings(data=tmp_path)
    diagnoses = Diagnoses(settings, Marks(engine_of(settings.store)))
    assert diagnoses.changes() == 0
    assert not settings.model_folder.exists()
    store = ModelStore(settings.model_folder)
    version = registered(store, "tape", 1)
    store.close()
    assert diagnoses.changes() == 1
    assert [one.id for one in diagnoses.models.versions()] == [version]
    diagnoses.close()
