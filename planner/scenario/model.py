"""The scenario in people's words: frozen models with exactly the field names of the scenario format.

Every model is strict (no text for numbers, no unknown keys, no NaN). Lists are tuples. What is not given is None, or
the default written beside the field. Units are in the names; shares and availabilities are fractions; times are UTC.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, PrivateAttr, Tag, model_validator

from planner.scenario.replica_rows import ReplicaRows
from planner.scenario.values import (
    Amount,
    Amounts,
    AtLeastOne,
    Chance,
    Count,
    Country,
    Counts,
    Flag,
    Instant,
    Kind,
    Level,
    Measure,
    Mode,
    Name,
    Part,
    Positive,
    Purchase,
    RegionKey,
    Row,
    Share,
    Some,
    Survive,
    Tier,
)


def _named_machine(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class Model(BaseModel):
    """Base of every part of a scenario: frozen, strict, and without unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Itself: it does not change. Defaults are copied into whatever is read, a fleet of workloads among it."""
        return self


class Period(Model):
    """One window of a horizon made of several, and the days it stands for."""

    start: Instant
    slots: AtLeastOne
    stands_for_days: Positive


class Horizon(Model):
    """Slots 0..slots-1 of `slot_minutes` each, from `start` (UTC).

    With `periods` the slots of the windows follow one another; `start` and `slots` may be left out then.
    """

    start: Instant
    slots: Annotated[int, Field(ge=1, le=100_000)]
    slot_minutes: Annotated[int, Field(ge=1, le=10_080)]
    periods: Row[Period] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_periods(cls, value: object) -> object:
        """Take `start` and `slots` from the periods where they are not given."""
        if not isinstance(value, dict) or not isinstance(periods := value.get("periods"), list) or not periods:
            return value
        if not all(isinstance(one, dict) and isinstance(one.get("slots"), int) and "start" in one for one in periods):
            return value
        return {"start": periods[0]["start"], "slots": sum(one["slots"] for one in periods), **value}

    @property
    def windows(self) -> tuple[Period, ...]:
        """The periods; a horizon without any is one window that stands for itself."""
        days = self.slots * self.slot_minutes / 60 / 24
        return self.periods or (Period(start=self.start, slots=self.slots, stands_for_days=days),)

    @property
    def slot_hours(self) -> float:
        """Length of one slot in hours."""
        return self.slot_minutes / 60

    @property
    def days(self) -> float:
        """Days that the horizon stands for: its own, or those of its periods together."""
        return sum(window.stands_for_days for window in self.windows)

    @property
    def hours(self) -> float:
        """Hours that the horizon stands for."""
        return self.days * 24

    @property
    def end(self) -> datetime:
        """When the last slot ends."""
        last = self.windows[-1]
        return last.start + timedelta(minutes=last.slots * self.slot_minutes)


class Objective(Model):
    """`min_cost`: least cost with attainment >= `sla_floor` (1 when left out).

    `max_sla`: most attainment with cost <= `budget_usd`.
    """

    mode: Mode
    sla_floor: Share | None = None
    budget_usd: Amount | None = None


class Domain(Model):
    """The availability of a provider (`aws`), or of a region (`aws/sa-east-1`) while its provider is up."""

    name: Name
    availability: Chance


class Limit(Model):
    """A cap on a measure, summed over the pools whose `cluster/pool` matches, in every slot.

    Machines, vcpu, gpu and kw count machines that run; usd_per_hour counts what is paid in the slot at offers' prices.
    """

    name: Name
    pools: Some[Name]
    measure: Measure
    max: Amount


class Pair(Model):
    """What is left of the throughput of two workloads (names, or patterns) that share a machine; with `gpu_model` only
    on machines with that GPU.
    """

    workload: Name
    other: Name
    throughput: Chance = 1.0
    other_throughput: Chance = 1.0
    gpu_model: Name | None = None


class Commitment(Model):
    """A savings plan (`usd_per_hour`, with a `discount`) or committed machines (`machines`, at a price each) that pay
    for on_demand machines of the pools whose `cluster/pool` matches.
    """

    name: Name
    covers: Some[Name]
    unit: Literal["usd_per_hour", "machines"]
    discount: Part | None = None
    price_usd_per_hour: Amount | None = None
    owned: Amount = 0.0
    max_buy: Amount = 0.0
    term_days: Positive | None = None


class Link(Model):
    """Round trip and egress price from one region (`provider/region`) to another; what is None comes from elsewhere."""

    from_: RegionKey = Field(alias="from")
    to: RegionKey
    rtt_ms: Amount | None = None
    egress_usd_per_gb: Amount | None = None


class Machine(Model):
    """A machine type. A bare name is a catalog name; fields given beside it win over the catalog's.

    `vcpu` and `memory_gib` are 0 only until `resolve` has filled them in. A machine that does not state `disk_gib` or
    `network_gbps` has none to offer; `watts` of None counts as no carbon.
    """

    name: str = ""
    vcpu: Positive = 0.0
    memory_gib: Positive = 0.0
    gpu_model: Name | None = None
    gpu_count: Count = 0
    gpu_memory_gib: Amount | None = None
    disk_gib: Amount | None = None
    network_gbps: Amount | None = None
    arch: Name = "x86_64"
    watts: Amount | None = None

    @property
    def known(self) -> bool:
        """Whether the shape is there, given or resolved."""
        return self.vcpu > 0 and self.memory_gib > 0


class Offer(Model):
    """A way to pay for machines of a pool. After `resolve`, the price, `max` and `assured_max` are given.

    Price, `max`, `owned` and `assured_max` are one number or one for each slot.
    """

    purchase: Purchase
    price_usd_per_hour: Amounts | None = None
    max: Counts | None = None
    owned: Counts = 0
    assured_max: Counts | None = None
    interruption_per_hour: Amount = 0.0
    redo_hours: Amount = 0.0


class Reserved(Model):
    """What system daemons take from every machine of a pool, before headroom."""

    vcpu: Amount = 0.0
    memory_gib: Amount = 0.0
    gpu: Count = 0
    disk_gib: Amount = 0.0
    network_gbps: Amount = 0.0


class Zone(Model):
    """A part of a cluster that may fail by itself, and the chance that it is up while the cluster is."""

    name: Name
    availability: Chance = 1.0


class Pool(Model):
    """`min` to `max` machines of one type in one cluster (each one number or one for each slot), in one of its zones.

    `headroom` is the share of vcpu and memory kept free.
    """

    name: Name
    machine: Annotated[Machine, BeforeValidator(_named_machine)]
    min: Counts = 0
    max: Counts
    zone: Name | None = None
    headroom: Part = 0.0
    reserved: Reserved = Reserved()
    lead_time_days: Amount = 0.0
    offers: Row[Offer] = ()


class Telemetry(Model):
    """What a cluster sends: rows an hour (a row has all metrics of all its hosts), and how many hosts are in one."""

    rows_per_hour: Positive = 1.0
    hosts: AtLeastOne = 4


class Cluster(Model):
    """Pools at one provider and region; one failure domain, unless it has zones: then each zone is one.

    A cluster with `telemetry` is watched. Its rows are trained on only with `telemetry_opt_in`, which by itself means
    hourly rows of four hosts. `software_version` is that of the services on it, as its operators call it.
    """

    name: Name
    provider: Name
    region: Name
    country: Country | None = None
    availability: Chance = 1.0
    zones: Row[Zone] = ()
    tier: Tier = "iaas"
    hardware_class: Name | None = None
    software_version: Name | None = None
    telemetry_opt_in: Flag = False
    telemetry: Telemetry | None = None
    storage_usd_per_gb_month: Amount | None = None
    grid_g_per_kwh: Amounts | None = None
    pue: Annotated[float, Field(ge=1, le=10)] | None = None
    deploy_minutes: Amount | None = None
    durability: Share | None = None
    pools: Some[Pool]

    @property
    def region_key(self) -> str:
        """`provider/region`, as links, users and data locations name it."""
        return f"{self.provider}/{self.region}"


class FileStore(Model):
    """A store of model files in a region (`provider/region`), by the name that the settings of hosts have it by."""

    name: Name
    region: RegionKey


class Runbook(Model):
    """Whom to call and what to try when the workload fails."""

    contact: str | None = None
    steps: Row[str] = ()


class Request(Model):
    """Resources of one replica: the smallest piece that must fit one machine."""

    vcpu: Amount
    memory_gib: Amount
    gpu: Count = 0
    disk_gib: Amount = 0.0
    network_gbps: Amount = 0.0


class Hardware(Model):
    """Which hardware will do, and how fast it is. `gpu_models` of None allows any model."""

    gpu_models: Some[Name] | None = None
    throughput: dict[Name, Positive] = {}
    arch: Some[Name] = ("x86_64",)


class History(Model):
    """Past demand in a file; `per_replica` is how much of `metric` one replica does."""

    file: Name
    metric: Name | None = None
    per_replica: Positive | None = None


class Replicas(Model):
    """Where replicas per slot come from: a table, a history, a task's description (or both), or sample paths."""

    from_: Name | None = Field(default=None, alias="from")
    history: History | None = None
    task: dict[str, Any] | None = None
    paths: Name | None = None
    per_replica: Positive | None = None


def _replica_form(value: object) -> str:
    return "list" if isinstance(value, list | tuple) else "source"


ReplicaSource = Annotated[
    Annotated[Row[Count], Tag("list")] | Annotated[Replicas, Tag("source")], Discriminator(_replica_form)
]


class Slo(Model):
    """Service level objectives; None where none is asked for. `service_ms` is the time the service itself takes."""

    availability: Share | None = None
    latency_ms: Positive | None = None
    service_ms: Amount = 0.0
    min_throughput: Amount | None = None
    deadline_slot: Count | None = None
    deploy_minutes: Amount | None = None
    durability: Share | None = None


class Residency(Model):
    """Countries (ISO 3166 alpha-2) where a workload may run; `allow` of None means all that are not denied."""

    allow: Some[Country] | None = None
    deny: Row[Country] = ()


class User(Model):
    """A region that users call from, its share of the load, and what is sent back to it."""

    region: RegionKey
    share: Chance = 1.0
    gb_per_day: Amount = 0.0


class After(Model):
    """An upstream workload and the data that it hands on."""

    workload: Name
    gb_per_day: Amount = 0.0


class Data(Model):
    """Data that a workload reads from a region, and what it keeps where it runs."""

    location: RegionKey | None = None
    gb_per_day_in: Amount = 0.0
    stored_gb: Amount = 0.0


class Batch(Model):
    """A run of `duration_slots` whose first start lies in earliest..latest, again every `every_slots`.

    `latest_slot` of None is filled in by `resolve`: the last start that still ends within the horizon, or within the
    first period of `every_slots`.
    """

    duration_slots: AtLeastOne
    earliest_slot: Count = 0
    latest_slot: Count | None = None
    every_slots: AtLeastOne | None = None


class ClusterRules(Model):
    """Clusters (`onprem-*`) or pools of them (`onprem-*/gpu`) by pattern; `pin` is one cluster or one pool of it."""

    allow: Some[Name] | None = None
    deny: Row[Name] = ()
    pin: Name | None = None

    def lets(self, cluster: str, pool: str) -> bool:
        """Whether the rules let work into a pool."""
        names = cluster, f"{cluster}/{pool}"
        if self.pin is not None and not any(self.pin == name or fnmatchcase(name, self.pin) for name in names):
            return False
        allowed = self.allow is None or any(_names_pool(pattern, *names) for pattern in self.allow)
        return allowed and not any(_names_pool(pattern, *names) for pattern in self.deny)


def _names_pool(pattern: str, cluster: str, pool: str) -> bool:
    """Whether a pattern matches a cluster or, where it has a slash, `cluster/pool`."""
    return fnmatchcase(pool if "/" in pattern else cluster, pattern)


class Incumbent(Model):
    """Where the workload runs today, and what it costs to move one placed unit away; `pool` of None is any pool there.
    """

    cluster: Name
    pool: Name | None = None
    move_cost_usd: Amount = 0.0


class Watches(Model):
    """What a workload of the planner's own watches: telemetry of `clusters` of one hardware class in one country.

    `purpose` is to score every row, to compare months for drift, or to train the model of the class.
    """

    hardware_class: Name
    clusters: Some[Name]
    country: Country
    purpose: Literal["score", "drift", "train"]


class Workload(Model):
    """A task with its needs, SLOs and rules. After profiling, `request` is given for all."""

    name: Name
    kind: Kind
    pipeline: Name | None = None
    description: str = ""
    priority: Annotated[int, Field(ge=0, le=100)] = 50
    weight: Amount = 1.0
    owner: Name | None = None
    droppable: Flag = False
    probability: Chance = 1.0
    runbook: Runbook | None = None
    max_parts: AtLeastOne = 1
    survive: Survive | None = None
    request: Request | None = None
    hardware: Hardware = Hardware()
    replicas: ReplicaSource
    slo: Slo = Slo()
    residency: Residency = Residency()
    users: Row[User] = ()
    after: Row[After] = ()
    data: Data | None = None
    batch: Batch | None = None
    preemptible: Flag = False
    clusters: ClusterRules = ClusterRules()
    incumbent: Incumbent | None = None
    watches: Watches | None = None

    @property
    def per_replica(self) -> float | None:
        """How much of its metric one replica does, where that is known."""
        if isinstance(self.replicas, tuple):
            return None
        history = self.replicas.history
        return self.replicas.per_replica or (history.per_replica if history else None)


class Scenario(Model):
    """A fleet, its workloads, and what is asked of the plan. `with_diagnostics` adds the planner's own to them,
    which fetch model files from the nearest of `model_stores`; `diagnostics_costs` is what they take by class.

    Beside the fields it carries, outside of dumps: `folder`, where relative paths start; `source_sha256`, the hash of
    what was read; and the replicas that are given as numbers (`given_replicas`), as arrays.
    """

    name: Name
    horizon: Horizon
    objective: Objective
    survive: Survive = "none"
    survive_priority: Annotated[int, Field(ge=0, le=100)] = 50
    sizing: Literal["each", "pooled"] = "each"
    service_level: Level = 0.95
    carbon_usd_per_tonne: Amount = 0.0
    domains: Row[Domain] = ()
    limits: Row[Limit] = ()
    commitments: Row[Commitment] = ()
    links: Row[Link] = ()
    clusters: Some[Cluster]
    workloads: Some[Workload]
    interference: Row[Pair] = ()
    library: Name | None = None
    with_diagnostics: Flag = False
    model_stores: Row[FileStore] = ()
    diagnostics_costs: dict[Name, dict[Name, Positive]] = {}

    _folder: Path = PrivateAttr(default=Path())
    _file: str = PrivateAttr(default="scenario.yaml")
    _source_sha256: str = PrivateAttr(default="")
    _rows: ReplicaRows = PrivateAttr(default_factory=ReplicaRows.empty)
    _tables: tuple[str, ...] = PrivateAttr(default=())

    def level_survived(self, workload: Workload) -> Survive:
        """Which losses a workload survives: what it says itself, else what is asked from `survive_priority` on."""
        if workload.survive is not None:
            return workload.survive
        return self.survive if workload.priority >= self.survive_priority else "none"

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the scenario start from."""
        return self._folder

    @property
    def file(self) -> str:
        """Name of the file that it was read from, for messages."""
        return self._file

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that it was read from, histories and a library among them."""
        given = [workload.replicas for workload in self.workloads if isinstance(workload.replicas, Replicas)]
        names = {self._file, *self._tables, self.library, *(one.from_ for one in given), *(one.paths for one in given),
                 *(one.history.file for one in given if one.history is not None)}
        return tuple(self._folder / name for name in sorted(filter(None, names)))

    @property
    def source_sha256(self) -> str:
        """SHA-256 of the scenario's content: its fields, its replicas and its history files, not their layout."""
        return self._source_sha256

    @property
    def given_replicas(self) -> ReplicaRows:
        """Replicas per slot of the workloads that state them as numbers, in a list or in a table."""
        return self._rows

    def with_source(self, folder: Path, sha256: str, rows: ReplicaRows, file: str | None = None,
                    tables: tuple[str, ...] | None = None) -> Self:
        """The same scenario with what it carries beside its fields; `file` and `tables` (names of files of lists) of
        None keep its own.
        """
        copy = self.model_copy()
        object.__setattr__(copy, "__pydantic_private__", {"_folder": folder, "_file": file or self._file,
                                                          "_source_sha256": sha256, "_rows": rows,
                                                          "_tables": self._tables if tables is None else tables})
        return copy

    def __eq__(self, other: object) -> bool:
        """Whether fields and given replicas are the same, wherever they were read from."""
        if not isinstance(other, Scenario):
            return NotImplemented
        return self.__dict__ == other.__dict__ and self._rows == other._rows

    __hash__ = None  # type: ignore[assignment]  # holds arrays
