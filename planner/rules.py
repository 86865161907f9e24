"""The rules of a scenario, one by one: what each says in words, and the scenario without it.

A rule is what somebody may loosen: an SLO, where a workload may be, that it must be placed at all, how many machines
there are, how much may be spent. What a replica needs, what machines hold and what they cost is no rule, except a
request that no machine holds. The scenario without a rule allows all that it allowed with it, and more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from planner.scenario.model import Cluster, Offer, Pool, Request, Residency, Scenario, Workload
from planner.timeline import Timeline, by_slot

PLENTY = 100_000
"""Machines of a pool without a maximum."""
EXACT = ("availability", "durability")
"""SLOs whose last digits count."""
ENOUGH_USD = 1e15
"""A budget beyond any cost."""

HELD = ("owned", "committed")
"""Purchases that are paid for whether they run or not."""

Level = Literal["workload", "pool", "offer", "fleet"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its kind, whose it is (a workload, cluster/pool, cluster/pool/purchase, or a name), and in words."""

    kind: str
    subject: str
    words: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rule of one `level`: `find` gives its words (None: not there), `drop` what is left without it.

    Both take the part of the scenario whose rule it is, and the scenario.
    """

    level: Level
    find: Callable[[Any, Scenario], str | None]
    drop: Callable[[Any, Scenario], Any]


def _slo(field: str, words: str, *, where: Callable[[Workload], bool] = lambda _: True) -> Kind:
    """A kind for one SLO; `words` takes {name} and {value}."""
    def find(workload: Workload, _: Scenario) -> str | None:
        value = getattr(workload.slo, field)
        if value is None or not where(workload):
            return None
        return words.format(name=workload.name, value=repr(value) if field in EXACT else f"{value:g}")

    return Kind("workload", find, lambda workload, _: with_slo(workload, **{field: None}))


def with_slo(workload: Workload, **fields: float | None) -> Workload:
    """The workload with other SLOs."""
    return workload.model_copy(update={"slo": workload.slo.model_copy(update=fields)})


def with_clusters(workload: Workload, **fields: Any) -> Workload:  # noqa: ANN401 (fields of ClusterRules)
    """The workload with other cluster rules."""
    return workload.model_copy(update={"clusters": workload.clusters.model_copy(update=fields)})


def _must(workload: Workload, scenario: Scenario) -> str | None:
    if scenario.objective.mode == "max_sla":
        return None
    if workload.droppable:
        return f"{workload.name} (weight {workload.weight:g}) counts towards sla_floor" if workload.weight else None
    return f"{workload.name} must be placed (it is not droppable)"


def _residency(workload: Workload, _: Scenario) -> str | None:
    allow, deny = workload.residency.allow, workload.residency.deny
    words = [f"in {', '.join(allow)} only"] if allow is not None else []
    words += [f"not in {', '.join(deny)}"] if deny else []
    return f"{workload.name} may run {' and '.join(words)} (residency)" if words else None


def _clusters(workload: Workload, _: Scenario) -> str | None:
    rules = workload.clusters
    words = [f"on {', '.join(rules.allow)} only"] if rules.allow is not None else []
    words += [f"not on {', '.join(rules.deny)}"] if rules.deny else []
    return f"{workload.name} may run {' and '.join(words)} (clusters)" if words else None


def _models(workload: Workload, _: Scenario) -> str | None:
    models = workload.hardware.gpu_models
    return None if models is None else f"{workload.name} runs on {', '.join(models)} only (hardware.gpu_models)"


def _arch(workload: Workload, scenario: Scenario) -> str | None:
    known = set(archs(scenario))
    if known <= set(workload.hardware.arch):
        return None
    return f"{workload.name} runs on {', '.join(workload.hardware.arch)} only (hardware.arch)"


def archs(scenario: Scenario) -> tuple[str, ...]:
    """Architectures of the fleet's machines."""
    return tuple(sorted({pool.machine.arch for cluster in scenario.clusters for pool in cluster.pools}))


def with_hardware(workload: Workload, **fields: Any) -> Workload:  # noqa: ANN401 (fields of Hardware)
    """The workload with other hardware rules."""
    return workload.model_copy(update={"hardware": workload.hardware.model_copy(update=fields)})


def _firm(workload: Workload, scenario: Scenario) -> str | None:
    spot = any(offer.purchase == "spot" for cluster in scenario.clusters for pool in cluster.pools
               for offer in pool.offers)
    return f"{workload.name} may not run on spot machines (preemptible)" if spot and not workload.preemptible else None


def _window(workload: Workload, scenario: Scenario) -> str | None:
    batch = workload.batch
    if batch is None or (batch.earliest_slot, batch.latest_slot) == (0, _last_start(workload, scenario)):
        return None
    return f"{workload.name} starts in slots {batch.earliest_slot} to {batch.latest_slot} (batch)"


def _last_start(workload: Workload, scenario: Scenario) -> int:
    assert workload.batch is not None
    period = min(scenario.horizon.slots, workload.batch.every_slots or scenario.horizon.slots)
    return max(0, period - workload.batch.duration_slots)


def with_batch(workload: Workload, **fields: int) -> Workload:
    """The workload with another window."""
    assert workload.batch is not None
    return workload.model_copy(update={"batch": workload.batch.model_copy(update=fields)})


def _no_window(workload: Workload, scenario: Scenario) -> Workload:
    return with_batch(workload, earliest_slot=0, latest_slot=_last_start(workload, scenario))


def _too_big(workload: Workload, scenario: Scenario) -> str | None:
    most = largest(scenario)
    lacking = [f"{getattr(workload.request, name):g} {unit}" for name, unit in
               (("vcpu", "vCPU"), ("memory_gib", "GiB of memory"), ("gpu", "GPUs"))
               if workload.request is not None and getattr(workload.request, name) > most[name]]
    return f"a replica of {workload.name} needs {' and '.join(lacking)} (request)" if lacking else None


def largest(scenario: Scenario) -> Mapping[str, float]:
    """The most vCPU, memory and GPUs that any machine has room for."""
    pools = [pool for cluster in scenario.clusters for pool in cluster.pools]
    return {"vcpu": max((p.machine.vcpu - p.reserved.vcpu) * (1 - p.headroom) for p in pools),
            "memory_gib": max((p.machine.memory_gib - p.reserved.memory_gib) * (1 - p.headroom) for p in pools),
            "gpu": max(p.machine.gpu_count - p.reserved.gpu for p in pools)}


def fitting(workload: Workload, scenario: Scenario) -> Workload:
    """The workload with a request that the largest machines of the fleet hold, each resource taken by itself."""
    most, asked = largest(scenario), workload.request or Request(vcpu=0, memory_gib=0)
    small = {name: min(getattr(asked, name), amount) for name, amount in most.items()}
    return workload.model_copy(update={"request": asked.model_copy(update=small | {"gpu": int(small["gpu"])})})


def said(value: int | tuple[int, ...] | None) -> str:
    """A count that may vary, in words."""
    values = value if isinstance(value, tuple) else (value or 0,)
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)} to {max(values)}"


def highest(value: int | tuple[int, ...] | None) -> int:
    """The most of a count that may vary."""
    return max(value) if isinstance(value, tuple) else value or 0


def at_least(value: int | tuple[int, ...] | None, least: int) -> int | tuple[int, ...]:
    """A count, raised to `least` in every slot."""
    return tuple(max(one, least) for one in value) if isinstance(value, tuple) else max(value or 0, least)


def _pool_max(where: tuple[Cluster, Pool], _: Scenario) -> str | None:
    cluster, pool = where
    return f"pool {cluster.name}/{pool.name} has at most {said(pool.max)} machine{'s' * (pool.max != 1)} (max)"


def with_max(pool: Pool, most: int) -> Pool:
    """The pool with a maximum of `most` or what it had, if that is more; offers that had the pool's have it still."""
    raised = at_least(pool.max, most)
    offers = tuple(offer.model_copy(update={"max": raised}) if offer.max in (None, pool.max) else offer
                   for offer in pool.offers)
    return pool.model_copy(update={"max": raised, "offers": offers})


def _pool_min(where: tuple[Cluster, Pool], scenario: Scenario) -> str | None:
    cluster, pool = where
    if scenario.objective.mode != "max_sla" or not highest(pool.min):
        return None
    return f"pool {cluster.name}/{pool.name} runs at least {said(pool.min)} machines (min)"


def _lead_time(where: tuple[Cluster, Pool], _: Scenario) -> str | None:
    cluster, pool = where
    if not pool.lead_time_days:
        return None
    return f"machines of {cluster.name}/{pool.name} come after {pool.lead_time_days:g} days (lead_time_days)"


def _offer_max(where: tuple[Cluster, Pool, Offer], scenario: Scenario) -> str | None:
    cluster, pool, offer = where
    slots = scenario.horizon.slots
    if offer.max is None or scenario.objective.mode == "max_sla":
        return None
    if (by_slot(offer.max, slots) >= by_slot(pool.max, slots)).all():
        return None
    return f"{cluster.name}/{pool.name} has at most {said(offer.max)} {offer.purchase} machines (offers)"


def _owned(where: tuple[Cluster, Pool, Offer], scenario: Scenario) -> str | None:
    cluster, pool, offer = where
    if scenario.objective.mode != "max_sla" or not highest(offer.owned) or offer.purchase not in HELD:
        return None
    return (f"{said(offer.owned)} {offer.purchase} machines of {cluster.name}/{pool.name} are paid for, "
            f"{held_usd(offer, scenario):,.2f} USD (owned)")


def held_usd(offer: Offer, scenario: Scenario) -> float:
    """What the machines of an offer that are owned already cost, needed or not."""
    if offer.purchase not in HELD:
        return 0.0
    slots, hours = scenario.horizon.slots, Timeline.of(scenario.horizon).weight * scenario.horizon.slot_hours
    return float((by_slot(offer.owned, slots) * by_slot(offer.price_usd_per_hour or 0.0, slots) * hours).sum())


def _floor(_: object, scenario: Scenario) -> str | None:
    floor = scenario.objective.sla_floor
    dropped = any(workload.droppable and workload.weight for workload in scenario.workloads)
    wanted = scenario.objective.mode == "min_cost" and floor and dropped
    return f"at least {floor:g} of the weight is attained (sla_floor)" if wanted else None


def _budget(_: object, scenario: Scenario) -> str | None:
    budget = scenario.objective.budget_usd
    wanted = scenario.objective.mode == "max_sla" and budget is not None
    return f"the plan costs at most {budget:,.2f} USD (budget_usd)" if wanted else None


def with_objective(scenario: Scenario, **fields: float) -> Scenario:
    """The scenario with another floor or budget."""
    return scenario.model_copy(update={"objective": scenario.objective.model_copy(update=fields)})


def _survive(_: object, scenario: Scenario) -> str | None:
    if scenario.survive == "none":
        return None
    return f"the loss of any {scenario.survive} is survived (survive)"


def _own_survive(workload: Workload, _: Scenario) -> str | None:
    if workload.survive in (None, "none"):
        return None
    return f"{workload.name} survives the loss of any {workload.survive} (survive)"


def _set(**fields: Any) -> Callable[[Any, Scenario], Any]:  # noqa: ANN401 (fields of any model)
    return lambda part, _: part.model_copy(update=fields)


KINDS: Mapping[str, Kind] = {
    "must": Kind("workload", _must, _set(droppable=True, weight=0.0)),
    "residency": Kind("workload", _residency, _set(residency=Residency())),
    "clusters": Kind("workload", _clusters, lambda w, _: with_clusters(w, allow=None, deny=())),
    "pin": Kind("workload", lambda w, _: f"{w.name} is pinned to {w.clusters.pin} (clusters.pin)"
                if w.clusters.pin is not None else None, lambda w, _: with_clusters(w, pin=None)),
    "latency": _slo("latency_ms", "{name} answers within {value} ms (slo.latency_ms)", where=lambda w: bool(w.users)),
    "availability": _slo("availability", "{name} has availability {value} (slo.availability)"),
    "deadline": _slo("deadline_slot", "{name} is done by slot {value} (slo.deadline_slot)",
                     where=lambda w: w.batch is not None),
    "deploy": _slo("deploy_minutes", "{name} is deployed within {value} minutes (slo.deploy_minutes)"),
    "durability": _slo("durability", "{name} has durability {value} (slo.durability)"),
    "throughput": _slo("min_throughput", "{name} does {value} at least (slo.min_throughput)"),
    "gpu_models": Kind("workload", _models, lambda w, _: with_hardware(w, gpu_models=None)),
    "arch": Kind("workload", _arch, lambda w, scenario: with_hardware(w, arch=archs(scenario))),
    "spot": Kind("workload", _firm, _set(preemptible=True)),
    "window": Kind("workload", _window, _no_window),
    "request": Kind("workload", _too_big, fitting),
    "survive_own": Kind("workload", _own_survive, _set(survive="none")),
    "pool": Kind("pool", _pool_max, lambda pool, _: with_max(pool, PLENTY)),
    "min": Kind("pool", _pool_min, _set(min=0)),
    "lead_time": Kind("pool", _lead_time, _set(lead_time_days=0.0)),
    "offer": Kind("offer", _offer_max, _set(max=PLENTY)),
    "owned": Kind("offer", _owned, _set(owned=0)),
    "limit": Kind("fleet", lambda limit, _: f"{limit.name}: at most {limit.max:g} {limit.measure} together (limits)",
                  lambda *_: None),
    "survive": Kind("fleet", _survive, _set(survive="none")),
    "floor": Kind("fleet", _floor, lambda scenario, _: with_objective(scenario, sla_floor=0.0)),
    "budget": Kind("fleet", _budget, lambda scenario, _: with_objective(scenario, budget_usd=ENOUGH_USD)),
}
"""All kinds of rules, in the order in which a conflict names them."""


def rules_of(scenario: Scenario) -> tuple[Rule, ...]:
    """Every rule of a resolved and profiled scenario."""
    return tuple(Rule(kind, subject, words) for kind, about in KINDS.items()
                 for subject, part in _parts(kind, about.level, scenario)
                 if (words := about.find(part, scenario)) is not None)


def _parts(kind: str, level: Level, scenario: Scenario) -> Iterator[tuple[str, object]]:
    if level == "workload":
        yield from ((workload.name, workload) for workload in scenario.workloads)
    elif kind == "limit":
        yield from ((limit.name, limit) for limit in scenario.limits)
    elif level == "fleet":
        yield "", scenario
    else:
        for cluster in scenario.clusters:
            for pool in cluster.pools:
                name = f"{cluster.name}/{pool.name}"
                if level == "pool":
                    yield name, (cluster, pool)
                else:
                    yield from ((f"{name}/{offer.purchase}", (cluster, pool, offer)) for offer in pool.offers)


def without(scenario: Scenario, rules: Iterable[Rule]) -> Scenario:
    """The scenario without some of its rules."""
    dropped: dict[str, dict[str, list[str]]] = {level: {} for level in ("workload", "pool", "offer", "fleet")}
    for rule in rules:
        dropped[KINDS[rule.kind].level].setdefault(rule.subject, []).append(rule.kind)
    found = scenario.model_copy(update={
        "workloads": tuple(_dropped(workload, dropped["workload"].get(workload.name, ()), scenario)
                           for workload in scenario.workloads),
        "clusters": tuple(_supply(cluster, dropped, scenario) for cluster in scenario.clusters),
        "limits": tuple(limit for limit in scenario.limits if "limit" not in dropped["fleet"].get(limit.name, ()))})
    found = _dropped(found, [kind for kind in dropped["fleet"].get("", ()) if kind != "limit"], scenario)
    return same_slack(scenario, found)


def _dropped(part: Any, kinds: Iterable[str], scenario: Scenario) -> Any:  # noqa: ANN401 (any part of a scenario)
    for kind in kinds:
        part = KINDS[kind].drop(part, scenario)
    return part


def _supply(cluster: Cluster, dropped: Mapping[str, Mapping[str, list[str]]], scenario: Scenario) -> Cluster:
    """Offers first: a pool's new maximum is that of the offers which had the old one."""
    pools = []
    for pool in cluster.pools:
        name = f"{cluster.name}/{pool.name}"
        offers = tuple(_dropped(offer, dropped["offer"].get(f"{name}/{offer.purchase}", ()), scenario)
                       for offer in pool.offers)
        pools.append(_dropped(pool.model_copy(update={"offers": offers}), dropped["pool"].get(name, ()), scenario))
    return cluster.model_copy(update={"pools": tuple(pools)})


def same_slack(before: Scenario, after: Scenario) -> Scenario:
    """`after` with a floor that lets the other workloads lose as much weight as `before` did, not a share of less."""
    floor = after.objective.sla_floor
    if after.objective.mode != "min_cost" or not floor:
        return after
    was, left = (sum(workload.weight for workload in scenario.workloads) for scenario in (before, after))
    share = 1 - (1 - floor) * was / left if left > 0 else 0.0
    return after if was == left else with_objective(after, sla_floor=max(0.0, share))


def only(scenario: Scenario, names: Iterable[str]) -> Scenario:
    """The scenario with these workloads alone; data from others no longer flows. The others count as attained."""
    kept = set(names)
    workloads = tuple(workload.model_copy(update={"after": tuple(a for a in workload.after if a.workload in kept)})
                      for workload in scenario.workloads if workload.name in kept)
    return same_slack(scenario, scenario.model_copy(update={"workloads": workloads}))


