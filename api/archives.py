"""Folders that come as one file, a zip or a gzipped tar: read in bounded memory, with nothing but plain files in them.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from planner.errors import InputError

ZIP, GZIP = "application/zip", "application/gzip"
MOST_FILES, MOST_BYTES = 1000, 64 * 2**20
"""Of a folder, unpacked: what is small on its way may be large."""
LONGEST_NAME = 255
"""Bytes of a path in the folder."""
_GZIP_WINDOW = 31
_PIECE = 2**16
_EPOCH = (1980, 1, 1, 0, 0, 0)
Entry = tuple[str, Callable[[], AbstractContextManager[IO[bytes]]]]
"""A file's path in an archive, and what opens it."""


def unpack(media_type: str, source: IO[bytes], main: str, folder: Path) -> None:
    """Put the files of an archive into a folder, a piece at a time; `main` is the one that has to be there, in the
    archive itself or in the only folder within. Of what is refused for its names or sizes nothing is written.

    Raises:
        InputError: it is no such file, too large, has links or paths that lead out, or `main` is not there.

    """
    try:
        with (_of_zip if media_type == ZIP else _of_tar)(source) as entries:
            top = _top([name for name, _ in entries], main)
            for name, opened in entries:
                path = folder / name.removeprefix(top)
                path.parent.mkdir(parents=True, exist_ok=True)
                with opened() as file, path.open("wb") as sink:
                    shutil.copyfileobj(file, sink, _PIECE)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise InputError([f"archive: not a {media_type}, or a damaged one: {error}"]) from None


def packed(folder: Path) -> bytes:
    """The files of a folder as a zip, the same for the same files."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            with (folder / name).open("rb") as file, archive.open(info, "w") as entry:
                shutil.copyfileobj(file, entry, _PIECE)
    return sink.getvalue()


def _top(names: Iterable[str], main: str) -> str:
    """What all paths begin with that is not kept: nothing, or the only folder there is."""
    found = {*names}
    if inside := {str(folder) for name in found for folder in PurePosixPath(name).parents} & found:
        raise InputError([f"archive: {min(inside)}: a file and a folder: name one of them otherwise"])
    if main in found:
        return ""
    tops = {PurePosixPath(name).parts[0] for name in found}
    (top,) = tops if len(tops) == 1 else ("",)
    if f"{top}/{main}" not in found:
        raise InputError([f"archive: {main}: not there: pack the folder of a scenario"])
    return f"{top}/"


@contextmanager
def _of_zip(source: IO[bytes]) -> Iterator[list[Entry]]:
    with zipfile.ZipFile(source) as archive:
        entries = [one for one in archive.infolist() if not one.is_dir()]
        _check_size(len(entries), sum(one.file_size for one in entries))
        for one in entries:
            mode = one.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise InputError([f"archive: {one.filename}: a link or the like: plain files only"])
            if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack in unbounded steps
                raise InputError([f"archive: {one.filename}: compressed otherwise: deflate it"])
        yield [(_inside(one.filename), _zipped(archive, one)) for one in entries]


def _zipped(archive: zipfile.ZipFile, one: zipfile.ZipInfo) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    return lambda: archive.open(one)


@contextmanager
def _of_tar(source: IO[bytes]) -> Iterator[list[Entry]]:
    with tempfile.TemporaryFile(prefix="planner-archive-") as plain:
        _inflate(source, plain)
        with tarfile.open(fileobj=plain, mode="r:") as archive:
            entries = list[Entry]()
            for number, one in enumerate(archive, 1):
                _check_size(number, 0)
                if one.isdir():
                    continue
                if not one.isreg():
                    raise InputError([f"archive: {one.name}: a link or the like: plain files only"])
                entries.append((_inside(one.name), _tarred(archive, one)))
            yield entries


def _tarred(archive: tarfile.TarFile, one: tarfile.TarInfo) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    def opened() -> IO[bytes]:
        file = archive.extractfile(one)
        assert file is not None
        return file

    return opened


def _inflate(source: IO[bytes], sink: IO[bytes]) -> None:
    """Unpack a gzip a piece at a time, until it is too large."""
    stream, size = zlib.decompressobj(_GZIP_WINDOW), 0
    while piece := source.read(_PIECE):
        while piece and not stream.eof:
            made = stream.decompress(piece, 16 * _PIECE)
            size += len(made)
            _check_size(0, size)
            sink.write(made)
            piece = stream.unconsumed_tail
    sink.seek(0)


def _check_size(files: int, size: int) -> None:
    if files > MOST_FILES or size > MOST_BYTES:
        most = f"more than {MOST_FILES} files or {MOST_BYTES // 2**20} MiB unpacked"
        raise InputError([f"archive: {most}: put a scenario of that size into the service's own folder"])


def _inside(name: str) -> str:
    """The path of a file, which stays in the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise InputError([f"archive: {name!r}: leads out of the folder"])
    if len(os.fsencode(name)) > LONGEST_NAME:
        raise InputError([f"archive: {name[:40]!r}...: longer than {LONGEST_NAME} bytes: shorten the name"])
    return str(path)
