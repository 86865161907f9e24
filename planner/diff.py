"""What changes from one plan to another: a pure function of two plans."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from planner.plan import MachineRow, Plan

Stream = tuple[str, str | None]
"""A workload, or what one user region sends to it."""
Place = tuple[str, str, int | None, int, int | None]
"""Cluster, pool, start slot, part and cap of one unit."""
Kind = Literal["new", "gone", "moved", "copies", "start"]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two plans in figures. `covered` of `streams` lose nothing when one cluster is lost: they have a second
    copy or a fallback. `peak_machines` run in the busiest slot, `machine_hours` over all that the horizon stands for.
    """

    plan_id: str
    status: str
    mode: str
    cost_usd: float
    costs: Mapping[str, float]
    sla_attainment: float
    bound: float
    gap: float
    unplaced: int
    streams: int
    covered: int
    peak_machines: int
    machine_hours: float

    @property
    def exists(self) -> bool:
        """Whether there is anything to run by."""
        return self.status != "infeasible" or self.streams > 0


@dataclass(frozen=True, slots=True)
class Changed:
    """A stream that is elsewhere. `before` and `after` are the places that differ, those that stay are left out.

    `kind`: it is new or gone; it moved; it has more or fewer copies; it only starts in another slot.
    """

    workload: str
    user_region: str | None
    kind: Kind
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Amount:
    """One figure by name, before and after."""

    name: str
    before: float
    after: float

    @property
    def by(self) -> float:
        """How much more it is."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class PoolChange:
    """Machines of a pool: the most that run in any slot, and hours over the horizon."""

    cluster: str
    pool: str
    peak_before: int
    peak_after: int
    hours_before: float
    hours_after: float


@dataclass(frozen=True, slots=True)
class Route:
    """Units that went from one pool to another."""

    before: str
    after: str
    units: int


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """All that differs, each list in a fixed order: streams by name, pools by name, routes by units.

    `unplaced` and `placed_again` are workloads; `uncovered` and `covered_again` streams that lost or won their cover
    against the loss of a cluster; `diagnostics` is what these cost by kind. `notes` say why the two plans may not be
    compared as they stand.
    """

    before: Side
    after: Side
    changed: tuple[Changed, ...]
    routes: tuple[Route, ...]
    pools: tuple[PoolChange, ...]
    owners: tuple[Amount, ...]
    diagnostics: tuple[Amount, ...]
    fallbacks: tuple[Amount, ...]
    unplaced: tuple[tuple[str, tuple[str, ...]], ...]
    placed_again: tuple[str, ...]
    uncovered: tuple[str, ...]
    covered_again: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs that a cluster or a purse would notice."""
        return not (self.changed or self.pools or self.unplaced or self.placed_again or self.fallbacks
                    or self.before.costs != self.after.costs)

    def of_kind(self, *kinds: Kind) -> tuple[Changed, ...]:
        """The changed streams of these kinds."""
        return tuple(row for row in self.changed if row.kind in kinds)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON has it, with `same`."""
        return {"same": self.same, **asdict(self)}


def diff(before: Plan, after: Plan) -> PlanDiff:
    """What changes from one plan to the other. Copies of a stream are alike: only where they are counts."""
    old, new = _Reading(before), _Reading(after)
    changed = tuple(_changed(old.places, new.places))
    lost, won = old.covered - new.covered, new.covered - old.covered
    missing, was_missing = {row.workload: row.reasons for row in after.unplaced}, {r.workload for r in before.unplaced}
    return PlanDiff(
        before=old.side(), after=new.side(), changed=changed, routes=_routes(changed), pools=_pools(before, after),
        owners=_amounts(before.costs_by_owner, after.costs_by_owner),
        diagnostics=_amounts(before.costs_of_diagnostics, after.costs_of_diagnostics),
        fallbacks=_amounts(Counter(row.lost for row in before.fallbacks), Counter(r.lost for r in after.fallbacks)),
        unplaced=tuple((name, missing[name]) for name in sorted(missing.keys() - was_missing)),
        placed_again=tuple(sorted(was_missing - missing.keys())),
        uncovered=_named(stream for stream in lost if stream in new.places),
        covered_again=_named(stream for stream in won if stream in old.places), notes=tuple(_notes(before, after)))


class _Reading:
    """A plan as places by stream."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.places: dict[Stream, list[Place]] = defaultdict(list)
        copies: dict[Stream, set[int]] = defaultdict(set)
        for unit in plan.assignments:
            stream = (unit.workload, unit.user_region)
            self.places[stream].append((unit.cluster, unit.pool, unit.start_slot, unit.part, unit.cap))
            copies[stream].add(unit.copy_)
        several = {stream for stream, found in copies.items() if len(found) > 1}
        self.covered = several | {(row.workload, row.user_region) for row in plan.fallbacks}

    def side(self) -> Side:
        plan = self.plan
        running, hours = [sum(at) for at in zip(*(row.count for row in plan.machines), strict=True)], _hours(plan)
        return Side(plan.plan_id, plan.status, plan.mode, plan.cost_usd, plan.costs.model_dump(), plan.sla_attainment,
                    plan.bound, plan.gap, len(plan.unplaced), len(self.places), len(self.covered),
                    max(running, default=0), _sum_product(running, hours))


def _changed(old: Mapping[Stream, list[Place]], new: Mapping[Stream, list[Place]]) -> Iterator[Changed]:
    for stream in sorted(old.keys() | new.keys(), key=_by_name):
        was, now = old.get(stream, []), new.get(stream, [])
        if was == now:
            continue
        left, came = (was, now) if len(was) == len(now) == 1 else (_without(was, now), _without(now, was))
        if left or came:
            yield Changed(*stream, _kind(was, now, left, came), _words(left), _words(came))


def _without(places: list[Place], others: list[Place]) -> list[Place]:
    """Places that are not among the others, each as often as it is more often here."""
    return list((Counter(places) - Counter(others)).elements())


def _kind(was: list[Place], now: list[Place], left: list[Place], came: list[Place]) -> Kind:
    if not was or not now:
        return "gone" if was else "new"
    if len(was) != len(now):
        return "copies"
    return "start" if sorted(place[:2] for place in left) == sorted(place[:2] for place in came) else "moved"


def _words(places: list[Place]) -> tuple[str, ...]:
    ordered = sorted(places, key=lambda place: [str(part) for part in place]) if len(places) > 1 else places
    return tuple(_place(place) for place in ordered)


def _place(place: Place) -> str:
    cluster, pool, start, part, cap = place
    more = "" if start is None else f" from slot {start}"
    more += f", part {part}" if part or cap is not None else ""
    return f"{cluster}/{pool}{more}" + ("" if cap is None else f" up to {cap}")


def _by_name(stream: Stream) -> tuple[str, str]:
    return stream[0], stream[1] or ""


def stream_name(workload: str, user_region: str | None) -> str:
    """A stream for people."""
    return f"{workload} (users in {user_region})" if user_region else workload


def _named(streams: Iterator[Stream]) -> tuple[str, ...]:
    return tuple(stream_name(*stream) for stream in sorted(streams, key=_by_name))


def _routes(changed: tuple[Changed, ...]) -> tuple[Route, ...]:
    """From which pool to which, most units first; where a stream's copies went several ways, in order of names."""
    count: Counter[tuple[str, str]] = Counter()
    for row in changed:
        if row.kind in ("moved", "copies"):
            count.update((a.split(" from slot ")[0], b.split(" from slot ")[0])
                         for a, b in zip(row.before, row.after, strict=False))
    ordered = sorted(count.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Route(*pools, units) for pools, units in ordered)


def _pools(before: Plan, after: Plan) -> tuple[PoolChange, ...]:
    """Pools whose machines differ in some slot."""
    old, new, hours = _by_pool(before), _by_pool(after), (_hours(before), _hours(after))
    rows = []
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key, []), new.get(key, [])
        if was != now and (any(was) or any(now)):
            rows.append(PoolChange(*key, max(was, default=0), max(now, default=0),
                                   _sum_product(was, hours[0]), _sum_product(now, hours[1])))
    return tuple(rows)


def _hours(plan: Plan) -> list[float]:
    """Hours that each slot stands for."""
    horizon = plan.horizon
    if not horizon.periods:
        return [horizon.slot_minutes / 60] * horizon.slots
    return [window.stands_for_days * 24 / window.slots for window in horizon.periods for _ in range(window.slots)]


def _sum_product(counts: list[int], hours: list[float]) -> float:
    return sum(count * hour for count, hour in zip(counts, hours, strict=False))


def _by_pool(plan: Plan) -> dict[tuple[str, str], list[int]]:
    """Machines by slot, whatever way they are paid for."""
    rows: dict[tuple[str, str], list[MachineRow]] = defaultdict(list)
    for row in plan.machines:
        rows[row.cluster, row.pool].append(row)
    return {key: [sum(counts) for counts in zip(*(row.count for row in found), strict=True)]
            for key, found in rows.items()}


def _amounts(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[Amount, ...]:
    """Figures that differ by name."""
    rows = (Amount(name, before.get(name, 0), after.get(name, 0)) for name in sorted(before.keys() | after.keys()))
    return tuple(row for row in rows if row.before != row.after)


def _notes(before: Plan, after: Plan) -> Iterator[str]:
    if before.name != after.name:
        yield f"the plans are of different scenarios: {before.name} and {after.name}"
    elif before.provenance.scenario_sha256 != after.provenance.scenario_sha256:
        yield f"the scenario {after.name} was changed between the two plans"
    days = [plan.horizon.days for plan in (before, after)]
    if days[0] != days[1]:
        yield f"the horizons differ ({days[0]:g} and {days[1]:g} days): costs do not compare"
    elif before.horizon != after.horizon:
        yield f"the horizons differ: from {before.horizon.start} and from {after.horizon.start}"
    asked = [plan.provenance.objective for plan in (before, after)]
    if asked[0] != asked[1] and all(asked):
        yield f"the objectives differ: {_asked(asked[0])} and {_asked(asked[1])}"
    elif before.mode != after.mode:
        yield f"the objectives differ: {before.mode} and {after.mode}"


def _asked(objective: Mapping[str, Any] | None) -> str:
    given = {name: value for name, value in (objective or {}).items() if value is not None}
    return " ".join(str(value) if name == "mode" else f"{name} {value:g}" for name, value in given.items())
