"""How far float64 sums can be off, so that a proven bound can be rounded down by more."""

from __future__ import annotations

UNIT = 2.0**-52
"""Twice what one rounding can be off by, relative to its result."""


def relative_error(terms: int) -> float:
    """More than a sum of `terms` products can be off by, relative to the sum of their absolute values.

    A sum of n products, each of numbers that are a few roundings old, is off by (n + few) x 2**-53 relative to that
    (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1); this is four times as much.
    """
    return 2 * UNIT * (terms + 32)
