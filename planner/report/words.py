"""Figures as pages write them; what is not known is left empty."""

from __future__ import annotations


def number(value: float | None) -> str:
    """Three decimals."""
    return "" if value is None or value != value else f"{value:.3f}"


def share(value: float | None) -> str:
    """Per cent."""
    return "" if value is None or value != value else f"{100 * value:.1f} %"
