"""What past tasks say of a new one: tasks like it, weighted by how like it they are, are the distribution of its need.

Every past task is one point of the predictive distribution; its mass is its similarity exp(-sum over fields of w_f d_f)
(a kernel on mixed fields, Gower 1971). So the tasks that a prediction rests on can be named, quantiles are weighted
quantiles, and far from all that was seen there is little mass. Field weights w are learned, a field that says nothing
gets 0; intervals are conformal (Romano, Patterson and Candes 2019). Both leave whole applications out, because runs of
one application are alike and a new task is none of them.

Amounts are in log2 throughout: a factor of two is 1.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Features = Mapping[str, float | str]
"""A task by its fields: numbers (amounts in log2), names, and text under `WORDS`."""

WORDS = "words"
UNLIKE, UNKNOWN, MOST = 2.0, 1.0, 4.0
"""Distance of two names or texts that share nothing; to a field that is not known; the most between two numbers."""
GRAMS = 4096
"""Buckets that words and trigrams of a text are hashed into."""
WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0)
ROUNDS = 2
FEW = 8
"""With fewer applications than this field weights stay 1: there is too little to learn them from."""
LEARNED_FROM = 600
"""Rows that are compared with, the newest of those that measured a quantity: learning takes time in their square."""
FURTHER = (1.5, 2.0, 3.0, 4.0)
"""How much further off one looks, step by step, where too little is near."""
ANY = 0.5
"""Mass of all past tasks of the kind together, like it or not, in applications: tails where little is alike."""


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """Past tasks [n], the oldest first: their fields, the `application` of each, and how many `times` it ran so."""

    features: tuple[Features, ...]
    application: Ints
    times: Floats

    def rows(self, chosen: Ints | Flags) -> Past:
        """Some of them."""
        at = np.arange(len(self.features))[chosen]
        return Past(tuple(self.features[i] for i in at), self.application[at], self.times[at])

    @property
    def weight(self) -> Floats:
        """What each counts [n]: an application counts with the square root of its runs, in equal parts."""
        weight: Floats = self.times / np.sqrt(self._runs)
        return weight

    @property
    def fair(self) -> Floats:
        """Weights [n] under which every application counts 1."""
        weight: Floats = self.times / self._runs
        return weight

    @property
    def _runs(self) -> Floats:
        """Runs [n] of the application of each."""
        if not len(self.times):
            return self.times
        runs: Floats = np.bincount(self.application, self.times).astype(np.float64)[self.application]
        return runs


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """The distribution of one amount for asked tasks [a]: `mass` [a, m] on `values` [m], ascending, in log2.

    `evidence` [a] is how many applications' worth of past tasks are alike, `likeness` [a, n] the similarities.
    """

    values: Floats
    mass: Floats
    evidence: Floats
    likeness: Floats

    def quantile(self, level: float) -> Floats:
        """The least value [a] that at least `level` of the mass does not exceed."""
        reached = np.cumsum(self.mass, 1) >= level * self.mass.sum(1, keepdims=True) - 1e-12
        value: Floats = self.values[reached.argmax(1)]
        return value

    def bucket(self, base: Floats) -> tuple[Ints, Floats]:
        """The likeliest power of two that `base` [a] + value is within, as its exponent, and its share of the mass."""
        bucket = bucket_of(base[:, None] + self.values)
        first = bucket.min(initial=0)
        count = int(bucket.max(initial=0) - first) + 1
        share = np.zeros((len(base), count))
        np.add.at(share, (np.arange(len(base))[:, None], bucket - first), self.mass)
        best = share.argmax(1)
        return best + first, share[np.arange(len(base)), best] / self.mass.sum(1)


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """Ends [a] of an interval, in log2; `level` is None where applications are too few to calibrate it."""

    low: Floats
    high: Floats
    level: float | None


def bucket_of(amount: Floats) -> Ints:
    """The exponent of the least power of two that is not below 2 ** amount, and at least 0: 48 is within 64."""
    bucket: Ints = np.maximum(np.ceil(amount - 1e-9), 0).astype(np.int64)
    return bucket


def distances(asked: Sequence[Features], past: Sequence[Features]) -> Floats:
    """Distances [F, a, n] of asked tasks to past ones in every field that a past one has, fields by name.

    What only asked tasks have tells no past task from another.
    """
    names = sorted({name for features in past for name in features})
    return np.array([_distance(name, asked, past) for name in names]).reshape(len(names), len(asked), len(past))


def _distance(name: str, asked: Sequence[Features], past: Sequence[Features]) -> Floats:
    if name == WORDS:
        return _text_distance(asked, past)
    ours, theirs = ([features.get(name) for features in side] for side in (asked, past))
    known = np.outer([value is not None for value in ours], [value is not None for value in theirs])
    if all(not isinstance(value, str) for value in (*ours, *theirs)):
        a, b = (np.array([0.0 if value is None else float(value) for value in side]) for side in (ours, theirs))
        apart = np.minimum(np.abs(a[:, None] - b), MOST)
    else:
        a, b = (np.array([str(value) for value in side], np.str_) for side in (ours, theirs))
        apart = np.where(a[:, None] == b, 0.0, UNLIKE)
    return np.where(known, apart, UNKNOWN)


def _text_distance(asked: Sequence[Features], past: Sequence[Features]) -> Floats:
    """One minus the cosine of TF-IDF vectors, times `UNLIKE`; what is in every past text counts little."""
    ours, theirs = (np.array([_grams(str(features.get(WORDS, ""))) for features in side]).reshape(-1, GRAMS)
                    for side in (asked, past))
    rare = np.log((1 + len(theirs)) / (1 + (theirs > 0).sum(0))) + 1
    a, b = (side * rare / np.maximum(np.linalg.norm(side * rare, axis=1, keepdims=True), 1e-12)
            for side in (ours, theirs))
    known = np.outer(ours.any(1), theirs.any(1))
    return np.where(known, UNLIKE * (1 - np.clip(a @ b.T, 0, 1)), UNKNOWN)


def _grams(text: str) -> Floats:
    """Log counts [GRAMS] of the words of a text and of their trigrams, hashed."""
    count = np.zeros(GRAMS)
    for word in re.findall(r"\w+", text.lower()):
        padded = f" {word} "
        for gram in {word, *(padded[i : i + 3] for i in range(len(padded) - 2))}:
            count[zlib.crc32(gram.encode()) % GRAMS] += 1
    return np.log1p(count)


def learn_weights(distance: Floats, past: Past, label: Ints) -> Floats:
    """Weights [F] of fields under which tasks alike have the same `label` [n] (a bucket, or a word).

    Coordinate search for the least loss: minus the log of the share of mass on the right label, over tasks whose own
    application is left out, each application counting with the square root of its runs. A unit of weight must save one
    nat over all applications (as a parameter does by Akaike 1974), so that few applications leave little to learn.
    """
    fields, applications = len(distance), len(np.unique(past.application))
    weights = np.ones(fields)
    if applications < FEW:
        return weights
    kinds = np.eye(int(label.max()) + 1)[label]
    own = past.application[:, None] == past.application
    base = (past.weight[:, None] * kinds).sum(0) + 0.5
    base /= base.sum()
    rows = np.arange(len(label))

    def loss(log_likeness: Floats, weights: Floats) -> float:
        mass = np.where(own, 0.0, np.exp(-log_likeness)) * past.weight
        right = ((mass @ kinds)[rows, label] + ANY * base[label]) / (mass.sum(1) + ANY)
        return float(np.average(-np.log(right), weights=past.weight) + weights.sum() / applications)

    total: Floats = np.tensordot(weights, distance, 1).astype(np.float64)
    best = loss(total, weights)
    for _ in range(ROUNDS):
        for field in range(fields):
            for candidate in WEIGHTS:
                tried = weights.copy()
                tried[field] = candidate
                moved = total + (candidate - weights[field]) * distance[field]
                found = loss(moved, tried)
                if found < best - 1e-9:
                    best, weights, total = found, tried, moved
    return weights


def likeness(weights: Floats, distance: Floats) -> Floats:
    """Similarities [a, n] of asked to past tasks, from 0 to 1."""
    alike: Floats = np.exp(-np.tensordot(weights, distance, 1))
    return alike


def evidence(alike: Floats, application: Ints) -> Floats:
    """How many applications' worth of past tasks are alike [a]: the closest of each application counts."""
    closest = np.zeros((len(alike), int(application.max(initial=-1)) + 1))
    np.maximum.at(closest.T, application, alike.T)
    worth: Floats = closest.sum(1)
    return worth


def widened(alike: Floats, application: Ints, needed: float) -> Floats:
    """Similarities [a, n] seen from further off where fewer than `needed` applications are alike.

    Distances are divided by the least of `FURTHER` that reaches so many; where none does they stay as they are.
    """
    found = alike.copy()
    lacking = evidence(alike, application) < needed
    for factor in FURTHER:
        if not lacking.any():
            break
        further = alike ** (1 / factor)
        reached = lacking & (evidence(further, application) >= needed)
        found[reached] = further[reached]
        lacking &= ~reached
    return found


def guess(alike: Floats, past: Past, amount: Floats, prior: Floats | None, strength: float) -> Guess:
    """The distribution of an amount from similarities [a, n] to past tasks whose `amount` [n] is known.

    `prior` [m] are equally likely amounts that hold without any past task, with a mass of `strength` applications;
    without it all past tasks stand in, with a mass of `ANY`. A similarity of 0 leaves a past task out altogether.
    """
    worth = evidence(alike, past.application)
    mass = alike * past.weight
    mass *= (worth / np.maximum(mass.sum(1), 1e-300))[:, None]
    values = amount
    if prior is None:
        anything = np.where(alike > 0, past.weight, 0.0)
        mass = mass + ANY * anything / np.maximum(anything.sum(1, keepdims=True), 1e-300)
    else:
        values = np.concatenate([amount, prior])
        mass = np.hstack([mass, np.full((len(alike), len(prior)), strength / len(prior))])
    order = np.argsort(values, kind="stable")
    return Guess(values[order], mass[:, order], worth, alike)


def conformal_interval(found: Guess, calibration: Guess, truth: Floats, past: Past, level: float) -> Interval:
    """The middle `level` of `found`, widened or narrowed so that it holds a new application with that chance.

    `calibration` are guesses for past tasks [n], their own application left out, whose amount was `truth` [n]. How far
    each lies outside its interval is ranked, applications counting alike; one more application, the new one, is taken
    to be as likely anywhere in that order. With too few applications for that the interval stays as it is, and says so.
    """
    low_at, high_at = (1 - level) / 2, (1 + level) / 2
    low, high, middle = found.quantile(low_at), found.quantile(high_at), found.quantile(0.5)
    outside = np.maximum(calibration.quantile(low_at) - truth, truth - calibration.quantile(high_at))
    fair = past.fair
    wanted = level * (fair.sum() + 1)
    order = np.argsort(outside, kind="stable")
    held = np.cumsum(fair[order])
    if not len(held) or wanted > held[-1] + 1e-9:
        return Interval(low, high, None)
    offset = outside[order][int(np.argmax(held >= wanted - 1e-9))]
    return Interval(np.minimum(low - offset, middle), np.maximum(high + offset, middle), level)
