"""What a broken rule is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that is broken: its `kind`, `where` (names of the problem's tables with rows), and in words.

    `found` is the figure that breaks the rule, `allowed` the nearest that would not.
    """

    kind: str
    where: Mapping[str, int]
    found: float
    allowed: float
    sentence: str
