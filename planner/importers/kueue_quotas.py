"""Quotas of Kueue: what ClusterQueues may use of a flavor, each by itself and all that share it together.

In a tree of cohorts a queue or a cohort v may use what is its own (N, its quotas with those below it) and borrow
what others leave. Of every resource of a flavor, used by queues: all <= N of the root; those below v <= N(v) +
borrowingLimit(v); all others <= N(root) - N(v) + lendingLimit(v).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from planner.importers.draft import Draft
from planner.kube.objects import Fields, Thing, listed
from planner.scenario.fields import did_you_mean

GROUP, VERSIONS = "kueue.x-k8s.io", ("v1beta1", "v1beta2")
COHORT_OF = {"v1beta1": "cohort", "v1beta2": "cohortName"}
"""What a ClusterQueue calls its cohort in each version."""
Amounts = dict[str, Fraction]


@dataclass(frozen=True, slots=True)
class Quota:
    """What a holder has of one resource of a flavor; None: it may borrow, or lend, as much as there is."""

    nominal: Fraction
    borrowing: Fraction | None
    lending: Fraction | None


@dataclass(frozen=True, slots=True)
class Holder:
    """A ClusterQueue or Cohort, the cohort it is in, and its quotas by flavor and resource."""

    name: str
    parent: str | None
    quotas: Mapping[str, Mapping[str, Quota]]

    def nominal(self, flavor: str) -> Amounts:
        """Its own quotas of a flavor."""
        return {resource: quota.nominal for resource, quota in self.quotas.get(flavor, {}).items()}


@dataclass(frozen=True, slots=True)
class Cap:
    """What some queues may use of a flavor together."""

    name: str
    queues: tuple[str, ...]
    amounts: Amounts


@dataclass(frozen=True, slots=True)
class Quotas:
    """All queues and cohorts of a cluster by name."""

    queues: Mapping[str, Holder]
    cohorts: Mapping[str, Holder]

    def caps(self, flavor: str) -> Iterator[Cap]:
        """Everything that bounds the use of a flavor."""
        for name, queue in self.queues.items():
            if queue.parent is None and flavor in queue.quotas:
                yield Cap(name, (name,), queue.nominal(flavor))
        for name, cohort in self.cohorts.items():
            if cohort.parent is None:
                yield from self._shared(name, flavor)

    def _shared(self, root: str, flavor: str) -> Iterator[Cap]:
        """What bounds the queues of a tree of cohorts."""
        everybody, total = self._below(root), self._total(root, flavor)
        if total:
            yield Cap(root, everybody, total)
        inner: list[tuple[Holder, tuple[str, ...], Amounts]] = [
            (self.queues[name], (name,), self.queues[name].nominal(flavor)) for name in everybody]
        inner += [(holder, self._below(name), self._total(name, flavor)) for name, holder in self.cohorts.items()
                  if name != root and self._root(name) == root]
        for holder, members, own in inner:
            quotas = holder.quotas.get(flavor, {})
            most = {name: own[name] + quota.borrowing for name, quota in quotas.items() if quota.borrowing is not None}
            lent = {name: total[name] - own[name] + quota.lending for name, quota in quotas.items()
                    if quota.lending is not None}
            others = tuple(name for name in everybody if name not in members)
            if most:
                yield Cap(holder.name, members, most)
            if lent and others:
                yield Cap(f"{root}-without-{holder.name}", others, lent)

    def _below(self, cohort: str) -> tuple[str, ...]:
        """Queues of a cohort and of those in it."""
        return tuple(name for name, queue in self.queues.items() if queue.parent and cohort in self._line(queue.parent))

    def _line(self, cohort: str) -> list[str]:
        """A cohort and those that it is in, outward."""
        found = [cohort]
        while (parent := self.cohorts[found[-1]].parent) is not None:
            found.append(parent)
        return found

    def _root(self, cohort: str) -> str:
        return self._line(cohort)[-1]

    def _total(self, cohort: str, flavor: str) -> Amounts:
        """Quotas of a cohort, those in it and their queues, together."""
        holders = [self.queues[name] for name in self._below(cohort)]
        holders += [holder for name, holder in self.cohorts.items() if cohort in self._line(name)]
        total = Amounts()
        for holder in holders:
            for resource, amount in holder.nominal(flavor).items():
                total[resource] = total.get(resource, Fraction(0)) + amount
        return total


def quotas_of(things: Sequence[Thing], draft: Draft) -> Quotas:
    """Quotas among some objects; queues that are stopped are left out and told.

    Raises InputError for versions that are not known, and for cohorts that are in each other.
    """
    flavors = [thing.name for thing in things if kueue(thing, "ResourceFlavor")]
    queues, cohorts = dict[str, Holder](), dict[str, Holder]()
    for thing in things:
        if kueue(thing, "Cohort"):
            cohorts[thing.name] = _holder(thing, ("spec", "parentName"), flavors)
        elif kueue(thing, "ClusterQueue"):
            holder = _holder(thing, ("spec", COHORT_OF[_version(thing)]), flavors)
            if thing.at("spec", "stopPolicy") in ("Hold", "HoldAndDrain"):
                draft.guess("clusters.*.pools", "left out", "ClusterQueues that are stopped", thing.name)
            else:
                queues[thing.name] = holder
    for holder in (*queues.values(), *cohorts.copy().values()):
        if holder.parent is not None and holder.parent not in cohorts:  # a cohort needs no object of its own
            cohorts[holder.parent] = Holder(holder.parent, None, {})
    _check_no_circle(things, cohorts)
    return Quotas(queues, cohorts)


def kueue(thing: Thing, kind: str) -> bool:
    """Whether an object is Kueue's and of a kind. Raises InputError for a version that is not known."""
    if thing.kind != kind or not str(thing.at("apiVersion")).startswith(f"{GROUP}/"):
        return False
    if _version(thing) not in VERSIONS:
        raise thing.wrong("apiVersion", thing.at("apiVersion"), f"one of {', '.join(VERSIONS)} of {GROUP} is needed")
    return True


def _version(thing: Thing) -> str:
    return str(thing.at("apiVersion")).rsplit("/", 1)[-1]


def _holder(thing: Thing, parent: tuple[str, str], flavors: Sequence[str]) -> Holder:
    found: dict[str, dict[str, Quota]] = {}
    for number, group in enumerate(thing.items("spec", "resourceGroups")):
        for at, flavor in enumerate(listed(thing, group.get("flavors"), f"spec.resourceGroups[{number}].flavors")):
            where = f"spec.resourceGroups[{number}].flavors[{at}]"
            if flavor.get("name") not in flavors:
                raise thing.wrong(f"{where}.name", flavor.get("name"), "no ResourceFlavor of that name: "
                                  + did_you_mean(str(flavor.get("name")), list(flavors)))
            for row, one in enumerate(listed(thing, flavor.get("resources"), f"{where}.resources")):
                quota = _quota(thing, one, f"{where}.resources[{row}]")
                found.setdefault(str(flavor["name"]), {})[str(one.get("name"))] = quota
    name = thing.at(*parent)
    return Holder(thing.name, str(name) if name else None, found)


def _quota(thing: Thing, fields: Fields, where: str) -> Quota:
    def limit(name: str) -> Fraction | None:
        return None if fields.get(name) is None else thing.quantity(fields[name], f"{where}.{name}")

    return Quota(thing.quantity(fields.get("nominalQuota"), f"{where}.nominalQuota"), limit("borrowingLimit"),
                 limit("lendingLimit"))


def _check_no_circle(things: Sequence[Thing], cohorts: Mapping[str, Holder]) -> None:
    for name in cohorts:
        seen, at = {name}, cohorts[name].parent
        while at is not None and at not in seen:
            seen.add(at)
            at = cohorts[at].parent
        if at is not None:
            thing = next(one for one in things if one.kind == "Cohort" and one.name == at)
            raise thing.wrong("spec.parentName", thing.at("spec", "parentName"), "cohorts that are in each other")
