"""What if: changes to a scenario as objects, and what they make of it. Nothing here touches files.

Grammar of a change: SELECTOR:AMOUNT, with amounts `+40%`, `-20%`, `x3`, `=5`.

| change | selector | amount |
|---|---|---|
| remove-cluster | name or glob of clusters | none |
| demand | `all`, a kind, `owner:NAME`, name or glob of workloads | of the replicas in every slot, rounded up |
| price | `PROVIDER:MACHINE` globs, then `:PURCHASE` if one way to pay is meant | of USD per hour |
| max | `CLUSTER/POOL` glob | of machines, rounded down |
| latency | as demand | of `slo.latency_ms` |
| availability | as demand | `=` only: `slo.availability` of those that state one |
| survive | `none`, `cluster`, `region` or `provider` | none |
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from math import floor, isfinite
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from planner.demand import whole
from planner.errors import InputError
from planner.profiles.model import Counts, Profiles
from planner.scenario.fields import did_you_mean
from planner.scenario.model import Cluster, Offer, Pool, Scenario, Workload
from planner.scenario.refused import REFUSED
from planner.scenario.values import Kind, Survive

What = Literal["remove-cluster", "demand", "price", "max", "latency", "availability", "survive"]
MOST = 2**31 - 1
"""Replicas and machines at most."""
ALL = "all"
Figures = float | tuple[float, ...] | None
"""A figure of the scenario, or one for each slot, if given."""
_AMOUNT = re.compile(r"(?P<sign>[+-]?)(?P<by>\d+(?:\.\d+)?)%|x(?P<times>\d+(?:\.\d+)?)|=(?P<value>\d+(?:\.\d+)?)")
_ALLOWED = "+40%, -20%, x3 or =5"


@dataclass(frozen=True, slots=True)
class Amount:
    """How a figure changes: to `factor` times what it is, or to `value`. Exactly one of the two is given."""

    factor: float | None = None
    value: float | None = None

    @classmethod
    def parse(cls, text: str) -> Amount:
        """Read `+40%`, `-20%`, `x3` or `=5`. Raises ValueError that says how to mend it."""
        found = _AMOUNT.fullmatch(text.strip())
        if found is None:
            raise ValueError(_mend(text.strip()))
        if found["value"] is not None:
            return cls(value=float(found["value"]))
        if found["times"] is not None:
            return cls(factor=float(found["times"]))
        if not found["sign"]:
            raise ValueError(f"{text}: more or less? write +{text}, -{text} or x{float(found['by']) / 100:g}")
        share = float(found["by"]) / 100 * (-1 if found["sign"] == "-" else 1)
        if share < -1:
            raise ValueError(f"{text}: less than nothing would be left: at most -100% is allowed")
        return cls(factor=1 + share)

    def of(self, now: float) -> float:
        """The changed figure."""
        return self.value if self.value is not None else now * (self.factor if self.factor is not None else 1.0)

    def __str__(self) -> str:
        if self.value is not None:
            return f"={self.value:.12g}"
        factor = 1.0 if self.factor is None else self.factor
        return f"x{factor:.12g}" if factor >= 2 else f"{100 * (factor - 1):+.10g}%"


def _mend(text: str) -> str:
    if re.fullmatch(r"[+-]\d+(\.\d+)?", text):
        number = text[1:]
        return f"{text}: without % it is not clear of what: write {text}%, or ={number} for {number} itself"
    if re.fullmatch(r"\d+(\.\d+)?x?", text):
        number = text.rstrip("x")
        return f"{text}: write x{number} for {number} times as much, or ={number} for {number} itself"
    return f"{text or 'nothing'}: {_ALLOWED} is allowed"


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `selector` says of what; `amount` is None for changes that have none."""

    what: What
    selector: str
    amount: Amount | None = None

    @classmethod
    def parse(cls, what: What, text: str) -> Change:
        """Read what stands behind an option of `planner what-if`. Raises InputError with one line."""
        where = f"{what}: {text}"
        if what in ("remove-cluster", "survive"):
            return _level(where, text) if what == "survive" else cls(what, text.strip())
        selector, colon, amount = text.strip().rpartition(":")
        if not colon or not selector:
            raise InputError([f"{where}: SELECTOR:AMOUNT is needed, as {EXAMPLES[what]}"])
        try:
            change = cls(what, selector.strip(), Amount.parse(amount))
        except ValueError as wrong:
            raise InputError([f"{where}: {wrong}"]) from None
        _check(change, where)
        return change

    @classmethod
    def read(cls, text: str) -> Change:
        """Read what `str()` writes, as plans keep it. Raises InputError."""
        what, _, rest = text.partition(" ")
        if what not in get_args(What):
            raise InputError([f"what-if: {text}: {did_you_mean(what, list(get_args(What)))}"])
        return cls.parse(what, rest)  # type: ignore[arg-type]  # one of the words of What

    def __str__(self) -> str:
        return f"{self.what} {self.selector}" + ("" if self.amount is None else f":{self.amount}")


EXAMPLES: Mapping[What, str] = {
    "remove-cluster": "aws-*", "demand": "serving:+40%", "price": "aws:p5*:-20%", "max": "onprem-a/gpu:=50",
    "latency": "checkout:=100", "availability": "serving:=0.9999", "survive": "cluster"}


def _level(where: str, text: str) -> Change:
    if text not in get_args(Survive):
        raise InputError([f"{where}: allowed are {', '.join(get_args(Survive))}"])
    return Change("survive", text)


def _check(change: Change, where: str) -> None:
    """What only one kind of change asks of its amount or its selector. Raises InputError."""
    value = change.amount.value if change.amount else None
    if change.what == "availability" and (value is None or not 0 <= value <= 1):
        hint = f"; did you mean ={value / 100:g}?" if value is not None and value <= 100 else ""
        raise InputError([f"{where}: = and a fraction from 0 to 1 is allowed, as =0.9999{hint}"])
    if change.what == "latency" and change.amount is not None and change.amount.of(1.0) <= 0:
        raise InputError([f"{where}: a latency of more than 0 ms is needed"])
    if change.what == "price" and ":" not in change.selector and change.selector != ALL:
        raise InputError([f"{where}: PROVIDER:MACHINE is needed before the amount, as *:{change.selector}"])
    if change.what == "max" and "/" not in change.selector and change.selector != ALL:
        raise InputError([f"{where}: CLUSTER/POOL is needed before the amount, as {change.selector}/*"])


def apply(changes: Sequence[Change], scenario: Scenario, profiles: Profiles) -> tuple[Scenario, Profiles]:
    """A resolved scenario and what its workloads need, as they would be after the changes; neither is altered.

    Demand changes multiply up and are rounded up once, so that +40% twice is x1.96. What a latency change asks for is
    where a workload may run; its replicas stay as they were sized. Raises InputError where a selector matches nothing,
    no cluster would be left, or a number becomes too large.
    """
    for change in changes:
        scenario, profiles = _APPLY[change.what](change, scenario, profiles)
    return scenario, _demand(changes, profiles)


def check(changes: Sequence[Change], scenario: Scenario) -> None:
    """Raise InputError where changes match nothing of a resolved scenario, or leave no cluster, as far as that can be
    told before it is known what its workloads need.
    """
    unknown = Profiles(scenario.workloads, np.zeros((len(scenario.workloads), 0), np.int32), 0.5, (), {})
    for change in changes:
        if change.what in ("demand", "latency", "availability"):
            selected(change.selector, scenario.workloads, str(change))
        else:
            scenario, _ = _APPLY[change.what](change, scenario, unknown)


def selected(selector: str, workloads: Sequence[Workload], where: str) -> list[int]:
    """Positions of the workloads that a selector names. Raises InputError with the nearest match for none."""
    rows = [at for at, workload in enumerate(workloads) if _matches(selector, workload)]
    if not rows:
        kinds = sorted({workload.kind for workload in workloads})
        owners = sorted({f"owner:{workload.owner}" for workload in workloads if workload.owner})
        known = [ALL, *kinds, *owners, *(workload.name for workload in workloads)]
        raise InputError([f"{where}: {selector}: matches no workload: {did_you_mean(selector, known)}"])
    return rows


def _matches(selector: str, workload: Workload) -> bool:
    """`all` and the kinds go before names: a workload that is called `serving` is named by `servin[g]`."""
    if selector == ALL or selector in get_args(Kind):
        return selector in (ALL, workload.kind)
    if selector.startswith("owner:"):
        return workload.owner is not None and fnmatchcase(workload.owner, selector.removeprefix("owner:"))
    return fnmatchcase(workload.name, selector)


def exactly(name: str) -> str:
    """The selector of one workload, whatever its name."""
    escaped = glob.escape(name)
    reserved = name == ALL or name in get_args(Kind) or name.startswith("owner:")
    return f"[{escaped[0]}]{escaped[1:]}" if reserved else escaped


def scaled_workloads(changes: Iterable[Change], workloads: Sequence[Workload]) -> list[int]:
    """Positions of the workloads whose demand changes; all of them where none does."""
    rows = {at for change in changes if change.what == "demand"
            for at in selected(change.selector, workloads, str(change))}
    return sorted(rows) or list(range(len(workloads)))


def _demand(changes: Sequence[Change], profiles: Profiles) -> Profiles:
    """Replicas after all demand changes, rounded up once."""
    asked = [change for change in changes if change.what == "demand"]
    if not asked:
        return profiles
    rows = [(selected(change.selector, profiles.workloads, str(change)), change) for change in asked]
    counts = _changed(profiles.replicas, rows)
    if profiles.paths is None:
        return replace(profiles, replicas=counts)
    of = {int(w): at for at, w in enumerate(profiles.paths.workload)}
    on_paths = [([of[w] for w in chosen if w in of], change) for chosen, change in rows]
    return replace(profiles, replicas=counts, paths=replace(
        profiles.paths, counts=_changed(profiles.paths.counts, on_paths)))


def _changed(replicas: NDArray[np.integer[Any]], rows: Sequence[tuple[list[int], Change]]) -> Counts:
    """Replicas [n, ..., T] after changes of some rows each, rounded up once."""
    found = replicas.astype(np.int32)
    for at in sorted({at for chosen, _ in rows for at in chosen}):
        amount = found[at].astype(float)
        for change in (change for chosen, change in rows if at in chosen and change.amount is not None):
            factor = change.amount.factor if change.amount else None
            amount = amount * factor if factor is not None else np.full_like(amount, _value(change))
        most = float(amount.max(initial=0.0))
        if not isfinite(most) or most > MOST:
            raise InputError([f"{rows[-1][1]}: {most:.6g} replicas in one slot: at most {MOST} are allowed"])
        found[at] = whole(amount)
    found.setflags(write=False)
    return found


def _value(change: Change) -> float:
    return change.amount.of(0.0) if change.amount else 0.0


def _remove(change: Change, scenario: Scenario, profiles: Profiles) -> tuple[Scenario, Profiles]:
    names = [cluster.name for cluster in scenario.clusters]
    gone = removed(change, names)
    kept = tuple(cluster for cluster in scenario.clusters if cluster.name not in gone)
    if not kept:
        raise InputError([f"{change}: no cluster would be left of {len(names)}: keep at least one"])
    return scenario.model_copy(update={"clusters": kept}), profiles


def removed(change: Change, names: list[str]) -> set[str]:
    """Clusters that a change takes away. Raises InputError with the nearest match for none."""
    gone = {name for name in names if fnmatchcase(name, change.selector)}
    if not gone:
        raise InputError([f"{change}: matches no cluster: {did_you_mean(change.selector, names)}"])
    return gone


def _price(change: Change, scenario: Scenario, profiles: Profiles) -> tuple[Scenario, Profiles]:
    amount, hit, known = change.amount, set[str](), set[str]()
    assert amount is not None

    def offer(cluster: Cluster, pool: Pool, row: Offer) -> Offer:
        name = f"{cluster.provider}:{pool.machine.name}"
        known.update((name, f"{name}:{row.purchase}"))
        if not (change.selector == ALL or fnmatchcase(name, change.selector)
                or (change.selector.endswith(f":{row.purchase}") and fnmatchcase(f"{name}:{row.purchase}",
                                                                                 change.selector))):
            return row
        hit.add(name)
        return row.model_copy(update={"price_usd_per_hour": _each(amount.of, row.price_usd_per_hour)})

    pools = _pools(scenario, lambda cluster, pool: pool.model_copy(update={
        "offers": tuple(offer(cluster, pool, row) for row in pool.offers)}))
    if not hit:
        near = did_you_mean(change.selector, sorted(known))
        raise InputError([f"{change}: matches no offer of PROVIDER:MACHINE or PROVIDER:MACHINE:PURCHASE: {near}"])
    return pools, profiles


def _max(change: Change, scenario: Scenario, profiles: Profiles) -> tuple[Scenario, Profiles]:
    """Machines of a pool; an offer that may sell as many as the pool holds goes with it, one that may not stays."""
    amount, known = change.amount, [f"{c.name}/{pool.name}" for c in scenario.clusters for pool in c.pools]
    assert amount is not None
    if change.selector != ALL and not any(fnmatchcase(name, change.selector) for name in known):
        raise InputError([f"{change}: matches no pool: {did_you_mean(change.selector, known)}"])

    def fewer(now: float) -> int:
        return min(MOST, floor(amount.of(now) + 1e-9))

    def offer(row: Offer, pool: Pool) -> Offer:
        limits = {name: _each(fewer, getattr(row, name)) for name in ("max", "assured_max")
                  if getattr(row, name) == pool.max}
        return row.model_copy(update=limits)

    def change_pool(cluster: Cluster, pool: Pool) -> Pool:
        if change.selector != ALL and not fnmatchcase(f"{cluster.name}/{pool.name}", change.selector):
            return pool
        return pool.model_copy(update={"max": _each(fewer, pool.max),
                                       "offers": tuple(offer(row, pool) for row in pool.offers)})

    return _pools(scenario, change_pool), profiles


def _pools(scenario: Scenario, of: Callable[[Cluster, Pool], Pool]) -> Scenario:
    clusters = tuple(cluster.model_copy(update={"pools": tuple(of(cluster, pool) for pool in cluster.pools)})
                     for cluster in scenario.clusters)
    return scenario.model_copy(update={"clusters": clusters})


def _each(of: Callable[[float], float], now: Figures) -> Figures:
    """A figure, or one for each slot, changed; what is not given stays so."""
    if now is None:
        return None
    return tuple(of(value) for value in now) if isinstance(now, tuple) else of(now)


def _slo(field: str, needed: bool) -> Callable[[Change, Scenario, Profiles], tuple[Scenario, Profiles]]:
    """A change of a service level objective; `needed`: only of workloads that state one."""
    def of(change: Change, scenario: Scenario, profiles: Profiles) -> tuple[Scenario, Profiles]:
        rows, amount = set(selected(change.selector, profiles.workloads, str(change))), change.amount
        assert amount is not None
        stated = [at for at in rows if getattr(profiles.workloads[at].slo, field) is not None]
        if not stated and (needed or amount.value is None):
            raise InputError([f"{change}: none of the {len(rows)} workloads states slo.{field}"])
        chosen = set(stated) if needed or amount.value is None else rows

        def with_slo(workloads: Sequence[Workload]) -> tuple[Workload, ...]:
            return tuple(_with_slo(workload, field, amount) if at in chosen else workload
                         for at, workload in enumerate(workloads))

        return (scenario.model_copy(update={"workloads": with_slo(scenario.workloads)}),
                replace(profiles, workloads=with_slo(profiles.workloads)))
    return of


def _with_slo(workload: Workload, field: str, amount: Amount) -> Workload:
    now = getattr(workload.slo, field)
    if now is None and amount.value is None:  # the scenario's own row, of which the prediction has one
        return workload
    return workload.model_copy(update={"slo": workload.slo.model_copy(update={field: amount.of(now or 0.0)})})


def _survive(change: Change, scenario: Scenario, profiles: Profiles) -> tuple[Scenario, Profiles]:
    if any(rule.field == "survive" and rule.when(change.selector) for rule in REFUSED):
        raise InputError([f"{change}: not available yet: use none"])
    if scenario.sizing == "pooled" and change.selector != "none":
        raise InputError([f"{change}: not available yet with sizing: pooled: use none"])
    return scenario.model_copy(update={"survive": change.selector}), profiles


_APPLY: Mapping[What, Callable[[Change, Scenario, Profiles], tuple[Scenario, Profiles]]] = {
    "remove-cluster": _remove, "demand": lambda _, scenario, profiles: (scenario, profiles), "price": _price,
    "max": _max, "latency": _slo("latency_ms", needed=False), "availability": _slo("availability", needed=True),
    "survive": _survive}
