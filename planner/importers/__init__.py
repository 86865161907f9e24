"""Scenarios from what users have. An importer is `read(sources, asked) -> Draft` in its own module.

`sources` are the arguments of the command: files, folders, addresses. What no source states is guessed and told. They
are named, not imported: `planner --help` lists them, and each command loads its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from planner.importers.draft import Asked, Draft


class Entry(NamedTuple):
    """The module of an importer, what it reads, in one line, and whether that may be in other currencies."""

    module: str
    about: str
    currencies: bool = False


IMPORTERS: dict[str, Entry] = {
    "argo": Entry("argo", "Workflows of Argo as batch workloads that come after each other."),
    "focus": Entry("focus", "A bill in FOCUS: what ran, at the prices that were paid, beside list prices.",
                   currencies=True),
    "karpenter": Entry("karpenter", "What NodePools of Karpenter may start, within their limits, and what runs there."),
    "kubeflow": Entry("kubeflow", "Compiled pipelines of Kubeflow as batch workloads that come after each other."),
    "kueue": Entry("kueue", "Quotas of Kueue, what may be borrowed and lent, and the work in its queues."),
    "skypilot": Entry("skypilot", "Tasks of SkyPilot on the places of its catalogs (CLOUD/vms.csv)."),
    "kubernetes": Entry("kubernetes", "Clusters and what runs on them: `kubectl get nodes,pods -A -o json`."),
}
"""Importers by name."""


class Importer(Protocol):
    """A function that reads what another tool says."""

    def __call__(self, sources: Sequence[str], asked: Asked) -> Draft:
        """The scenario that the sources make. Raises InputError naming file, field, value and what is allowed."""
        ...


def importer(name: str) -> Importer:
    """The importer of a name in `IMPORTERS`."""
    found: Importer = import_module(f"planner.importers.{IMPORTERS[name].module}").read
    return found
