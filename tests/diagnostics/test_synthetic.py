"""Made-up telemetry: the same every time, with the rhythm and the ties of real hosts."""

import numpy as np
import pytest

from diagnostics.diagnose import diagnose
from diagnostics.synthetic import COUNTERS, GAUGES, HARDWARE, Fleet, Site, make_fleet
from diagnostics.telemetry import from_frame

SITES = (Site("fast", "all-flash-nvme", "BR", 3, -3), Site("slow", "mixed-disk", "DE", 4, 1))


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return make_fleet(SITES, days=28, seed=3)


def gauge(fleet: Fleet, cluster: str, metric: str) -> np.ndarray:
    """[hosts, steps] of one metric."""
    rows = [row for row, host in enumerate(fleet.hosts) if host.cluster == cluster]
    return fleet.gauges[rows, GAUGES.index(metric)]


def test_the_same_seed_gives_the_same_figures_and_clusters_stand_alone(fleet: Fleet) -> None:
    """A second run is equal bit by bit, another seed is not, and a cluster does not notice its neighbours."""
    again = make_fleet(SITES, days=28, seed=3)
    assert np.array_equal(fleet.gauges, again.gauges)
    assert not np.array_equal(fleet.gauges, make_fleet(SITES, days=28, seed=4).gauges)
    assert np.array_equal(make_fleet(SITES[1:], days=28, seed=3).gauges, fleet.gauges[3:])


@pytest.mark.parametrize("cluster", ["fast", "slow"])
def test_metrics_move_with_load(fleet: Fleet, cluster: str) -> None:
    """Latency, queue depth, processor and network rise with IOs; on mixed disks the cache answers fewer."""
    iops = gauge(fleet, cluster, "iops").ravel()
    for metric in ("read_latency_ms", "queue_depth", "cpu_share", "network_mbps", "throughput_mib_s"):
        assert np.corrcoef(iops, gauge(fleet, cluster, metric).ravel())[0, 1] > 0.5, metric
    if cluster == "slow":
        assert np.corrcoef(iops, gauge(fleet, cluster, "cache_hit_share").ravel())[0, 1] < -0.5


@pytest.mark.parametrize("cluster", ["fast", "slow"])
def test_load_has_a_day_and_a_week(fleet: Fleet, cluster: str) -> None:
    """Afternoons are busier than nights and weekdays than weekends, in the cluster's own time."""
    hours = gauge(fleet, cluster, "iops").mean(axis=0)
    offset = {site.cluster: site.utc_offset_h for site in SITES}[cluster]
    local = np.arange(len(hours)) + offset
    assert hours[local % 24 == 14].mean() > 1.5 * hours[local % 24 == 3].mean()
    assert hours[local // 24 % 7 < 5].mean() > 1.3 * hours[local // 24 % 7 >= 5].mean()


def test_hardware_classes_differ(fleet: Fleet) -> None:
    """All-flash hosts answer in a fraction of the time of mixed ones, and never miss their cache."""
    assert gauge(fleet, "slow", "read_latency_ms").mean() > 4 * gauge(fleet, "fast", "read_latency_ms").mean()
    assert gauge(fleet, "fast", "cache_hit_share").min() == 1.0
    assert set(HARDWARE) == {site.hardware_class for site in SITES}


def test_figures_are_possible(fleet: Fleet) -> None:
    """Shares are shares, nothing is negative or missing, and queue depth is IOs times latency (Little)."""
    assert np.isfinite(fleet.gauges).all()
    assert (fleet.gauges >= 0).all()
    for cluster in ("fast", "slow"):
        for metric in ("cache_hit_share", "memory_share"):
            assert gauge(fleet, cluster, metric).max() <= 1.0
        little = gauge(fleet, cluster, "iops") * gauge(fleet, cluster, "read_latency_ms") / 1000
        np.testing.assert_allclose(gauge(fleet, cluster, "queue_depth"), little)


def test_counters_only_fall_to_what_was_counted_since() -> None:
    """A counter rises by what was done in the step, or starts again from it."""
    fleet = make_fleet([Site("c", "mixed-disk", "DE", 40)], days=40, seed=1)
    done = np.floor(fleet.gauges[:, GAUGES.index("iops")] * 3600)
    counter = fleet.counters[:, COUNTERS.index("io_total")]
    rise = np.diff(counter, axis=1)
    fell = rise < 0
    assert 0 < fell.sum() < 40
    np.testing.assert_allclose(counter[:, 1:][fell], done[:, 1:][fell], atol=1)
    np.testing.assert_allclose(rise[~fell], done[:, 1:][~fell], atol=1.5)


def test_a_calm_fleet_is_diagnosed_as_calm() -> None:
    """Six weeks without a fault raise about as few alarms as the budget allows."""
    fleet = make_fleet([Site(f"c{n}", "mixed-disk", "DE", 3, n) for n in range(6)], days=63, seed=2)
    found = diagnose(fleet.by_cluster())
    assert sum(len(cluster.alarms) for cluster in found.clusters) <= 3


def test_frames_and_grids_agree(fleet: Fleet) -> None:
    """The long frame that hosts send holds the figures of the grid."""
    frame = fleet.frame(0, 24)
    assert len(frame) == 7 * (len(GAUGES) + len(COUNTERS)) * 24
    telemetry = from_frame(frame[frame["metric"].isin(GAUGES)], by="host")
    assert telemetry.series == fleet.by_host().series
    np.testing.assert_array_equal(telemetry.values, fleet.by_host().values[:, :24])


def test_unknown_hardware_is_refused() -> None:
    """A class that is not there is named with those that are."""
    with pytest.raises(ValueError, match="hardware_class: 'tape': one of all-flash-nvme, mixed-disk"):
        Site("c", "tape", "DE")
