"""Alarms that mean something: events in, super alarms with a severity, hypotheses and remedies out.

`Ledger().take(events)` keeps events, `alarms_at(ledger, now, LifePolicy())` are the alarms as they stand, and
`group(alarms, inventory, GroupPolicy(rules=read_rules()))` makes super alarms of them.
"""

from diagnostics.alarms.events import Event, iso, utc, where
from diagnostics.alarms.grouping import GroupPolicy, Runbook, SuperAlarm, group
from diagnostics.alarms.lifecycle import Alarm, Inhibition, Ledger, LifePolicy, Maintenance, Match, alarms_at

__all__ = ["Alarm", "Event", "GroupPolicy", "Inhibition", "Ledger", "LifePolicy", "Maintenance", "Match", "Runbook",
           "SuperAlarm", "alarms_at", "group", "iso", "utc", "where"]
