"""What is missing in recorded telemetry, in words: metrics that stopped while others go on, and days without any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from diagnostics.telemetry import Telemetry

SILENT_HOURS = 24
"""Hours without a value that are told."""
HOLE_DAYS = 2
"""Days without any value, shortly before the last ones, that are told."""
MOST_NAMED = 5
"""Metrics named in a note."""


def missing(telemetry: Telemetry, rows: Sequence[int], known: npt.NDArray[np.int64]) -> Iterator[str]:
    """Which metrics of a cluster never came, or stopped far longer ago than they ever paused, while others went on.

    `rows` are the series of the cluster, `known` the steps at which it sent anything.
    """
    if not len(known):
        return
    never, stopped = [], []
    for row in rows:
        own = np.flatnonzero(np.isfinite(telemetry.values[row]))
        if not len(own):
            never.append(telemetry.series[row].name)
            continue
        pause = int(np.diff(own).max(initial=1))
        if known[-1] - own[-1] >= max(SILENT_HOURS * telemetry.steps_per_day // 24, 3 * pause):
            stopped.append(f"{telemetry.series[row].name} since {telemetry.when(int(own[-1]) + 1)}")
    for what, found in (("no value ever came of", never), ("nothing came of", stopped)):
        if found:
            more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
            yield f"{what} {', '.join(found[:MOST_NAMED])}{more}"


def hole(telemetry: Telemetry, known: npt.NDArray[np.int64]) -> str:
    """Which days are missing shortly before the last of the steps at which a cluster sent anything; empty for none.

    A clock that is ahead looks like this, and makes all others look silent.
    """
    gaps = np.diff(known)
    day = telemetry.steps_per_day
    if not len(gaps):
        return ""
    at = int(gaps.argmax())
    others = int(np.delete(gaps, at).max(initial=1))
    if gaps[at] < max(HOLE_DAYS * day, 3 * others) or known[-1] - known[at + 1] >= day:
        return ""
    since, until = telemetry.when(int(known[at]) + 1), telemetry.when(int(known[at + 1]))
    return f"nothing came from {since} to {until}: it was away, or the clock that stamped the rows after that is ahead"
