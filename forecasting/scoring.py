"""Scores of what would have been said from past origins: tables with a row a series, model and origin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecasting.conformal import Calibration, calibrate, stretches, uncalibrated
from forecasting.ensemble import ORIGINS, BackTest
from forecasting.history import DAY, FEWEST_POINTS, Floats, goes_far
from forecasting.long import FAR, N_PATHS, fit_far
from forecasting.metrics import scores
from forecasting.models import FLOOR, load
from forecasting.panel import Panel
from forecasting.sparse import Sparse, fit_sparse
from forecasting.young import YOUNG, borrow

SCORED = (0.1, 0.5, 0.9)
"""Levels that the back-test scores."""
OURS = "forecast"
"""Model of the rows that tell how good what is said is, whatever it is made of."""
COLUMNS = ("unique_id", "model", "origin", "pinball", "size", "wql", "mase", "coverage_p90", "note")


def quantile_column(level: float) -> str:
    """Name of the column that holds a quantile: `q0.9`."""
    return f"q{level:g}"


def score_models(test: BackTest | None, asked: tuple[float, ...], calibration: Calibration | None = None,
                 sparse: Sparse | None = None) -> pd.DataFrame:
    """Scores of every model, and of their calibrated average, from every origin.

    Without a calibration learned elsewhere, that of each origin is learned from the other origins, and so are the
    shares of intermittent demand, where `sparse` says that it is told apart.
    """
    if test is None:
        return join_scores([])
    panel, tables = test.panel, []
    unit, level = panel.units()
    raw = uncalibrated(np.array(SCORED), test.length)
    for j, back in enumerate(test.back.tolist()):
        known = _held_out(test, j, asked) if calibration is None else calibration
        held = replace(known, stretch=stretches(test.length)).quantiles(test.mixed[j], unit, level)
        shared = _sparse_held_out(test, j, known) if sparse is not None and calibration is None else sparse
        held = held if shared is None else shared.blend_past(panel, back, held)
        keep_still(panel, held)
        scored, wanted = (held[:, :, np.searchsorted(known.levels, some)] for some in (SCORED, asked))
        for name, said in zip(test.models, test.said[:, j], strict=True):
            tables.append(_score(panel, back, test.truth[j], name, raw.quantiles(said, unit, level)))
        tables.append(_score(panel, back, test.truth[j], OURS, scored, asked, wanted))
    return join_scores(tables)


def score_far(panel: Panel, horizon: int, asked: tuple[float, ...], seed: int) -> pd.DataFrame:
    """Scores of what would have been said far ahead, from up to 4 past origins, half a horizon apart, by whole days.

    An origin counts for the series that would have been forecast so far ahead from what they had shown then.
    """
    a_day = int(DAY // panel.step)
    apart = -(-max(1, horizon // 2) // a_day) * a_day
    levels, tables = np.array(sorted({*SCORED, *asked})), list[pd.DataFrame]()
    for back in (horizon + apart * np.arange(ORIGINS)).tolist():
        able = [count > back and goes_far(count - back, panel.step, horizon) for count in panel.count.tolist()]
        some = panel.pick(np.flatnonzero(able))
        if len(some):
            weeks = fit_far(some.before(back)).weeks(horizon, N_PATHS, seed)
            said = np.concatenate([np.quantile(week, levels, axis=1).transpose(1, 2, 0) for week in weeks], axis=1)
            tables += _score_alone(some, back, FAR, said, levels, asked, seed)
    return join_scores(tables)


def score_young(old: Panel, panel: Panel, horizon: int, asked: tuple[float, ...], seed: int) -> pd.DataFrame:
    """Scores of what would have been said of young series one horizon ago, borrowed from `old` as it was then."""
    some = panel.pick(np.flatnonzero(panel.count - horizon >= FEWEST_POINTS))
    if not len(some):
        return join_scores([])
    levels = np.array(sorted({*SCORED, *asked}))
    then = some.before(horizon)
    said = borrow(old.before(horizon), then, horizon, levels, seed)[0]
    keep_still(then, said)
    return join_scores(_score_alone(some, horizon, YOUNG, said, levels, asked, seed))


def unscored(reasons: Mapping[str, str]) -> pd.DataFrame:
    """A row for each series without any score, by name: no origin, no figures, and in `note` the reason."""
    origin = pd.DatetimeIndex(np.full(len(reasons), np.datetime64("NaT", "ns"))).tz_localize("UTC")
    figures = dict.fromkeys(COLUMNS[3:8], np.nan)
    return pd.DataFrame({"unique_id": list(reasons), "model": OURS, "origin": origin, **figures,
                         "note": list(reasons.values())})


def join_scores(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Tables of scores as one, in order of series, model and origin."""
    full = [table for table in tables if len(table)]
    if not full:
        return pd.DataFrame([], columns=COLUMNS).assign(origin=pd.to_datetime([], utc=True))
    frame = pd.concat(full, ignore_index=True)
    frame = frame[[*COLUMNS, *(name for name in frame.columns if name not in COLUMNS)]]
    return frame.sort_values(["unique_id", "model", "origin"], kind="stable", ignore_index=True)


def keep_still(panel: Panel, said: Floats) -> None:
    """What never moved is forecast not to move."""
    still = np.nanmin(panel.values, axis=1) == np.nanmax(panel.values, axis=1)
    said[still] = panel.values[still, -1][:, None, None]


def _score_alone(panel: Panel, back: int, model: str, said: Floats, levels: Floats, asked: tuple[float, ...],
                 seed: int) -> list[pd.DataFrame]:
    """Scores of a model that forecasts alone, `said` [N, H, Q] at `levels`, beside the seasonal naive one."""
    horizon, begin = said.shape[1], panel.columns - back
    truth = panel.values[:, begin : begin + horizon]
    naive = load(FLOOR).fit(panel.before(back), horizon, seed).spread(panel.before(back))
    naive = uncalibrated(np.array(SCORED), horizon).quantiles(naive, *panel.units())
    scored = said[:, :, np.searchsorted(levels, SCORED)]
    return [_score(panel, back, truth, FLOOR, naive), _score(panel, back, truth, model, scored),
            _score(panel, back, truth, OURS, scored, asked, said[:, :, np.searchsorted(levels, asked)])]


def _score(panel: Panel, back: int, truth: Floats, model: str, said: Floats,
           asked: tuple[float, ...] = (), wanted: Floats | None = None) -> pd.DataFrame:
    """Scores of what a model `said` [N, H, 3] at the levels `SCORED`, from `back` steps before the end, of series that
    had begun; and the share of `truth` [N, H] under what was `wanted` [N, H, Q], the levels `asked` for.
    """
    levels = np.array(SCORED)
    past, seen = panel.values[:, : max(0, panel.columns - back)], np.isfinite(truth).all(axis=1)
    can = seen & np.isfinite(said).all(axis=(1, 2))
    found = scores(truth, said, levels, past, panel.seasons[0])
    figures = {"pinball": found.pinball, "size": found.size, "wql": found.wql, "mase": found.mase,
               "coverage_p90": found.covered}
    if wanted is not None:
        under = (truth[..., None] <= wanted).mean(axis=1)
        figures |= {f"coverage_{quantile_column(level)}": under[:, q] for q, level in enumerate(asked)}
    origin = pd.DatetimeIndex(panel.end - (back - 1) * panel.step).as_unit("ns").tz_localize("UTC")
    table = {"unique_id": np.array(panel.ids, object), "model": model, "origin": origin}
    table |= {column: np.where(can, values, np.nan) for column, values in figures.items()}
    note = np.where(can, None, "too short for this model")  # type: ignore[call-overload]
    return pd.DataFrame(table | {"note": note}).iloc[np.flatnonzero(seen)]


def _held_out(test: BackTest, j: int, asked: tuple[float, ...]) -> Calibration:
    """What would have been learned had origin j not been there; where there are no others, what was."""
    others, levels = _others(test, j), np.array(sorted({*SCORED, *asked}))
    return calibrate(test.truth[others], test.mixed[others], levels, *test.panel.units())


def _sparse_held_out(test: BackTest, j: int, known: Calibration) -> Sparse | None:
    """The same for the shares of intermittent demand."""
    others, (unit, level) = _others(test, j), test.panel.units()
    said = np.stack([known.quantiles(mixed, unit, level) for mixed in test.mixed[others]])
    return fit_sparse(test.panel, test.back[others], test.truth[others], said, known.levels, unit, test.length)


def _others(test: BackTest, j: int) -> NDArray[np.bool_]:
    """Origins [J] other than j; all where there are no others."""
    return np.arange(len(test.back)) != j if len(test.back) > 1 else np.array([True])
