"""Which pools a stream may use, and in words why not.

Every rule is a small table over distinct requirements and pools, so that the work grows with the distinct ones and not
with workloads x pools; reasons are put into words only for the pairs that somebody asks about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from placement.problem import TOLERANCE, Bools, Floats, Ints
from planner.demand import Demand, group, whole
from planner.scenario.model import Batch, Workload
from planner.supply import RESOURCES, Links, Supply, missing_link
from planner.survival import LEVELS, Losses

UNITS = {"gpu": "GPUs", "vcpu": "vCPU", "memory_gib": "GiB of memory", "disk_gib": "GiB of disk",
         "network_gbps": "Gbit/s of network"}
EXACT = 1e-9
"""Slack where two given numbers are compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """Stream s may use pool p when `passes[row[s], p]`; `why(s, pools)` says what is wrong with pools that fail."""

    name: str
    row: Ints
    passes: Bools
    why: Callable[[int, Ints], str]

    def taking(self, streams: Ints) -> Rule:
        """The same for other streams: row `streams` [S'] of these each."""
        return Rule(self.name, self.row[streams], self.passes, lambda s, pools: self.why(int(streams[s]), pools))


@dataclass(frozen=True, slots=True, eq=False)
class Legality:
    """`pairs` [S, P] are the legal pairs: those that pass all rules."""

    rules: tuple[Rule, ...]
    pairs: Bools

    def taking(self, streams: Ints) -> Legality:
        """The same for other streams: row `streams` [S'] of these each."""
        return Legality(tuple(rule.taking(streams) for rule in self.rules), self.pairs[streams])

    def reasons(self, stream: int) -> tuple[str, ...]:
        """How many pools each rule takes from a stream (a pool counts where it first fails), and why."""
        left, sentences = np.ones(self.pairs.shape[1], bool), []
        for rule in self.rules:
            passes = rule.passes[rule.row[stream]]
            failed = np.flatnonzero(left & ~passes)
            if len(failed):
                sentences.append(f"{len(failed)} pool{'s' * (len(failed) > 1)}: {rule.why(stream, failed)}")
            left &= passes
        return tuple(sentences)

    def limits(self, stream: int) -> tuple[str, ...]:
        """Names of the rules that take pools from a stream."""
        return tuple(dict.fromkeys(rule.name for rule in self.rules if not rule.passes[rule.row[stream]].all()))

    def forbidding(self, stream: int, pool: int) -> tuple[str, ...]:
        """Names of all rules that forbid a pair."""
        return tuple(dict.fromkeys(rule.name for rule in self.rules if not rule.passes[rule.row[stream], pool]))

    def reason(self, stream: int, pool: int) -> str | None:
        """The first rule that forbids a pair, in words; None when it is legal."""
        for rule in self.rules:
            if not rule.passes[rule.row[stream], pool]:
                return rule.why(stream, np.array([pool]))
        return None


def legality(supply: Supply, demand: Demand, links: Links, speeds: tuple[Ints, Floats], losses: Losses) -> Legality:
    """All rules of a fleet; `speeds` comes from `planner.demand.throughput`. Raises InputError for a missing link."""
    before = (*_fit(supply, demand), _gpu_models(supply, demand), _arch(supply, demand), _patterns(supply, demand),
              _residency(supply, demand))
    pairs = np.ones((len(demand.workload), len(supply.pools)), bool)
    _narrow(pairs, before)
    after = (_latency(supply, demand, links, pairs), _spot_only(supply, demand), _deploy(supply, demand),
             _durability(supply, demand), _windows(demand, speeds), _min_throughput(supply, demand))
    _narrow(pairs, after)
    last = () if not losses.names else (_survival(supply, losses, pairs),)
    _narrow(pairs, last)
    return Legality((*before, *after, *last), pairs)


def _narrow(pairs: Bools, rules: Iterable[Rule]) -> None:
    for rule in rules:
        if not rule.passes.all():
            pairs &= rule.passes[rule.row]


def _fit(supply: Supply, demand: Demand) -> Iterator[Rule]:
    """One rule for each resource: the request of one replica is within the room of one machine."""
    for column, name in enumerate(RESOURCES):
        amounts, row = np.unique([getattr(request, name) for request in demand.requests], return_inverse=True)
        room = supply.room[:, column]
        passes = amounts[:, None] <= room + TOLERANCE
        yield Rule("size", row[demand.workload], passes, _lacks(supply, demand, column, name))


def _lacks(supply: Supply, demand: Demand, column: int, name: str) -> Callable[[int, Ints], str]:
    def why(stream: int, pools: Ints) -> str:
        needed = getattr(demand.requests[demand.workload[stream]], name)
        best = int(pools[supply.room[pools, column].argmax()])
        most, unit = supply.room[best, column], UNITS[name]
        if most <= 0:
            return f"a replica needs {needed:g} {unit}, machines there have none"
        return f"a replica needs {needed:g} {unit}, the largest machine has room for {most:g} ({_name(supply, best)})"
    return why


def _gpu_models(supply: Supply, demand: Demand) -> Rule:
    row, keys = group(workload.hardware.gpu_models for workload in demand.workloads)
    passes = [[not models or machine.gpu_model in models for machine in supply.machines] for models in keys]

    def why(stream: int, pools: Ints) -> str:
        found = _some({supply.machines[p].gpu_model or "no GPU" for p in pools.tolist()})
        return f"GPU model is {found}; hardware.gpu_models allows {_some(_of(demand, stream).hardware.gpu_models)}"
    return Rule("GPU model", row[demand.workload], np.array(passes), why)


def _arch(supply: Supply, demand: Demand) -> Rule:
    row, keys = group(workload.hardware.arch for workload in demand.workloads)
    passes = [[machine.arch in archs for machine in supply.machines] for archs in keys]

    def why(stream: int, pools: Ints) -> str:
        found = _some({supply.machines[p].arch for p in pools.tolist()})
        return f"architecture is {found}; hardware.arch allows {_some(_of(demand, stream).hardware.arch)}"
    return Rule("architecture", row[demand.workload], np.array(passes), why)


def _patterns(supply: Supply, demand: Demand) -> Rule:
    row, keys = group(workload.clusters for workload in demand.workloads)
    passes = [[rules.lets(cluster.name, pool.name) for cluster, pool in supply.pools] for rules in keys]

    def why(stream: int, pools: Ints) -> str:
        rules = _of(demand, stream).clusters
        if rules.pin is not None:
            return f"the workload is pinned to {rules.pin}"
        parts = [f"clusters.allow is {_some(rules.allow)}"] if rules.allow is not None else []
        parts += [f"clusters.deny is {_some(rules.deny)}"] if rules.deny else []
        return f"{' and '.join(parts)}, which leaves out {_clusters(supply, pools)}"
    return Rule("cluster rules", row[demand.workload], np.array(passes), why)


def _residency(supply: Supply, demand: Demand) -> Rule:
    """A cluster that states no country keeps no promise about one."""
    row, keys = group(workload.residency for workload in demand.workloads)
    passes = [[not (rule.allow or rule.deny) or (
        cluster.country is not None and (rule.allow is None or cluster.country in rule.allow)
        and cluster.country not in rule.deny) for cluster in supply.clusters] for rule in keys]

    def why(stream: int, pools: Ints) -> str:
        rule = _of(demand, stream).residency
        found = _some({supply.pools[p][0].country or "an unstated country" for p in pools.tolist()})
        allowed = f"allows {_some(rule.allow)} only" if rule.allow is not None else f"denies {_some(rule.deny)}"
        return f"in {found}; residency {allowed}"
    return Rule("residency", row[demand.workload], np.array(passes)[:, supply.cluster], why)


def _latency(supply: Supply, demand: Demand, links: Links, pairs: Bools) -> Rule:
    """Round trip from the users' region to the cluster's + service time <= SLO; without users it holds.

    No link is needed to clusters that other rules leave out: `pairs` [S, P] are legal by those.
    """
    slos = [demand.workloads[w].slo for w in demand.workload.tolist()]
    row, keys = group((int(r), slo.latency_ms, slo.service_ms) if r >= 0 and slo.latency_ms is not None else None
                      for r, slo in zip(demand.region, slos, strict=True))
    targets = [cluster.region_key for cluster in supply.clusters]
    rtt = links.rtt(demand.regions, targets)
    passes = np.ones((len(keys), len(targets)), bool)
    for k, key in enumerate(keys):
        if key is not None:
            region, latency_ms, service_ms = key
            missing = np.isnan(rtt[region])
            if missing.any():
                needed = missing[supply.cluster] & pairs[row == k].any(axis=0)
                if needed.any():
                    raise missing_link(demand.regions[region], targets[supply.cluster[needed.argmax()]], "rtt_ms",
                                       "slo.latency_ms")
            passes[k] = rtt[region] + service_ms <= latency_ms + EXACT

    def why(stream: int, pools: Ints) -> str:
        slo, region = _of(demand, stream).slo, int(demand.region[stream])
        best = int(pools[rtt[region, supply.cluster[pools]].argmin()])
        trip = rtt[region, supply.cluster[best]]
        service = f" + {slo.service_ms:g} ms of service" if slo.service_ms else ""
        return (f"from {demand.regions[region]} the nearest, {supply.pools[best][0].name}, takes {trip:g} ms{service}; "
                f"slo.latency_ms is {slo.latency_ms:g}")
    return Rule("latency", row, passes[:, supply.cluster], why)


def _spot_only(supply: Supply, demand: Demand) -> Rule:
    firm = np.array([any(offer.purchase != "spot" for offer in pool.offers) for _, pool in supply.pools])
    some = np.array([bool(pool.offers) for _, pool in supply.pools])
    row = np.array([int(workload.preemptible) for workload in demand.workloads])
    return Rule("spot", row[demand.workload], np.vstack([firm, some]),
                lambda *_: "the only offers are spot, and the workload is not preemptible")


def _deploy(supply: Supply, demand: Demand) -> Rule:
    row, keys = group(workload.slo.deploy_minutes for workload in demand.workloads)
    passes = [[limit is None or (cluster.deploy_minutes is not None and cluster.deploy_minutes <= limit + EXACT)
               for cluster in supply.clusters] for limit in keys]

    def why(stream: int, pools: Ints) -> str:
        stated = [m for p in pools.tolist() if (m := supply.pools[p][0].deploy_minutes) is not None]
        best = f"takes {min(stated):g} minutes at best" if stated else "is not stated"
        return f"deployment {best}; slo.deploy_minutes is {_of(demand, stream).slo.deploy_minutes:g}"
    return Rule("deployment time", row[demand.workload], np.array(passes)[:, supply.cluster], why)


def _durability(supply: Supply, demand: Demand) -> Rule:
    row, keys = group(workload.slo.durability for workload in demand.workloads)
    passes = [[limit is None or (cluster.durability is not None and cluster.durability >= limit)
               for cluster in supply.clusters] for limit in keys]

    def why(stream: int, pools: Ints) -> str:
        stated = [d for p in pools.tolist() if (d := supply.pools[p][0].durability) is not None]
        best = f"is {max(stated)!r} at best" if stated else "is not stated"
        return f"durability {best}; slo.durability is {_of(demand, stream).slo.durability!r}"
    return Rule("durability", row[demand.workload], np.array(passes)[:, supply.cluster], why)


def _windows(demand: Demand, speeds: tuple[Ints, Floats]) -> Rule:
    """On the pool's hardware some start within the window meets the deadline and leaves room for all runs."""
    slots, (of, table) = demand.window, speeds
    row, keys = group((workload.batch, workload.slo.deadline_slot, int(rule))
                      for workload, rule in zip(demand.workloads, of, strict=True))
    passes = np.ones((len(keys), table.shape[1]), bool)
    for k, (batch, deadline, rule) in enumerate(keys):
        if batch is not None:
            window = Window.of(batch, deadline, slots, table[rule])
            passes[k] = window.exists

    def why(stream: int, pools: Ints) -> str:
        workload, rule = _of(demand, stream), int(of[demand.workload[stream]])
        assert workload.batch is not None
        window = Window.of(workload.batch, workload.slo.deadline_slot, slots, table[rule, pools])
        return no_start(workload, window, slots)
    return Rule("batch window", row[demand.workload], passes, why)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Runs of a batch workload on hardware of several speeds: `length` and legal `starts` by speed, as (first, last).
    """

    length: Ints
    starts: tuple[tuple[tuple[int, int], ...], ...]
    period: int
    runs: int

    @classmethod
    def of(cls, batch: Batch, deadline_slot: int | None, window: Ints, speed: Floats) -> Window:
        """The starts from which all runs end within the horizon, and the first by the deadline; never overlapping.

        `window` [T] is the window of the horizon that each slot lies in: every run lies in one.
        """
        slots = len(window)
        length = whole(batch.duration_slots / speed).astype(np.int64)
        period = batch.every_slots or 0
        last = batch.latest_slot
        if last is None:  # a predicted profile may leave it open
            last = max(batch.earliest_slot, (period or slots) - batch.duration_slots)
        runs = max(1, 1 + (slots - batch.duration_slots - last) // period) if period else 1
        latest = np.minimum(last, slots - (runs - 1) * period - length)
        if deadline_slot is not None:
            latest = np.minimum(latest, deadline_slot + 1 - length)
        if runs > 1:
            latest = np.where(length <= period, latest, -1)
        period = period if runs > 1 else 0
        starts = tuple(tuple(_starts(batch.earliest_slot, int(last), int(size), period, runs, window))
                       for last, size in zip(latest, length, strict=True))
        return cls(length, starts, period, runs)

    @property
    def exists(self) -> Bools:
        """Whether any start is left, by speed."""
        return np.array([bool(ranges) for ranges in self.starts])


def no_start(workload: Workload, window: Window, slots: Ints) -> str:
    """Why a batch workload has no legal start; `slots` [T] is the window of the horizon that each slot lies in."""
    assert workload.batch is not None
    by = f", deadline_slot is {workload.slo.deadline_slot}" if workload.slo.deadline_slot is not None else ""
    every = f", it runs {window.runs} times every {workload.batch.every_slots}" if window.runs > 1 else ""
    one = int(slots[-1]) == 0
    whole_horizon = f"the horizon has {len(slots)} slots" if one else (
        f"no run may cross from one of the {int(slots[-1]) + 1} windows into the next")
    return (f"a run takes at least {int(window.length.min())} slots there; earliest_slot is "
            f"{workload.batch.earliest_slot}{by}{every}, {whole_horizon}")


def _starts(earliest: int, latest: int, length: int, period: int, runs: int, window: Ints) -> Iterator[tuple[int, int]]:
    """Ranges (first, last) of the starts from `earliest` to `latest` from which no run crosses into another window."""
    if latest < earliest:
        return
    if window[0] == window[-1]:
        yield earliest, latest
        return
    begins = np.arange(earliest, latest + 1)[:, None] + np.arange(runs) * period
    legal = (window[begins] == window[begins + length - 1]).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], legal.astype(np.int64), [0]])))
    yield from ((earliest + int(first), earliest + int(end) - 1) for first, end in edges.reshape(-1, 2))


def _min_throughput(supply: Supply, demand: Demand) -> Rule:
    """min_throughput <= replicas x per_replica in every slot in which the workload runs."""
    short = {w: slot for w, workload in enumerate(demand.workloads) if workload.slo.min_throughput
             and (slot := _short_slot(workload, demand.replicas[w])) is not None}
    row = np.array([int(w in short) for w in range(len(demand.workloads))])
    passes = np.repeat(np.array([[True], [False]]), len(supply.pools), axis=1)

    def why(stream: int, _: Ints) -> str:
        w = int(demand.workload[stream])
        workload, slot = demand.workloads[w], short[w]
        if workload.per_replica is None:
            return f"slo.min_throughput is {workload.slo.min_throughput:g}, but replicas.per_replica is not given"
        replicas = int(demand.replicas[w, slot])
        return (f"slo.min_throughput is {workload.slo.min_throughput:g}; in slot {slot} {replicas} replicas x "
                f"{workload.per_replica:g} give {replicas * workload.per_replica:g}")
    return Rule("throughput", row[demand.workload], passes, why)


def _short_slot(workload: Workload, replicas: Ints) -> int | None:
    """The first slot in which the workload runs and gives too little; a batch gang runs at its largest number."""
    if workload.per_replica is None:
        return 0
    row = np.where(replicas == replicas.max(), replicas, 0) if workload.batch is not None else replicas
    low = np.flatnonzero((row > 0) & (row * workload.per_replica < (workload.slo.min_throughput or 0) - EXACT))
    return int(low[0]) if len(low) else None


def _survival(supply: Supply, losses: Losses, pairs: Bools) -> Rule:
    """A stream that survives losses has legal pools (`pairs` [S, P]) in two domains of that level, or in none."""
    alone = np.zeros(len(pairs), bool)
    for kind in np.unique(losses.kind):
        domain = losses.lost[losses.kind == kind].argmax(axis=0)[supply.cluster]
        streams = np.flatnonzero(losses.asked == kind)
        legal = pairs[streams]
        first = domain[legal.argmax(axis=1)]
        alone[streams] = legal.any(axis=1) & ~(legal & (domain != first[:, None])).any(axis=1)

    def why(stream: int, pools: Ints) -> str:
        lost = losses.of_level(stream)
        where = int(lost[losses.lost[lost][:, supply.cluster[pools[0]]].argmax()])
        level = LEVELS[losses.asked[stream]]
        return (f"survive is {level}: nothing outside {level} {losses.names[where]} is legal, so its loss leaves no "
                f"fallback")
    return Rule("survival", alone.astype(np.int64), np.repeat([[True], [False]], pairs.shape[1], axis=1), why)


def _of(demand: Demand, stream: int) -> Workload:
    return demand.workloads[int(demand.workload[stream])]


def _name(supply: Supply, pool: int) -> str:
    cluster, model = supply.pools[pool]
    return f"{cluster.name}/{model.name}"


def _clusters(supply: Supply, pools: Ints) -> str:
    return _some(dict.fromkeys(supply.pools[p][0].name for p in pools.tolist()))


def _some(names: Iterable[str] | None, most: int = 5) -> str:
    """The first few names in order, and how many more there are."""
    found = sorted(names or ())
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
