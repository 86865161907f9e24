"""A data folder in one file and back: while a service runs, and whatever is killed or damaged."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from api.context import owned
from api.database.engine import upgrade
from api.settings import Settings
from planner.cli import run
from planner.errors import InputError

BIG = 60 * 2**20
"""Bytes that take long enough to write that a process can be killed meanwhile."""


@pytest.fixture
def data(tmp_path: Path, templates: dict[str, str]) -> Path:
    """A data folder with a store, its name, and a file deeper down."""
    folder = tmp_path / "data"
    (folder / "models" / "files").mkdir(parents=True)
    (folder / "planner.sqlite").write_bytes(Path(templates["sqlite"]).read_bytes())
    (folder / "instance").write_text("abc")
    (folder / "lock").write_text("")
    (folder / "models" / "files" / "m.skops").write_bytes(b"\x00\x01")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Files of a folder but the store."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(("planner.sqlite", "lock"))}


def problem(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The line that says why a command is refused."""
    capsys.readouterr()
    assert run(list(arguments)) == 2
    return capsys.readouterr().err


def test_there_and_back(data: Path, tmp_path: Path) -> None:
    """Every file but the lock comes back as it was, the store with its rows."""
    with sqlite3.connect(data / "planner.sqlite") as store:
        store.execute("INSERT INTO workers VALUES ('a-0', 1.0)")
    file, back = tmp_path / "b.tar.gz", tmp_path / "back"
    assert run(["backup", "--data", str(data), "-o", str(file)]) == 0
    assert run(["restore", str(file), "--data", str(back)]) == 0
    assert contents(back) == contents(data)
    assert not (back / "lock").exists()
    with sqlite3.connect(back / "planner.sqlite") as store:
        assert store.execute("SELECT executor FROM workers").fetchall() == [("a-0",)]
    upgrade(f"sqlite:///{back / 'planner.sqlite'}")


def test_what_is_being_written_is_kept_as_it_was_at_some_time(data: Path, tmp_path: Path) -> None:
    """Files that grow, come and go while they are read make no backup that cannot be restored, nor end it."""
    file, back, over = tmp_path / "b.tar.gz", tmp_path / "back", threading.Event()
    runs = data / "models" / "runs"
    runs.mkdir(parents=True, exist_ok=True)

    def search() -> None:
        with (runs / "tried.jsonl").open("a") as journal:
            while not over.wait(0.0005):
                journal.write("x" * 100_000 + "\n")
                journal.flush()
                (runs / "passing").write_text("gone")
                (runs / "passing").unlink()
                (runs / "rows.part").write_text("half")

    writer = threading.Thread(target=search)
    writer.start()
    try:
        for _ in range(5):
            assert run(["backup", "--data", str(data), "-o", str(file)]) == 0
    finally:
        over.set()
        writer.join()
    assert run(["restore", str(file), "--data", str(back)]) == 0
    assert (data / "models/runs/tried.jsonl").read_bytes().startswith((back / "models/runs/tried.jsonl").read_bytes())
    assert not (back / "models/runs/rows.part").exists()


@pytest.mark.soak
def test_a_service_goes_on_while_it_is_backed_up(serve: Any, tmp_path: Path) -> None:
    """What was accepted before the backup is there after the restore, and what waited is then done."""
    service, data, file = serve(), tmp_path / "data", tmp_path / "b.tar.gz"
    first = service.ended(service.ask().json()["id"])
    waiting = service.ask().json()["id"]
    assert run(["backup", "--data", str(data), "-o", str(file)]) == 0
    assert service.http.get("/readyz").status_code == 200
    service.kill()
    assert run(["restore", str(file), "--data", str(tmp_path / "back")]) == 0
    after = serve(tmp_path / "back")
    assert after.http.get(f"/v1/plans/{first['id']}").json() == first
    assert after.ended(waiting)["status"] == "done"


def test_a_folder_in_use_is_not_overwritten(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A restore into a folder with anything in it is refused; nothing there changes."""
    file = tmp_path / "b.tar.gz"
    assert run(["backup", "--data", str(data), "-o", str(file)]) == 0
    before = contents(data)
    assert "not empty" in problem(capsys, "restore", str(file), "--data", str(data))
    assert contents(data) == before


def test_where_there_is_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without a store, and a place that is none, are named."""
    assert "pg_dump" in problem(capsys, "backup", "--data", str(tmp_path / "none"), "-o", str(tmp_path / "b"))
    assert "no such file" in problem(capsys, "restore", str(tmp_path / "b"), "--data", str(tmp_path / "new"))


@pytest.mark.parametrize("how", ["cut short", "a byte changed", "not a backup", "another tar"])
def test_a_damaged_backup_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str) -> None:
    """And nothing is left that a service could start from."""
    file, back = tmp_path / "b.tar.gz", tmp_path / "back"
    assert run(["backup", "--data", str(data), "-o", str(file)]) == 0
    whole = file.read_bytes()
    if how == "another tar":
        subprocess.run(["tar", "czf", str(file), "-C", str(data), "instance"], check=True)
    else:
        middle = len(whole) // 2
        file.write_bytes({"cut short": whole[:middle], "not a backup": b"hello",
                          "a byte changed": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:]}[how])
    assert str(file) in problem(capsys, "restore", str(file), "--data", str(back))
    assert not (back / "planner.sqlite").exists()
    with pytest.raises(InputError, match="a restore did not end"), owned(Settings(data=back)):
        pass
    file.write_bytes(whole)
    assert run(["restore", str(file), "--data", str(back)]) == 0
    assert contents(back) == contents(data)


def test_a_damaged_store_is_not_backed_up(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is found now, and not when the backup is needed; an older backup stays."""
    file = tmp_path / "b.tar.gz"
    file.write_text("older")
    content = bytearray((data / "planner.sqlite").read_bytes())
    content[4096 + 8:4096 + 2000] = os.urandom(1992)
    (data / "planner.sqlite").write_bytes(content)
    assert "damaged" in problem(capsys, "backup", "--data", str(data), "-o", str(file))
    assert file.read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "data"]


def test_a_backup_that_is_killed_leaves_the_older_one(data: Path, tmp_path: Path) -> None:
    """Kill -9 while it is written: the file under the name is the one before, whole."""
    file = tmp_path / "b.tar.gz"
    assert run(["backup", "--data", str(data), "-o", str(file)]) == 0
    before = file.read_bytes()
    (data / "big").write_bytes(os.urandom(BIG))
    _kill(["backup", "--data", str(data), "-o", str(file)],
          lambda: any(path.stat().st_size > 2**20 for path in tmp_path.glob(".b.tar.gz.*")))
    assert file.read_bytes() == before


def test_a_restore_that_is_killed_is_begun_again(data: Path, tmp_path: Path) -> None:
    """Kill -9 while it is written: no service starts from what is there, and the next restore makes it whole."""
    file, back = tmp_path / "b.tar.gz", tmp_path / "back"
    (data / "big").write_bytes(os.urandom(BIG))
    assert run(["backup", "--data", str(data), "-o", str(file)]) == 0
    _kill(["restore", str(file), "--data", str(back)],
          lambda: any(path.stat().st_size > 2**20 for path in back.glob(".restoring/big")))
    with pytest.raises(InputError, match="a restore did not end"), owned(Settings(data=back)):
        pass
    assert run(["restore", str(file), "--data", str(back)]) == 0
    assert contents(back) == contents(data)
    (back / ".restoring").mkdir()  # as where it is killed before its last step: all is there
    with owned(Settings(data=back)):
        pass


def _kill(arguments: list[str], when: Any) -> None:
    """Run a command and kill it once something holds."""
    process = subprocess.Popen([sys.executable, "-m", "planner", *arguments], stdout=subprocess.DEVNULL)
    give_up = time.monotonic() + 120
    while not when():
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.002)
    process.kill()
    process.wait()
