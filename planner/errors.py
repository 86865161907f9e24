"""Errors that people see."""

from __future__ import annotations

from collections.abc import Iterable

SHOWN = 20
"""The most problems printed at once; the rest are counted."""


class InputError(Exception):
    """The input is wrong.

    `problems` holds one line for each mistake: file: field: value found: what is allowed: nearest match or how to mend.
    `str()` prints the first 20 of them and counts the rest.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__(*self.problems)

    def __str__(self) -> str:
        more = len(self.problems) - SHOWN
        lines = self.problems[:SHOWN] + ((f"and {more} more",) if more > 0 else ())
        return "\n".join(lines)


class NotEnoughEvidenceError(InputError):
    """The input is right, and says too little for an answer; the lines say what is not known and what would help."""


class Interrupted(Exception):  # noqa: N818 (says what happened)
    """The user stopped it (Ctrl-C); the message says so, and what is kept."""
