"""What a task needs, quantity by quantity, from past tasks, with the formulas' answer as what holds without any.

Where formulas have an answer, past tasks correct it: what is learned is how many times its formula a task like this one
used. So amounts keep growing with volume and load as the formulas say, and with more evidence the correction weighs
more (the formula counts as `PRIOR` applications). Where formulas have none, past tasks alone answer, or nobody does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from planner.profiles.library import AMOUNTS, NAMES, Run
from planner.profiles.model import Source
from planner.profiles.similar import (
    LEARNED_FROM,
    Features,
    Floats,
    Guess,
    Past,
    bucket_of,
    conformal_interval,
    distances,
    evidence,
    guess,
    learn_weights,
    likeness,
    widened,
)

PRIOR = 2.0
"""How many applications exactly like the one asked about weigh as much as the formula. A choice."""
NEEDED = 2.0
"""Applications' worth of past tasks that an answer without a formula needs. A choice."""
LEAST = 0.25
"""Evidence below this leaves a formula as it is. A choice."""
LEVEL = 0.8
"""Chance with which an interval learned from past tasks holds the truth."""
POINTS = (np.arange(9) + 0.5) / 9
"""Levels at which a formula's distribution is taken."""
UNSEEN = 0.5
"""Votes for a name that no past task had."""
TINY = 1e-6
"""Amounts below this are nothing, and cannot be compared by ratio."""


@dataclass(frozen=True, slots=True)
class Formula:
    """What formulas say of a task: amounts, names, and the standard deviation of their log2 error, as it is stated."""

    amounts: Mapping[str, float]
    names: Mapping[str, str]
    sigma: float


@dataclass(frozen=True, slots=True)
class Described:
    """A task to be compared: its fields with and without those that formulas scale with, and their answer if any."""

    whole: Features
    shape: Features
    formula: Formula | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One quantity of one task. `level` of None: the interval is not calibrated yet. `bucket` is a power of two.

    `likeness` has the similarity of every past run of `rows`.
    """

    value: float | str | None
    source: Source
    evidence: float = 0.0
    low: float | None = None
    high: float | None = None
    level: float | None = None
    share: float = 0.0
    bucket: float | None = None
    rows: tuple[int, ...] = ()
    likeness: tuple[float, ...] = ()


def answers(asked: Sequence[Described], runs: Sequence[Run], past: Sequence[Described], quantity: str) -> list[Answer]:
    """Answers for all asked tasks of one kind, whose past `runs` are described by `past`.

    `quantity` is one of `AMOUNTS` or `NAMES`, else ValueError. Tasks for which formulas have an answer and those for
    which they have none are compared with past tasks apart.
    """
    known = AMOUNTS if quantity in AMOUNTS else NAMES
    if quantity not in known:
        raise ValueError(f"quantity {quantity!r}: {', '.join((*AMOUNTS, *NAMES))} are known")
    one = _amounts if quantity in AMOUNTS else _names
    found: dict[int, Answer] = {}
    for sized in (True, False):
        chosen = [i for i, task in enumerate(asked) if (_base(task, quantity) is not None) == sized]
        if chosen:
            rows = [r for r, run in enumerate(runs) if _usable(run, past[r], quantity, sized)][-LEARNED_FROM:]
            found |= dict(zip(chosen, one([asked[i] for i in chosen], runs, past, rows, quantity, sized), strict=True))
    return [found[i] for i in range(len(asked))]


def _base(task: Described, quantity: str) -> float | str | None:
    if task.formula is None:
        return None
    if quantity in NAMES:
        return task.formula.names.get(quantity)
    amount = task.formula.amounts.get(quantity, 0.0)
    return amount if amount > TINY else None


def _usable(run: Run, described: Described, quantity: str, sized: bool) -> bool:
    used = run.used.get(quantity)
    if isinstance(used, float) and used <= TINY:
        return False
    return used is not None and (not sized or quantity in NAMES or _base(described, quantity) is not None)


def _past(runs: Sequence[Run], past: Sequence[Described], rows: list[int], shaped: bool) -> Past:
    codes = {name: code for code, name in enumerate(dict.fromkeys(runs[r].application for r in rows))}
    return Past(tuple(past[r].shape if shaped else past[r].whole for r in rows),
                np.array([codes[runs[r].application] for r in rows], np.int64),
                np.array([runs[r].times for r in rows], float))


def _amounts(asked: Sequence[Described], runs: Sequence[Run], past: Sequence[Described], rows: list[int],
             quantity: str, sized: bool) -> list[Answer]:
    base = np.array([np.log2(float(_base(task, quantity) or 1.0)) for task in asked])
    if not rows:
        return [_formula_only(task, quantity) for task in asked]
    before = _past(runs, past, rows, sized)
    theirs = np.array([np.log2(float(_base(past[r], quantity) or 1.0)) if sized else 0.0 for r in rows])
    amount = np.array([np.log2(float(runs[r].used[quantity])) for r in rows]) - theirs
    tasks = [task.shape if sized else task.whole for task in asked]
    apart, among = distances(tasks, before.features), distances(before.features, before.features)
    weights = learn_weights(among, before, bucket_of(amount - amount.min()))
    each = np.where(before.application[:, None] == before.application, 0.0, likeness(weights, among))
    alike = widened(likeness(weights, apart), before.application, NEEDED)
    each = widened(each, before.application, NEEDED)
    made = []
    calibrations: dict[float | None, Guess] = {}
    for i, task in enumerate(asked):
        prior, sigma = _prior(task, sized), task.formula.sigma if task.formula and sized else None
        if sigma not in calibrations:
            calibrations[sigma] = guess(each, before, amount, prior, PRIOR)
        found = guess(alike[i : i + 1], before, amount, prior, PRIOR)
        made.append(_answer(task, quantity, found, calibrations[sigma], amount, before, float(base[i]), rows))
    return made


def _prior(task: Described, sized: bool) -> Floats | None:
    """Equally likely errors of the formula, in log2."""
    if task.formula is None or not sized:
        return None
    return task.formula.sigma * np.array([NormalDist().inv_cdf(level) for level in POINTS])


def _answer(task: Described, quantity: str, found: Guess, calibration: Guess, truth: Floats, before: Past, base: float,
            rows: list[int]) -> Answer:
    worth, alike = float(found.evidence[0]), tuple(float(one) for one in found.likeness[0])
    sized = _base(task, quantity) is not None
    if not sized and worth < NEEDED:
        return Answer(None, "none", worth, rows=tuple(rows), likeness=alike)
    if sized and worth < LEAST:
        return _formula_only(task, quantity, worth, rows, alike)
    interval = conformal_interval(found, calibration, truth, before, LEVEL)
    bucket, share = found.bucket(np.array([base]))
    return Answer(float(2.0 ** (base + found.quantile(0.5)[0])), "both" if sized else "library", worth,
                  float(2.0 ** (base + interval.low[0])), float(2.0 ** (base + interval.high[0])), interval.level,
                  float(share[0]), float(2.0 ** bucket[0]), tuple(rows), alike)


def _formula_only(task: Described, quantity: str, worth: float = 0.0, rows: Sequence[int] = (),
                  alike: tuple[float, ...] = ()) -> Answer:
    value = _base(task, quantity)
    return Answer(value, "none" if value is None else "formula", worth, rows=tuple(rows), likeness=alike)


def _names(asked: Sequence[Described], runs: Sequence[Run], past: Sequence[Described], rows: list[int],
           quantity: str, _: bool) -> list[Answer]:
    """The name that has most of the mass, the formula's own with that of `PRIOR` applications."""
    if not rows:
        return [_formula_only(task, quantity) for task in asked]
    before = _past(runs, past, rows, shaped=False)
    names = sorted({str(runs[r].used[quantity]) for r in rows})
    label = np.array([names.index(str(runs[r].used[quantity])) for r in rows], np.int64)
    tasks = [task.whole for task in asked]
    apart, among = distances(tasks, before.features), distances(before.features, before.features)
    alike = widened(likeness(learn_weights(among, before, label), apart), before.application, NEEDED)
    worth = evidence(alike, before.application)
    mass = alike * before.weight
    mass *= (worth / np.maximum(mass.sum(1), 1e-300))[:, None]
    votes = mass @ np.eye(len(names))[label]
    return [_elected(task, quantity, dict(zip(names, votes[i], strict=True)), float(worth[i]), rows, tuple(alike[i]))
            for i, task in enumerate(asked)]


def _elected(task: Described, quantity: str, votes: dict[str, float], worth: float, rows: list[int],
             alike: tuple[float, ...]) -> Answer:
    prior = _base(task, quantity)
    if prior is not None:
        votes[str(prior)] = votes.get(str(prior), 0.0) + PRIOR
    elif worth < NEEDED:
        return Answer(None, "none", worth, rows=tuple(rows), likeness=alike)
    if worth < LEAST:
        return _formula_only(task, quantity, worth, rows, alike)
    best = max(sorted(votes), key=lambda name: votes[name])
    share = votes[best] / (sum(votes.values()) + UNSEEN)
    return Answer(best, "both" if prior is not None else "library", worth, share=share, rows=tuple(rows),
                  likeness=alike)
