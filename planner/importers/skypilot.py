"""SkyPilot: catalogs (`CLOUD/vms.csv`) and tasks. Tasks become workloads, the cheapest places for them clusters.

A node of a task is a replica. Prices and shapes are those of the catalogs given, else the built-in ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.catalog import Catalog
from planner.catalog.files import read_skypilot
from planner.errors import InputError
from planner.importers.draft import Asked, Draft, Fields, number, plain
from planner.importers.stand_in import fits
from planner.kube.objects import read_values
from planner.scenario.fields import did_you_mean
from planner.scenario.model import Machine
from planner.scenario.words import shown

TABLES = (".csv", ".gz")
PLACES = 3
"""Places offered for each alternative of a task: the cheapest ones."""
CPUS, GIB_PER_CPU = 8.0, 4.0
"""vCPU of a node that states none, as SkyPilot takes by default, and GiB for each."""
FIELDS = {"name", "num_nodes", "resources", "service", "workdir", "setup", "run", "envs", "secrets", "file_mounts",
          "volumes", "inputs", "outputs", "config", "experimental", "pool"}
"""Fields of a task; anything else is no task of SkyPilot."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One alternative of a task's resources: what a node needs, and where it may be."""

    request: Mapping[str, float | int]
    model: str | None
    provider: str | None
    region: str | None
    machine: str | None
    spot: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node may run at a list price."""

    price: float
    provider: str
    region: str
    machine: Machine


def read(sources: Sequence[str], asked: Asked) -> Draft:
    """Tasks of some YAML files on places of catalogs in some CSV files. Raises InputError."""
    paths = [path for source in sources for path in _files(Path(source))]
    tables = [path for path in paths if path.suffix.lower() in TABLES]
    catalog, clouds = _catalog(tables, asked)
    tasks = [(path.name, task) for path in paths if path not in tables for task in _tasks(read_values(path))]
    if not tasks:
        needed = "a task YAML of SkyPilot says what is to run; `planner catalog --catalog FILE` shows the prices"
        raise InputError([f"{', '.join(sources)}: no task: {needed}"])
    draft, book = Draft(), _Book(catalog, clouds)
    for file, task in tasks:
        book.add(_checked(task, file), file, asked, draft)
    draft.clusters.extend(book.clusters(draft))
    return draft


def _files(path: Path) -> list[Path]:
    """A file itself, or the catalogs and tasks of a folder."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix.lower() in (*TABLES, ".yaml", ".yml"))


def _catalog(tables: Sequence[Path], asked: Asked) -> tuple[Catalog, frozenset[str]]:
    """The catalogs given over the known one, and the clouds that count: those given, else all."""
    found, clouds = asked.catalog, set[str]()
    for path in tables:
        one = read_skypilot(path)
        if not one.prices:
            needed = "a catalog of SkyPilot is needed"
            raise InputError([f"{path}: no row with a machine type, a region and a size: {needed}"])
        clouds |= one.providers
        found = one.over(found)
    return found, frozenset(clouds) or asked.catalog.providers


def _tasks(documents: list[Any]) -> list[Any]:
    """Tasks of a file; of several the first document may be no task, but the name of all of them."""
    first = documents[0] if len(documents) > 1 else None
    return documents[isinstance(first, Mapping) and first.keys() == {"name"}:]


def _checked(task: object, file: str) -> Fields:
    if not isinstance(task, dict):
        raise InputError([f"{file}: {shown(task)}: a task of SkyPilot is needed: name, resources, run"])
    for name in task:
        if name not in FIELDS:
            raise InputError([f"{file}: {name}: no field of a SkyPilot task: {did_you_mean(name, sorted(FIELDS))}"])
    return task


class _Book:
    """Places that tasks need, and how many nodes of each machine type in each."""

    def __init__(self, catalog: Catalog, clouds: frozenset[str]) -> None:
        self._catalog, self._clouds = catalog, clouds
        self._counts: dict[Place, int] = {}
        self._unknown: dict[str, None] = {}

    def add(self, task: Fields, file: str, asked: Asked, draft: Draft) -> None:
        """Add a task as a workload, with its places."""
        name = str(task.get("name") or Path(file).stem)
        nodes = _nodes(task, file, name, draft)
        choices = list(_choices(task, file, name, draft))
        offered = {choice: found for choice in choices if (found := self._cheapest(choice))}
        if not offered:
            asks = _words(choices[0])
            raise InputError([f"{file}: resources: {asks}: no place has that: look at `planner catalog`"])
        for choice in choices:
            if choice not in offered:
                draft.guess("workloads.*.clusters.allow", "left out", f"no place has {_words(choice)}", name)
        choices = list(offered)
        places = list(dict.fromkeys(place for found in offered.values() for place in found))
        for place in places:
            self._counts[place] = self._counts.get(place, 0) + nodes
        models = sorted({choice.model for choice in choices if choice.model})
        kind = "serving" if "service" in task else "training" if choices[0].request.get("gpu") else "etl"
        draft.guess("workloads.*.kind", kind, "services serve, tasks with accelerators train", name)
        draft.guess("workloads.*.replicas", "its nodes in all slots", "how long a task runs is not stated", name)
        draft.workloads.append(plain({
            "name": name, "kind": kind, "request": dict(choices[0].request),
            "hardware": {"gpu_models": models} if models else None, "replicas": [nodes] * asked.slots,
            "preemptible": True if any(choice.spot for choice in choices) else None,
            "clusters": {"allow": sorted({_cluster(place) for place in places})}}))

    def _cheapest(self, choice: Choice) -> list[Place]:
        """The cheapest machine in each region where a choice may be, of the cheapest regions."""
        best: dict[tuple[str, str], Place] = {}
        for (provider, region, name), price in self._catalog.prices.items():
            machine = self._catalog.machine(provider, name)
            if machine is None or price.on_demand is None or not self._may(choice, provider, region, machine):
                continue
            if self._catalog.region(f"{provider}/{region}") is None and provider in BUILT_IN:
                self._unknown[f"{provider}/{region}"] = None
                continue
            place = Place(price.on_demand, provider, region, machine)
            held = best.get((provider, region))
            if held is None or (place.price, name) < (held.price, held.machine.name):
                best[provider, region] = place
        return sorted(best.values(), key=lambda place: (place.price, place.provider, place.region))[:PLACES]

    def _may(self, choice: Choice, provider: str, region: str, machine: Machine) -> bool:
        here = provider == choice.provider if choice.provider else provider in self._clouds
        return (here and choice.region in (None, region) and choice.machine in (None, machine.name)
                and fits(choice.request, [choice.model] if choice.model else None, machine))

    def clusters(self, draft: Draft) -> Iterator[Fields]:
        """A cluster for every region, with a pool for every machine type."""
        for region in self._unknown:
            draft.guess("clusters.*", "left out", "regions whose country no catalog says", region)
        regions: dict[str, list[Place]] = {}
        for place in self._counts:
            regions.setdefault(_cluster(place), []).append(place)
        for name, places in sorted(regions.items()):
            pools = [self._pool(place, name, draft) for place in sorted(places, key=lambda place: place.machine.name)]
            yield {"name": name, "provider": places[0].provider, "region": places[0].region, "pools": pools}

    def _pool(self, place: Place, cluster: str, draft: Draft) -> Fields:
        machine = plain(place.machine.model_dump(exclude_defaults=True) | {"name": place.machine.name})
        spot = self._catalog.price(place.provider, place.region, place.machine.name, "spot")
        offers: list[Fields] = [{"purchase": "on_demand", "price_usd_per_hour": place.price}]
        if spot is not None:
            offers.append({"purchase": "spot", "price_usd_per_hour": spot})
        draft.guess("clusters.*.pools.max", "a machine for every node", "quotas of the cloud are not stated",
                    f"{cluster}/{place.machine.name}")
        return {"name": place.machine.name, "machine": machine, "max": self._counts[place], "offers": offers}


def _words(choice: Choice) -> str:
    """What an alternative asks for."""
    amounts = ", ".join(f"{number(value)} {what}" for what, value in choice.request.items())
    return f"{amounts} ({choice.model})" if choice.model else amounts


BUILT_IN = frozenset({"aws", "azure", "gcp"})
"""Clouds whose regions the built-in catalog knows: of others no country is asked for."""


def _cluster(place: Place) -> str:
    return f"{place.provider}-{place.region}"


def _nodes(task: Fields, file: str, name: str, draft: Draft) -> int:
    """How many nodes a task, or how many replicas a service, has."""
    policy = task["service"].get("replica_policy") or {} if isinstance(task.get("service"), Mapping) else {}
    field, value = "num_nodes", task.get("num_nodes", 1)
    if isinstance(task.get("service"), Mapping):
        field, value = "service.replicas", task["service"].get("replicas", policy.get("min_replicas", 1))
        if policy:
            draft.guess("workloads.*.replicas", "min_replicas", "demand on a service is not stated", name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError([f"{file}: {field}: {shown(value)}: a whole number of at least 1 is needed"])
    return value


def _choices(task: Fields, file: str, name: str, draft: Draft) -> Iterator[Choice]:
    """Alternatives of a task's resources: `any_of` or `ordered`, over what all of them share; of models, too."""
    base = task.get("resources") or {}
    if not isinstance(base, Mapping):
        raise InputError([f"{file}: resources: {shown(base)}: a mapping is needed"])
    lists = [(field, base[field]) for field in ("any_of", "ordered") if base.get(field)]
    if len(lists) > 1:
        raise InputError([f"{file}: resources: any_of and ordered: one of them only"])
    shared = {key: value for key, value in base.items() if key not in ("any_of", "ordered")}
    if lists and lists[0][0] == "ordered":
        draft.guess("workloads.*.clusters.allow", "all of ordered", "a plan chooses by cost, not by their order", name)
    field, found = lists[0] if lists else ("", [{}])
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise InputError([f"{file}: resources.{field}: {shown(found)}: a list of mappings is needed"])
    for one in found:
        merged = {**shared, **one}
        for model, count in _accelerators(merged.get("accelerators"), file):
            yield _choice(merged, model, count, file, name, draft)


def _choice(fields: Fields, model: str | None, gpus: int, file: str, name: str, draft: Draft) -> Choice:
    vcpu = _size(fields, "cpus", file)
    memory = _size(fields, "memory", file)
    if vcpu is None and fields.get("instance_type") is None and not gpus:
        vcpu = CPUS
        draft.guess("workloads.*.request.vcpu", number(CPUS), "tasks that state no cpus", name)
    if memory is None:
        memory = GIB_PER_CPU * (vcpu or 1.0)
        each = f"{number(GIB_PER_CPU)} for each vCPU"
        draft.guess("workloads.*.request.memory_gib", each, "tasks that state no memory", name)
    words = str(fields.get("infra") or "").split("/")
    provider = (words[0] if words[0] not in ("", "*") else fields.get("cloud")) or None
    region = (words[1] if len(words) > 1 and words[1] != "*" else fields.get("region")) or None
    request = plain({"vcpu": number(vcpu or 1.0), "memory_gib": number(memory), "gpu": gpus or None})
    return Choice(request, model, str(provider).lower() if provider else None, str(region) if region else None,
                  fields.get("instance_type"), fields.get("use_spot") is True)


def _accelerators(value: object, file: str) -> list[tuple[str | None, int]]:
    """Models and counts: `H100:8`, `{H100: 8, A100: 8}`, `[H100:8, A100:8]`; nothing: none."""
    if value is None:
        return [(None, 0)]
    if value in ({}, []):
        raise InputError([f"{file}: resources.accelerators: {shown(value)}: MODEL:COUNT is needed, such as H100:8"])
    if isinstance(value, Mapping):
        return [_model(f"{model}:{count}", file) for model, count in value.items()]
    return [_model(str(one), file) for one in (value if isinstance(value, list) else [value])]


def _model(text: str, file: str) -> tuple[str, int]:
    found = re.fullmatch(r"([^:]+?)(?:-[0-9]+GB)?(?::([0-9]+))?", text)
    if found is None:
        raise InputError([f"{file}: resources.accelerators: {shown(text)}: MODEL:COUNT is needed, such as H100:8"])
    return found[1], int(found[2] or 1)


def _size(fields: Fields, field: str, file: str) -> float | None:
    """`4`, `4+` or `32GB` of `cpus` and `memory`; None where it is not given. `4x` memory is four for each vCPU."""
    value: Any = fields.get(field)
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(?:\+|GB|GB\+|x)?", str(value))
    if found is None:
        raise InputError([f"{file}: resources.{field}: {shown(value)}: a number is needed, with + for at least"])
    times = float(_size(fields, "cpus", file) or CPUS) if field == "memory" and str(value).endswith("x") else 1.0
    return float(found[1]) * times
