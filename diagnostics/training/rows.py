"""Telemetry of many hosts as one block of numbers, with only the rows that may be trained on in it."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from diagnostics.sealing import Sealer
from diagnostics.telemetry import MINUTES_PER_DAY, MOST_SHARE, MOST_VALUE, SHARE
from diagnostics.training.errors import NotAllowedError, TrainingError

if TYPE_CHECKING:  # pandas is only loaded when a file is really read
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEEDED = ("cluster", "hardware_class", "country", "metric", "ts", "value")
OPTIONAL = ("host", "telemetry_opt_in")
MAX_CELLS = 100_000_000


class Host(NamedTuple):
    """Where rows come from; identifiers are whatever the telemetry has, hashed or not."""

    cluster: str
    host: str
    hardware_class: str
    country: str


@dataclass(frozen=True)
class Allowed:
    """Which rows may be trained on. `countries` None: all, provided that there is only one (`anywhere`: any number);
    rows of clusters in `opted_out`, or with `telemetry_opt_in` false, are never used. `clusters_in` has countries of
    clusters that are known beside the rows, which then need not say them. Of each set in `expected` one cluster at
    least must have rows, or what was said of them (an opt-out, a scenario) was said of nobody; another file than the
    one that it was said of need not have them, so it is no part of a version.
    """

    countries: frozenset[str] | None = None
    anywhere: bool = False
    opted_out: frozenset[str] = frozenset()
    clusters_in: Mapping[str, str] = field(default_factory=dict)
    expected: tuple[frozenset[str], ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values, the same for equal rules whatever file they were said of."""
        return {"countries": sorted(self.countries) if self.countries is not None else None,
                "anywhere": self.anywhere, "opted_out": sorted(self.opted_out),
                "clusters_in": dict(sorted(self.clusters_in.items()))}


@dataclass(frozen=True, eq=False)
class Rows:
    """`values` [hosts, steps, metrics], NaN where nothing was recorded; step t begins `start` + t steps (UTC).
    `left_out` counts rows that may not be used, by the reason.
    """

    hosts: tuple[Host, ...]
    metrics: tuple[str, ...]
    values: Floats
    start: np.datetime64
    step_minutes: int
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def steps_per_day(self) -> int:
        """Steps in 24 hours."""
        return MINUTES_PER_DAY // self.step_minutes

    @property
    def days(self) -> float:
        """Length in days."""
        return float(self.values.shape[1] / self.steps_per_day)

    @property
    def hardware_classes(self) -> tuple[str, ...]:
        """Hardware classes in it, sorted."""
        return tuple(sorted({host.hardware_class for host in self.hosts}))

    @property
    def sha256(self) -> str:
        """Hash of names and numbers; it does not depend on the order in which rows came."""
        told = json.dumps([self.hosts, self.metrics, str(self.start), self.step_minutes, self.values.shape])
        return hashlib.sha256(told.encode() + np.ascontiguousarray(self.values).tobytes()).hexdigest()

    def of(self, hosts: Sequence[int]) -> Rows:
        """Only these hosts."""
        return replace(self, hosts=tuple(self.hosts[at] for at in hosts), values=self.values[list(hosts)])

    def between(self, first: int, after: int) -> Rows:
        """Only steps `first` to before `after`."""
        return replace(self, values=self.values[:, first:after],
                       start=self.start + np.timedelta64(first * self.step_minutes, "m"))

    def columns(self, metrics: Sequence[str]) -> Floats:
        """Values [hosts, steps, metrics asked]; NaN for metrics that are not there."""
        found = np.full((*self.values.shape[:2], len(metrics)), np.nan)
        at = {metric: column for column, metric in enumerate(self.metrics)}
        for column, metric in enumerate(metrics):
            if metric in at:
                found[:, :, column] = self.values[:, :, at[metric]]
        return found

    def hours(self) -> Floats:
        """Hours since Monday 00:00 UTC at each step [steps]."""
        minutes = self._times().astype(np.int64) + 3 * MINUTES_PER_DAY  # 1970 began on a Thursday
        return np.asarray(minutes % (7 * MINUTES_PER_DAY) / 60.0)

    def _times(self) -> npt.NDArray[np.datetime64]:
        """When each step begins, to the minute [steps]."""
        steps = np.arange(self.values.shape[1]) * np.timedelta64(self.step_minutes, "m")
        return np.asarray(self.start.astype("datetime64[m]") + steps)

    def blocks(self) -> tuple[tuple[str, ...], Ints]:
        """Names of host-days as host/day, and the one each cell [hosts, steps] is in."""
        distinct, at = np.unique(self._times().astype("datetime64[D]"), return_inverse=True)
        names = [f"{host.cluster}:{host.host}".replace("/", "|") for host in self.hosts]
        block = np.arange(len(names))[:, None] * len(distinct) + at[None, :]
        return tuple(f"{name}/{when}" for name in names for when in distinct), block.astype(np.int64)


def read_rows(path: Path, allowed: Allowed, step_minutes: int = 60, sealer: Sealer | None = None) -> Rows:
    """Read a long CSV or Parquet file (or a folder of Parquet files) with the columns cluster, hardware_class, country
    (unless it is known beside them), metric, ts, value, and perhaps host and telemetry_opt_in. A Parquet file that was
    sealed is opened in memory.

    Raises:
        TrainingError: the file cannot be read, or a column or a value is wrong.
        NotAllowedError: no row may be used, or it is not said which countries may be.

    """
    if not path.exists():
        raise TrainingError(f"{path}: no such file; a CSV or Parquet file with the columns {', '.join(NEEDED)}")
    try:
        return rows_of(_read(path, sealer or Sealer()), allowed, step_minutes)
    except NotAllowedError as error:
        raise NotAllowedError(f"{path.name}: {error}") from None
    except TrainingError as error:
        raise TrainingError(f"{path.name}: {error}") from None


def _read(path: Path, sealer: Sealer) -> pd.DataFrame:
    import pandas as pd

    text = ("cluster", "hardware_class", "country", "metric", "ts", "host")
    try:
        if path.name.endswith((".csv", ".csv.gz")):
            # A country may be called NA.
            return pd.read_csv(path, dtype=dict.fromkeys(text, "object"), float_precision="round_trip",
                               keep_default_na=False, na_values={"value": ["", "NaN", "nan"]})
        if path.is_file() and path.suffix == ".parquet" and sealer.is_sealed(path):
            return pd.read_parquet(BytesIO(sealer.unseal(path.read_bytes())))
        if path.is_dir() or path.suffix == ".parquet":
            return pd.read_parquet(path)
    except (OSError, EOFError, ValueError, zlib.error) as error:  # what pandas and pyarrow raise for a broken file
        raise TrainingError(f"cannot be read: {(str(error) or type(error).__name__).splitlines()[0]}") from None
    raise TrainingError(f"'{path.suffix}' is not a telemetry format; .csv, .csv.gz, .parquet or a folder of .parquet")


def rows_of(frame: pd.DataFrame, allowed: Allowed, step_minutes: int = 60) -> Rows:
    """Check a long frame, leave out what may not be used and put the rest on a grid.

    Raises:
        TrainingError: a column or a value is wrong.
        NotAllowedError: no row may be used, or it is not said which countries may be.

    """
    if step_minutes < 1 or MINUTES_PER_DAY % step_minutes:
        raise TrainingError(f"step_minutes: {step_minutes}: a whole number of minutes that divides a day")
    _check_columns([str(column) for column in frame.columns], known=("country",) if allowed.clusters_in else ())
    if not len(frame):
        raise TrainingError("no rows: at least a week of measurements is needed")
    frame, left_out = _only_allowed(frame.set_axis(range(len(frame))), allowed)  # rows keep their numbers in the file
    if "host" in frame:  # a cluster that names no host is one, as where there is no such column
        frame = frame.assign(host=frame["host"].where(frame["host"].notna() & (frame["host"] != ""), frame["cluster"]))
    keys = [_coded(frame, name) for name in ("cluster", "host" if "host" in frame else "cluster", "hardware_class",
                                             "country")]
    metrics, metric = _coded(frame, "metric")
    minutes = _minutes(frame["ts"])
    values = _values(frame["value"])
    far = np.array([name.endswith(SHARE) for name in metrics])[metric] & (np.abs(values) > MOST_SHARE)
    if far.any():
        row = int(far.argmax())
        raise TrainingError(f"value: {_row(frame, row)}: {values[row]:g}: {metrics[metric[row]]} is a share from 0 to "
                            "1; divide percent by 100")
    joint = np.ravel_multi_index(tuple(code for _, code in keys), tuple(len(names) for names, _ in keys))
    present, host = np.unique(joint, return_inverse=True)
    at = np.unravel_index(present, tuple(len(names) for names, _ in keys))
    hosts = tuple(Host(*key) for key in zip(*([names[i] for i in index] for (names, _), index in
                                              zip(keys, at, strict=True)), strict=True))
    _one_class_a_host(hosts)
    return _grid(hosts, tuple(metrics), (host.astype(np.int64), metric, minutes, values), step_minutes, left_out)


def _check_columns(found: Sequence[str], known: Sequence[str]) -> None:
    for column in NEEDED:
        if column not in (*found, *known):
            near = get_close_matches(column, found, n=1)
            hint = f"; rename '{near[0]}'?" if near else ""
            raise TrainingError(f"column '{column}' is missing; found {', '.join(found) or 'none'}{hint}")
    extra = [column for column in found if column not in NEEDED + OPTIONAL]
    if extra:
        raise TrainingError(f"column '{extra[0]}' is not known; the columns are {', '.join(NEEDED + OPTIONAL)}")


def _only_allowed(frame: pd.DataFrame, allowed: Allowed) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows that may be used, and how many of the others there are by reason."""
    _check_expected(frame["cluster"].unique().tolist(), allowed.expected)
    left_out: dict[str, int] = {}
    out = frame["cluster"].isin(allowed.opted_out).to_numpy()
    if "telemetry_opt_in" in frame:
        said_no = frame["cluster"][~_flags(frame["telemetry_opt_in"])].unique()  # a cluster agreed, or it did not
        out |= frame["cluster"].isin(said_no).to_numpy()
    if out.any():
        left_out["cluster opted out"] = int(out.sum())
    inside = frame[~out]
    if not len(inside):
        raise NotAllowedError(f"every cluster has opted out ({', '.join(_some(frame['cluster']))}): no row may be used")
    inside = _in_countries(inside, allowed.clusters_in)
    countries, code = _coded(inside, "country")
    if allowed.countries is None:
        if len(countries) > 1 and not allowed.anywhere:
            raise NotAllowedError(f"country: rows of {', '.join(countries)}: say which may be pooled here, as "
                                  f"--countries {','.join(countries[:2])}, or --countries all")
        return inside, left_out
    may = np.array([country in allowed.countries for country in countries])[code]
    for number, country in enumerate(countries):
        if country not in allowed.countries:
            left_out[f"country {country} not allowed"] = int((code == number).sum())
    if not may.any():
        opted = f" (cluster opted out: {int(out.sum()):,} rows)" if out.any() else ""
        raise NotAllowedError(f"country: rows of {', '.join(countries)} and none of "
                              f"{', '.join(sorted(allowed.countries))}, which alone may be used{opted}")
    return inside[may], left_out


def _check_expected(there: Sequence[object], expected: Sequence[frozenset[str]]) -> None:
    """Refuse what was said of clusters that have no rows: taken for granted, it would keep nobody's rows out."""
    for names in expected:
        if names.isdisjoint(there):
            near = [one for name in sorted(names) for one in get_close_matches(name, map(str, there), n=1)][:1]
            hint = f"; did you mean {near[0]!r}?" if near else (
                "; hashes become names again by `planner telemetry export --scenario --key`")
            who = "cluster" if len(names) == 1 else "clusters"
            raise TrainingError(f"{who} {', '.join(sorted(names)[:5])}: no row is theirs; rows are of "
                                f"{', '.join(sorted(map(str, there))[:5])}{hint}")


def _in_countries(frame: pd.DataFrame, known: Mapping[str, str]) -> pd.DataFrame:
    """The frame with a country in each row, by what is known of clusters; refused where it is not, or differs."""
    if not known:
        return frame
    should = frame["cluster"].map(known)
    if "country" not in frame:
        if should.isna().any():
            row = int(should.isna().to_numpy().argmax())
            raise TrainingError(f"country: {_row(frame, row)}: nobody says where cluster "
                                f"{frame['cluster'].iloc[row]!r} is: no column country, and the scenario has "
                                f"{', '.join(sorted(known)[:5])}; say it, or opt the cluster out")
        return frame.assign(country=should)
    other = (should.notna() & (should != frame["country"])).to_numpy()
    if other.any():
        row = int(other.argmax())
        raise TrainingError(f"country: {_row(frame, row)}: {frame['country'].iloc[row]!r}: cluster "
                            f"{frame['cluster'].iloc[row]!r} is in {should.iloc[row]} by the scenario: a cluster is "
                            "in one country")
    return frame


def _flags(column: pd.Series[bool]) -> npt.NDArray[np.bool_]:
    """Opt-ins; what is neither true nor false is refused, not guessed."""
    names, code = np.unique(column.astype(str).str.lower().to_numpy(dtype=str), return_inverse=True)
    strange = [name for name in names.tolist() if name not in ("true", "false", "1", "0")]
    if strange:
        raise TrainingError(f"telemetry_opt_in: {strange[0]!r}: true or false")
    return np.isin(names, ("true", "1"))[code]


def _some(column: pd.Series[str]) -> list[str]:
    return sorted(map(str, column.unique()))[:5]


def _row(rows: pd.DataFrame | pd.Series[Any], at: int) -> str:
    """Which row of the file that is, the heading not counted, whatever was left out before it."""
    return f"row {int(rows.index[at]) + 1}"


def _coded(frame: pd.DataFrame, name: str) -> tuple[list[str], Ints]:
    """The distinct names of a column, sorted, and the one in each row."""
    codes, distinct = frame[name].factorize(use_na_sentinel=False)
    for value in distinct:
        if not isinstance(value, str) or not value.strip():
            row = _row(frame, int(np.argmax(codes == list(distinct).index(value))))
            raise TrainingError(f"{name}: {row}: {value!r}: must be a name")
    order = np.argsort(np.array(distinct, dtype=str), kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return [str(distinct[at]) for at in order], rank[codes]


def _minutes(column: pd.Series[str]) -> Ints:
    """Times as minutes since 1970, UTC."""
    import pandas as pd

    codes, distinct = column.factorize(use_na_sentinel=False)
    stamps = pd.Series(distinct)
    if not isinstance(stamps.dtype, pd.DatetimeTZDtype):
        parsed = pd.to_datetime(stamps.astype(str), utc=True, errors="coerce", format="ISO8601")
        zoned = stamps.astype(str).str.contains(r"(?:Z|[+-]\d\d:?\d\d)$")
        wrong = stamps[parsed.isna() | ~zoned]
        if len(wrong):
            row = _row(column, int(np.argmax(codes == wrong.index[0])))
            raise TrainingError(f"ts: {row}: {wrong.iloc[0]!r}: must be ISO-8601 with a time zone, such as "
                                "2026-11-02T00:00:00Z")
        stamps = parsed
    if stamps.isna().any():
        raise TrainingError(f"ts: {_row(column, int(column.isna().to_numpy().argmax()))}: a time is missing")
    utc = pd.DatetimeIndex(stamps).tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[m]")
    return np.asarray(utc.astype(np.int64)[codes])


def _values(column: pd.Series[float]) -> Floats:
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    text = np.isnan(values) & column.notna().to_numpy() & (column.astype(str) != "nan").to_numpy()
    wrong = text | (np.abs(values) > MOST_VALUE)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise TrainingError(f"value: {_row(column, row)}: {column.iloc[row]!r}: must be a finite number up to "
                            f"{MOST_VALUE:g}, or missing")
    return values


def _one_class_a_host(hosts: Sequence[Host]) -> None:
    seen: dict[tuple[str, str], Host] = {}
    for host in hosts:
        other = seen.setdefault(host[:2], host)
        if other != host:
            raise TrainingError(f"host {host.cluster}/{host.host}: is {other.hardware_class} in {other.country} and "
                                f"{host.hardware_class} in {host.country}: one hardware class and country a host")


def _grid(hosts: tuple[Host, ...], metrics: tuple[str, ...], cells: tuple[Ints, Ints, Ints, Floats], step_minutes: int,
          left_out: Mapping[str, int]) -> Rows:
    """Means per host, step and metric; exact repeats count once, and the order of rows does not matter."""
    host, metric, minutes, values = cells
    first = int(minutes.min()) // step_minutes
    steps = int(minutes.max()) // step_minutes - first + 1
    shape = (len(hosts), steps, len(metrics))
    if steps * len(hosts) * len(metrics) > MAX_CELLS:
        span = f"{np.datetime64(int(minutes.min()), 'm')} .. {np.datetime64(int(minutes.max()), 'm')}"
        raise TrainingError(f"ts: {span}: {len(hosts)} hosts over that span are too many steps; look for a wrong date")
    known = ~np.isnan(values)
    cell = np.ravel_multi_index((host[known], minutes[known] // step_minutes - first, metric[known]), shape)
    values, exact = values[known], minutes[known]
    order = np.lexsort((values, exact, cell))
    cell, values, exact = cell[order], values[order], exact[order]
    keep = np.ones(len(cell), dtype=bool)
    keep[1:] = (np.diff(cell) != 0) | (np.diff(exact) != 0) | (np.diff(values) != 0)
    cell, values = cell[keep], values[keep]
    grid = np.full(shape, np.nan)
    if len(cell):
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        grid.ravel()[cell[starts]] = np.add.reduceat(values, starts) / np.diff(starts, append=len(cell))
    return Rows(hosts, metrics, grid, np.datetime64(first * step_minutes, "m"), step_minutes, dict(left_out))


def allowed_from(told: Mapping[str, object]) -> Allowed:
    """The inverse of `Allowed.to_dict`."""
    countries, opted_out, known = told["countries"], told["opted_out"], told.get("clusters_in")
    return Allowed(frozenset(map(str, countries)) if isinstance(countries, list) else None, bool(told["anywhere"]),
                   frozenset(map(str, opted_out)) if isinstance(opted_out, list) else frozenset(),
                   {str(name): str(country) for name, country in known.items()} if isinstance(known, dict) else {})


