"""Super alarms of what hosts said: what belongs together, when it is over, and what the policy makes of it."""

import json
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.hosting.alarms import super_alarms
from api.hosting.policy import Known, Policy
from api.settings import Watching
from planner.diagnose import alarm_policy
from planner.errors import InputError
from planner.hosting import Hosted

Json = dict[str, Any]
START, HOUR = 1_789_948_800, 3600
HOSTS = tuple(f"rack/host-{number}" for number in range(4))
WATCHED = {name: {(host, "read_latency_ms") for host in HOSTS} for name in "abc"}
PLAIN = Known(alarm_policy(None, None))
POLICY = """
users:
  - {match: {metric: read_latency_ms, cluster: a}, affected: 0.02}
maintenance:
  - {match: {cluster: b}, start: 2026-09-21T00:00Z, end: 2026-09-21T06:00Z, reason: new disks}
runbooks:
  - {match: {cluster: a}, contact: "#storage", steps: [drain the rack]}
"""
RULES = """
rules:
  - {name: scrub, verdict: normal, metric: "read_*", above: 30, hours: [0, 1], reason: reads everything once}
"""


def verdict(cluster: str, hour: float, hosts: Collection[str] = ()) -> Json:
    """What was said of a row: latencies of some hosts are ten times what is expected."""
    alarms = [{"host": host, "metric": "read_latency_ms", "value": 40.0, "expected": 4.0, "z": 12.0} for host in hosts]
    return {"cluster": cluster, "ts": START + round(HOUR * hour), "alarms": alarms}


def moment(hour: float) -> datetime:
    return datetime.fromtimestamp(START + HOUR * hour, UTC)


def test_alarms_of_all_hosts_are_grouped(made_up: Callable[..., Hosted]) -> None:
    """Also of one that sends no rows any more, and of names with a slash."""
    said = [verdict("a", hour, ("rack/host-1", "gone")) for hour in range(3)]
    alarmed = {dict(alarm.attributes)["host"] for one in super_alarms(said, made_up().clusters, WATCHED, PLAIN)
               for alarm in one.alarms}  # fmt: skip
    assert alarmed == {"a/rack/host-1", "a/gone"}


def test_a_gap_of_one_cluster_changes_nothing_of_the_others(made_up: Callable[..., Hosted]) -> None:
    """While c is silent for half a day, the alarm of a ends after three rows without it, and that of b, half a day
    after, is another fault.
    """
    said = [verdict("a", hour, HOSTS if hour < 3 else ()) for hour in range(24)]
    said += [verdict("b", hour, HOSTS if hour >= 15 else ()) for hour in range(24)]
    said += [verdict("c", hour) for hour in (*range(3), *range(15, 24))]
    first, second = super_alarms(said, made_up().clusters, WATCHED, PLAIN)
    assert {alarm.until for alarm in first.alarms} == {moment(5)}
    assert {dict(alarm.attributes)["cluster"] for alarm in first.alarms} == {"a"}
    assert second.until is None
    assert {dict(alarm.attributes)["cluster"] for alarm in second.alarms} == {"b"}


def test_what_was_not_heard_of_does_not_last(made_up: Callable[..., Hosted]) -> None:
    """An alarm ends three usual steps after its cluster fell silent; one that is away for two rows goes on."""
    said = [verdict("a", hour, HOSTS[:1]) for hour in (0, 1, 2, 14)]
    said += [verdict("b", hour, () if hour in (5, 6) else HOSTS[:1]) for hour in range(15)]
    found = [alarm for one in super_alarms(said, made_up().clusters, WATCHED, PLAIN) for alarm in one.alarms]
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
             for one in super_alarms(said, made_up().clusters, WATCHED, PLAIN) for alarm in one.alarms}  # fmt: skip
    assert found == {"a": moment(4 / 60), "b": moment(4)}
    assert super_alarms([], made_up().clusters, WATCHED, PLAIN) == ()


def test_alarms_say_where_their_clusters_are(made_up: Callable[..., Hosted]) -> None:
    """Provider, region and country by the plan in force, so that what a region loses is a hypothesis."""
    there = made_up()
    far = {name: cluster.model_copy(update={"losses": (name, region, region.split("/")[0])})
           for (name, cluster), region in zip(there.clusters.items(), ("aws/dub", "gcp/fra", "gcp/fra"), strict=True)}
    said = [verdict(name, 0, HOSTS if name != "a" else ()) for name in "abc"]
    (one,) = super_alarms(said, far, WATCHED, PLAIN)
    assert dict(one.hypotheses[0].conditions) in ({"provider": "gcp"}, {"region": "gcp/fra"})
    places = [dict(alarm.attributes) for alarm in one.alarms]
    assert {(place["cluster"], place["region"], place["provider"], place["country"]) for place in places} == {
        ("b", "gcp/fra", "gcp", "IE"), ("c", "gcp/fra", "gcp", "DE")}  # fmt: skip


def policy_of(folder: Path, **texts: str) -> Policy:
    """The policy of a service whose watch names files with these texts."""
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return Policy(Watching.model_validate({name: folder / f"{name}.yaml" for name in texts}))


def test_the_policy_says_who_is_paged_and_what_is_expected(made_up: Callable[..., Hosted], tmp_path: Path) -> None:
    """What users notice pages, with the runbook of the place; in a maintenance window an alarm is kept and nobody told;
    what the policy says nothing of is a ticket.
    """
    said = [verdict(cluster, hour, HOSTS) for cluster, first in (("a", 0), ("b", 5), ("c", 10))
            for hour in range(first, first + 2)]  # fmt: skip
    said += [verdict(cluster, hour) for cluster in "abc" for hour in range(12, 15)]
    found = super_alarms(said, made_up().clusters, WATCHED, policy_of(tmp_path, alarms=POLICY).now())
    paged, muted, other = found
    assert (paged.severity, paged.users_affected) == ("page", 0.02)
    assert paged.runbook is not None
    assert (paged.runbook.contact, paged.runbook.steps) == ("#storage", ("drain the rack",))
    assert (muted.severity, muted.told, muted.why_severity) == ("log", (), "muted: maintenance: new disks")
    assert (other.severity, other.runbook) == ("ticket", None)


def test_what_experts_call_normal_is_no_alarm(made_up: Callable[..., Hosted], tmp_path: Path) -> None:
    """Only at the hours and above the limit that the rule says."""
    said = [verdict("a", hour, HOSTS[:1]) for hour in range(4)]
    (one,) = super_alarms(said, made_up().clusters, WATCHED, policy_of(tmp_path, rules=RULES).now())
    assert one.since == moment(2)


def test_runbooks_of_the_scenario_are_those_of_workloads_that_run_there(
    made_up: Callable[..., Hosted], watched: Json, tmp_path: Path
) -> None:
    """A workload that runs in a, with a runbook: alarms of a come with it, those of b do not."""
    watched["workloads"][0] |= {"incumbent": {"cluster": "a"}, "runbook": {"contact": "#web", "steps": ["shed load"]}}
    known = policy_of(tmp_path, scenario=json.dumps(watched)).now()
    said = [verdict(cluster, first, HOSTS) for cluster, first in (("a", 0), ("b", 30))]
    books = [one.runbook and one.runbook.contact for one in super_alarms(said, made_up().clusters, WATCHED, known)]
    assert books == ["#web", None]


def test_a_policy_is_read_once_until_it_changes(tmp_path: Path) -> None:
    """Asked again it is the same; a changed file is read again; one that is wrong is told, and mended without a
    restart.
    """
    policy = policy_of(tmp_path, alarms=POLICY)
    first = policy.now()
    assert policy.now() is first
    (tmp_path / "alarms.yaml").write_text("page_users: 2", encoding="utf-8")
    with pytest.raises(InputError, match="page_users"):
        policy.now()
    (tmp_path / "alarms.yaml").write_text("page_users: 0.5", encoding="utf-8")
    assert policy.now().fleet.policy.group.page_users == 0.5
