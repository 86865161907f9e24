"""Folders that come as one file, a zip or a gzipped tar: read in bounded memory, with nothing but plain files in them.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from planner.errors import InputError

ZIP, GZIP = "application/zip", "application/gzip"
MOST_FILES, MOST_BYTES = 1000, 64 * 2**20
"""Of a folder, unpacked: what is small on its way may be large."""
LONGEST_NAME = 255
"""Bytes of a path in the folder."""
_GZIP_WINDOW = 31
_EPOCH = (1980, 1, 1, 0, 0, 0)


def unpacked(media_type: str, content: bytes, main: str) -> dict[str, bytes]:
    """The files of a folder by their paths in it; `main` is the one that has to be there, in the folder itself or in
    the only one within.

    Raises:
        InputError: it is no such file, too large, has links or paths that lead out, or `main` is not there.

    """
    try:
        found = dict(_of_zip(content) if media_type == ZIP else _of_tar(content))
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise InputError([f"archive: not a {media_type}, or a damaged one: {error}"]) from None
    if inside := {str(folder) for name in found for folder in PurePosixPath(name).parents} & found.keys():
        raise InputError([f"archive: {min(inside)}: a file and a folder: name one of them otherwise"])
    if main not in found:
        tops = {PurePosixPath(name).parts[0] for name in found}
        (top,) = tops if len(tops) == 1 else ("",)
        if f"{top}/{main}" not in found:
            raise InputError([f"archive: {main}: not there: pack the folder of a scenario"])
        found = {name.removeprefix(f"{top}/"): data for name, data in found.items()}
    return found


def packed(files: Mapping[str, bytes]) -> bytes:
    """The files as a zip, the same for the same files."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), files[name], zipfile.ZIP_DEFLATED)
    return sink.getvalue()


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Put what `unpacked` gave into a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _of_zip(content: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [one for one in archive.infolist() if not one.is_dir()]
        _check_size(len(entries), sum(one.file_size for one in entries))
        for one in entries:
            mode = one.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise InputError([f"archive: {one.filename}: a link or the like: plain files only"])
            if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack in unbounded steps
                raise InputError([f"archive: {one.filename}: compressed otherwise: deflate it"])
            yield _inside(one.filename), archive.read(one)


def _of_tar(content: bytes) -> Iterator[tuple[str, bytes]]:
    data = zlib.decompressobj(_GZIP_WINDOW).decompress(content, MOST_BYTES + 1)
    _check_size(0, len(data))
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for number, one in enumerate(archive, 1):
            _check_size(number, 0)
            if one.isdir():
                continue
            file = archive.extractfile(one) if one.isreg() else None
            if file is None:
                raise InputError([f"archive: {one.name}: a link or the like: plain files only"])
            yield _inside(one.name), file.read()


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
