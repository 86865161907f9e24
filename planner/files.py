"""Files that are either there in full or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file by way of a temporary one beside it, so that nobody ever sees half of it. Raises OSError."""
    write_together({path: content})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: none takes its name before all are written. Raises OSError."""
    with ExitStack() as beside:
        written = {path: beside.enter_context(_temporary(path, content)) for path, content in contents.items()}
        for path, name in written.items():
            name.replace(path)


@contextmanager
def _temporary(path: Path, content: bytes) -> Iterator[Path]:
    """A file with the content in the folder of `path`, which goes unless it is renamed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o666 & ~_umask())
        yield Path(name)
    finally:
        with suppress(OSError):
            Path(name).unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
