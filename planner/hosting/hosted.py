"""What hosts need of a plan: which diagnostics it places, what each watches, where it is and where it falls back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
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

    def plan_of(self, workload: str) -> str:  # noqa: ARG002 - plans together know it by the workload
        """The plan that has a workload."""
        return self.plan_id


class _Together(Hosted):
    """What several plans say; `plans` by workload."""

    plans: dict[str, str]

    def plan_of(self, workload: str) -> str:
        """The plan that has a workload."""
        return self.plans[workload]


def together(plans: Sequence[Hosted]) -> Hosted | None:
    """What plans of several scenarios say of one fleet, with the id of the first; None where there is no plan.

    Of a cluster or a workload that several have the first one's word counts, but telemetry that any of them keeps out
    of pools is kept out. Raises InputError where they do not agree in which country a cluster is, or where workloads of
    two say of its rows what is said once.
    """
    if len(plans) < 2:
        return plans[0] if plans else None
    clusters: dict[str, Watched] = {}
    work: dict[str, HostedWork] = {}
    plan_of: dict[str, str] = {}
    for plan in plans:
        for name, cluster in plan.clusters.items():
            known = clusters.setdefault(name, cluster)
            if known.country != cluster.country:
                both = f"{cluster.country!r} by plan {plan.plan_id[:12]} and {known.country!r} by another in force"
                raise InputError([f"cluster: {name}: country: {both}: correct one, and plan that scenario again"])
            clusters[name] = known.model_copy(update={"opted_in": known.opted_in and cluster.opted_in})
        for name, one in plan.work.items():
            work.setdefault(name, one)
            plan_of.setdefault(name, plan.plan_id)
    by: dict[tuple[str, str], str] = {}
    for name, one in work.items():
        for where in one.watches.clusters if one.watches.purpose != "train" else ():
            first = by.setdefault((one.watches.purpose, where), name)
            if first != name:
                both = f"{first} and {name} of two plans watch it ({one.watches.purpose})"
                raise InputError([f"cluster: {where}: {both}: leave one out, and plan that scenario again"])
    return _Together(plan_id=plans[0].plan_id, clusters=clusters, work=work, plans=plan_of)


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
