"""Is one version better than another, on the same blocks of rows? A paired bootstrap over hosts.

Rows of one host resemble each other, so whole hosts are drawn with replacement (a cluster bootstrap; Efron and
Tibshirani, An Introduction to the Bootstrap, 1993, ch. 8), the same ones for both versions; where there are fewer than
`FEWEST_HOSTS`, days are drawn instead. The chance is twice the share of draws in which the difference is on the other
side of zero, and the chances of one comparison are adjusted together (Holm 1979).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from diagnostics.store.errors import StoreError
from diagnostics.store.records import Evaluation, Kind, Version
from diagnostics.store.store import ModelStore

Floats = npt.NDArray[np.float64]

DRAWS = 9_999
FEWEST_HOSTS = 10
FEWEST_GROUPS = 5
"""With fewer groups no significance is claimed."""
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """One loss of `other` less that of `base`: negative is better. `low` and `high` are its 95 % interval and `p` its
    chance if both were equal, adjusted for all losses compared at once; null where there are too few groups.
    """

    loss: str
    base: str
    other: str
    base_value: float
    other_value: float
    difference: float
    low: float | None
    high: float | None
    p: float | None
    groups: int
    blocks: int

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.p is None:
            return "too few to tell"
        if self.p > SIGNIFICANT:
            return "no difference shown"
        return "better" if self.difference < 0 else "worse"


@dataclass(frozen=True)
class Comparison:
    """Versions set against the first of them: what differs in parameters, and what that did to each loss."""

    versions: tuple[str, ...]
    kind: Kind
    parameters: Mapping[str, tuple[Any, ...]]
    metrics: Mapping[str, tuple[float | None, ...]]
    differences: tuple[Difference, ...]
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"differences": [asdict(row) | {"verdict": row.verdict} for row in self.differences]}


def compare(store: ModelStore, names: Sequence[str], kind: Kind = "validation", seed: int = 0,
            losses: Collection[str] | None = None) -> Comparison:
    """Set versions against the first named, on the blocks that all of them were measured on, by some losses or all.

    Raises:
        UnknownVersionError: a version is not in the store.
        StoreError: fewer than two are named, or one comes twice.

    """
    versions = [store.version(name) for name in names]
    ids = tuple(version.id for version in versions)
    if len(ids) < 2 or len(set(ids)) < len(ids):
        raise StoreError(f"compare: {', '.join(ids) or 'nothing'}: two versions or more are needed, each once")
    measured = [{loss: cells for loss, cells in _pooled(store.evaluations(name, kind)).items()
                 if losses is None or loss in losses} for name in ids]
    found, note = _differences(ids, measured, kind, seed)
    return Comparison(ids, kind, _parameters(versions), _metrics(versions), tuple(found), note)


_Pooled = dict[str, dict[str, tuple[float, float]]]
"""Sum and weight by loss and by block; a block is named by its rows' hash too."""


def _pooled(evaluations: Sequence[Evaluation]) -> _Pooled:
    """Everything that was measured of one version."""
    pooled: _Pooled = {}
    for evaluation in evaluations:
        keys = [f"{block}/{evaluation.data_sha256}" for block in evaluation.blocks]
        for loss, sums in evaluation.sums.items():
            cells = zip(sums.tolist(), evaluation.weights[loss].tolist(), strict=True)
            pooled.setdefault(loss, {}).update(zip(keys, cells, strict=True))
    return pooled


def _differences(
    ids: tuple[str, ...], measured: Sequence[_Pooled], kind: Kind, seed: int
) -> tuple[list[Difference], str]:
    """Every loss that all versions have blocks of in common, each version against the first."""
    found = []
    for loss in sorted(set.intersection(*(set(pooled) for pooled in measured))):
        keys = sorted(set.intersection(*(set(pooled[loss]) for pooled in measured)))
        cells = np.array([[pooled[loss][key] for key in keys] for pooled in measured]).reshape(len(ids), len(keys), 2)
        if len(keys) and (cells[:, :, 1].sum(axis=1) > 0).all():
            found += [_difference(loss, ids[0], ids[row], keys, cells[[0, row]], seed) for row in range(1, len(ids))]
    if not found:
        missing = [name for name, pooled in zip(ids, measured, strict=True) if not pooled]
        what = f"{', '.join(missing)} has no {kind} results" if missing else f"no rows have {kind} results of all"
        return [], f"{what}: measure them on the same rows with --data FILE"
    return _adjusted(found), ""


def _difference(loss: str, base: str, other: str, keys: Sequence[str], cells: Floats, seed: int) -> Difference:
    """One loss of two versions; `cells` is [2, blocks, (sum, weight)]."""
    group = _groups(keys)
    groups = int(group.max()) + 1
    totals = np.zeros((groups, 2, 2))
    np.add.at(totals, group, cells.transpose(1, 0, 2))
    before, after = (float(value) for value in _ratio(totals.sum(axis=0)))
    plain = Difference(loss, base, other, before, after, after - before, None, None, None, groups, len(keys))
    if groups < FEWEST_GROUPS:
        return plain
    drawn = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), DRAWS)
    sums = np.einsum("dg,gvs->dvs", drawn.astype(np.float64), totals, optimize=True)
    ratios = _ratio(sums)
    differences = (ratios[:, 1] - ratios[:, 0])[np.isfinite(ratios).all(axis=1)]
    low, high = np.quantile(differences, (0.025, 0.975))
    other_side = min((differences <= 0).sum(), (differences >= 0).sum())
    p = min(1.0, 2 * (1 + int(other_side)) / (1 + len(differences)))
    return replace(plain, low=float(low), high=float(high), p=p)


def _ratio(cells: Floats) -> Floats:
    """Sum over weight, along the last axis; NaN where nothing was weighed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(cells[..., 1] > 0, cells[..., 0] / cells[..., 1], np.nan))


def _groups(keys: Sequence[str]) -> npt.NDArray[np.int64]:
    """What is drawn together: the host of each block (host/day/...), or its day where hosts are few."""
    for part, fewest in ((0, FEWEST_HOSTS), (1, 0)):
        names = ["/".join(key.split("/")[part : part + 1]) for key in keys]
        distinct, group = np.unique(names, return_inverse=True)
        if len(distinct) >= fewest:
            break
    return np.asarray(group, dtype=np.int64)


def _adjusted(found: list[Difference]) -> list[Difference]:
    """Chances that hold for all differences together, by Holm's steps."""
    told = sorted((row.p, at) for at, row in enumerate(found) if row.p is not None)
    adjusted, worst = list(found), 0.0
    for rank, (p, at) in enumerate(told):
        worst = max(worst, min(1.0, p * (len(told) - rank)))
        adjusted[at] = replace(found[at], p=worst)
    return adjusted


def _parameters(versions: Sequence[Version]) -> dict[str, tuple[Any, ...]]:
    """Parameters that are not the same everywhere, nested names joined by dots."""
    flat = [_flat({**version.made.parameters, "data_sha256": version.made.data_sha256,
                   "code_version": version.made.code_version}) for version in versions]
    names = sorted(set().union(*flat))
    rows = {name: tuple(parameters.get(name) for parameters in flat) for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}


def _flat(parameters: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[f"{before}{name}"] = value
    return flat


def _metrics(versions: Sequence[Version]) -> dict[str, tuple[float | None, ...]]:
    names = sorted(set().union(*(version.made.metrics for version in versions)))
    return {name: tuple(version.made.metrics.get(name) for version in versions) for name in names}
