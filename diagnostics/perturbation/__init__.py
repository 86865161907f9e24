"""Perturbations by name: one module each, one line here; each says what alarm should come of it."""

from __future__ import annotations

from diagnostics.perturbation import (
    correlated,
    large_io,
    level,
    missing_data,
    noisy_neighbour,
    seasonal_break,
    slow_disk,
    variance,
)
from diagnostics.perturbation.contract import CannotPerturbError, Expected, Injected, Perturbation, Scene

PERTURBATIONS: dict[str, Perturbation] = {
    "level": level.inject,
    "variance": variance.inject,
    "seasonal_break": seasonal_break.inject,
    "missing_data": missing_data.inject,
    "large_io": large_io.inject,
    "noisy_neighbour": noisy_neighbour.inject,
    "slow_disk": slow_disk.inject,
    "correlated": correlated.inject,
}

__all__ = ["PERTURBATIONS", "CannotPerturbError", "Expected", "Injected", "Perturbation", "Scene"]
