"""Objects of Kubernetes as `kubectl get -o json` and manifests have them, each with where it was read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.kube.quantities import parse_quantity
from planner.kube.shapes import misfits
from planner.scenario.words import shown
from planner.scenario.yaml_file import parse_documents, read_text

Fields = Mapping[str, Any]
MOST = 10**18
"""The largest quantity of anything: an exbibyte."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One object; `at` reads a field of it and says where it is when its value is not of the kind wanted."""

    content: Fields
    file: str

    @property
    def kind(self) -> str:
        """Its kind, such as Node."""
        return str(self.content["kind"])

    @property
    def name(self) -> str:
        """Its name, or what one will begin with."""
        return str(self.metadata.get("name") or self.metadata.get("generateName", ""))

    @property
    def namespace(self) -> str:
        """Its namespace; `default` where it has none."""
        return str(self.metadata.get("namespace") or "default")

    @property
    def metadata(self) -> Fields:
        """Its metadata."""
        return self.fields("metadata")

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return {key: str(value) for key, value in self.fields("metadata", "labels").items()}

    @property
    def annotations(self) -> dict[str, str]:
        """Its annotations."""
        return {key: str(value) for key, value in self.fields("metadata", "annotations").items()}

    @property
    def where(self) -> str:
        """File, kind and name."""
        return f"{self.file}: {self.kind} {self.at('metadata', 'name') or ''}".rstrip()

    def at(self, *path: str) -> Any:  # noqa: ANN401  (whatever the file holds)
        """The value at a path of fields; None where there is none."""
        value: Any = self.content
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def fields(self, *path: str) -> Fields:
        """A mapping at a path; empty where there is none. Raises InputError for anything else."""
        found = self.at(*path)
        if found is None:
            return {}
        if not isinstance(found, Mapping):
            raise self.wrong(".".join(path), found, "a mapping of fields is needed")
        return found

    def items(self, *path: str) -> list[Fields]:
        """A list of mappings at a path; empty where there is none. Raises InputError for anything else."""
        return listed(self, self.at(*path), ".".join(path))

    def whole(self, *path: str, default: int) -> int:
        """A whole number of at least 0 at a path. Raises InputError for anything else."""
        found = self.at(*path)
        if found is None:
            return default
        if isinstance(found, bool) or not isinstance(found, int) or found < 0:
            raise self.wrong(".".join(path), found, "a whole number of at least 0 is needed")
        return found

    def quantity(self, value: object, field: str) -> Fraction:
        """A quantity of at least 0. Raises InputError for anything else."""
        try:
            found = parse_quantity(value)
        except ValueError:
            raise self.wrong(field, value, "a quantity such as 500m, 2 or 1.5Gi is needed") from None
        if found < 0:
            raise self.wrong(field, value, "a quantity of at least 0 is needed")
        if found > MOST:
            raise self.wrong(field, value, f"a quantity of at most {MOST:.0e} is needed")
        return found

    def wrong(self, field: str, value: object, allowed: str) -> InputError:
        """The error for a field with a value that cannot be."""
        return InputError([f"{self.where}: {field}: {shown(value)}: {allowed}"])


def listed(thing: Thing, value: object, field: str) -> list[Fields]:
    """A list of mappings; empty for None. Raises InputError for anything else."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise thing.wrong(field, value, "a list of mappings is needed")
    return value


def read_values(path: Path) -> list[Any]:
    """The documents of a JSON or YAML file. Raises InputError for what cannot be read."""
    if path.suffix.lower() == ".json":
        try:
            return [json.loads(path.read_bytes())]
        except ValueError as error:
            raise InputError([f"{path.name}: is not JSON: {error}"]) from None
        except OSError as error:
            raise InputError([f"{path}: cannot be read: {error.strerror}"]) from None
    return parse_documents(read_text(path), path.name)


def things_of(value: object, file: str) -> Iterator[Thing]:
    """Objects of a document: itself, or the items of a list. Raises InputError for a document that is neither."""
    if not isinstance(value, Mapping) or not isinstance(value.get("kind"), str):
        needed = "an object of Kubernetes with apiVersion and kind is needed, as `kubectl get -o json` writes it"
        raise InputError([f"{file}: {shown(value)}: {needed}"])
    kind = str(value["kind"])
    if not kind.endswith("List") or not isinstance(value.get("items"), list):
        yield _checked(Thing(value, file))
        return
    for number, item in enumerate(value["items"]):
        if not isinstance(item, Mapping):
            raise InputError([f"{file}: items[{number}]: {shown(item)}: an object is needed"])
        own = item.get("kind") or kind.removesuffix("List")
        if not own:
            raise InputError([f"{file}: items[{number}].kind: not given: the kind of the object is needed"])
        yield _checked(Thing({**item, "kind": own}, file))


def _checked(thing: Thing) -> Thing:
    """An object whose fields hold what they may. Raises InputError naming the first that does not."""
    for field, value, allowed in misfits(thing.content, thing.kind):
        name = thing.at("metadata", "name")
        called = f" {name}" if isinstance(name, str) else ""
        raise InputError([f"{thing.file}: {thing.kind}{called}: {field}: {shown(value)}: {allowed}"])
    return thing
