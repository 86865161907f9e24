"""Changes to a scenario: how they are written, what they change, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.checking import verify_plan
from planner.errors import InputError
from planner.planning import PlanRequest, Prepared, make_plan, prepare
from planner.whatif import Amount, Change, apply

New = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def folder(small: Callable[[], dict[str, Any]], new: New, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clusters; an ETL, a serving and a batch workload of two owners."""
    fleet = small()
    fleet["workloads"] = [
        new("claims", owner="data"), new("night", owner="data", kind="training", replicas=[5, 5, 5, 5],
                                         batch={"duration_slots": 2}),
        new("serve", kind="serving", replicas=[1, 3, 3, 1], slo={"latency_ms": 100.0, "availability": 0.9},
            users=[{"region": "azure/westeurope", "share": 1.0}])]
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "scenario.yaml").write_text(yaml.safe_dump(fleet))
    return folder


@pytest.fixture(scope="module")
def base(folder: Path) -> Prepared:
    """The fleet, resolved and profiled."""
    return prepare(folder, PlanRequest())


def after(base: Prepared, *texts: str) -> Prepared:
    """The fleet after changes, each as `Change.read` takes it."""
    changes = [Change.read(text) for text in texts]
    scenario, profiles = apply(changes, base.scenario, base.profiles)
    return Prepared(scenario, profiles, "", "")


def refusal(base: Prepared, what: Any, text: str) -> str:
    """The one line that a change is refused with."""
    with pytest.raises(InputError) as caught:
        apply([Change.parse(what, text)], base.scenario, base.profiles)
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


@pytest.mark.parametrize(("text", "of_ten"), [("+40%", 14.0), ("-20%", 8.0), ("x3", 30.0), ("x0.5", 5.0), ("=5", 5.0),
                                              ("-100%", 0.0), ("x0", 0.0), ("+2.5%", 10.25)])
def test_an_amount_is_a_share_a_factor_or_a_value(text: str, of_ten: float) -> None:
    """All four ways to say how much."""
    assert Amount.parse(text).of(10.0) == pytest.approx(of_ten)


@pytest.mark.parametrize(("text", "hint"), [
    ("+40", "write +40%, or =40 for 40 itself"), ("40", "write x40"), ("3x", "write x3"), ("40%", "write +40%, -40%"),
    ("-120%", "less than nothing"), ("", "nothing: +40%"), ("lots", "lots: +40%"), ("=-5", "=-5: +40%"),
    ("x1e9", "allowed")])
def test_an_amount_that_is_not_clear_is_refused_with_a_hint(text: str, hint: str) -> None:
    """+40 without % is refused: nobody knows of what; the line says what to write."""
    with pytest.raises(InputError) as caught:
        Change.parse("demand", f"all:{text}")
    assert hint in caught.value.problems[0]


@settings(deadline=None, max_examples=200, derandomize=True)
@given(factor=st.floats(0, 50).map(lambda f: round(f, 4)), what=st.sampled_from(["demand", "price"]))
def test_a_change_reads_back_what_it_writes(factor: float, what: Any) -> None:
    """A plan keeps its changes as text; reading that text gives the same change."""
    change = Change.read(str(Change(what, "a:b" if what == "price" else "w*", Amount(factor=factor))))
    assert change.amount is not None
    assert change.amount.factor == pytest.approx(factor, abs=1e-9)
    assert str(Change.read(str(change))) == str(change)


@pytest.mark.parametrize(("selector", "rows"), [("all", [0, 1, 2]), ("serving", [2]), ("training", [1]), ("n*", [1]),
                                                ("owner:data", [0, 1]), ("claims", [0])])
def test_demand_of_the_selected_workloads_grows_and_is_rounded_up(base: Prepared, selector: str,
                                                                   rows: list[int]) -> None:
    """Selectors are all, kinds, owners and names; ceil(replicas x 1.4) in every slot, the rest as it was."""
    changed = after(base, f"demand {selector}:+40%").profiles.replicas
    assert np.array_equal(changed[rows], np.ceil(base.profiles.replicas[rows] * 1.4 - 1e-9))
    rest = [row for row in range(3) if row not in rows]
    assert np.array_equal(changed[rest], base.profiles.replicas[rest])


def test_demand_changes_multiply_and_are_rounded_once(base: Prepared) -> None:
    """Twice +50 % of 5 is ceil(11.25) = 12, not ceil(1.5 x 8); a value wins over what came before it."""
    assert after(base, "demand night:+50%", "demand all:x1.5").profiles.replicas[1].tolist() == [12] * 4
    assert after(base, "demand night:x9", "demand night:=4").profiles.replicas[1].tolist() == [4] * 4


def test_what_is_changed_is_not_altered(base: Prepared) -> None:
    """The scenario and the profiles that go in stay as they are: a change is a pure function."""
    before, counts = base.scenario.model_dump_json(), base.profiles.replicas.copy()
    after(base, "demand all:x3", "price *:*:x2", "max */*:=1", "remove-cluster aws-sp", "latency all:=9",
          "availability all:=0.5")
    assert base.scenario.model_dump_json() == before
    assert np.array_equal(base.profiles.replicas, counts)


def test_prices_change_by_provider_machine_and_purchase(base: Prepared) -> None:
    """A glob takes all offers of the machines it matches, a third part one way to pay."""
    def prices(*texts: str) -> dict[str, float]:
        return {f"{pool.name}:{offer.purchase}": offer.price_usd_per_hour or 0.0
                for cluster in after(base, *texts).scenario.clusters for pool in cluster.pools for offer in pool.offers}

    was = prices()
    assert prices("price aws:*:-20%") == was | {"m6i:on_demand": 0.8, "spot:spot": pytest.approx(0.2)}
    assert prices("price *:*:spot:=1") == was | {"spot:spot": 1.0}
    assert prices("price onprem:h100:x2") == was | {"h100:on_demand": 18.0}


def test_machines_change_with_the_offers_that_sell_as_many(base: Prepared) -> None:
    """`max` of the pool and of an offer without one of its own; an offer with a smaller limit keeps it."""
    cluster = after(base, "max own-lis/*:+50%").scenario.clusters[2]
    assert [(pool.name, pool.max, pool.offers[0].max) for pool in cluster.pools] == [("cpu", 30, 4), ("h100", 30, 30)]
    assert after(base, "max all:=7").scenario.clusters[0].pools[0].max == 7


def test_a_latency_is_set_for_all_and_an_availability_where_one_is_stated(base: Prepared) -> None:
    """`=` gives every selected workload a latency; +10% and availability only change what is there."""
    def slos(text: str, field: str) -> list[Any]:
        return [getattr(workload.slo, field) for workload in after(base, text).profiles.workloads]

    assert slos("latency all:=80", "latency_ms") == [80.0, 80.0, 80.0]
    assert slos("latency all:+10%", "latency_ms") == [None, None, pytest.approx(110.0)]
    assert slos("availability all:=0.999", "availability") == [None, None, 0.999]


@pytest.mark.parametrize(("what", "text", "line"), [
    ("demand", "servng:+40%", "matches no workload: did you mean serving?"),
    ("demand", "owner:dat:+40%", "did you mean owner:data?"),
    ("demand", "+40%", "SELECTOR:AMOUNT is needed, as serving:+40%"),
    ("demand", "all:x99999999999", "at most 2147483647 are allowed"),
    ("remove-cluster", "aws-sq", "matches no cluster: did you mean aws-sp?"),
    ("remove-cluster", "*", "no cluster would be left of 3: keep at least one"),
    ("price", "m6i:-20%", "PROVIDER:MACHINE is needed before the amount, as *:m6i"),
    ("price", "aws:m6:-20%", "did you mean aws:m6i?"),
    ("max", "aws-sp:=3", "CLUSTER/POOL is needed before the amount, as aws-sp/*"),
    ("max", "aws-sp/m6j:=3", "did you mean aws-sp/m6i?"),
    ("latency", "claims:+10%", "none of the 1 workloads states slo.latency_ms"),
    ("latency", "all:=0", "more than 0 ms"),
    ("availability", "all:=99.9", "did you mean =0.999?"),
    ("availability", "all:+1%", "= and a fraction from 0 to 1"),
    ("availability", "claims:=0.9", "none of the 1 workloads states slo.availability"),
    ("survive", "everything", "allowed are none, cluster, region, provider"),
])
def test_a_change_of_nothing_or_of_too_much_is_one_line(base: Prepared, what: Any, text: str, line: str) -> None:
    """A glob that matches nothing, an unknown name, all clusters: one line with the nearest match or how to mend it."""
    found = refusal(base, what, text)
    assert line in found, found
    assert found.startswith(what)


def test_a_what_if_plan_says_so_and_verifies(folder: Path, tmp_path: Path) -> None:
    """The plan names its changes, and `verify` checks it in the scenario so changed."""
    texts = ("demand serving:x2", "remove-cluster aws-sp", "price *:*:x2")
    plans = [make_plan(folder, PlanRequest(solver="highs", time_limit_s=90.0, what_if=tuple(map(Change.read, asked))))
             for asked in ((), texts)]
    plan = plans[1].plan
    assert plan.provenance.what_if == texts
    assert "what_if" not in plans[0].plan.to_dict()["provenance"]
    assert {unit.cluster for unit in plan.assignments} <= {"azure-we", "own-lis"}
    plans[1].write(tmp_path / "plan.json")
    assert verify_plan(folder, tmp_path / "plan.json").violations == ()
    plain = plan.model_copy(update={"provenance": plan.provenance.model_copy(update={"what_if": ()})}).with_id()
    assert verify_plan(folder, plain).violations
