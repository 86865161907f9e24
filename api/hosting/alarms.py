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

from diagnostics.alarms import Event, GroupPolicy, Ledger, LifePolicy, SuperAlarm, alarms_at, group, where
from diagnostics.alarms.events import Attributes
from diagnostics.causes.rules import read_rules
from diagnostics.causes.sharing import Inventory
from planner.hosting import Watched

QUIET_STEPS = 3
"""An alarm that is not there in so many rows of its cluster, or for so many of its usual steps, is over."""
STEP_S = 60.0
"""Between rows, where no cluster has two."""
NEVER = timedelta(days=36_500)

Rows = Mapping[int, Sequence[Mapping[str, Any]]]
"""Alarms of one cluster by the time of the row (POSIX seconds), those of all versions that scored it."""


def super_alarms(said: Sequence[Mapping[str, Any]], clusters: Mapping[str, Watched],
                 inventory: Mapping[str, set[tuple[str, str]]]) -> tuple[SuperAlarm, ...]:
    """Group the alarms of verdicts (as `results.verdicts_of` gives them). `inventory` has hosts and metrics that models
    watch in each cluster now: with those in alarm, all that could have raised one. What the plan in force knows no
    longer (it is not in `clusters`) is left out.
    """
    rows: dict[str, dict[int, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in said:
        if row["cluster"] in clusters:
            rows[row["cluster"]][row["ts"]] += row["alarms"]
    if not rows:
        return ()
    watched = {(cluster, *name) for cluster in clusters for name in inventory.get(cluster, ())}
    watched |= {(cluster, alarm["host"], alarm["metric"]) for cluster, own in rows.items()
                for alarms in own.values() for alarm in alarms}  # fmt: skip
    places = {(cluster, host, metric): _place(cluster, clusters[cluster], host, metric)
              for cluster, host, metric in watched}  # fmt: skip
    steps = _usual_steps(rows)
    newest = max(max(own) for own in rows.values())
    events = [event for cluster, own in rows.items() for event in _events(cluster, own, steps[cluster], places)]
    step = timedelta(seconds=median_high([steps[cluster] for cluster, own in rows.items() if any(own.values())]
                                         or [STEP_S]))  # fmt: skip
    life = LifePolicy(expires=NEVER, reopens=step, refractory=step)  # events say what is over
    alarms = alarms_at(Ledger().take(events), datetime.fromtimestamp(newest, UTC), life)
    policy = GroupPolicy(rules=read_rules(), window=max(timedelta(minutes=15), 2 * step))
    return group(alarms, Inventory(tuple(sorted(set(places.values())))), policy)


def _usual_steps(rows: Mapping[str, Rows]) -> dict[str, float]:
    """Seconds from row to row of each cluster, the median, so that a gap makes no difference; as long as in most others
    where there is one row alone.
    """
    gaps = {cluster: [later - earlier for earlier, later in pairwise(sorted(own))] for cluster, own in rows.items()}
    known = {cluster: float(median_low(own)) for cluster, own in gaps.items() if own}
    return dict.fromkeys(rows, median_high(known.values()) if known else STEP_S) | known


def _events(cluster: str, rows: Rows, step: float,
            places: Mapping[tuple[str, str, str], Attributes]) -> Iterator[Event]:
    """An event for each alarm of each row of a cluster, and one for the end of each alarm that is gone."""
    times = sorted(rows)
    seen: dict[tuple[Attributes, str], list[tuple[int, Event]]] = defaultdict(list)
    for at, ts in enumerate(times):
        for alarm in rows[ts]:
            place = places[cluster, alarm["host"], alarm["metric"]]
            kind = f"{'above' if alarm['z'] > 0 else 'below'} expected"
            words = f"{alarm['metric']} of {alarm['host']} is {alarm['value']:g}, expected {alarm['expected']:g}"
            event = Event(datetime.fromtimestamp(ts, UTC), kind, place, strength=abs(alarm["z"]), sentence=words)
            seen[place, kind].append((at, event))
    for own in seen.values():
        for number, (at, event) in enumerate(own):
            yield event
            again = times[own[number + 1][0]] if number + 1 < len(own) else inf
            quiet = times[at + QUIET_STEPS] if at + QUIET_STEPS < len(times) else inf
            over = min(quiet, times[at] + QUIET_STEPS * step)
            if over < again:
                yield replace(event, at=datetime.fromtimestamp(over, UTC), firing=False)


def _place(name: str, cluster: Watched, host: str, metric: str) -> Attributes:
    return where({"cluster": name, "host": f"{name}/{host}", "metric": metric, "country": cluster.country,
                  "hardware_class": cluster.hardware_class or "unknown"})  # fmt: skip
