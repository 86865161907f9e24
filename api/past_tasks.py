"""The library of past tasks that a tenant's profiles are predicted from."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError

if TYPE_CHECKING:
    from planner.profiles.library import Library


class PastTasks:
    """A library, read when it is first asked for, and again once its file has changed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: object = None
        self._read: Library | None = None

    def current(self) -> Library | None:
        """The library as it is now, None where this tenant has none. Raises InputError for a file with mistakes."""
        from planner.profiles.library import read_library  # pandas: only who asks waits for it

        if self._path is None:
            return None
        with self._lock:
            try:
                written = self._path.stat()
            except FileNotFoundError:
                raise InputError([f"library: {self._path.name}: it is not there any more: `planner learn` makes one"]
                                 ) from None
            now = written.st_mtime_ns, written.st_size, written.st_ino
            if self._read is None or self._seen != now:
                self._read = read_library(self._path)
                self._seen = now
            return self._read
