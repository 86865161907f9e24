"""The HTML report of a forecast: models, scores from past origins, fan charts, who was refused, and what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from planner.files import write_atomically
from planner.outlook import NAIVE, OURS, series_scores
from planner.report.page import SHOWN, Headline, framed
from planner.report.plain import plain
from planner.report.words import number, share

if TYPE_CHECKING:
    import pandas as pd

    from planner.batch import Batch

MOST_POINTS = 1_500
"""Steps drawn of one series; of more every second, third and so on."""
SEEN = 3
"""Horizons of history drawn before a forecast, and no fewer steps than `LEAST_SEEN`."""
LEAST_SEEN = 48


class Chosen(NamedTuple):
    """A series that is drawn, and why."""

    name: str
    why: str


def write_forecast_report(path: Path, batch: Batch, report: dict[str, Any]) -> None:
    """Write the report to `path`, whole or not at all. Raises OSError when that is not possible."""
    write_atomically(path, render_forecast(batch, report).encode())


def render_forecast(batch: Batch, report: dict[str, Any]) -> str:
    """The page of a batch and its run report."""
    return framed("forecast.html.j2", "forecast.js", forecast_view(batch, report))


def forecast_view(batch: Batch, report: dict[str, Any]) -> dict[str, Any]:
    """What a page shows of it, as JSON has it."""
    scores = series_scores(batch.backtest())
    levels = [f"{level:g}" for level in batch.learned.levels]
    fans = [_fan(batch, one) for one in _chosen(batch, scores)]
    shown: dict[str, Any] = plain({
        "report": report, "headlines": _headlines(report), "levels": levels, "fans": fans, "shown": SHOWN,
        "scores": _rows(scores, levels), "models": _models(report, levels), "ahead": _span(report["horizon_minutes"]),
        "data": {"levels": batch.learned.levels, "fans": fans}})
    return shown


def _headlines(report: dict[str, Any]) -> list[Headline]:
    series, cost = report["series"], report["cost"]
    models = report["backtest"]["models"]
    ours, naive = (models.get(name, {}) for name in (OURS, NAIVE))
    found = [Headline("Series forecast", f"{series['forecast']:,}", f"of {series['given']:,}; "
                      f"{series['refused']:,} refused, {series['mended']:,} with a note")]
    if ours.get("wql") is not None:
        gain = 1 - ours["wql"] / naive["wql"] if naive.get("wql") else None
        side = "over" if gain is not None and gain < 0 else "under"
        note = "" if gain is None else f"{abs(gain):.0%} {side} the seasonal naive forecast's"
        found.append(Headline("Weighted quantile loss", number(ours["wql"]), note))
        top = max((name for name in ours if name.startswith("coverage_q")), default="coverage_p90")
        found.append(Headline(f"Under {top.removeprefix('coverage_').upper()}", share(ours[top]), "of what came"))
    found.append(Headline("Cost", f"{cost['cpu_seconds']:,.0f} CPU s",
                          f"{1000 * cost['cpu_seconds_per_series']:,.1f} ms a series; {cost['seconds']:,.0f} s in all"))
    return found


def _models(report: dict[str, Any], levels: list[str]) -> list[dict[str, Any]]:
    """Rows of the table of models: scores, and shares under levels where there are any."""
    return [{"model": name, **row, "under": [row.get(f"coverage_q{level}") for level in levels]}
            for name, row in report["backtest"]["models"].items()]


def _rows(scores: pd.DataFrame, levels: list[str]) -> list[dict[str, Any]]:
    """Series with their scores, the worst first."""
    worst = [{str(name): value for name, value in row.items()} for row in scores.iloc[::-1][:SHOWN].to_dict("records")]
    return [{**row, "under": [row.get(f"coverage_q{level}") for level in levels]} for row in worst]


def _chosen(batch: Batch, scores: pd.DataFrame) -> list[Chosen]:
    """The best, the middle and the worst series by their scores; the first ones where there are none."""
    moving = scores[scores["wql"] > 0]
    if len(moving):
        scores = moving
        at = {len(scores) - 1: "worst", len(scores) // 2: "middle", 0: "best"}
        return [Chosen(str(scores["unique_id"].iloc[i]),
                       f"the {at[i]} by weighted quantile loss, {number(float(scores['wql'].iloc[i]))}")
                for i in sorted(at)]
    for table in batch.quantiles():
        if len(table):
            return [Chosen(str(name), "not back-tested") for name in table["unique_id"].unique()[:3]]
    return []


def _fan(batch: Batch, chosen: Chosen) -> dict[str, Any]:
    """What is drawn of a series: what was seen, what would have been said from the last past origin, what is said."""
    from forecasting import look_back, quantile_column

    k = next(k for k, table in enumerate(batch.quantiles()) if (table["unique_id"] == chosen.name).any())
    said = next(table for i, table in enumerate(batch.quantiles()) if i == k)
    ahead = said[said["unique_id"] == chosen.name].set_index("ds")
    rows = batch.layout.read(k)
    past = rows[rows["unique_id"] == chosen.name]
    seen = past.dropna(subset=["y"]).set_index("ds")["y"].sort_index()[-max(LEAST_SEEN, SEEN * len(ahead)) :]
    back = look_back(batch.learned, past.assign(unique_id=past["unique_id"].astype(str))).set_index("ds")
    times = seen.index.union(ahead.index)
    times = times[:: -(-len(times) // MOST_POINTS)]
    columns = [quantile_column(level) for level in batch.learned.levels]

    def values(of: pd.Series) -> list[float | None]:
        return [None if np.isnan(value) else float(f"{value:.6g}") for value in of.reindex(times).astype(float)]

    return {"name": chosen.name, "why": chosen.why, "model": str(ahead["model"].iloc[0]),
            "times": [moment.strftime("%a %d %b %H:%M") for moment in times], "seen": values(seen),
            "back": [values(back[name]) for name in columns] if len(back) else [],
            "ahead": [values(ahead[name]) for name in columns]}


def _span(minutes: int) -> str:
    return f"{minutes / 60:,.3g} hours" if minutes < 4 * 1440 else f"{minutes / 1440:,.3g} days"
