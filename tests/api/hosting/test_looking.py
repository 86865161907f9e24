"""Which rows super alarms are of, and what is said of those that are too many."""

import json
from collections.abc import Collection
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from api.database.tables import verdicts
from api.hosting.looking import look
from api.hosting.policy import Known
from api.hosting.sealing import Sealing
from planner.diagnose import alarm_policy

START, HOUR = 1_789_948_800, 3600
OFF = {"metric": "read_latency_ms", "value": 40.0, "expected": 4.0, "z": 12.0}


def said(engine: Engine, cluster: str, hours: Collection[int], *hosts: str) -> None:
    """What was said of rows of a cluster: some hosts are in alarm."""
    kept = {"model_version": "m", "status": "alarm" if hosts else "ok", "score": 1.0, "threshold": 3.0, "workload": "w",
            "host": "h", "epoch": 1, "seconds": 0.1, "cluster": cluster,
            "alarms": json.dumps([OFF | {"host": host} for host in hosts])}  # fmt: skip
    with engine.begin() as connection:
        connection.execute(insert(verdicts), [kept | {"ts": START + HOUR * hour} for hour in hours])


def begun(engine: Engine, made_up: Any, most: int) -> tuple[float, bool, dict[str, float]]:
    """From which hour on alarms are complete, whether that is later than asked, and the hour each cluster's began."""
    found = look(engine, made_up(), Known(alarm_policy(None, None)), Sealing(), 24, most)
    assert found.complete_from is not None
    since = {dict(alarm.attributes)["cluster"]: (alarm.since.timestamp() - START) / HOUR
             for one in found.super_alarms for alarm in one.alarms}  # fmt: skip
    return (found.complete_from - 1 - START) / HOUR, found.cut, since


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (21, (-11, False, {"a": 2, "b": 6})),  # all there are of a and b without an alarm, and the newest of c
        (20, (0, True, {"a": 2, "b": 6})),
        (12, (5, True, {"b": 6})),
        (5, (10, True, {})),
    ],
)
def test_rows_that_are_too_many_are_told(engine: Engine, made_up: Any, most: int, expected: Any) -> None:
    """Alarms are complete from the hour after the newest row that was left out; rows of c, which has no alarm, do not
    count.
    """
    for cluster, alarmed in (("a", range(2, 5)), ("b", range(6, 9))):
        said(engine, cluster, alarmed, "host-1")
        said(engine, cluster, {*range(13)} - {*alarmed})
    said(engine, "c", range(14))
    assert begun(engine, made_up, most) == expected


def test_alarms_that_are_too_many_are_told(engine: Engine, made_up: Any) -> None:
    """One that lasts is shown from then on; without any verdict there is nothing to say."""
    assert look(engine, made_up(), Known(alarm_policy(None, None)), Sealing()) == ((), None, False)
    said(engine, "a", range(10), "host-1", "host-2")
    assert begun(engine, made_up, 10) == (-15, False, {"a": 0})
    assert begun(engine, made_up, 4) == (5, True, {"a": 6})
