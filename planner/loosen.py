"""Ways to loosen one rule of a scenario, step by step: a larger maximum, one more country, a later deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

from planner.rules import (
    KINDS,
    Rule,
    at_least,
    fitting,
    held_usd,
    highest,
    only,
    said,
    with_batch,
    with_clusters,
    with_hardware,
    with_max,
    with_objective,
    with_slo,
    without,
)
from planner.scenario.model import Cluster, Offer, Pool, Residency, Scenario, Workload

NINES = (0.99999, 0.9999, 0.9995, 0.999, 0.995, 0.99, 0.95, 0.9, 0.8, 0.5)
FLOOR_STEPS = 200
BUDGET_STEPS = 60
LIMIT_STEPS = 100


@dataclass(frozen=True, slots=True)
class Ladder:
    """One way to loosen a rule: step 0 is the least, step `steps - 1` the most; each allows what the one before does.

    `words(step)` says it, `apply(scenario, step)` does it.
    """

    steps: int
    words: Callable[[int], str]
    apply: Callable[[Scenario, int], Scenario]


def ladders(rule: Rule, scenario: Scenario, most_machines: int) -> Iterator[Ladder]:
    """Ways to loosen a rule of a scenario; `most_machines` are more than all its workloads could ever use."""
    if rule.kind in _WAYS:
        yield from _WAYS[rule.kind](rule, scenario, most_machines)
    else:
        yield _once(f"without: {rule.words}", lambda s: without(s, [rule]))


def _once(words: str, apply: Callable[[Scenario], Scenario]) -> Ladder:
    return Ladder(1, lambda _: words, lambda scenario, _: apply(scenario))


def _of_workload(name: str, change: Callable[[Workload], Workload]) -> Callable[[Scenario], Scenario]:
    def apply(scenario: Scenario) -> Scenario:
        return scenario.model_copy(update={"workloads": tuple(
            change(workload) if workload.name == name else workload for workload in scenario.workloads)})
    return apply


def _of_pool(name: str, change: Callable[[Pool], Pool]) -> Callable[[Scenario], Scenario]:
    def apply(scenario: Scenario) -> Scenario:
        return scenario.model_copy(update={"clusters": tuple(
            cluster.model_copy(update={"pools": tuple(
                change(pool) if f"{cluster.name}/{pool.name}" == name else pool for pool in cluster.pools)})
            for cluster in scenario.clusters)})
    return apply


def _with_offer(pool: Pool, purchase: str, **fields: int | tuple[int, ...]) -> Pool:
    return pool.model_copy(update={"offers": tuple(
        offer.model_copy(update=fields) if offer.purchase == purchase else offer for offer in pool.offers)})


def _find(scenario: Scenario, name: str) -> Workload:
    return next(workload for workload in scenario.workloads if workload.name == name)


def _pool(scenario: Scenario, name: str) -> tuple[Cluster, Pool]:
    return next((cluster, pool) for cluster in scenario.clusters for pool in cluster.pools
                if f"{cluster.name}/{pool.name}" == name)


def _values(values: Sequence[float], words: str, change: Callable[[Workload, float], Workload],
            name: str) -> Iterator[Ladder]:
    """A ladder over values of one field; `words` takes {value}."""
    if values:
        yield Ladder(len(values), lambda step: words.format(value=f"{values[step]:.12g}"),
                     lambda scenario, step: _of_workload(name, lambda w: change(w, values[step]))(scenario))


def _leave_out(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:  # noqa: ARG001 (the face of all ways)
    name = rule.subject
    yield _once(f"leave out {name}", lambda s: only(s, [w.name for w in s.workloads if w.name != name]))


def _residency(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:
    name, home = rule.subject, _find(scenario, rule.subject).residency
    for country in sorted({cluster.country for cluster in scenario.clusters if cluster.country is not None}):
        if (home.allow is None or country in home.allow) and country not in home.deny:
            continue
        allow = None if home.allow is None else tuple(sorted({*home.allow, country}))
        wider = Residency(allow=allow, deny=tuple(one for one in home.deny if one != country))
        yield _once(f"let {name} run in {country}", _of_workload(name, _set(residency=wider)))


def _clusters(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:
    name, rules = rule.subject, _find(scenario, rule.subject).clusters
    for cluster in scenario.clusters:
        allow = None if rules.allow is None else (*rules.allow, cluster.name)
        if allow is not None and cluster.name not in (rules.allow or ()):
            yield _once(f"let {name} run on {cluster.name}",
                        _of_workload(name, lambda w, allow=allow: with_clusters(w, allow=allow)))  # type: ignore[misc]
    if rules.deny:
        yield _once(f"deny {name} no cluster", _of_workload(name, lambda w: with_clusters(w, deny=())))


def _set(**fields: object) -> Callable[[Workload], Workload]:
    return lambda workload: workload.model_copy(update=fields)


def _latency(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:
    """Every round trip from its users that is longer than allowed now."""
    workload = _find(scenario, rule.subject)
    regions, now = {user.region for user in workload.users}, workload.slo.latency_ms or 0.0
    trips = {link.rtt_ms for link in scenario.links if link.rtt_ms is not None
             and (link.from_ in regions or link.to in regions)}
    slower = sorted({trip + workload.slo.service_ms for trip in {0.0, *trips}} - {now})
    yield from _values([ms for ms in slower if ms > now], f"let {workload.name} answer within {{value}} ms",
                       lambda w, ms: with_slo(w, latency_ms=ms), workload.name)


def _availability(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:
    workload = _find(scenario, rule.subject)
    lower = {cluster.availability for cluster in scenario.clusters} | set(NINES)
    values = sorted((value for value in lower if value < (workload.slo.availability or 0.0)), reverse=True)
    yield from _values(values, f"let {workload.name} have availability {{value}}",
                       lambda w, value: with_slo(w, availability=value), workload.name)


def _deadline(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:
    workload = _find(scenario, rule.subject)
    later = range((workload.slo.deadline_slot or 0) + 1, scenario.horizon.slots)
    yield from _values(list(later), f"let {workload.name} be done by slot {{value}}",
                       lambda w, slot: with_slo(w, deadline_slot=int(slot)), workload.name)


def _window(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:
    workload = _find(scenario, rule.subject)
    assert workload.batch is not None
    widest = KINDS["window"].drop(workload, scenario).batch
    late, early = workload.batch.latest_slot or 0, workload.batch.earliest_slot
    yield from _values(list(range(late + 1, widest.latest_slot + 1)), f"let {workload.name} start up to slot {{value}}",
                       lambda w, slot: with_batch(w, latest_slot=int(slot)), workload.name)
    yield from _values(list(range(early - 1, -1, -1)), f"let {workload.name} start from slot {{value}} on",
                       lambda w, slot: with_batch(w, earliest_slot=int(slot)), workload.name)


def _stated(field: str, cluster_field: str, words: str, *, rising: bool) -> _Way:
    """Values that clusters state beyond what is asked for."""
    def ways(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:
        workload = _find(scenario, rule.subject)
        now = getattr(workload.slo, field)
        stated = {value for cluster in scenario.clusters if (value := getattr(cluster, cluster_field)) is not None}
        values = sorted((v for v in stated if (v > now) == rising and v != now), reverse=not rising)
        yield from _values(values, words.format(name=workload.name, value="{value}"),
                           lambda w, value: with_slo(w, **{field: value}), workload.name)
        yield _once(f"without: {rule.words}", lambda s: without(s, [rule]))
    return ways


def _models(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:
    name, now = rule.subject, _find(scenario, rule.subject).hardware.gpu_models or ()
    there = {pool.machine.gpu_model for cluster in scenario.clusters for pool in cluster.pools}
    for model in sorted({one for one in there if one is not None} - set(now)):
        yield _once(f"let {name} run on {model}",
                    _of_workload(name, lambda w, model=model: with_hardware(w, gpu_models=(*now, model))))  # type: ignore[misc]
    yield _once(f"let {name} run on any hardware", lambda s: without(s, [rule]))


def _request(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:
    small = fitting(_find(scenario, rule.subject), scenario)
    assert small.request is not None
    words = f"{small.request.vcpu:g} vCPU, {small.request.memory_gib:g} GiB"
    words += f", {small.request.gpu} GPUs" if small.request.gpu else ""
    yield _once(f"let a replica of {small.name} need {words} at most",
                _of_workload(small.name, _set(request=small.request)))


def _spot(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:  # noqa: ARG001 (the face of all ways)
    yield _once(f"let {rule.subject} run on spot machines", _of_workload(rule.subject, _set(preemptible=True)))


def _pin(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:  # noqa: ARG001 (the face of all ways)
    yield _once(f"do not pin {rule.subject}", lambda s: without(s, [rule]))


def _pool_max(rule: Rule, scenario: Scenario, most: int) -> Iterator[Ladder]:
    limit = _pool(scenario, rule.subject)[1].max
    now = highest(limit)
    if most > now:
        start = f"raise max of pool {rule.subject} from {said(limit)} to"
        yield Ladder(most - now, lambda step: f"{start} {now + 1 + step}",
                     lambda s, step: _of_pool(rule.subject, lambda pool: with_max(pool, now + 1 + step))(s))


def _offer_of(scenario: Scenario, subject: str) -> tuple[str, Pool, Offer]:
    name, purchase = subject.rsplit("/", 1)
    pool = _pool(scenario, name)[1]
    return name, pool, next(offer for offer in pool.offers if offer.purchase == purchase)


def _offer_max(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:
    name, pool, offer = _offer_of(scenario, rule.subject)
    now = min(offer.max) if isinstance(offer.max, tuple) else offer.max or 0
    yield Ladder(highest(pool.max) - now, lambda step: f"raise max of {offer.purchase} machines of {name} from "
                                                       f"{said(offer.max)} to {now + 1 + step}",
                 lambda s, step: _of_pool(name, lambda p: _with_offer(
                     p, offer.purchase, max=at_least(offer.max, now + 1 + step)))(s))


def _owned(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:
    name, _pool_there, offer = _offer_of(scenario, rule.subject)
    now = highest(offer.owned)
    yield Ladder(now, lambda step: f"hold {now - 1 - step} {offer.purchase} machines of {name} instead of "
                                   f"{said(offer.owned)}",
                 lambda s, step: _of_pool(name, lambda p: _with_offer(
                     p, offer.purchase, owned=_at_most(offer.owned, now - 1 - step)))(s))


def _min(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:
    least = _pool(scenario, rule.subject)[1].min
    now = highest(least)
    def lower(step: int) -> Callable[[Pool], Pool]:
        return lambda pool: pool.model_copy(update={"min": _at_most(least, now - 1 - step)})
    yield Ladder(now, lambda step: f"lower min of pool {rule.subject} from {said(least)} to {now - 1 - step}",
                 lambda s, step: _of_pool(rule.subject, lower(step))(s))


def _at_most(value: int | tuple[int, ...], most: int) -> int | tuple[int, ...]:
    return tuple(min(one, most) for one in value) if isinstance(value, tuple) else min(value, most)


def _lead_time(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:
    days = ceil(_pool(scenario, rule.subject)[1].lead_time_days)
    def shorter(step: int) -> Callable[[Pool], Pool]:
        return lambda pool: pool.model_copy(update={"lead_time_days": float(days - 1 - step)})
    yield Ladder(days, lambda step: f"get machines of {rule.subject} within {days - 1 - step} days",
                 lambda s, step: _of_pool(rule.subject, shorter(step))(s))


def _floor(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:  # noqa: ARG001 (the face of all ways)
    """Floors at which one more of the lightest workloads may be left out; in even steps where there are many."""
    floor, weights = scenario.objective.sla_floor or 0.0, [w.weight for w in scenario.workloads if w.droppable]
    total, least = sum(w.weight for w in scenario.workloads), min((w for w in weights if w > 0), default=1.0)
    step = max(least / total, 1 / FLOOR_STEPS) if total else 1.0
    ends = [max(0.0, 1 - (count * step)) for count in range(1, ceil(1 / step) + 1)]
    values = [value for value in ends if value < floor - 1e-9]
    if values:
        yield Ladder(len(values), lambda at: f"lower sla_floor from {floor:g} to {values[at]:.6g}",
                     lambda s, at: with_objective(s, sla_floor=values[at]))


def _limit(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:
    """Higher limits: one by one where machines or GPUs are counted, else in steps of a twentieth."""
    limit = next(one for one in scenario.limits if one.name == rule.subject)
    if limit.measure in ("machines", "gpu"):
        values = [float(floor(limit.max) + step) for step in range(1, 10 * ceil(limit.max) + LIMIT_STEPS)]
    else:
        values = [max(limit.max, 1.0) * 1.05**step for step in range(1, LIMIT_STEPS)]
    def raised(most: float) -> Callable[[Scenario], Scenario]:
        return lambda s: s.model_copy(update={"limits": tuple(
            one.model_copy(update={"max": most}) if one.name == limit.name else one for one in s.limits)})
    yield Ladder(len(values), lambda step: f"raise max of limit {limit.name} from {limit.max:g} to {values[step]:.6g}",
                 lambda s, step: raised(values[step])(s))


def _budget(rule: Rule, scenario: Scenario, _: int) -> Iterator[Ladder]:  # noqa: ARG001 (the face of all ways)
    """From what is paid for anyway upwards, in steps of a twentieth."""
    now = scenario.objective.budget_usd or 0.0
    held = sum(held_usd(offer, scenario) for cluster in scenario.clusters for pool in cluster.pools
               for offer in pool.offers)
    least = ceil(max(held, now + 0.01) * 100) / 100
    values = [ceil(least * 1.05**step * 100) / 100 for step in range(BUDGET_STEPS)]
    yield Ladder(len(values), lambda step: f"raise budget_usd from {now:,.2f} to {values[step]:,.2f}",
                 lambda s, step: with_objective(s, budget_usd=values[step]))


_Way = Callable[[Rule, Scenario, int], Iterator[Ladder]]
_WAYS: Mapping[str, _Way] = {
    "must": _leave_out, "residency": _residency, "clusters": _clusters, "pin": _pin, "latency": _latency,
    "availability": _availability, "deadline": _deadline, "window": _window, "gpu_models": _models, "spot": _spot,
    "deploy": _stated("deploy_minutes", "deploy_minutes", "let {name} be deployed within {value} minutes", rising=True),
    "durability": _stated("durability", "durability", "let {name} have durability {value}", rising=False),
    "request": _request, "pool": _pool_max, "min": _min, "offer": _offer_max, "owned": _owned, "lead_time": _lead_time,
    "floor": _floor, "budget": _budget, "limit": _limit,
}
"""How rules of each kind are loosened; those of other kinds are left out."""
