"""Forecast many series: check, fit models together, weight and calibrate them, draw sample paths that belong together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from forecasting.conformal import calibrate, uncalibrated
from forecasting.ensemble import BackTest, fit_ensemble, units
from forecasting.history import Floats, History, goes_far
from forecasting.long import fit_far
from forecasting.metrics import scores
from forecasting.models import default_models, load
from forecasting.panel import Panel, make_panel
from forecasting.paths import joint_paths
from forecasting.shifts import describe, follow_shifts
from forecasting.validate import Note, Refusal, check

N_PATHS = 400
PATH_LEVELS = (0.01, 0.05, 0.1, 0.25, 0.75, 0.9, 0.95, 0.99)
"""Levels that sample paths are drawn through beside those asked for."""
SCORED = (0.1, 0.5, 0.9)
"""Levels that the back-test scores."""


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What was forecast.

    `quantiles`: a row for each series and step with `unique_id`, `ds` (UTC), `model` and a column for each level
    (`q0.9`). `paths`: sample paths [n_paths, horizon] by series; the draws of all series belong together, so path i of
    one may be added to path i of another. `models`: what each series is forecast with, by series. `backtest`: a row for
    each series that was learned from (2,000 at most), model and origin with `wql`, `mase`, `coverage_p90`, `note`;
    model `forecast` is what the weighted, calibrated average would have said. `refused`: `unique_id` and `reason` of
    each series that was not forecast.
    `notes`: `unique_id` and `note` of what was made of a series before it was forecast, as steps filled in.
    """

    quantiles: pd.DataFrame
    paths: Mapping[str, Floats]
    models: Mapping[str, str]
    backtest: pd.DataFrame
    refused: pd.DataFrame
    notes: pd.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class _Done:
    panel: Panel
    notes: list[Note]
    said: Floats
    models: list[str]
    paths: Floats
    backtest: pd.DataFrame


def forecast(
    frame: pd.DataFrame,
    horizon: int,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    seed: int = 0,
    models: Sequence[str] | None = None,
    n_paths: int = N_PATHS,
    threads: int = 1,
    known: Sequence[str] = (),
    holidays: Sequence[str] = (),
) -> Forecast:
    """Forecast every series of a long frame (`unique_id`, `ds` with a time zone, `y` >= 0) `horizon` steps ahead.

    `known` names columns known ahead (events, promotions, prices), which the frame holds over the horizon too, in rows
    whose `y` is NaN; `holidays` names countries (`BR`, or `BR-SP` with a part) whose holidays become such columns.
    Of several `models` (default: `default_models` of the number of series) an average is taken by weights that past
    origins taught, the seasonal naive forecast being always among them; a single one is used as asked. Quantiles are
    calibrated on the same origins. Where no models are named, horizons beyond what these learn (see `goes_far`) are
    forecast by the level of days and the shape of weeks (`forecasting.long`). A series that cannot be forecast is
    refused with the reason and never stops the others. `threads` are those that pooled models learn with. Same frame
    (in any order of rows), arguments and version: same answer, whatever the threads.

    Raises BadFrameError for a frame that cannot be read, ValueError for levels outside 0..1 and unknown models.
    """
    levels = _checked_levels(quantiles)
    if models is not None and not models:
        raise ValueError("no models: name one at least, or leave them out")
    if n_paths < 0 or threads < 1:
        raise ValueError(f"{n_paths} paths and {threads} threads: at least 0 paths and 1 thread are needed")
    checked = check(frame, horizon, known, holidays)
    names = tuple(dict.fromkeys(default_models(len(checked.series)) if models is None else models))
    for name in names:
        load(name)
    short = [Refusal(one.unique_id, f"horizon of {horizon} steps is longer than the history of {len(one)} points: too "
                     f"far for {', '.join(names)}") for one in checked.series if models and len(one) < horizon]
    kinds: dict[tuple[bool, np.timedelta64], list[History]] = {}
    for series in checked.series:
        if not models or len(series) >= horizon:
            far = models is None and goes_far(len(series), series.step, horizon)
            kinds.setdefault((far, series.step), []).append(series)
    with threadpool_limits(1):  # several threads on arrays this small only get in each other's way
        done = [_forecast_far(make_panel(some), horizon, levels, n_paths, seed) if far else
                _forecast_panel(make_panel(some), horizon, levels, names, n_paths, seed, threads)
                for (far, _), some in sorted(kinds.items())]
    silent = [Refusal(name, f"none of the models {', '.join(names)} can forecast {int(count)} points")
              for one in done for name, count, row in zip(one.panel.ids, one.panel.count, one.said, strict=True)
              if not np.isfinite(row).all()]
    refused = sorted([*checked.refused, *short, *silent], key=lambda r: r.unique_id)
    return _collect(done, refused, list(checked.notes), horizon, levels)


def quantile_column(level: float) -> str:
    """Name of the column that holds a quantile: `q0.9`."""
    return f"q{level:g}"


def _checked_levels(quantiles: Sequence[float]) -> tuple[float, ...]:
    levels = tuple(sorted({float(level) for level in quantiles}))
    if not levels or not all(0 < level < 1 for level in levels):
        raise ValueError(f"quantiles {list(quantiles)}: at least one is needed, each above 0 and below 1")
    return levels


def _forecast_panel(panel: Panel, horizon: int, levels: tuple[float, ...], models: tuple[str, ...], n_paths: int,
                    seed: int, threads: int) -> _Done:
    panel, shifts = follow_shifts(panel)
    asked = sorted({*levels, 0.5, *(PATH_LEVELS if n_paths else ())})
    ensemble = fit_ensemble(panel, horizon, asked, models, seed, threads)
    said = ensemble.quantiles(panel)
    still = np.nanmin(panel.values, axis=1) == np.nanmax(panel.values, axis=1)
    said[still] = panel.values[still, -1][:, None, None]  # what never moved is forecast not to move
    known = ensemble.calibration.levels
    paths = joint_paths(panel, np.nan_to_num(said), known, n_paths, seed) if n_paths else np.empty(0)
    paths.setflags(write=False)
    wanted = np.searchsorted(known, levels)
    table = _backtest_frame(ensemble.test) if ensemble.test is not None else _backtest_rows([])
    said_of = [Note(panel.ids[one.row], describe(panel, one)) for one in shifts]
    return _Done(panel, said_of, said[:, :, wanted], ensemble.names(panel), paths, table)


def _forecast_far(panel: Panel, horizon: int, levels: tuple[float, ...], n_paths: int, seed: int) -> _Done:
    fitted, kept, said = fit_far(panel), [], []
    for block in fitted.weeks(horizon, n_paths or N_PATHS, seed):
        said.append(np.quantile(block, levels, axis=1).transpose(1, 2, 0))
        kept += [block] if n_paths else []
    paths = np.concatenate(kept, axis=2) if kept else np.empty(0)
    paths.setflags(write=False)
    unused = "columns known ahead and holidays are not used so far ahead"
    notes = [Note(name, unused) for name in panel.ids] if panel.known.shape[2] else []
    return _Done(panel, notes, np.concatenate(said, axis=1), ["long"] * len(panel), paths, _backtest_rows([]))


def _collect(done: list[_Done], refused: list[Refusal], notes: list[Note], horizon: int,
             levels: tuple[float, ...]) -> Forecast:
    series = _in_order(done)
    notes = [*notes, *(note for one in done for note in one.notes)]
    tests = [one.backtest for one in done if len(one.backtest)]
    backtest = pd.concat(tests, ignore_index=True) if tests else _backtest_rows([])
    return Forecast(
        quantiles=_quantile_frame(series, horizon, levels),
        paths=MappingProxyType({name: one.paths[i] for name, one, i in series if one.paths.size}),
        models=MappingProxyType({name: one.models[i] for name, one, i in series}),
        backtest=backtest.sort_values(["unique_id", "model", "origin"], kind="stable", ignore_index=True),
        refused=pd.DataFrame([asdict(refusal) for refusal in refused], columns=["unique_id", "reason"]),
        notes=pd.DataFrame([asdict(note) for note in sorted(notes, key=lambda note: note.unique_id)],
                           columns=["unique_id", "note"]),
    )


def _in_order(done: list[_Done]) -> list[tuple[str, _Done, int]]:
    """The series forecast, by name."""
    found = [(name, one, i) for one in done for i, name in enumerate(one.panel.ids) if np.isfinite(one.said[i]).all()]
    return sorted(found, key=lambda row: row[0])


def _quantile_frame(series: list[tuple[str, _Done, int]], horizon: int, levels: tuple[float, ...]) -> pd.DataFrame:
    times = [(one.panel.end[i] + np.arange(1, horizon + 1) * one.panel.step).astype("datetime64[ns]")
             for _, one, i in series]
    values = [one.said[i] for _, one, i in series]
    stacked = np.concatenate(values) if values else np.empty((0, len(levels)))
    return pd.DataFrame(
        {
            "unique_id": np.repeat(np.array([name for name, _, _ in series], object), horizon),
            "ds": pd.DatetimeIndex(np.concatenate([np.empty(0, "datetime64[ns]"), *times])).tz_localize("UTC"),
            "model": np.repeat(np.array([one.models[i] for _, one, i in series], object), horizon),
        }
        | {quantile_column(level): stacked[:, q] for q, level in enumerate(levels)}
    )


def _backtest_frame(test: BackTest) -> pd.DataFrame:
    """Scores of every model, and of their average, from every origin."""
    panel = test.panel
    unit, level = units(panel)
    levels = np.array(SCORED)
    raw = uncalibrated(levels, test.length)
    calibration = calibrate(test.truth, test.mixed, levels, unit, level)
    rows = []
    for j, back in enumerate(test.back.tolist()):
        begin = panel.columns - back
        seen = np.isfinite(test.truth[j]).all(axis=1)
        held = calibration.quantiles(test.mixed[j], unit, level)
        models = [raw.quantiles(said, unit, level) for said in test.said[:, j]]
        for name, said in zip((*test.models, "forecast"), (*models, held), strict=True):
            can = seen & np.isfinite(said).all(axis=(1, 2))
            found = scores(test.truth[j], said, levels, panel.values[:, :begin], panel.seasons[0])
            rows += [{"unique_id": panel.ids[i], "model": name, "origin": panel.end[i] - (back - 1) * panel.step,
                      "wql": found.wql[i] if can[i] else np.nan, "mase": found.mase[i] if can[i] else np.nan,
                      "coverage_p90": found.covered[i] if can[i] else np.nan,
                      "note": None if can[i] else "too short for this model"} for i in np.flatnonzero(seen)]
    return _backtest_rows(rows)


def _backtest_rows(rows: list[dict[str, object]]) -> pd.DataFrame:
    columns = ["unique_id", "model", "origin", "wql", "mase", "coverage_p90", "note"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(origin=pd.to_datetime(frame["origin"], utc=True))
