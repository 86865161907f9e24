"""What a batch of forecasts came to: models used, scores from past origins, who was refused, and what it cost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from planner import __version__
from planner.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from planner.batch import Batch

MINUTES = {"m": 1, "min": 1, "h": 60, "d": 1440, "w": 10_080}
SPAN = re.compile(r"^([0-9]{1,12})\s*(min|m|h|d|w)$")
MOST_MINUTES = 36_500 * 1440
"""A horizon of a hundred years; what histories can tell ends long before."""
MOST_TOLD = 10_000
"""Refusals and notes in a run report; there it also says how many there are."""
OURS, NAIVE = "forecast", "seasonal_naive"


def run_report(batch: Batch, history: str) -> dict[str, Any]:
    """The run report, ready for JSON."""
    asked, refused, notes = batch.asked, batch.refused, batch.notes
    pooled = pooled_scores(batch.backtest())
    return {
        "history": history, "input_sha256": batch.input_sha256, "version": __version__,
        "horizon_minutes": asked.horizon_minutes, "quantiles": list(batch.learned.levels), "seed": asked.seed,
        "known": list(asked.known), "holidays": list(asked.holidays), "models_asked": list(asked.models),
        "series": {"given": batch.layout.series, "points": batch.layout.rows, "forecast": batch.forecast_series,
                   "refused": len(refused), "mended": len({name for name, _ in notes})},
        "models": dict(sorted(batch.models.items(), key=lambda row: (-row[1], row[0]))),
        "backtest": {"of": "all series" if asked.backtest else "series learned from",
                     "scored": int(pooled.loc[pooled["model"] == OURS, "series"].sum()),
                     "not_scored": not_scored(batch.backtest()), "models": _plain(pooled)},
        "refused": [{"unique_id": name, "reason": reason} for name, reason in refused[:MOST_TOLD]],
        "notes": [{"unique_id": name, "note": note} for name, note in notes[:MOST_TOLD]],
        "cost": {"seconds": batch.seconds, "cpu_seconds": batch.cpu_seconds,
                 "learn_cpu_seconds": batch.learn_cpu_seconds,
                 "cpu_seconds_per_series": batch.cpu_seconds / max(1, batch.layout.series),
                 "engine": batch.engine, "workers": batch.workers, "parts": len(batch.parts)},
    }


def pooled_scores(tables: Iterator[pd.DataFrame]) -> pd.DataFrame:
    """Scores by model over all series and origins.

    `series` and `forecasts` say of how many; `wql`, `mase` and `coverage_...` are means over these, `wql_pooled` is
    twice all loss over all that came, so that large series count more.
    """
    import pandas as pd

    sums = []
    for table in tables:
        seen = table[table["wql"].notna()]
        scores = seen[[name for name in map(str, seen) if name in ("wql", "mase") or name.startswith("coverage_")]]
        finite = scores.where(scores.abs() < float("inf"))
        by = seen["model"]
        sums.append(pd.concat(
            [finite.groupby(by).sum(), finite.groupby(by).count().add_prefix("n "),
             seen.groupby(by)[["pinball", "size"]].sum(), seen.groupby(by)["unique_id"].nunique().rename("series"),
             by.groupby(by).size().rename("forecasts")], axis=1))
    total = pd.concat(sums).groupby(level=0).sum()
    made = total[["series", "forecasts"]].copy()
    made["wql_pooled"] = 2 * total["pinball"] / total["size"].where(total["size"] > 0)
    for name in [name[2:] for name in map(str, total) if name.startswith("n ")]:
        made[name] = total[name] / total[f"n {name}"].where(total[f"n {name}"] > 0)
    made = made.rename_axis("model").reset_index()
    return made.sort_values(["wql", "model"]).sort_values("model", key=lambda name: name != OURS, kind="stable",
                                                          ignore_index=True)


def not_scored(tables: Iterator[pd.DataFrame]) -> list[dict[str, Any]]:
    """Why series have no scores, and how many for each reason, the most frequent first."""
    reasons = Counter[str]()
    for table in tables:
        reasons.update(table.loc[table["origin"].isna(), "note"])
    return [{"reason": reason, "series": count} for reason, count in reasons.most_common()]


def series_scores(tables: Iterator[pd.DataFrame]) -> pd.DataFrame:
    """Mean scores of the forecast over origins by series, and `naive_wql` of the seasonal naive one; the worst last."""
    import pandas as pd

    found = []
    for table in tables:
        mine = table[(table["model"] == OURS) & table["wql"].notna()].drop(columns=["note", "origin"])
        naive = table[table["model"] == NAIVE].groupby("unique_id")["wql"].mean().rename("naive_wql")
        found.append(mine.groupby("unique_id").mean(numeric_only=True).join(naive))
    scores = pd.concat(found)
    return scores.sort_values("wql", kind="stable").reset_index()


def parse_levels(text: str) -> tuple[float, ...]:
    """Quantile levels from `0.5,0.9`. Raises InputError."""
    try:
        levels = tuple(float(part) for part in text.split(","))
    except ValueError:
        levels = ()
    if not levels or not all(0 < level < 1 for level in levels):
        raise InputError([f"--quantiles: {text!r}: numbers above 0 and below 1 with commas between, as 0.5,0.9,0.99"])
    if any(float(f"{level:g}") != level for level in levels):  # columns are named q0.999999
        raise InputError([f"--quantiles: {text!r}: at most six digits of a level are told apart"])
    return levels


def parse_models(names: Iterable[str]) -> tuple[str, ...]:
    """Forecasters by name, each once; none is the planner's own choice. Raises InputError for one that there is not."""
    asked = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    if asked:
        from forecasting import FORECASTERS

        for name in asked:
            if name not in FORECASTERS:
                near = get_close_matches(name.lower(), FORECASTERS, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise InputError([f"--models: {name!r}: there are {', '.join(FORECASTERS)}{hint}"])
    return asked


def span_minutes(horizon: str) -> int:
    """Minutes of a span as `48h` or `7d`. Raises InputError."""
    found = SPAN.match(horizon.strip().lower())
    if found is None or not 0 < int(found[1]) * MINUTES[found[2]] <= MOST_MINUTES:
        needed = f"a whole number above 0 and min, h, d or w is needed, as 48h; at most {MOST_MINUTES // 1440}d"
        raise InputError([f"--horizon: {horizon!r}: {needed}"])
    return int(found[1]) * MINUTES[found[2]]


def _plain(scores: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Scores by model as JSON has them: what is not known is null."""
    return {str(row["model"]): {str(name): None if value != value else float(value)
                                for name, value in row.items() if name != "model"}
            for row in scores.to_dict("records")}
