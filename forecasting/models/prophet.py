"""Prophet: piecewise linear trend, Fourier seasons and columns known ahead. Slow to load; used only when asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
from prophet import Prophet

from forecasting.history import Floats, History


def forecast(history: History, horizon: int, n_paths: int, seed: int) -> Floats:
    """Sample paths [n_paths, horizon] drawn from the fitted model (Taylor and Letham 2018), cut off at 0."""
    if history.constant:
        return np.full((n_paths, horizon), history.values[0])
    logging.getLogger("cmdstanpy").setLevel(logging.WARNING)
    scale = float(history.values.mean())
    model, count = Prophet(uncertainty_samples=n_paths), len(history)
    regressors = {f"known{i}": column for i, column in enumerate(history.known.T)}
    for name in regressors:
        model.add_regressor(name)
    past = {name: column[:count] for name, column in regressors.items()}
    model.fit(pd.DataFrame({"ds": history.times(), "y": history.values / scale} | past), seed=seed)
    ahead = pd.DataFrame({"ds": history.times_ahead(horizon)}
                         | {name: column[count : count + horizon] for name, column in regressors.items()})
    with _global_seed(seed):
        samples = model.predictive_samples(ahead)["yhat"]
    return np.maximum(np.asarray(samples, np.float64).T * scale, 0.0)


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """Prophet draws from numpy's global generator: seed it, and leave it as it was found."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
