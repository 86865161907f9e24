"""Detectors of many features together, by name: one module each, one line here; tests hold all to the same claims."""

from __future__ import annotations

from diagnostics.multivariate.contract import Model, MultivariateDetector, Pace, Watch
from diagnostics.multivariate.forecast_errors import ForecastErrors
from diagnostics.multivariate.neighbours import Neighbours
from diagnostics.multivariate.pca import Pca
from diagnostics.multivariate.top_z import TopZ

MULTIVARIATE_DETECTORS: dict[str, MultivariateDetector] = {
    "forecast_errors": ForecastErrors,
    "neighbours": Neighbours,
    "pca": Pca,
    "top_z": TopZ,
}

__all__ = ["MULTIVARIATE_DETECTORS", "Model", "MultivariateDetector", "Pace", "Watch"]
