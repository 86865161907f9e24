"""What the first use of `forecasting` loads: nothing that no forecast has asked for."""

from __future__ import annotations

import json
import subprocess
import sys

LATER = {"prophet", "cmdstanpy", "statsmodels", "statsforecast", "holidays"}
"""Loaded when models or holidays are asked for by name; statsforecast also for very few series."""
FIRST_USE = """
import json, sys
import forecasting

def loaded():
    return sorted({name.partition(".")[0] for name in sys.modules})

found = [loaded()]
import numpy as np, pandas as pd
from forecasting.models import boosting
boosting.LEAST_TREES = boosting.MOST_TREES = boosting.SPREAD_TREES = 8
hours = np.arange(24 * 14)
ds = pd.date_range("2026-10-01", periods=len(hours), freq="h", tz="UTC")
frame = pd.concat([pd.DataFrame({"unique_id": f"s{k}", "ds": ds, "y": 50 + k * np.sin(hours / 24) + hours % (k + 5)})
                   for k in range(9)])
assert len(forecasting.forecast(frame, 24, n_paths=0).models) == 9
print(json.dumps([*found, loaded()]))
"""


def test_libraries_of_other_models_are_not_loaded() -> None:
    """Import loads no library that learns; a forecast that names no models loads LightGBM, and none of the others."""
    child = subprocess.run([sys.executable, "-c", FIRST_USE], check=True, capture_output=True, text=True)
    imported, after = map(set, json.loads(child.stdout))
    assert not imported & (LATER | {"lightgbm", "sklearn"})
    assert "lightgbm" in after
    assert not after & LATER
