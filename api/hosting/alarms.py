"""Super alarms of what hosts said: which alarms belong together, why probably, how grave, and what to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf
from statistics import median_high, median_low
from typing import Any

import numpy as np

from api.hosting.policy import Known
from diagnostics.alarms import Event, Ledger, SuperAlarm, alarms_at, group, where
from diagnostics.alarms.events import Attributes
from diagnostics.alarms.policy import AlarmPolicy
from diagnostics.causes.sharing import Inventory
from diagnostics.experts import UNSAID, deciding
from diagnostics.telemetry import Series, Telemetry
from planner.hosting import Watched

QUIET_STEPS = 3
"""An alarm that is not there in so many rows of its cluster, or for so many of its usual steps, is over."""
STEP_S = 60.0
"""Between rows, where no cluster has two."""
NEVER = timedelta(days=36_500)
UNKNOWN = "unknown"
"""A hardware class that nobody says."""

Said = Mapping[str, Any]
"""An alarm of a verdict: host, metric, value, expected, z."""
Rows = Mapping[int, Sequence[Said]]
"""Alarms of one cluster by the time of the row (POSIX seconds), those of all versions that scored it."""


def super_alarms(said: Sequence[Mapping[str, Any]], clusters: Mapping[str, Watched],
                 inventory: Mapping[str, set[tuple[str, str]]], known: Known) -> tuple[SuperAlarm, ...]:
    """Group the alarms of verdicts (as `results.verdicts_of` gives them). `inventory` has hosts and metrics that models
    watch in each cluster now: with those in alarm, all that could have raised one. What the plan in force knows no
    longer (it is not in `clusters`) is left out, and so is what experts call normal.
    """
    rows: dict[str, dict[int, list[Said]]] = defaultdict(lambda: defaultdict(list))
    for row in said:
        if row["cluster"] in clusters:
            rows[row["cluster"]][row["ts"]] += _not_normal(row, clusters[row["cluster"]], known)
    if not rows:
        return ()
    watched = {(cluster, *name) for cluster in clusters for name in inventory.get(cluster, ())}
    watched |= {(cluster, alarm["host"], alarm["metric"]) for cluster, own in rows.items()
                for alarms in own.values() for alarm in alarms}  # fmt: skip
    places = {(cluster, host, metric): _place(cluster, clusters[cluster], host, metric, known)
              for cluster, host, metric in watched}  # fmt: skip
    policy, steps = known.fleet.policy, _usual_steps(rows)
    events = [event for cluster, own in rows.items()
              for event in _events(cluster, own, steps[cluster], places, policy)]  # fmt: skip
    step = timedelta(seconds=median_high([steps[cluster] for cluster, own in rows.items() if any(own.values())]
                                         or [STEP_S]))  # fmt: skip
    life = replace(policy.life, expires=NEVER, reopens=max(policy.life.reopens, step))  # events say what is over
    newest = datetime.fromtimestamp(max(max(own) for own in rows.values()), UTC)
    grouping = replace(policy.group, window=max(policy.group.window, 2 * step))
    return group(alarms_at(Ledger().take(events), newest, life), Inventory(tuple(sorted(set(places.values())))),
                 grouping)


def _not_normal(row: Mapping[str, Any], cluster: Watched, known: Known) -> Sequence[Said]:
    """The alarms of a verdict, without those of values that an expert's rule calls normal before another speaks."""
    alarms: Sequence[Said] = row["alarms"]
    if not alarms or not known.rules:
        return alarms
    series = tuple(Series(row["cluster"], cluster.hardware_class or UNKNOWN, alarm["metric"]) for alarm in alarms)
    values = np.array([[alarm["value"]] for alarm in alarms], dtype=np.float64)
    start = np.datetime64(row["ts"], "s").astype("datetime64[m]")
    decided = deciding(known.rules, Telemetry(series, values, start, 1))[:, 0].tolist()
    return [alarm for alarm, rule in zip(alarms, decided, strict=True)
            if rule == UNSAID or known.rules[rule].verdict != "normal"]


def _usual_steps(rows: Mapping[str, Rows]) -> dict[str, float]:
    """Seconds from row to row of each cluster, the median, so that a gap makes no difference; as long as in most others
    where there is one row alone.
    """
    gaps = {cluster: [later - earlier for earlier, later in pairwise(sorted(own))] for cluster, own in rows.items()}
    known = {cluster: float(median_low(own)) for cluster, own in gaps.items() if own}
    return dict.fromkeys(rows, median_high(known.values()) if known else STEP_S) | known


def _events(cluster: str, rows: Rows, step: float, places: Mapping[tuple[str, str, str], Attributes],
            policy: AlarmPolicy) -> Iterator[Event]:
    """An event for each alarm of each row of a cluster, and one for the end of each alarm that is gone."""
    times = sorted(rows)
    seen: dict[tuple[Attributes, str], list[tuple[int, Event]]] = defaultdict(list)
    for at, ts in enumerate(times):
        for alarm in rows[ts]:
            place = places[cluster, alarm["host"], alarm["metric"]]
            kind = f"{'above' if alarm['z'] > 0 else 'below'} expected"
            words = f"{alarm['metric']} of {alarm['host']} is {alarm['value']:g}, expected {alarm['expected']:g}"
            event = Event(datetime.fromtimestamp(ts, UTC), kind, place, strength=abs(alarm["z"]), sentence=words,
                          users_affected=policy.users_affected(kind, place, alarm["value"]))
            seen[place, kind].append((at, event))
    for own in seen.values():
        for number, (at, event) in enumerate(own):
            yield event
            again = times[own[number + 1][0]] if number + 1 < len(own) else inf
            quiet = times[at + QUIET_STEPS] if at + QUIET_STEPS < len(times) else inf
            over = min(quiet, times[at] + QUIET_STEPS * step)
            if over < again:
                yield replace(event, at=datetime.fromtimestamp(over, UTC), firing=False)


def _place(name: str, cluster: Watched, host: str, metric: str, known: Known) -> Attributes:
    """Where a metric of a host is: what the plan in force says of its cluster, and else the scenario of the watch."""
    return where({**known.fleet.clusters.get(name, {}), **cluster.place, "cluster": name, "host": f"{name}/{host}",
                  "metric": metric, "hardware_class": cluster.hardware_class or UNKNOWN})  # fmt: skip
