"""What hosts need of a plan: which diagnostics it places, what each watches, where it is and where it falls back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from math import isnan
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from planner.errors import InputError
from planner.plan import Plan
from planner.scenario.model import Watches
from planner.supply import Links

if TYPE_CHECKING:
    from planner.scenario.model import Scenario

Item = TypeVar("Item")
Row = Annotated[tuple[Item, ...], Strict(strict=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Watched(_Part):
    """A cluster whose telemetry is taken in: what holds for all its rows. `losses` name what takes it: itself, its
    region, its provider; `model_stores` are where its hosts fetch model files from, the nearest first.
    """

    country: str
    hardware_class: str | None = None
    software_version: str | None = None
    opted_in: bool
    losses: Row[str]
    model_stores: Row[str] = ()

    @property
    def place(self) -> dict[str, str]:
        """Where it is, as far as the plan says: region, provider, country."""
        told = dict(zip(("region", "provider"), self.losses[1:], strict=False))
        return told | ({"country": self.country} if self.country else {})


class Place(_Part):
    """A cluster that a workload runs on, and where it goes by what is lost (a cluster, a region, a provider)."""

    cluster: str
    fallbacks: dict[str, str] = {}


class HostedWork(_Part):
    """A workload of the planner's own, what it watches, and its places, the copy with the lowest number first."""

    kind: str
    watches: Watches
    places: Row[Place]

    def served_on(self, up: Collection[str], losses: dict[str, tuple[str, ...]]) -> frozenset[str]:
        """The clusters that may serve it when only those in `up` are there: its places, else their fallbacks."""
        homes = frozenset(place.cluster for place in self.places if place.cluster in up)
        if homes:
            return homes
        ways = (place.fallbacks.get(loss) for place in self.places for loss in losses.get(place.cluster, ()))
        return frozenset(cluster for cluster in ways if cluster is not None and cluster in up)


class Hosted(_Part):
    """What a plan says of diagnostics."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    plan_id: str
    clusters: dict[str, Watched]
    work: dict[str, HostedWork]

    def losses(self) -> dict[str, tuple[str, ...]]:
        """What takes each cluster: itself, its region, its provider."""
        return {name: cluster.losses for name, cluster in self.clusters.items()}


def hosted_of(plan: Plan, scenario: Scenario) -> Hosted:
    """What a plan says of the workloads of its scenario that watch something."""
    fallbacks: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    homes: dict[str, list[str]] = defaultdict(list)
    home: dict[tuple[str, int], str] = {}
    for unit in plan.assignments:
        homes[unit.workload].append(unit.cluster)
        home[unit.workload, unit.copy_] = unit.cluster
    for row in plan.fallbacks:
        if (row.workload, row.copy_) in home:
            fallbacks[row.workload, home[row.workload, row.copy_]][row.lost] = row.cluster
    work = {}
    for workload in scenario.workloads:
        if workload.watches is not None and workload.name in homes:
            places = [
                Place(cluster=name, fallbacks=fallbacks.get((workload.name, name), {}))
                for name in dict.fromkeys(homes[workload.name])
            ]
            work[workload.name] = HostedWork(kind=workload.kind, watches=workload.watches, places=tuple(places))
    clusters = {
        cluster.name: Watched(
            country=cluster.country or "",
            hardware_class=cluster.hardware_class,
            software_version=cluster.software_version,
            opted_in=cluster.telemetry_opt_in,
            losses=(cluster.name, cluster.region_key, cluster.provider),
            model_stores=nearest(scenario, cluster.region_key),
        )
        for cluster in scenario.clusters
    }
    return Hosted(plan_id=plan.plan_id, clusters=clusters, work=work)


def nearest(scenario: Scenario, region: str) -> tuple[str, ...]:
    """Names of model stores by their round trip to a region, then by what a GB from there costs; unknown ones last."""
    if not scenario.model_stores:
        return ()
    links, regions = Links(scenario.links), [store.region for store in scenario.model_stores]
    far, dear = links.rtt(regions, [region])[:, 0].tolist(), links.egress(regions, [region])[:, 0].tolist()
    order = sorted((isnan(rtt), rtt, isnan(usd), usd, store.name)
                   for rtt, usd, store in zip(far, dear, scenario.model_stores, strict=True))  # fmt: skip
    return tuple(one[-1] for one in order)


def hosted_text(hosted: Hosted) -> str:
    """As JSON; what is not known is left out, which hosts of an earlier version read too."""
    return hosted.model_dump_json(by_alias=True, exclude_none=True)


def parse_hosted(text: str | bytes, where: str) -> Hosted:
    """Read what `hosted_text` wrote. Raises InputError with one line for each mistake."""
    try:
        return Hosted.model_validate_json(text)
    except ValidationError as error:
        lines = [
            f"{where}: {'.'.join(map(str, mistake['loc']))}: {mistake['msg']}"
            for mistake in error.errors(include_url=False)
        ]
        raise InputError(lines) from None
