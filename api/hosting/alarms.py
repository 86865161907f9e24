"""Super alarms of what hosts said: which alarms belong together, why probably, how grave, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from diagnostics.alarms import Event, GroupPolicy, Ledger, LifePolicy, SuperAlarm, alarms_at, group, where
from diagnostics.alarms.events import Attributes
from diagnostics.causes.rules import read_rules
from diagnostics.causes.sharing import Inventory
from planner.hosting import Watched

QUIET_STEPS = 3
"""An alarm that is not there in so many rows of its cluster is over."""


def super_alarms(said: Sequence[Mapping[str, Any]], clusters: Mapping[str, Watched],
                 inventory: Mapping[str, set[tuple[str, str]]]) -> tuple[SuperAlarm, ...]:
    """Group the alarms of verdicts (as `results.verdicts_of` gives them). `inventory` has hosts and metrics that models
    watch in each cluster now: with those in alarm, all that could have raised one.
    """
    watched = {(cluster, *name) for cluster, names in inventory.items() for name in names}
    watched |= {(row["cluster"], alarm["host"], alarm["metric"]) for row in said for alarm in row["alarms"]}
    entities = {(cluster, host, metric): _place(cluster, clusters[cluster], host, metric)
                for cluster, host, metric in watched if cluster in clusters}  # fmt: skip
    events: list[Event] = []
    newest = datetime.fromtimestamp(0, UTC)
    step = timedelta(minutes=1)
    seen: dict[str, int] = {}
    for row in sorted(said, key=lambda row: (row["ts"], row["cluster"])):
        at = datetime.fromtimestamp(row["ts"], UTC)
        newest = max(newest, at)
        if row["cluster"] in seen:
            step = max(step, timedelta(seconds=row["ts"] - seen[row["cluster"]]))
        seen[row["cluster"]] = row["ts"]
        for alarm in row["alarms"]:
            key = row["cluster"], alarm["host"], alarm["metric"]
            if key not in entities:  # the plan in force knows the cluster no longer
                continue
            kind = f"{'above' if alarm['z'] > 0 else 'below'} expected"
            words = f"{alarm['metric']} of {alarm['host']} is {alarm['value']:g}, expected {alarm['expected']:g}"
            events.append(Event(at, kind, entities[key], strength=abs(alarm["z"]), sentence=words))
    life = LifePolicy(expires=QUIET_STEPS * step, reopens=step, refractory=step)
    alarms = alarms_at(Ledger().take(events), newest, life)
    policy = GroupPolicy(rules=read_rules(), window=max(timedelta(minutes=15), 2 * step))
    return group(alarms, Inventory(tuple(sorted(set(entities.values())))), policy)


def _place(name: str, cluster: Watched, host: str, metric: str) -> Attributes:
    return where({"cluster": name, "host": f"{name}/{host}", "metric": metric, "country": cluster.country,
                  "hardware_class": cluster.hardware_class or "unknown"})  # fmt: skip
