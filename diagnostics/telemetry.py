"""Recorded telemetry: read strictly from a long frame, kept as one regular grid of UTC steps."""

from __future__ import annotations

import difflib
import re
import zlib
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from diagnostics.words import named

if TYPE_CHECKING:  # pandas is only loaded when a frame is really read
    import pandas as pd

Told = TypeVar("Told")

COLUMNS = ("cluster", "hardware_class", "metric", "ts", "value")
NAMES = COLUMNS[:3]
KINDS = ("etl", "feature", "training", "serving")
"""Of workloads that a row may be about."""
OPTIONAL = ("workload", "kind", "device", "host", "country", "telemetry_opt_in")
"""Of a workload what it measures, of a device (or a type of them) what is measured there; hosts of a cluster count by
their mean, unless they are read by themselves; a cluster has one country and one consent.
"""
COUNTED, MOST_STEPS = "_total", 3
"""Ending of the names of counters, and how many steps a rate of one may span."""
SHARE, MOST_SHARE = "_share", 1.5
"""Ending of the names of shares, and the most that one may be: beyond it is percent, not a share a little over 1."""
MOST_VALUE = 1e100
"""Nothing measured is larger; squares of it are still numbers."""
MAX_CELLS = 20_000_000
MINUTES_PER_DAY = 24 * 60

_WITH_ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")


class TelemetryError(ValueError):
    """The telemetry cannot be used; the message is one line: what was found, where, what is allowed."""


class Series(NamedTuple):
    """What one row of the grid measures: a metric of a cluster, or of a workload of some kind that runs there; of one
    device (or type of devices), or of all.
    """

    cluster: str
    hardware_class: str
    metric: str
    workload: str = ""
    kind: str = ""
    device: str = ""

    @property
    def name(self) -> str:
        """The metric, and whose it is where it is a workload's or of a device."""
        return named(self.metric, self.workload, self.device)

    @property
    def whole(self) -> bool:
        """Whether it is a metric of the cluster itself, on all devices."""
        return not self.workload and not self.device


@dataclass(frozen=True, eq=False)
class Telemetry:
    """Telemetry on a regular grid.

    `values` [series, steps] is float64 with NaN where nothing was recorded; `series` is sorted; column t covers
    `step_minutes` from `start` + t steps (UTC). `merged_rows` counts rows that were sent again for a moment already
    known; several values within one step count by their mean. `countries` of clusters are there where rows had them;
    rows of clusters in `opted_out` are diagnosed, and teach nothing about others. Where hosts are read by themselves,
    each stands as a cluster named cluster/host, and `part_of` has the cluster that it is of.
    """

    series: tuple[Series, ...]
    values: npt.NDArray[np.float64]
    start: np.datetime64
    step_minutes: int
    merged_rows: int = 0
    countries: Mapping[str, str] = field(default_factory=dict)
    opted_out: frozenset[str] = frozenset()
    part_of: Mapping[str, str] = field(default_factory=dict)

    @property
    def steps_per_day(self) -> int:
        """Steps in 24 hours."""
        return MINUTES_PER_DAY // self.step_minutes

    @property
    def clusters(self) -> tuple[str, ...]:
        """Names of the clusters that sent anything, sorted."""
        return tuple(sorted({series.cluster for series in self.series}))

    def known(self, told: Mapping[str, Told]) -> dict[str, Told]:
        """What is told of clusters that sent anything; what is told of a cluster is so of each of its hosts."""
        whole = {name: self.part_of.get(name, name) for name in self.clusters}
        return {name: told[cluster] for name, cluster in whole.items() if cluster in told}

    def when(self, step: int) -> str:
        """ISO-8601 UTC time at which a step begins."""
        return f"{np.datetime_as_string(self.start + np.timedelta64(step * self.step_minutes, 'm'), unit='m')}Z"


def read_telemetry(path: Path, step_minutes: int = 60, by: Literal["cluster", "host"] = "cluster") -> Telemetry:
    """Read a CSV (also .csv.gz) or Parquet file with the columns cluster, hardware_class, metric, ts, value, and
    perhaps workload and kind, device, host, country, telemetry_opt_in.

    Raises:
        TelemetryError: the file is not there, has another format, or breaks the contract of `from_frame`.

    """
    if not path.is_file():
        raise TelemetryError(f"{path}: no such file; a CSV or Parquet file with the columns {', '.join(COLUMNS)}")
    if not path.name.endswith((".parquet", ".csv", ".csv.gz")):
        raise TelemetryError(f"{path}: '{path.suffix}' is not a telemetry format; .csv, .csv.gz or .parquet")
    try:
        return from_frame(_read_frame(path), step_minutes, by)
    except TelemetryError as error:
        raise TelemetryError(f"{path.name}: {error}") from None


def _read_frame(path: Path) -> pd.DataFrame:
    """The file as it is, names and times as text."""
    import pandas as pd  # takes half a second to load, and arrays need none of it

    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        texts = (*NAMES, "ts", *OPTIONAL)
        return pd.read_csv(path, dtype=dict.fromkeys(texts, "object"), keep_default_na=False,
                           na_values={"value": ["", "NA", "NaN", "nan", "null"]}, float_precision="round_trip")
    except (OSError, EOFError, ValueError, zlib.error) as error:  # what pandas and pyarrow raise for a broken file
        raise TelemetryError(f"cannot be read: {(str(error) or type(error).__name__).splitlines()[0]}") from None


def from_frame(frame: pd.DataFrame, step_minutes: int = 60, by: Literal["cluster", "host"] = "cluster") -> Telemetry:
    """Check a long frame and put it on the grid: hosts of a cluster by their mean, or `by` host each by itself.

    Names are strings, `ts` has a time zone, `value` is a finite number or missing. Rows may come in any order, with
    gaps, late or twice; exact repeats count once.

    Raises:
        TelemetryError: naming the column, the row and the value.

    """
    if step_minutes < 1 or MINUTES_PER_DAY % step_minutes:
        raise TelemetryError(f"step_minutes: {step_minutes}: a whole number of minutes that divides a day")
    _check_columns([str(column) for column in frame.columns])
    if len(frame) == 0:
        raise TelemetryError("no rows: at least one measurement is needed")
    names = [_names(frame[column], column) for column in NAMES] + _workloads(frame)
    minutes = _minutes(frame["ts"])
    values = _values(frame["value"])
    hosts, clusters = _optional(frame, "host"), names[0]
    if by == "host":
        names[0] = np.array([f"{cluster}/{host}" if host else cluster for cluster, host in
                             zip(clusters.tolist(), hosts.tolist(), strict=True)], dtype=object)

    keys, codes = _series([*names, _optional(frame, "device"), hosts])
    _check_shares(np.array([key[2].endswith(SHARE) for key in keys])[codes], names[2], values)
    order = np.lexsort((values, minutes, codes))
    codes, minutes, values = codes[order], minutes[order], values[order]
    repeated = np.zeros(len(values), dtype=bool)
    repeated[1:] = (np.diff(codes) == 0) & (np.diff(minutes) == 0)
    kept = ~(repeated & (values == np.roll(values, 1)))
    values = _rates(keys, codes, minutes, values, step_minutes)
    keys = [(*key[:2], _rate_name(key[2]), *key[3:]) for key in keys]
    series = sorted({Series(*key[:-1]) for key in keys})
    codes = np.array([bisect_left(series, key[:-1]) for key in keys])[codes[kept]]  # hosts of a series become one
    order = np.lexsort((values[kept], minutes[kept], codes))
    grid = _grid(tuple(series), codes[order], minutes[kept][order], values[kept][order], step_minutes,
                 int(repeated.sum()))
    grid = replace(grid, part_of=_part_of(names[0], clusters) if by == "host" else {})
    return replace(grid, countries=grid.known(_countries(frame, clusters)),
                   opted_out=frozenset(grid.known(dict.fromkeys(_opted_out(frame, clusters), True))))


def _rate_name(metric: str) -> str:
    """What a counter is called as a rate; other names stay."""
    return f"{metric.removesuffix(COUNTED)}_per_s" if metric.endswith(COUNTED) else metric


def _rates(keys: list[tuple[str, ...]], codes: npt.NDArray[np.int64], minutes: npt.NDArray[np.int64],
           values: npt.NDArray[np.float64], step_minutes: int) -> npt.NDArray[np.float64]:
    """Counters as rates a second since the value before; one that fell counts from 0, and there is none across more
    than `MOST_STEPS` steps. Rows are sorted by series and time; other values stay as they are.
    """
    counted = np.array([key[2].endswith(COUNTED) for key in keys], dtype=bool)[codes]
    if not counted.any():
        return values
    gap, rise = (np.diff(one, prepend=np.nan) for one in (minutes.astype(np.float64), values))
    first = np.diff(codes, prepend=-1) != 0
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = np.where(rise < 0, values, rise) / (60 * gap)
    known = ~first & (gap > 0) & (gap <= MOST_STEPS * step_minutes)
    return np.where(counted, np.where(known, rate, np.nan), values)


def _check_columns(found: list[str]) -> None:
    """The five columns, perhaps others that are known, in any order."""
    for column in COLUMNS:
        if column not in found:
            near = difflib.get_close_matches(column, found, n=1)
            hint = f"; rename '{near[0]}'?" if near else ""
            raise TelemetryError(f"column '{column}' is missing; found {', '.join(found) or 'none'}{hint}")
    extra = [column for column in found if column not in (*COLUMNS, *OPTIONAL)]
    if extra:
        known = f"the columns are {', '.join(COLUMNS)}, and may be {', '.join(OPTIONAL)}"
        raise TelemetryError(f"column '{extra[0]}' is not known; {known}")


def _refuse(column: str, row: int, value: object, allowed: str) -> TelemetryError:
    """One line that names the cell; rows are counted from 1, without the heading."""
    found = repr(value) if isinstance(value, str) else str(value)
    return TelemetryError(f"{column}: row {row + 1}: {found}: {allowed}")


def _names(column: pd.Series[Any], name: str) -> npt.NDArray[np.object_]:
    """A column of non-empty strings."""
    cells = column.to_numpy(dtype=object)
    for code, cell in _distinct(cells):
        if not isinstance(cell, str) or not cell.strip():
            raise _refuse(name, code, cell, "must be a name")
    return cells


def _optional(frame: pd.DataFrame, name: str) -> npt.NDArray[np.object_]:
    """A column of names, empty where nothing is said; all empty where it is not there."""
    if name not in frame.columns:
        return np.full(len(frame), "", dtype=object)
    cells = frame[name].to_numpy(dtype=object)
    for row, cell in _distinct(cells):
        if not isinstance(cell, str) and cell is not None and cell == cell:  # NaN is not itself
            raise _refuse(name, row, cell, "must be a name, or empty")
    return np.array([cell if isinstance(cell, str) else "" for cell in cells.tolist()], dtype=object)


def _workloads(frame: pd.DataFrame) -> list[npt.NDArray[np.object_]]:
    """Workloads and their kinds, empty for what is a cluster's own."""
    workload, kind = _optional(frame, "workload"), _optional(frame, "kind")
    for row, cell in _distinct(kind):
        if cell and cell not in KINDS:
            near = difflib.get_close_matches(str(cell), KINDS, n=1)
            hint = f"; '{near[0]}'?" if near else ""
            raise _refuse("kind", row, cell, f"one of {', '.join(KINDS)}, or empty{hint}")
    lone = (kind != "") & (workload == "")
    if lone.any():
        row = int(lone.argmax())
        raise _refuse("workload", row, "", f"must be a name where kind is {kind[row]}")
    return [workload, kind]


def _part_of(names: npt.NDArray[np.object_], clusters: npt.NDArray[np.object_]) -> dict[str, str]:
    """The cluster of each name."""
    found: dict[str, str] = {}
    for row, (name, cluster) in _distinct_pairs(names, clusters):
        if found.setdefault(name, cluster) != cluster:
            raise _refuse("cluster", row, cluster, f"a host of {found[name]} is called {name}, too: read by cluster")
    return found


def _countries(frame: pd.DataFrame, clusters: npt.NDArray[np.object_]) -> dict[str, str]:
    """The country of each cluster that says one."""
    found: dict[str, str] = {}
    for row, (cluster, country) in _distinct_pairs(clusters, _optional(frame, "country")):
        if country and found.setdefault(cluster, country) != country:
            raise _refuse("country", row, country, f"{cluster} is in {found[cluster]}: a cluster is in one country")
    return found


def _opted_out(frame: pd.DataFrame, clusters: npt.NDArray[np.object_]) -> frozenset[str]:
    """Clusters with a row that says so."""
    if "telemetry_opt_in" not in frame.columns:
        return frozenset()
    said = frame["telemetry_opt_in"].to_numpy(dtype=object)
    found = set()
    for row, (cluster, cell) in _distinct_pairs(clusters, np.array([str(one).lower() for one in said], dtype=object)):
        if cell not in ("true", "false"):
            raise _refuse("telemetry_opt_in", row, str(said[row]), "must be true or false")
        if cell == "false":
            found.add(cluster)
    return frozenset(found)


def _distinct_pairs(one: npt.NDArray[np.object_], other: npt.NDArray[np.object_]) -> list[tuple[int, tuple[str, str]]]:
    """Each distinct pair of cells with the first row it is in."""
    first: dict[tuple[str, str], int] = {}
    for row, pair in enumerate(zip(one.tolist(), other.tolist(), strict=True)):
        first.setdefault(pair, row)
    return [(row, pair) for pair, row in first.items()]


def _distinct(cells: npt.NDArray[np.object_]) -> list[tuple[int, object]]:
    """Each distinct cell with the first row it is in."""
    first: dict[object, int] = {}
    for row, cell in enumerate(cells.tolist()):
        if cell not in first:
            first[cell] = row
    return [(row, cell) for cell, row in first.items()]


def _minutes(column: pd.Series[Any]) -> npt.NDArray[np.int64]:
    """Time stamps as minutes since 1970, UTC."""
    import pandas as pd  # loaded by now

    allowed = "must be ISO-8601 with a time zone, such as 2026-11-02T00:00:00Z"
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        stamps = column
    else:
        cells = column.to_numpy(dtype=object)
        for row, cell in enumerate(cells.tolist()):
            if not (isinstance(cell, str) and _WITH_ZONE.search(cell)) and getattr(cell, "tzinfo", None) is None:
                raise _refuse("ts", row, str(cell), allowed)
        stamps = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    missing = stamps.isna().to_numpy()
    if missing.any():
        row = int(missing.argmax())
        raise _refuse("ts", row, str(column.iloc[row]), allowed)
    utc = stamps.dt.tz_convert("UTC").dt.tz_localize(None)
    minutes: npt.NDArray[np.int64] = utc.to_numpy(dtype="datetime64[m]").astype(np.int64)
    return minutes


def _values(column: pd.Series[Any]) -> npt.NDArray[np.float64]:
    """Numbers, NaN where missing."""
    import pandas as pd  # loaded by now

    allowed = f"must be a finite number up to {MOST_VALUE:g} with a decimal point, or empty where nothing was measured"
    if pd.api.types.is_bool_dtype(column.dtype):
        raise _refuse("value", 0, column.iloc[0], allowed)
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = (np.abs(numbers) > MOST_VALUE) | (np.isnan(numbers) & column.notna().to_numpy())
    if bad.any():
        row = int(bad.argmax())
        raise _refuse("value", row, column.iloc[row], allowed)
    return numbers


def _check_shares(shares: npt.NDArray[np.bool_], metrics: npt.NDArray[np.object_],
                  values: npt.NDArray[np.float64]) -> None:
    """Refuse percent in rows of shares."""
    far = shares & (np.abs(values) > MOST_SHARE)
    if far.any():
        row = int(far.argmax())
        raise _refuse("value", row, f"{values[row]:g}", f"{metrics[row]} is a share from 0 to 1; divide percent by 100")


def _series(names: list[npt.NDArray[np.object_]]) -> tuple[list[tuple[str, ...]], npt.NDArray[np.int64]]:
    """The distinct names, sorted, and the ones each row belongs to."""
    parts = [np.unique(column.astype(str), return_inverse=True) for column in names]
    shape = tuple(len(distinct) for distinct, _ in parts)
    joint = np.ravel_multi_index(tuple(inverse for _, inverse in parts), shape)
    present, codes = np.unique(joint, return_inverse=True)
    at = np.unravel_index(present, shape)
    columns = [distinct[index].tolist() for (distinct, _), index in zip(parts, at, strict=True)]
    return list(zip(*columns, strict=True)), codes.astype(np.int64)


def _grid(
    keys: tuple[Series, ...],
    codes: npt.NDArray[np.int64],
    minutes: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    step_minutes: int,
    merged_rows: int,
) -> Telemetry:
    """Means per series and step; the rows are sorted, so the sums do not depend on the order they came in."""
    first = int(minutes.min()) // step_minutes
    steps = int(minutes.max()) // step_minutes - first + 1
    if steps * len(keys) > MAX_CELLS:
        span = f"{np.datetime64(int(minutes.min()), 'm')} .. {np.datetime64(int(minutes.max()), 'm')}"
        raise TelemetryError(f"ts: {span}: {len(keys)} series over that span are too many steps; look for a wrong date")
    grid = np.full((len(keys), steps), np.nan)
    known = ~np.isnan(values)
    cells = codes[known] * steps + minutes[known] // step_minutes - first
    if len(cells):
        starts = np.flatnonzero(np.diff(cells, prepend=-1))
        sums = np.add.reduceat(values[known], starts)
        grid.ravel()[cells[starts]] = sums / np.diff(starts, append=len(cells))
    return Telemetry(keys, grid, np.datetime64(first * step_minutes, "m"), step_minutes, merged_rows)
