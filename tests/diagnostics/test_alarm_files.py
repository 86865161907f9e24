"""Files of rules and policies: what is written holds, what is wrong is named."""

from pathlib import Path

import numpy as np
import pytest

from diagnostics.alarms.policy import default_policy, read_policy
from diagnostics.alarms.recorded import as_dict, super_alarms
from diagnostics.causes.ranking import moved_most
from diagnostics.causes.rules import Findings, read_rules, remedies
from diagnostics.diagnose import diagnose
from diagnostics.strict import FileError
from diagnostics.telemetry import Series, Telemetry

POLICY = """
page_users: 0.01
maintenance:
  - {match: {cluster: "c0"}, start: 2026-01-01T00:00Z, end: 2027-01-01T00:00Z, reason: rebuilt}
inhibit:
  - {source: {metric: reachable}, target: {metric: "*latency*"}, equal: [cluster]}
users:
  - {match: {metric: error_share}, affected: value}
  - {match: {metric: "queue*"}, affected: 0}
runbooks:
  - {match: {cluster: c1}, contact: "#oncall", steps: [roll back]}
"""
METRICS = ("error_share", "latency_ms", "queue_depth")


def written(folder: Path, text: str) -> Path:
    path = folder / "file.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def broken_cluster() -> Telemetry:
    """Nine weeks of four clusters with three metrics, all of c1 far above usual in the last five hours."""
    generator = np.random.default_rng(4)
    series = tuple(Series(f"c{c}", "nvme", metric) for c in range(4) for metric in METRICS)
    values = np.abs(0.2 + 0.01 * generator.normal(size=(len(series), 9 * 168)))
    values[3:6, -5:] = 0.6
    return Telemetry(series, values, np.datetime64("2026-08-31T00:00", "m"), 60)


def test_a_cluster_that_breaks_in_all_metrics_is_one_super_alarm(tmp_path: Path) -> None:
    """Three alarms of one cluster are told once, with users, runbook and what to do, ready for JSON."""
    telemetry = broken_cluster()
    clusters = {f"c{c}": {"provider": "aws"} for c in range(4)}
    (one,) = super_alarms(diagnose(telemetry), telemetry, read_policy(written(tmp_path, POLICY)), clusters)
    told = as_dict(one)
    assert (told["severity"], len(told["alarms"])) == ("page", 3)
    assert told["users_affected"] == pytest.approx(0.6)
    assert told["runbook"] == {"contact": "#oncall", "steps": ["roll back"]}
    assert "c1" in told["remedies"][0]["cause"]
    assert told["counts"] == {f"{metric} above usual": 1 for metric in METRICS}
    assert told["alarms"][0]["attributes"]["provider"] == "aws"


def test_a_device_that_fails_everywhere_is_the_first_hypothesis() -> None:
    """A column `device` makes series of their own: what one device has in all clusters is about the device."""
    generator = np.random.default_rng(5)
    names = [(f"c{cluster}", device) for cluster in range(4) for device in ("phone", "tablet", "tv")]
    series = tuple(Series(cluster, "nvme", "error_share", device=device) for cluster, device in names)
    values = np.abs(0.2 + 0.01 * generator.normal(size=(len(series), 9 * 168)))
    values[[device == "tv" for _, device in names], -5:] = 0.6
    telemetry = Telemetry(series, values, np.datetime64("2026-08-31T00:00", "m"), 60)
    found = diagnose(telemetry)
    assert {(alarm.name, alarm.device) for cluster in found.clusters for alarm in cluster.alarms} == {
        ("error_share on tv", "tv")}
    (one,) = super_alarms(found, telemetry, default_policy())
    assert one.hypotheses[0].conditions == (("device", "tv"),)
    assert one.remedies[0].rule == "one device"
    assert {moved.name for moved in one.moved[:4]} == {"error_share on tv"}


def test_without_a_policy_users_are_unknown_and_nobody_is_paged() -> None:
    """The default policy makes tickets."""
    telemetry = broken_cluster()
    assert {one.severity for one in super_alarms(diagnose(telemetry), telemetry, default_policy())} == {"ticket"}


def test_the_first_rule_that_holds_comes_first(tmp_path: Path) -> None:
    """Rules are tried in order of the file; names of the hypothesis are filled in."""
    rules = read_rules(written(tmp_path, """
rules:
  - {name: many, when: {least_alarms: 100}, cause: many, remedies: []}
  - {name: users, when: {least_users_affected: 0.1}, cause: users, remedies: []}
  - {name: disks, when: {condition: "*latency*", shares: [device], not_shares: [cluster], where: {device: "d*"}},
     cause: "{device} is slow", remedies: ["replace {device}"]}
  - {name: any, cause: something, remedies: [look]}
"""))
    latency = Findings({"read_latency high": 3, "errors high": 1}, {"device": "d7"})
    assert [(one.rule, one.cause, one.steps) for one in remedies(rules, latency)] == [
        ("disks", "d7 is slow", ("replace d7",)), ("any", "something", ("look",))]
    noticed = Findings({"errors high": 1}, {"device": "d7"}, 0.0, 0.5)
    assert [one.rule for one in remedies(rules, noticed)] == ["users", "any"]


def test_built_in_rules_can_be_read() -> None:
    """The file that comes with the library is a rule file whose rules have causes and remedies."""
    assert all(rule.cause and rule.remedies for rule in read_rules())


@pytest.mark.parametrize(("alarms", "rule"), [
    (["io_size_kib above usual", "iops below usual", "throughput_mib_s above usual"], "larger IOs"),
    (["read_latency_ms above usual", "io_size_kib above usual"], "larger IOs"),
    (["read_latency_ms above usual", "queue_depth above usual"], "slow cluster"),
    (["cpu_share above usual"], "cluster saturated"),
    (["cache_hit_share below usual"], "cache that misses"),
    (["iops below usual", "io_per_s below usual"], "less load"),
    (["rows below usual"], "other rows"),
    (["precision below usual"], "precision falls"),
    (["odd above usual"], "one cluster"),
])
def test_built_in_rules_speak_of_the_metrics_that_telemetry_has(alarms: list[str], rule: str) -> None:
    """What alarms together in one cluster has a cause that fits it, and a remedy."""
    (first, *_) = remedies(read_rules(), Findings(dict.fromkeys(alarms, 1), {"cluster": "c1"}))
    assert first.rule == rule
    assert first.steps


@pytest.mark.parametrize(("text", "said"), [
    ("rules: [{name: a, cause: b, when: {condition: []}}]", "when.condition: []: at least one pattern"),
    ("rules: 3", "must be a list"),
    ("[1]", "must be a mapping"),
    ("rules: [{name: a, cause: b, remedy: []}]", "'remedy' is not known; did you mean 'remedies'"),
    ("rules: [{name: a, cause: b, when: {share: 2}}]", "when.share: 2: must be a number from 0 to 1"),
    ("rules: [{name: a, cause: '{cluster} is slow'}]", "{cluster}: only attributes of when.shares"),
    ("rules: [{name: a, cause: '{'}]", "for braces"),
    ("rules: [{name: a, cause: b}, {name: a, cause: c}]", "every rule has a name of its own"),
    ("rules: [{name: a}]", "cause: None: must be a text"),
    ("rules: {", "file.yaml"),
])
def test_wrong_rules_are_named(tmp_path: Path, text: str, said: str) -> None:
    """The error says where, what was found and what is allowed."""
    with pytest.raises(FileError) as error:
        read_rules(written(tmp_path, text))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("text", "said"), [
    ("maintenence: []", "did you mean 'maintenance'"),
    ("page_users: 0", "above 0"),
    ("page_unknown: maybe", "true or false"),
    ("maintenance: [{match: {}, start: 2026-01-01T00:00, end: 2026-01-02T00:00Z, reason: x}]", "a time with its zone"),
    ("maintenance: [{match: {}, start: 2026-01-02T00:00Z, end: 2026-01-01T00:00Z, reason: x}]", "after the start"),
    ("users: [{match: {metric: a}, affected: some}]", "affected: 'some': must be a number"),
    ("runbooks: [{match: {cluster: 3}, contact: a}]", "must be a text"),
])
def test_wrong_policies_are_named(tmp_path: Path, text: str, said: str) -> None:
    """The error says which row and field."""
    with pytest.raises(FileError) as error:
        read_policy(written(tmp_path, text))
    assert said in str(error.value)


def slow_class() -> Telemetry:
    """Six clusters; reads and writes of the three with mixed disks are slow for five hours, queues only for three."""
    generator = np.random.default_rng(6)
    names = [(f"c{c}", "mixed-disk" if c < 3 else "nvme") for c in range(6)]
    metrics = ("cpu_share", "iops", "memory_share", "queue_depth", "read_latency_ms", "write_latency_ms",
               *(f"other_{n}" for n in range(6)))
    series = tuple(Series(*name, metric) for name in names for metric in metrics)
    values = 1.0 + 0.02 * generator.normal(size=(len(series), 9 * 168))
    for row, one in enumerate(series):
        if one.hardware_class == "mixed-disk":
            values[row, -5:] *= 3.0 if "latency" in one.metric else 1.0
            values[row, -3:] *= 3.0 if one.metric == "queue_depth" else 1.0
    return Telemetry(series, values, np.datetime64("2026-08-31T00:00", "m"), 60)


def test_slow_hardware_is_one_super_alarm_with_all_that_follows_from_it() -> None:
    """What reads and writes of a class share is that they are latencies; the queues of the same places belong to it."""
    telemetry = slow_class()
    (one,) = super_alarms(diagnose(telemetry), telemetry, default_policy())
    assert len(one.alarms) == 9
    assert one.hypotheses[0].conditions == (("hardware_class", "mixed-disk"), ("measures", "latency"))
    assert one.remedies[0].rule == "slow storage of one hardware class"
    assert {moved.metric for moved in one.moved} <= {"read_latency_ms", "write_latency_ms", "queue_depth"}


@pytest.mark.parametrize("hour", [1, 6, 16])
def test_a_fault_that_grows_from_metric_to_metric_is_one_super_alarm(hour: int) -> None:
    """A failing disk: reads are slow at first, writes seven hours later, queues and the cache after that, also where
    midnight comes in between. A fault of another cluster at the same time stays its own.
    """
    generator = np.random.default_rng(8)
    metrics = ("cache_hit_share", "queue_depth", "read_latency_ms", "write_latency_ms", *(f"m{n}" for n in range(4)))
    series = tuple(Series(f"c{c}", "mixed-disk", metric) for c in range(5) for metric in metrics)
    values = 1.0 + 0.02 * generator.normal(size=(len(series), 9 * 168 - hour))
    for metric, since in (("read_latency_ms", 22), ("write_latency_ms", 15), ("queue_depth", 14),
                          ("cache_hit_share", 9)):
        values[series.index(Series("c2", "mixed-disk", metric)), -since:] *= 3.0
    for metric in metrics[4:]:
        values[series.index(Series("c4", "mixed-disk", metric)), -12:] *= 3.0
    telemetry = Telemetry(series, values, np.datetime64("2026-08-31T00:00", "m"), 60)
    found = super_alarms(diagnose(telemetry), telemetry, default_policy())
    assert sorted(len(one.alarms) for one in found) == [4, 4]
    assert {one.hypotheses[0].conditions[0] for one in found} == {("cluster", "c2"), ("cluster", "c4")}


def test_of_two_slow_services_the_one_that_is_called_is_to_blame() -> None:
    """A front that waits for a slow ranker is not the cause; what moved most is told in the same order for any order of
    series.
    """
    generator = np.random.default_rng(7)
    series = tuple(Series("c", "nvme", metric, work, "serving") for work in ("front", "ranker")
                   for metric in ("latency_p95_ms", "requests_per_s"))
    values = np.array([[80.0], [300.0], [40.0], [300.0]]) * (1 + 0.03 * generator.normal(size=(4, 9 * 168)))
    values[[0, 2], -6:] += 60
    telemetry = Telemetry(series, values, np.datetime64("2026-08-31T00:00", "m"), 60)
    found = super_alarms(diagnose(telemetry), telemetry, default_policy(), None,
                         {"front": ("ranker",), "ranker": ()})
    told = [as_dict(one) for one in found if one.services]
    assert told
    assert all(one["services"][0]["service"] == "ranker" for one in told)
    moved = moved_most(telemetry, ["c"], 9 * 168 - 6, 9 * 168)
    turned = Telemetry(series[::-1], values[::-1], telemetry.start, 60)
    assert moved == moved_most(turned, ["c"], 9 * 168 - 6, 9 * 168)
    assert {one.workload for one in moved[:2]} == {"front", "ranker"}
