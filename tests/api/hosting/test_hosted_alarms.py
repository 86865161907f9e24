"""Super alarms of what hosts said: what belongs together and when it is over, whatever gaps there are."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from api.hosting.alarms import super_alarms
from planner.hosting import Hosted

Json = dict[str, Any]
START, HOUR = 1_789_948_800, 3600
HOSTS = tuple(f"rack/host-{number}" for number in range(4))
WATCHED = {name: {(host, "read_latency_ms") for host in HOSTS} for name in "abc"}


def verdict(cluster: str, hour: float, hosts: Collection[str] = ()) -> Json:
    """What was said of a row: latencies of some hosts are ten times what is expected."""
    alarms = [{"host": host, "metric": "read_latency_ms", "value": 40.0, "expected": 4.0, "z": 12.0} for host in hosts]
    return {"cluster": cluster, "ts": START + round(HOUR * hour), "alarms": alarms}


def moment(hour: float) -> datetime:
    return datetime.fromtimestamp(START + HOUR * hour, UTC)


def test_alarms_of_all_hosts_are_grouped(made_up: Callable[..., Hosted]) -> None:
    """Also of one that sends no rows any more, and of names with a slash."""
    said = [verdict("a", hour, ("rack/host-1", "gone")) for hour in range(3)]
    alarmed = {dict(alarm.attributes)["host"] for one in super_alarms(said, made_up().clusters, WATCHED)
               for alarm in one.alarms}  # fmt: skip
    assert alarmed == {"a/rack/host-1", "a/gone"}


def test_a_gap_of_one_cluster_changes_nothing_of_the_others(made_up: Callable[..., Hosted]) -> None:
    """While c is silent for half a day, the alarm of a ends after three rows without it, and that of b, half a day
    after, is another fault.
    """
    said = [verdict("a", hour, HOSTS if hour < 3 else ()) for hour in range(24)]
    said += [verdict("b", hour, HOSTS if hour >= 15 else ()) for hour in range(24)]
    said += [verdict("c", hour) for hour in (*range(3), *range(15, 24))]
    first, second = super_alarms(said, made_up().clusters, WATCHED)
    assert {alarm.until for alarm in first.alarms} == {moment(5)}
    assert {dict(alarm.attributes)["cluster"] for alarm in first.alarms} == {"a"}
    assert second.until is None
    assert {dict(alarm.attributes)["cluster"] for alarm in second.alarms} == {"b"}


def test_what_was_not_heard_of_does_not_last(made_up: Callable[..., Hosted]) -> None:
    """An alarm ends three usual steps after its cluster fell silent; one that is away for two rows goes on."""
    said = [verdict("a", hour, HOSTS[:1]) for hour in (0, 1, 2, 14)]
    said += [verdict("b", hour, () if hour in (5, 6) else HOSTS[:1]) for hour in range(15)]
    found = [alarm for one in super_alarms(said, made_up().clusters, WATCHED) for alarm in one.alarms]
    assert sorted((dict(alarm.attributes)["cluster"], alarm.since, alarm.until) for alarm in found if alarm.until) == [
        ("a", moment(0), moment(5))]  # fmt: skip
    assert sorted((dict(alarm.attributes)["cluster"], alarm.since) for alarm in found if not alarm.until) == [
        ("a", moment(14)), ("b", moment(0))]  # fmt: skip


def test_each_cluster_has_a_step_of_its_own(made_up: Callable[..., Hosted]) -> None:
    """Of one that sends every minute an alarm ends after three minutes, of one that sends every hour after three
    hours; without any verdict there is none.
    """
    said = [verdict("a", minute / 60, HOSTS[:1] if minute < 2 else ()) for minute in range(300)]
    said += [verdict("b", hour, HOSTS[:1] if hour < 2 else ()) for hour in range(6)]
    found = {dict(alarm.attributes)["cluster"]: alarm.until
             for one in super_alarms(said, made_up().clusters, WATCHED) for alarm in one.alarms}  # fmt: skip
    assert found == {"a": moment(4 / 60), "b": moment(4)}
    assert super_alarms([], made_up().clusters, WATCHED) == ()
