"""Hosts on one database: who serves what, which model says what, and what happens when one dies."""

import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, insert, select

from api.database.tables import cursors, drifts, hosts, verdicts
from api.hosting.host import Host
from api.hosting.leases import ALIVE_S, LOST_S, Leases, standing
from api.hosting.models import Models
from api.hosting.plans import Following
from api.hosting.results import Said, drifts_of, keep_verdicts, verdicts_of
from api.hosting.rollouts import begin_canary, end_canary
from api.hosting.scoring import score
from api.hosting.sealing import Sealing
from api.hosting.streams import Reader, Row
from api.hosting.training import Training
from api.store.health import Heard
from diagnostics.store import ModelStore, StoreAwayError
from planner.directing import ClusterHealth, Hysteresis, Report

Start = Callable[[str], Any]
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""What does not depend on the database is tested on one."""
Eventually = Callable[..., Any]


def served(engine: Engine) -> dict[str, str | None]:
    """Where each cluster is scored."""
    return {
        name.removeprefix("diagnostics-"): one.cluster
        for name, one in standing(engine).items()
        if name.startswith("diagnostics-") and one.host
    }


def scored(engine: Engine, name: str) -> list[dict[str, Any]]:
    return verdicts_of(engine, [name], 0, 2**31 - 1, 100_000)


def lost(engine: Engine) -> set[str]:
    """Clusters that hosts reported lost."""
    return {name for name, _, text in Heard(engine).since(0) if ClusterHealth.from_dict(json.loads(text)).lost}


@on_sqlite
def test_rows_come_in_and_verdicts_come_out(
    engine: Engine,
    start_thread: Start,
    in_force: Any,
    made_up: Any,
    fleet: Any,
    send: Any,
    models: Path,
    eventually: Eventually,
) -> None:
    """Every row of a cluster gets one verdict of the model of its class, from the host of its cluster; a slow disk is
    an alarm on the metric that is off; figures tell of it.
    """
    in_force(made_up())
    rows = fleet(2)
    ts, last = rows["a"][-1]
    rows["a"][-1] = (
        ts,
        {host: values | {"read_latency_ms": 8 * values["read_latency_ms"]} for host, values in last.items()},
    )
    hosts = {name: start_thread(name) for name in ("a", "c")}
    eventually(lambda: {"a", "c"} <= served(engine).keys())
    send(rows)
    eventually(lambda: len(scored(engine, "a")) == len(rows["a"]) and len(scored(engine, "c")) == len(rows["c"]))
    store = ModelStore(models)
    assert {row["model_version"] for row in scored(engine, "a")} == {store.serving("mixed-disk").id}
    assert {row["model_version"] for row in scored(engine, "c")} == {store.serving("all").id}
    worst = scored(engine, "a")[0]
    assert worst["status"] == "alarm"
    assert {alarm["metric"] for alarm in worst["alarms"]} == {"read_latency_ms"}
    assert all(alarm["value"] > 2 * alarm["expected"] for alarm in worst["alarms"])
    assert Counter(row["status"] for row in scored(engine, "a"))["ok"] > 0.8 * len(rows["a"])
    figures = hosts["a"].figures()
    count = sum(float(found) for found in re.findall(r'planner_host_rows_total\{status="\w+"\} (\S+)', figures))
    assert count == len(rows["a"]) + len(rows["b"])  # b has no host: its rows are scored where it falls back to
    assert 'planner_host_model_info{hardware_class="mixed-disk"' in figures


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)], indirect=True)
def test_a_killed_host_is_taken_over_and_no_row_is_lost_or_scored_twice(
    engine: Engine, start_host: Start, in_force: Any, made_up: Any, fleet: Any, send: Any, eventually: Eventually
) -> None:
    """Rows go on coming while the host of a is killed: within ten seconds b serves them, each once. A host that is told
    to end (SIGTERM) gives back what it holds, and nobody thinks b lost.
    """
    in_force(made_up())
    rows = fleet(2)
    first, second = start_host("a"), start_host("b")
    eventually(lambda: served(engine) == {"a": "a", "b": "b"})
    send({"a": rows["a"][:20]})
    eventually(lambda: scored(engine, "a"))
    first.kill()
    began = time.monotonic()
    send({"a": rows["a"][20:]})
    eventually(lambda: served(engine).get("a") == "b")
    assert time.monotonic() - began < 10
    eventually(lambda: len(scored(engine, "a")) == len(rows["a"]))
    with engine.connect() as connection:
        times = list(connection.execute(select(verdicts.c.ts).where(verdicts.c.cluster == "a")).scalars())
    assert sorted(times) == [ts for ts, _ in rows["a"]]
    assert httpx.get(f"{second.address}/healthz").json() == {"status": "ok"}
    assert 'planner_host_info{cluster="b"} 1.0' in httpx.get(f"{second.address}/metrics").text
    assert second.stop() == 0
    assert served(engine) == {}
    assert "b" not in lost(engine)


@on_sqlite
def test_a_cluster_whose_hosts_fell_silent_is_said_to_be_lost(
    engine: Engine, start_thread: Start, in_force: Any, made_up: Any, eventually: Eventually
) -> None:
    """A host that stopped saying that it lives, long ago and without a word, is noticed by any other."""
    in_force(made_up())
    with engine.begin() as connection:
        silent_since = time.time() - ALIVE_S - LOST_S - 1
        connection.execute(insert(hosts).values(host="a/dead", cluster="a", until=silent_since))
    start_thread("b")
    eventually(lambda: lost(engine) == {"a"})


@on_sqlite
def test_who_lives_serves_where_all_who_may_are_said_to_be_lost(
    engine: Engine, start_thread: Start, in_force: Any, made_up: Any, eventually: Eventually
) -> None:
    """A cluster that was lost is not trusted again at once; where every other is lost too, its host serves."""
    in_force(made_up())
    for name in ("a", "b"):
        down = ClusterHealth().heard(Report("down", "person"), time.time(), Hysteresis())
        Heard(engine).hear(name, lambda _, said=down: json.dumps(said.to_dict()), [])
    start_thread("a")
    eventually(lambda: served(engine) == {"a": "a", "b": "a"})
    start_thread("b")
    eventually(lambda: served(engine) == {"a": "a", "b": "b"})
    Heard(engine).hear("a", lambda _: json.dumps(ClusterHealth().to_dict()), [])
    eventually(lambda: served(engine) == {"a": "a", "b": "a"})


@on_sqlite
def test_an_orderly_end_hands_over_at_once(
    engine: Engine, start_thread: Start, in_force: Any, made_up: Any, eventually: Eventually
) -> None:
    """Leases are given back: the next host has them without waiting for silence, and nobody thinks a lost."""
    in_force(made_up())
    first, _ = start_thread("a"), start_thread("b")
    eventually(lambda: served(engine) == {"a": "a", "b": "b"})
    first.stop()
    ended = time.monotonic()
    eventually(lambda: served(engine).get("a") == "b")
    assert time.monotonic() - ended < 4
    assert lost(engine) == set()


@on_sqlite
def test_a_host_of_which_one_thread_fails_ends_as_a_whole(
    engine: Engine, make_host: Callable[[str], Host], start_thread: Start, in_force: Any, made_up: Any,
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Nobody takes it for one that serves: what it held is free at once. Where only a process cannot be started, it
    goes on.
    """
    in_force(made_up())

    def failing(error: Exception) -> Callable[..., None]:
        def fail(*_: object) -> None:
            raise error

        return fail

    with monkeypatch.context() as patch:
        patch.setattr(Training, "keep", failing(RuntimeError("unforeseen")))
        with pytest.raises(RuntimeError, match="unforeseen"):
            make_host("a").run()
    assert served(engine) == {}
    monkeypatch.setattr(Training, "keep", failing(BlockingIOError("no more processes")))
    host = start_thread("a")
    eventually(lambda: 'planner_host_errors_total{what="training"}' in host.figures())
    assert served(engine) == {"a": "a", "b": "a"}


@on_sqlite
def test_a_new_plan_a_new_model_and_a_rollback_take_effect_without_a_restart(
    engine: Engine,
    start_thread: Start,
    in_force: Any,
    made_up: Any,
    fleet: Any,
    send: Any,
    models: Path,
    eventually: Eventually,
) -> None:
    """The host follows what is in force and what is stable while it runs; two plans at once end with the last one."""
    in_force(made_up())
    rows = fleet(2)["a"]
    start_thread("a")
    host = start_thread("b")
    eventually(lambda: served(engine) == {"a": "a", "b": "b"})
    in_force(made_up(a=["b"]))
    last = in_force(made_up(a=["b"], b=["a"]))
    eventually(lambda: served(engine) == {"a": "b", "b": "a"})
    hosted = Following(engine).now()
    assert hosted is not None
    assert hosted.plan_id == last
    store = ModelStore(models)
    newest = store.serving("mixed-disk").id

    def version_of(row: tuple[int, Any]) -> str:
        send({"a": [row]})
        return str(eventually(lambda: [one for one in scored(engine, "a") if one["ts"] == row[0]])[0]["model_version"])

    assert version_of(rows[0]) == newest
    earlier = store.rollback("mixed-disk", "last-known-good", "test", "worse").after
    eventually(lambda: f'version="{earlier}"' in host.figures())
    assert version_of(rows[1]) == earlier != newest


@on_sqlite
def test_a_store_of_models_that_is_away_for_a_while_loses_nothing(
    engine: Engine,
    start_thread: Start,
    in_force: Any,
    made_up: Any,
    fleet: Any,
    send: Any,
    models: Path,
    eventually: Eventually,
) -> None:
    """What is in memory goes on; a class that no model was loaded for waits, and is scored when the store is back."""
    in_force(made_up())
    rows = fleet(1)
    host = start_thread("a")
    send({"a": rows["a"][:5]})
    eventually(lambda: len(scored(engine, "a")) == 5)
    shutil.move(models, models.with_name("away"))
    eventually(lambda: "planner_host_model_store_up 0.0" in host.figures())
    send({"a": rows["a"][5:]})
    eventually(lambda: len(scored(engine, "a")) == len(rows["a"]))
    start_thread("c")
    send({"c": rows["c"]})
    eventually(lambda: served(engine).get("c") == "c")
    time.sleep(1)
    assert scored(engine, "c") == []
    shutil.move(models.with_name("away"), models)
    eventually(lambda: len(scored(engine, "c")) == len(rows["c"]))


@on_sqlite
def test_drift_is_compared_once_a_day_and_cluster(
    engine: Engine, start_thread: Start, in_force: Any, made_up: Any, fleet: Any, send: Any, eventually: Eventually
) -> None:
    """When a stream has gone on to another day, its last month is compared with the one before, metric by metric."""
    in_force(made_up())
    rows = fleet(58)["a"]
    slower = [
        (ts, {host: values | {"read_latency_ms": 2 * values["read_latency_ms"]} for host, values in hosts.items()})
        for ts, hosts in rows[29 * 24 :]
    ]
    send({"a": rows[: 29 * 24] + slower})
    start_thread("a")
    found = eventually(lambda: drifts_of(engine, ["a"]))
    assert {row["metric"]: row["drifted"] for row in found} == {
        "iops": False,
        "io_size_kib": False,
        "read_latency_ms": True,
        "queue_depth": False,
    }
    assert len({row["day"] for row in found}) == 1


@dataclass
class AtHand:
    """Rows of a that a host holds the lease for, and their verdicts by what serves."""

    engine: Engine
    held: Models
    epochs: dict[str, int]
    reader: Reader

    @property
    def rows(self) -> list[Row]:
        return self.reader.pending(["diagnostics-a"])

    def said(self, run: str | None = None) -> list[Said]:
        self.held.refresh()
        loaded = self.held.of("mixed-disk")
        assert loaded is not None
        return [Said(one, loaded.version, run) for one in score(loaded.model, self.rows, self.reader.at)]

    def keep(self, said: list[Said]) -> int:
        return len(keep_verdicts(self.engine, "host", self.epochs, said, self.held.held))


@pytest.fixture
def at_hand(engine: Engine, models: Path, fleet: Any, send: Any) -> AtHand:
    send({"a": fleet(1)["a"]})
    lease = Leases(engine, "host", "a")
    lease.beat()
    reader = Reader(engine, "IE", Sealing())
    reader.begin([("diagnostics-a", "a")])
    return AtHand(engine, Models(models), lease.hold(["diagnostics-a"]), reader)


def test_rows_scored_by_what_serves_no_longer_are_scored_again(engine: Engine, models: Path, at_hand: AtHand) -> None:
    """A rollback between scoring and writing: nothing is written, the rows wait, and what serves now scores them."""
    rows, before = at_hand.rows, at_hand.said()
    now = ModelStore(models).rollback("mixed-disk", "last-known-good", "test", "worse").after
    assert at_hand.keep(before) == 0
    assert at_hand.rows == rows
    assert at_hand.keep(at_hand.said()) == len(rows) > 0
    assert {one["model_version"] for one in scored(engine, "a")} == {now}


@on_sqlite
def test_a_store_that_answers_half_is_as_if_it_was_away(
    engine: Engine, models: Path, at_hand: AtHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that somebody rolled back, and not what serves now: what is in memory writes nothing once it answers."""
    before = at_hand.said()
    now = ModelStore(models).rollback("mixed-disk", "last-known-good", "test", "worse").after

    def away(*_: object) -> None:
        raise StoreAwayError("the database does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(ModelStore, "serve", away)
        assert not at_hand.held.refresh()
    assert at_hand.keep(before) == 0
    assert at_hand.held.refresh()
    assert at_hand.keep(at_hand.said()) == len(before)
    assert {one["model_version"] for one in scored(engine, "a")} == {now}


@on_sqlite
def test_what_was_rolled_back_does_not_go_on_where_what_serves_is_broken(models: Path, at_hand: AtHand) -> None:
    """Rows wait for a model: the one in memory is not stable any more, and no other can be read."""
    at_hand.said()
    store = ModelStore(models)
    store.rollback("mixed-disk", "last-known-good", "test", "worse")
    for version in (store.serving("mixed-disk"), store.serving("all")):
        path = store.files.path(version.file_sha256)
        path.chmod(0o600)
        path.write_bytes(b"broken")
    assert at_hand.held.refresh()
    assert at_hand.held.of("mixed-disk") is None


def test_a_version_that_is_tried_no_more_writes_nothing(engine: Engine, at_hand: AtHand) -> None:
    """The trial ends between scoring and writing: the rows wait for what serves."""
    begin_canary(engine, "mixed-disk", "run-1", "tried", "a")
    assert at_hand.keep(at_hand.said("run-1")[:5]) == 5
    before = at_hand.said("run-1")
    end_canary(engine, "mixed-disk", "run-1")
    assert at_hand.keep(before) == 0
    assert at_hand.keep(at_hand.said()) == len(before)


@on_sqlite
def test_a_workload_of_another_name_goes_on_where_the_one_before_it_was(engine: Engine, at_hand: AtHand) -> None:
    """Rows that have a verdict, and days that were compared, are not done again under another name of the workload."""
    at_hand.keep(at_hand.said()[:7])
    with engine.begin() as connection:
        connection.execute(insert(drifts).values(cluster="a", day=20_000, metric="iops", statistic=0.1, threshold=1.0,
                                                 p=0.5, drifted=0, host="h"))  # fmt: skip
    waiting = [row.number for row in at_hand.rows]
    at_hand.reader.begin([("scoring-a", "a")])
    assert [row.number for row in at_hand.reader.pending(["scoring-a"])] == waiting == list(range(8, 25))
    at_hand.reader.begin([("months-of-a", "a")], "drift")
    with engine.connect() as connection:
        query = select(cursors.c.number).where(cursors.c.workload == "months-of-a")
        assert connection.execute(query).scalar_one() == 20_000
