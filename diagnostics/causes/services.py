"""Which service a fault comes from, by what services are to blame for themselves.

Time waited for and calls failed add up along calls: what a service adds to its callers' excess shows in theirs, too. So
a service's own burden is its excess less what its callees bring, and the cause is the service with the most of it:
neither the loudest one, which is often a caller, nor the deepest one. Without a call graph there is only loudness.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagnostics.causes.shifts import mean_rank, shift_scores

Floats = npt.NDArray[np.float64]

USUAL = 0.9
"""Share of the steps before that count as usual; excess is what lies above the highest of them."""


@dataclass(frozen=True, eq=False)
class ServiceWindow:
    """What services did before and since a target went wrong.

    `badness` is per call, the more the worse: seconds, or the share of calls that failed. `before` [services, steps] is
    a time when all was well, `now` [services, steps] begins with the fault, `calls` [services, steps] counts the calls
    of `now`; NaN where nothing was measured. `callees` has the services that each service calls, None if unknown.
    """

    services: tuple[str, ...]
    before: Floats
    now: Floats
    calls: Floats
    target: str
    callees: Mapping[str, tuple[str, ...]] | None = None

    def __post_init__(self) -> None:
        """Refuse windows that do not belong together."""
        if len(set(self.services)) != len(self.services):
            raise ValueError("services: every name once")
        if self.target not in self.services:
            raise ValueError(f"target: {self.target!r}: one of {', '.join(sorted(self.services))}")
        if self.now.shape != self.calls.shape or len(self.before) != len(self.now) or (
                len(self.now) != len(self.services)):
            raise ValueError(f"before, now, calls: {self.before.shape}, {self.now.shape}, {self.calls.shape}:"
                             f" [services, steps] of {len(self.services)} services")


@dataclass(frozen=True)
class Suspect:
    """One service. `own` is the burden it brings itself and `burden` all that its callers saw of it, in the unit of
    `badness` times calls; `loudness` is the average rank of how far it moved, 1 for the farthest.
    """

    service: str
    own: float
    burden: float
    loudness: float

    @property
    def sentence(self) -> str:
        """The suspicion in words."""
        return (f"{self.service}: {self.own:.3g} above usual is its own, of {self.burden:.3g} seen at it"
                if self.burden > 0 else f"{self.service}: nothing above usual")


def suspects(window: ServiceWindow) -> tuple[Suspect, ...]:
    """Services by how likely they are the cause, the likeliest first.

    With a call graph: those that the target reaches, by own burden, then by loudness. Without: all, by loudness. Equal
    ones stand by name, whatever the order they came in.
    """
    order = np.argsort(np.array(window.services))
    names = [window.services[i] for i in order]
    before, now, calls = window.before[order], window.now[order], window.calls[order]
    reached = None if window.callees is None else reach(window.target, window.callees)
    kept = [row for row, name in enumerate(names) if reached is None or name in reached]
    burden = _burden(before[kept], now[kept], calls[kept])
    loud = np.round(mean_rank(shift_scores(before[kept], now[kept])), 9)
    kept_names = [names[row] for row in kept]
    own = burden if window.callees is None else _own(kept_names, burden, window.callees)
    found = [Suspect(name, *map(float, figures))
             for name, *figures in zip(kept_names, np.round(own, 9), np.round(burden, 9), loud, strict=True)]
    if window.callees is None:
        return tuple(sorted(found, key=lambda one: (-one.loudness, one.service)))
    return tuple(sorted(found, key=lambda one: (-one.own, -one.loudness, one.service)))


def _burden(before: Floats, now: Floats, calls: Floats) -> Floats:
    """Excess over what is usual, times calls [services]. What was never called before did not break: its caller did."""
    known = np.isfinite(before).any(axis=1)
    usual = np.zeros(len(before))
    usual[known] = np.nanquantile(before[known], USUAL, axis=1)
    seen = np.isfinite(now) & (np.nan_to_num(calls) > 0)
    excess = np.where(seen, (np.nan_to_num(now) - usual[:, None]) * np.nan_to_num(calls), 0.0)
    burden: Floats = np.where(known, np.maximum(excess.sum(axis=1), 0), 0.0)
    return burden


def _own(names: list[str], burden: Floats, callees: Mapping[str, tuple[str, ...]]) -> Floats:
    """Burden less that of the callees [services]; callers share a callee's burden by what they carry themselves."""
    at = {name: row for row, name in enumerate(names)}
    calls = [(at[name], at[callee]) for name in names for callee in _distinct(callees.get(name, ()), name)
             if callee in at]
    carried = np.zeros(len(names))
    for caller, callee in calls:
        carried[callee] += burden[caller]
    own = burden.copy()
    for caller, callee in calls:
        if carried[callee] > 0:
            own[caller] -= burden[callee] * burden[caller] / carried[callee]
    return np.maximum(own, 0)


def _distinct(callees: Iterable[str], caller: str) -> list[str]:
    """Callees once each, without the caller itself."""
    return sorted(set(callees) - {caller})


def reach(target: str, callees: Mapping[str, tuple[str, ...]]) -> set[str]:
    """The target and all that it calls, directly or not."""
    reached, waiting = {target}, [target]
    while waiting:
        for callee in callees.get(waiting.pop(), ()):
            if callee not in reached:
                reached.add(callee)
                waiting.append(callee)
    return reached
