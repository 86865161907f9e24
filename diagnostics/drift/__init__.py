"""Drift tests by name: one module each, one line here; tests/diagnostics holds every entry to the same claims.

These compare two months; `diagnostics.drift.online` watches a stream point by point.
"""

from __future__ import annotations

from diagnostics.drift import kl_monthly, ks, psi, wasserstein
from diagnostics.drift.contract import DriftSettings, DriftTest, Verdict, Windows

DRIFT_TESTS: dict[str, DriftTest] = {
    "kl_monthly": kl_monthly.test,
    "psi": psi.test,
    "ks": ks.test,
    "wasserstein": wasserstein.test,
}

__all__ = ["DRIFT_TESTS", "DriftSettings", "DriftTest", "Verdict", "Windows"]
