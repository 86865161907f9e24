"""Words of a fleet that decide prices and room, each held end to end: from the scenario to the cheapest plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from placement.problem import Purchase
from placement.result import Settings, Solution
from placement.verify import verify
from placement.worker import Stopwatch, solve_here
from planner.bill import bill
from planner.build import Proof, build_plan
from planner.formulate import Formulation
from planner.plan import Provenance
from planner.scenario.model import Scenario

Build = Callable[..., tuple[Scenario, Formulation]]
New = Callable[..., dict[str, Any]]

GPU = {"name": "g", "vcpu": 32.0, "memory_gib": 256.0}


def cheapest(formulation: Formulation) -> tuple[float, Solution | None]:
    """The optimum by trying everything, checked."""
    result = solve_here(formulation.problem, "brute", Settings(), Stopwatch(20))
    if result.solution is None:
        return float("inf"), None
    verdict = verify(formulation.problem, result.solution, result.bound)
    assert verdict.holds
    return verdict.costs.total_usd, result.solution


def machines(formulation: Formulation, solution: Solution | None) -> dict[str, list[int]]:
    """Running machines by cluster/pool/purchase, where any run."""
    assert solution is not None
    names, offers = formulation.names, formulation.problem.offers
    return {"/".join((*names.pools[offers.pool[o]], Purchase(offers.purchase[o]).name.lower())): count.tolist()
            for o, count in enumerate(solution.machines) if count.any()}


def test_infrastructure_platform_and_service_have_their_own_prices_and_limits(fleet: dict[str, Any], build: Build,
                                                                              new: New) -> None:
    """A service's slots are cheapest but few, the platform's next: six workloads take two, three and one of them."""
    for cluster, tier, usd, most in zip(fleet["clusters"], ("saas", "paas", "iaas"), (0.5, 1.0, 2.0), (2, 3, 9),
                                        strict=True):
        offer = {"purchase": "on_demand", "price_usd_per_hour": usd, "max": most}
        cluster |= {"tier": tier, "pools": [{"name": "p", "machine": GPU, "max": 9, "offers": [offer]}]}
    fleet["workloads"] = [new(f"w{i}", request={"vcpu": 20.0, "memory_gib": 8.0}, replicas=[1] * 4) for i in range(6)]
    scenario, formulation = build(fleet)
    assert [cluster.tier for cluster in scenario.clusters] == ["saas", "paas", "iaas"]
    usd, solution = cheapest(formulation)
    assert machines(formulation, solution) == {"aws-sp/p/on_demand": [2] * 4, "azure-we/p/on_demand": [3] * 4,
                                               "own-lis/p/on_demand": [1] * 4}
    assert usd == pytest.approx(4 * (2 * 0.5 + 3 * 1.0 + 1 * 2.0))


def test_work_on_a_branch_is_planned_in_full(fleet: dict[str, Any], build: Build, new: New) -> None:
    """With sizing each, a workload that runs with probability 0.2 needs all its replicas, and is weighed in full."""
    fleet["workloads"] = [new("w", replicas=[5, 4, 3, 2], probability=0.2)]
    problem = build(fleet)[1].problem
    assert problem.variants.rows[problem.variants.row[problem.variants.copies == 1]].tolist() == [[5, 4, 3, 2]]
    assert problem.workloads.weight.tolist() == [1.0]


def test_gpu_models_say_how_many_replicas_and_how_long_a_gang(fleet: dict[str, Any], build: Build, new: New) -> None:
    """At 0.42 of an H100 five replicas become twelve A100s; a gang keeps its five, for 3 / 0.42 slots."""
    for cluster, model in zip(fleet["clusters"], ("H100", "A100", "T4"), strict=True):
        cluster["pools"] = [{"name": "gpu", "machine": GPU | {"gpu_model": model, "gpu_count": 8}, "max": 9,
                             "offers": [{"purchase": "on_demand", "price_usd_per_hour": 1.0}]}]
    hardware = {"gpu_models": ["H100", "A100"], "throughput": {"H100": 1.0, "A100": 0.42, "g": 0.1}}
    request = {"vcpu": 1.0, "memory_gib": 8.0, "gpu": 1}
    fleet["horizon"]["slots"] = 12
    fleet["workloads"] = [
        new("serve", request=request, hardware=hardware, replicas=[5] * 12),
        new("train", request=request, hardware=hardware, replicas=[5] * 12, batch={"duration_slots": 3})]
    _, formulation = build(fleet)
    problem = formulation.problem
    c, v = problem.candidates, problem.variants
    named = {formulation.names.pools[p][0] for p in c.pool.tolist()}
    assert named == {"aws-sp", "azure-we"}
    peak, length = {}, {}
    for n in range(len(c.stream)):
        fits = (v.stream == c.stream[n]) & (v.copies == 1) & (v.speed == c.speed[n])
        where = formulation.names.pools[c.pool[n]][0]
        if c.stream[n] == 0:
            peak[where] = int(v.rows[v.row[fits][0]].max())
        else:
            length[where] = (int(v.level[fits][0]), int(v.length[fits][0]))
    assert peak == {"aws-sp": 5, "azure-we": 12}
    assert length == {"aws-sp": (5, 3), "azure-we": (5, 8)}


@pytest.mark.parametrize(("most", "placed"), [(2, False), (3, True)])
def test_a_gang_fits_one_pool_or_none(fleet: dict[str, Any], build: Build, new: New, most: int, placed: bool) -> None:
    """Five replicas, two to a machine: two pools of two machines hold four each, which is no help; one of three is."""
    fleet["clusters"] = fleet["clusters"][:2]
    for cluster in fleet["clusters"]:
        cluster["pools"] = [{"name": "gpu", "machine": GPU | {"gpu_model": "H100", "gpu_count": 2}, "max": most,
                             "offers": [{"purchase": "on_demand", "price_usd_per_hour": 1.0}]}]
    fleet["workloads"] = [new("train", request={"vcpu": 1.0, "memory_gib": 8.0, "gpu": 1}, replicas=[5] * 4,
                              clusters={"allow": ["aws-*"]} if placed else {}, batch={"duration_slots": 1})]
    usd, _ = cheapest(build(fleet)[1])
    assert usd == (3.0 if placed else float("inf"))


def test_spot_is_taken_at_its_price_with_what_is_done_again(fleet: dict[str, Any], build: Build, new: New) -> None:
    """0.8 an hour and 0.1 interruptions of 5 hours are 1.2: on demand at 1.0 is cheaper; at 2 hours spot is."""
    for redo_hours, expected in ((5.0, 4.0), (2.0, 4 * 0.8 * 1.2)):
        fleet["clusters"] = fleet["clusters"][:1]
        fleet["clusters"][0]["pools"] = [{"name": "m", "machine": GPU, "max": 9, "offers": [
            {"purchase": "on_demand", "price_usd_per_hour": 1.0},
            {"purchase": "spot", "price_usd_per_hour": 0.8, "interruption_per_hour": 0.1, "redo_hours": redo_hours}]}]
        fleet["workloads"] = [new("w", preemptible=True)]
        assert cheapest(build(fleet)[1])[0] == pytest.approx(expected)


@pytest.mark.parametrize(("keep", "count"), [({}, 1), ({"headroom": 0.2}, 2),
                                             ({"reserved": {"vcpu": 0.5, "memory_gib": 0}}, 2),
                                             ({"headroom": 0.2, "reserved": {"gpu": 1}}, 2)])
def test_headroom_and_reserve_leave_less_on_each_machine(fleet: dict[str, Any], build: Build, new: New,
                                                         keep: dict[str, Any], count: int) -> None:
    """Four replicas of 4 vCPU fill 16 exactly; a fifth kept free, or half a vCPU for daemons, takes a second machine.
    """
    fleet["clusters"] = fleet["clusters"][:1]
    fleet["clusters"][0]["pools"] = fleet["clusters"][0]["pools"][:1]
    fleet["clusters"][0]["pools"][0] |= keep
    fleet["workloads"] = [new("w", replicas=[4] * 4)]
    assert cheapest(build(fleet)[1])[0] == pytest.approx(4.0 * count)


def test_owners_pay_for_what_theirs_cause(fleet: dict[str, Any], build: Build, new: New) -> None:
    """One machine of 1 USD for four hours holds 3 replicas of red and 1 of blue; blue also reads 24 GB at 0.1 USD."""
    fleet["clusters"] = fleet["clusters"][:1]
    fleet["clusters"][0]["pools"] = fleet["clusters"][0]["pools"][:1]
    fleet["workloads"] = [
        new("a", owner="red", replicas=[3] * 4),
        new("b", owner="blue", replicas=[1] * 4, data={"location": "azure/westeurope", "gb_per_day_in": 144.0})]
    scenario, formulation = build(fleet)
    usd, solution = cheapest(formulation)
    assert solution is not None
    plan = build_plan(scenario, formulation, solution, Proof(0.0, "none"), 1.0, Provenance())
    assert plan.costs_by_owner == pytest.approx({"red": 3.0, "blue": 1.0 + 2.4})
    assert bill(formulation, solution).cost_usd == pytest.approx(usd)
    assert np.isclose(sum(plan.costs_by_owner.values()), usd)
