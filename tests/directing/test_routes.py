"""Routes say what the plan says: places, shares slot by slot, fallbacks; and come back from JSON as they were."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from planner.cli import app
from planner.directing import Director, open_routes, read_routes, routes_of, write_routes
from planner.errors import InputError
from planner.plan import Assignment, Fallback, write_plan
from planner.planning import PlanRequest, make_plan
from planner.scenario import parse_scenario

HOME = {"vcpu": 1, "memory_gib": 1}


def scenario() -> Any:
    """A shop that bursts from its hall to a cloud, and a site with copies and users in two regions."""

    def cluster(name: str, provider: str, region: str, price: float) -> dict[str, Any]:
        pool = {"name": "p", "machine": {"name": "m", "vcpu": 4, "memory_gib": 16}, "max": 40,
                "offers": [{"purchase": "on_demand", "price_usd_per_hour": price}]}  # fmt: skip
        return {"name": name, "provider": provider, "region": region, "country": "IE", "pools": [pool]}

    return {
        "name": "shops", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 3, "slot_minutes": 60},
        "objective": {"mode": "min_cost"},
        "clusters": [cluster("hall", "onprem", "hall", 1.0), cluster("cloud", "aws", "eu-west-1", 2.0)],
        "links": [{"from": a, "to": b, "rtt_ms": 10, "egress_usd_per_gb": 0}
                  for a in ("onprem/hall", "aws/eu-west-1") for b in ("onprem/hall", "aws/eu-west-1") if a != b],
        "workloads": [
            {"name": "shop", "kind": "serving", "request": HOME, "max_parts": 2, "replicas": [10, 40, 0]},
            {"name": "site", "kind": "serving", "request": HOME, "replicas": [8, 8, 8],
             "users": [{"region": "aws/eu-west-1", "share": 0.75}, {"region": "onprem/hall", "share": 0.25}]},
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def planned() -> Any:
    """A plan of it with places set by hand: a cap of 10 in the hall, and a fallback for the site."""
    made = make_plan(parse_scenario(scenario(), Path(), "s"), PlanRequest(time_limit_s=20, solver="first-fit"))
    units = [Assignment(workload="shop", part=0, cap=10, cluster="hall", pool="p"),
             Assignment(workload="shop", part=1, cluster="cloud", pool="p"),
             Assignment(workload="site", user_region="aws/eu-west-1", cluster="cloud", pool="p"),
             Assignment(workload="site", user_region="onprem/hall", cluster="hall", pool="p")]  # fmt: skip
    lost = [Fallback(lost="aws", workload="site", user_region="aws/eu-west-1", cluster="hall", pool="p")]
    plan = made.plan.model_copy(update={"assignments": tuple(units), "fallbacks": tuple(lost)})
    return made.scenario, plan, made.formulation.demand


def test_shares_are_what_caps_leave(planned: Any) -> None:
    """The hall takes up to its cap of each slot's replicas, the cloud the rest; of nothing the hall takes all."""
    routes = routes_of(planned[1], planned[0].clusters, planned[2])
    (shop,) = routes.workloads["shop"]
    assert [(unit.cluster, unit.share) for unit in shop.units] == [
        ("hall", (1.0, 0.25, 1.0)), ("cloud", (0.0, 0.75, 0.0)),
    ]  # fmt: skip
    sites = {stream.user_region: (stream.share, stream.units[0].cluster) for stream in routes.workloads["site"]}
    assert sites == {"aws/eu-west-1": (0.75, "cloud"), "onprem/hall": (0.25, "hall")}
    assert routes.workloads["site"][0].units[0].fallbacks == {"aws": "hall"}
    assert routes.clusters["cloud"] == ("cloud", "aws/eu-west-1", "aws")


def test_a_router_reads_what_was_written(planned: Any, tmp_path: Path) -> None:
    """Routes come back from their file as they were, and direct; another file is refused in one line."""
    routes = routes_of(planned[1], planned[0].clusters, planned[2])
    write_routes(routes, tmp_path / "routes.json")
    read = read_routes(tmp_path / "routes.json")
    assert read == routes
    start, _ = read.bounds()
    director = Director(read, clock=lambda: start.timestamp() + 3600)
    assert abs(Counter(director.direct("shop").cluster for _ in range(1000))["hall"] - 250) <= 5
    (tmp_path / "other.json").write_text('{"plan_id": 1}')
    for name, says in (("other.json", "plan_id"), ("none.json", "planner export routes")):
        with pytest.raises(InputError, match=says):
            read_routes(tmp_path / name)


def test_routes_from_a_plan_and_its_scenario(tmp_path: Path) -> None:
    """From the two files come the routes that the plan had when it was made."""
    from planner.scenario.yaml_file import dump_yaml

    (tmp_path / "scenario.yaml").write_text(dump_yaml(scenario()))
    made = make_plan(tmp_path, PlanRequest(time_limit_s=20, solver="first-fit"))
    write_plan(made.plan, tmp_path / "plan.json")
    routes = routes_of(made.plan, made.scenario.clusters, made.formulation.demand)
    assert open_routes(tmp_path, tmp_path / "plan.json") == routes
    command = ["export", "routes", str(tmp_path), str(tmp_path / "plan.json"), "-o", str(tmp_path / "routes.json")]
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, "2 workloads" in done.stdout) == (0, True), done.output
    assert read_routes(tmp_path / "routes.json") == routes
    assert {unit.cluster for stream in routes.workloads["shop"] for unit in stream.units} == {"hall"}


def test_no_routes_of_no_plan(planned: Any) -> None:
    """An infeasible plan, and one that does not say when it begins, direct nothing."""
    scenario, plan, demand = planned
    none, timeless = {"status": "infeasible", "assignments": ()}, {"horizon": type(plan.horizon)()}
    for change, says in ((none, "infeasible"), (timeless, "horizon")):
        with pytest.raises(InputError, match=says):
            routes_of(plan.model_copy(update=change), scenario.clusters, demand)
