"""Workloads as streams, each a workload or the part of it that one user region sends; and throughput by hardware."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from placement.problem import Counts, Floats, Ints
from planner.scenario.model import Horizon, Machine, Request, Workload
from planner.timeline import Timeline

if TYPE_CHECKING:
    from planner.profiles import Profiles

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """What wants to run: W workloads with `requests` and `replicas` [W, T], as S streams sorted by workload.

    `workload` [S], `share` [S] of the load, `region` [S] of the users in `regions` (-1: none), `user_gb_per_day` [S].
    `window` [T] is the window of the horizon that each slot lies in.
    """

    workloads: tuple[Workload, ...]
    requests: tuple[Request, ...]
    replicas: Counts
    regions: tuple[str, ...]
    workload: Ints
    share: Floats
    region: Ints
    user_gb_per_day: Floats
    window: Ints

    @classmethod
    def of(cls, profiles: Profiles, horizon: Horizon) -> Demand:
        """One stream for every user region that a workload lists, or one."""
        table = [(w, user.region, user.share, user.gb_per_day) if user else (w, None, 1.0, 0.0)
                 for w, workload in enumerate(profiles.workloads) for user in (workload.users or (None,))]
        workload, region, share, gb = zip(*table, strict=True)
        named, regions = group(region)
        at = np.array([-1 if key is None else 0 for key in regions])
        at[at == 0] = np.arange(int((at == 0).sum()))
        return cls(profiles.workloads, tuple(profiles.request), np.asarray(profiles.replicas),
                   tuple(key for key in regions if key is not None), np.array(workload), np.array(share, float),
                   at[named], np.array(gb, float), Timeline.of(horizon).window)

    def taking(self, streams: Ints) -> Demand:
        """The same with other streams: row `streams` [S'] of these each."""
        return replace(self, workload=self.workload[streams], share=self.share[streams], region=self.region[streams],
                       user_gb_per_day=self.user_gb_per_day[streams])

    @property
    def names(self) -> tuple[tuple[str, str | None], ...]:
        """(workload, user region) of every stream."""
        return tuple((self.workloads[w].name, self.regions[r] if r >= 0 else None)
                     for w, r in zip(self.workload.tolist(), self.region.tolist(), strict=True))


def group(keys: Iterable[Key]) -> tuple[Ints, list[Key]]:
    """Position of every key among the distinct ones, and those in order of first appearance."""
    place: dict[Key, int] = {}
    rows = [place.setdefault(key, len(place)) for key in keys]
    return np.array(rows, np.int64), list(place)


def throughput(workloads: Sequence[Workload], requests: Sequence[Request],
               machines: Sequence[Machine]) -> tuple[Ints, Floats]:
    """Rule of every workload [W], and relative speed of every pool's hardware by rule [rules, P].

    Looked up by GPU model when the request has GPUs, else by the first pattern that matches the machine type's name;
    nothing listed means 1.
    """
    row, rules = group((request.gpu > 0, tuple(workload.hardware.throughput.items()))
                       for workload, request in zip(workloads, requests, strict=True))
    return row, np.array([[_speed(gpu, table, machine) for machine in machines] for gpu, table in rules])


def _speed(gpu: bool, table: tuple[tuple[str, float], ...], machine: Machine) -> float:
    if gpu:
        return dict(table).get(machine.gpu_model or "", 1.0)
    return next((speed for pattern, speed in table if fnmatchcase(machine.name, pattern)), 1.0)


def whole(amount: Floats) -> Floats:
    """Round up to whole replicas or slots; what is over by less than 1e-9 is not."""
    return np.ceil(amount - 1e-9)
