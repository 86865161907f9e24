"""Mistakes that a single field cannot show: names that do not meet, sums, windows, both modes at once.

Every check yields findings (field, value found, what is allowed, how to mend it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from planner.scenario.countries import COUNTRIES, MEANT
from planner.scenario.fields import did_you_mean
from planner.scenario.model import Commitment, Offer, Pool, Replicas, Scenario, Workload
from planner.scenario.words import shown
from planner.scenario.yaml_file import Value

Finding = tuple[str, str, str, str]

SHARES_TOLERANCE = 1e-3
"""How far the shares of users may be from 1, as people round them."""


@dataclass(frozen=True)
class Names:
    """Names that the files give, those of items with mistakes of their own too: pools by cluster, and workloads."""

    pools: dict[str, tuple[str, ...]]
    workloads: tuple[str, ...]

    @classmethod
    def of(cls, raw: dict[str, Value]) -> Names:
        """Names in unchecked fields."""
        clusters = _items(raw.get("clusters"))
        return cls({str(cluster.get("name")): _names(cluster.get("pools")) for cluster in clusters},
                   _names(raw.get("workloads")))

    @cached_property
    def known_workloads(self) -> frozenset[str]:
        """Names of workloads, to look up."""
        return frozenset(self.workloads)

    @cached_property
    def both(self) -> tuple[str, ...]:
        """Clusters, and their pools as `cluster/pool`."""
        return (*self.pools, *(f"{cluster}/{pool}" for cluster, pools in self.pools.items() for pool in pools))


def _items(value: Value) -> list[dict[str, Value]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _names(value: Value) -> tuple[str, ...]:
    return tuple(str(item.get("name")) for item in _items(value))


def findings(scenario: Scenario, names: Names) -> Iterator[Finding]:
    """Everything wrong with a scenario whose single fields are all right."""
    for check in CHECKS:
        yield from check(scenario, names)


def _objective(scenario: Scenario, _: Names) -> Iterator[Finding]:
    asked = scenario.objective
    if asked.mode == "max_sla":
        if asked.budget_usd is None:
            yield "objective.budget_usd", "not given", "max_sla needs a budget", "add budget_usd, or use mode: min_cost"
        if asked.sla_floor is not None:
            yield ("objective.sla_floor", shown(asked.sla_floor), "belongs to min_cost, the mode is max_sla",
                   "remove it, or use mode: min_cost")
    elif asked.budget_usd is not None:
        yield ("objective.budget_usd", shown(asked.budget_usd), "belongs to max_sla, the mode is min_cost",
               "remove it, or use mode: max_sla")


def _twice(names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def _duplicates(scenario: Scenario, names: Names) -> Iterator[Finding]:
    groups = [("clusters", "name", [cluster.name for cluster in scenario.clusters]),
              ("workloads", "name", names.workloads),
              ("limits", "name", [limit.name for limit in scenario.limits]),
              ("commitments", "name", [commitment.name for commitment in scenario.commitments]),
              ("links", "from, to", [f"{link.from_} -> {link.to}" for link in scenario.links]),
              ("domains", "name", [domain.name for domain in scenario.domains])]
    for cluster in scenario.clusters:
        field = f"clusters.{cluster.name}.pools"
        groups.append((field, "name", [pool.name for pool in cluster.pools]))
        groups.append((f"clusters.{cluster.name}.zones", "name", [zone.name for zone in cluster.zones]))
        groups += [(f"{field}.{pool.name}.offers", "purchase", [offer.purchase for offer in pool.offers])
                   for pool in cluster.pools]
    for workload in scenario.workloads:
        field = f"workloads.{workload.name}"
        groups.append((f"{field}.users", "region", [user.region for user in workload.users]))
        groups.append((f"{field}.after", "workload", [after.workload for after in workload.after]))
    for field, key, found in groups:
        for name in _twice(found):
            yield field, name, f"given twice: {key} is unique here", "rename or remove one"


def _slashes(scenario: Scenario, _: Names) -> Iterator[Finding]:
    for cluster in scenario.clusters:
        for field, text in (("name", cluster.name), ("provider", cluster.provider), ("region", cluster.region)):
            if "/" in text or any(letter.isspace() for letter in text):
                yield f"clusters.{cluster.name}.{field}", text, "a name without '/' and spaces", "use '-'"


def _countries(scenario: Scenario, _: Names) -> Iterator[Finding]:
    given = [(f"clusters.{cluster.name}.country", cluster.country) for cluster in scenario.clusters if cluster.country]
    for workload in scenario.workloads:
        for kind, codes in (("allow", workload.residency.allow or ()), ("deny", workload.residency.deny)):
            given += [(f"workloads.{workload.name}.residency.{kind}", code) for code in codes]
    for field, code in given:
        if code not in COUNTRIES:
            mend = f"did you mean {MEANT[code]}?" if code in MEANT else "such as BR, DE, US"
            yield field, code, "a country of two letters (ISO 3166)", mend


def _offers(scenario: Scenario, _: Names) -> Iterator[Finding]:
    for cluster in scenario.clusters:
        for pool in cluster.pools:
            if pool.machine.gpu_model is not None and pool.machine.gpu_count == 0 and pool.machine.known:
                yield (f"clusters.{cluster.name}.pools.{pool.name}.machine.gpu_count", "not given",
                       f"a machine with {pool.machine.gpu_model} has at least 1", "add gpu_count")
            for offer in pool.offers:
                yield from _offer(f"clusters.{cluster.name}.pools.{pool.name}.offers.{offer.purchase}", pool, offer)


def _offer(field: str, pool: Pool, offer: Offer) -> Iterator[Finding]:
    owned, most = _largest(offer.owned), _largest(pool.max if offer.max is None else offer.max)
    most = min(most, _largest(pool.max))
    if owned > most:
        yield f"{field}.owned", f"{owned:g}", f"at most the {most:g} machines of the offer and its pool", "raise max"
    if owned and offer.purchase in ("on_demand", "spot"):
        yield (f"{field}.owned", f"{owned:g}", "only offers of purchase owned and committed hold machines",
               "remove it")
    if offer.price_usd_per_hour is None and offer.purchase == "owned":
        yield f"{field}.price_usd_per_hour", "not given", "no catalog lists what your own machines cost", "add it"


def _zones(scenario: Scenario, _: Names) -> Iterator[Finding]:
    """Every pool of a cluster with zones lies in one of them."""
    for cluster in scenario.clusters:
        zones = [zone.name for zone in cluster.zones]
        for pool in cluster.pools:
            field = f"clusters.{cluster.name}.pools.{pool.name}.zone"
            if pool.zone is None and zones:
                yield field, "not given", f"the cluster has zones: one of {', '.join(zones)}", "add zone"
            if pool.zone is not None and pool.zone not in zones:
                mend = did_you_mean(pool.zone, zones) if zones else "add zones to the cluster, or remove zone"
                yield field, pool.zone, "no zone of the cluster has that name", mend


def _largest(value: float | tuple[float, ...]) -> float:
    return max(value) if isinstance(value, tuple) else value


def _by_slot(scenario: Scenario, _: Names) -> Iterator[Finding]:
    """Inputs that vary with time have a number for each slot, and a pool's minimum is no more than its maximum."""
    slots = scenario.horizon.slots
    for field, value in _varying(scenario):
        if isinstance(value, tuple) and len(value) != slots:
            yield field, f"a list of {len(value)}", f"one number, or one for each of {slots} slots", "mend the list"
    for cluster in scenario.clusters:
        for pool in cluster.pools:
            if _largest(pool.min) > _largest(pool.max):
                yield (f"clusters.{cluster.name}.pools.{pool.name}.min", f"{_largest(pool.min):g}",
                       f"at most max, {_largest(pool.max):g}", "lower min, or raise max")


def _varying(scenario: Scenario) -> Iterator[tuple[str, float | tuple[float, ...] | None]]:
    for cluster in scenario.clusters:
        yield f"clusters.{cluster.name}.grid_g_per_kwh", cluster.grid_g_per_kwh
        for pool in cluster.pools:
            field = f"clusters.{cluster.name}.pools.{pool.name}"
            yield from ((f"{field}.max", pool.max), (f"{field}.min", pool.min))
            for offer in pool.offers:
                yield from ((f"{field}.offers.{offer.purchase}.{name}", getattr(offer, name))
                            for name in ("price_usd_per_hour", "max", "owned", "assured_max"))


def _periods(scenario: Scenario, _: Names) -> Iterator[Finding]:
    """The windows of a horizon follow one another in time, and `start` and `slots`, where given, say the same."""
    horizon = scenario.horizon
    if not horizon.periods:
        return
    slots, first = sum(window.slots for window in horizon.periods), horizon.periods[0].start
    if horizon.slots != slots:
        yield "horizon.slots", str(horizon.slots), f"the periods have {slots} slots together", "leave slots out"
    if horizon.start != first:
        yield ("horizon.start", horizon.start.isoformat(), f"the first period starts at {first.isoformat()}",
               "leave start out")
    for at, (one, other) in enumerate(pairwise(horizon.periods), 1):
        end = one.start + timedelta(minutes=one.slots * horizon.slot_minutes)
        if other.start < end:
            yield (f"horizon.periods[{at}].start", other.start.isoformat(),
                   f"not before the period before it ends, at {end.isoformat()}", "put them in order")


def _flow(scenario: Scenario, names: Names) -> Iterator[Finding]:
    graph = {}
    for workload in scenario.workloads:
        for after in workload.after:
            if after.workload not in names.known_workloads:
                yield (f"workloads.{workload.name}.after", after.workload, "no workload has that name",
                       did_you_mean(after.workload, list(names.workloads)))
        graph[workload.name] = [after.workload for after in workload.after]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle = error.args[1][::-1]
        yield (f"workloads.{cycle[0]}.after", " -> ".join(cycle), "workloads that wait for one another in a circle",
               "remove one of these")


def _users(scenario: Scenario, _: Names) -> Iterator[Finding]:
    for workload in scenario.workloads:
        if not workload.users:
            continue
        field, total = f"workloads.{workload.name}.users", sum(user.share for user in workload.users)
        if abs(total - 1) > SHARES_TOLERANCE:
            yield field, f"shares sum to {total:.6g}", "the shares of all users sum to 1", "mend the shares"


def _replicas(scenario: Scenario, _: Names) -> Iterator[Finding]:
    slots = scenario.horizon.slots
    for workload in scenario.workloads:
        field, given = f"workloads.{workload.name}.replicas", workload.replicas
        if isinstance(given, tuple):
            if len(given) != slots:
                yield field, f"a list of {len(given)}", f"one number for each of {slots} slots", "mend the list"
            continue
        found = [name for name, value in _sources(given) if value is not None]
        if len(found) != 1 and found != ["history", "task"]:
            yield (field, " and ".join(found) or "none of them",
                   "one of from, history, task, paths, or a list (history and task go together)",
                   "keep one" if found else "add one")
        if workload.request is None and given.task is None:
            yield (f"workloads.{workload.name}.request", "not given", "vcpu and memory_gib of one replica",
                   "add them, or describe the task under replicas.task")


def _sources(given: Replicas) -> tuple[tuple[str, object], ...]:
    return ("from", given.from_), ("history", given.history), ("task", given.task), ("paths", given.paths)


def _requests(scenario: Scenario, _: Names) -> Iterator[Finding]:
    for workload in scenario.workloads:
        request, field = workload.request, f"workloads.{workload.name}"
        if request is not None and not (request.vcpu or request.memory_gib or request.gpu):
            yield f"{field}.request", "nothing", "a replica takes vcpu, memory_gib or gpu", "say how much"
        if request is None and isinstance(workload.replicas, tuple):
            yield f"{field}.request", "not given", "vcpu and memory_gib of one replica", "add them"
        if workload.data is not None and workload.data.location is None and workload.data.gb_per_day_in:
            yield (f"{field}.data.location", "not given", "gb_per_day_in is read from somewhere",
                   "add location, such as aws/sa-east-1")


def _batches(scenario: Scenario, _: Names) -> Iterator[Finding]:
    for workload in scenario.workloads:
        if workload.batch is not None:
            yield from _window(f"workloads.{workload.name}.batch", workload, scenario.horizon.slots)
            if workload.max_parts > 1:
                yield (f"workloads.{workload.name}.max_parts", str(workload.max_parts),
                       "1 for a workload with batch: a gang runs in one pool", "use 1, or leave batch out")
        elif workload.slo.deadline_slot is not None:
            yield (f"workloads.{workload.name}.slo.deadline_slot", str(workload.slo.deadline_slot),
                   "only a workload with batch ends", "add batch, or remove it")


def _window(field: str, workload: Workload, slots: int) -> Iterator[Finding]:
    batch = workload.batch
    assert batch is not None
    first_end = batch.earliest_slot + batch.duration_slots
    if first_end > slots:
        yield (field, f"earliest_slot {batch.earliest_slot} + duration_slots {batch.duration_slots}",
               f"a run ends within the horizon of {slots} slots", "start earlier, or make the horizon longer")
    if batch.latest_slot is not None and batch.latest_slot < batch.earliest_slot:
        yield (f"{field}.latest_slot", str(batch.latest_slot), f"at least earliest_slot {batch.earliest_slot}",
               "swap them")
    if batch.every_slots is not None and batch.every_slots < batch.duration_slots:
        yield (f"{field}.every_slots", str(batch.every_slots),
               f"at least duration_slots {batch.duration_slots}: runs never overlap", "run less often")


def _rules(scenario: Scenario, names: Names) -> Iterator[Finding]:
    clusters = tuple(names.pools)
    matches: dict[str, bool] = {}
    for workload in scenario.workloads:
        rules, field = workload.clusters, f"workloads.{workload.name}.clusters"
        for pattern in rules.allow or ():
            known, what = (names.both, "pool") if "/" in pattern else (clusters, "cluster")
            if pattern not in matches:  # a wildcard may be meant for clusters of other fleets
                matches[pattern] = any(c in pattern for c in "*?[") or pattern in known
            if not matches[pattern]:
                yield f"{field}.allow", pattern, f"matches no {what}", did_you_mean(pattern, list(known))
        if rules.pin is not None and rules.pin not in names.both:
            yield (f"{field}.pin", rules.pin, "a cluster, or one pool of it as cluster/pool",
                   did_you_mean(rules.pin, list(names.both)))


def _incumbents(scenario: Scenario, names: Names) -> Iterator[Finding]:
    for workload in scenario.workloads:
        now, field = workload.incumbent, f"workloads.{workload.name}.incumbent"
        if now is None:
            continue
        pools = names.pools.get(now.cluster)
        if pools is None:
            yield (f"{field}.cluster", now.cluster, "no cluster has that name",
                   did_you_mean(now.cluster, list(names.pools)))
        elif now.pool is not None and now.pool not in pools:
            yield (f"{field}.pool", now.pool, f"no pool of {now.cluster} has that name",
                   did_you_mean(now.pool, list(pools)))


def _watched(scenario: Scenario, names: Names) -> Iterator[Finding]:
    """Watched clusters are clusters of the scenario, and of the hardware class and country that is said of them; one
    workload scores a cluster, and one compares its months, as what is said of a row is said once.
    """
    clusters = {cluster.name: cluster for cluster in scenario.clusters}
    taken: dict[tuple[str, str], str] = {}
    for workload in scenario.workloads:
        watches, field = workload.watches, f"workloads.{workload.name}.watches"
        if watches is None:
            continue
        for name in watches.clusters:
            if name not in names.pools:
                yield f"{field}.clusters", name, "no cluster has that name", did_you_mean(name, list(names.pools))
            elif name in clusters and clusters[name].hardware_class not in (None, watches.hardware_class):
                yield (f"{field}.hardware_class", watches.hardware_class,
                       f"{name} is {clusters[name].hardware_class}", "watch clusters of one class")
            elif name in clusters and clusters[name].country not in (None, watches.country):
                yield (f"{field}.country", watches.country, f"{name} is in {clusters[name].country}",
                       "watch clusters of one country: rows do not leave it")
            if watches.purpose != "train":
                first = taken.setdefault((name, watches.purpose), workload.name)
                if first != workload.name:
                    yield f"{field}.clusters", name, f"{first} has the purpose {watches.purpose} there", "name it once"


def _losses(scenario: Scenario, _: Names) -> Iterator[Finding]:
    """A plan names what is lost: a cluster's name and a provider's must differ where both are to be survived."""
    levels = {scenario.level_survived(workload) for workload in scenario.workloads}
    if {"cluster", "provider"} <= levels:
        providers = {cluster.provider for cluster in scenario.clusters}
        for cluster in scenario.clusters:
            if cluster.name in providers:
                yield (f"clusters.{cluster.name}.name", cluster.name,
                       "a name that no provider has, where losses of clusters and of providers are to be survived",
                       "rename the cluster")


def _shared(scenario: Scenario, names: Names) -> Iterator[Finding]:
    pools = [f"{cluster}/{pool}" for cluster, found in names.pools.items() for pool in found]
    rows = [(f"limits.{limit.name}.pools", limit.pools) for limit in scenario.limits]
    rows += [(f"commitments.{commitment.name}.covers", commitment.covers) for commitment in scenario.commitments]
    for field, patterns in rows:
        for pattern in patterns:
            if not any(fnmatchcase(pool, pattern) for pool in pools):
                yield field, pattern, "matches no pool (cluster/pool)", did_you_mean(pattern, pools)
    for commitment in scenario.commitments:
        yield from _commitment(f"commitments.{commitment.name}", commitment)


def _commitment(field: str, row: Commitment) -> Iterator[Finding]:
    """Which fields go with which unit; machines are whole."""
    by_machine = row.unit == "machines"
    needed, other = ("price_usd_per_hour", "discount") if by_machine else ("discount", "price_usd_per_hour")
    what = {"price_usd_per_hour": "what one machine costs", "discount": "the share that it takes off prices"}
    if getattr(row, needed) is None:
        yield f"{field}.{needed}", "not given", f"unit {row.unit} needs it: {what[needed]}", f"add {needed}"
    if getattr(row, other) is not None:
        yield (f"{field}.{other}", shown(getattr(row, other)), f"does not go with unit {row.unit}",
               f"remove it, or use unit: {'usd_per_hour' if by_machine else 'machines'}")
    for name in ("owned", "max_buy") if by_machine else ():
        if getattr(row, name) != int(getattr(row, name)):
            yield f"{field}.{name}", shown(getattr(row, name)), "a whole number of machines", "round it"


def _interference(scenario: Scenario, names: Names) -> Iterator[Finding]:
    """Pairs name workloads; and what they do not go with yet."""
    known = list(names.workloads)
    for at, pair in enumerate(scenario.interference):
        for field, pattern in (("workload", pair.workload), ("other", pair.other)):
            if not any(fnmatchcase(name, pattern) for name in known):
                yield f"interference[{at}].{field}", pattern, "matches no workload", did_you_mean(pattern, known)
    for workload in scenario.workloads if scenario.interference else ():
        if workload.max_parts > 1:
            yield (f"workloads.{workload.name}.max_parts", str(workload.max_parts),
                   "not available yet together with interference", "use 1, or leave interference out")
        if scenario.level_survived(workload) != "none":
            yield ("survive", scenario.level_survived(workload), "not available yet together with interference",
                   "use none, or leave interference out")
            break


def _pooled(scenario: Scenario, _: Names) -> Iterator[Finding]:
    """Room after a loss, and work that is split over pools, are not sized on joint demand yet."""
    if scenario.sizing != "pooled":
        return
    if scenario.survive != "none":
        yield "survive", scenario.survive, "not available yet with sizing: pooled", "use none, or sizing: each"
    for workload in scenario.workloads:
        if workload.survive not in (None, "none"):
            yield (f"workloads.{workload.name}.survive", str(workload.survive),
                   "not available yet with sizing: pooled", "use none, or sizing: each")
        if workload.max_parts > 1:
            yield (f"workloads.{workload.name}.max_parts", str(workload.max_parts),
                   "not available yet with sizing: pooled", "use 1, or sizing: each")
    if scenario.interference:
        yield "interference", "given", "not available yet with sizing: pooled", "leave it out, or use sizing: each"


CHECKS: tuple[Callable[[Scenario, Names], Iterator[Finding]], ...] = (
    _periods, _objective, _duplicates, _slashes, _countries, _zones, _by_slot, _offers, _requests, _replicas, _users,
    _flow, _batches, _rules, _incumbents, _watched, _losses, _shared, _interference, _pooled,
)
"""All checks, in the order in which their findings are listed."""


