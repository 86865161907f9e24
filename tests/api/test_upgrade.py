"""A service that is killed in the middle of jobs, and started again by a newer version of the program."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
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


def next_version(folder: Path) -> Path:
    """The program with another version of carrying out jobs, and a migration more."""
    for package in ("planner", "placement", "forecasting", "diagnostics"):
        (folder / package).symlink_to(ROOT / package)
    shutil.copytree(ROOT / "api", folder / "api", ignore=shutil.ignore_patterns("__pycache__"))
    durable = folder / "api" / "jobs" / "durable.py"
    code, found = re.subn(r'^VERSION = ".*"$', 'VERSION = "next"', durable.read_text(), flags=re.MULTILINE)
    assert found == 1
    durable.write_text(code)
    migrations = folder / "api" / "database" / "migrations"
    head = ScriptDirectory(str(migrations)).get_current_head()
    (migrations / "versions" / "v9999_next.py").write_text(MIGRATION.format(head=head))
    return folder


@contextmanager
def served(code: Path, given: dict[str, Any]) -> Iterator[httpx.Client]:
    """A service by this code, which is killed at the end."""
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
            yield http
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
    (tmp_path / "next").mkdir()
    given = {"port": 0, "data": tmp_path / "data", "database": database, "workers": 1}
    with served(next_version(tmp_path / "next"), given) as http:
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
