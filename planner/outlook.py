"""`planner forecast`: a history file in, quantiles of what comes next out."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError
from planner.files import write_atomically
from planner.profiles.history import read_history

if TYPE_CHECKING:
    import pandas as pd

    from forecasting import Forecast

MINUTES = {"m": 1, "min": 1, "h": 60, "d": 1440, "w": 10_080}
SPAN = re.compile(r"^(\d+)\s*(min|m|h|d|w)$")


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """What is forecast: one part for each length of step in the history."""

    parts: tuple[Forecast, ...]

    @property
    def quantiles(self) -> pd.DataFrame:
        """A row for each series and step."""
        return _joined([part.quantiles for part in self.parts])

    @property
    def backtest(self) -> pd.DataFrame:
        """A row for each series, model and origin."""
        return _joined([part.backtest for part in self.parts])

    @property
    def refused(self) -> pd.DataFrame:
        """Series that are not forecast, and why."""
        return _joined([part.refused for part in self.parts])

    @property
    def notes(self) -> pd.DataFrame:
        """What was made of a series before it was forecast."""
        return _joined([part.notes for part in self.parts])

    @property
    def models(self) -> dict[str, str]:
        """The model chosen, by series."""
        return {name: model for part in self.parts for name, model in part.models.items()}


def look_ahead(path: Path, horizon: str, quantiles: tuple[float, ...], seed: int, known: tuple[str, ...] = (),
               holidays: tuple[str, ...] = ()) -> Outlook:
    """Forecast every series of a history file over `horizon` (`48h`, `7d`).

    A series is a workload, a metric, or both (`workload/metric`). `known` names columns known ahead, `holidays`
    countries whose holidays are one. Raises InputError.
    """
    import pandas as pd  # pandas and the models take a second, and no other command may wait for them

    from forecasting import check, forecast

    minutes = span_minutes(horizon)
    frame = _long(read_history(path, known), known)
    try:
        checked = check(frame, 1, known, holidays)
    except ValueError as error:
        raise InputError([f"{path.name}: {error}"]) from None
    steps = {one.unique_id: pd.Timedelta(one.step) for one in checked.series}
    parts = []
    for step in sorted(set(steps.values())):
        names = [name for name, length in steps.items() if length == step]
        ahead = max(1, -(-minutes * 60 // int(step.total_seconds())))
        parts.append(forecast(frame[frame["unique_id"].isin(names)], ahead, quantiles, seed, known=known,
                              holidays=holidays))
    others = frame[~frame["unique_id"].isin(list(steps))]
    if len(others):
        parts.append(forecast(others, 1, quantiles, seed, known=known))  # none can be: this gathers the reasons
    return Outlook(tuple(parts))


def write_outlook(outlook: Outlook, path: Path) -> None:
    """Write the quantiles as Parquet or CSV, by the ending. Raises OSError."""
    file = io.BytesIO()
    if path.suffix == ".csv":
        outlook.quantiles.to_csv(file, index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
    else:
        outlook.quantiles.to_parquet(file, index=False)
    write_atomically(path, file.getvalue())


def parse_levels(text: str) -> tuple[float, ...]:
    """Quantile levels from `0.5,0.9`. Raises InputError."""
    try:
        levels = tuple(float(part) for part in text.split(","))
    except ValueError:
        levels = ()
    if not levels or not all(0 < level < 1 for level in levels):
        raise InputError([f"--quantiles: {text!r}: numbers above 0 and below 1 with commas between, as 0.5,0.9,0.99"])
    return levels


def span_minutes(horizon: str) -> int:
    """Minutes of a span as `48h` or `7d`. Raises InputError."""
    found = SPAN.match(horizon.strip().lower())
    if found is None or int(found[1]) == 0:
        raise InputError([f"--horizon: {horizon!r}: a whole number and min, h, d or w, as 48h"])
    return int(found[1]) * MINUTES[found[2]]


def _long(table: pd.DataFrame, known: tuple[str, ...]) -> pd.DataFrame:
    """The frame that the forecasting engine takes."""
    names = [table[column] for column in ("workload", "metric") if table[column].notna().any()]
    same = len(names) == 2 and names[0].equals(names[1])
    series = names[0] if len(names) == 1 or same else names[0] + "/" + names[1] if names else "value"
    return table.assign(unique_id=series, y=table["value"])[["unique_id", "ds", "y", *known]]


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    full = [frame for frame in frames if len(frame)]
    return pd.concat(full, ignore_index=True) if full else frames[0]
