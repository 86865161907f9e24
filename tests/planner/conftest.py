"""A small fleet in plain words, which tests change to show what a rule does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from planner.formulate import Formulation, formulate
from planner.plan import Assignment, Costs, MachineRow, Plan
from planner.scenario.model import Request, Scenario, Workload

Fleet = Callable[..., dict[str, Any]]

REGIONS = ("aws/sa-east-1", "azure/westeurope", "onprem/lisbon")
LINKS = [{"from": a, "to": b, "rtt_ms": 186.0 if a != b else 1.0, "egress_usd_per_gb": 0.1 if a != b else 0.0}
         for a in REGIONS for b in REGIONS]


def machine(name: str, **fields: object) -> dict[str, Any]:
    """A machine type of 16 vCPU and 64 GiB."""
    return {"name": name, "vcpu": 16.0, "memory_gib": 64.0} | fields


def pool(name: str, *offers: dict[str, Any], **fields: object) -> dict[str, Any]:
    """A pool of up to 20 such machines, on demand at 1 USD unless offers are given."""
    return {"name": name, "machine": machine(name), "max": 20,
            "offers": list(offers) or [{"purchase": "on_demand", "price_usd_per_hour": 1.0}]} | fields


def workload(name: str, **fields: object) -> dict[str, Any]:
    """A workload of two replicas of 4 vCPU and 16 GiB in every slot."""
    plain = {"name": name, "kind": "etl", "request": {"vcpu": 4.0, "memory_gib": 16.0}, "replicas": [2, 2, 2, 2]}
    return plain | fields


def plain_fleet() -> dict[str, Any]:
    """Three clusters in Brazil, the Netherlands and Portugal, one workload, four slots of an hour."""
    return {
        "name": "small", "horizon": {"start": "2026-11-02T00:00:00Z", "slots": 4, "slot_minutes": 60},
        "objective": {"mode": "min_cost"}, "links": copy.deepcopy(LINKS),
        "clusters": [
            {"name": "aws-sp", "provider": "aws", "region": "sa-east-1", "country": "BR", "availability": 0.999,
             "pools": [pool("m6i"), pool("spot", {"purchase": "spot", "price_usd_per_hour": 0.25})]},
            {"name": "azure-we", "provider": "azure", "region": "westeurope", "country": "NL", "availability": 0.99,
             "pools": [pool("d16"), pool("arm", machine=machine("arm", arch="arm64"))]},
            {"name": "own-lis", "provider": "onprem", "region": "lisbon", "country": "PT", "availability": 0.9,
             "pools": [pool("cpu", {"purchase": "owned", "price_usd_per_hour": 0.5, "owned": 2, "max": 4}),
                       pool("h100", {"purchase": "on_demand", "price_usd_per_hour": 9.0},
                            machine=machine("h100", gpu_model="H100", gpu_count=8))]}],
        "workloads": [workload("etl")]}


@dataclass(frozen=True)
class GivenProfiles:
    """Replicas and requests exactly as the workloads state them."""

    workloads: tuple[Workload, ...]
    replicas: NDArray[np.int32]
    request: tuple[Request, ...]
    why: tuple[str, ...]
    paths: None = None


def stated(scenario: Scenario) -> GivenProfiles:
    """Profiles of a scenario whose workloads all list their replicas and requests."""
    return GivenProfiles(scenario.workloads, np.array([w.replicas for w in scenario.workloads], np.int32),
                         tuple(w.request for w in scenario.workloads if w.request),
                         ("given",) * len(scenario.workloads))


def stated_problem(fleet: dict[str, Any], **options: Any) -> tuple[Scenario, Formulation]:
    """The scenario and formulation of a fleet in plain words."""
    workloads = [w | {"replicas": tuple(w["replicas"])} for w in fleet["workloads"]]
    scenario = Scenario.model_validate(fleet | {"workloads": workloads})
    return scenario, formulate(scenario, stated(scenario), **options)


@pytest.fixture
def fleet() -> dict[str, Any]:
    """A fresh copy of the small fleet."""
    return plain_fleet()


@pytest.fixture(scope="session")
def build() -> Callable[..., tuple[Scenario, Formulation]]:
    """Turn a fleet in plain words into its scenario and formulation."""
    return stated_problem


@pytest.fixture(scope="session")
def new() -> Callable[..., dict[str, Any]]:
    """Make a workload in plain words: a name, and what differs from the plain one."""
    return workload


@pytest.fixture(scope="session")
def small() -> Callable[[], dict[str, Any]]:
    """The builder of the small fleet, for hypothesis tests, which may not use fresh fixtures."""
    return plain_fleet


@pytest.fixture(scope="session")
def plan_of() -> Callable[..., Plan]:
    """Make a plan from places ("cluster/pool" by workload), machines (by place and purchase) and start slots."""
    def make(places: dict[str, str], machines: dict[tuple[str, str], list[int]], **starts: int | None) -> Plan:
        assignments = [Assignment(workload=name, cluster=place.split("/")[0], pool=place.split("/")[1],
                                  start_slot=starts.get(name)) for name, place in places.items()]
        rows = [MachineRow.model_validate({"cluster": place.split("/")[0], "pool": place.split("/")[1],
                                           "purchase": purchase, "count": count})
                for (place, purchase), count in machines.items()]
        stated: dict[str, Any] = {"name": "small", "status": "feasible", "mode": "min_cost", "cost_usd": 0.0,
                                  "costs": Costs(), "sla_attainment": 1.0, "bound": 0.0, "gap": 0.0}
        return Plan(**stated, assignments=tuple(assignments), machines=tuple(rows))
    return make
