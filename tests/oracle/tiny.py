"""Random scenarios of a few workloads, clusters and slots, with every rule that is planned today sprinkled in."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

Row = dict[str, Any]
REGIONS = ("aws/north", "aws/south", "gcp/east", "own/hall")
COUNTRIES = {"aws/north": "DE", "aws/south": "BR", "gcp/east": "US", "own/hall": "DE"}
SHAPES = (("m7i.large", 4, 16), ("m7i.xlarge", 8, 32), ("c6g.xlarge", 8, 16))


def tiny_scenario(seed: int, *, parts: bool = True, pooled: bool = True) -> Row:
    """A scenario as it would be written by hand, fully resolved.

    `parts` and `pooled` let some split workloads over pools, and be sized on joint paths, where a test can have them.
    """
    scenario = Maker(random.Random(seed)).scenario(seed)
    Inputs(random.Random(seed + 1_000_000), scenario).vary()
    rng = random.Random(seed + 2_000_000)
    add_domains(rng, scenario)
    for cluster in scenario["clusters"]:
        cluster["tier"] = rng.choice(["iaas", "paas", "saas"])
    for workload in scenario["workloads"]:
        workload["probability"] = rng.choice([1, 1, 0.3])  # sized at its full need all the same
    _ask_to_survive(scenario, random.Random(f"survive {seed}"))
    share(random.Random(seed + 3_000_000), scenario)
    if parts:
        _allow_parts(random.Random(f"parts {seed}"), scenario)
    if pooled:
        size_jointly(random.Random(seed + 4_000_000), scenario)
    return scenario


def size_jointly(rng: random.Random, scenario: Row) -> None:
    """Some scenarios that survive nothing are sized on a few joint paths, of which some workloads have a table."""
    if scenario.get("survive", "none") != "none" or rng.random() < 0.55:
        return
    for workload in scenario["workloads"]:
        workload.pop("survive", None)
        workload.pop("max_parts", None)
    scenario |= {"sizing": "pooled", "service_level": rng.choice([0.5, 0.75, 0.8, 0.95])}
    table, count = [], rng.choice([2, 4, 5, 10])
    for workload in scenario["workloads"]:
        if rng.random() < 0.7 or workload is scenario["workloads"][0]:
            rows, workload["replicas"] = workload["replicas"], {"paths": "paths.csv"}
            table += [[workload["name"], path, *(max(0, n + rng.choice([-2, -1, 0, 0, 0, 1])) for n in rows)]
                      for path in range(3, 3 + count)]
    rng.shuffle(table)
    scenario["paths.csv"] = [["workload", "path", *range(len(table[0]) - 2)], *table]


def write(folder: Path, scenario: Row) -> Path:
    """Put the scenario, and its table of paths if it has one, into a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    scenario = dict(scenario)
    for name in [name for name in scenario if name.endswith(".csv")]:
        lines = [",".join(map(str, row)) for row in scenario.pop(name)]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario, sort_keys=False), encoding="utf-8")
    return folder


def _ask_to_survive(scenario: Row, rng: random.Random) -> None:
    """Some scenarios survive losses of some level, of all workloads or of important ones, or workload by workload."""
    if rng.random() < 0.3:
        scenario["survive"] = rng.choice(["cluster", "cluster", "region", "provider"])
    if rng.random() < 0.3:
        scenario["survive_priority"] = rng.choice([30, 60])
    for workload in scenario["workloads"]:
        if rng.random() < 0.3:
            workload["priority"] = rng.choice([20, 40, 70])
        if rng.random() < 0.12:
            workload["survive"] = rng.choice(["none", "cluster", "region", "provider"])
    for offer in (offer for cluster in scenario["clusters"] for pool in cluster["pools"] for offer in pool["offers"]):
        if offer["purchase"] == "on_demand" and rng.random() < 0.4:
            offer["assured_max"] = rng.choice([0, 1, 2])


def _allow_parts(rng: random.Random, scenario: Row) -> None:
    """In some scenarios a workload or two may be split over pools."""
    if rng.random() < 0.4:
        for workload in scenario["workloads"]:
            if rng.random() < 0.5 and "batch" not in workload:
                workload["max_parts"] = rng.choice([2, 2, 3])


class Maker:
    """Draws one scenario; numbers are round so that a reader can follow them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.slots = rng.choice([2, 3, 4])
        self.places = rng.sample(REGIONS, rng.choice([2, 2, 3]))

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return self.rng.random() < p

    def scenario(self, seed: int) -> Row:
        """All of it."""
        workloads = [self.workload(i) for i in range(self.rng.choice([1, 2, 3, 3]))]
        self._chain(workloads)
        goal = {"mode": "min_cost", "sla_floor": self.rng.choice([0.0, 0.4, 1.0])}
        if self.chance(0.35):
            goal = {"mode": "max_sla", "budget_usd": float(self.rng.choice([20, 100, 400]))}
        return {"name": f"tiny-{seed}",
                "horizon": {"start": "2026-11-02T00:00:00Z", "slots": self.slots,
                            "slot_minutes": self.rng.choice([60, 180, 720])},
                "objective": goal, "carbon_usd_per_tonne": self.rng.choice([0, 0, 200]),
                "links": self.links(), "clusters": [self.cluster(i) for i in range(len(self.places))],
                "workloads": workloads}

    def links(self) -> list[Row]:
        """Every ordered pair of regions; some round trips must be taken from the reverse link."""
        rows = []
        for i, a in enumerate(REGIONS):
            for b in REGIONS[i + 1:]:
                there = {"from": a, "to": b, "rtt_ms": self.rng.choice([10, 40, 90])}
                back = {"from": b, "to": a} | ({"rtt_ms": self.rng.choice([10, 40, 90])} if self.chance(0.5) else {})
                rows += [link | {"egress_usd_per_gb": self.rng.choice([0.0, 0.02, 0.1])} for link in (there, back)]
        return rows + ([{"from": REGIONS[0], "to": REGIONS[0], "rtt_ms": 2, "egress_usd_per_gb": 0.01}]
                       if self.chance(0.3) else [])

    def cluster(self, i: int) -> Row:
        """A cluster of one or two pools; a neighbour may share its region."""
        place = self.places[0] if i == 1 and self.chance(0.2) else self.places[i]
        provider, region = place.split("/")
        row: Row = {"name": f"{provider}-{i}", "provider": provider, "region": region, "country": COUNTRIES[place],
                    "availability": self.rng.choice([0.95, 0.99, 0.999]), "pue": 1.25, "grid_g_per_kwh": 400,
                    "pools": [self.pool(j) for j in range(self.rng.choice([1, 1, 2]))]}
        if self.chance(0.7):
            row |= {"deploy_minutes": self.rng.choice([5, 8, 30]), "durability": self.rng.choice([0.999, 0.9999])}
        if self.chance(0.4):
            row["storage_usd_per_gb_month"] = 0.1
        return row

    def pool(self, j: int) -> Row:
        """Machines of one type with one to three ways to buy them."""
        name, vcpu, memory_gib = self.rng.choice(SHAPES)
        machine: Row = {"name": name, "vcpu": vcpu, "memory_gib": memory_gib, "disk_gib": 100, "network_gbps": 10,
                        "watts": self.rng.choice([0, 300])}
        if name.startswith("c6g"):
            machine["arch"] = "arm64"
        elif self.chance(0.6):
            machine |= {"gpu_model": self.rng.choice(["A100", "T4"]), "gpu_count": self.rng.choice([1, 2])}
        most = self.rng.choice([1, 2, 3, 4])
        row: Row = {"name": f"p{j}", "machine": machine, "max": most, "offers": self.offers(most)}
        if self.chance(0.3):
            row["headroom"] = 0.1
        if self.chance(0.3):
            row["reserved"] = {"vcpu": 0.5, "memory_gib": 1}
        if self.chance(0.1):
            row["lead_time_days"] = self.rng.choice([0.1, 1])
        return row

    def offers(self, most: int) -> list[Row]:
        """A random choice of the four ways to pay, at least one."""
        price = self.rng.choice([1.0, 2.0, 3.5])
        rows: list[Row] = [
            {"purchase": "on_demand", "price_usd_per_hour": price},
            {"purchase": "committed", "price_usd_per_hour": price * 0.6},
            {"purchase": "spot", "price_usd_per_hour": price * 0.3, "interruption_per_hour": 0.1, "redo_hours": 0.5},
            {"purchase": "owned", "price_usd_per_hour": price * 0.4}]
        chosen = [row for row, p in zip(rows, (0.85, 0.4, 0.4, 0.25), strict=True) if self.chance(p)] or [rows[0]]
        for row in chosen:
            if row["purchase"] in ("committed", "owned") and self.chance(0.5):
                row["owned"] = 1
            if self.chance(0.3):
                row["max"] = self.rng.randint(1, most)
        return chosen

    def workload(self, i: int) -> Row:
        """A workload with a handful of rules."""
        rng = self.rng
        request: Row = {"vcpu": rng.choice([1, 1.5, 2, 3]), "memory_gib": rng.choice([2, 4, 7])}
        row: Row = {"name": f"w{i}", "kind": rng.choice(["etl", "training"]), "request": request,
                    "weight": rng.choice([1, 2, 0.5]), "owner": rng.choice(["red", "blue"]),
                    "replicas": [rng.choice([0, 1, 1, 2, 3]) for _ in range(self.slots)],
                    "droppable": self.chance(0.2), "preemptible": self.chance(0.4), "slo": {}, "hardware": {}}
        if self.chance(0.25):
            request["gpu"] = 1
            row["hardware"] = {"gpu_models": rng.choice([["A100"], ["A100", "T4"]]),
                               "throughput": {"A100": 1.0, "T4": 0.5}}
        elif self.chance(0.3):
            row["hardware"]["throughput"] = {"m7i.*": rng.choice([0.7, 1.5])}
        if self.chance(0.3):
            row["hardware"]["arch"] = ["x86_64", "arm64"]
        if self.chance(0.35):
            self._batch(row)
        elif self.chance(0.4):
            self._users(row)
        self._promises(row)
        self._rules(row)
        self._data(row)
        return row

    def _batch(self, row: Row) -> None:
        duration = self.rng.choice([1, 1, 2])
        latest = self.rng.randint(0, self.slots - duration)
        row["batch"] = {"duration_slots": duration, "earliest_slot": self.rng.randint(0, latest), "latest_slot": latest}
        if self.chance(0.3):
            row["batch"]["every_slots"] = 2
        if self.chance(0.3):
            row["slo"]["deadline_slot"] = self.rng.randint(latest, self.slots - 1)

    def _users(self, row: Row) -> None:
        count = self.rng.choice([1, 2])
        row["kind"] = "serving"
        row["users"] = [{"region": region, "share": share} for region, share in
                        zip(self.rng.sample(REGIONS, count), [1.0] if count == 1 else [0.7, 0.3], strict=True)]
        row["slo"] |= {"latency_ms": self.rng.choice([60, 100, 200]), "service_ms": 5}
        if self.chance(0.4):
            row["users"][0]["gb_per_day"] = 20

    def _promises(self, row: Row) -> None:
        if self.chance(0.4):
            row["slo"]["availability"] = self.rng.choice([0.9, 0.98, 0.998])
        if self.chance(0.1):
            row["slo"]["deploy_minutes"] = 10
        if self.chance(0.1):
            row["slo"]["durability"] = 0.999

    def _rules(self, row: Row) -> None:
        if self.chance(0.2):
            row["residency"] = self.rng.choice([{"allow": ["DE", "US"]}, {"deny": ["BR"]}])
        if self.chance(0.2):
            first = self.places[0].split("/")[0]
            row["clusters"] = self.rng.choice([{"allow": [f"{first}-*"]}, {"deny": ["*-1"]}, {"pin": f"{first}-0"},
                                               {"pin": f"{first}-0/p0"}])
        if self.chance(0.25):
            provider = self.places[0].split("/")[0]
            row["incumbent"] = {"cluster": f"{provider}-0", "pool": "p0", "move_cost_usd": 1.5}

    def _data(self, row: Row) -> None:
        if self.chance(0.4):
            row["data"] = {"location": self.rng.choice(REGIONS), "gb_per_day_in": self.rng.choice([0, 100])}
            if self.chance(0.5):
                row["data"]["stored_gb"] = 500

    def _chain(self, workloads: list[Row]) -> None:
        for before, row in pairwise(workloads):
            if self.chance(0.35):
                row["after"] = [{"workload": before["name"], "gb_per_day": 50}]


def share(rng: random.Random, scenario: Row) -> None:
    """In a third of all scenarios, let pools share a limit or a commitment or both."""
    survives = [scenario, *scenario["workloads"]]
    if rng.random() < 0.67 or any(row.get("survive", "none") != "none" for row in survives):
        return
    pools = [f"{cluster['name']}/{pool['name']}" for cluster in scenario["clusters"] for pool in cluster["pools"]]
    patterns = [["*"], [rng.choice(pools)], [f"{scenario['clusters'][0]['name']}/*"],
                rng.sample(pools, min(2, len(pools)))]
    if rng.random() < 0.6:
        measure, most = rng.choice([("machines", [2, 3, 5]), ("vcpu", [8, 16, 30]), ("gpu", [1, 2, 3]),
                                    ("kw", [0.5, 1]), ("usd_per_hour", [4, 8.5])])
        scenario["limits"] = [{"name": "cap", "pools": rng.choice(patterns), "measure": measure,
                               "max": rng.choice(most)}]
    if rng.random() < 0.7:
        row: Row = {"name": "plan", "covers": rng.choice(patterns), "max_buy": rng.choice([0, 2, 5.5]),
                    "owned": rng.choice([0, 1, 1.25]), "unit": "usd_per_hour", "discount": rng.choice([0.2, 0.4])}
        if rng.random() < 0.4:
            del row["discount"]
            row |= {"unit": "machines", "price_usd_per_hour": rng.choice([0.5, 1.25]), "owned": int(row["owned"]),
                    "max_buy": int(row["max_buy"])}
        scenario["commitments"] = [row]


class Inputs:
    """Lets some inputs vary with time, and some pools never sleep; numbers of its own keep seeds as they were."""

    def __init__(self, rng: random.Random, scenario: Row) -> None:
        self.rng, self.scenario = rng, scenario
        self.slots: int = scenario["horizon"]["slots"]

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return self.rng.random() < p

    def vary(self) -> None:
        """Half of all scenarios stay as they are."""
        if self.chance(0.5):
            return
        if self.chance(0.4):
            self._windows()
        for cluster in self.scenario["clusters"]:
            if self.chance(0.3):
                cluster["grid_g_per_kwh"] = [self.rng.choice([0, 100, 900.5]) for _ in range(self.slots)]
            for pool in cluster["pools"]:
                self._pool(pool)

    def _windows(self) -> None:
        """Two windows a week apart, which stand for different numbers of days."""
        horizon, first = self.scenario["horizon"], self.rng.randint(1, self.slots - 1)
        days = self.rng.choice([1, 10]), self.rng.choice([0.5, 3])
        horizon["periods"] = [
            {"start": horizon["start"], "slots": first, "stands_for_days": days[0]},
            {"start": "2026-11-09T00:00:00Z", "slots": self.slots - first, "stands_for_days": days[1]}]
        if self.chance(0.5):
            del horizon["start"], horizon["slots"]

    def _pool(self, pool: Row) -> None:
        most = pool["max"]
        if self.chance(0.3):
            pool["max"] = [self.rng.randint(most - 1, most) for _ in range(self.slots)]
        for offer in pool["offers"]:
            if self.chance(0.3):
                price = offer["price_usd_per_hour"]
                offer["price_usd_per_hour"] = [price * self.rng.choice([0.5, 1, 2]) for _ in range(self.slots)]
            if self.chance(0.3):
                offer["max"] = [self.rng.randint(0, most) for _ in range(self.slots)]
            if offer["purchase"] in ("owned", "committed") and self.chance(0.5):
                limits = (offer.get("max", most), pool["max"])
                highest = min(max(one) if isinstance(one, list) else one for one in limits)
                offer["owned"] = [self.rng.randint(0, min(2, highest)) for _ in range(self.slots)]
            elif offer.get("owned") and isinstance(offer.get("max"), list):
                offer["max"][0] = max(offer["max"][0], offer["owned"])
        if self.chance(0.3):
            self._least(pool)

    def _least(self, pool: Row) -> None:
        """One machine always runs, or one in some slots, where the offers can give it from the start."""
        def there(offer: Row, t: int) -> int:
            most = offer.get("max", pool["max"])
            return most[t] if isinstance(most, list) else most

        total = [sum(there(offer, t) for offer in pool["offers"]) for t in range(self.slots)]
        exist = pool["max"] if isinstance(pool["max"], list) else [pool["max"]] * self.slots
        if pool.get("lead_time_days") or not all(total) or not all(exist):
            return
        pool["min"] = 1 if self.chance(0.5) else [self.rng.randint(0, 1) for _ in range(self.slots)]


def add_domains(rng: random.Random, scenario: Row) -> None:
    """In some scenarios a provider and a region may fail as a whole, and a cluster of two pools has two zones."""
    if rng.random() < 0.5:
        return
    places = sorted({f"{cluster['provider']}/{cluster['region']}" for cluster in scenario["clusters"]})
    names = [places[0].split("/")[0], rng.choice(places)]
    scenario["domains"] = [{"name": name, "availability": rng.choice([0.99, 0.999])} for name in names]
    for cluster in scenario["clusters"]:
        if len(cluster["pools"]) > 1 and rng.random() < 0.7:
            cluster["zones"] = [{"name": "a", "availability": rng.choice([0.98, 0.9995])}, {"name": "b"}]
            for pool in cluster["pools"]:
                pool["zone"] = rng.choice("ab")
