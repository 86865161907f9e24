"""Profiles over HTTP: from a description, from past demand, from both, with what past tasks of the service teach."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from math import pi, sin
from pathlib import Path
from typing import Any

import pytest

from planner.cli import run

Json = dict[str, Any]
START = datetime(2026, 11, 2, tzinfo=UTC)
ETL: Json = {"kind": "etl", "description": "Transform medical claims into tables for training",
             "task": {"volume_gb": 800, "cadence": "daily", "window_hours": 4}}
POINTS = [{"ts": f"{START + timedelta(hours=at):%Y-%m-%dT%H:%M:%SZ}", "value": round(400 + 150 * sin(at * pi / 12), 2)}
          for at in range(-14 * 24, 0)]
"""Two weeks of demand, between 250 and 550, the highest at six."""


def ask(service: Any, status: int = 200, **body: Any) -> Json:
    """What one task needs, or the problem."""
    answer = service.http.post("/v1/profiles/predict", json=body, timeout=180)
    assert answer.status_code == status, answer.text
    found: Json = answer.json()
    return found[body.get("name", "task")] if status == 200 else found


def figures(profile: Json) -> dict[str, Json]:
    return {figure["name"]: figure for figure in profile["figures"]}


def test_past_tasks_correct_what_is_predicted_and_the_three_nearest_are_shown(
        service: Any, past_tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its description alone a task gets what `planner profile --library` says: corrected, with the three past tasks
    most like it and what these used.
    """
    found = ask(service, **ETL)
    assert figures(found)["storage_gb"]["source"] == "both"
    near = found["neighbours"]
    assert len({one["application"] for one in near}) == 3
    assert [one["likeness"] for one in near] == sorted((one["likeness"] for one in near), reverse=True)
    assert all(one["used"]["storage_gb"] > 0 for one in near)
    (tmp_path / "task.json").write_text(json.dumps(ETL))
    assert run(["profile", str(tmp_path / "task.json"), "--library", str(past_tasks), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found


def test_what_a_run_teaches_counts_from_the_next_request_on(service: Any, past_tasks: Path, tmp_path: Path) -> None:
    """`planner learn` adds the first run of its kind to the library that the service reads: it is the nearest past task
    at once, and no other kind has it. A library with a mistake is told by row, until it is mended.
    """
    task = ETL | {"kind": "feature", "application": "ward-seven"}
    (tmp_path / "task.yaml").write_text(json.dumps(task))
    (tmp_path / "used.yaml").write_text(json.dumps({"used": {"vcpu": 4, "memory_gib": 90, "replicas": 20}}))
    before = past_tasks.read_bytes()
    assert ask(service, **task)["neighbours"] == []
    try:
        learned = ["learn", str(tmp_path / "task.yaml"), str(tmp_path / "used.yaml"), "--library", str(past_tasks)]
        assert run(learned) == 0
        (near,) = ask(service, **task)["neighbours"]
        assert (near["application"], near["used"]["memory_gib"]) == ("ward-seven", 90)
        assert "ward-seven" not in str(ask(service, **ETL)["neighbours"])
        past_tasks.write_bytes(before + b",etl,,,,,,,,,,,,4,,,,,,,\n")
        assert "library.csv: row 41: application: missing" in ask(service, 422, **task)["detail"]
    finally:
        past_tasks.write_bytes(before)
    assert ask(service, **task)["neighbours"] == []


def test_past_demand_alone_says_how_many_hour_by_hour(service: Any) -> None:
    """Without a word of description: replicas of the week after the history, with an interval; of serving the size of a
    replica by formulas and past tasks, of other work what is given of it.
    """
    served = ask(service, kind="serving", history={"rows": POINTS, "per_replica": 40})
    assert len(served["replicas"]) == 168
    day = served["replicas"][:24]
    assert max(day) == day[6] > day[18] == min(day)
    assert all(low <= high for low, high in zip(served["replicas_low"], served["replicas"], strict=True))
    count, demand = figures(served)["replicas"], figures(served)["demand"]
    assert (count["source"], demand["source"]) == ("history", "history")
    assert 500 < demand["low"] <= demand["value"] < 600
    assert served["request"]["vcpu"] > 0
    assert served["neighbours"]
    given = {"vcpu": 4, "memory_gib": 16}
    rows = ask(service, kind="etl", history={"rows": POINTS, "per_replica": 40}, request=given)
    assert rows["request"] | given == rows["request"]
    assert rows["replicas"][6] == -(-demand["value"] // 40)
    assert figures(rows)["vcpu"]["source"] == "stated"


def test_with_both_the_history_says_how_much_and_the_description_what_a_replica_does(service: Any) -> None:
    """The load is that of the history, also where the words state another; what one replica answers is the model's."""
    words = "Answer 5 requests a second in real time"
    model = {"model": "xgboost", "hyperparameters": {"trees": 500, "max_depth": 6}}
    alone = ask(service, kind="serving", description=words, task=model)
    both = ask(service, kind="serving", description=words, task=model, history={"rows": [
        point | {"value": 40 * point["value"]} for point in POINTS]})
    assert both["per_replica"] == alone["per_replica"]
    assert both["latency_ms"] == alone["latency_ms"] == 100
    assert max(both["replicas"]) > max(alone["replicas"])
    assert len(set(both["replicas"])) > 1 == len(set(alone["replicas"]))


@pytest.mark.parametrize(("kind", "history", "words"), [
    ("serving", {"rows": [POINTS[0] | {"ts": "0001-01-01T00:00:00+05:00"}]}, "not a time"),
    ("serving", {"rows": [POINTS[0] | {"ts": "9999-01-01T00:00:00Z"}]}, "from 1678 to 2261"),
    ("serving", {"rows": [POINTS[0] | {"value": "40"}]}, "a number: write 40"),
    ("serving", {"rows": POINTS * 7}, "2,352 rows: at most 2,016, twelve weeks of hours: the newest do"),
    ("serving", {"rows": []}, "at least one item"), ("serving", {}, "give file, or rows as"),
    ("serving", {"file": "/etc/passwd"}, "history.file: /etc/passwd: a request brings its history along: rows as"),
    ("training", {"rows": POINTS[-170:]}, "request and history.per_replica say what one replica is and does")])
def test_a_history_that_says_nothing_is_refused_with_what_would_do(service: Any, kind: str, history: Json, words: str
                                                                   ) -> None:
    """As those of scenarios are; files of the service's machine are nobody's business."""
    assert words in ask(service, 422, kind=kind, history=history)["detail"]


def test_a_crowd_of_histories_is_asked_to_come_again(service: Any) -> None:
    """Of many at once some are answered and the others told when to ask again; requests without one are not held up."""
    def one(_: int) -> tuple[int, str | None]:
        body = {"kind": "serving", "history": {"rows": POINTS[-170:]}}
        answer = service.http.post("/v1/profiles/predict", json=body, timeout=180)
        return answer.status_code, answer.headers.get("Retry-After")

    with ThreadPoolExecutor(12) as crowd:
        asked = [crowd.submit(one, at) for at in range(12)]
        assert ask(service, **ETL)["kind"] == "etl"
        answers = Counter(one.result() for one in asked)
    assert set(answers) == {(200, None), (503, "5")}
    assert answers[200, None] >= 4
