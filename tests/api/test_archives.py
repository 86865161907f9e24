"""Folders as one file: plain files only, none out of the folder, and no more than memory is meant for."""

import io
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.archives import GZIP, MOST_BYTES, MOST_FILES, ZIP, packed, unpack
from planner.errors import InputError

MAIN = "scenario.yaml"
LINK = 0o120777 << 16


def unpacked(kind: str, content: bytes) -> tuple[dict[str, bytes], bytes]:
    """What an archive puts into a folder, and the folder packed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack(kind, io.BytesIO(content), MAIN, folder)
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return files, packed(folder)


def tar(*entries: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    """A gzipped tar; entries but the first are of a kind."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for at, (name, data) in enumerate(entries):
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind if at else tarfile.REGTYPE, "/etc/passwd"
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def zipped(*entries: tuple[str, bytes], mode: int = 0) -> bytes:
    """A zip; entries but the first have a mode."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for at, (name, data) in enumerate(entries):
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode if at else 0, zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return sink.getvalue()


PARTS = st.text("abz.-_ é", min_size=1, max_size=8).filter(lambda part: part not in (".", ".."))
FILES = st.dictionaries(PARTS | st.builds("{}/{}".format, PARTS, PARTS), st.binary(max_size=50), max_size=5).filter(
    lambda files: not {name.split("/")[0] for name in files if "/" in name} & files.keys())


@settings(max_examples=50, deadline=None)
@given(FILES)
def test_what_is_packed_is_unpacked(files: dict[str, bytes]) -> None:
    """Any files come back the same, by either format, from a folder of their own or not, and pack to the same bytes."""
    files = files | {MAIN: b"name: x"}
    found, content = unpacked(ZIP, zipped(*files.items()))
    assert found == files
    assert unpacked(ZIP, content) == (files, content)
    assert unpacked(GZIP, tar(*files.items())) == (files, content)
    assert unpacked(GZIP, tar(*((f"fleet/{name}", data) for name, data in files.items()))) == (files, content)


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "..", "C:\\out\\x"])
def test_no_path_leads_out(tmp_path: Path, name: str) -> None:
    """A path that leads out of the folder is refused, and nothing is written."""
    for kind, content in ((ZIP, zipped((MAIN, b""), (name, b"x"))), (GZIP, tar((MAIN, b""), (name, b"x")))):
        with pytest.raises(InputError, match="leads out"):
            unpack(kind, io.BytesIO(content), MAIN, tmp_path / "in")
    assert list(tmp_path.iterdir()) == []


def test_links_and_the_like_are_refused() -> None:
    """Links in either format, and devices, are no files."""
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
        with pytest.raises(InputError, match="plain files only"):
            unpacked(GZIP, tar((MAIN, b""), ("x", b""), kind=kind))
    with pytest.raises(InputError, match="plain files only"):
        unpacked(ZIP, zipped((MAIN, b""), ("x", b"/etc/passwd"), mode=LINK))


def test_what_no_folder_can_hold_is_refused() -> None:
    """A file that is a folder too, and a name that no file may have."""
    for name, said in ((f"{MAIN}/x", "a file and a folder"), ("é" * 128, "longer than 255 bytes")):
        for kind, content in ((ZIP, zipped((MAIN, b""), (name, b""))), (GZIP, tar((MAIN, b""), (name, b"")))):
            with pytest.raises(InputError, match=said):
                unpacked(kind, content)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_unpacks_in_unbounded_steps_is_refused(method: int) -> None:
    """A zip is stored or deflated."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        archive.writestr(MAIN, b"name: x")
    with pytest.raises(InputError, match="deflate it"):
        unpacked(ZIP, sink.getvalue())


def test_what_is_small_on_its_way_may_be_too_large() -> None:
    """A few hundred kilobytes that unpack to more than is allowed, or to too many files, are refused."""
    many = [(f"f{at}", b"") for at in range(MOST_FILES)]
    large = [(MAIN, b"\0" * (MOST_BYTES + 1))]
    for entries in ([*many, (MAIN, b"")], large):
        for kind, content in ((ZIP, zipped(*entries)), (GZIP, tar(*entries))):
            assert len(content) < 2**20
            with pytest.raises(InputError, match="more than 1000 files or 64 MiB"):
                unpacked(kind, content)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x1f\x8b", b"name: x", zipped((MAIN, b"x" * 100))[:-30],
                                     tar((MAIN, b"x" * 5000))[:60]],
                         ids=["nothing", "zip", "gzip", "text", "cut zip", "cut tar"])  # fmt: skip
def test_what_is_no_archive_is_said_to_be_none(content: bytes) -> None:
    """Other bytes and broken archives are refused in one line."""
    for kind in (ZIP, GZIP):
        with pytest.raises(InputError) as raised:
            unpacked(kind, content)
        assert len(raised.value.problems) == 1


def test_the_folder_has_a_scenario() -> None:
    """Without `scenario.yaml` it is no scenario."""
    with pytest.raises(InputError, match="not there: pack the folder"):
        unpacked(ZIP, zipped(("other.yaml", b"")))
