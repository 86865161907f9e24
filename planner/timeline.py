"""The slots of a horizon as arrays: which window each lies in, when it begins and how much its costs count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.problem import Floats, Ints
from planner.scenario.model import Horizon


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """`window` [T] numbers the windows from 0, `minute` [T] is when a slot begins, from the horizon's start.

    `weight` [T] is how often a slot's costs count: the days its window stands for over the days it has.
    """

    window: Ints
    minute: Ints
    weight: Floats

    @classmethod
    def of(cls, horizon: Horizon) -> Timeline:
        """The slots of all windows, one after another."""
        windows, minutes = horizon.windows, horizon.slot_minutes
        slots = [one.slots for one in windows]
        begin = [round((one.start - horizon.start).total_seconds() / 60) for one in windows]
        weight = [one.stands_for_days / (one.slots * minutes / 60 / 24) for one in windows]
        within = np.concatenate([np.arange(count) for count in slots])
        return cls(np.repeat(np.arange(len(windows)), slots), np.repeat(begin, slots) + within * minutes,
                   np.repeat(weight, slots))

    @property
    def days(self) -> Floats:
        """Days [T] from the horizon's start to the beginning of each slot."""
        return self.minute / (24 * 60)


def by_slot(value: float | tuple[float, ...], slots: int) -> Floats:
    """[T] of an input that is one number or one for each slot. Raises ValueError for a list of another length."""
    return np.broadcast_to(np.asarray(value, float), slots).copy()
