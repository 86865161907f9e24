"""What hosts survive, and what they refuse: nothing is lost, and no wrong model is served."""

import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, select
from structlog.testing import capture_logs

from api.database.tables import verdicts
from api.hosting.leases import standing
from api.hosting.plans import Following
from diagnostics.store import ModelStore
from planner.hosting import Hosted

Start = Callable[..., Any]
Eventually = Callable[..., Any]
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
LATE = """
import time
from pathlib import Path
_real = time.time
def _put(): return _real() + float(Path({path!r}).read_text() or 0)
time.time = _put
"""
"""A process whose clock is off by the seconds in a file."""


def scored(engine: Engine, cluster: str) -> list[tuple[int, str]]:
    """Rows with a verdict, each as often as it has one, and by which version."""
    query = select(verdicts.c.ts, verdicts.c.model_version).where(verdicts.c.cluster == cluster)
    with engine.connect() as connection:
        return sorted((row.ts, row.model_version) for row in connection.execute(query))


def served(engine: Engine) -> dict[str, str | None]:
    return {name: one.cluster for name, one in standing(engine).items() if name.startswith("diagnostics-") and one.host}


@on_sqlite
def test_a_corrupted_file_is_passed_over_and_without_any_rows_wait(
    engine: Engine, start_thread: Start, in_force: Callable[[Hosted], str], made_up: Any, fleet: Any, send: Any,
    models: Path, eventually: Eventually,
) -> None:  # fmt: skip
    """The newest file is broken: the last known good serves. All are: rows wait, the host is well, and scores them when
    a file is mended.
    """
    in_force(made_up())
    store, rows = ModelStore(models), fleet(1)["a"]
    stable = [store.version(name) for name in store.stable("mixed-disk")]
    files = [store.files.path(one.file_sha256) for one in (*stable, store.serving("all"))]
    good = [path.read_bytes() for path in files]

    def write(path: Path, content: bytes) -> None:
        path.chmod(0o600)
        path.write_bytes(content)

    write(files[1], good[1][: len(good[1]) // 2])
    first = start_thread("a")
    send({"a": rows[:5]})
    eventually(lambda: len(scored(engine, "a")) == 5)
    assert {version for _, version in scored(engine, "a")} == {stable[0].id}
    first.stop()
    for path in files:
        write(path, b"")
    second = start_thread("a")
    send({"a": rows[5:]})
    eventually(lambda: 'planner_host_leases{purpose="score"} 2.0' in second.figures())
    time.sleep(2)
    assert len(scored(engine, "a")) == 5
    assert second.host.figures.well
    write(files[1], good[1])
    eventually(lambda: [ts for ts, _ in scored(engine, "a")] == [ts for ts, _ in rows])
    assert {version for _, version in scored(engine, "a")[5:]} == {stable[1].id}


@pytest.mark.soak
@on_sqlite
def test_a_store_that_is_away_for_a_minute_loses_nothing(
    engine: Engine, start_host: Start, in_force: Callable[[Hosted], str], made_up: Any, fleet: Any, send: Any,
    models: Path, eventually: Eventually,
) -> None:  # fmt: skip
    """For a minute the model in memory scores what comes, a row a second; a rollback counts when the store is back."""
    in_force(made_up())
    rows = fleet(4)["a"]
    host = start_host("a")
    send({"a": rows[:1]})
    eventually(lambda: len(scored(engine, "a")) == 1)
    newest = ModelStore(models).serving("mixed-disk").id
    shutil.move(models, models.with_name("away"))
    for row in rows[1:61]:
        send({"a": [row]})
        time.sleep(1)
    eventually(lambda: len(scored(engine, "a")) == 61)
    assert {version for _, version in scored(engine, "a")} == {newest}
    assert "planner_host_model_store_up 0.0" in httpx.get(f"{host.address}/metrics").text
    shutil.move(models.with_name("away"), models)
    earlier = ModelStore(models).rollback("mixed-disk", "last-known-good", "test", "worse").after
    eventually(lambda: f'version="{earlier}"' in httpx.get(f"{host.address}/metrics").text)
    send({"a": rows[61:]})
    eventually(lambda: len(scored(engine, "a")) == len(rows))
    assert {version for _, version in scored(engine, "a")[61:]} == {earlier}


@pytest.mark.soak
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_a_clock_that_is_five_minutes_off_loses_and_doubles_nothing(
    engine: Engine, database: str, start_process: Start, in_force: Callable[[Hosted], str], made_up: Any, fleet: Any,
    send: Any, models: Path, eventually: Eventually, tmp_path: Path,
) -> None:  # fmt: skip
    """On one machine the clock of all hosts is put on, and back; with a server only that of one host, which changes
    nothing: leases go by the server's. Rows go on being scored, each once.
    """
    in_force(made_up())
    rows, off, right = fleet(5)["a"], tmp_path / "off", tmp_path / "right"
    off.write_text("0")
    right.write_text("0")
    alone = database.startswith("sqlite")
    start_process("a", database, models, LATE.format(path=str(off)))
    start_process("b", database, models, LATE.format(path=str(off if alone else right)))
    eventually(lambda: served(engine) == {"diagnostics-a": "a", "diagnostics-b": "b"})
    epochs = {name: one.epoch for name, one in standing(engine).items()}
    done = 0
    for seconds in ("300", "0", "-300", "0"):
        off.write_text(seconds)
        for row in rows[done : done + 30]:
            send({"a": [row]})
            time.sleep(0.2)
        done += 30
        eventually(lambda expected=done: len(scored(engine, "a")) >= expected)
    assert [ts for ts, _ in scored(engine, "a")] == [ts for ts, _ in rows]
    if not alone:
        assert {name: one.epoch for name, one in standing(engine).items()} == epochs


@on_sqlite
def test_a_host_that_the_plan_does_not_know_waits_for_one_that_does(
    engine: Engine, start_thread: Start, in_force: Callable[[Hosted], str], made_up: Any, fleet: Any, send: Any,
    eventually: Eventually,
) -> None:  # fmt: skip
    """It says so in its figures, once in its log, and serves nothing; what a plan places on a cluster that has no host
    goes to its fallback; under the next plan the host serves.
    """
    what = made_up(a=["x"])
    places = what.work["diagnostics-a"].places[0].model_copy(update={"fallbacks": {"x": "b"}})
    work = what.work["diagnostics-a"].model_copy(update={"places": (places,)})
    clusters = what.clusters | {"x": what.clusters["a"].model_copy(update={"losses": ("x",)})}
    in_force(what)
    failed = r'errors_total{what="plan"} ([4-9]|\d\d+)\.'
    with capture_logs() as told:
        unknown = start_thread("x")
        start_thread("b")
        eventually(lambda: re.search(failed, unknown.figures()))
    says = "--cluster: x: not a cluster of the plan in force; it has a, b, c"
    assert [one.get("why") for one in told].count(says) == 1
    assert unknown.thread.is_alive()
    in_force(what.model_copy(update={"clusters": clusters, "work": what.work | {"diagnostics-a": work}}))
    eventually(lambda: served(engine).get("diagnostics-a") == "x")
    unknown.stop()
    rows = fleet(1)["a"]
    send({"a": rows})
    eventually(lambda: [ts for ts, _ in scored(engine, "a")] == [ts for ts, _ in rows])
    assert served(engine)["diagnostics-a"] == "b"


@on_sqlite
def test_of_plans_applied_at_once_the_last_one_holds(
    engine: Engine, start_thread: Start, in_force: Callable[[Hosted], str], made_up: Any, fleet: Any, send: Any,
    eventually: Eventually,
) -> None:  # fmt: skip
    """Six plans that say otherwise are put in force at the same time while rows come: one of them holds, everything is
    served once where it says, and every row has one verdict.
    """
    in_force(made_up())
    rows = fleet(3)["a"]
    for name in ("a", "b"):
        start_thread(name)
    eventually(lambda: served(engine) == {"diagnostics-a": "a", "diagnostics-b": "b"})
    send({"a": rows[:24]})
    plans = [made_up(a=["b"], b=["a"]) if number % 2 else made_up() for number in range(6)]
    made: dict[str, Hosted] = {}
    at_once = [threading.Thread(target=lambda what=what: made.update({in_force(what): what})) for what in plans]
    for thread in at_once:
        thread.start()
    send({"a": rows[24:48]})
    for thread in at_once:
        thread.join()
    now = Following(engine).now()
    assert now is not None
    holds = made[now.plan_id]
    expected = {f"diagnostics-{name}": holds.work[f"diagnostics-{name}"].places[0].cluster for name in ("a", "b")}
    eventually(lambda: served(engine) == expected)
    send({"a": rows[48:]})
    eventually(lambda: len(scored(engine, "a")) >= len(rows))
    assert [ts for ts, _ in scored(engine, "a")] == [ts for ts, _ in rows]
