"""What a scenario leaves out comes from the catalog or from a rule; what nobody knows is asked for by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.catalog import builtin_catalog
from planner.errors import InputError
from planner.resolve import resolve
from planner.scenario import Scenario, parse_scenario, read_scenario

Fields = Callable[..., dict[str, Any]]


@pytest.fixture
def resolved(fields: Fields) -> Callable[[dict[str, object]], Scenario]:
    """The plain scenario, changed and filled in."""
    return lambda changes: resolve(parse_scenario(fields(changes)), builtin_catalog())


@pytest.fixture
def unresolved(fields: Fields) -> Callable[[dict[str, object]], list[str]]:
    """The lines that filling the plain scenario in gives when something is not known."""
    def lines(changes: dict[str, object]) -> list[str]:
        with pytest.raises(InputError) as caught:
            resolve(parse_scenario(fields(changes)), builtin_catalog())
        return list(caught.value.problems)
    return lines


Resolved = Callable[[dict[str, object]], Scenario]
Unresolved = Callable[[dict[str, object]], list[str]]


def test_shapes_prices_and_places_come_from_the_catalog(resolved: Resolved) -> None:
    """A bare machine name, no offers, no country and no objective's floor are filled in."""
    scenario = resolved({"objective": {"mode": "min_cost"}})
    cluster = scenario.clusters[0]
    pool = cluster.pools[0]
    assert (cluster.country, cluster.grid_g_per_kwh, cluster.pue) == ("BR", 67.32, 1.135)
    assert (pool.machine.vcpu, pool.machine.memory_gib) == (16, 64)
    (offer,) = pool.offers
    assert (offer.purchase, offer.price_usd_per_hour, offer.max, offer.assured_max) == ("on_demand", 1.224, 20, 20)
    assert scenario.objective.sla_floor == 1


def test_what_is_given_wins_over_the_catalog(resolved: Resolved) -> None:
    """Country, grid, parts of a shape, price and limits of the scenario stay as they are."""
    offers = [{"purchase": "on_demand", "price_usd_per_hour": 1, "max": 7, "assured_max": 3}]
    scenario = resolved({"clusters/0/country": "PT", "clusters/0/grid_g_per_kwh": 5,
                         "clusters/0/pools/0/offers": offers,
                         "clusters/0/pools/0/machine": {"name": "m6i.4xlarge", "watts": 10}})
    cluster = scenario.clusters[0]
    assert (cluster.country, cluster.grid_g_per_kwh) == ("PT", 5)
    assert (cluster.pools[0].machine.vcpu, cluster.pools[0].machine.watts) == (16, 10)
    offer = cluster.pools[0].offers[0]
    assert (offer.price_usd_per_hour, offer.max, offer.assured_max) == (1, 7, 3)


def test_an_inline_shape_is_taken_as_it_is(resolved: Resolved) -> None:
    """A shape with vcpu and memory needs no catalog and gets nothing from it."""
    machine = resolved({}).clusters[1].pools[0].machine
    assert (machine.vcpu, machine.memory_gib, machine.disk_gib, machine.watts) == (64, 256, None, None)


@pytest.mark.parametrize(("batch", "latest"), [
    ({"duration_slots": 2}, 2), ({"duration_slots": 1, "every_slots": 2}, 1), ({"duration_slots": 4}, 0),
    ({"duration_slots": 1, "earliest_slot": 3, "every_slots": 2}, 3), ({"duration_slots": 1, "latest_slot": 2}, 2)])
def test_the_last_start_of_a_batch_window(resolved: Resolved, batch: dict[str, int], latest: int) -> None:
    """Left out, it is the last start that ends within the horizon, or within the first period."""
    window = resolved({"workloads/0/batch": batch}).workloads[0].batch
    assert window is not None
    assert window.latest_slot == latest


def links(scenario: Scenario) -> dict[tuple[str, str], tuple[float | None, float | None]]:
    """Links as (round trip, egress) by sender and receiver."""
    return {(link.from_, link.to): (link.rtt_ms, link.egress_usd_per_gb) for link in scenario.links}


def test_needed_links_come_from_the_catalog(resolved: Resolved) -> None:
    """The round trip from users and the egress of data, upstream and answers are filled in."""
    scenario = resolved({
        "workloads/1/after": [{"workload": "etl", "gb_per_day": 5}], "workloads/0/clusters": {"pin": "aws-saopaulo"},
        "workloads/0/data": {"location": "aws/us-east-1", "gb_per_day_in": 1},
        "workloads/1/users": [{"region": "azure/westeurope", "gb_per_day": 2}]})
    assert links(scenario) == {("azure/westeurope", "aws/sa-east-1"): (186, None),
                               ("aws/us-east-1", "aws/sa-east-1"): (None, 0.02),
                               ("aws/sa-east-1", "azure/westeurope"): (None, 0.15)}


def test_a_round_trip_is_taken_from_the_link_back(resolved: Resolved) -> None:
    """What the scenario says of the way back goes before the catalog; prices have a direction."""
    back = {"from": "aws/sa-east-1", "to": "azure/westeurope", "rtt_ms": 50, "egress_usd_per_gb": 0.01}
    found = links(resolved({"links": [back]}))
    assert found["azure/westeurope", "aws/sa-east-1"] == (50, None)
    assert found["aws/sa-east-1", "azure/westeurope"] == (50, 0.01)


def test_a_link_that_states_half_is_filled_in(resolved: Resolved) -> None:
    """A given link keeps its place and its figures."""
    half = {"from": "azure/westeurope", "to": "aws/sa-east-1", "egress_usd_per_gb": 0.5}
    assert links(resolved({"links": [half]})) == {("azure/westeurope", "aws/sa-east-1"): (186, 0.5)}


def test_links_nobody_needs_are_not_asked_for(resolved: Resolved) -> None:
    """The pinned workload's users never reach the own cluster, of which no link is known."""
    assert ("azure/westeurope", "onprem/lisbon") not in links(resolved({}))


UNKNOWN: list[tuple[dict[str, object], str]] = [
    ({"workloads/1/clusters": {}},
     ("scenario.yaml: links: azure/westeurope -> onprem/lisbon: no rtt_ms, which workloads.web.slo.latency_ms needs: "
      "add {from: azure/westeurope, to: onprem/lisbon, rtt_ms: ...}")),
    ({"workloads/0/data": {"location": "onprem/porto", "gb_per_day_in": 1},
      "workloads/0/clusters": {"pin": "own-lisbon"}},
     ("scenario.yaml: links: onprem/porto -> onprem/lisbon: no egress_usd_per_gb, which workloads.etl.data needs: "
      "add {from: onprem/porto, to: onprem/lisbon, egress_usd_per_gb: ...}")),
    ({"workloads/1/users": [{"region": "azure/west-europe"}]},
     ("scenario.yaml: workloads.web.slo.latency_ms: azure/west-europe: not a region of the catalog: "
      "did you mean azure/westeurope?")),
    ({"clusters/0": {"name": "aws-saopaulo", "provider": "azure", "region": "west-europe",
                     "pools": [{"name": "d", "machine": "Standard_D4s_v5", "max": 1}]}},
     ("scenario.yaml: clusters.aws-saopaulo.region: west-europe: not a region of azure in the catalog: "
      "did you mean westeurope? (or give country, machines and prices yourself)")),
    ({"clusters/0/pools/0/machine": "m6i.4xlrage"},
     ("scenario.yaml: clusters.aws-saopaulo.pools.m6i.machine: m6i.4xlrage: not a machine of aws in the catalog: "
      "did you mean m6i.4xlarge?")),
    ({"clusters/1/pools/0/machine": "m6i.4xlarge"},
     ("scenario.yaml: clusters.own-lisbon.pools.cpu.machine: m6i.4xlarge: the catalog has no machines of onprem: "
      "give vcpu and memory_gib")),
    ({"clusters/0/pools/0/offers": [{"purchase": "committed"}]},
     ("scenario.yaml: clusters.aws-saopaulo.pools.m6i.offers.committed.price_usd_per_hour: not given: the catalog has "
      "no committed price of m6i.4xlarge in aws/sa-east-1: give one (on_demand is 1.224)")),
    ({"clusters/1/pools/0/offers": []},
     ("scenario.yaml: clusters.own-lisbon.pools.cpu.offers.on_demand.price_usd_per_hour: not given: the catalog has no "
      "on_demand price of a machine without a name in onprem/lisbon: give one")),
    ({"domains": [{"name": "aws/sa-east-1", "availability": 0.99}, {"name": "aws/sa-east1", "availability": 0.99}]},
     ("scenario.yaml: domains: aws/sa-east1: not a provider or a region (provider/region): "
      "did you mean aws/sa-east-1?")),
    ({"workloads/0/hardware": {"gpu_models": ["H10O"]}},
     ("scenario.yaml: workloads.etl.hardware.gpu_models: H10O: not a GPU model of the catalog or a pool: "
      "did you mean H100?")),
    ({"workloads/0/hardware": {"throughput": {"A-100": 2}}},
     ("scenario.yaml: workloads.etl.hardware.throughput: A-100: not a GPU model, a machine type or a pattern: "
      "did you mean A100?")),
]


@pytest.mark.parametrize(("changes", "line"), UNKNOWN, ids=[line.split(": ")[1] + line[-9:] for _, line in UNKNOWN])
def test_what_nobody_knows_is_asked_for(unresolved: Unresolved, changes: dict[str, object], line: str) -> None:
    """One line says which figure is missing, what needs it, and what to write."""
    assert unresolved(changes) == [line]


def test_all_that_is_missing_is_told_at_once(unresolved: Unresolved) -> None:
    """Machines, models and links are asked for together."""
    lines = unresolved({"clusters/0/pools/0/machine": "m6i", "workloads/0/hardware": {"gpu_models": ["X1"]},
                        "workloads/1/clusters": {}})
    assert len(lines) == 3


def test_a_region_that_the_catalog_lacks_needs_no_catalog(resolved: Resolved) -> None:
    """With country, shape, price and link given, a region may be new to the catalog."""
    scenario = resolved({
        "clusters/0/region": "mars-1", "clusters/0/country": "US",
        "links": [{"from": "azure/westeurope", "to": "aws/mars-1", "rtt_ms": 200}],
        "clusters/0/pools/0/offers": [{"purchase": "on_demand", "price_usd_per_hour": 1}]})
    assert scenario.clusters[0].country == "US"


def test_filling_in_twice_changes_nothing(resolved: Resolved) -> None:
    """A resolved scenario is its own resolution."""
    scenario = resolved({})
    assert resolve(scenario, builtin_catalog()) == scenario


def test_what_the_catalog_lacks_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    """A mistake that only the catalog shows names the file it is in, whatever it is called."""
    example = Path(__file__).parents[2] / "examples" / "medical" / "scenario.yaml"
    (tmp_path / "clinic.yaml").write_text(example.read_text().replace("westeurope", "west-europe"))
    with pytest.raises(InputError) as error:
        resolve(read_scenario(tmp_path / "clinic.yaml"), builtin_catalog())
    told = error.value.problems[0]
    assert told.startswith("clinic.yaml: clusters.azure-west-europe.region: west-europe: not a region")
    assert "did you mean westeurope?" in told
