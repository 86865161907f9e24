"""Which detector reads what, and what all metrics of a cluster say together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diagnostics.budgets import discoveries
from diagnostics.diagnose import Alarm, DiagnosisSettings, diagnose
from diagnostics.feedback import Feedback
from diagnostics.reading import ALL_METRICS, DETECTOR_NAMES, ReadingError, ReadSettings, read
from diagnostics.reading.cadence import pace_of
from diagnostics.reading.choice import fitting
from diagnostics.reading.joint import groups
from diagnostics.synthetic import GAUGES, Site, make_fleet
from diagnostics.telemetry import Series, Telemetry

START = np.datetime64("2026-08-31T00:00", "m")
HOURS = 9 * 168
OF_KINDS = ("etl", "feature", "training", "serving")


def of(name: tuple[str, str, str], values: np.ndarray, step_minutes: int = 60) -> Telemetry:
    """One metric of a workload: (metric, workload, kind)."""
    metric, workload, kind = name
    return Telemetry((Series("c", "nvme", metric, workload, kind),), values[None], START, step_minutes)


def alarms_of(telemetry: Telemetry, **settings: object) -> list[Alarm]:
    found = diagnose(telemetry, DiagnosisSettings(**settings))
    return [alarm for cluster in found.clusters for alarm in cluster.alarms]


@pytest.fixture(scope="module")
def fleet() -> Telemetry:
    """Nine weeks of four clusters of two hardware classes."""
    sites = [Site(f"{name}{n}", name, "BR", 3, n) for name in ("mixed-disk", "all-flash-nvme") for n in (0, 1)]
    return make_fleet(sites, 63, 3).by_cluster()


def runs(every: int, level: float, spread: float, seed: int = 1) -> np.ndarray:
    """A value every so many hours, in ratios around a level."""
    generator = np.random.default_rng(seed)
    values = np.full(HOURS, np.nan)
    at = np.arange(2, HOURS, every)
    values[at] = level * np.exp(generator.normal(0, spread, len(at)))
    return values


def test_lost_rows_of_a_nightly_run_alarm_by_the_detector_of_etl() -> None:
    """One run a day with half of its rows is news, though it is one value in 24 hours; the calm weeks are none."""
    values = runs(24, 1e6, 0.03)
    assert alarms_of(of(("rows", "claims", "etl"), values)) == []
    values[np.flatnonzero(np.isfinite(values))[-1]] *= 0.5
    (alarm,) = alarms_of(of(("rows", "claims", "etl"), values))
    assert (alarm.detector, alarm.workload, alarm.until) == ("etl", "claims", None)
    assert "rows of claims was" in alarm.sentence
    assert "is usual for that run" in alarm.sentence


def test_a_jump_of_a_feature_alarms_while_it_is_news() -> None:
    """A mean that moves alarms by the detector of features, and ends when the batches before are like it."""
    values = runs(6, 10.0, 0.02)
    values[-10 * 6 :] *= 1.5
    (alarm,) = alarms_of(of(("mean_age", "features", "feature"), values))
    assert alarm.detector == "feature"
    assert alarm.until is not None


def test_falling_precision_alarms_and_rising_does_not() -> None:
    """Batches with worse precision alarm by the detector of training; better ones do not."""
    generator = np.random.default_rng(2)
    values = np.clip(0.9 + generator.normal(0, 0.004, HOURS), 0, 1)
    fallen, risen = values.copy(), values.copy()
    fallen[-6:] -= 0.06
    risen[-6:] += 0.06
    assert {alarm.detector for alarm in alarms_of(of(("precision", "odds", "training"), fallen))} == {"training"}
    assert alarms_of(of(("precision", "odds", "training"), risen)) == []


def test_lost_requests_alarm_by_yesterday_and_last_week() -> None:
    """Concurrency that falls to a tenth is unlike all earlier days."""
    hour = np.arange(HOURS)
    values = 200 * (1 + 0.5 * np.sin(2 * np.pi * hour / 24)) * np.exp(np.random.default_rng(3).normal(0, 0.05, HOURS))
    values[-3:] *= 0.1
    (alarm,) = alarms_of(of(("concurrency", "front", "serving"), values))
    assert alarm.detector == "serving"


def test_other_metrics_of_a_workload_are_read_like_those_of_clusters() -> None:
    """Only the number that tells most of a kind has a detector of its own."""
    assert fitting(Series("c", "h", "cpu_share", "claims", "etl"), "auto") == "seasonal_z"
    assert fitting(Series("c", "h", "rows_out", "claims", "etl"), "auto") == "etl"
    assert fitting(Series("c", "h", "rows"), "auto") == "seasonal_z"
    assert fitting(Series("c", "h", "rows", "claims", "etl"), "rolling_z") == "rolling_z"


@pytest.mark.parametrize("jitter", [0, 1, 2])
def test_the_pace_of_runs_is_found(jitter: int) -> None:
    """Daily runs that start up to two hours off are one a day."""
    generator = np.random.default_rng(jitter)
    values = np.full(HOURS, np.nan)
    values[np.arange(0, HOURS - 24, 24) + 3 + generator.integers(-jitter, jitter + 1, HOURS // 24 - 1)] = 1.0
    pace, phase = pace_of(values, 24)
    windows = (np.flatnonzero(np.isfinite(values)) - phase) // pace
    assert pace == 24
    assert len(set(windows)) == len(windows)


def test_what_a_detector_cannot_read_is_named() -> None:
    """A precision above 1 names cluster, metric, workload and what is allowed."""
    with pytest.raises(ReadingError, match=r"c: precision of odds: detector training: precision: 93\.0 .*a share"):
        diagnose(of(("precision", "odds", "training"), np.full(HOURS, 93.0)))


@pytest.mark.parametrize("detector", [name for name in DETECTOR_NAMES if name not in ("etl", "training")])
def test_every_detector_may_be_forced_and_finds_a_gross_fault(fleet: Telemetry, detector: str) -> None:
    """A cluster whose latencies are ten times as high for a day has an alarm, and at most one of three calm ones."""
    dull = detector in ("forecast_errors", "top_z")  # see less of what lasts, and of a few metrics only
    budget = 0.2 if dull else 0.01
    values = fleet.values.copy()
    for metric in ("read_latency_ms", "write_latency_ms", "queue_depth"):
        values[fleet.series.index(Series("mixed-disk0", "mixed-disk", metric)), -24:] *= 10
    found = diagnose(replace(fleet, values=values), DiagnosisSettings(detector=detector, false_alarms_per_day=budget))
    raised = [cluster.cluster for cluster in found.clusters if cluster.alarms]
    assert "mixed-disk0" in raised
    assert len(raised) <= (4 if dull else 2)


def test_together_metrics_say_what_none_says_alone(fleet: Telemetry) -> None:
    """Several metrics that are each a little off are an alarm together, which names them."""
    values = fleet.values.copy()
    off = {"iops": 1.22, "cpu_share": 0.87, "network_mbps": 0.78, "memory_share": 1.07, "io_size_kib": 0.89}
    for metric, factor in off.items():
        values[fleet.series.index(Series("mixed-disk1", "mixed-disk", metric)), -18:] *= factor
    telemetry = replace(fleet, values=values)
    assert alarms_of(telemetry, detector="seasonal_z") == []
    (alarm,) = alarms_of(telemetry)
    assert (alarm.metric, alarm.detector, alarm.cluster) == (ALL_METRICS, "neighbours", "mixed-disk1")
    assert "together are unlike calm days of mixed-disk" in alarm.sentence
    said = Feedback(alarm.cluster, ALL_METRICS, alarm.p, "false_positive")
    assert alarms_of(telemetry, feedback=(said,)) == []


def test_devices_are_not_read_together_with_the_cluster() -> None:
    """Clusters are of one group by their own metrics, whatever devices one of them has."""
    names = [Series(cluster, "nvme", metric) for cluster in "ab" for metric in ("iops", "latency", "queue")]
    names.append(Series("b", "nvme", "latency", device="tv"))
    telemetry = Telemetry(tuple(names), np.ones((7, 48)), np.datetime64("2026-11-02T00:00", "m"), 60)
    (group,) = groups(telemetry)
    assert group.rows == {"a": [0, 1, 2], "b": [3, 4, 5]}


def test_other_hardware_countries_and_clusters_that_did_not_agree_teach_nothing(fleet: Telemetry) -> None:
    """The scores of a cluster stay the same when rows change that it may not be learnt from."""
    first = Series("mixed-disk0", "mixed-disk", ALL_METRICS)

    def score(telemetry: Telemetry) -> np.ndarray:
        reading = read(telemetry, ReadSettings(0.01, reported=HOURS - 168))
        return reading.telemetry.values[reading.telemetry.series.index(first)]

    def changed(cluster: str) -> np.ndarray:
        rows = [series.cluster == cluster for series in fleet.series]
        noise = np.exp(np.random.default_rng(0).normal(0, 0.3, (sum(rows), HOURS)))
        values = fleet.values.copy()
        values[rows] *= noise
        return values

    alone = replace(fleet, opted_out=frozenset({"mixed-disk1"}))
    apart = replace(fleet, countries={"mixed-disk0": "BR", "mixed-disk1": "PT"})
    assert not np.array_equal(score(fleet), score(replace(fleet, values=changed("mixed-disk1"))), equal_nan=True)
    for telemetry, cluster in ((fleet, "all-flash-nvme0"), (alone, "mixed-disk1"), (apart, "mixed-disk1")):
        np.testing.assert_array_equal(score(telemetry), score(replace(telemetry, values=changed(cluster))))


def test_a_cluster_that_did_not_agree_is_diagnosed_and_told_so(fleet: Telemetry) -> None:
    """Its own rows still tell what is wrong with it, and the answer says that they teach nothing."""
    values = fleet.values.copy()
    values[fleet.series.index(Series("mixed-disk1", "mixed-disk", "read_latency_ms")), -5:] *= 10
    found = diagnose(replace(fleet, values=values, opted_out=frozenset({"mixed-disk1"}))).cluster("mixed-disk1")
    assert found is not None
    assert found.status == "alarm"
    assert "did not agree" in found.note


def test_fine_steps_are_read_as_a_stream_until_there_is_a_week() -> None:
    """After five days of five-minute steps a cluster has no week to compare with, and a level that moves is found."""
    generator = np.random.default_rng(5)
    steps = 5 * 288
    values = 50 + 10 * np.sin(2 * np.pi * np.arange(steps) / 288) + generator.normal(size=steps)
    calm = Telemetry((Series("c", "nvme", "cpu"),), values[None], START, 5)
    assert alarms_of(calm) == []
    values[-40:] += 40
    (alarm,) = alarms_of(Telemetry((Series("c", "nvme", "cpu"),), values[None], START, 5))
    assert alarm.detector == "surprise"
    assert alarms_of(Telemetry((Series("c", "nvme", "cpu"),), values[None], START, 5), detector="seasonal_z") == []


def test_what_a_budget_costs_is_told_and_falls_with_it(fleet: Telemetry) -> None:
    """Larger faults are missed less, and a larger budget misses less; the limits are where chances cross the budget."""
    few, many = (diagnose(fleet, DiagnosisSettings(false_alarms_per_day=budget)).misses for budget in (0.01, 1.0))
    assert [one.size for one in few] == [5.0, 10.0, 20.0]
    assert few[0].share >= few[1].share >= few[2].share
    assert all(more.share <= less.share for less, more in zip(few, many, strict=True))
    assert many[0].share < few[0].share
    reading = read(fleet, ReadSettings(0.01, "seasonal_z"))
    chance = np.full(len(fleet.series), 1e-3)
    limit = reading.scores.limit(chance)
    last = slice(HOURS - 24, HOURS)  # judged by what `limit` speaks of
    z, p = np.abs(reading.scores.z[:, last]), reading.scores.p[:, last]
    assert ((p < 1e-3) == (z >= limit[:, None])).mean() > 0.999


def test_a_rare_run_may_be_as_unlikely_a_day_as_all_hours_together() -> None:
    """A test at one step in 24 may use 24 times the chance, and calm days have news no oftener for it."""
    chance = np.random.default_rng(4).random((2, 24 * 20_000))
    chance[1, np.arange(chance.shape[1]) % 24 != 5] = np.nan
    news = discoveries(chance, 0.01, np.array([1.0, 24.0]))
    assert news.any(axis=0).sum() / 20_000 == pytest.approx(0.01 * 24, rel=0.1)
    assert news[1].sum() == pytest.approx(news[0].sum(), rel=0.2)


def test_gauges_are_what_is_read(fleet: Telemetry) -> None:
    """A cluster has one series more than it has metrics, whose values are scores."""
    reading = read(fleet, ReadSettings(0.01, reported=HOURS - 168))
    assert len(reading.telemetry.series) == 4 * (len(GAUGES) + 1)
    assert all(np.isfinite(reading.telemetry.values[-4:, -168:]).ravel())
