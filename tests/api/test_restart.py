"""What was accepted is not lost: not by an orderly stop, not by kill -9, and never twice."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, create_engine, text

from api.context import running
from api.database.engine import upgrade
from api.jobs.workers import Workers
from api.security.keys import Keys
from api.serve import run
from api.settings import Settings
from api.store.jobs import Submission
from api.store.store import Store
from benchmarks import service_kills
from planner.errors import InputError

KILLS, DATABASE_EVERY = 30, 10


class Nowhere:
    """A queue from which nobody takes."""

    def put(self, connection: Connection, job_id: str, priority: int, *, quick: bool) -> None: ...


def gone(pids: list[int], seconds: float = 60) -> bool:
    """Whether all processes end within some time."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if not any(_lives(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_has_started_ends_where_the_rest_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full when the workers start, for one: nothing goes on looking at clusters and telling people."""
    settings, before = Settings(data=tmp_path / "data", workers=1), set(threading.enumerate())

    def full(_: Workers) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Workers, "start", full)
    with pytest.raises(OSError, match="No space left"), running(settings):
        pass
    assert not [thread for thread in set(threading.enumerate()) - before if not thread.daemon]


@pytest.mark.soak
def test_kill_9_in_the_middle(serve: Any) -> None:
    """After kill -9 the planning process ends by itself; the next start makes the running and the waiting plan; what is
    done stays to be read after one more.
    """
    first = serve()
    running, waiting = first.ask().json()["id"], first.ask().json()["id"]
    first.wait(running, lambda state: state["status"] == "running")
    children = first.children()
    first.kill()
    assert gone(children)
    second = serve()
    states = [second.ended(plan_id) for plan_id in (running, waiting)]
    assert [state["status"] for state in states] == ["done", "done"]
    assert [state["attempts"] for state in states] == [2, 1]
    assert len(second.http.get("/v1/plans").json()["plans"]) == 2
    second.kill()
    third = serve()
    assert [third.http.get(f"/v1/plans/{plan_id}").json() for plan_id in (running, waiting)] == states
    assert third.http.get("/v1/where/front").json()["plan"] in (running, waiting)


@pytest.fixture(scope="module")
def standing(serve_long: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service that no test of this module ends."""
    return serve_long(tmp_path_factory.mktemp("standing") / "data")


def test_a_plan_is_accepted_without_loading_what_plans(standing: Any) -> None:
    """Neither the start nor a request for a plan loads compiled searches or frames, which take seconds and memory."""
    service = standing
    assert service.ask().status_code == 202
    loaded = Path(f"/proc/{service.process.pid}/maps").read_text()
    assert "sqlite" in loaded
    assert not [name for name in ("llvmlite", "scipy", "pandas", "pyarrow") if f"/{name}/" in loaded]


@pytest.fixture
def killable(request: pytest.FixtureRequest) -> Iterator[service_kills.Postgres | None]:
    """A PostgreSQL server that may be killed; none for SQLite."""
    if request.param == "sqlite":
        yield None
        return
    root = Path(tempfile.mkdtemp(prefix="planner-pg-"))  # not under pytest's folder, which it shuts to other users
    try:
        with service_kills.postgres(root / "data") as server:
            yield server
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.mark.soak
@pytest.mark.parametrize("killable", ["sqlite", "postgresql"], indirect=True)
def test_nothing_is_lost_or_doubled_whatever_is_killed(tmp_path: Path, killable: service_kills.Postgres | None) -> None:
    """Random kill -9 of the service and its workers under load, and of PostgreSQL with all its processes: they go on by
    themselves, and what was accepted ends exactly once, with its result, as the database counts.
    """
    found = service_kills.run(tmp_path / "service", KILLS, 7, killable, database_every=DATABASE_EVERY)
    assert sum(found.kills.values()) == KILLS
    assert found.kills["database"] == (0 if killable is None else KILLS // DATABASE_EVERY)
    assert (found.lost, found.doubled, found.failed) == ([], [], [])
    assert found.done == found.accepted > 0


def test_what_ends_twice_is_counted_twice(database: str) -> None:
    """What counts ends and results when things are killed sees a second one, of each kind of database."""
    service_kills.count_from_now_on(database)
    everyone = Store(database, Nowhere())
    store = everyone.of("default")
    job = store.begin(store.submit(Submission("tiny", {}, "{}", (), "a")), 3)
    assert job is not None
    assert store.finish(job, "{}", {})
    everyone.close()
    assert service_kills.counts(database) == {("end", job.id): 1, ("result", job.id): 1}
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET status = 'done'"))
        connection.execute(text("UPDATE documents SET result = '{}'"))
    engine.dispose()
    assert service_kills.counts(database) == {("end", job.id): 2, ("result", job.id): 2}


@pytest.mark.soak
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_orderly_stop(serve: Any, how: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end the service and its planning process, also while somebody watches it; the plan is made
    after the next start, as if begun then.
    """
    first = serve()
    plan_id = first.ask().json()["id"]
    first.wait(plan_id, lambda state: state["status"] == "running")
    children = first.children()
    with httpx.stream("GET", f"{first.http.base_url}/v1/plans/{plan_id}/events", timeout=60) as events:
        next(events.iter_lines())
        assert first.stop(how) == 0
    assert gone(children)
    state = serve().ended(plan_id)
    assert (state["status"], state["attempts"]) == ("done", 1)


def test_two_services_on_one_folder(standing: Any) -> None:
    """A second service on the same data is refused in one line, so that no plan is made twice."""
    data = str(Path(standing.database.removeprefix("sqlite:///")).parent)
    code = f"from api.serve import serve; serve(None, {{'port': 0, 'data': {data!r}}})"
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    assert second.returncode != 0
    assert "another planner serves from it" in second.stderr


def test_only_this_machine_without_keys(tmp_path: Path) -> None:
    """Where others can ask, a service without a valid key does not start, and says how to make one."""
    settings = Settings(data=tmp_path)
    upgrade(settings.store)
    keys = Keys(settings.store, "test")
    keys.create("old", ["admin"], "default", timedelta(microseconds=1))
    keys.close()
    for host in ("0.0.0.0", "::", "192.168.1.5", "planner.example", ""):
        with pytest.raises(InputError, match=f"--host: {host}: .* no valid key: make one with `planner keys create"):
            run(Settings(host=host, port=0, data=tmp_path))


def test_a_port_in_use(standing: Any, tmp_path: Path) -> None:
    """A port that is taken is refused in one line."""
    port = int(str(standing.http.base_url).rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(InputError, match=f"--port: {port}: Address already in use"):
        run(Settings(port=port, data=tmp_path / "other"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_data_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A data folder without leave to write is refused in one line."""
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="data folder"):
        run(Settings(port=0, data=tmp_path / "data"))


def test_a_data_folder_that_is_a_file(tmp_path: Path) -> None:
    """A file in the place of the data folder is refused in one line."""
    (tmp_path / "data").write_text("")
    with pytest.raises(InputError, match="data folder"):
        run(Settings(port=0, data=tmp_path / "data"))


def test_whoever_asks_once_the_address_is_told_is_answered(tmp_path: Path) -> None:
    """Nobody who follows the address at once is refused: they wait until the service has started."""
    command = [sys.executable, "-m", "planner", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        try:
            address = service.stderr.readline().split()[2]
            assert httpx.get(f"{address}/healthz", timeout=60).status_code == 200
        finally:
            service.send_signal(signal.SIGTERM)


@pytest.mark.parametrize(("settings", "says"), [
    ({"database": "postgresql://nobody@127.0.0.1:1/x"}, "database: "),
    ({"schedules": [{"name": "n", "cron": "* * * * *", "kind": "plan", "request": {"scenario": "lost"}}]},
     "schedules: n: scenario: 'lost': not known"),
])
def test_a_service_that_cannot_start_says_why_in_one_line(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    """A database that is not there and a schedule of nothing: exit status 2, no traceback."""
    variables = {f"PLANNER_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
                 for name, value in settings.items()}
    command = [sys.executable, "-m", "planner", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=os.environ | variables)
    assert done.returncode == 2
    address, *lines = done.stderr.splitlines()
    assert address.startswith("planner serves")
    assert len(lines) == 1
    assert lines[0].startswith(says)
