"""Every mistake in the fields of a scenario is one line: file, field, value, what is allowed, how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from planner.errors import InputError
from planner.scenario import parse_scenario

Problems = Callable[[dict[str, object]], tuple[str, ...]]
Fields = Callable[..., dict[str, Any]]

NAN = float("nan")
LINK = {"from": "a/b", "to": "c/d", "rtt_ms": 1}
POOL = {"name": "a", "machine": "m6i.large", "max": 1}

ONE_LINE: list[tuple[str, object, str]] = [
    ("workloadz", [], "workloadz: unknown field: did you mean workloads?"),
    ("workloads/0/vcpu", 4, "workloads.etl.vcpu: unknown field: did you mean request.vcpu?"),
    ("objective/sla_flor", 1, "objective.sla_flor: unknown field: did you mean sla_floor?"),
    ("clusters/0/availability", 99.9, "clusters.aws-saopaulo.availability: 99.9: a fraction from 0 to 1: write 0.999"),
    ("workloads/1/slo/availability", 99.99,
     "workloads.web.slo.availability: 99.99: a fraction from 0 to 1: write 0.9999"),
    ("objective/sla_floor", 99, "objective.sla_floor: 99: a fraction from 0 to 1: write 0.99"),
    ("clusters/0/pools/0/headroom", 5,
     "clusters.aws-saopaulo.pools.m6i.headroom: 5: a fraction from 0 to 1: write 0.05"),
    ("objective", {"mode": "max_sla"},
     "objective.budget_usd: not given: max_sla needs a budget: add budget_usd, or use mode: min_cost"),
    ("objective", {"mode": "min_cost", "budget_usd": 5},
     "objective.budget_usd: 5.0: belongs to max_sla, the mode is min_cost: remove it, or use mode: max_sla"),
    ("objective", {"mode": "max_sla", "budget_usd": 5, "sla_floor": 0.9},
     "objective.sla_floor: 0.9: belongs to min_cost, the mode is max_sla: remove it, or use mode: min_cost"),
    ("objective", ..., "objective: not given: a mapping is needed"),
    ("workloads/1/name", "etl", "workloads: etl: given twice: name is unique here: rename or remove one"),
    ("clusters/0/pools", [POOL, POOL],
     "clusters.aws-saopaulo.pools: a: given twice: name is unique here: rename or remove one"),
    ("links", [LINK, LINK], "links: a/b -> c/d: given twice: from, to is unique here: rename or remove one"),
    ("workloads/0/after", [{"workload": "wbe"}],
     "workloads.etl.after: wbe: no workload has that name: did you mean web?"),
    ("workloads/0/request/vcpu", -4, "workloads.etl.request.vcpu: -4: at least 0"),
    ("workloads/0/request/vcpu", NAN,
     "workloads.etl.request.vcpu: nan: a finite number: leave it out if it is not known"),
    ("workloads/0/request/vcpu", float("inf"),
     "workloads.etl.request.vcpu: inf: a finite number: leave it out if it is not known"),
    ("workloads/0/request/vcpu", "500m", "workloads.etl.request.vcpu: 500m: a number: write 0.5"),
    ("workloads/0/request/vcpu", True, "workloads.etl.request.vcpu: true: a number"),
    ("workloads/0/request/memory_gib", "16Gi", "workloads.etl.request.memory_gib: 16Gi: a number: write 16"),
    ("workloads/0/request/memory_gib", "16GB", "workloads.etl.request.memory_gib: 16GB: a number: write 14.9012"),
    ("workloads/1/users/0/share", 0.7,
     "workloads.web.users: shares sum to 0.7: the shares of all users sum to 1: mend the shares"),
    ("workloads/0/users", [{"region": "azure/westeurope"}, {"region": "aws/sa-east-1"}],
     "workloads.etl.users: shares sum to 2: the shares of all users sum to 1: mend the shares"),
    ("workloads/1/users/0/region", "westeurope",
     "workloads.web.users.westeurope.region: westeurope: a region as provider/region, such as aws/sa-east-1"),
    ("workloads/0/watches", {"hardware_class": "general", "clusters": ["aws-sao"], "country": "BR", "purpose": "score"},
     "workloads.etl.watches.clusters: aws-sao: no cluster has that name: did you mean aws-saopaulo?"),
    ("limits", [{"name": "a", "pools": ["aws-saopaolo/*"], "measure": "gpu", "max": 3}],
     "limits.a.pools: aws-saopaolo/*: matches no pool (cluster/pool): did you mean aws-saopaulo/m6i?"),
    ("commitments", [{"name": "s", "covers": ["own-lisbon/gpu"], "unit": "usd_per_hour", "discount": 0.1}],
     "commitments.s.covers: own-lisbon/gpu: matches no pool (cluster/pool): did you mean own-lisbon/cpu?"),
    ("commitments", [{"name": "s", "covers": ["*"], "unit": "usd_per_hour"}],
     "commitments.s.discount: not given: unit usd_per_hour needs it: the share that it takes off prices: add discount"),
    ("commitments", [{"name": "s", "covers": ["*"], "unit": "machines"}],
     ("commitments.s.price_usd_per_hour: not given: unit machines needs it: what one machine costs: "
      "add price_usd_per_hour")),
    ("commitments", [{"name": "s", "covers": ["*"], "unit": "usd_per_hour", "discount": 0, "price_usd_per_hour": 1}],
     "commitments.s.price_usd_per_hour: 1.0: does not go with unit usd_per_hour: remove it, or use unit: machines"),
    ("commitments", [{"name": "s", "covers": ["*"], "unit": "machines", "price_usd_per_hour": 1, "max_buy": 1.5}],
     "commitments.s.max_buy: 1.5: a whole number of machines: round it"),
    ("commitments", [{"name": "s", "covers": ["*"], "unit": "usd_per_hour", "discount": 28}],
     "commitments.s.discount: 28: a fraction from 0 to 1: write 0.28"),
    ("workloads/0/replicas", [1, 2],
     "workloads.etl.replicas: a list of 2: one number for each of 4 slots: mend the list"),
    ("workloads/0/replicas", [1, 2, -3, 4], "workloads.etl.replicas[2]: -3: at least 0"),
    ("workloads/0/replicas", {"from": "x.parquet"},
     "workloads.etl.replicas.from: x.parquet: there is no file x.parquet: paths start at the scenario's folder"),
    ("workloads/0/replicas", {"from": "../x.parquet"},
     "workloads.etl.replicas.from: ../x.parquet: leads out of the scenario's folder: put the file into it"),
    ("workloads/0/replicas", {},
     ("workloads.etl.replicas: none of them: one of from, history, task, paths, or a list (history and task go "
      "together): add one")),
    ("workloads/0/request", ...,
     "workloads.etl.request: not given: vcpu and memory_gib of one replica: add them"),
    ("workloads/1/clusters/pin", "aws-saopualo",
     ("workloads.web.clusters.pin: aws-saopualo: a cluster, or one pool of it as cluster/pool: "
     "did you mean aws-saopaulo?")),
    ("workloads/1/clusters/pin", "aws-saopaulo/m6",
     ("workloads.web.clusters.pin: aws-saopaulo/m6: a cluster, or one pool of it as cluster/pool: "
     "did you mean aws-saopaulo/m6i?")),
    ("workloads/1/clusters", {"allow": ["own-lisbo"]},
     "workloads.web.clusters.allow: own-lisbo: matches no cluster: did you mean own-lisbon?"),
    ("workloads/1/clusters", {"allow": ["aws-saopaulo/m6"]},
     "workloads.web.clusters.allow: aws-saopaulo/m6: matches no pool: did you mean aws-saopaulo/m6i?"),
    ("workloads/1/clusters", {"allow": []},
     "workloads.web.clusters.allow: a list of 0: at least one item: leave it out if all are meant"),
    ("workloads/0/incumbent", {"cluster": "aws-saopaulo", "pool": "m6"},
     "workloads.etl.incumbent.pool: m6: no pool of aws-saopaulo has that name: did you mean m6i?"),
    ("workloads/0/max_parts", 2,
     "workloads.etl.max_parts: 2: 1 for a workload with batch: a gang runs in one pool: use 1, or leave batch out"),
    ("workloads/0/batch", {"duration_slots": 3, "earliest_slot": 2},
     ("workloads.etl.batch: earliest_slot 2 + duration_slots 3: a run ends within the horizon of 4 slots: "
     "start earlier, or make the horizon longer")),
    ("workloads/0/batch", {"duration_slots": 2, "every_slots": 1},
     "workloads.etl.batch.every_slots: 1: at least duration_slots 2: runs never overlap: run less often"),
    ("clusters/0/country", "UK",
     "clusters.aws-saopaulo.country: UK: a country of two letters (ISO 3166): did you mean GB?"),
    ("clusters/0/country", "br", "clusters.aws-saopaulo.country: br: a country of two letters (ISO 3166): write BR"),
    ("workloads/0/residency", {"deny": ["XX"]},
     "workloads.etl.residency.deny: XX: a country of two letters (ISO 3166): such as BR, DE, US"),
    ("horizon/start", "2026-11-02T00:00:00",
     "horizon.start: 2026-11-02T00:00:00: a time has a zone: write 2026-11-02T00:00:00Z"),
    ("horizon/slots", 0, "horizon.slots: 0: at least 1"),
    ("workloads/0/kind", "elt",
     "workloads.etl.kind: elt: one of etl, feature, training, serving, diagnostics, drift_monitor: did you mean etl?"),
    ("clusters", [], "clusters: a list of 0: at least one item: add one"),
    ("clusters", "clusters.parquet",
     "clusters: clusters.parquet: there is no file clusters.parquet: paths start at the scenario's folder"),
    ("workloads/0", "x", "workloads[0]: x: a mapping of fields"),
    ("clusters/1/pools/0/offers/0/owned", 40,
     ("clusters.own-lisbon.pools.cpu.offers.owned.owned: 40: at most the 8 machines of the offer and its pool: "
      "raise max")),
    ("clusters/1/pools/0/offers/0/purchase", "ondemand",
     ("clusters.own-lisbon.pools.cpu.offers.ondemand.purchase: ondemand: one of owned, on_demand, spot, committed: "
     "did you mean on_demand?")),
    ("name", 5, "name: 5: text: write '5' in quotes"),
    ("domains", [{"name": "aws", "availability": 99.9}],
     "domains.aws.availability: 99.9: a fraction from 0 to 1: write 0.999"),
    ("domains", [{"name": "aws", "availability": 0.9}, {"name": "aws", "availability": 0.8}],
     "domains: aws: given twice: name is unique here: rename or remove one"),
    ("clusters/0/zones", [{"name": "east"}],
     "clusters.aws-saopaulo.pools.m6i.zone: not given: the cluster has zones: one of east: add zone"),
    ("clusters/0/pools/0/zone", "east",
     ("clusters.aws-saopaulo.pools.m6i.zone: east: no zone of the cluster has that name: add zones to the cluster, or "
      "remove zone")),
    ("clusters/0/pools/0/zones", ["east"],
     "clusters.aws-saopaulo.pools.m6i.zones: unknown field: did you mean zone?"),
    ("clusters/0/pools/0/max", [1, 2, 3],
     ("clusters.aws-saopaulo.pools.m6i.max: a list of 3: one number, or one for each of 4 slots: mend the list")),
    ("clusters/0/pools/0/max", [1, 2, -3, 4], "clusters.aws-saopaulo.pools.m6i.max[2]: -3: at least 0"),
    ("clusters/0/pools/0/max", "20", "clusters.aws-saopaulo.pools.m6i.max: 20: a whole number: write 20"),
    ("clusters/1/pools/0/min", 9, "clusters.own-lisbon.pools.cpu.min: 9: at most max, 8: lower min, or raise max"),
    ("clusters/1/pools/0/offers/0/owned", [4, 4, 9, 4],
     ("clusters.own-lisbon.pools.cpu.offers.owned.owned: 9: at most the 8 machines of the offer and its pool: "
      "raise max")),
    ("clusters/0/grid_g_per_kwh", [],
     "clusters.aws-saopaulo.grid_g_per_kwh: a list of 0: at least one item: leave it out if all are meant"),
    ("horizon/periods", [{"start": "2026-11-02T00:00:00Z", "slots": 3, "stands_for_days": 2}],
     "horizon.slots: 4: the periods have 3 slots together: leave slots out"),
    ("horizon/periods", [{"start": "2026-11-03T00:00:00Z", "slots": 4, "stands_for_days": 2}],
     ("horizon.start: 2026-11-02T00:00:00+00:00: the first period starts at 2026-11-03T00:00:00+00:00: "
      "leave start out")),
    ("horizon/periods", [{"start": "2026-11-02T00:00:00Z", "slots": 2, "stands_for_days": 2},
                         {"start": "2026-11-02T01:00:00Z", "slots": 2, "stands_for_days": 2}],
     ("horizon.periods[1].start: 2026-11-02T01:00:00+00:00: not before the period before it ends, at "
      "2026-11-02T02:00:00+00:00: put them in order")),
    ("horizon/periods", [{"start": "2026-11-02T00:00:00Z", "slots": 4}],
     "horizon.periods[0].stands_for_days: not given: a value is needed"),
    ("workloads/1/slo", {"deadline_slot": 3},
     "workloads.web.slo.deadline_slot: 3: only a workload with batch ends: add batch, or remove it"),
    ("workloads/0/data", {"gb_per_day_in": 5},
     ("workloads.etl.data.location: not given: gb_per_day_in is read from somewhere: add location, "
      "such as aws/sa-east-1")),
]


@pytest.mark.parametrize(("path", "value", "line"), ONE_LINE, ids=[f"{path}={value}" for path, value, _ in ONE_LINE])
def test_a_mistake_is_one_line_with_its_remedy(problems: Problems, path: str, value: object, line: str) -> None:
    """One wrong field gives exactly one line, which names file, field, value and remedy."""
    assert problems({path: value}) == (f"scenario.yaml: {line}",)


def test_a_zone_with_a_typo_is_told_the_nearest(problems: Problems) -> None:
    """A pool names one of its cluster's zones."""
    (line,) = problems({"clusters/0/zones": [{"name": "sa-east-1a"}], "clusters/0/pools/0/zone": "sa-east-1c"})
    assert line == ("scenario.yaml: clusters.aws-saopaulo.pools.m6i.zone: sa-east-1c: no zone of the cluster has that "
                    "name: did you mean sa-east-1a?")


def test_what_is_refused_may_be_said_to_be_absent(problems: Problems) -> None:
    """Writing the default of a refused field is no mistake."""
    assert problems({"sizing": "each", "limits": []}) == ()


@pytest.mark.parametrize("kind", ["etl", "feature", "training", "serving", "diagnostics", "drift_monitor"])
def test_work_of_every_kind_may_have_users(problems: Problems, kind: str) -> None:
    """Results of any kind of work may be sent to people in several regions."""
    users = [{"region": "azure/westeurope", "share": 0.7}, {"region": "aws/sa-east-1", "share": 0.3}]
    assert problems({"workloads/0/kind": kind, "workloads/0/users": users}) == ()


def test_an_incumbent_may_leave_its_pool_open(problems: Problems) -> None:
    """A cluster alone says where a workload runs today."""
    assert problems({"workloads/0/incumbent": {"cluster": "aws-saopaulo", "move_cost_usd": 3}}) == ()


def test_a_circle_of_workloads_is_named(problems: Problems) -> None:
    """A cycle in `after` lists its members in order, whatever its length."""
    (line,) = problems({"workloads/0/after": [{"workload": "web"}], "workloads/1/after": [{"workload": "etl"}]})
    assert "etl -> web -> etl" in line or "web -> etl -> web" in line


def test_all_mistakes_are_told_at_once(problems: Problems) -> None:
    """Mistakes of types, of sums and of names are reported together."""
    lines = problems({"clusters/0/availability": 99.9, "workloads/1/users/0/share": 0.5,
                      "workloads/0/after": [{"workload": "nobody"}], "nmae": "x"})
    fields = [line.split(": ")[1] for line in lines]
    assert sorted(fields) == ["clusters.aws-saopaulo.availability", "nmae", "workloads.etl.after",
                              "workloads.web.users"]


def test_one_workload_scores_a_cluster(problems: Problems) -> None:
    """A second one is refused: what is said of a row is said once. Another purpose is another thing."""
    watches = {"hardware_class": "general", "clusters": ["aws-saopaulo"], "country": "BR", "purpose": "score"}
    same = {"workloads/0/watches": watches, "workloads/1/watches": watches}
    told = "workloads.web.watches.clusters: aws-saopaulo: etl has the purpose score there: name it once"
    assert problems(same) == (f"scenario.yaml: {told}",)
    assert problems(same | {"workloads/1/watches": watches | {"purpose": "train"}}) == ()


def test_a_cluster_with_a_mistake_is_not_called_unknown(problems: Problems) -> None:
    """A name that is given, though its item is wrong, causes no second line."""
    assert len(problems({"clusters/0/availability": -1})) == 1


def test_twenty_lines_are_shown_and_the_rest_counted() -> None:
    """A page of mistakes stays readable; all of them stay in `problems`."""
    error = InputError(f"line {n}" for n in range(25))
    assert str(error).splitlines()[-2:] == ["line 19", "and 5 more"]
    assert len(error.problems) == 25


def test_reading_leaves_its_input_alone(fields: Fields) -> None:
    """Fields given as a mapping are the same after reading, wrong ones too."""
    given = fields({"sizing": "both"})
    with pytest.raises(InputError):
        parse_scenario(given)
    assert given == fields({"sizing": "both"})


@pytest.mark.parametrize("junk", [None, 5, "x", [], [[]], {}, {"a": {"b": []}}, -1.5, True, "x" * 10_000])
@pytest.mark.parametrize("path", ["name", "horizon", "objective", "links", "clusters", "workloads", "survive",
                                  "clusters/0", "clusters/0/pools", "clusters/0/pools/0/machine", "workloads/0",
                                  "workloads/0/request", "workloads/0/replicas", "workloads/1/users",
                                  "workloads/1/slo", "workloads/0/batch", "workloads/0/after", "horizon/start"])
def test_junk_never_ends_in_a_traceback(problems: Problems, path: str, junk: object) -> None:
    """Whatever stands in a field, the answer is a scenario or problems, each on one short line."""
    for line in problems({path: junk}):
        assert line.startswith("scenario.yaml: ")
        assert "\n" not in line
        assert len(line) < 300
