"""Figures of merit of forecasts, as the M4 competition and the literature on probabilistic forecasts define them."""

from __future__ import annotations

import numpy as np

from benchmarks.forecasting_data import Floats, Task

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975, 0.99)
"""What every method says: the 95 % interval of the M4 competition, and what capacity is planned by."""
WEIGHED = (0.1, 0.5, 0.9)
"""Levels of the weighted quantile loss."""


def figures(tasks: list[Task], said: list[Floats]) -> dict[str, float]:
    """Metrics over all tasks: quantiles `said` [N, H, 6] at `LEVELS` for the truth of each.

    `smape` in per cent, `mase` with a daily season, `owa` against Naive 2, `msis` and `acd` of the 95 % interval
    (Makridakis, Spiliotis and Assimakopoulos 2020), `wql` the mean over series of twice the pinball loss over the mean
    of the truth, `coverage_p50` to `coverage_p99` the share of steps at or under a quantile, `poor_p90` the share of
    series under 0.8 at the 0.9 quantile.
    """
    rows: dict[str, list[Floats]] = {}
    for task, quantiles in zip(tasks, said, strict=True):
        for name, value in _by_series(task, quantiles).items():
            rows.setdefault(name, []).append(value)
    by_series = {name: np.stack(list(found)) if _even(found) else np.concatenate(found)
                 for name, found in rows.items()}
    mean = {name: float(np.nanmean(value)) for name, value in by_series.items()}
    same = ("smape", "mase", "msis", "wql", "coverage_p50", "coverage_p90", "coverage_p99")
    out = {name: mean[name] for name in same}
    out["owa"] = 0.5 * (mean["smape"] / mean["smape_naive2"] + mean["mase"] / mean["mase_naive2"])
    out["acd"] = abs(mean["inside"] - 0.95)
    per_series = by_series["coverage_p90"].mean(axis=0) if _even(rows["coverage_p90"]) else by_series["coverage_p90"]
    out["poor_p90"] = float((per_series < 0.8).mean())
    return out


def _even(found: list[Floats]) -> bool:
    return len({len(row) for row in found}) == 1


def _by_series(task: Task, said: Floats) -> dict[str, Floats]:
    truth, season = task.truth, task.season
    low, high = said[..., LEVELS.index(0.025)], said[..., LEVELS.index(0.975)]
    middle = said[..., LEVELS.index(0.5)]
    change = np.array([_change(past, season) for past in task.pasts])
    naive2 = np.stack([seasonal_naive2(past, truth.shape[1], season) for past in task.pasts])
    size = np.abs(truth).mean(axis=1)
    loss = np.mean([_pinball(truth, said[..., LEVELS.index(level)], level) for level in WEIGHED], axis=0)
    width = (high - low) + 40 * np.maximum(low - truth, 0) + 40 * np.maximum(truth - high, 0)
    return {
        "smape": _smape(truth, middle), "smape_naive2": _smape(truth, naive2),
        "mase": np.abs(truth - middle).mean(axis=1) / change,
        "mase_naive2": np.abs(truth - naive2).mean(axis=1) / change,
        "msis": width.mean(axis=1) / change, "inside": ((truth >= low) & (truth <= high)).mean(axis=1),
        "wql": np.where(size > 0, 2 * loss.mean(axis=1) / np.where(size > 0, size, 1.0), np.nan),
    } | {f"coverage_p{round(100 * level)}": (truth <= said[..., LEVELS.index(level)]).mean(axis=1)
         for level in (0.5, 0.9, 0.99)}  # fmt: skip


def _pinball(truth: Floats, said: Floats, level: float) -> Floats:
    error = truth - said
    return np.maximum(level * error, (level - 1) * error)


def _smape(truth: Floats, said: Floats) -> Floats:
    total = np.abs(truth) + np.abs(said)
    share: Floats = 200 * np.where(total > 0, np.abs(truth - said) / np.where(total > 0, total, 1.0), 0.0).mean(axis=1)
    return share


def _change(past: Floats, season: int) -> float:
    """Mean absolute error of repeating the season within the past; NaN where there was none."""
    found = float(np.abs(past[season:] - past[:-season]).mean()) if len(past) > season else float("nan")
    return found if found > 0 else float("nan")


def seasonal_naive2(past: Floats, horizon: int, season: int) -> Floats:
    """Naive 2 of the M4 competition: the last value, seasonally adjusted by classical multiplicative decomposition
    where the autocorrelation at the season is significant at 90 %.
    """
    if season < 2 or len(past) < 3 * season or past.min() <= 0 or not _seasonal(past, season):
        return np.full(horizon, past[-1])
    ends = np.concatenate(([0.5], np.ones(season - 1), [0.5])) / season if season % 2 == 0 else np.ones(season) / season
    trend = np.convolve(past, ends, "valid")
    skip = (len(past) - len(trend)) // 2
    ratio, phase = past[skip : skip + len(trend)] / trend, (np.arange(len(trend)) + skip) % season
    index = np.array([ratio[phase == p].mean() for p in range(season)])
    index *= season / index.sum()
    now = np.arange(len(past), len(past) + horizon) % season
    found: Floats = past[-1] / index[(len(past) - 1) % season] * index[now]
    return found


def _seasonal(past: Floats, season: int) -> bool:
    centred = past - past.mean()
    total = float(centred @ centred)
    if total <= 0:
        return False
    correlations = np.array([float(centred[k:] @ centred[:-k]) / total for k in range(1, season + 1)])
    limit = 1.645 * np.sqrt((1 + 2 * float(correlations[:-1] @ correlations[:-1])) / len(past))
    return bool(abs(correlations[-1]) > limit)


