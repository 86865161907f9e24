"""Services of other code than this: a newer version of the program, one that loads slowly, one that soon rests."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

ROOT = Path(__file__).resolve().parents[2]
MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = {head!r}


def upgrade() -> None:
    op.create_table("of_the_next_version", sa.Column("id", sa.Integer, primary_key=True))
    op.add_column("jobs", sa.Column("of_the_next_version", sa.String, nullable=True))
"""


def changed(folder: Path, file: str, line: str, instead: str) -> Path:
    """The program with another line in one of its files."""
    folder.mkdir()
    for package in ("planner", "placement", "forecasting", "diagnostics"):
        (folder / package).symlink_to(ROOT / package)
    shutil.copytree(ROOT / "api", folder / "api", ignore=shutil.ignore_patterns("__pycache__"))
    code, found = re.subn(f"^{line}$", instead, (folder / file).read_text(), flags=re.MULTILINE)
    assert found == 1
    (folder / file).write_text(code)
    return folder


def next_version(folder: Path) -> Path:
    """The program with another version of carrying out jobs, and a migration more."""
    changed(folder, "api/jobs/durable.py", 'VERSION = ".*"', 'VERSION = "next"')
    migrations = folder / "api" / "database" / "migrations"
    head = ScriptDirectory(str(migrations)).get_current_head()
    (migrations / "versions" / "v9999_next.py").write_text(MIGRATION.format(head=head))
    return folder


@contextmanager
def served(code: Path, given: dict[str, Any]) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """A service by this code, which is killed at the end, with its process."""
    program = f"import json; from api.serve import serve; serve(None, json.loads({json.dumps(given, default=str)!r}))"
    log = code / "log"
    environment = {**os.environ, "PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
    with log.open("w") as told:
        process = subprocess.Popen([sys.executable, "-c", program], cwd=code, stderr=told, env=environment)
    try:
        give_up = time.monotonic() + 120
        while not (found := re.match(r"planner serves (\S+) ", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up, log.read_text()
            time.sleep(0.05)
        with httpx.Client(base_url=found[1], timeout=60) as http:
            yield http, process
    finally:
        process.kill()
        process.wait()


def ended(http: httpx.Client, plan_id: str) -> dict[str, Any]:
    give_up = time.monotonic() + 180
    while (state := http.get(f"/v1/plans/{plan_id}").json())["status"] in ("queued", "running"):
        assert time.monotonic() < give_up, state
        time.sleep(0.1)
    found: dict[str, Any] = state
    return found


@pytest.mark.soak
def test_an_upgrade_in_mid_job(serve: Any, tiny: Any, database: str, tmp_path: Path) -> None:
    """Killed with one job running and one waiting, and started by the next version, which changes tables and the way in
    which jobs are carried out: both end once, with a result, the first at its second attempt; new ones are carried out.
    """
    before = serve(database=database, workers=1)
    running, waiting = before.ask().json()["id"], before.ask().json()["id"]
    before.wait(running, lambda state: state["status"] == "running")
    children = before.children()
    before.kill()
    given = {"port": 0, "data": tmp_path / "data", "database": database, "workers": 1, "niceness": 0}
    with served(next_version(tmp_path / "next"), given) as (http, _):
        states = [ended(http, plan_id) for plan_id in (running, waiting)]
        asked = http.post("/v1/plans", json={"scenario": tiny, "solver": "highs", "time_limit_s": 60}).json()
        assert ended(http, asked["id"])["status"] == "done"
        listed = http.get("/v1/plans").json()["plans"]
        assert http.get(f"/v1/plans/{waiting}/life-cycle").json()["state"] == "draft"
    assert [(state["status"], state["attempts"]) for state in states] == [("done", 2), ("done", 1)]
    assert [plan["status"] for plan in listed] == ["done"] * 3
    engine = create_engine(database)
    assert inspect(engine).has_table("of_the_next_version")
    engine.dispose()
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def forking(service: subprocess.Popen[bytes]) -> bool:
    """Whether there is what jobs are forked from, below a service, or what is left of it."""
    try:
        family = psutil.Process(service.pid).children(recursive=True)
        return any("forkserver" in " ".join(one.cmdline()) for one in family)
    except psutil.ZombieProcess:
        return True
    except psutil.NoSuchProcess:  # one has ended meanwhile
        return forking(service)


@pytest.mark.soak
def test_an_orderly_stop_while_jobs_wait_for_what_they_need(serve: Any, tiny: Any, tmp_path: Path) -> None:
    """What jobs are forked from loads for a minute: SIGTERM does not wait for it, leaves no process, and puts the job
    back as if it had not begun.
    """
    slow = changed(tmp_path / "slow", "api/kinds/loaded.py", "import api.jobs.job", "import time; time.sleep(60)")
    given = {"port": 0, "data": tmp_path / "data", "niceness": 0}
    with served(slow, given) as (http, service):
        asked = http.post("/v1/plans", json={"scenario": tiny, "solver": "highs", "time_limit_s": 60}).json()["id"]
        give_up = time.monotonic() + 60
        while not forking(service):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        family = psutil.Process(service.pid).children(recursive=True)
        service.send_signal(signal.SIGTERM)
        assert service.wait(40) == 0
        assert psutil.wait_procs(family, timeout=5)[1] == []
    state = serve().ended(asked)
    assert (state["status"], state["attempts"]) == ("done", 1)


@pytest.mark.soak
def test_what_jobs_are_forked_from_rests(tiny: Any, tmp_path: Path) -> None:
    """A while after the last job it is gone; the next job starts it again."""
    soon = changed(tmp_path / "soon", "api/jobs/worker.py", "REST_S = .*", "REST_S = 0.5")
    with served(soon, {"port": 0, "data": tmp_path / "data", "niceness": 0}) as (http, service):
        for _ in range(2):
            asked = http.post("/v1/plans", json={"scenario": tiny, "solver": "highs", "time_limit_s": 60}).json()["id"]
            assert ended(http, asked)["status"] == "done"
            give_up = time.monotonic() + 60
            while forking(service):
                assert time.monotonic() < give_up
                time.sleep(0.05)
