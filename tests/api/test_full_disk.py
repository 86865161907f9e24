"""A disk that is full, and a database that is away: told cleanly, and nothing broken by it."""

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from api.database.engine import checked_url

SIZE = 24 * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own with little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=False,
                             capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here: root may")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no room on a disk."""
    file = folder / "filling"
    with file.open("wb", buffering=0) as out:
        for size in (2**20, 2**12, 1):
            try:
                while True:
                    out.write(os.urandom(size))
            except OSError:
                continue
    return file


def test_a_full_disk_refuses_what_cannot_be_kept(serve: Any, small_disk: Path) -> None:
    """507 says why and when to ask again; reading goes on; with room again all is taken, and the store is whole."""
    service = serve(small_disk / "data")
    body = b"unique_id,ds,y\n" + b"a,2026-10-05T00:00:00Z,many\n" * 100_000

    def ask() -> Any:
        return service.http.post("/v1/forecasts", params={"horizon": "1h"}, content=body,
                                 headers={"Content-Type": "text/csv"})

    filling = fill(small_disk)
    refused = ask()
    assert (refused.status_code, refused.headers["content-type"]) == (507, "application/problem+json")
    assert "no room on its disk" in refused.json()["detail"]
    assert refused.headers["retry-after"] == "60"
    assert service.http.get("/v1/jobs").json()["jobs"] == []
    filling.unlink()
    taken = ask()
    assert taken.status_code == 202
    assert [job["id"] for job in service.http.get("/v1/jobs").json()["jobs"]] == [taken.json()["id"]]
    service.kill()
    with sqlite3.connect(small_disk / "data" / "planner.sqlite") as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_database_that_is_away(serve: Any, new_database: Callable[[str], str], postgresql: str) -> None:
    """A database that is gone is 503, with when to ask again, and no fault of the service."""
    server = checked_url(postgresql)
    url = new_database(server)
    service = serve(database=url)
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {make_url(url).database} WITH (FORCE)"))
    engine.dispose()
    found = service.http.get("/v1/jobs")
    assert (found.status_code, found.headers["content-type"]) == (503, "application/problem+json")
    assert found.headers["retry-after"] == "1"
