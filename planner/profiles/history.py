"""Past demand from files, forecast to the slots of the horizon: requests, rows or whatever is counted, per slot."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.frame_file import read_frame
from planner.scenario.model import Horizon, Workload
from planner.timeline import Timeline

if TYPE_CHECKING:
    import pandas as pd

    from forecasting import Forecast

Floats = NDArray[np.float64]

ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")
RENAMED = {"unique_id": "workload", "ds": "ts", "y": "value"}
"""Columns of long frames as forecasting libraries name them, and as they are named here."""
TEXTS = frozenset({*RENAMED, *RENAMED.values()} - {"y", "value"})
"""Columns that are text as it stands: a workload may be called 007, or NA."""
PATH_STEPS = 120_000
"""Series times steps forecast at a time, so that sample paths of many never lie in memory together (400 of each)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The demand wanted of one workload: a metric in a file; `metric` of None means the only one there."""

    workload: str
    path: Path
    metric: str | None

    @property
    def where(self) -> str:
        """Where a mistake in it is, for people."""
        return f"{self.path.name}: workload {self.workload}"


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """`quantile` [T] of the demand in every slot at a level, `low` [T] at 1 - level, and how they were found, in words.
    """

    quantile: Floats
    low: Floats
    why: str


def wanted(workload: Workload, folder: Path) -> Wanted | None:
    """What a workload wants forecast; None when its replicas do not come from a history."""
    if isinstance(workload.replicas, tuple) or workload.replicas.history is None:
        return None
    history = workload.replicas.history
    return Wanted(workload.name, folder / history.file, history.metric)


def forecast_demand(wants: list[Wanted], horizon: Horizon, level: float, seed: int) -> Mapping[str, Demand]:
    """Demand of every workload at quantile `level` in every slot of the horizon, by workload, from the files wanted.
    See `demand_ahead`.
    """
    return demand_ahead(select_history(wants), wants, horizon, level, seed) if wants else {}


def demand_ahead(frame: pd.DataFrame, wants: list[Wanted], horizon: Horizon, level: float, seed: int
                 ) -> Mapping[str, Demand]:
    """Demand of every workload at quantile `level` in every slot of the horizon, from a long frame of their histories.

    A horizon of several windows has the forecast for each window's own dates. Steps shorter than a slot: the busiest
    step of a slot counts, path by path. Longer ones: each of their slots has their demand. Only what lies before the
    horizon is used. Raises InputError with a line for every series that cannot be forecast: a history that ends before
    the horizon begins, is too short, has gaps, and so on.
    """
    import pandas as pd  # pandas takes half a second to load, and most scenarios have no history

    from forecasting import check

    frame = frame[frame["ds"] < pd.Timestamp(horizon.start)]
    by_name = {want.workload: want for want in wants}
    empty = sorted(set(by_name) - set(frame["unique_id"]))
    checked = check(frame, 1)
    problems = [_too_late(by_name[name], horizon) for name in empty]
    problems += [f"{by_name[refusal.unique_id].where}: {refusal.reason}" for refusal in checked.refused]
    steps: dict[np.timedelta64, list[str]] = {}
    for series in checked.series:
        problem = _misfit(series.times_ahead(1)[0], series.step, horizon)
        if problem:
            problems.append(f"{by_name[series.unique_id].where}: {problem}")
        steps.setdefault(series.step, []).append(series.unique_id)
    if problems:
        raise InputError(problems)
    found: dict[str, Demand] = {}
    for step, names in steps.items():
        at = _steps_of_slots(step, horizon)
        some = max(1, PATH_STEPS // (int(at.max()) + 1))
        for begin in range(0, len(names), some):
            part = frame[frame["unique_id"].isin(names[begin : begin + some])]
            found |= _forecast_part(part, at, by_name, level, seed)
    return found


def select_history(wants: list[Wanted]) -> pd.DataFrame:
    """The demand wanted of every workload as one long frame for forecasting: unique_id (the workload), ds, y."""
    import pandas as pd

    tables = {path: read_history(path) for path in sorted({want.path for want in wants})}
    return pd.concat([select(tables[want.path], want) for want in wants], ignore_index=True)


def read_history(path: Path, known: Sequence[str] = ()) -> pd.DataFrame:
    """A history file as columns workload, metric (either may be None throughout), ds (UTC) and value.

    Long: ts, value, and workload or metric or both; or unique_id, ds, y. Wide: ts and a column for each workload (or
    metric). CSV or Parquet. Columns `known` ahead are kept beside these; of a wide file they belong to every workload.
    Raises InputError for a file that is not there or has no rows, times without a zone, and values that are no numbers.
    """
    if path.is_dir():
        raise InputError([f"{path}: a folder; name a history file (.csv, .parquet)"])
    try:
        table = tidy(read_frame(path, TEXTS), path, known)
    except FileNotFoundError:
        raise InputError([f"{path}: there is no such history file"]) from None
    if table.empty:
        raise InputError([f"{path.name}: no rows, only names of columns: times and values are missing"])
    return table


def tidy(table: pd.DataFrame, path: Path, known: Sequence[str] = (), first: int = 0) -> pd.DataFrame:
    """What `read_history` returns, of a table that was read from a file from row `first` on. Raises InputError."""
    import pandas as pd

    if "ts" not in table.columns:
        table = table.rename(columns=RENAMED)
    if "ts" not in table.columns:
        found = ", ".join(map(str, table.columns))
        needed = "needed are ts, workload, metric, value, or ts and a column for each workload"
        raise InputError([f"{path.name}: no column ts: found {found}; {needed}"])
    taken = [name for name in known if name in ("ts", "workload", "metric", "value")]
    if taken:
        raise InputError([f"{path.name}: {taken[0]}: a history is made of it; it cannot be known ahead"])
    missing = [name for name in known if name not in table.columns]
    if missing:
        raise InputError([f"{path.name}: no column {missing[0]}: found {', '.join(map(str, table.columns))}"])
    ds = utc_times(table["ts"], path, first)
    ahead = {name: numbers_of(table[name], path, first, flags=True) for name in known}
    if "value" in table.columns:
        names = {name: _names(table[name], path, first) if name in table.columns else None
                 for name in ("workload", "metric")}
        return pd.DataFrame({"ds": ds, **names, "value": numbers_of(table["value"], path, first)} | ahead)
    wide = table.drop(columns=["ts", *known])
    parts = [
        pd.DataFrame({"ds": ds, "workload": str(name), "metric": str(name), "value": numbers_of(wide[name], path)}
                     | ahead)
        for name in wide.columns
    ]
    if not parts:
        raise InputError([f"{path.name}: only a column ts: values are missing"])
    return pd.concat(parts, ignore_index=True)


def _names(names: pd.Series, path: Path, first: int) -> pd.Series:
    empty = names.isna() | (names == "")
    if empty.any():
        row = first + int(empty.to_numpy().argmax())
        raise InputError([nameless(path.name, str(names.name), row, int(empty.sum()))])
    return names.astype(str)


def nameless(file: str, column: str, row: int, count: int) -> str:
    """Why rows without a name, the first of them `row`, are refused."""
    more = f" (and {count - 1:,} more)" if count > 1 else ""
    return f"{file}: {column}: row {row + 1}{more} has no name; every row needs one"


def utc_times(ts: pd.Series, path: Path, first: int) -> pd.Series:
    """Times in UTC of ISO-8601 texts with their zone. Raises InputError with the row, counted from `first`."""
    import pandas as pd

    if isinstance(ts.dtype, pd.DatetimeTZDtype):
        times: pd.Series = ts.dt.tz_convert("UTC")
        return times
    text = ts.astype(str)
    naive = ~text.str.contains(ZONE)
    if pd.api.types.is_datetime64_any_dtype(ts) or naive.any():
        row = int(naive.to_numpy().argmax())
        hint = "write times as 2026-11-02T00:00:00Z"
        raise InputError([f"{path.name}: ts: row {first + row + 1}: {text.iloc[row]!r} has no time zone; {hint}"])
    times = pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce")
    if times.isna().any():
        row = int(times.isna().to_numpy().argmax())
        raise InputError([f"{path.name}: ts: row {first + row + 1}: {text.iloc[row]!r} is no ISO 8601 time"])
    return times


def numbers_of(values: pd.Series, path: Path, first: int = 0, *, flags: bool = False) -> pd.Series:
    """Numbers, NaN where there is none. Raises InputError with the row, counted from `first`."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(values) and not flags:
        raise InputError([f"{path.name}: {values.name}: true and false are no numbers"])

    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    wrong = numbers.isna() & values.notna()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        hint = "; write a decimal point" if "," in str(values.iloc[row]) else ""
        at = f"row {first + row + 1}: {values.iloc[row]!r}"
        raise InputError([f"{path.name}: {values.name}: {at} is no number{hint}"])
    return numbers


def select(table: pd.DataFrame, want: Wanted) -> pd.DataFrame:
    """The rows of one workload and metric as a long frame for forecasting."""
    rows = table
    wide = rows["workload"].equals(rows["metric"])
    if wide:
        name = want.workload if (rows["workload"] == want.workload).any() or not want.metric else want.metric
        rows = _matching(rows, "workload", name, want)
    else:
        if rows["workload"].notna().any():
            rows = _matching(rows, "workload", want.workload, want)
        if rows["metric"].notna().any():
            rows = _matching(rows, "metric", want.metric or _only_metric(rows, want), want)
    return rows[["ds", "value"]].rename(columns={"value": "y"}).assign(unique_id=want.workload)


def _matching(rows: pd.DataFrame, column: str, name: str, want: Wanted) -> pd.DataFrame:
    matching = rows[rows[column] == name]
    if matching.empty:
        there = sorted(set(rows[column].dropna()))
        near = get_close_matches(name, there, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(there[:10])}"
        raise InputError([f"{want.path.name}: {column}: no rows for {name!r}; {hint}"])
    return matching


def _only_metric(rows: pd.DataFrame, want: Wanted) -> str:
    metrics = sorted(set(rows["metric"]))
    if len(metrics) > 1:
        raise InputError([f"{want.where}: metric: not given, and there are {', '.join(metrics)}; name one"])
    return str(metrics[0])


def _too_late(want: Wanted, horizon: Horizon) -> str:
    return f"{want.where}: no history before the horizon begins at {_iso(_start(horizon))}"


def _start(horizon: Horizon) -> np.datetime64:
    return np.datetime64(horizon.start.replace(tzinfo=None), "ns")  # a scenario's times are UTC


def _misfit(end: np.datetime64, step: np.timedelta64, horizon: Horizon) -> str | None:
    """Why a history that ends at `end` cannot serve all windows of the horizon, if it cannot."""
    start = _start(horizon)
    slot = np.timedelta64(horizon.slot_minutes, "m").astype("timedelta64[ns]")
    if end < start:
        return f"history ends at {_iso(end)}, before the horizon begins at {_iso(start)}; add what is missing"
    minutes = int(step // np.timedelta64(1, "m"))
    if min(step, slot) == np.timedelta64(0) or max(step, slot) % min(step, slot) != np.timedelta64(0):
        return f"steps of {minutes} min and slots of {horizon.slot_minutes} min do not divide each other"
    if end > start:
        return f"steps of {minutes} min do not begin where the horizon begins, at {_iso(start)}"
    for window in horizon.windows[1:]:
        if int((window.start - horizon.start).total_seconds()) % (60 * min(minutes, horizon.slot_minutes)):
            return f"steps of {minutes} min do not begin where the window of {window.start.isoformat()} begins"
    return None


def _steps_of_slots(step: np.timedelta64, horizon: Horizon) -> NDArray[np.int64]:
    """The steps [T, fine] of a history, counted from the begin of the horizon, that each slot holds or lies in."""
    minutes = int(step // np.timedelta64(1, "m"))
    fine = max(1, horizon.slot_minutes // minutes)
    at: NDArray[np.int64] = (Timeline.of(horizon).minute // minutes)[:, None] + np.arange(fine)
    return at


def _forecast_part(
    frame: pd.DataFrame, at: NDArray[np.int64], by_name: Mapping[str, Wanted], level: float, seed: int
) -> dict[str, Demand]:
    from forecasting import forecast

    done = forecast(frame, int(at.max()) + 1, (level,), seed)
    if len(done.refused):
        refused = zip(done.refused["unique_id"], done.refused["reason"], strict=True)
        raise InputError([f"{by_name[str(name)].where}: {reason}" for name, reason in refused])
    return {
        name: Demand(*_slot_quantiles(paths, at, level), _why(done, name, level))
        for name, paths in done.paths.items()
    }


def _slot_quantiles(paths: Floats, at: NDArray[np.int64], level: float) -> tuple[Floats, Floats]:
    """Quantiles [T] at `level` and 1 - level over paths [n, steps] of the busiest of the steps `at` [T, fine] that a
    slot holds or lies in.
    """
    most: Floats = np.quantile(paths[:, at].max(axis=2), (level, 1 - level), axis=0)
    return most[0], most[1]


def _why(done: Forecast, name: str, level: float) -> str:
    model = done.models[name]
    scores = done.backtest[done.backtest["unique_id"] == name].groupby("model")["wql"].mean()
    notes = "".join(f" History: {text}." for text in done.notes["note"][done.notes["unique_id"] == name])
    if "forecast" not in scores:
        return (f"Demand is the {level:g} quantile of a {model} forecast; "
                f"the history is too short for a back-test.{notes}")
    return (
        f"Demand is the {level:g} quantile of a forecast by {model}, whose loss in the back-test was "
        f"{scores['forecast']:.3f} "
        f"(seasonal naive {scores['seasonal_naive']:.3f}).{notes}"
    )


def _iso(time: np.datetime64) -> str:
    return str(time.astype("datetime64[s]")) + "Z"
