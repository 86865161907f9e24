"""What the process of a job prints, kept for people."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

MOST: Final = 64 * 1024
"""Bytes that are kept, the newest."""


class Log:
    """The output of one process in a file, behind what attempts before it printed."""

    def __init__(self, path: Path, before: tuple[str, bytes] | None) -> None:
        self.path, self._size = path, 0
        self._before = b"" if before is None else before[1]
        path.touch()

    def news(self) -> bytes | None:
        """All that is kept; None where nothing has come since it was last asked."""
        size = self.path.stat().st_size
        if size == self._size:
            return None
        self._size = size
        with self.path.open("rb") as file:
            file.seek(max(0, size - MOST))
            return (self._before + file.read())[-MOST:]


def print_to(path: str) -> None:
    """Have all that this process prints from now on, and those that it starts, go to a file."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(file, 1)
    os.close(file)
