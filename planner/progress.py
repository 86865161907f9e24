"""A progress bar with the time left, for work that tells what it does and how far it is."""

from __future__ import annotations

import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from planner.terminal import plain


class Bar:
    """One line on standard error: what is done, the share of it, the time left; silent in files and pipes."""

    def __enter__(self) -> Self:
        self._shown = Progress(TextColumn("{task.fields[what]}"), BarColumn(bar_width=30),
                               TextColumn("{task.percentage:.0f} %"), TimeElapsedColumn(), TextColumn("left"),
                               TimeRemainingColumn(), console=Console(stderr=True), transient=True,
                               disable=not sys.stderr.isatty())
        self._task = self._shown.add_task("", total=1.0, what="")
        self._shown.start()
        return self

    def __call__(self, what: str, share: float) -> None:
        """Show how far it is."""
        self._shown.update(self._task, completed=share, what=plain(what))

    def __exit__(self, *_: object) -> None:
        self._shown.stop()
