"""What the store keeps: versions that never change, and the history of who changed their stage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Stage = Literal["candidate", "stable", "retired"]
Action = Literal["register", "promote", "rollback", "retire"]
Kind = Literal["validation", "shadow"]
LAST_KNOWN_GOOD = "last-known-good"
ALL_HARDWARE = "all"
FAMILY = "family:"

_ID_LETTERS = 12


@dataclass(frozen=True)
class NewVersion:
    """A trained model before it has a name.

    `hardware` is a hardware class, `family:NAME` or `all`; `covers` are patterns of the classes that a family serves.
    `data_sha256` is that of the rows it was trained on, which `data_source` names; `code_version` that of the code, and
    `packages` its libraries. `predictions_sha256` is that of its predictions on rows kept in the file. Metrics are
    losses unless their name says otherwise. `trials` is what else was tried, each with its settings and its loss.
    `parent` is the version that served when training began.
    """

    hardware: str
    data_sha256: str
    data_source: str
    code_version: str
    predictions_sha256: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    packages: Mapping[str, str] = field(default_factory=dict)
    covers: tuple[str, ...] = ()
    trials: tuple[Mapping[str, Any], ...] = ()
    parent: str | None = None

    def __post_init__(self) -> None:
        """Refuse a version without hardware, and figures that are none."""
        if not self.hardware.strip():
            raise ValueError("hardware: a version is for a hardware class, family:NAME or all; found an empty name")
        for name, value in self.metrics.items():
            if not np.isfinite(value):
                raise ValueError(f"metrics: {name}: {value}: a finite number is needed")

    def identity(self, file_sha256: str) -> str:
        """Name of the version: it follows from everything that is kept of it."""
        text = json.dumps(asdict(self) | {"file_sha256": file_sha256}, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:_ID_LETTERS]


@dataclass(frozen=True)
class Version:
    """A registered model. All but `stage` is as registered; `serves` says whether it answers for its hardware."""

    id: str
    made: NewVersion
    file_sha256: str
    file_bytes: int
    created_at: str
    created_by: str
    stage: Stage
    serves: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        told = asdict(self)
        return {"id": told.pop("id"), **told.pop("made"), **told}


@dataclass(frozen=True)
class Event:
    """One line of a hardware's history: `before` served until then, `after` serves since. `revision` counts from 1."""

    hardware: str
    revision: int
    at: str
    by: str
    action: Action
    version: str
    before: str | None
    after: str | None
    why: str


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Losses of one version on one set of rows, block by block, so that versions can be compared pair by pair.

    `blocks` name what was measured, as host/day; `sums` and `weights` hold, by name of the loss, arrays [blocks]: the
    loss over a set of blocks is the sum of `sums` over the sum of `weights`. Weights of 0 are blocks without a value.
    """

    version: str
    kind: Kind
    data_sha256: str
    blocks: tuple[str, ...]
    sums: Mapping[str, npt.NDArray[np.float64]]
    weights: Mapping[str, npt.NDArray[np.float64]]
    at: str = ""

    def __post_init__(self) -> None:
        """Refuse figures that are not one a block."""
        if set(self.sums) != set(self.weights):
            raise ValueError(f"weights: {sorted(self.weights)}: the same losses as sums: {sorted(self.sums)}")
        if len(set(self.blocks)) != len(self.blocks):
            raise ValueError("blocks: one name comes twice")
        for name in self.sums:
            for part in (self.sums[name], self.weights[name]):
                if part.shape != (len(self.blocks),) or not np.isfinite(part).all():
                    raise ValueError(f"{name}: shape {part.shape}: {len(self.blocks)} finite numbers are needed")

    def losses(self) -> dict[str, float]:
        """Each loss over all blocks; losses without any weight are left out."""
        return {
            name: float(self.sums[name].sum() / weight.sum()) for name, weight in self.weights.items() if weight.sum()
        }


@dataclass(frozen=True)
class MeasuredCost:
    """What a version takes on a machine, by name of the figure."""

    version: str
    machine: str
    figures: Mapping[str, float]
    at: str = ""


@dataclass(frozen=True)
class Served:
    """Who answers for a hardware class. `asked` in turn were the class, its family and all hardware; `refused` says of
    each version that came before and why it was passed over.
    """

    hardware: str
    version: Version
    content: bytes
    asked: tuple[str, ...]
    refused: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Which model answers, and what it stands in for."""
        scope = self.version.made.hardware
        own = "its own model" if scope == self.hardware else f"no stable model of its own; that of {scope}"
        passed = f"; passed over: {'; '.join(self.refused)}" if self.refused else ""
        return f"{self.hardware}: {own}, version {self.version.id}{passed}"
