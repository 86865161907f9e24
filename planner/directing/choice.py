"""One choice among the places of a stream: by turns, or always the same for a key.

**By turns.** Calls are numbered; call n goes where frac(n·φ) falls among the shares, laid end to end. Multiples of the
golden ratio fill the unit interval as evenly as any sequence does (discrepancy O(log n / n), Kuipers & Niederreiter
1974, ch. 2.3), so that after any number of calls every share is met within a few calls, without a table and without a
lock: drawing a number is one atomic step of the interpreter.

**By key.** Keys are hashed into 2^16 buckets, and every bucket goes to the place that wins a weighted rendezvous (the
least -ln(u)/weight, Schindelhauer & Schomaker 2005): when a place goes, only its own buckets move, and when a weight
grows, buckets only move there. A place that is lost and has a fallback keeps its buckets: they go to the fallback.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

BUCKETS = 1 << 16
GOLDEN = 0.6180339887498949
Target = TypeVar("Target")


@dataclass(frozen=True, slots=True)
class Place(Generic[Target]):
    """A place: its name among keys, its weight, and where that leads now (None: nowhere, others take its share)."""

    name: str
    weight: float
    target: Target | None


class Choice(Generic[Target]):
    """Places that lead somewhere. Read `targets`, `bounds` and `turns`, or `by_key`; nothing of it changes."""

    __slots__ = ("_buckets", "_draws", "_places", "bounds", "targets", "turns")

    def __init__(self, places: Sequence[Place[Target]], draws: Draws, first_turn: int = 0) -> None:
        """At least one place leads somewhere. Where all of those have weight 0 they share alike."""
        live = [place for place in places if place.target is not None]
        if not any(place.weight > 0 for place in live):
            live = [Place(place.name, 1.0, place.target) for place in live]
        live = [place for place in live if place.weight > 0]
        total = sum(place.weight for place in live)
        self.targets: list[Target] = [place.target for place in live if place.target is not None]
        self.bounds = [bound / total for bound in accumulate(place.weight for place in live)][:-1]
        self.turns = count(first_turn)
        self._places = [(place.name, place.weight) for place in live]
        self._draws = draws
        self._buckets: array[int] | None = None

    def buckets(self) -> array[int]:
        """The row in `targets` of every bucket of keys; made when first asked for."""
        if self._buckets is None:
            self._buckets = self._draws.winners(tuple(self._places))
        return self._buckets


class Draws:
    """Rendezvous draws of places, and who wins which bucket; kept, as many streams have the same places."""

    def __init__(self) -> None:
        self._draw: dict[str, NDArray[np.float32]] = {}
        self._winners: dict[tuple[tuple[str, float], ...], array[int]] = {}

    def forget(self) -> None:
        """Drop the winners: other weights are in force now."""
        self._winners = {}

    def winners(self, places: tuple[tuple[str, float], ...]) -> array[int]:
        """The row of the place, of name and weight, that wins each bucket."""
        found = self._winners.get(places)
        if found is None:
            best = np.full(BUCKETS, np.inf)
            winner = np.zeros(BUCKETS, np.uint16)
            for row, (name, weight) in enumerate(places):
                with np.errstate(over="ignore"):  # next to no weight: it never wins
                    score = self._of(name).astype(np.float64) / weight
                won = score < best
                best[won], winner[won] = score[won], row
            found = array("H", winner.tobytes())
            self._winners[places] = found
        return found

    def _of(self, name: str) -> NDArray[np.float32]:
        """-ln(u) of a place for every bucket: the same on every machine and in every run."""
        draw = self._draw.get(name)
        if draw is None:
            seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
            state = np.arange(1, BUCKETS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
            mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            uniform = ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) + 0.5
            draw = (-np.log(uniform / 2**53)).astype(np.float32)
            self._draw[name] = draw
        return draw
