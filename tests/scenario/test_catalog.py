"""Every row of the built-in catalog is plausible, and catalogs of others are read by their own conventions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from planner.catalog import Catalog, builtin_catalog, read_catalog
from planner.catalog.rows import COLUMNS, Row, read_rows
from planner.errors import InputError
from planner.scenario.countries import COUNTRIES

DATA = Path(__file__).resolve().parents[2] / "planner" / "catalog" / "data"
TABLES = {name: read_rows(DATA / name, columns) for name, columns in COLUMNS.items()}
GPU_USD = {"T4": (0.05, 2), "L4": (0.1, 3), "A10": (0.3, 8), "A10G": (0.3, 4), "L40S": (0.5, 6), "A100": (0.8, 9),
           "H100": (2, 25)}
"""Plausible list prices in USD per GPU and hour, spot included."""

catalog: Catalog = builtin_catalog()


@pytest.mark.parametrize("name", COLUMNS)
def test_every_row_has_a_source_and_a_date(name: str) -> None:
    """No figure stands without where it comes from, when, and whether somebody estimated it."""
    for row in TABLES[name]:
        assert row["source"], row
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", row["as_of"]), row
        assert all(column in row for column in row["estimated"].split()), row


@pytest.mark.parametrize("name", COLUMNS)
def test_no_row_is_given_twice(name: str) -> None:
    """Every machine, price, region, round trip and egress rule has one row."""
    keys = {"machines.csv": ("provider", "machine"), "prices.csv": ("provider", "region", "machine"),
            "regions.csv": ("provider", "region")}.get(name, ("from", "to"))
    found = [tuple(row[key] for key in keys) for row in TABLES[name]]
    assert len(set(found)) == len(found)


def test_the_catalog_covers_what_it_promises() -> None:
    """About 60 machines of all kinds, six and more regions of each cloud, those of the examples among them."""
    assert 55 <= len(catalog.machines) <= 80
    assert {"T4", "L4", "A10G", "L40S", "A100", "H100"} <= catalog.gpu_models
    for provider in ("aws", "azure", "gcp"):
        priced = {region for cloud, region, _ in catalog.prices if cloud == provider}
        assert len(priced) >= 6
        assert priced == {region.region for region in catalog.regions.values() if region.provider == provider}
    for key in ("aws/sa-east-1", "aws/us-east-1", "aws/us-west-2", "aws/eu-west-1", "aws/eu-central-1",
                "azure/brazilsouth", "azure/westeurope", "azure/northeurope", "azure/eastus",
                "gcp/southamerica-east1", "gcp/europe-west4", "gcp/us-central1"):
        assert catalog.region(key) is not None


@pytest.mark.parametrize("row", TABLES["machines.csv"], ids=lambda row: row["machine"])
def test_a_machine_is_plausible(row: Row) -> None:
    """Memory per vCPU, GPUs, network and watts are of the size that such machines have."""
    machine = catalog.machines[row["provider"], row["machine"]]
    assert 1 <= machine.memory_gib / machine.vcpu <= 20
    assert (machine.gpu_model is None) == (machine.gpu_count == 0) == (machine.gpu_memory_gib is None)
    assert machine.gpu_model is None or machine.gpu_model in GPU_USD
    assert machine.arch in ("x86_64", "arm64")
    assert machine.watts is not None
    assert 1 <= (machine.watts - 350 * machine.gpu_count) / machine.vcpu <= 20 or machine.gpu_count
    assert machine.network_gbps is not None
    assert 0.5 <= machine.network_gbps <= 3200
    assert any(key[0] == row["provider"] and key[2] == row["machine"] for key in catalog.prices)


@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
def test_prices_are_plausible(provider: str) -> None:
    """Prices per vCPU and per GPU are of the size of the market, and spot is cheaper than the list."""
    for (cloud, region, name), price in catalog.prices.items():
        if cloud != provider:
            continue
        machine, listed = catalog.machines[cloud, name], price.on_demand
        assert catalog.region(f"{cloud}/{region}") is not None
        assert listed is not None
        if machine.gpu_model is None:
            assert 0.02 <= listed / machine.vcpu <= 0.15, (region, name)
        else:
            low, high = GPU_USD[machine.gpu_model]
            assert low <= listed / machine.gpu_count <= high, (region, name)
        assert price.spot is None or 0.05 * listed <= price.spot < listed, (region, name)


def test_prices_of_one_machine_differ_by_region_within_reason() -> None:
    """No region is more than three times another: a slip of the decimal point shows here."""
    by_machine: dict[tuple[str, str], list[float]] = {}
    for (provider, _, name), price in catalog.prices.items():
        by_machine.setdefault((provider, name), []).append(price.on_demand or 0.0)
    assert {key: prices for key, prices in by_machine.items() if max(prices) > 3 * min(prices)} == {}


def test_known_prices_are_there() -> None:
    """Prices that anybody can look up: Brazil is the dearest region of both clouds, to the cent the same."""
    assert catalog.price("aws", "us-east-1", "m6i.xlarge", "on_demand") == 0.192
    assert catalog.price("aws", "sa-east-1", "m6i.xlarge", "on_demand") == pytest.approx(0.306, abs=0.001)
    assert catalog.price("azure", "brazilsouth", "Standard_D4s_v5", "on_demand") == pytest.approx(0.306, abs=0.001)
    assert catalog.price("aws", "us-east-1", "p5.48xlarge", "on_demand") == 55.04
    assert catalog.price("aws", "us-east-1", "m6i.xlarge", "spot") is None
    assert catalog.price("aws", "us-east-1", "m6i.xlarge", "committed") is None


def test_regions_have_countries_and_power() -> None:
    """Countries are ISO codes, the grid lies between hydro power and coal, PUE is that of large halls."""
    for region in catalog.regions.values():
        assert region.country in COUNTRIES
        assert region.grid_g_per_kwh is not None
        assert 0 < region.grid_g_per_kwh < 900
        assert region.pue is not None
        assert 1 < region.pue < 1.5


def test_every_pair_of_regions_has_a_round_trip_and_an_egress_price() -> None:
    """No pair is left out; round trips agree both ways; only a region to itself is free."""
    for sender in catalog.regions:
        for receiver in catalog.regions:
            there, back = catalog.rtt_ms(sender, receiver), catalog.rtt_ms(receiver, sender)
            price = catalog.egress_usd_per_gb(sender, receiver)
            assert there is not None, (sender, receiver)
            assert back is not None
            assert price is not None, (sender, receiver)
            if sender == receiver:
                assert (there, price) == (0, 0)
            else:
                assert 2 <= there <= 400
                assert abs(there - back) <= 10
                assert 0.005 <= price <= 0.25


def test_distances_follow_the_map() -> None:
    """Two clouds in one city are 2 ms apart; Brazil to Western Europe takes 186 ms; leaving AWS in Brazil is dear."""
    assert catalog.rtt_ms("aws/sa-east-1", "azure/brazilsouth") == 2
    assert catalog.rtt_ms("aws/sa-east-1", "azure/westeurope") == pytest.approx(186, abs=8)
    assert catalog.egress_usd_per_gb("aws/sa-east-1", "aws/eu-west-1") == 0.138
    assert catalog.egress_usd_per_gb("aws/us-east-1", "aws/eu-west-1") == 0.02
    assert catalog.egress_usd_per_gb("aws/sa-east-1", "azure/westeurope") == 0.15
    assert catalog.rtt_ms("onprem/lisbon", "aws/sa-east-1") is None
    assert catalog.egress_usd_per_gb("onprem/lisbon", "aws/sa-east-1") is None
    assert catalog.egress_usd_per_gb("aws/sa-east-1", "onprem/lisbon") == 0.15


def test_a_catalog_says_its_date() -> None:
    """No price is older than the date of the catalog."""
    assert catalog.as_of == min(row["as_of"] for row in TABLES["prices.csv"])


SKY_V8 = """InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone,Arch
m9x.large,,,2.0,8.0,,0.12,0.05,us-east-1,us-east-1a,x86_64
m9x.large,,,2.0,8.0,,0.11,0.04,us-east-1,us-east-1b,x86_64
m9x.flat,,,2.0,8.0,,0.11,0.11,us-east-1,us-east-1b,x86_64
m9x.arm,,,2.0,8.0,,0.09,,us-east-1,us-east-1b,arm64
p5e.48xlarge,H200,8.0,192.0,2048.0,"{'Gpus': [{'Name': 'H200', 'MemoryInfo': {'SizeInMiB': 144384}}]}",,14.5,us-east-1,us-east-1a,x86_64
p4de.24xlarge,A100-80GB,8.0,96.0,1152.0,"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 81920}}]}",27.4,,us-east-1,us-east-1a,x86_64
g6f.large,L4,0.125,2.0,8.0,,0.2,,us-east-1,us-east-1a,x86_64
,T4,1.0,,,,0.35,,us-east-1,us-east-1a,
"""  # noqa: E501
SKY_V5 = """InstanceType,Region,Price,SpotPrice,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount
gpu_1x_a10,us-tx-1,0.75,,30.0,200.0,A10,1.0
"""


@pytest.fixture
def skypilot(tmp_path: Path) -> Path:
    """A folder of SkyPilot's catalogs: one cloud in the newest form, one in an old one."""
    for cloud, text in (("aws", SKY_V8), ("lambda", SKY_V5)):
        (tmp_path / cloud).mkdir()
        (tmp_path / cloud / "vms.csv").write_text(text, encoding="utf-8")
    return tmp_path


def test_skypilot_catalogs_are_read_by_their_conventions(skypilot: Path) -> None:
    """Zones become one region, a placeholder is no spot price, a blank list price is none, parts of a GPU are out."""
    found = read_catalog(skypilot)
    assert found.price("aws", "us-east-1", "m9x.large", "on_demand") == 0.11
    assert found.price("aws", "us-east-1", "m9x.large", "spot") == 0.04
    assert found.price("aws", "us-east-1", "m9x.flat", "spot") is None
    assert found.price("aws", "us-east-1", "p5e.48xlarge", "on_demand") is None
    assert found.price("aws", "us-east-1", "p5e.48xlarge", "spot") == 14.5
    assert found.machine("aws", "g6f.large") is None
    big = found.machine("aws", "p4de.24xlarge")
    assert big is not None
    assert (big.gpu_model, big.gpu_count, big.gpu_memory_gib) == ("A100", 8, 80)
    arm = found.machine("aws", "m9x.arm")
    assert arm is not None
    assert arm.arch == "arm64"
    assert found.price("lambda", "us-tx-1", "gpu_1x_a10", "on_demand") == 0.75


def test_a_read_catalog_lies_over_the_built_in_one(skypilot: Path) -> None:
    """Prices of a cloud that was read are its own alone; distances and other clouds stay."""
    found = read_catalog(skypilot / "aws" / "vms.csv")
    assert found.price("aws", "us-east-1", "m6i.xlarge", "on_demand") is None
    assert found.price("azure", "westeurope", "Standard_D4s_v5", "on_demand") == 0.23
    assert found.rtt_ms("aws/sa-east-1", "azure/brazilsouth") == 2


def test_an_own_copy_of_the_catalog_can_be_mended(tmp_path: Path) -> None:
    """Its files in a folder of one's own, one figure changed, are a catalog."""
    for name in COLUMNS:
        text = (DATA / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("m6i.large,0.096", "m6i.large,0.095"), encoding="utf-8")
    assert read_catalog(tmp_path).price("aws", "us-east-1", "m6i.large", "on_demand") == 0.095


@pytest.mark.parametrize(("text", "words"), [
    ("InstanceType,Price\na,1\n", "columns: vCPUs, MemoryGiB, Region missing"),
    (SKY_V8.replace("0.12", "free"), "m9x.large: Price: free: a number of at least 0 is needed"),
    (SKY_V8.replace("0.12", "-1"), "m9x.large: Price: -1: a number of at least 0 is needed"),
])
def test_a_catalog_that_cannot_be_read_is_told(tmp_path: Path, text: str, words: str) -> None:
    """Missing columns and prices that are none are told by name."""
    (tmp_path / "aws").mkdir()
    (tmp_path / "aws" / "vms.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(words)):
        read_catalog(tmp_path)


def test_a_folder_without_a_catalog_is_told(tmp_path: Path) -> None:
    """Nothing that looks like a catalog is an error, not an empty catalog."""
    with pytest.raises(InputError, match="there is no catalog"):
        read_catalog(tmp_path)


def test_gathered_price_lists_agree_with_the_built_in_catalog(shared: Path) -> None:
    """A folder of whole price lists is read, and says the same of everything that the built-in catalog holds."""
    whole = read_catalog(shared / "data" / "catalog")
    assert len(whole.prices) > 50_000
    assert len(whole.regions) > 100
    assert whole.as_of == "2026-06-18"
    for key, price in catalog.prices.items():
        assert whole.prices[key].on_demand == pytest.approx(price.on_demand, abs=1e-5), key
    assert whole.rtt_ms("aws/ap-south-1", "gcp/us-west1") is not None
    assert whole.egress_usd_per_gb("aws/us-east-1", "aws/us-east-2") == 0.01
