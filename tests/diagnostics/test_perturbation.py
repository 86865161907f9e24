"""Perturbations: what every one keeps to, and whether the diagnosis notices them."""

from dataclasses import replace

import numpy as np
import pytest

from diagnostics.diagnose import diagnose
from diagnostics.perturbation import PERTURBATIONS, CannotPerturbError, Scene
from diagnostics.perturbed import perturb
from diagnostics.synthetic import Site, make_fleet
from diagnostics.telemetry import Telemetry

SITES = (Site("sao-paulo", "all-flash-nvme", "BR", 3, -3), Site("frankfurt", "all-flash-nvme", "DE", 3, 1),
         Site("ashburn", "mixed-disk", "US", 3, -5), Site("dublin", "mixed-disk", "IE", 3, 0))  # fmt: skip


@pytest.fixture(scope="module")
def telemetry() -> Telemetry:
    return make_fleet(SITES, days=42, seed=5).by_cluster()


def scene(telemetry: Telemetry, seed: int = 1) -> Scene:
    return Scene(telemetry, telemetry.clusters, np.random.default_rng(seed))


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_perturbation_keeps_to_its_place(telemetry: Telemetry, name: str) -> None:
    """It changes something, only from its first step on, only on the clusters it names, and not its input."""
    before = telemetry.values.copy()
    injected = PERTURBATIONS[name](scene(telemetry))
    again = PERTURBATIONS[name](scene(telemetry))
    np.testing.assert_array_equal(telemetry.values, before)
    np.testing.assert_array_equal(injected.values, again.values)
    changed = ~((injected.values == before) | (np.isnan(injected.values) & np.isnan(before)))
    assert changed[:, injected.first].any()
    assert not changed[:, : injected.first].any()
    struck = {telemetry.series[row].cluster for row in np.flatnonzero(changed.any(axis=1))}
    assert struck == {expected.cluster for expected in injected.expected}
    assert not (injected.values < 0).any()


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_expected_metrics_are_there_and_changed(telemetry: Telemetry, name: str) -> None:
    """Who expects an alarm on a metric has changed it."""
    injected = PERTURBATIONS[name](scene(telemetry))
    for expected in injected.expected:
        rows = [row for row, series in enumerate(telemetry.series)
                if series.cluster == expected.cluster and series.metric in expected.metrics]
        assert len(rows) == len(expected.metrics)
        assert expected.kind == "silent" or rows
        assert all((injected.values[row] != telemetry.values[row]).any() for row in rows)


@pytest.mark.parametrize("seed", [0, 1])
def test_every_fault_is_noticed_where_it_is(telemetry: Telemetry, seed: int) -> None:
    """Expected against observed: no fault is missed, and none is blamed on a cluster that it did not strike."""
    table = perturb(telemetry, seed=seed)
    assert {one.perturbation: one.verdict for one in table} == dict.fromkeys(PERTURBATIONS, "as expected")
    delays = {one.perturbation: one.delay_hours for one in table}
    assert delays["level"] <= 1
    assert delays["correlated"] <= 1
    assert delays["slow_disk"] <= 24


def test_nothing_injected_is_nothing_observed(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A perturbation too small to matter is missed, and said to be: the check can fail."""
    from diagnostics.perturbation import level

    monkeypatch.setattr(level, "DEVIATIONS", 0.01)
    (outcome,) = perturb(telemetry, ["level"])
    assert (outcome.verdict, outcome.noticed, outcome.delay_hours) == ("missed", (), None)


def test_what_is_wrong_already_does_not_count(telemetry: Telemetry) -> None:
    """Clusters that alarm as they are are not struck, and their alarms are not the perturbation's."""
    values = telemetry.values.copy()
    row = next(row for row, series in enumerate(telemetry.series)
               if series.cluster == "dublin" and series.metric == "read_latency_ms")
    values[row, -20:] *= 5
    ill = replace(telemetry, values=values)
    assert diagnose(ill).cluster("dublin").status == "alarm"
    (outcome,) = perturb(ill, ["slow_disk"])
    assert outcome.verdict == "as expected"
    assert outcome.clusters != ("dublin",)


def test_what_cannot_be_injected_says_why(telemetry: Telemetry) -> None:
    """Telemetry without IO sizes gets no large IOs; one cluster has no correlated faults; a week is too short."""
    rows = [row for row, series in enumerate(telemetry.series) if series.metric != "io_size_kib"]
    lean = Telemetry(tuple(telemetry.series[row] for row in rows), telemetry.values[rows], telemetry.start, 60)
    (outcome,) = perturb(lean, ["large_io"])
    assert outcome.verdict == "not injected"
    assert "has no metric of io_size, named like io_size*" in outcome.done
    alone = Scene(telemetry, ("dublin",), np.random.default_rng(0))
    with pytest.raises(CannotPerturbError, match="no 2 calm clusters"):
        PERTURBATIONS["correlated"](alone)
    with pytest.raises(ValueError, match=r"perturb: 7\.0 days of telemetry: 21 at least"):
        perturb(replace(telemetry, values=telemetry.values[:, :168]))
    with pytest.raises(ValueError, match="perturb: 'flood': one of level, variance"):
        perturb(telemetry, ["flood"])
