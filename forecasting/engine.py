"""Forecast many series: check, fit models together, weight and calibrate them, draw sample paths that belong together.

`forecast` does it all with one frame; where series are too many for one, `learn` from some and `predict` them in parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from forecasting.conformal import stretches
from forecasting.ensemble import Ensemble, fit_ensemble
from forecasting.history import DAY, Floats, History, fewest_points, goes_far
from forecasting.long import FAR, N_PATHS, fit_far
from forecasting.models import default_models, load
from forecasting.panel import Panel, make_panel
from forecasting.paths import joint_paths
from forecasting.scoring import (
    OURS,
    SCORED,
    join_scores,
    keep_still,
    quantile_column,
    score_far,
    score_models,
    score_young,
    unscored,
)
from forecasting.shifts import describe, follow_shifts
from forecasting.validate import Checked, Horizon, Note, Refusal, check, steps_ahead, too_short, young
from forecasting.young import FEWEST_TEACHERS, YOUNG, borrow, teachers

PATH_LEVELS = (0.01, 0.05, 0.1, 0.25, 0.75, 0.9, 0.95, 0.99)
"""Levels that sample paths are drawn through beside those asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What was forecast.

    `quantiles`: a row for each series and step with `unique_id`, `ds` (UTC), `model` and a column for each level
    (`q0.9`). `paths`: sample paths [n_paths, horizon] by series; the draws of all series belong together, so path i of
    one may be added to path i of another. `models`: what each series is forecast with, by series. `backtest`: a row for
    each series that models learned from (2,000 at most), model and origin with `pinball` (mean loss at the levels 0.1,
    0.5 and 0.9), `size` (mean of what came), `wql` (twice their ratio), `mase`, `coverage_p90` and `note`; model
    `forecast` is what the weighted average would have said, calibrated on other origins or other series, and has beside
    these the share under each level asked for (`coverage_q0.9`). `refused`: `unique_id` and `reason` of each series
    that was not forecast. `notes`: `unique_id` and `note` of what was made of a series before it was forecast, as steps
    filled in.
    """

    quantiles: pd.DataFrame
    paths: Mapping[str, Floats]
    models: Mapping[str, str]
    backtest: pd.DataFrame
    refused: pd.DataFrame
    notes: pd.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What `learn` found out: an ensemble for each length of step, series that young ones may borrow from (where no
    models were named), what was asked, and the back-test of the series that it learned from, as in `Forecast`. It may
    go to other processes.
    """

    horizon: Horizon
    levels: tuple[float, ...]
    models: tuple[str, ...]
    seed: int
    known: tuple[str, ...]
    holidays: tuple[str, ...]
    named: bool
    ensembles: Mapping[np.timedelta64, Ensemble]
    teachers: Mapping[np.timedelta64, Panel]
    backtest: pd.DataFrame

    def check(self, frame: pd.DataFrame) -> Checked:
        """The series of a frame, as they were asked for."""
        return check(frame, self.horizon, self.known, self.holidays)

    def is_far(self, one: History) -> bool:
        """Whether a series is forecast by the level of its days: no models were named, and they do not go so far."""
        return not self.named and goes_far(len(one), one.step, steps_ahead(self.horizon, one.step))

    def fit(self, panel: Panel, threads: int = 1) -> tuple[Ensemble, pd.DataFrame]:
        """An ensemble for the series of a panel (whose shifts are followed) and others like them; its back-test."""
        ahead = steps_ahead(self.horizon, panel.step)
        asked = sorted({*self.levels, *SCORED, *PATH_LEVELS})
        ensemble, test = fit_ensemble(panel, ahead, asked, self.models, self.seed, threads)
        return ensemble, score_models(test, self.levels, sparse=ensemble.sparse)


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
    horizon: Horizon,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    seed: int = 0,
    models: Sequence[str] | None = None,
    n_paths: int = N_PATHS,
    threads: int = 1,
    known: Sequence[str] = (),
    holidays: Sequence[str] = (),
) -> Forecast:
    """Forecast every series of a long frame (`unique_id`, `ds` with a time zone, `y` >= 0) `horizon` ahead.

    A horizon is a number of steps, or a span of time, for which each series takes as many as it needs. `known`
    names columns known ahead (events, promotions, prices), which the frame holds over the horizon too, in rows
    whose `y` is NaN; `holidays` names countries (`BR`, or `BR-SP` with a part) whose holidays become such columns.
    Of several `models` (default: `default_models` of the number of series) an average is taken by weights that past
    origins taught, the seasonal naive forecast being always among them; a single one is used as asked. Quantiles
    are calibrated on the same origins. Where no models are named, horizons beyond what these learn (see `goes_far`)
    are forecast by the level of days and the shape of weeks (`forecasting.long`), and series too short for models
    borrow from longer ones (`forecasting.young`). A series that cannot be forecast is refused with the reason and never
    stops the others. `threads` are those that pooled models learn with. Same frame (in any order of rows), arguments
    and version: same answer, whatever the threads.

    Raises BadFrameError for a frame that cannot be read, ValueError for levels outside 0..1 and unknown models.
    """
    if n_paths < 0:
        raise ValueError(f"{n_paths} paths: at least 0 are needed")
    learned = _asked(horizon, quantiles, seed, models, threads, known, holidays)
    checked = learned.check(frame)
    learned = _learn(learned, checked, threads)
    return replace(_say(learned, checked, n_paths, backtest=False), backtest=learned.backtest)


def learn(
    frame: pd.DataFrame,
    horizon: Horizon,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    seed: int = 0,
    models: Sequence[str] | None = None,
    threads: int = 1,
    known: Sequence[str] = (),
    holidays: Sequence[str] = (),
) -> Learned:
    """Learn from a frame what `predict` needs; arguments and errors as those of `forecast`.

    Series that were not learned from have the mean of the weights. Those that cannot be forecast are left out;
    `predict` refuses them.
    """
    learned = _asked(horizon, quantiles, seed, models, threads, known, holidays)
    return _learn(learned, learned.check(frame), threads)


def predict(learned: Learned, frame: pd.DataFrame, backtest: bool = False) -> Forecast:
    """Forecast the series of a frame with what was learned from it or from others; without sample paths.

    What is said of a series does not hang on what else is in the frame, so a frame may be cut into any parts by series.
    Series of a step that none learned from had are learned from one by one. With `backtest` all series are asked what
    would have been said from the past origins; one whose history allows none has a row without origin and figures,
    whose `note` says so. Raises BadFrameError for a frame that cannot be read.
    """
    checked = learned.check(frame)
    found = _say(learned, checked, 0, backtest)
    if not backtest:
        return found
    # What was learned from has scores with calibrations that did not see them.
    others = found.backtest[~found.backtest["unique_id"].isin(set(learned.backtest["unique_id"]))]
    own = learned.backtest[learned.backtest["unique_id"].isin(found.models)]
    scores = join_scores([others, own])
    scored = set(scores.loc[(scores["model"] == OURS) & scores["wql"].notna(), "unique_id"])
    without = {one.unique_id: _why_unscored(learned, one) for one in checked.series
               if one.unique_id in found.models and one.unique_id not in scored}
    return replace(found, backtest=join_scores([scores, unscored(without)]))


def look_back(learned: Learned, frame: pd.DataFrame) -> pd.DataFrame:
    """What would have been said of the series of a frame from the latest past origin, beside what came.

    A row a series and step with `unique_id`, `ds`, `y` and a column for each level asked for, as in `Forecast`; series
    that had not begun then, or whose step was not learned, have none, nor have those that are young or forecast far
    ahead. Raises BadFrameError.
    """
    tables, near = [], [one for one in learned.check(frame).series if not young(one) and not learned.is_far(one)]
    for panel in (follow_shifts(one)[0] for one in _panels(near)):
        ensemble = learned.ensembles.get(panel.step)
        test = ensemble.back_test(panel) if ensemble is not None else None
        if ensemble is None or test is None:
            continue
        calibration = replace(ensemble.calibration, stretch=stretches(test.length))
        wanted = np.searchsorted(calibration.levels, learned.levels)
        said = calibration.quantiles(test.mixed[-1], *panel.units())
        if ensemble.sparse is not None:
            said = ensemble.sparse.blend_past(panel, int(test.back[-1]), said)
        said = said[:, :, wanted]
        for i in np.flatnonzero(np.isfinite(said).all(axis=(1, 2)) & np.isfinite(test.truth[-1]).all(axis=1)).tolist():
            ds = panel.end[i] + np.arange(1 - test.back[-1], 1 - test.back[-1] + test.length) * panel.step
            columns = {quantile_column(level): said[i, :, q] for q, level in enumerate(learned.levels)}
            tables.append(pd.DataFrame({"unique_id": panel.ids[i], "ds": pd.DatetimeIndex(ds).tz_localize("UTC"),
                                        "y": test.truth[-1, i]} | columns))
    empty = pd.DataFrame([], columns=["unique_id", "ds", "y", *map(quantile_column, learned.levels)])
    return pd.concat(tables, ignore_index=True) if tables else empty


def _asked(horizon: Horizon, quantiles: Sequence[float], seed: int, models: Sequence[str] | None, threads: int,
           known: Sequence[str], holidays: Sequence[str]) -> Learned:
    """What was asked, before anything is learned. Raises ValueError where it makes no sense."""
    if models is not None and not models:
        raise ValueError("no models: name one at least, or leave them out")
    if threads < 1:
        raise ValueError(f"{threads} threads: at least 1 is needed")
    names = tuple(dict.fromkeys(models or ()))
    for name in names:
        load(name)
    return Learned(horizon, _checked_levels(quantiles), names, seed, tuple(dict.fromkeys(known)),
                   tuple(dict.fromkeys(holidays)), bool(names), {}, {}, join_scores([]))


def _learn(asked: Learned, checked: Checked, threads: int) -> Learned:
    a_day = max((int(DAY // one.step) for one in checked.series), default=1)
    asked = replace(asked, models=asked.models or default_models(len(checked.series), a_day))
    near = [one for one in checked.series if not young(one) and not asked.is_far(one) and _reaches(asked, one)]
    panels = [follow_shifts(panel)[0] for panel in _panels(near)]
    with threadpool_limits(1):  # several threads on arrays this small only get in each other's way
        found = {panel.step: asked.fit(panel, threads) for panel in panels}
    return replace(asked, ensembles={step: ensemble for step, (ensemble, _) in found.items()},
                   teachers={} if asked.named else {panel.step: teachers(panel, asked.seed) for panel in panels},
                   backtest=join_scores(table for _, table in found.values()))


def _say(learned: Learned, checked: Checked, n_paths: int, backtest: bool) -> Forecast:
    names = ", ".join(learned.models)
    newcomers = [one for one in checked.series if young(one)]
    far = [one for one in checked.series if not young(one) and learned.is_far(one)]
    near = [one for one in checked.series if not young(one) and not learned.is_far(one)]
    short = [Refusal(one.unique_id, f"horizon of {steps_ahead(learned.horizon, one.step)} steps is longer than the "
                                    f"history of {len(one)} points: too far for {names}")
             for one in near if not _reaches(learned, one)]
    near = [one for one in near if _reaches(learned, one)]
    with threadpool_limits(1):
        done = [_forecast_panel(learned, panel, n_paths, backtest) for some in _panels(near)
                for panel in _taught(learned, some)]
        done += [_forecast_far(learned, panel, n_paths, backtest) for panel in _panels(far)]
        done += [_forecast_young(learned, panel, n_paths, backtest) for panel in _panels(newcomers)
                 if panel.step in learned.teachers]
    there = {name for one in done for name, row in zip(one.panel.ids, one.said, strict=True) if np.isfinite(row).all()}
    short += [Refusal(one.unique_id, f"{too_short(len(one), one.step)}, or {FEWEST_TEACHERS} longer series to borrow "
                                     "from") for one in newcomers if one.unique_id not in there]
    silent = [Refusal(name, f"none of the models {names} can forecast {int(count)} points")
              for one in done for name, count, row in zip(one.panel.ids, one.panel.count, one.said, strict=True)
              if not np.isfinite(row).all() and count >= fewest_points(one.panel.step)]
    refused = sorted([*checked.refused, *short, *silent], key=lambda r: r.unique_id)
    return _collect(done, refused, list(checked.notes), learned.levels)


def _why_unscored(learned: Learned, one: History) -> str:
    """Why nothing can be held back of a series; the same words for all whose horizon is as many steps."""
    if not young(one) and not learned.is_far(one):
        return "history too short for any past origin"
    ahead = steps_ahead(learned.horizon, one.step)
    return f"history too short to hold back {ahead} steps and be forecast from what is left"


def _reaches(learned: Learned, one: History) -> bool:
    """Whether models may forecast as far as the history is long: named ones no further."""
    return not learned.named or len(one) >= steps_ahead(learned.horizon, one.step)


def _panels(series: Sequence[History]) -> list[Panel]:
    """Series by step, the shortest step first."""
    by_step: dict[np.timedelta64, list[History]] = {}
    for one in series:
        by_step.setdefault(one.step, []).append(one)
    return [make_panel(some) for _, some in sorted(by_step.items())]


def _taught(learned: Learned, panel: Panel) -> list[Panel]:
    """The panel where its step was learned; else each series by itself, to be learned from alone."""
    if panel.step in learned.ensembles:
        return [panel]
    return [make_panel([panel.history(i)]) for i in range(len(panel))]


def _checked_levels(quantiles: Sequence[float]) -> tuple[float, ...]:
    levels = tuple(sorted({float(level) for level in quantiles}))
    if not levels or not all(0 < level < 1 for level in levels):
        raise ValueError(f"quantiles {list(quantiles)}: at least one is needed, each above 0 and below 1")
    return levels


def _forecast_panel(learned: Learned, panel: Panel, n_paths: int, backtest: bool) -> _Done:
    panel, shifts = follow_shifts(panel)
    ensemble, own = learned.ensembles.get(panel.step), join_scores([])
    if ensemble is None:
        ensemble, own = learned.fit(panel)
    said = ensemble.quantiles(panel)
    keep_still(panel, said)
    levels = ensemble.calibration.levels
    paths = joint_paths(panel, np.nan_to_num(said), levels, n_paths, learned.seed) if n_paths else np.empty(0)
    paths.setflags(write=False)
    wanted = np.searchsorted(levels, learned.levels)
    unseen = np.flatnonzero(~np.isin(panel.ids, ensemble.ids)) if backtest else np.zeros(0, np.int64)
    test = ensemble.back_test(panel.pick(unseen)) if len(unseen) else None
    notes = [Note(panel.ids[one.row], describe(panel, one)) for one in shifts]
    return _Done(panel, notes, said[:, :, wanted], ensemble.names(panel), paths,
                 join_scores([own, score_models(test, learned.levels, ensemble.calibration, ensemble.sparse)]))


def _forecast_far(learned: Learned, panel: Panel, n_paths: int, backtest: bool) -> _Done:
    fitted, kept, said, ahead = fit_far(panel), [], [], steps_ahead(learned.horizon, panel.step)
    for block in fitted.weeks(ahead, n_paths or N_PATHS, learned.seed):
        said.append(np.quantile(block, learned.levels, axis=1).transpose(1, 2, 0))
        kept += [block] if n_paths else []
    paths = np.concatenate(kept, axis=2) if kept else np.empty(0)
    paths.setflags(write=False)
    unused = "columns known ahead and holidays are not used so far ahead"
    notes = [Note(name, unused) for name in panel.ids] if panel.known.shape[2] else []
    scores = score_far(panel, ahead, learned.levels, learned.seed) if backtest else join_scores([])
    return _Done(panel, notes, np.concatenate(said, axis=1), [FAR] * len(panel), paths, scores)


def _forecast_young(learned: Learned, panel: Panel, n_paths: int, backtest: bool) -> _Done:
    old, asked = learned.teachers[panel.step], np.array(sorted({*learned.levels, 0.5, *PATH_LEVELS}))
    ahead = steps_ahead(learned.horizon, panel.step)
    said, likest = borrow(old, panel, ahead, asked, learned.seed)
    keep_still(panel, said)
    paths = np.empty(0)
    if n_paths:
        alike = replace(old.pick(likest), ids=panel.ids)  # errors of the likest stand for those not yet seen
        paths = joint_paths(alike, np.nan_to_num(said), asked, n_paths, learned.seed)
    paths.setflags(write=False)
    text = "points of history: the level is the series' own, shape and spread are those of series like it"
    notes = [Note(name, f"{count} {text}")
             for name, count, row in zip(panel.ids, panel.count.tolist(), said, strict=True) if np.isfinite(row).all()]
    scores = score_young(old, panel, ahead, learned.levels, learned.seed) if backtest else join_scores([])
    return _Done(panel, notes, said[:, :, np.searchsorted(asked, learned.levels)], [YOUNG] * len(panel), paths, scores)


def _collect(done: list[_Done], refused: list[Refusal], notes: list[Note], levels: tuple[float, ...]) -> Forecast:
    series = _in_order(done)
    notes = [*notes, *(note for one in done for note in one.notes)]
    return Forecast(
        quantiles=_quantile_frame(series, levels),
        paths=MappingProxyType({name: one.paths[i] for name, one, i in series if one.paths.size}),
        models=MappingProxyType({name: one.models[i] for name, one, i in series}),
        backtest=join_scores(one.backtest for one in done),
        refused=pd.DataFrame([asdict(refusal) for refusal in refused], columns=["unique_id", "reason"]),
        notes=pd.DataFrame([asdict(note) for note in sorted(notes, key=lambda note: note.unique_id)],
                           columns=["unique_id", "note"]),
    )


def _in_order(done: list[_Done]) -> list[tuple[str, _Done, int]]:
    """The series forecast, by name."""
    found = [(name, one, i) for one in done for i, name in enumerate(one.panel.ids) if np.isfinite(one.said[i]).all()]
    return sorted(found, key=lambda row: row[0])


def _quantile_frame(series: list[tuple[str, _Done, int]], levels: tuple[float, ...]) -> pd.DataFrame:
    values = [one.said[i] for _, one, i in series]
    steps = [len(said) for said in values]
    times = [(one.panel.end[i] + np.arange(1, ahead + 1) * one.panel.step).astype("datetime64[ns]")
             for (_, one, i), ahead in zip(series, steps, strict=True)]
    stacked = np.concatenate(values) if values else np.empty((0, len(levels)))
    return pd.DataFrame(
        {
            "unique_id": np.repeat(np.array([name for name, _, _ in series], object), steps),
            "ds": pd.DatetimeIndex(np.concatenate([np.empty(0, "datetime64[ns]"), *times])).tz_localize("UTC"),
            "model": np.repeat(np.array([one.models[i] for _, one, i in series], object), steps),
        }
        | {quantile_column(level): stacked[:, q] for q, level in enumerate(levels)}
    )
