"""What one copy of a stream needs, for every number of copies and hardware speed that a plan may choose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from placement.domains import SLO_TOLERANCE, lone_copy, share_parts, together
from placement.problem import Bools, Domains, Floats, Ints, Variants
from planner.demand import Demand, whole
from planner.legal import Window

CHUNK = 4096
"""Streams whose needs are held in memory at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Speeds:
    """Distinct hardware speeds among a stream's legal pools: rows `first[s]:first[s + 1]` of `value`."""

    first: Ints
    value: Floats


@dataclass(frozen=True, slots=True, eq=False)
class CopyRule:
    """Which numbers of copies are worth offering: k of stream s where `allowed[s, k - 1]`.

    `dominated` [S]: a further copy that lowers no need only costs more, so k copies that need as much as k - 1 are left
    out (k >= 3; for k = 2 where `alone` [S] says that one copy is enough anywhere). `kept` [S] is a number of
    copies that is offered in any case (0: none), so that somebody else's plan can be read.
    """

    allowed: Bools
    dominated: Bools
    alone: Bools
    kept: Ints


def reachable(ok: Bools, domains: Domains, slo: Floats) -> Bools:
    """Numbers of copies k = 1..D [S, D] for which some legal domains (`ok` [S, D]) keep the availability SLO [S].

    P(at most one copy down) grows with every domain's availability, so where domains share no parts the k most
    available legal ones decide. Where they do, one copy and two are exact; more are said to be reachable where they
    would be if no shared part ever failed (then P is no lower), and two copies are (so that P(at most one of k) <= P of
    any two of them): a choice that is offered and fails its SLO is left to the solver.
    """
    found = _independent(ok, lone_copy(domains), slo)
    if not share_parts(domains):
        return found
    found = _independent(ok, lone_copy(_without_shared(domains)), slo)
    found[:, 0] &= np.where(ok, lone_copy(domains), 0.0).max(axis=1) >= slo - SLO_TOLERANCE
    two: Bools = np.greater_equal(_best_pair(ok, domains), slo - SLO_TOLERANCE)
    found[:, 1:] &= two[:, None]
    return found


def _without_shared(domains: Domains) -> Domains:
    """The domains with parts that several share never failing."""
    parts = domains.path[domains.path >= 0]
    return Domains(domains.pool, domains.path, np.where(np.bincount(parts, minlength=len(domains.up)) > 1, 1.0,
                                                        domains.up))


def _best_pair(ok: Bools, domains: Domains) -> Floats:
    """The most P(at most one copy down) of any two legal domains [S]; 0 where there are no two."""
    count = ok.shape[1]
    first, second = np.triu_indices(count, 1)
    pair = np.zeros((count, count))
    pair[first, second] = together(domains.path, domains.up, np.stack([first, second], axis=1).astype(np.int64))
    kinds, kind = np.unique(ok, axis=0, return_inverse=True)
    best = np.array([pair[np.ix_(legal, legal)].max(initial=0.0) for legal in map(np.flatnonzero, kinds)])
    result: Floats = best[kind.reshape(-1)]
    return result


def _independent(ok: Bools, chance: Floats, slo: Floats) -> Bools:
    """Numbers of copies [S, D] reachable in legal domains that are up with `chance` [D], whatever the others are."""
    up = -np.sort(-np.where(ok, chance, 0.0), axis=1)
    none_down, one_down = np.ones(len(up)), np.zeros(len(up))
    reached: Bools = np.zeros(ok.shape, bool)
    for k in range(up.shape[1]):
        one_down = one_down * up[:, k] + none_down * (1 - up[:, k])
        none_down = none_down * up[:, k]
        chance_k = none_down if k == 0 else none_down + one_down
        reached[:, k] = chance_k >= slo - SLO_TOLERANCE
    enough: Bools = np.arange(up.shape[1]) < ok.sum(axis=1)[:, None]
    return reached & enough


def variants(demand: Demand, speeds: Speeds, rule: CopyRule) -> Variants:
    """All variants sorted by stream, copies, speed. Streams without a speed (no legal pool) have none."""
    batch = np.array([workload.batch is not None for workload in demand.workloads])[demand.workload]
    has = np.diff(speeds.first) > 0
    parts = [_Steady.of(part, demand, speeds).table(rule) for part in _chunks(np.flatnonzero(has & ~batch))]
    steady = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else None
    runs = list(_runs(np.flatnonzero(has & batch), demand, speeds, rule))
    return _assemble(steady, np.array(runs, np.int64).reshape(-1, 9), demand.replicas.shape[1])


def _chunks(streams: Ints) -> list[Ints]:
    return [streams[i:i + CHUNK] for i in range(0, len(streams), CHUNK)]


@dataclass(frozen=True, slots=True, eq=False)
class _Steady:
    """Streams without a batch window, as pairs of stream `at` and `speed`; `load` [streams, T] is before hardware."""

    streams: Ints
    at: Ints
    speed: Ints
    load: Floats
    throughput: Floats

    @classmethod
    def of(cls, streams: Ints, demand: Demand, speeds: Speeds) -> _Steady:
        count = np.diff(speeds.first)[streams]
        first = np.cumsum(count) - count
        at = np.repeat(np.arange(len(streams)), count)
        speed = np.arange(len(at)) - first[at]
        load = demand.replicas[demand.workload[streams]] * demand.share[streams][:, None]
        return cls(streams, at, speed, load, speeds.value[speeds.first[streams][at] + speed])

    def table(self, rule: CopyRule) -> tuple[Ints, Ints, Ints, Floats]:
        """Stream, copies, speed and need per slot of every variant that is worth offering."""
        limit = self._most_copies(rule)
        before = np.zeros((len(self.at), self.load.shape[1]))
        found: list[tuple[Ints, Ints, Ints, Floats]] = []
        for copies in range(1, int(limit.max()) + 1):
            pairs = np.flatnonzero(limit[self.at] >= copies)
            at = self.at[pairs]
            need = whole(self.load[at] / max(1, copies - 1) / self.throughput[pairs][:, None])
            changed = np.zeros(len(self.streams), bool)
            np.logical_or.at(changed, at, (need != before[pairs]).any(axis=1))
            before[pairs] = need
            offered = _offered(rule, self.streams, copies, ~changed)[at]
            found.append((self.streams[at[offered]], np.full(int(offered.sum()), copies), self.speed[pairs[offered]],
                          need[offered].astype(np.int32)))
        stream, copy, speed, rows = (np.concatenate(column) for column in zip(*found, strict=True))
        return stream, copy, speed, rows

    def _most_copies(self, rule: CopyRule) -> Ints:
        """The largest number of copies worth a look: beyond the peak need, more copies lower nothing."""
        peak = np.zeros(len(self.streams))
        np.maximum.at(peak, self.at, self.load.max(axis=1)[self.at] / self.throughput)
        most = rule.allowed.shape[1]
        limit = np.where(rule.dominated[self.streams], np.minimum(most, np.ceil(peak) + 1), most).astype(np.int64)
        return np.maximum(limit, rule.kept[self.streams])


def _offered(rule: CopyRule, streams: Ints, copies: int, same: Bools) -> Bools:
    """Which streams [n] get variants of so many copies; `same` says that they need what one copy less needs."""
    possible = rule.allowed[streams, copies - 1] if copies <= rule.allowed.shape[1] else np.zeros(len(streams), bool)
    more = same if copies >= 3 else rule.alone[streams] if copies == 2 else np.zeros(len(streams), bool)
    offered: Bools = (possible & ~(rule.dominated[streams] & more)) | (rule.kept[streams] == copies)
    return offered


def _runs(streams: Ints, demand: Demand, speeds: Speeds, rule: CopyRule) -> Iterator[tuple[int, ...]]:
    """stream, copies, speed, level, length, period, runs, earliest, latest of every variant of batch streams.

    Where runs may not cross from one window of the horizon into the next, a speed has a variant for each range of
    starts.
    """
    for stream in streams.tolist():
        workload = demand.workloads[demand.workload[stream]]
        assert workload.batch is not None
        window = Window.of(workload.batch, workload.slo.deadline_slot, demand.window,
                           speeds.value[speeds.first[stream]:speeds.first[stream + 1]])
        for copies, level in _levels(stream, demand, rule):
            for speed, (length, ranges) in enumerate(zip(window.length.tolist(), window.starts, strict=True)):
                for first, last in ranges or ((0, -1),):
                    yield stream, copies, speed, level, length, window.period, window.runs, first, last


def _levels(stream: int, demand: Demand, rule: CopyRule) -> Iterator[tuple[int, int]]:
    """Copies worth offering to a batch stream, and the replicas of its gang for each."""
    load = float(demand.replicas[demand.workload[stream]].max() * demand.share[stream])
    at, before = np.array([stream]), -1
    for copies in range(1, max(rule.allowed.shape[1], int(rule.kept[stream])) + 1):
        level = int(whole(np.array(load / max(1, copies - 1))))
        if _offered(rule, at, copies, np.array([level == before]))[0]:
            yield copies, level
        before = level


def _assemble(steady: Iterable[np.ndarray] | None, runs: Ints, slots: int) -> Variants:
    """One table of steady and batch variants, sorted by stream, copies, speed; `rows` in the order of the table."""
    stream, copies, speed, rows = steady or (*np.zeros((3, 0), np.int64), np.zeros((0, slots), np.int32))
    fixed = np.zeros((6, len(stream)), np.int64)
    table = np.hstack([np.vstack([stream, copies, speed, np.arange(len(stream)), fixed]),
                       np.vstack([runs[:, :3].T, np.full(len(runs), -1), runs[:, 3:].T])])
    order = np.lexsort((table[2], table[1], table[0]))
    table = table[:, order]
    used = table[3] >= 0
    rows = rows[table[3, used]]
    table[3, used] = np.arange(len(rows))
    stream, copies, speed, row, level, length, period, run, earliest, latest = np.ascontiguousarray(table)
    return Variants(stream, copies, speed, row, level, length, period, run, earliest, latest,
                    np.ascontiguousarray(rows))
