"""`planner backup` and `planner restore`: the data folder of a service in one file, and back.

A backup is a gzipped tar: a consistent copy of every SQLite file (by its backup interface, so that the service may go
on), then the files beside them, then a list of all with their hashes, without which it is not whole. It is written by
way of another name, so that what is there under its own name is there in full.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import typer

from planner import __version__
from planner.errors import InputError

STORE, LIST = "planner.sqlite", "backup.json"
_UNPACKED = ".restoring"
"""Folder of what a restore unpacks, in a data folder that nobody may serve from until all is in its place."""
_LEFT_OUT = ("lock", _UNPACKED)
_SIDE_FILES = ("-wal", "-shm", "-journal", ".part")
_MAGIC = b"SQLite format 3\0"
_CHUNK = 2**20


def backup(data: Path, output: Path, as_json: bool) -> int:
    """Write a backup of a data folder, whether a service runs on it or not."""
    if not (data / STORE).is_file():
        why = "no store lies here; one in PostgreSQL is backed up by `pg_dump`"
        raise InputError([f"--data: {data}: {why}"])
    with _beside(output) as written:
        with tempfile.TemporaryDirectory(prefix=".planner-backup-", dir=output.parent) as folder:
            listed = _pack(data, written, Path(folder))
        written.replace(output)
    return _say(as_json, f"{output}: {len(listed['files'])} files of {data}", listed | {"backup": str(output)})


def restore(source: Path, data: Path, as_json: bool) -> int:
    """Put a backup into a folder that is empty, or not there."""
    if data.exists() and any(data.iterdir()) and not unfinished(data):
        raise InputError([f"--data: {data}: not empty: a backup is restored into a new folder: nothing is overwritten"])
    data.mkdir(parents=True, exist_ok=True)
    for left in data.iterdir():  # of a restore that did not end
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    unpacked = data / _UNPACKED
    unpacked.mkdir()
    listed = _unpacked(source, unpacked)
    for path in sorted(unpacked.iterdir(), key=lambda one: one.name == STORE):  # the store last: then all is there
        path.rename(data / path.name)
    unpacked.rmdir()
    return _say(as_json, f"{data}: {len(listed['files'])} files of {listed['made_at']}", listed | {"data": str(data)})


def unfinished(data: Path) -> bool:
    """Whether a restore into a data folder has yet to put its store there."""
    return (data / _UNPACKED).is_dir() and not (data / STORE).exists()


def _pack(data: Path, output: Path, folder: Path) -> dict[str, Any]:
    """Write the tar; what it holds."""
    hashes: dict[str, str] = {}
    paths = sorted(_files(data), key=lambda path: not _is_sqlite(path))  # rows name files, so the files come after
    with tarfile.open(output, "w:gz", compresslevel=1) as tar:
        for path in paths:
            name = path.relative_to(data).as_posix()
            try:
                copied = _copied(path, folder) if _is_sqlite(path) else Path(shutil.copy(path, folder / "copy"))
            except FileNotFoundError:  # by now: a search has ended, a model is retired
                continue
            hashes[name] = _sha256(copied)  # of the copy: what is being written grows
            tar.add(copied, name, recursive=False)
            copied.unlink()
        listed = {"version": __version__, "made_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "files": hashes}
        (folder / LIST).write_text(json.dumps(listed, indent=1), encoding="utf-8")
        tar.add(folder / LIST, LIST)
    with output.open("rb") as file:
        os.fsync(file.fileno())
    return listed


def _files(data: Path) -> Iterator[Path]:
    """What is worth keeping of a data folder."""
    for path in data.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name not in _LEFT_OUT \
                and not path.name.endswith(_SIDE_FILES):
            yield path


def _is_sqlite(path: Path) -> bool:
    with suppress(FileNotFoundError), path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC
    return False


def _copied(path: Path, folder: Path) -> Path:
    """A consistent copy of a SQLite file that others may be writing."""
    copy = folder / "copy.sqlite"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as source, \
            closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    _check(copy, path)
    return copy


def _check(file: Path, named: Path) -> None:
    """Raises InputError for a SQLite file that is damaged."""
    try:
        with closing(sqlite3.connect(file)) as opened:
            (said,) = opened.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said != "ok":
        raise InputError([f"{named}: damaged: {said}"])


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _unpacked(source: Path, folder: Path) -> dict[str, Any]:
    """Unpack a backup; what it holds. Raises InputError for one that is not whole, or none."""
    try:
        with tarfile.open(source, "r:gz") as tar:
            tar.extractall(folder, filter="data")
        listed: dict[str, Any] = json.loads((folder / LIST).read_text(encoding="utf-8"))
        (folder / LIST).unlink()
    except FileNotFoundError as error:
        lost = f"{source}: no such file" if not source.exists() else f"{source}: not whole: it has no {LIST}"
        raise InputError([lost]) from error
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise InputError([f"{source}: no backup, or a damaged one: {error}"]) from error
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    odd = [name for name in {*found, *listed["files"]}
           if name not in found or _sha256(found[name]) != listed["files"].get(name)]
    if odd:
        raise InputError([f"{source}: damaged: {min(odd)} is not what was backed up"])
    for name, path in found.items():
        if PurePosixPath(name).suffix == ".sqlite":
            _check(path, path)
    return listed


@contextmanager
def _beside(output: Path) -> Iterator[Path]:
    """A file that is not there yet beside another one's place; it goes unless it is renamed."""
    if not output.parent.is_dir():
        raise InputError([f"-o: {output}: {output.parent} is no folder"])
    handle, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _say(as_json: bool, text: str, found: dict[str, Any]) -> int:
    from planner.commands.basic import DONE, print_json  # all that plans: a service imports this and does without
    from planner.terminal import plain

    if as_json:
        print_json(found)
    else:
        typer.echo(plain(text))
    return DONE
