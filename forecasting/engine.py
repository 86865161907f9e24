"""Forecast many series: check, choose a model for each, draw sample paths, read quantiles off them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from forecasting.backtest import Choice, choose
from forecasting.history import Floats, History, TooShortError
from forecasting.models import DEFAULT_MODELS, load
from forecasting.paths import quantiles_of
from forecasting.validate import Refusal, check

N_PATHS = 400


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What was forecast.

    `quantiles`: a row for each series and step with `unique_id`, `ds` (UTC), `model` and a column for each level
    (`q0.9`). `paths`: sample paths [n_paths, horizon] by series; the draws of all series belong together, so path i of
    one may be added to path i of another. `models`: the model chosen, by series. `backtest`: a row for each series,
    model and origin with `wql`, `mase`, `coverage_p90`, `note`. `refused`: `unique_id` and `reason` of each series that
    was not forecast.
    """

    quantiles: pd.DataFrame
    paths: Mapping[str, Floats]
    models: Mapping[str, str]
    backtest: pd.DataFrame
    refused: pd.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class _Done:
    history: History
    choice: Choice
    paths: Floats


def forecast(
    frame: pd.DataFrame,
    horizon: int,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    seed: int = 0,
    models: Sequence[str] = DEFAULT_MODELS,
    n_paths: int = N_PATHS,
) -> Forecast:
    """Forecast every series of a long frame (`unique_id`, `ds` with a time zone, `y` >= 0) `horizon` steps ahead.

    Of several `models` the back-test chooses one for each series, the seasonal naive forecast being always a candidate;
    a single one is used as asked. A series that cannot be forecast is refused with the reason and never stops the
    others. Same frame (in any order of rows), arguments and version: same answer.

    Raises BadFrameError for a frame that cannot be read, ValueError for levels outside 0..1 and unknown models.
    """
    levels = _checked_levels(quantiles)
    names = tuple(dict.fromkeys(models))
    for name in names:
        load(name)
    if not names or n_paths < 1:
        raise ValueError(f"{len(names)} models and {n_paths} paths: at least one of each is needed")
    checked = check(frame, horizon)
    with threadpool_limits(1):  # several threads on arrays this small only get in each other's way
        outcomes = [_forecast_one(series, horizon, names, n_paths, seed) for series in checked.series]
    done = [outcome for outcome in outcomes if isinstance(outcome, _Done)]
    refused = [*checked.refused, *(outcome for outcome in outcomes if isinstance(outcome, Refusal))]
    return _collect(done, sorted(refused, key=lambda r: r.unique_id), horizon, levels)


def quantile_column(level: float) -> str:
    """Name of the column that holds a quantile: `q0.9`."""
    return f"q{level:g}"


def _checked_levels(quantiles: Sequence[float]) -> tuple[float, ...]:
    levels = tuple(sorted({float(level) for level in quantiles}))
    if not levels or not all(0 < level < 1 for level in levels):
        raise ValueError(f"quantiles {list(quantiles)}: at least one is needed, each above 0 and below 1")
    return levels


def _forecast_one(series: History, horizon: int, models: tuple[str, ...], n_paths: int, seed: int) -> _Done | Refusal:
    choice = choose(series, horizon, models, seed)
    try:
        paths = load(choice.model).forecast(series, horizon, n_paths, seed)
    except TooShortError as reason:
        return Refusal(series.unique_id, str(reason))
    paths.setflags(write=False)
    return _Done(series, choice, paths)


def _collect(done: list[_Done], refused: list[Refusal], horizon: int, levels: tuple[float, ...]) -> Forecast:
    ids = [one.history.unique_id for one in done]
    return Forecast(
        quantiles=_quantile_frame(done, horizon, levels),
        paths=MappingProxyType({one.history.unique_id: one.paths for one in done}),
        models=MappingProxyType(dict(zip(ids, (one.choice.model for one in done), strict=True))),
        backtest=_backtest_frame(done),
        refused=pd.DataFrame([asdict(refusal) for refusal in refused], columns=["unique_id", "reason"]),
    )


def _quantile_frame(done: list[_Done], horizon: int, levels: tuple[float, ...]) -> pd.DataFrame:
    times = [one.history.times_ahead(horizon).astype("datetime64[ns]") for one in done]
    values = [quantiles_of(one.paths, levels) for one in done]
    stacked = np.concatenate(values, axis=1) if values else np.empty((len(levels), 0))
    return pd.DataFrame(
        {
            "unique_id": np.repeat(np.array([one.history.unique_id for one in done], object), horizon),
            "ds": pd.DatetimeIndex(np.concatenate([np.empty(0, "datetime64[ns]"), *times])).tz_localize("UTC"),
            "model": np.repeat(np.array([one.choice.model for one in done], object), horizon),
        }
        | {quantile_column(level): row for level, row in zip(levels, stacked, strict=True)}
    )


def _backtest_frame(done: list[_Done]) -> pd.DataFrame:
    columns = ["unique_id", "model", "origin", "wql", "mase", "coverage_p90", "note"]
    rows = [{"unique_id": one.history.unique_id} | asdict(score) for one in done for score in one.choice.scores]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(origin=pd.to_datetime(frame["origin"], utc=True))
