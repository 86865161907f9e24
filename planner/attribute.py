"""`planner attribute`: counts of bad ones and of all by attributes in, where a rise of their rate comes from out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from diagnostics.causes.attribution import Cause, attribute, cells_of
from planner.diagnose import alarm_policy
from planner.errors import InputError
from planner.frame_file import read_frame
from planner.profiles.history import numbers_of, utc_times

if TYPE_CHECKING:
    import pandas as pd

MOST_ATTRIBUTES = 12
"""Of more there are too many combinations of four to look at each."""
OF_CLUSTERS = ("provider", "region", "country")
"""What a scenario knows of clusters."""
UNKNOWN = "unknown"


class Asked(NamedTuple):
    """The columns that count bad ones and all, the attributes (none: all other columns), the times (ISO-8601; None: the
    newest moment, and the end) from and before which rows are held against all earlier ones, and a scenario that knows
    more of the clusters in a column `cluster`.
    """

    bad: str
    total: str
    by: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    scenario: Path | None = None


@dataclass(frozen=True)
class Attributed:
    """What the rate was before `since` and is from then on, and the causes of its rise, the gravest first."""

    since: str
    attributes: tuple[str, ...]
    usual: float
    rate: float
    causes: tuple[Cause, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers, ready for JSON."""
        causes = [asdict(one) | {"conditions": dict(one.conditions), "sentence": one.sentence} for one in self.causes]
        return asdict(self) | {"causes": causes}


def run_attribute(path: Path, asked: Asked) -> Attributed:
    """Read a table with a row for each moment and combination of attributes. Raises InputError."""
    if not path.is_file():
        raise InputError([f"{path}: no such file; a CSV or Parquet file with ts, attributes and two counts"])
    table = _with_scenario(read_frame(path, None), asked.scenario)
    names = _attributes(path, [str(column) for column in table.columns], asked)
    if table.empty:
        raise InputError([f"{path.name}: no rows"])
    times = utc_times(table["ts"], path, 0)
    table = table.assign(**_counts(path, table, asked))
    since = times.max() if asked.since is None else _moment("--since", asked.since)
    if asked.until is not None:
        kept = times < _moment("--until", asked.until)
        table, times = table[kept.to_numpy()], times[kept.to_numpy()]
    now = (times >= since).to_numpy()
    span = f"{times.min().isoformat()} to {times.max().isoformat()}" if len(times) else "none"
    for missing, what in ((now.all(), "before it, and nothing tells what is usual"), (not now.any(), "from it on")):
        if missing:
            raise InputError([f"--since: {since.isoformat()}: no rows are {what}; rows are of {span}"])
    cells = cells_of(table, now, names, asked.bad, asked.total)
    usual, rate = (float(bad.sum() / max(1.0, total.sum())) for bad, total in (
        (cells.bad_before, cells.total_before), (cells.bad, cells.total)))
    return Attributed(since.isoformat().replace("+00:00", "Z"), names, usual, rate, attribute(cells))


def _with_scenario(table: pd.DataFrame, scenario: Path | None) -> pd.DataFrame:
    """The table with what a scenario knows of its clusters, where the table does not say it itself."""
    if scenario is None:
        return table
    if "cluster" not in table.columns:
        raise InputError(["--scenario: it says more of clusters, and the table has no column cluster: leave it out"])
    known = alarm_policy(None, scenario).clusters
    clusters = table["cluster"].astype(str)
    more = {name: clusters.map({cluster: told[name] for cluster, told in known.items() if name in told}).fillna(UNKNOWN)
            for name in OF_CLUSTERS if name not in table.columns}
    return table.assign(**more)


def _attributes(path: Path, found: list[str], asked: Asked) -> tuple[str, ...]:
    """The attributes to look at; all columns that are needed are there."""
    if asked.bad == asked.total:
        raise InputError([f"--total: {asked.total}: the same column as --bad; name the one that counts all"])
    for option, name in (("ts", "ts"), ("--bad", asked.bad), ("--total", asked.total),
                         *(("--by", name) for name in asked.by)):
        if name not in found:
            near = get_close_matches(name, found, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError([f"{option}: {path.name} has no column {name!r}; found {', '.join(found)}{hint}"])
    counts = ("ts", asked.bad, asked.total)
    if wrong := [name for name in asked.by if name in counts]:
        raise InputError([f"--by: {wrong[0]}: is no attribute: it is the time, or one of the counts"])
    names = tuple(dict.fromkeys(asked.by)) or tuple(name for name in found if name not in counts)
    if not names:
        raise InputError([f"{path.name}: has no attributes beside {', '.join(counts)}: nothing a rise could come from"])
    if len(names) > MOST_ATTRIBUTES:
        raise InputError([f"{path.name}: {len(names)} attributes: at most {MOST_ATTRIBUTES}; name them by --by"])
    return names


def _counts(path: Path, table: pd.DataFrame, asked: Asked) -> Mapping[str, pd.Series[float]]:
    """The two counts: finite, 0 or more, and no more bad ones than there are."""
    counts = {name: numbers_of(table[name], path) for name in (asked.bad, asked.total)}
    bad, total = counts.values()
    for name, wrong, why in (
            *((name, ~np.isfinite(one) | (one < 0), "a count of 0 or more") for name, one in counts.items()),
            (asked.bad, bad > total, f"at most as many as {asked.total} counts")):
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise InputError([f"{path.name}: {name}: row {row + 1}: {table[name].iloc[row]!r}: must be {why}"])
    return counts


def _moment(option: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InputError([f"{option}: {text!r}: must be ISO-8601 with a time zone, such as 2026-11-02T00:05:00Z"])
    return moment.astimezone(UTC)
