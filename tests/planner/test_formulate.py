"""The problem says what the scenario says: legal pairs, needs, prices, and reasons in words."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from math import ceil
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.problem import Purchase
from planner.errors import InputError
from planner.formulate import Formulation
from planner.scenario.model import Cluster, Pool, Scenario, Workload

Build = Callable[..., tuple[Scenario, Formulation]]
New = Callable[..., dict[str, Any]]


def places(formulation: Formulation, stream: int = 0) -> set[str]:
    """cluster/pool of every candidate of a stream."""
    c = formulation.problem.candidates
    return {"/".join(formulation.names.pools[p]) for p in c.pool[c.stream == stream]}


def rows(formulation: Formulation, stream: int = 0, copies: int = 1) -> list[list[int]]:
    """Needs per slot of a steady stream's variants with so many copies, slowest hardware first."""
    v = formulation.problem.variants
    return [v.rows[r].tolist() for r in v.row[(v.stream == stream) & (v.copies == copies)]]


FIRM = {"aws-sp/m6i", "azure-we/d16", "own-lis/cpu", "own-lis/h100"}


@pytest.mark.parametrize(("rule", "legal", "reason"), [
    ({}, FIRM, None),
    ({"preemptible": True}, FIRM | {"aws-sp/spot"}, None),
    ({"hardware": {"arch": ["arm64"]}}, {"azure-we/arm"}, "architecture is x86_64"),
    ({"hardware": {"gpu_models": ["H100"]}}, {"own-lis/h100"}, "GPU model is no GPU"),
    ({"request": {"vcpu": 4.0, "memory_gib": 16.0, "gpu": 8}}, {"own-lis/h100"},
     "a replica needs 8 GPUs, machines there have none"),
    ({"request": {"vcpu": 96.0, "memory_gib": 16.0}}, set(), "6 pools: a replica needs 96 vCPU, the largest"),
    ({"request": {"vcpu": 1.0, "memory_gib": 1.0, "disk_gib": 5.0}}, set(),
     "6 pools: a replica needs 5 GiB of disk, machines there have none"),
    ({"residency": {"allow": ["BR", "PT"]}}, FIRM - {"azure-we/d16"}, "in NL; residency allows BR, PT only"),
    ({"residency": {"deny": ["BR"]}}, FIRM - {"aws-sp/m6i"}, "in BR; residency denies BR"),
    ({"clusters": {"allow": ["a*"]}}, {"aws-sp/m6i", "azure-we/d16"}, "clusters.allow is a*, which leaves out own-lis"),
    ({"clusters": {"deny": ["a*"]}}, {"own-lis/cpu", "own-lis/h100"}, "clusters.deny is a*"),
    ({"clusters": {"deny": ["own-lis/h*"]}}, FIRM - {"own-lis/h100"}, "clusters.deny is own-lis/h*"),
    ({"clusters": {"allow": ["own-lis/cpu", "aws-*"]}}, {"aws-sp/m6i", "own-lis/cpu"},
     "clusters.allow is aws-*, own-lis/cpu"),
    ({"clusters": {"pin": "own-lis/cpu"}}, {"own-lis/cpu"}, "pinned to own-lis/cpu"),
    ({"users": [{"region": "azure/westeurope"}], "slo": {"latency_ms": 100.0, "service_ms": 40.0}}, {"azure-we/d16"},
     "the nearest, aws-sp, takes 186 ms + 40 ms of service; slo.latency_ms is 100"),
    ({"slo": {"deploy_minutes": 5.0}}, set(), "deployment is not stated; slo.deploy_minutes is 5"),
    ({"slo": {"durability": 0.99}}, set(), "durability is not stated"),
    ({"slo": {"min_throughput": 5.0}}, set(), "replicas.per_replica is not given"),
    ({"batch": {"duration_slots": 3, "earliest_slot": 1, "latest_slot": 1}, "slo": {"deadline_slot": 2}}, set(),
     "a run takes at least 3 slots there; earliest_slot is 1, deadline_slot is 2"),
])
def test_a_rule_leaves_the_pools_it_allows_and_says_why_not_the_others(
        fleet: dict[str, Any], build: Build, new: New, rule: dict[str, Any], legal: set[str],
        reason: str | None) -> None:
    """Every rule of a workload takes exactly the pools it forbids, with a sentence that names what was found."""
    fleet["workloads"] = [new("w", **rule)]
    _, formulation = build(fleet)
    assert places(formulation) == legal
    assert reason is None or any(reason in sentence for sentence in formulation.why_not(0))
    assert set(formulation.rejections) == (set() if legal else {"w"})


def test_need_is_rounded_up_once_after_share_copies_and_throughput(fleet: dict[str, Any], build: Build,
                                                                   new: New) -> None:
    """10 replicas x 0.7 of the load / 2 (three copies) / 1.2 are 2.92, so 3; on hardware of speed 1, 3.5, so 4."""
    users = [{"region": "azure/westeurope", "share": 0.7}, {"region": "aws/sa-east-1", "share": 0.3}]
    fleet["workloads"] = [new("w", replicas=[10, 0, 1, 2], users=users, hardware={"throughput": {"d*": 1.2}})]
    _, formulation = build(fleet)
    assert formulation.names.streams == (("w", "azure/westeurope"), ("w", "aws/sa-east-1"))
    assert rows(formulation, 0, 1) == [[7, 0, 1, 2], [6, 0, 1, 2]]
    assert rows(formulation, 0, 3) == [[4, 0, 1, 1], [3, 0, 1, 1]]


def test_an_exact_quotient_is_not_rounded_up(fleet: dict[str, Any], build: Build, new: New) -> None:
    """3 x 0.1 / 0.1 is 3 replicas, although floating point says 3.0000000000000004."""
    fleet["workloads"] = [new("w", replicas=[3] * 4, hardware={"throughput": {"*": 0.1}},
                              users=[{"region": "aws/sa-east-1", "share": 0.1}])]
    assert rows(build(fleet)[1])[0] == [3, 3, 3, 3]


def test_throughput_stretches_a_batch_run_and_not_its_gang(fleet: dict[str, Any], build: Build, new: New) -> None:
    """At half the speed a run of one slot takes two, with the same gang, and its latest start is earlier."""
    fleet["workloads"] = [new("w", replicas=[0, 3, 1, 0], hardware={"throughput": {"m6i": 0.5}},
                              batch={"duration_slots": 1, "earliest_slot": 0, "latest_slot": 3})]
    v = build(fleet)[1].problem.variants
    assert v.row.tolist()[:2] == [-1, -1]
    assert (v.level[:2].tolist(), v.length[:2].tolist(), v.latest[:2].tolist()) == ([3, 3], [2, 1], [2, 3])


def test_a_recurring_run_never_overlaps_itself_and_ends_within_the_horizon(fleet: dict[str, Any], build: Build,
                                                                          new: New) -> None:
    """Two runs every two slots: hardware that needs three slots is no option, hardware that needs two starts at 0."""
    fleet["workloads"] = [new("w", hardware={"throughput": {"m6i": 0.4, "d16": 0.5}},
                              batch={"duration_slots": 1, "earliest_slot": 0, "latest_slot": 1, "every_slots": 2})]
    _, formulation = build(fleet)
    v = formulation.problem.variants
    assert places(formulation) == {"azure-we/d16", "own-lis/cpu", "own-lis/h100"}
    assert (v.runs[:2].tolist(), v.period[:2].tolist(), v.latest[:2].tolist()) == ([2, 2], [2, 2], [0, 1])


def test_copies_are_offered_where_they_reach_the_slo_and_can_pay(fleet: dict[str, Any], build: Build, new: New) -> None:
    """0.9999 needs two copies (the best two give 0.99999); without an SLO a second copy of the same size never pays."""
    fleet["workloads"] = [new("free", replicas=[1] * 4), new("safe", replicas=[4] * 4, slo={"availability": 0.9999})]
    _, formulation = build(fleet)
    v, c = formulation.problem.variants, formulation.problem.candidates
    assert [sorted(set(v.copies[v.stream == s].tolist())) for s in (0, 1)] == [[1], [2]]
    assert c.single[c.stream == 0].all()
    assert not c.single[c.stream == 1].any()


def test_kept_copies_are_offered_in_any_case(fleet: dict[str, Any], build: Build) -> None:
    """Somebody else's plan may hold a second copy for no reason; it can still be read."""
    _, formulation = build(fleet, kept_copies={("etl", None): 2})
    assert 2 in formulation.problem.variants.copies


def test_availability_out_of_reach_is_a_rejection_in_words(fleet: dict[str, Any], build: Build, new: New) -> None:
    """No set of clusters is up with 0.9999999, and the sentence says what the best of them has."""
    fleet["workloads"] = [new("w", slo={"availability": 0.9999999})]
    _, formulation = build(fleet)
    reason = formulation.rejections["w"][0]
    assert reason == "no set of legal clusters gives slo.availability 0.9999999; the best has 0.999"
    assert not len(formulation.problem.candidates.stream)


def test_costs_beside_machines_are_kept_by_part(fleet: dict[str, Any], build: Build, new: New) -> None:
    """Data from Brazil at 0.1 USD per GB, storage by the month and a move from the incumbent add up to the cost."""
    fleet["clusters"][1]["storage_usd_per_gb_month"] = 0.73
    fleet["workloads"] = [new("w", data={"location": "aws/sa-east-1", "gb_per_day_in": 60.0, "stored_gb": 100.0},
                              users=[{"region": "onprem/lisbon", "gb_per_day": 12.0}],
                              incumbent={"cluster": "aws-sp", "pool": "m6i", "move_cost_usd": 3.0})]
    _, formulation = build(fleet)
    c, parts = formulation.problem.candidates, formulation.cost_parts
    at = {formulation.names.pools[p]: i for i, p in enumerate(c.pool.tolist())}
    here, there = at["aws-sp", "m6i"], at["azure-we", "d16"]
    assert [parts.egress_usd[i] for i in (here, there)] == pytest.approx([0.0, 60 * 4 / 24 * 0.1])
    assert [parts.storage_usd[i] for i in (here, there)] == pytest.approx([0.0, 100 * 0.73 * 4 / 730])
    assert [parts.moves_usd[i] for i in (here, there)] == [0.0, 3.0]
    assert c.user_usd[here] == pytest.approx(12 * 4 / 24 * 0.1)
    assert c.cost_usd == pytest.approx(parts.egress_usd + parts.storage_usd + parts.moves_usd)


def test_any_pool_of_an_incumbent_without_one_is_home(fleet: dict[str, Any], build: Build, new: New) -> None:
    """An incumbent that names a cluster alone makes every pool there free of the move, and no other."""
    fleet["workloads"] = [new("w", preemptible=True, incumbent={"cluster": "aws-sp", "move_cost_usd": 3.0})]
    _, formulation = build(fleet)
    moves = dict(zip(formulation.problem.candidates.pool.tolist(), formulation.cost_parts.moves_usd, strict=True))
    named = {"/".join(formulation.names.pools[p]): usd for p, usd in moves.items()}
    assert named == {"aws-sp/m6i": 0, "aws-sp/spot": 0, "azure-we/d16": 3, "own-lis/cpu": 3, "own-lis/h100": 3}


def test_batch_work_with_users_is_a_gang_for_each_region(fleet: dict[str, Any], build: Build, new: New) -> None:
    """Ten replicas for users of 0.7 and 0.3 are gangs of 7 and 3, each with a start of its own."""
    users = [{"region": "aws/sa-east-1", "share": 0.7}, {"region": "azure/westeurope", "share": 0.3}]
    fleet["workloads"] = [new("w", users=users, replicas=[10] * 4, batch={"duration_slots": 2, "latest_slot": 2})]
    v = build(fleet)[1].problem.variants
    assert [set(v.level[(v.stream == s) & (v.copies == 1)].tolist()) for s in (0, 1)] == [{7}, {3}]


def test_flows_multiply_the_shares_of_both_ends(fleet: dict[str, Any], build: Build, new: New) -> None:
    """24 GB a day over four hours between streams of 0.75 and 0.5 are 24 / 6 x 0.75 x 0.5."""
    two = [{"region": "aws/sa-east-1", "share": 0.75}, {"region": "azure/westeurope", "share": 0.25}]
    half = [{"region": "aws/sa-east-1", "share": 0.5}]
    fleet["workloads"] = [new("down", users=half, after=[{"workload": "up", "gb_per_day": 24.0}]), new("up", users=two)]
    flows = build(fleet)[1].problem.flows
    assert (flows.sender.tolist(), flows.receiver.tolist()) == ([1, 2], [0, 0])
    assert flows.gb == pytest.approx([1.5, 0.5])


def test_offers_know_spot_losses_lead_times_and_slot_length(fleet: dict[str, Any], build: Build) -> None:
    """A spot price pays for redone work; before the lead time only owned machines are there, save of purchase owned."""
    fleet["horizon"] |= {"slots": 4, "slot_minutes": 720}
    fleet["clusters"] = fleet["clusters"][:1]
    fleet["clusters"][0]["pools"] = [{
        "name": "m", "machine": {"name": "m", "vcpu": 16.0, "memory_gib": 64.0}, "max": 9, "lead_time_days": 0.75,
        "offers": [
            {"purchase": "spot", "price_usd_per_hour": 1.0, "interruption_per_hour": 0.1, "redo_hours": 0.5},
            {"purchase": "owned", "price_usd_per_hour": 0.5, "max": 4},
            {"purchase": "committed", "price_usd_per_hour": 0.7, "max": 6, "owned": 2}]}]
    offers = build(fleet)[1].problem.offers
    assert offers.purchase.tolist() == [Purchase.OWNED, Purchase.COMMITTED, Purchase.SPOT]
    assert offers.price_usd[:, 0] == pytest.approx([6.0, 8.4, 12.6])
    assert offers.max_machines.tolist() == [[4, 4, 4, 4], [2, 2, 6, 6], [0, 0, 9, 9]]


def test_room_leaves_reserve_and_headroom_and_carbon_has_a_price(fleet: dict[str, Any], build: Build) -> None:
    """(16 - 0.5) x 0.9 vCPU are left; 500 W for an hour at pue 1.2 and 100 g/kWh are 60 g of carbon."""
    fleet["carbon_usd_per_tonne"] = 100.0
    fleet["clusters"][0] |= {"pue": 1.2, "grid_g_per_kwh": 100.0}
    one = fleet["clusters"][0]["pools"][0]
    one |= {"headroom": 0.1, "reserved": {"vcpu": 0.5, "memory_gib": 4.0}}
    one["machine"]["watts"] = 500.0
    pools = build(fleet)[1].problem.pools
    assert pools.room[0] == pytest.approx([15.5 * 0.9, 60 * 0.9])
    assert pools.run_usd[0, 0] == pytest.approx(60 / 1e6 * 100)


def test_a_missing_link_is_an_input_error_that_says_how_to_mend(fleet: dict[str, Any], build: Build, new: New) -> None:
    """Users far from anything known: the message names both regions and the field."""
    fleet["workloads"] = [new("w", users=[{"region": "gcp/nowhere"}], slo={"latency_ms": 100.0})]
    with pytest.raises(InputError, match=r"links: gcp/nowhere to aws/sa-east-1: no rtt_ms.*add \{from"):
        build(fleet)


@pytest.mark.parametrize("rules", [{"residency": {"allow": ["BR"]}}, {"clusters": {"allow": ["aws-*"]}},
                                   {"clusters": {"pin": "aws-sp"}}, {"hardware": {"arch": ["arm64"]}}])
def test_a_link_to_where_work_may_not_run_is_not_missed(fleet: dict[str, Any], build: Build, new: New,
                                                        rules: dict[str, Any]) -> None:
    """No round trip is asked for to a cluster that another rule leaves out; that rule is the reason that is told."""
    fleet["clusters"][0]["pools"].append(fleet["clusters"][1]["pools"].pop())
    fleet["links"] = [{"from": "gcp/near", "to": "aws/sa-east-1", "rtt_ms": 20.0}]
    fleet["workloads"] = [new("w", users=[{"region": "gcp/near"}], slo={"latency_ms": 100.0}, **rules)]
    _, formulation = build(fleet)
    assert {place.split("/")[0] for place in places(formulation)} == {"aws-sp"}
    assert "takes" not in " ".join(formulation.why_not(0))


# ---------------------------------------------------------------- against a plain loop over every pair


def legal(scenario: Scenario, w: Workload, region: str | None, cluster: Cluster, pool: Pool) -> bool:
    """The option rules, one by one, for one stream and one pool."""
    machine, request, rtt = pool.machine, w.request, {(k.from_, k.to): k.rtt_ms or 0.0 for k in scenario.links}
    assert request is not None
    room = {"vcpu": (machine.vcpu - pool.reserved.vcpu) * (1 - pool.headroom),
            "memory_gib": (machine.memory_gib - pool.reserved.memory_gib) * (1 - pool.headroom),
            "gpu": machine.gpu_count}
    late = (region is not None and w.slo.latency_ms is not None
            and rtt[region, cluster.region_key] + w.slo.service_ms > w.slo.latency_ms)
    return (all(getattr(request, name) <= left for name, left in room.items()) and machine.arch in w.hardware.arch
            and (w.hardware.gpu_models is None or machine.gpu_model in w.hardware.gpu_models) and not late
            and (w.residency.allow is None or cluster.country in w.residency.allow)
            and cluster.country not in w.residency.deny
            and (w.clusters.allow is None or any(fnmatchcase(cluster.name, p) for p in w.clusters.allow))
            and (w.preemptible or any(o.purchase != "spot" for o in pool.offers)))


USERS = [{"region": "aws/sa-east-1", "share": 0.6}, {"region": "azure/westeurope", "share": 0.4}]
WORKLOADS = st.lists(st.fixed_dictionaries({
    "request": st.fixed_dictionaries({"vcpu": st.sampled_from([0.5, 4.0, 17.0]), "gpu": st.sampled_from([0, 0, 4]),
                                      "memory_gib": st.sampled_from([1.0, 60.0])}),
    "replicas": st.lists(st.integers(0, 9), min_size=4, max_size=4), "preemptible": st.booleans(),
    "hardware": st.sampled_from([{}, {"arch": ["x86_64", "arm64"]}, {"throughput": {"d*": 0.3, "m*": 1.7}},
                                 {"gpu_models": ["H100"], "throughput": {"H100": 0.7}}]),
    "residency": st.sampled_from([{}, {"allow": ["BR"]}, {"deny": ["PT"]}]),
    "slo": st.sampled_from([{}, {"latency_ms": 100.0}, {"latency_ms": 190.0, "service_ms": 4.0},
                            {"availability": 0.999}]),
    "clusters": st.sampled_from([{}, {"allow": ["aws-*", "own-*"]}]),
    "users": st.sampled_from([[], USERS]),
}), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(drawn=WORKLOADS)
def test_tables_say_what_a_plain_loop_over_every_unit_says(
        drawn: list[dict[str, Any]], build: Build, new: New, small: Callable[[], dict[str, Any]]) -> None:
    """Legal pairs, and the need of every offered copy, slot by slot, are those of the rules read one by one."""
    from_words = small() | {"workloads": [new(f"w{i}", **fields) for i, fields in enumerate(drawn)]}
    scenario, formulation = build(from_words)
    problem = formulation.problem
    c, v = problem.candidates, problem.variants
    found = {(formulation.names.streams[s], formulation.names.pools[p]) for s, p in zip(c.stream, c.pool, strict=True)}
    streams = [(w, user.region if user else None, user.share if user else 1.0)
               for w in scenario.workloads for user in (w.users or (None,))]
    every = [(cluster, pool) for cluster in scenario.clusters for pool in cluster.pools]
    expected = {((w.name, region), (cluster.name, pool.name)) for w, region, _ in streams for cluster, pool in every
                if w.name not in formulation.rejections or (w.name, region) in {s for s, _ in found}
                if legal(scenario, w, region, cluster, pool)}
    assert found == expected
    for s, p, speed in zip(c.stream, c.pool, c.speed, strict=True):
        w, _, share = streams[s]
        machine = every[p][1].machine
        table = w.hardware.throughput
        throughput = (table.get(machine.gpu_model or "", 1.0) if w.request and w.request.gpu
                      else next((x for pattern, x in table.items() if fnmatchcase(machine.name, pattern)), 1.0))
        for variant in np.flatnonzero((v.stream == s) & (v.speed == speed)):
            parts = max(1, int(v.copies[variant]) - 1)
            assert isinstance(w.replicas, tuple)
            need = [ceil(r * share / parts / throughput - 1e-9) for r in w.replicas]
            assert v.rows[v.row[variant]].tolist() == need
