"""What directing needs of a plan: for every stream its places, their shares slot by slot, and where each falls back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from planner.errors import InputError
from planner.files import write_atomically
from planner.plan import Assignment, Plan, PlanHorizon

if TYPE_CHECKING:
    from planner.demand import Demand
    from planner.scenario.model import Cluster

Item = TypeVar("Item")
Row = Annotated[tuple[Item, ...], Strict(strict=False)]
Share = Annotated[float, Field(ge=0, le=1)]
StreamKey = tuple[str, str | None]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Unit(_Part):
    """A placed unit: the share of its stream that it takes, the same in all slots or one number a slot, and where it
    goes when its cluster is lost, by what is lost (a cluster, `provider/region`, a provider).
    """

    cluster: str
    share: Share | Row[Share]
    fallbacks: dict[str, str] = {}

    def share_in(self, slot: int) -> float:
        """Its share in a slot."""
        return self.share[slot] if isinstance(self.share, tuple) else self.share


class Stream(_Part):
    """A workload, or the `share` of it that users of one region send."""

    user_region: str | None = None
    share: Share = 1.0
    units: Row[Unit]


class Routes(_Part):
    """What a plan says of where requests go. `clusters` names the losses that take a cluster, itself first; the plan
    was made without those that were `down`. Of what is `unplaced`, `shed` is what must have a place and found none.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    plan_id: str
    name: str
    horizon: PlanHorizon
    clusters: dict[str, Row[str]]
    workloads: dict[str, Row[Stream]]
    unplaced: Row[str] = ()
    shed: Row[str] = ()
    down: Row[str] = ()

    def bounds(self) -> tuple[datetime, datetime]:
        """When the first slot begins and the last one ends."""
        start, end = self.horizon.moment(0), self.horizon.moment(self.horizon.slots)
        assert start is not None
        assert end is not None
        return start, end

    def plan_of(self, workload: str) -> str:  # noqa: ARG002 - routes of two plans know it by the workload
        """The plan by which requests for a workload go."""
        return self.plan_id

    def next_slot(self, slot: int) -> datetime | None:
        """When the slot after this one begins; None after the last."""
        return self.horizon.moment(slot + 1) if slot + 1 < self.horizon.slots else None


def routes_of(plan: Plan, clusters: Sequence[Cluster], demand: Demand) -> Routes:
    """The routes of a plan. `clusters` are those of its scenario, `demand` what it was made for.

    Copies of a stream share its load alike; parts share it as their caps and the replicas of each slot say.
    Raises InputError for a plan that is none, or that does not say when it begins.
    """
    if not plan.exists:
        raise InputError([f"plan {plan.plan_id[:12]}: infeasible: nothing is directed by a plan that is none"])
    if plan.horizon.start is None:
        raise InputError([f"plan {plan.plan_id[:12]}: horizon.start: missing: make the plan anew"])
    fallbacks = _fallbacks(plan)
    row = {workload.name: w for w, workload in enumerate(demand.workloads)}
    users = {workload.name: {user.region: user.share for user in workload.users} for workload in demand.workloads}
    streams: dict[StreamKey, list[Assignment]] = defaultdict(list)
    for unit in plan.assignments:
        streams[unit.workload, unit.user_region].append(unit)
    workloads: dict[str, list[Stream]] = defaultdict(list)
    for (name, region), units in streams.items():
        share = users[name][region] if region is not None else 1.0
        load = demand.replicas[row[name]] * share
        shares = _shares(units, [float(value) for value in load])
        made = [Unit(cluster=unit.cluster, share=part, fallbacks=fallbacks.get(_key(unit), {}))
                for unit, part in zip(units, shares, strict=True)]
        workloads[name].append(Stream(user_region=region, share=share, units=tuple(made)))
    return Routes(plan_id=plan.plan_id, name=plan.name, horizon=plan.horizon,
                  clusters={one.name: (one.name, one.region_key, one.provider) for one in clusters},
                  workloads={name: tuple(found) for name, found in workloads.items()},
                  unplaced=tuple(row.workload for row in plan.unplaced), shed=plan.shed, down=plan.provenance.down)


def _key(unit: Assignment) -> tuple[str, str | None, int, int]:
    return unit.workload, unit.user_region, unit.copy_, unit.part


def _fallbacks(plan: Plan) -> Mapping[tuple[str, str | None, int, int], dict[str, str]]:
    """Where every unit goes, by what is lost."""
    found: dict[tuple[str, str | None, int, int], dict[str, str]] = defaultdict(dict)
    for row in plan.fallbacks:
        found[row.workload, row.user_region, row.copy_, row.part][row.lost] = row.cluster
    return found


def _shares(units: Sequence[Assignment], load: Sequence[float]) -> list[float | tuple[float, ...]]:
    """The share of a stream's `load` [T] that each unit takes."""
    if all(unit.part == 0 and unit.cap is None for unit in units):
        return [1.0 / len(units)] * len(units)
    below, shares = 0, dict[int, tuple[float, ...]]()
    for unit in sorted(units, key=lambda unit: unit.part):
        cap = unit.cap
        shares[unit.part] = tuple(_taken(total, below, cap) for total in load)
        below += cap or 0
    return [shares[unit.part] for unit in units]


def _taken(total: float, below: int, cap: int | None) -> float:
    """The share of `total` replicas that a part takes after those before it; of nothing, the first takes all."""
    if total <= 0:
        return float(below == 0)
    left = max(total - below, 0.0)
    return (left if cap is None else min(left, cap)) / total


def open_routes(scenario: Path, plan: Path) -> Routes:
    """The routes of a plan.json and the scenario that it was made for. Raises InputError."""
    from planner.opened import open_plan  # numba and pandas: a router that reads routes from a file needs neither

    opened = open_plan(scenario, plan)
    return routes_of(opened.plan, opened.scenario.clusters, opened.formulation.demand)


def routes_text(routes: Routes) -> str:
    """Routes as JSON."""
    return routes.model_dump_json(by_alias=True)


def write_routes(routes: Routes, path: Path) -> None:
    """Write routes as JSON: all of it or nothing. Raises OSError."""
    write_atomically(path, routes_text(routes).encode())


def parse_routes(text: str | bytes, where: str) -> Routes:
    """Read routes from JSON. Raises InputError with one line for each mistake."""
    try:
        return Routes.model_validate_json(text)
    except ValidationError as error:
        raise InputError(_problems(where, error)) from None


def read_routes(path: Path) -> Routes:
    """Read routes that `write_routes` wrote. Raises InputError."""
    try:
        return parse_routes(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError([f"{path}: {error.strerror}: name a file that `planner export routes` wrote"]) from None


def _problems(where: str, error: ValidationError) -> Iterable[str]:
    for mistake in error.errors(include_url=False):
        yield f"{where}: {'.'.join(str(step) for step in mistake['loc'])}: {mistake['msg']}"


def utc(seconds: float) -> datetime:
    """POSIX seconds as a time."""
    return datetime.fromtimestamp(seconds, UTC)
