"""Streams within a diagnosis: a change is told when it happens, calm is not, and the budget is kept."""

from dataclasses import replace

import numpy as np
import pytest

from diagnostics.changes import Change
from diagnostics.diagnose import Diagnosis, DiagnosisSettings, diagnose
from diagnostics.synthetic import Site, make_fleet
from diagnostics.telemetry import Series, Telemetry

SITES = [Site(f"c{at}", ("mixed-disk", "all-flash-nvme")[at % 2], "BR", 3, at % 5) for at in range(6)]


@pytest.fixture(scope="module")
def fleet() -> Telemetry:
    return make_fleet(SITES, 70, 3).by_cluster()


def changes(found: Diagnosis) -> list[Change]:
    return [change for cluster in found.clusters for change in cluster.changes]


def moved(fleet: Telemetry, name: Series, steps: int, by: float) -> Telemetry:
    """The last steps of a series, up by so many of its standard deviations."""
    values = fleet.values.copy()
    row = fleet.series.index(name)
    values[row, -steps:] += by * values[row].std()
    return replace(fleet, values=values)


def test_a_move_to_another_level_is_told_with_since_and_noticed(fleet: Telemetry) -> None:
    """It begins within half a day of where it did, and makes the cluster drift or worse."""
    name = Series("c2", "mixed-disk", "memory_share")
    found = diagnose(moved(fleet, name, 72, 4.0))
    (change,) = [one for one in changes(found) if one.metric == "memory_share"]
    assert (change.cluster, change.hardware_class, change.what) == ("c2", "mixed-disk", "level")
    begins = np.datetime64(change.since.removesuffix("Z"), "m")
    assert abs(begins - (fleet.start + np.timedelta64((70 * 24 - 72) * 60, "m"))) <= np.timedelta64(12 * 60, "m")
    assert change.since <= change.noticed < found.end
    assert f"memory_share went to another level about {change.since}, noticed {change.noticed}" == change.sentence
    cluster = found.cluster("c2")
    assert cluster is not None
    assert cluster.status in ("alarm", "drift")


def test_a_calm_fleet_is_told_of_few_changes(fleet: Telemetry) -> None:
    """Six clusters over ten weeks, at a budget of a tenth a month each: 1.5 to be expected, four at most."""
    settings = DiagnosisSettings(report_days=70, false_changes_per_month=0.1)
    assert len(changes(diagnose(fleet, settings))) <= 4


def test_changes_before_the_reported_days_and_short_histories_are_not_told(fleet: Telemetry) -> None:
    """What was noticed a month ago is no news; three weeks of hours come first."""
    name = Series("c2", "mixed-disk", "memory_share")
    old = moved(fleet, name, 30 * 24, 4.0)
    assert not changes(diagnose(old))
    assert changes(diagnose(old, DiagnosisSettings(report_days=35)))
    young = replace(fleet, values=moved(fleet, name, 72, 9.0).values[:, -500:])
    assert not changes(diagnose(young))


def test_a_change_alone_makes_a_cluster_drift() -> None:
    """Where no month and no alarm says so, the stream does: a level that creeps up over days within usual hours."""
    generator = np.random.default_rng(4)
    values = 50 + 10 * generator.normal(size=(1, 60 * 24))
    values[0, -6 * 24 :] += 12
    found = diagnose(Telemetry((Series("a", "nvme", "cpu"),), values, np.datetime64("2026-08-31T00:00", "m"), 60))
    (cluster,) = found.clusters
    assert (cluster.status, len(cluster.alarms), len(cluster.changes)) == ("drift", 0, 1)
    assert "cpu went to another level about" in cluster.sentence
    assert found.found


def test_what_never_moves_and_what_is_never_known_changes_in_nothing(fleet: Telemetry) -> None:
    """A constant metric, one without any value, and one that falls silent are told of no change."""
    values = fleet.values.copy()
    values[0], values[1], values[2, -100:] = 5.0, np.nan, np.nan
    assert not changes(diagnose(replace(fleet, values=values)))
