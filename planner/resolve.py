"""Fill a scenario in: what it leaves out comes from the catalog or from a rule, or is asked for by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from planner.catalog import Catalog
from planner.errors import InputError
from planner.hosting.workloads import with_diagnostics
from planner.scenario.fields import did_you_mean, nearest
from planner.scenario.model import (
    Batch,
    Cluster,
    ClusterRules,
    Link,
    Machine,
    Offer,
    Pool,
    Residency,
    Scenario,
    Workload,
)

FILE = "scenario.yaml"
"""What lines of problems begin with, until the scenario's own file takes its place."""

LookUp = Callable[[str, str], bool]


def resolve(scenario: Scenario, catalog: Catalog) -> Scenario:
    """The scenario with machine shapes, prices, countries, grid, links and defaults written into it.

    - A machine given by name alone takes its shape from the catalog; fields given beside the name win.
    - A pool without offers gets one of on_demand at list price. A price left out is the list price of on_demand or
      spot; a committed price is never guessed. An offer's `max` is its pool's, `assured_max` its own `max`.
    - `batch.latest_slot` is the last start that ends within the horizon, or within the first `every_slots`.
    - Links that workloads need and the scenario lacks come from the catalog: a round trip from the link back first.
    - `with_diagnostics` adds the planner's own diagnostics, for which countries must be known.

    Raises InputError with everything that is needed and known neither to the scenario nor to the catalog.
    """
    problems: list[str] = []
    clusters = tuple(_cluster(cluster, catalog, problems) for cluster in scenario.clusters)
    filled = scenario.model_copy(update={
        "clusters": clusters, "workloads": tuple(_workload(one, scenario.horizon.slots) for one in scenario.workloads),
        "objective": _objective(scenario)})
    problems += _gpu_problems(filled, catalog)
    problems += _domain_problems(filled, catalog)
    links = _Links.of(filled, catalog)
    links.told.update(cluster.region_key for cluster in clusters
                      if any(line.startswith(f"{FILE}: clusters.{cluster.name}.region:") for line in problems))
    links.collect(filled)
    problems += links.problems
    if problems:
        raise InputError([scenario.file + line.removeprefix(FILE) for line in problems])
    whole = filled.model_copy(update={"links": links.result()})
    return resolve(with_diagnostics(whole), catalog) if whole.with_diagnostics else whole


def _objective(scenario: Scenario) -> object:
    asked = scenario.objective
    if asked.mode == "min_cost" and asked.sla_floor is None:
        return asked.model_copy(update={"sla_floor": 1.0})
    return asked


def _cluster(cluster: Cluster, catalog: Catalog, problems: list[str]) -> Cluster:
    """A cluster with country, grid and PUE of its region, and with its pools filled in."""
    region, where = catalog.region(cluster.region_key), f"{FILE}: clusters.{cluster.name}"
    found: list[str] = []
    pools = tuple(_Pools(cluster, catalog, f"{where}.pools", found).fill(pool) for pool in cluster.pools)
    if region is None and cluster.provider in catalog.providers and (found or cluster.country is None):
        known = sorted(one.region for one in catalog.regions.values() if one.provider == cluster.provider)
        mend = f"{did_you_mean(cluster.region, known)} (or give country, machines and prices yourself)"
        found = [f"{where}.region: {cluster.region}: not a region of {cluster.provider} in the catalog: {mend}"]
    problems += found
    if region is None:
        return cluster.model_copy(update={"pools": pools})
    return cluster.model_copy(update={
        "pools": pools, "country": cluster.country or region.country,
        "grid_g_per_kwh": region.grid_g_per_kwh if cluster.grid_g_per_kwh is None else cluster.grid_g_per_kwh,
        "pue": region.pue if cluster.pue is None else cluster.pue})


@dataclass(frozen=True)
class _Pools:
    """Fills in the pools of one cluster; `where` is the start of a problem's line."""

    cluster: Cluster
    catalog: Catalog
    where: str
    problems: list[str]

    def fill(self, pool: Pool) -> Pool:
        where = f"{self.where}.{pool.name}"
        machine = self._machine(pool.machine, where)
        if machine is None:
            return pool
        offers = pool.offers or (Offer(purchase="on_demand"),)
        return pool.model_copy(update={
            "machine": machine, "offers": tuple(self._offer(offer, pool, machine, where) for offer in offers)})

    def _machine(self, machine: Machine, where: str) -> Machine | None:
        """The whole shape of a machine: as given, else the catalog's with what is given."""
        if machine.known:
            return machine
        provider, known = self.cluster.provider, self.catalog.machine(self.cluster.provider, machine.name)
        if known is not None:
            return known.model_copy(update={name: getattr(machine, name) for name in machine.model_fields_set})
        if provider not in self.catalog.providers:
            mend = f"the catalog has no machines of {provider}: give vcpu and memory_gib"
        else:
            like = nearest(machine.name, self.catalog.machine_names(provider))
            mend = (f"not a machine of {provider} in the catalog: "
                    + (f"did you mean {like}?" if like else "give vcpu and memory_gib"))
        self.problems.append(f"{where}.machine: {machine.name or 'no name'}: {mend}")
        return None

    def _offer(self, offer: Offer, pool: Pool, machine: Machine, where: str) -> Offer:
        most = pool.max if offer.max is None else offer.max
        price = offer.price_usd_per_hour
        if price is None:
            price = self._price(offer, machine, f"{where}.offers.{offer.purchase}.price_usd_per_hour")
        return offer.model_copy(update={
            "price_usd_per_hour": price, "max": most,
            "assured_max": most if offer.assured_max is None else offer.assured_max})

    def _price(self, offer: Offer, machine: Machine, where: str) -> float | None:
        provider, region = self.cluster.provider, self.cluster.region
        price = self.catalog.price(provider, region, machine.name, offer.purchase)
        if price is None:
            name = machine.name or "a machine without a name"
            known = self.catalog.price(provider, region, machine.name, "on_demand")
            hint = f" (on_demand is {known:g})" if known is not None else ""
            self.problems.append(f"{where}: not given: the catalog has no {offer.purchase} price of {name} in "
                                 f"{self.cluster.region_key}: give one{hint}")
        return price


def _workload(workload: Workload, slots: int) -> Workload:
    """A workload with the last start of its batch window."""
    batch = workload.batch
    if batch is None or batch.latest_slot is not None:
        return workload
    return workload.model_copy(update={"batch": batch.model_copy(update={"latest_slot": latest_start(batch, slots)})})


def latest_start(batch: Batch, slots: int) -> int:
    """The last start that ends within the horizon or, of work that comes again, within its first period."""
    period = min(slots, batch.every_slots or slots)
    return max(batch.earliest_slot, period - batch.duration_slots)


def _gpu_problems(scenario: Scenario, catalog: Catalog) -> list[str]:
    """Lines for GPU models that neither the catalog nor a pool knows."""
    machines = [pool.machine for cluster in scenario.clusters for pool in cluster.pools]
    known = sorted(catalog.gpu_models | {machine.gpu_model for machine in machines if machine.gpu_model})
    names = {machine.name for machine in machines} | {name for _, name in catalog.machines} | set(known)
    lines = []
    for workload in scenario.workloads:
        where = f"{FILE}: workloads.{workload.name}.hardware"
        lines += [f"{where}.gpu_models: {model}: not a GPU model of the catalog or a pool: {did_you_mean(model, known)}"
                  for model in workload.hardware.gpu_models or () if model not in known]
        lines += [f"{where}.throughput: {key}: not a GPU model, a machine type or a pattern: {did_you_mean(key, known)}"
                  for key in workload.hardware.throughput if key not in names and not set("*?[") & set(key)]
    return lines


def _domain_problems(scenario: Scenario, catalog: Catalog) -> Iterator[str]:
    """Lines for failure domains that are neither a provider or region of a cluster nor of the catalog."""
    known = {*catalog.providers, *catalog.regions}
    for cluster in scenario.clusters:
        known |= {cluster.provider, cluster.region_key}
    for domain in scenario.domains:
        if domain.name not in known:
            mend = did_you_mean(domain.name, sorted(known))
            yield f"{FILE}: domains: {domain.name}: not a provider or a region (provider/region): {mend}"


@dataclass(eq=False)
class _Links:
    """Links of a scenario, and those it needs from the catalog."""

    catalog: Catalog
    given: dict[tuple[str, str], Link]
    added: dict[tuple[str, str], Link] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    done: set[tuple[LookUp, tuple[str, ...], tuple[str, ...]]] = field(default_factory=set)

    @classmethod
    def of(cls, scenario: Scenario, catalog: Catalog) -> _Links:
        return cls(catalog, {(link.from_, link.to): link for link in scenario.links})

    def result(self) -> tuple[Link, ...]:
        """Links as given, filled in where needed, then those added, in order."""
        kept = [self.added.pop(key, link) for key, link in self.given.items()]
        return (*kept, *(self.added[key] for key in sorted(self.added)))

    def collect(self, scenario: Scenario) -> None:
        """Look up every link that a workload needs: round trips from users, egress from data, upstream, to users."""
        places = _places(scenario)
        everywhere = tuple(dict.fromkeys(cluster.region_key for cluster in scenario.clusters))
        for store in scenario.model_stores:
            self._welcome(store.region, everywhere)
            for place in everywhere:
                self._egress(store.region, place)
        for workload in scenario.workloads:
            here, at = places[workload.name], f"workloads.{workload.name}"
            for user in workload.users:
                if workload.slo.latency_ms is not None:
                    self._need(self._rtt, (user.region,), here, f"{at}.slo.latency_ms")
                self._welcome(user.region, everywhere)
                if user.gb_per_day:
                    self._need(self._egress, here, (user.region,), f"{at}.users.{user.region}.gb_per_day")
            if workload.data is not None and workload.data.location is not None and workload.data.gb_per_day_in:
                self._need(self._egress, (workload.data.location,), here, f"{at}.data")
            for after in workload.after:
                if after.gb_per_day and after.workload in places:
                    self._need(self._egress, places[after.workload], here, f"{at}.after.{after.workload}")

    def _need(self, look_up: LookUp, senders: tuple[str, ...], receivers: tuple[str, ...], why: str) -> None:
        need = look_up, senders, receivers
        if need in self.done:
            return
        self.done.add(need)
        for sender in senders:
            for receiver in receivers:
                if sender != receiver and not look_up(sender, receiver):
                    self._missing(sender, receiver, "rtt_ms" if look_up == self._rtt else "egress_usd_per_gb", why)

    def _welcome(self, sender: str, receivers: tuple[str, ...]) -> None:
        """Fill in round trips that a predicted latency may need, or the reason why a cluster is out of reach."""
        if (self._rtt, (sender,), ()) not in self.done:
            self.done.add((self._rtt, (sender,), ()))
            for receiver in receivers:
                if sender != receiver:
                    self._rtt(sender, receiver)

    def _rtt(self, sender: str, receiver: str) -> bool:
        """Whether a round trip is known, filling it in where it is."""
        link, back = self._link(sender, receiver), self.given.get((receiver, sender))
        if link.rtt_ms is not None:
            return True
        rtt = back.rtt_ms if back is not None and back.rtt_ms is not None else self.catalog.rtt_ms(sender, receiver)
        if rtt is not None:
            self.added[sender, receiver] = link.model_copy(update={"rtt_ms": rtt})
        return rtt is not None

    def _egress(self, sender: str, receiver: str) -> bool:
        """Whether an egress price is known, filling it in where it is."""
        link = self._link(sender, receiver)
        if link.egress_usd_per_gb is not None:
            return True
        price = self.catalog.egress_usd_per_gb(sender, receiver)
        if price is not None:
            self.added[sender, receiver] = link.model_copy(update={"egress_usd_per_gb": price})
        return price is not None

    def _link(self, sender: str, receiver: str) -> Link:
        key = sender, receiver
        return self.added.get(key) or self.given.get(key) or Link(from_=sender, to=receiver)

    def _missing(self, sender: str, receiver: str, what: str, why: str) -> None:
        """Tell of a link once, and of a region with a typo once."""
        for key in (sender, receiver):
            provider = key.split("/")[0]
            if self.catalog.region(key) is None and provider in self.catalog.providers:
                like = nearest(key, sorted(self.catalog.regions))
                if like is not None:
                    return self._tell(f"{FILE}: {why}: {key}: not a region of the catalog: did you mean {like}?", key)
        return self._tell(f"{FILE}: links: {sender} -> {receiver}: no {what}, which {why} needs: "
                          f"add {{from: {sender}, to: {receiver}, {what}: ...}}", f"{sender} {receiver} {what}")

    def _tell(self, line: str, once: str) -> None:
        if once not in self.told:
            self.told.add(once)
            self.problems.append(line)


def _places(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """Regions of the clusters where rules and residency let each workload run."""
    known: dict[tuple[ClusterRules, Residency], tuple[str, ...]] = {}
    places = {}
    for workload in scenario.workloads:
        key = workload.clusters, workload.residency
        if key not in known:
            known[key] = tuple(dict.fromkeys(cluster.region_key for cluster in scenario.clusters
                                             if _lets(workload.clusters, workload.residency, cluster)))
        places[workload.name] = known[key]
    return places


def _lets(rules: ClusterRules, home: Residency, cluster: Cluster) -> bool:
    return (any(rules.lets(cluster.name, pool.name) for pool in cluster.pools)
            and (home.allow is None or cluster.country in home.allow) and cluster.country not in home.deny)
