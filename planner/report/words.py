"""Figures as pages write them; what is not known is left empty."""

from __future__ import annotations

from typing import Final

from diagnostics.words import figure
from planner.terminal import usd


def number(value: float | None) -> str:
    """Three decimals."""
    return "" if value is None or value != value else f"{value:.3f}"


def share(value: float | None) -> str:
    """Per cent."""
    return "" if value is None or value != value else f"{100 * value:.1f} %"


WORDS: Final = {"usd": usd, "number": number, "share": share, "figure": figure}
"""Functions that templates write figures with, those of files and of the service."""
