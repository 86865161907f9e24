"""Prophet: piecewise linear trend, Fourier seasons and columns known ahead. Slow to load; used only when asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
from prophet import Prophet

from forecasting.history import Floats, History
from forecasting.models.each_series import PATHS, of_paths


def spread(history: History, horizon: int, seed: int) -> Floats:
    """[H, 3] of sample paths drawn from the fitted model (Taylor and Letham 2018, "Forecasting at scale")."""
    logging.getLogger("cmdstanpy").setLevel(logging.WARNING)
    model, count = Prophet(uncertainty_samples=PATHS), len(history)
    regressors = {f"known{i}": column for i, column in enumerate(history.known.T)}
    for name in regressors:
        model.add_regressor(name)
    past = {name: column[:count] for name, column in regressors.items()}
    model.fit(pd.DataFrame({"ds": history.times(), "y": history.values} | past), seed=seed)
    ahead = pd.DataFrame({"ds": history.times_ahead(horizon)}
                         | {name: column[count : count + horizon] for name, column in regressors.items()})
    with _global_seed(seed):
        samples = model.predictive_samples(ahead)["yhat"]
    return of_paths(np.asarray(samples, np.float64).T)


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """Prophet draws from numpy's global generator: seed it, and leave it as it was found."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
