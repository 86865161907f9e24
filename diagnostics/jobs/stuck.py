"""Which jobs wait or run too long: against their own history where there is one, else against a fixed limit.

The limit of a workload with a history is the larger of its longest successful time so far and of exp(median + 4 s) of
its times' logarithms, s the median absolute deviation over 0.6745 (at least 0.1): times of jobs are skewed, and a few
long ones must not hide the rest. So a job that always runs for three days is not stuck after two, and one that runs for
minutes is stuck after an hour.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from diagnostics.jobs.hints import Hint, Surroundings, hints
from diagnostics.jobs.runs import Job

Floats = npt.NDArray[np.float64]

_DEVIATIONS = 4.0
_LEAST_SPREAD = 0.1


@dataclass(frozen=True)
class StuckSettings:
    """Limits where there is no history of `least_history` successful runs; with one, nothing is called stuck before the
    shortest times. `recent` is how many runs count as history.
    """

    pending_hours: float = 2.0
    running_hours: float = 48.0
    least_history: int = 8
    recent: int = 200
    shortest_pending_hours: float = 0.5
    shortest_running_hours: float = 1.0

    def __post_init__(self) -> None:
        """Refuse limits that are none."""
        for name in ("pending_hours", "running_hours", "least_history", "recent"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: {getattr(self, name)}: above 0")


@dataclass(frozen=True)
class StuckJob:
    """A job that waits or runs too long. `usual_hours` and `chance` (that a run of its workload takes as long) are None
    without a history; `hints` are likely causes, the likeliest first.
    """

    job: str
    workload: str
    cluster: str
    state: str
    since: str
    hours: float
    limit_hours: float
    basis: str
    usual_hours: float | None
    chance: float | None
    hints: tuple[Hint, ...]
    sentence: str


class _Limit(NamedTuple):
    hours: float
    basis: str
    past: Floats


def find_stuck(jobs: Sequence[Job], at: datetime, settings: StuckSettings | None = None) -> tuple[StuckJob, ...]:
    """Jobs that are stuck at a moment, those furthest beyond their limit first.

    Rows from after `at` do not count, nor what was known of others only then.
    """
    settings = settings or StuckSettings()
    if at.tzinfo is None:
        raise ValueError(f"at: {at.isoformat()}: must have a time zone")
    past = [job for job in jobs if job.submitted <= at]
    late = [(job, limit) for job, limit in _limits(past, at, settings) if _hours(job, at) > limit.hours]
    stuck_on: dict[tuple[str, str], set[str]] = defaultdict(set)
    for job, _ in late:
        stuck_on[job.cluster, job.state].add(job.workload)
    by_name = {job.job: job for job in past}
    pace = _pace(past)
    found = []
    for job, limit in late:
        others = len(stuck_on[job.cluster, job.state] - {job.workload})
        found.append(_stuck(job, limit, at, hints(job, Surroundings(by_name, pace.get(job.workload), others))))
    return tuple(sorted(found, key=lambda one: (-one.hours / one.limit_hours, one.job)))


def _limits(jobs: Sequence[Job], at: datetime, settings: StuckSettings) -> Iterator[tuple[Job, _Limit]]:
    """Jobs that wait or run, each with its limit."""
    times: dict[tuple[str, str], list[tuple[datetime, float]]] = defaultdict(list)
    for job in jobs:
        if job.started is not None and job.started <= at:
            times[job.workload, "pending"].append((job.started, _span(job.submitted, job.started)))
            if job.state == "succeeded" and job.finished is not None and job.finished <= at:
                times[job.workload, "running"].append((job.finished, _span(job.started, job.finished)))
    kept = {key: np.array([hours for _, hours in sorted(found)[-settings.recent :]]) for key, found in times.items()}
    for job in jobs:
        if job.state in ("pending", "running"):
            yield job, _limit(job, kept.get((job.workload, job.state), np.empty(0)), settings)


def _limit(job: Job, past: Floats, settings: StuckSettings) -> _Limit:
    pending = job.state == "pending"
    if len(past) < settings.least_history:
        hours = settings.pending_hours if pending else settings.running_hours
        return _Limit(hours, f"{len(past)} earlier runs, so the limit for all", np.empty(0))
    shortest = settings.shortest_pending_hours if pending else settings.shortest_running_hours
    logs = np.log(np.maximum(past, 1 / 3600))
    middle = float(np.median(logs))
    spread = max(_LEAST_SPREAD, float(np.median(np.abs(logs - middle))) / 0.6745)
    own = max(float(np.exp(middle + _DEVIATIONS * spread)), float(past.max()), shortest)
    return _Limit(own, f"its own {len(past)} earlier runs", past)


def _pace(jobs: Sequence[Job]) -> dict[str, float]:
    """Median GB/h of successful runs by workload, where two or more are known."""
    rates: dict[str, list[float]] = defaultdict(list)
    for job in jobs:
        if job.state == "succeeded" and job.read_gb_per_h is not None:
            rates[job.workload].append(job.read_gb_per_h)
    return {workload: float(np.median(found)) for workload, found in rates.items() if len(found) > 1}


def _stuck(job: Job, limit: _Limit, at: datetime, why: tuple[Hint, ...]) -> StuckJob:
    hours = _hours(job, at)
    known = len(limit.past) > 0
    usual = round(float(np.median(limit.past)), 4) if known else None
    chance = round(float(1 + (limit.past >= hours).sum()) / (len(limit.past) + 1), 6) if known else None
    against = f"usually {in_words(usual)}" if usual is not None else f"limit {in_words(limit.hours)}"
    sentence = f"{job.job} has been {job.state} for {in_words(hours)} ({against}): {why[0].cause}: {why[0].evidence}"
    since = (job.started or job.submitted).strftime("%Y-%m-%dT%H:%MZ")
    return StuckJob(job.job, job.workload, job.cluster, job.state, since, round(hours, 4), round(limit.hours, 4),
                    limit.basis, usual, chance, why, sentence)  # fmt: skip


def _hours(job: Job, at: datetime) -> float:
    return _span(job.started or job.submitted, at)


def _span(first: datetime, last: datetime) -> float:
    return (last - first).total_seconds() / 3600


def in_words(hours: float) -> str:
    """Hours as people say them."""
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
