"""What alarms share: ordered hypotheses over the attributes of all that could have raised one.

A hypothesis is a conjunction of attribute values. It is held against chance by Kulldorff's Bernoulli scan statistic
(1997): how much likelier the alarms are when those with the attributes raise them at a rate of their own. As many
hypotheses are tried, each condition costs the log of their number, so that a condition has to earn its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

Floats = npt.NDArray[np.float64]
Attributes = tuple[tuple[str, str], ...]
"""Names and values; a name may come several times, as what a service depends on."""

MAX_CONDITIONS = 3
BEAM = 40
"""Conjunctions that are made longer, the best ones of each length."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Inventory:
    """All that could raise an alarm, each by its attributes: without those that are well nothing is surprising."""

    entities: tuple[Attributes, ...]

    def __post_init__(self) -> None:
        """Refuse doubles: an alarm must belong to one entity."""
        if len(set(self.entities)) != len(self.entities):
            raise ValueError("entities: every combination of attributes once")

    @cached_property
    def index(self) -> dict[Attributes, int]:
        """Place of every entity."""
        return {entity: row for row, entity in enumerate(self.entities)}

    @cached_property
    def factors(self) -> tuple[tuple[str, str], ...]:
        """Every attribute value there is, sorted."""
        return tuple(sorted({pair for entity in self.entities for pair in entity}))

    @cached_property
    def has(self) -> Floats:
        """Which entity has which factor: 0 or 1 [factors, entities]."""
        at = {factor: row for row, factor in enumerate(self.factors)}
        matrix = np.zeros((len(self.factors), len(self.entities)))
        for column, entity in enumerate(self.entities):
            matrix[[at[pair] for pair in entity], column] = 1
        return matrix


@dataclass(frozen=True)
class Hypothesis:
    """One conjunction. `support` is the share of alarmed entities that have it, `lift` how much more often they do than
    entities at large, `coverage` the share of those with it that raised an alarm; `score` is in nats above chance.
    `kinds` are
    those of the alarms it makes likelier; `within` has what stands out further among its own, where it was `described`.
    """

    conditions: Attributes
    alarmed: int
    entities: int
    support: float
    lift: float
    coverage: float
    score: float
    kinds: tuple[int, ...] = ()
    within: tuple[Hypothesis, ...] = field(default=())

    @property
    def sentence(self) -> str:
        """The hypothesis in words."""
        what = " and ".join(f"{name}={value}" for name, value in self.conditions) or "nothing in common"
        return (f"{what}: {self.support:.0%} of what is alarmed shares it, {self.lift:.1f} times the share at large;"
                f" {self.alarmed} of {self.entities} such are alarmed")


def hypotheses(inventory: Inventory, alarmed: Flags, most: int = 5,
               among: Flags | None = None) -> tuple[Hypothesis, ...]:
    """What alarms share, the best first, none that chance explains as well.

    `alarmed` [kinds, entities] says which entity raised which kind of alarm; only places of `among` [kinds, entities]
    are counted, all by default. A hypothesis is about those kinds that it makes likelier. Two that fit the same
    entities count once, with fewer conditions or by name; the order of entities and kinds makes no difference.
    """
    return _scan(inventory, alarmed, np.ones_like(alarmed) if among is None else among, most)


def score_of(inventory: Inventory, alarmed: Flags, among: Flags, conditions: Attributes) -> float:
    """The score of one conjunction, in nats, as `hypotheses` has it."""
    inside = matching(inventory, conditions)[None].astype(np.float64)
    gains = _gains(inside, np.ones_like(inside), alarmed & among, among)
    return float(gains.sum()) - len(conditions) * _condition_cost(inventory)


def described(inventory: Inventory, alarmed: npt.NDArray[np.bool_], conditions: Attributes, score: float) -> Hypothesis:
    """The figures of a conjunction of attributes about alarmed entities [entities], with what stands out within."""
    inside = matching(inventory, conditions)
    bad, here, hits = int(alarmed.sum()), int(inside.sum()), int((alarmed & inside).sum())
    support = hits / max(1, bad)
    finer = _scan(inventory, (alarmed & inside)[None], inside[None], 2)
    return Hypothesis(conditions, hits, here, support, support * len(inside) / max(1, here), hits / max(1, here), score,
                      within=finer)


def matching(inventory: Inventory, conditions: Attributes) -> npt.NDArray[np.bool_]:
    """Which entities [entities] have all conditions; one that nobody has matches none."""
    rows = [inventory.factors.index(pair) for pair in conditions if pair in inventory.factors]
    if len(rows) < len(conditions):
        return np.zeros(len(inventory.entities), dtype=bool)
    every: npt.NDArray[np.bool_] = np.all(inventory.has[rows] > 0, axis=0)
    return every


def _scan(inventory: Inventory, alarmed: Flags, among: Flags, most: int) -> tuple[Hypothesis, ...]:
    """Conjunctions by score, grown from the best ones; only places of `among` are looked at."""
    hit, some = alarmed & among, among.any(axis=0)
    useful = np.flatnonzero(inventory.has[:, hit.any(axis=0)].any(axis=1))
    has, names = inventory.has[useful], [inventory.factors[i] for i in useful]
    cost = _condition_cost(inventory)
    bad, total = int(hit.any(axis=0).sum()), int(some.sum())
    scored: dict[bytes, tuple[int, Attributes, float, Flags]] = {}
    grown: list[tuple[int, ...]] = [()]
    for size in range(1, MAX_CONDITIONS + 1):
        masks = np.stack([has[list(chosen)].all(axis=0) for chosen in grown]).astype(np.float64)
        scores = np.round(_gains(masks, has, hit, among).sum(axis=0) - size * cost, 9)
        reached: dict[tuple[int, ...], float] = {}
        for row, column in _best_of(scores, 4 * BEAM):
            chosen = tuple(sorted({*grown[row], column}))
            if len(chosen) < size or chosen in reached:
                continue
            reached[chosen] = float(scores[row, column])
            inside = (masks[row] * has[column] > 0) & some
            same, conditions = np.packbits(inside).tobytes(), tuple(names[i] for i in chosen)
            if same not in scored or (size, conditions) < scored[same][:2]:
                scored[same] = size, conditions, reached[chosen], inside
        grown = sorted(reached, key=lambda chosen: (-reached[chosen], [names[i] for i in chosen]))[:BEAM]
        if not grown:
            break
    ranked = sorted((one for one in scored.values() if one[2] > 0), key=lambda one: (-one[2], *one[:2]))[:most]
    return tuple(_hypothesis(conditions, score, inside, hit, among, bad, total)
                 for _, conditions, score, inside in ranked)


def _hypothesis(conditions: Attributes, score: float, inside: Flags, hit: Flags, among: Flags, bad: int,
                total: int) -> Hypothesis:
    """The figures of a conjunction, and the kinds of alarm that it makes likelier."""
    here, hits = int(inside.sum()), int(hit[:, inside].any(axis=0).sum())
    gains = _gains(inside[None].astype(np.float64), np.ones((1, len(inside))), hit, among)[:, 0, 0]
    return Hypothesis(conditions, hits, here, hits / bad, hits / bad / (here / total), hits / here, score,
                      tuple(np.flatnonzero(gains > 0).tolist()))


def _condition_cost(inventory: Inventory) -> float:
    """What a condition costs, for being one of so many that were tried."""
    return float(np.log(max(2, len(inventory.factors))))


def _gains(masks: Floats, columns: Floats, hit: Flags, among: Flags) -> Floats:
    """What each kind [kinds, masks, columns] speaks for every mask with one factor more, above what a kind costs."""
    cost = float(np.log(len(hit)))
    gains = np.zeros((len(hit), len(masks), len(columns)))
    for kind in np.flatnonzero(hit.any(axis=1)):
        hits, counts = (masks * hit[kind]) @ columns.T, (masks * among[kind]) @ columns.T
        gain = _gain(hits, counts, float(hit[kind].sum()), float(among[kind].sum()))
        gains[kind] = np.maximum(gain - cost, 0)
    return gains


def _best_of(scores: Floats, most: int) -> Sequence[tuple[int, int]]:
    """Places of the highest scores, all of those that are equal to the last."""
    flat = scores.ravel()
    if len(flat) > most:
        least = np.partition(flat, len(flat) - most)[len(flat) - most]
        places = np.flatnonzero((flat >= least) & np.isfinite(flat))
    else:
        places = np.flatnonzero(np.isfinite(flat))
    return [(int(place // scores.shape[1]), int(place % scores.shape[1])) for place in places]


def _gain(hits: Floats, counts: Floats, bad: float, total: float) -> Floats:
    """Bernoulli scan statistic; minus infinity where the rate within is not above the one outside."""
    def fit(part: Floats, whole: Floats) -> Floats:
        likelihood: Floats = np.asarray(xlogy(part, part) + xlogy(whole - part, whole - part) - xlogy(whole, whole))
        return likelihood

    above = hits * (total - counts) > (bad - hits) * counts
    gain = fit(hits, counts) + fit(bad - hits, total - counts) - fit(np.array(bad), np.array(total))
    return np.where(above & (counts > 0), gain, -np.inf)
