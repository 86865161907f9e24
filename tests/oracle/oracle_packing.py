"""Do these replicas fit whole onto these machines? Simple orders first, then a search through every filling."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

TOLERANCE = 1e-6  # allowed in a fit
STEPS = 20_000  # of the exact search, before it gives up


Request = tuple[float, ...]
Item = tuple[Request, bool, int]  # what one replica takes, may it run on spot machines, how many replicas


class TooLongError(Exception):
    """The exact search reached its limit of steps."""


def per_machine(request: Request, room: Request) -> int:
    """How many such replicas one empty machine holds."""
    holds = [int((have + TOLERANCE) / want + 1e-12) for want, have in zip(request, room, strict=True) if want > 0]
    return min(holds, default=10**9)


@lru_cache(maxsize=200_000)
def packs(items: tuple[Item, ...], room: Request, firm: int, spot: int) -> bool | None:
    """True: all replicas fit on `firm` + `spot` machines, those not for spot on the firm ones. False: they do not.

    None: neither was shown within the limit of the search.
    """
    items = tuple(item for item in items if item[2] > 0)
    if any(per_machine(request, room) == 0 for request, _, _ in items):
        return False
    if _too_much(items, room, firm, spot):
        return False
    if any(_first_fit(order, room, firm, spot) for order in _orders(items, room)):
        return True
    return Search(items, room).answer(firm, spot)


def _too_much(items: tuple[Item, ...], room: Request, firm: int, spot: int) -> bool:
    everything, fixed = np.zeros(len(room)), np.zeros(len(room))
    for request, preemptible, count in items:
        everything += np.array(request) * count
        fixed += 0 if preemptible else np.array(request) * count
    have = np.array(room) + TOLERANCE
    return bool((everything > have * (firm + spot) + 1e-9).any() or (fixed > have * firm + 1e-9).any())


def _orders(items: tuple[Item, ...], room: Request) -> Iterator[list[Item]]:
    share = {item: np.array([want / have if want > 0 else 0.0 for want, have in zip(item[0], room, strict=True)])
             for item in items}
    for size in (lambda item: share[item].max(), lambda item: share[item].sum(), lambda item: (share[item] ** 2).sum(),
                 *(lambda item, r=r: share[item][r] for r in range(len(room)))):
        biggest_first = sorted(items, key=size, reverse=True)
        yield biggest_first
        yield sorted(biggest_first, key=lambda item: item[1])  # those that need firm machines before the others


def _first_fit(order: list[Item], room: Request, firm: int, spot: int) -> bool:
    """Every replica onto the first machine with room; spot machines, which come first, are for the preemptible."""
    left = np.tile(np.array(room) + TOLERANCE, (spot + firm, 1))  # spot machines come first
    for request, preemptible, count in order:
        machines = left if preemptible else left[spot:]
        wants = np.array(request)
        used = wants > 0
        holds = np.floor(machines[:, used] / wants[used] + 1e-12).min(axis=1, initial=count).astype(np.int64)
        holds = np.clip(holds, 0, count)
        take = np.clip(count - (np.cumsum(holds) - holds), 0, holds)
        if take.sum() < count:
            return False
        machines -= take[:, None] * wants
    return True


class Search:
    """Every way to fill machines one after another, each as full as it gets, remembered by what is left to place."""

    def __init__(self, items: tuple[Item, ...], room: Request) -> None:
        self.items, self.room, self.steps = items, room, 0
        self.seen: dict[tuple[tuple[int, ...], int, int], bool] = {}

    def answer(self, firm: int, spot: int) -> bool | None:
        """True or False when proven, None when the limit of steps is reached."""
        try:
            return self._fits(tuple(count for _, _, count in self.items), firm, spot)
        except TooLongError:
            return None

    def _fits(self, left: tuple[int, ...], firm: int, spot: int) -> bool:
        if not any(left):
            return True
        if firm + spot == 0:
            return False
        key = (left, firm, spot)
        if key not in self.seen:
            self.seen[key] = False
            on_spot = firm == 0
            self.seen[key] = any(
                self._fits(tuple(n - m for n, m in zip(left, fill, strict=True)), firm - (not on_spot), spot - on_spot)
                for fill in self._fillings(left, on_spot))
        return self.seen[key]

    def _fillings(self, left: tuple[int, ...], on_spot: bool) -> list[tuple[int, ...]]:
        """All fillings of one machine to which nothing that is left can be added."""
        allowed = [n if preemptible or not on_spot else 0
                   for n, (_, preemptible, _) in zip(left, self.items, strict=True)]
        fillings: list[tuple[int, ...]] = []

        def extend(chosen: tuple[int, ...], free: np.ndarray) -> None:
            self.steps += 1
            if self.steps > STEPS:
                raise TooLongError
            i = len(chosen)
            if i == len(allowed):
                if not any(m < n and self._goes(j, free) for j, (m, n) in enumerate(zip(chosen, allowed, strict=True))):
                    fillings.append(chosen)
                return
            wants = np.array(self.items[i][0])
            most = 0
            while most < allowed[i] and (free - (most + 1) * wants >= -1e-12).all():
                most += 1
            for m in range(most, -1, -1):
                extend((*chosen, m), free - m * wants)

        extend((), np.array(self.room) + TOLERANCE)
        return fillings

    def _goes(self, i: int, free: np.ndarray) -> bool:
        return bool((free - np.array(self.items[i][0]) >= -1e-12).all())
