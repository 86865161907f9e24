"""The plan as people and other programs read it: `plan.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from planner.errors import InputError
from planner.files import write_atomically

Item = TypeVar("Item")
Row = Annotated[tuple[Item, ...], Strict(strict=False)]

Status = Literal["optimal", "feasible", "infeasible"]
OPTIMAL_GAP = 1e-4
"""The gap up to which a plan is called optimal."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class PlanPeriod(_Part):
    """One window of a horizon made of several, and the days it stands for."""

    start: Annotated[datetime, Strict(strict=False)]
    slots: Annotated[int, Field(ge=1)]
    stands_for_days: Annotated[float, Field(gt=0)]


class PlanHorizon(_Part):
    """Slots 0..slots-1 of `slot_minutes` from `start`, as in the scenario; 0 slots where a plan does not say.

    With `periods` the slots of the windows follow one another.
    """

    start: Annotated[datetime, Strict(strict=False)] | None = None
    slots: Annotated[int, Field(ge=0)] = 0
    slot_minutes: Annotated[int, Field(ge=1)] = 60
    periods: Row[PlanPeriod] = ()

    @property
    def days(self) -> float:
        """Days that the horizon stands for."""
        own = self.slots * self.slot_minutes / (24 * 60)
        return sum(window.stands_for_days for window in self.periods) if self.periods else own

    def moment(self, slot: int) -> datetime | None:
        """When a slot begins; at `slots`, when the last one ends. None where a plan does not say."""
        begin = self.start
        for at, window in enumerate(self.periods):
            begin = window.start
            if slot < window.slots or at == len(self.periods) - 1:
                break
            slot -= window.slots
        return None if begin is None else begin + timedelta(minutes=slot * self.slot_minutes)

    def slot_at(self, moment: datetime) -> int | None:
        """The last slot that has begun by then; None before the first, and where a plan does not say when it begins."""
        found, first = None, 0
        windows = [(window.start, window.slots) for window in self.periods]
        for begin, slots in windows or ([] if self.start is None else [(self.start, self.slots)]):
            if moment < begin:
                break
            found = first + min((moment - begin) // timedelta(minutes=self.slot_minutes), slots - 1)
            first += slots
        return found


class Costs(_Part):
    """USD over the horizon by part."""

    machines: float = 0.0
    egress: float = 0.0
    storage: float = 0.0
    moves: float = 0.0
    carbon: float = 0.0


class Assignment(_Part):
    """One placed unit: a copy of a workload, or of the part of it that one user region sends; or, where a copy is split
    over several pools, its `part`, which takes `cap` replicas at most of what the parts before it leave (null: all).
    """

    workload: str
    user_region: str | None = None
    copy_: Annotated[int, Field(ge=0)] = Field(default=0, alias="copy")
    part: Annotated[int, Field(ge=0)] = 0
    cap: int | None = None
    cluster: str
    pool: str
    start_slot: int | None = None


class MachineRow(_Part):
    """Running machines of one offer, slot by slot."""

    cluster: str
    pool: str
    purchase: Literal["owned", "on_demand", "spot", "committed"]
    count: Row[Annotated[int, Field(ge=0, le=2**31 - 1)]]


class Fallback(_Part):
    """Where a unit goes when `lost` is lost."""

    lost: str
    workload: str
    user_region: str | None = None
    copy_: int = Field(default=0, alias="copy")
    part: Annotated[int, Field(ge=0)] = 0
    cluster: str
    pool: str


class Group(_Part):
    """Workloads that share a pool's machines; see `planner.multiplex` for what the figures mean."""

    cluster: str
    pool: str
    workloads: Row[str]
    sum_of_peaks: int
    peak_of_sum: int
    saved_usd: float


class Unplaced(_Part):
    """A workload with a stream that is nowhere, and why."""

    workload: str
    reasons: Row[str]


class Scarce(_Part):
    """What limits the plan, and what one more of it would be worth."""

    what: str
    price_usd: float


class Miss(_Part):
    """The chance that a pool of a workload has too little room: in the slot where that is likeliest, and on average
    over the slots in which the workload asks for anything; `held_out` is that average on paths that sizes were not
    made from.
    """

    workload: str
    chance: float
    mean: float | None = None
    held_out: float | None = None


class PoolMiss(_Part):
    """The same of a pool, over the slots in which it is asked for anything."""

    cluster: str
    pool: str
    chance: float
    mean: float
    held_out: float


class Relaxation(_Part):
    """A rule that could be loosened, and what the plan would then cost."""

    what: str
    cost_usd: float


class Reason(_Part):
    """Why a workload is where it is, and the next best pool; `runner_up` is empty where there is no other."""

    workload: str
    why: str
    runner_up: str = ""
    runner_up_extra_usd: float = 0.0


class BoughtCommitment(_Part):
    """What a plan holds of a commitment beyond what is owned, the share that is used, and what all of it costs."""

    name: str
    owned: Annotated[float, Field(ge=0)] = 0.0
    bought: Annotated[float, Field(ge=0)]
    used_share: float = 0.0
    cost_usd: float = 0.0


class Slowed(_Part):
    """A workload that keeps only so much of its `throughput` in a pool beside another, in how many `slots`, and the
    replicas that it needs more there, added up over them (by all its partners there together).
    """

    workload: str
    by: str
    cluster: str
    pool: str
    throughput: float
    slots: int
    replicas_more: int


class Interfering(_Part):
    """How many `pairs` of workloads are known to slow each other down, how many are `kept_apart`, and who is slowed."""

    pairs: int
    kept_apart: int
    slowed: Row[Slowed] = ()


class PathTable(_Part):
    """A table of sample paths, as the scenario names it, and the SHA-256 of its bytes."""

    file: str
    sha256: str


class UsedPaths(_Part):
    """The joint sample paths that pools were sized on: how many there are, how many must find room, the tables, and how
    many workloads run on some of them only (drawn by name, path and the plan's seed).
    """

    count: int
    needed: int
    files: Row[PathTable] = ()
    drawn: int = 0


class Provenance(_Part):
    """What the plan was made from, and by what; `objective` is the one asked for, the scenario's or another, and
    `what_if` are changes to the scenario under which the plan was made.

    A plan that mends another says which clusters are `down`, how often each was lost so far (`losses`), how many moves
    it was allowed, and, where not all waves of the other had been made, how many (`waves_done`).
    """

    scenario_sha256: str = ""
    catalog_as_of: str = ""
    version: str = ""
    solver: str = ""
    seed: int = 0
    versions: dict[str, str] = {}
    objective: dict[str, Any] | None = None
    what_if: Row[str] = ()
    down: Row[str] = ()
    losses: dict[str, Annotated[int, Field(ge=1)]] = {}
    waves_done: Annotated[int, Field(ge=0)] | None = None
    max_moves: Annotated[int, Field(ge=0)] | None = None
    paths: UsedPaths | None = None


class Held(_Part):
    """Machines of an offer that hold for the horizon, bought before the plan began."""

    cluster: str
    pool: str
    purchase: Literal["owned", "on_demand", "spot", "committed"]
    count: Annotated[int, Field(ge=0)]


class Running(_Part):
    """A batch run that began before the plan did, at `start_slot` of the scenario's horizon."""

    workload: str
    user_region: str | None = None
    cluster: str
    pool: str
    start_slot: Annotated[int, Field(ge=0)]


class Frozen(_Part):
    """What a plan does not plan again, because it begins at a later `slot` of the scenario's horizon: what was bought
    before (machines `held`, units of commitments `bought`) and batch runs that have begun. Slots of the plan count from
    there.
    """

    slot: Annotated[int, Field(ge=1)]
    held: Row[Held] = ()
    bought: dict[str, float] = {}
    running: Row[Running] = ()


class Place(_Part):
    """Where a unit is before or after a move."""

    cluster: str
    pool: str
    start_slot: int | None = None


class Move(_Part):
    """A unit that goes from one place to another; null: it did not run before, or does not run after."""

    workload: str
    user_region: str | None = None
    copy_: Annotated[int, Field(ge=0)] = Field(default=0, alias="copy")
    from_: Place | None = Field(default=None, alias="from")
    to: Place | None = None


class Wave(_Part):
    """Moves that are made together; all of them take room at both ends meanwhile, unless they must `stop` first.

    `machines_usd_extra` is what machines cost that run only meanwhile, in the slot where they cost most.
    """

    wave: int
    moves: Row[Move]
    machines_usd_extra: float = 0.0
    stops: bool = False
    note: str = ""


class Plan(_Part):
    """A plan. Keys that a later version may add at this level are left out when a plan is read; parts are strict.

    A plan that mends another may be infeasible and yet all there is to run by: `shed` are workloads that must have a
    place and have none, the lowest priority first; `exposed` says for which loss, that is to be survived, no room was
    found.
    """

    model_config = ConfigDict(extra="ignore")

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: str
    plan_id: str = ""
    parent: str | None = None
    horizon: PlanHorizon = PlanHorizon()
    valid_until: str = ""
    frozen: Frozen | None = None
    status: Status
    mode: Literal["min_cost", "max_sla"]
    cost_usd: float
    costs: Costs
    sla_attainment: float
    bound: float
    gap: float
    bound_method: str = ""
    assignments: Row[Assignment]
    costs_by_owner: dict[str, float] = {}
    costs_of_diagnostics: dict[str, float] = {}
    waves: Row[Wave] = ()
    machines: Row[MachineRow]
    commitments: Row[BoughtCommitment] = ()
    fallbacks: Row[Fallback] = ()
    groups: Row[Group] = ()
    unplaced: Row[Unplaced] = ()
    shed: Row[str] = ()
    exposed: str = ""
    scarce: Row[Scarce] = ()
    misses: Row[Miss] = ()
    interference: Interfering | None = None
    pool_misses: Row[PoolMiss] = ()
    conflict: Row[str] = ()
    relaxations: Row[Relaxation] = ()
    reasons: Row[Reason] = ()
    provenance: Provenance = Provenance()
    tables: dict[str, str] | None = None

    @property
    def exists(self) -> bool:
        """Whether there is anything to run by: an infeasible plan that places work sheds some, or is exposed."""
        return self.status != "infeasible" or bool(self.assignments)

    @property
    def lacks(self) -> tuple[str, ...]:
        """What it does not keep and says so, in words."""
        shed = (f"sheds {', '.join(self.shed)}",) if self.shed else ()
        return (*shed, f"not ready for a loss: {self.exposed}") if self.exposed else shed

    def to_dict(self) -> dict[str, Any]:
        """The plan as `plan.json` has it; `tables`, `commitments`, `costs_of_diagnostics`, `interference`,
        `pool_misses`, `shed`, `exposed`, `what_if`, `paths`, the horizon's `periods` and the `part` of fallbacks only
        where there are any.
        """
        content = self.model_dump(mode="json", by_alias=True)
        if not content["horizon"]["periods"]:
            del content["horizon"]["periods"]
        for name in ("commitments", "costs_of_diagnostics", "interference", "pool_misses", "shed", "exposed"):
            if not content[name]:
                del content[name]
        if not any(row["part"] for row in content["fallbacks"]):
            for row in content["fallbacks"]:
                del row["part"]
        for name in ("tables", "frozen"):
            if content[name] is None:
                del content[name]
        for name in ("what_if", "down", "losses", "waves_done", "max_moves", "paths"):
            if not content["provenance"][name] and content["provenance"][name] != 0:
                del content["provenance"][name]
        return content

    def with_id(self) -> Plan:
        """The same plan with its id."""
        return self.model_copy(update={"plan_id": content_id(self.to_dict())})


def content_id(content: Mapping[str, Any]) -> str:
    """SHA-256 of a plan's content: JSON with sorted keys and no spaces, without `plan_id` and `tables`.

    Times of the run are not in a plan, and where its tables lie is not part of what it says.
    """
    said = {key: value for key, value in content.items() if key not in ("plan_id", "tables")}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return sha256(text.encode()).hexdigest()


def plan_text(plan: Plan) -> str:
    """The bytes of `plan.json`: one key a line, and of lists of objects one object a line."""
    lines = [f"{json.dumps(key)}: {_value(value)}" for key, value in plan.to_dict().items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _value(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n  " + ",\n  ".join(_value(item) for item in value) + "\n]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def write_plan(plan: Plan, path: Path) -> None:
    """Write `plan.json`: all of it or nothing. Raises OSError."""
    write_atomically(path, plan_text(plan).encode())


def read_plan(path: Path) -> Plan:
    """Read a `plan.json`. Raises InputError with one line for each mistake, and when there is no such file."""
    try:
        text = path.read_bytes()
    except OSError as error:
        what = error.strerror or str(error)
        raise InputError([f"{path}: {what}: name a plan.json that `planner plan -o` wrote"]) from None
    try:
        return Plan.model_validate_json(text)
    except ValidationError as error:
        raise InputError([_problem(path, dict(mistake)) for mistake in error.errors(include_url=False)]) from None


def _problem(path: Path, mistake: Mapping[str, Any]) -> str:
    where = ".".join(str(step) for step in mistake["loc"])
    if mistake["type"] == "json_invalid":
        return f"{path}: not JSON: {mistake['ctx']['error']}"
    if not where:
        return f"{path}: not a plan but {_short(mistake['input'])}: name a plan.json that `planner plan -o` wrote"
    found = "" if mistake["type"] in ("missing", "extra_forbidden") else f"{_short(mistake['input'])}: "
    return f"{path}: {where}: {found}{mistake['msg']}"


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
