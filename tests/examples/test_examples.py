"""The examples: what comes out, and that it comes out for the reasons given."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from planner.checking import verify_plan
from planner.plan import Plan
from planner.planning import Planned, PlanRequest, make_plan
from planner.recorded import read_demand
from planner.scenario import Scenario, read_scenario
from planner.scenario.model import Residency

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(path: Path) -> ModuleType:
    """Load a script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def medical() -> Scenario:
    """The medical example as it is."""
    return read_scenario(EXAMPLES / "medical")


def changed(scenario: Scenario, workload: str, **updates: object) -> Scenario:
    """The scenario with fields of one workload changed."""
    workloads = tuple(one.model_copy(update=updates) if one.name == workload else one for one in scenario.workloads)
    copy = scenario.model_copy(update={"workloads": workloads})
    return copy.with_source(scenario.folder, scenario.source_sha256, scenario.given_replicas)


def plan_of(scenario: Scenario, status: str = "optimal") -> Plan:
    """A plan of that status."""
    plan = make_plan(scenario, PlanRequest(time_limit_s=60)).plan
    assert plan.status == status
    return plan


def cluster_of(plan: Plan, workload: str) -> str:
    """Where a workload with one unit is."""
    found = [unit.cluster for unit in plan.assignments if unit.workload == workload]
    assert len(found) == 1
    return found[0]


def without_gravity(scenario: Scenario) -> Scenario:
    """Claims that weigh nothing: moving them is free."""
    data = next(one.data for one in scenario.workloads if one.name == "claims-etl")
    assert data is not None
    return changed(scenario, "claims-etl", data=data.model_copy(update={"gb_per_day_in": 0.0}))


def test_etl_in_brazil_and_serving_in_western_europe(medical: Scenario) -> None:
    """ETL lands on AWS in Brazil, training on H100s, serving on Azure in Western Europe; the plan is optimal."""
    plan = plan_of(medical)
    assert cluster_of(plan, "claims-etl") == "aws-saopaulo"
    assert cluster_of(plan, "cancer-odds-serving") == "azure-westeurope"
    assert {unit.pool for unit in plan.assignments if unit.workload == "cancer-odds-training"} == {"h100"}
    assert plan.gap <= 1e-4
    assert verify_plan(medical, plan).holds


def test_data_gravity_keeps_etl_on_aws(medical: Scenario) -> None:
    """When claims weigh nothing, Brazil's other cloud takes the ETL: residency alone does not choose AWS."""
    assert cluster_of(plan_of(without_gravity(medical)), "claims-etl") == "azure-brazilsouth"


def test_residency_keeps_etl_in_brazil(medical: Scenario) -> None:
    """When claims weigh nothing and may go anywhere, the ETL leaves Brazil, which is the dearest region."""
    free = changed(without_gravity(medical), "claims-etl", residency=Residency())
    assert cluster_of(plan_of(free), "claims-etl") not in ("aws-saopaulo", "azure-brazilsouth")


def test_latency_keeps_serving_in_western_europe(medical: Scenario) -> None:
    """When doctors may wait a second, serving moves to where machines are cheaper."""
    serving = next(one for one in medical.workloads if one.name == "cancer-odds-serving")
    assert not isinstance(serving.replicas, tuple)
    task = {**(serving.replicas.task or {}), "latency": "interactive", "latency_ms": 1000}
    patient = changed(medical, "cancer-odds-serving", replicas=serving.replicas.model_copy(update={"task": task}))
    assert cluster_of(plan_of(patient), "cancer-odds-serving") != "azure-westeurope"


def test_described_tasks_feed_each_other(medical: Scenario) -> None:
    """What the ETL makes is what training reads, and what training makes is what serving serves."""
    planned = make_plan(medical, PlanRequest(time_limit_s=60))
    profiles = planned.profiles.predicted
    assert set(profiles) == {"claims-etl", "cancer-odds-training", "cancer-odds-serving"}
    assert profiles["claims-etl"].warehouse_dwu
    assert profiles["cancer-odds-training"].hardware.gpu_models is not None
    assert "H100" in profiles["cancer-odds-training"].hardware.gpu_models
    assert profiles["cancer-odds-serving"].request.gpu == 0


def test_hybrid_demand_is_what_its_script_makes(tmp_path: Path) -> None:
    """The committed demand of the hybrid example is the script's, byte for byte."""
    script = load(EXAMPLES / "hybrid/make_demand.py")
    script.write(tmp_path, script.make())
    for name in ("workloads.yaml", "replicas.csv"):
        assert (tmp_path / name).read_bytes() == (EXAMPLES / "hybrid" / name).read_bytes(), name


def test_hybrid_week_that_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded week is the same on every run, fits the example, and holds a sale that was not planned for."""
    monkeypatch.syspath_prepend(EXAMPLES / "hybrid")
    script = load(EXAMPLES / "hybrid/make_recorded.py")
    for name in ("a.csv", "b.csv"):
        script.write(tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    scenario = read_scenario(EXAMPLES / "hybrid")
    names = [workload.name for workload in scenario.workloads]
    row = names.index("storefront-eu")
    recorded = read_demand(tmp_path / "a.csv", names, scenario.horizon)[row]
    planned = scenario.given_replicas.of("storefront-eu")
    assert recorded[script.SALE_SLOTS].sum() > 1.3 * planned[script.SALE_SLOTS].sum()


def test_hybrid_is_the_fleet_it_promises_to_be() -> None:
    """Two AWS, three Azure, one GCP and two own clusters; about 100 workloads of every kind; a week of hours."""
    scenario = read_scenario(EXAMPLES / "hybrid")
    providers = [cluster.provider for cluster in scenario.clusters]
    assert {name: providers.count(name) for name in set(providers)} == {"aws": 2, "azure": 3, "gcp": 1, "onprem": 2}
    assert 90 <= len(scenario.workloads) <= 110
    assert {one.kind for one in scenario.workloads} == {"etl", "feature", "training", "serving", "diagnostics",
                                                        "drift_monitor"}
    assert (scenario.horizon.slots, scenario.horizon.slot_minutes) == (168, 60)


@pytest.fixture(scope="module")
def hybrid() -> Planned:
    """The hybrid example at least cost."""
    return make_plan(EXAMPLES / "hybrid", PlanRequest(time_limit_s=60))


@pytest.mark.soak
def test_hybrid_plans_close_to_its_bound(hybrid: Planned) -> None:
    """The hybrid plan is within 3 % of its bound, places diagnostics, and decides about most of its cost."""
    planned, plan = hybrid, hybrid.plan
    assert (plan.sla_attainment, plan.unplaced) == (1.0, ())
    assert verify_plan(EXAMPLES / "hybrid", plan).violations == ()
    assert plan.gap <= 0.03
    assert {"diagnostics-model", "drift-monitor"} <= {unit.workload for unit in plan.assignments}
    hours = planned.scenario.horizon.hours
    held = sum(offer.owned * (offer.price_usd_per_hour or 0.0) * hours
               for cluster in planned.scenario.clusters for pool in cluster.pools for offer in pool.offers)
    assert (plan.costs.machines - held) / plan.cost_usd >= 0.5


@pytest.mark.soak
def test_hybrid_trades_attainment_for_money(hybrid: Planned) -> None:
    """Two thirds of the least cost buy most of the hybrid example's weight, and not all of it."""
    budget = hybrid.plan.cost_usd * 2 / 3
    plan = make_plan(EXAMPLES / "hybrid", PlanRequest("max_sla", budget_usd=budget, time_limit_s=45)).plan
    assert plan.cost_usd <= budget
    assert 0.7 < plan.sla_attainment <= plan.bound
    assert plan.sla_attainment < 1.0
    assert plan.unplaced
    assert verify_plan(EXAMPLES / "hybrid", plan).violations == ()


def test_peaks_burst_from_the_hall_to_the_cloud() -> None:
    """With parts the burst example keeps its base on owned machines and costs a quarter less than whole workloads."""
    burst = read_scenario(EXAMPLES / "burst")
    plan = plan_of(burst, "feasible")
    whole = plan_of(changed(changed(burst, "shop", max_parts=1), "search", max_parts=1))
    parts = [(row.part, row.cluster, row.cap) for row in plan.assignments if row.workload == "shop"]
    assert [(part, cluster, cap is None) for part, cluster, cap in parts] == [
        (0, "hall", False), (1, "ireland", True)]
    assert plan.cost_usd < 0.75 * whole.cost_usd
    assert plan.bound <= plan.cost_usd
    assert verify_plan(burst, plan).holds


def test_sample_paths_are_made_anew_byte_by_byte(tmp_path: Path) -> None:
    """The script of the pooled example writes the very table that lies beside it."""
    subprocess.run([sys.executable, str(EXAMPLES / "pooled" / "make_paths.py"), str(tmp_path)], check=True)
    assert (tmp_path / "paths.csv").read_bytes() == (EXAMPLES / "pooled" / "paths.csv").read_bytes()


@pytest.mark.soak
def test_joint_sizing_is_cheaper_and_misses_no_more_than_it_may() -> None:
    """Sized together the six services cost less than each by itself, and miss at most 5 % of paths in any slot."""
    pooled = read_scenario(EXAMPLES / "pooled")
    plan, each = plan_of(pooled, "feasible"), plan_of(pooled.model_copy(update={"sizing": "each"}))
    assert plan.cost_usd < 0.95 * each.cost_usd
    assert all(miss.chance <= 0.05 + 1e-9 for miss in plan.misses)
    assert verify_plan(pooled, plan).holds
