"""Catalogs in files that others write: a folder of gathered price lists, and SkyPilot's vms.csv."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from planner.catalog.model import Catalog, Price, Region
from planner.catalog.rows import COLUMNS, Row, read_own
from planner.errors import InputError
from planner.scenario.model import Machine

ARM = re.compile(r"^(?:[a-z]+\d+g[a-z]*\.|a1\.|Standard_[A-Z]+\d+p|t2a-|c4a-|n4a-)")
"""Names of machine types with ARM processors, where no column says."""

UNPRICED_GPUS = re.compile(r"^(?:a2|a3|a4|g2|g4)-")
"""Google machine types whose rows without an accelerator state a price without it."""

AREAS = {
    "europe": "AT BE CH CZ DE DK ES FI FR GB GR IE IT NL NO PL PT SE",
    "north-america": "CA MX US",
    "south-america": "AR BR CL CO PE",
    "asia": "BH CN HK ID IL IN JP KR KW MY OM PH QA SA SG TH TW AE",
    "oceania": "AU NZ",
    "africa": "KE NG ZA",
}
CONTINENTS = {code: area for area, codes in AREAS.items() for code in codes.split()}

VOLUME_GIB = {"aws": 16384.0, "azure": 32767.0, "gcp": 65536.0}
"""The largest disk that can be attached, by provider: what a machine offers where no column says."""

SKYPILOT = ("InstanceType", "vCPUs", "MemoryGiB", "Price", "Region")
"""Columns of a vms.csv that every version has, in whatever order."""


def read_skypilot(path: Path) -> Catalog:
    """Machines and prices of one cloud from SkyPilot's `CLOUD/vms.csv`, versions 5 to 8, columns found by name.

    Zones of a region are one row: the lowest price. A spot price equal to the list price stands for none. Rows without
    an instance type (accelerators by themselves) or whose price leaves the accelerator out, and shares of a GPU, are
    left out. Raises InputError for a missing column and for a file in a folder that is not named after its cloud.
    """
    provider = _cloud(path)
    machines: dict[tuple[str, str], Machine] = {}
    prices: dict[tuple[str, str, str], Price] = {}
    for row in _rows(path, SKYPILOT):
        name, region = row["InstanceType"], row["Region"]
        try:
            machine = _sky_machine(row, provider, path.name)
        except ValidationError as error:
            mistake = error.errors(include_url=False)[0]
            where = f"{path.name}: {name}: {'.'.join(map(str, mistake['loc']))}"
            raise InputError([f"{where}: {mistake['input']}: {mistake['msg']}"]) from None
        if machine is None or not region:
            continue
        machines.setdefault((provider, name), machine)
        key = (provider, region, name)
        prices[key] = _lower(prices.get(key, Price()), _sky_price(row, path.name))
    return Catalog(_date(path), machines, prices, {}, {}, {})


def _cloud(path: Path) -> str:
    name = path.resolve().parent.name.lower()
    if not re.fullmatch(r"[a-z][a-z0-9]*", name) or name in ("tmp", "data", "catalogs", "downloads"):
        raise InputError([f"{path}: folder: {name}: a folder named after the cloud is needed: move it to aws/vms.csv"])
    return name


def _sky_machine(row: Row, provider: str, file: str) -> Machine | None:
    name, accelerator = row["InstanceType"], row.get("AcceleratorName", "")
    vcpu, memory = _cell(row, "vCPUs", file), _cell(row, "MemoryGiB", file)
    count = _cell(row, "AcceleratorCount", file) or 0.0
    if not name or not vcpu or not memory or not count.is_integer():
        return None
    if provider == "gcp" and not accelerator and UNPRICED_GPUS.match(name):
        return None
    size = re.search(r"'SizeInMiB': *([0-9]+)", row.get("GpuInfo", ""))
    arch = row.get("Arch", "").lower() or ("arm64" if ARM.match(name) else "x86_64")
    return Machine(name=name, vcpu=vcpu, memory_gib=memory, arch=_arch(arch), gpu_count=int(count),
                   disk_gib=VOLUME_GIB.get(provider),
                   gpu_model=re.sub(r"-[0-9]+GB$", "", accelerator) or None if count else None,
                   gpu_memory_gib=round(int(size[1]) / 1024) if size and count else None)


def _arch(text: str) -> str:
    return "arm64" if text.lower() in ("arm64", "aarch64") else "x86_64"


def _sky_price(row: Row, file: str) -> Price:
    listed, spot = _cell(row, "Price", file), _cell(row, "SpotPrice", file)
    return Price(listed or None, spot if spot and spot != listed else None)


def _lower(a: Price, b: Price) -> Price:
    """The lower of two prices of one region, by purchase."""
    return Price(*(min((x for x in pair if x is not None), default=None)
                   for pair in ((a.on_demand, b.on_demand), (a.spot, b.spot))))


def _cell(row: Row, column: str, file: str) -> float | None:
    text = row.get(column, "")
    try:
        value = float(text) if text and text.lower() != "nan" else None
    except ValueError:
        value = -1.0
    if value is not None and not 0 <= value < float("inf"):
        name = row.get("InstanceType") or row.get("instance_type")
        raise InputError([f"{file}: {name}: {column}: {text}: a number of at least 0 is needed"])
    return value


def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[Row]:
    """Rows of a CSV file, packed or not. Raises InputError when it cannot be read or a needed column is not there."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            if absent := [column for column in needed if column not in (reader.fieldnames or ())]:
                found = ", ".join(reader.fieldnames or ()) or "none"
                raise InputError([f"{path.name}: columns: {', '.join(absent)} missing: found {found}"])
            yield from reader
    except (OSError, UnicodeDecodeError, csv.Error, EOFError) as error:
        raise InputError([f"{path}: cannot be read: {error}"]) from None


def _date(path: Path) -> str:
    """The day on which a file was written: vms.csv holds no date of its own."""
    from datetime import UTC, datetime
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()


JOINED, ROUND_TRIPS = "joined_vms_CCBYSA.csv.gz", "azure_interregion_rtt_ms.csv.gz"
PLACES, NEAREST = "azure_region_coordinates.json", "aws_gcp_region_nearest_azure_CCBYSA.csv.gz"
AWS_EGRESS, CARBON = "aws_egress_pairs.csv.gz", "gcp_region_carbon.csv.gz"
BANDWIDTH = "aws_instance_bandwidth.csv.gz"

PRICED = ("provider", "region", "country", "instance_type", "vcpus", "memory_gib", "arch", "gpu_model", "gpu_count",
          "gpu_memory_min_mib", "usd_per_hour", "spot_usd_per_hour", "price_as_of")


def read_gathered(folder: Path) -> Catalog:
    """A catalog from a folder of gathered price lists: machines and prices, and what lies beside them of distances.

    Round trips of AWS and Google regions are those of the nearest Azure region. Raises InputError naming file and
    column.
    """
    machines: dict[tuple[str, str], Machine] = {}
    prices: dict[tuple[str, str, str], Price] = {}
    regions: dict[str, Region] = {}
    dates: set[str] = set()
    bandwidth = _bandwidth(folder)
    for row in _rows(folder / JOINED, PRICED):
        provider, region, name = row["provider"], row["region"], row["instance_type"]
        if not row["vcpus"] or not row["memory_gib"] or not float(row["gpu_count"] or 0).is_integer():
            continue
        key = f"{provider}/{region}"
        if key not in regions:
            regions[key] = Region(provider, region, row["country"], CONTINENTS.get(row["country"]))
        if (provider, name) not in machines:
            machines[provider, name] = _gathered_machine(row, bandwidth.get(name))
        listed, spot = _cell(row, "usd_per_hour", JOINED), _cell(row, "spot_usd_per_hour", JOINED)
        prices[provider, region, name] = Price(listed or None, spot if spot and spot != listed else None)
        dates.add(row["price_as_of"][:10])
    near = _nearest(folder)
    placed = {key: replace(region, round_trips_as=near.get(key)) for key, region in regions.items()}
    return Catalog(min(dates), machines, prices, _with_grid(folder, placed), _round_trips(folder), _aws_egress(folder))


def _gathered_machine(row: Row, network_gbps: float | None) -> Machine:
    count = int(float(row["gpu_count"] or 0))
    memory = _cell(row, "gpu_memory_min_mib", JOINED)
    return Machine(name=row["instance_type"], vcpu=float(row["vcpus"]), memory_gib=float(row["memory_gib"]),
                   disk_gib=VOLUME_GIB.get(row["provider"]), network_gbps=network_gbps,
                   arch=_arch(row["arch"]), gpu_model=row["gpu_model"] or None if count else None, gpu_count=count,
                   gpu_memory_gib=round(memory / 1024) if memory and count else None)


def _bandwidth(folder: Path) -> dict[str, float]:
    if not (folder / BANDWIDTH).is_file():
        return {}
    return {row["instance_type"]: float(row["baseline_megabits"]) / 1000
            for row in _rows(folder / BANDWIDTH, ("instance_type", "baseline_megabits"))}


def _nearest(folder: Path) -> dict[str, str]:
    if not (folder / NEAREST).is_file():
        return {}
    return {f"{row['provider']}/{row['region']}": f"azure/{row['azure_region']}"
            for row in _rows(folder / NEAREST, ("provider", "region", "azure_region"))}


def _round_trips(folder: Path) -> dict[tuple[str, str], float]:
    if not (folder / ROUND_TRIPS).is_file() or not (folder / PLACES).is_file():
        return {}
    places = json.loads((folder / PLACES).read_text(encoding="utf-8"))
    keys = {place["displayName"]: f"azure/{name}" for name, place in places.items()}
    rows = _rows(folder / ROUND_TRIPS, ("src", "dst", "rtt_ms"))
    return {(keys[row["src"]], keys[row["dst"]]): float(row["rtt_ms"])
            for row in rows if row["src"] in keys and row["dst"] in keys}


def _aws_egress(folder: Path) -> dict[tuple[str, str], float]:
    if not (folder / AWS_EGRESS).is_file():
        return {}
    return {(f"aws/{row['src']}", "internet" if row["dst"] == "internet" else f"aws/{row['dst']}"): float(row["cost"])
            for row in _rows(folder / AWS_EGRESS, ("src", "dst", "cost"))}


def _with_grid(folder: Path, regions: dict[str, Region]) -> dict[str, Region]:
    """Regions with the newest carbon intensity of the grid that Google states for its own."""
    if not (folder / CARBON).is_file():
        return regions
    rows = sorted(_rows(folder / CARBON, ("year", "region", "grid_gco2e_per_kwh")), key=lambda row: row["year"])
    grid = {f"gcp/{row['region']}": float(row["grid_gco2e_per_kwh"]) for row in rows if row["grid_gco2e_per_kwh"]}
    return {key: replace(region, grid_g_per_kwh=grid.get(key)) for key, region in regions.items()}


def read_catalog(path: Path, base: Catalog) -> Catalog:
    """A catalog from files, over what `base` knows beside them.

    `path` is a folder in the form of the built-in catalog (machines.csv, prices.csv, ...), a folder of gathered price
    lists (joined_vms_CCBYSA.csv.gz and what lies beside it), a SkyPilot vms.csv in a folder named after its cloud, or a
    folder of such folders. Raises InputError for anything else.
    """
    if path.is_file() and path.name.endswith(".csv"):
        return read_skypilot(path).over(base)
    if all((path / name).is_file() for name in COLUMNS):
        return read_own(path).over(base)
    if (path / JOINED).is_file():
        return read_gathered(path).over(base)
    clouds = sorted(path.glob("*/vms.csv")) or sorted(path.glob("vms.csv"))
    if not clouds:
        known = f"{', '.join(COLUMNS)} together, or {JOINED}, or CLOUD/vms.csv"
        raise InputError([f"{path}: there is no catalog: needed: {known}"])
    found, dates = base, []
    for file in clouds:
        cloud = read_skypilot(file)
        found = cloud.over(found)
        dates.append(cloud.as_of)
    return replace(found, as_of=min(dates))
