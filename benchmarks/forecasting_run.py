"""One method on the tasks of one data set: `python -m benchmarks.forecasting_run JOB.json`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.forecasting_data import Floats, Task, load
from benchmarks.forecasting_metrics import LEVELS, figures
from benchmarks.one_run import Job, main

MOST_SERIES = {"mstl": 40, "statsmodels": 40, "prophet": 20}
"""Slow methods forecast so many series of a data set, spread evenly over it."""
MOST_SHORT_STEPS = MOST_SERIES | {"theta": 5, "mstl": 5}
"""The same for steps under an hour: a day has hundreds, and these take seconds to minutes a series."""
START = pd.Timestamp("2026-01-05T00:00:00Z")
"""Begin of series that come without times: a Monday."""


def run(job: Job) -> dict[str, Any]:
    """The figures of one method over all tasks, and how many series it forecast."""
    tasks = [some_of(task, (MOST_SERIES if task.step_minutes >= 60 else MOST_SHORT_STEPS).get(job.method))
             for task in load(job.path)]
    warnings.simplefilter("ignore")
    logging.getLogger("cmdstanpy").setLevel(logging.ERROR)
    said = [METHODS[job.method](task, job.seed) for task in tasks]
    count = sum(len(task.pasts) for task in tasks)
    return {"holds": True, "series": count} | figures(tasks, said)


def some_of(task: Task, most: int | None) -> Task:
    """Every so many series of a task, evenly, at most `most`."""
    if most is None or most >= len(task.pasts):
        return task
    rows = np.linspace(0, len(task.pasts) - 1, most).round().astype(int)
    return Task([task.pasts[i] for i in rows.tolist()], task.truth[rows], task.step_minutes)


def planner(task: Task, seed: int) -> Floats:
    """Our own: all series together."""
    from forecasting import forecast, quantile_column

    found = forecast(_frame(task), task.truth.shape[1], LEVELS, seed, n_paths=0)
    if len(found.refused):
        raise ValueError(f"{len(found.refused)} series refused: {found.refused['reason'].iloc[0]}")
    columns = [quantile_column(level) for level in LEVELS]
    return found.quantiles[columns].to_numpy().reshape(len(task.pasts), -1, len(LEVELS))


def seasonal_naive(task: Task, seed: int) -> Floats:  # noqa: ARG001
    """The last day again, with quantiles of its errors in the past."""
    return _naive(task, task.season)


def weekly_naive(task: Task, seed: int) -> Floats:  # noqa: ARG001
    """The last week again, where there are two of it, with quantiles of its errors in the past."""
    return _naive(task, 7 * task.season)


def theta(task: Task, seed: int) -> Floats:  # noqa: ARG001
    """Dynamic optimised theta (statsforecast), seasonally adjusted by day."""
    from statsforecast.models import DynamicOptimizedTheta

    return _statsforecast(task, DynamicOptimizedTheta(season_length=task.season))


def mstl(task: Task, seed: int) -> Floats:  # noqa: ARG001
    """Seasons of a day and a week taken off, exponential smoothing of the rest (statsforecast)."""
    from statsforecast.models import MSTL, AutoETS

    seasons = [task.season, 7 * task.season]
    return _statsforecast(task, MSTL(season_length=seasons, trend_forecaster=AutoETS(model="ZZN")))


def statsmodels(task: Task, seed: int) -> Floats:  # noqa: ARG001
    """Exponential smoothing in state space form, additive, with damped trend (statsmodels)."""
    from scipy.special import ndtri
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    def one(past: Floats) -> Floats:
        seen = pd.Series(past[-12 * task.season :])
        model = ETSModel(seen, error="add", trend="add", damped_trend=True, seasonal="add",
                         seasonal_periods=task.season, initialization_method="heuristic")
        ahead = model.fit(disp=False, maxiter=20).get_prediction(len(model.endog), len(model.endog)
                                                                   + task.truth.shape[1] - 1)
        middle, width = np.asarray(ahead.predicted_mean), np.sqrt(np.asarray(ahead.forecast_variance))
        return middle[:, None] + width[:, None] * ndtri(np.array(LEVELS))

    return np.stack([one(past) for past in task.pasts])


def prophet(task: Task, seed: int) -> Floats:
    """Prophet as it comes, with uncertainty from its samples."""
    from prophet import Prophet

    np.random.seed(seed)  # noqa: NPY002 (prophet draws from the global generator)
    frames = _frame(task).assign(ds=lambda frame: frame["ds"].dt.tz_localize(None))
    said = []
    for _, past in frames.groupby("unique_id", sort=True):
        model = Prophet(uncertainty_samples=300)
        model.fit(past[["ds", "y"]], seed=seed)
        ahead = model.make_future_dataframe(task.truth.shape[1], freq=f"{task.step_minutes}min", include_history=False)
        said.append(np.quantile(model.predictive_samples(ahead)["yhat"], LEVELS, axis=1).T)
    return np.stack(said)


def _naive(task: Task, season: int) -> Floats:
    horizon, said = task.truth.shape[1], []
    for past in task.pasts:
        lag = season if len(past) >= 2 * season else task.season
        middle = np.resize(past[-lag:], horizon)
        errors = past[lag:] - past[:-lag]
        said.append(np.maximum(middle[:, None] + np.quantile(errors, LEVELS), 0.0))
    return np.stack(said)


def _statsforecast(task: Task, model: Any) -> Floats:  # noqa: ANN401 - the library is not typed
    """Quantiles read off symmetric intervals, as the library gives them."""
    widths = sorted({round(100 * abs(2 * level - 1), 6) for level in LEVELS} - {0.0})
    said = []
    for past in task.pasts:
        found = model.forecast(past, task.truth.shape[1], level=widths)
        columns = [found["mean"] if level == 0.5 else
                   found[f"{'hi' if level > 0.5 else 'lo'}-{round(100 * abs(2 * level - 1), 6):g}"]
                   if f"hi-{round(100 * abs(2 * level - 1), 6):g}" in found else
                   found[f"{'hi' if level > 0.5 else 'lo'}-{round(100 * abs(2 * level - 1), 6)}"] for level in LEVELS]
        said.append(np.stack(columns, axis=1))
    return np.stack(said)


def _frame(task: Task) -> pd.DataFrame:
    """The pasts as a long frame that ends at the same time for all."""
    longest = max(map(len, task.pasts))
    times = pd.date_range(START, periods=longest, freq=f"{task.step_minutes}min")
    width = len(str(len(task.pasts)))
    return pd.concat([pd.DataFrame({"unique_id": f"s{i:0{width}d}", "ds": times[longest - len(past) :], "y": past})
                      for i, past in enumerate(task.pasts)], ignore_index=True)


METHODS: dict[str, Callable[[Task, int], Floats]] = {
    "planner": planner, "seasonal-naive": seasonal_naive, "weekly-naive": weekly_naive, "theta": theta, "mstl": mstl,
    "statsmodels": statsmodels, "prophet": prophet,
}  # fmt: skip

if __name__ == "__main__":
    main(run)
