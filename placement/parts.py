"""Parts: a stream's lone copy split over several pools in order, on the machines one owns first, the rest elsewhere.

Part i of a split copy takes, in every slot, min(its cap, what the parts before it leave) of the replicas before
throughput; the last part takes the rest. Once the caps are chosen, every part is a stream of its own: it needs

    ceil(what it takes / throughput)

replicas, goes to one pool as a whole, and pays its share (what it takes over all slots / what the copy needs over all
slots) of the copy's egress, storage and flows, and a move for itself. So a problem that is cut is an ordinary problem
with more streams, and whatever holds for streams (packing, survival with a fallback for each part, shared limits)
holds for parts. Only the caps, and that a copy is up when all of its parts are, are rules of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from placement.problem import (
    Bools,
    Candidates,
    Counts,
    Floats,
    Flows,
    Ints,
    Layers,
    Parts,
    Problem,
    Streams,
    Variants,
)
from placement.result import Units

SPLITS = "workloads may be split into parts (max_parts); its bound would hold only where they are whole"
NO_CUTS: Ints = np.zeros((0, 2), np.int64)


class WrongCutError(ValueError):
    """A cut that is not allowed; the message says which, and what is."""

    def __init__(self, stream: int, what: str, allowed: str) -> None:
        super().__init__(f"stream {stream} {what}; {allowed}")
        self.stream = stream


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """`problem` with the parts of split streams as streams [S']; the others are as they were.

    `stream` [S'], `candidate` [N'] and `variant` [V'] are rows of the problem that was cut, `share` [S'] of the copy.
    """

    problem: Problem
    stream: Ints
    candidate: Ints
    variant: Ints
    share: Floats


def parts_of(problem: Problem) -> Parts:
    """Which streams may be split. Raises ValueError where none may."""
    if problem.parts is None:
        raise ValueError("no stream of the problem may be split: give it parts")
    return problem.parts


def cut(problem: Problem, cuts: Ints) -> Cut:
    """Cut streams at `cuts` [k, 2], (stream, cap) in the order of their parts, streams ascending.

    Raises WrongCutError where a stream may not be split, or not so, and ValueError where a plan in force limits moves.
    """
    if not len(cuts):
        streams = len(problem.streams.shape)
        return Cut(replace(problem, parts=None), np.arange(streams), np.arange(len(problem.candidates.stream)),
                   np.arange(len(problem.variants.stream)), np.ones(streams))
    _refuse(problem, cuts)
    if problem.incumbent is not None and problem.incumbent.most_moves is not None:
        raise ValueError("a plan in force limits the moves of a problem with parts: leave one of them out")
    stream, part, cap, below = _layers(len(problem.streams.shape), cuts)
    is_cut = np.isin(stream, cuts[:, 0])
    candidates, candidate = _ranges(problem.streams.candidate_first, stream)
    taken, share = _taken(problem, stream, is_cut, cap, below)
    variant_stream, variant, variants = _variants(problem, stream, is_cut, taken)
    every = np.arange(len(stream) + 1)
    s, survival = problem.streams, problem.survival
    changed = replace(
        problem, parts=None, incumbent=None, layers=Layers(stream, part, cap, below), variants=variants,
        candidates=_candidates(problem, candidates, candidate, share, is_cut),
        streams=Streams(s.workload[stream], s.shape[stream], s.preemptible[stream], s.availability[stream],
                        np.searchsorted(candidates, every), np.searchsorted(variant_stream, every)),
        flows=_flows(problem.flows, stream, share),
        survival=None if survival is None else replace(survival, asked=survival.asked[stream]))
    return Cut(changed, stream, candidate, variant, share)


def cuts_in(problem: Problem) -> Ints:
    """At what a problem was cut, as `cut` takes it."""
    layers = problem.layers
    return NO_CUTS if layers is None else np.stack([layers.group, layers.cap], axis=1)[layers.cap > 0]


def _refuse(problem: Problem, cuts: Ints) -> None:
    parts = problem.parts
    row = {s: x for x, s in enumerate(parts.stream.tolist() if parts is not None else ())}
    streams, counts = np.unique(cuts[:, 0], return_counts=True)
    for s, count in zip(streams.tolist(), counts.tolist(), strict=True):
        if s not in row:
            raise WrongCutError(s, f"is split into {count + 1} parts", "it may not be split")
        if parts is not None and count + 1 > parts.most[row[s]]:
            raise WrongCutError(s, f"is split into {count + 1} parts", f"{parts.most[row[s]]} are allowed")
    for s, cap in cuts[cuts[:, 1] < 1].tolist():
        raise WrongCutError(s, f"has a part with cap {cap}", "a cap is a whole number of replicas, 1 or more")
    if (np.diff(cuts[:, 0]) < 0).any():
        raise ValueError("cuts are not in the order of their streams: sort them")


def _layers(streams: int, cuts: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Stream, part, cap (0: the rest) and what the parts before take at most, of every stream of the cut problem."""
    count = 1 + np.bincount(cuts[:, 0], minlength=streams)
    stream = np.repeat(np.arange(streams), count)
    part = np.arange(len(stream)) - np.repeat(np.cumsum(count) - count, count)
    cap, last = np.zeros(len(stream), np.int64), np.cumsum(count) - 1
    capped = np.ones(len(stream), bool)
    capped[last] = False
    cap[capped] = cuts[:, 1]
    summed = np.cumsum(cap) - cap
    below = summed - np.repeat(summed[np.cumsum(count) - count], count)
    return stream, part, cap, below


def _ranges(first: Ints, stream: Ints) -> tuple[Ints, Ints]:
    """(new stream, old row) of the rows `first[s]:first[s + 1]` of every new stream, which was `stream` [S']."""
    count = np.diff(first)[stream]
    new = np.repeat(np.arange(len(stream)), count)
    row = np.arange(len(new)) - np.repeat(np.cumsum(count) - count, count) + first[stream][new]
    return new, row


def taken_of(load: Floats, below: int, cap: int) -> Floats:
    """Replicas before throughput [T] that a part takes of `load` [T] after parts that take `below`; cap 0: the rest."""
    left: Floats = np.maximum(load - below, 0.0)
    return np.minimum(left, cap) if cap else left


def _taken(problem: Problem, stream: Ints, is_cut: Bools, cap: Ints, below: Ints) -> tuple[dict[int, Floats], Floats]:
    """What every part takes [T], by new stream, and the share of its copy [S'] that this is."""
    parts, share = parts_of(problem), np.ones(len(stream))
    taken: dict[int, Floats] = {}
    for i in np.flatnonzero(is_cut).tolist():
        load = parts.load[np.searchsorted(parts.stream, stream[i])]
        taken[i] = taken_of(load, int(below[i]), int(cap[i]))
        share[i] = taken[i].sum() / load.sum() if load.any() else float(below[i] == 0)
    return taken, share


def _variants(problem: Problem, stream: Ints, is_cut: Bools, taken: dict[int, Floats]) -> tuple[Ints, Ints, Variants]:
    """(new stream, old row) of every variant, and the table: those of one copy for parts, with needs of their own."""
    v, parts = problem.variants, parts_of(problem)
    new, old = _ranges(problem.streams.variant_first, stream)
    keep = ~is_cut[new] | (v.copies[old] == 1)
    new, old = new[keep], old[keep]
    row = v.row[old].copy()
    own = np.flatnonzero(is_cut[new])
    needs = np.zeros((len(own), problem.slots), np.int32)
    for j, n in enumerate(own.tolist()):
        needs[j] = np.ceil(taken[int(new[n])] / parts.throughput[old[n]] - 1e-9)
    row[own] = len(v.rows) + np.arange(len(own))
    rows: Counts = np.concatenate((v.rows, needs))
    return new, old, Variants(new, v.copies[old], v.speed[old], row, v.level[old], v.length[old], v.period[old],
                              v.runs[old], v.earliest[old], v.latest[old], rows)


def _candidates(problem: Problem, stream: Ints, row: Ints, share: Floats, is_cut: Bools) -> Candidates:
    c, whole = problem.candidates, np.where(is_cut[stream], parts_of(problem).whole_usd[row], 0.0)
    cost = share[stream] * (c.cost_usd[row] - whole) + whole
    return Candidates(stream, c.pool[row], c.speed[row], cost, share[stream] * c.user_usd[row], c.single[row])


def _flows(flows: Flows, stream: Ints, share: Floats) -> Flows:
    """Every part sends and receives its share."""
    first = np.searchsorted(stream, np.arange(int(stream.max(initial=-1)) + 2))
    at, sender = _ranges(first, flows.sender)
    pair, receiver = _ranges(first, flows.receiver[at])
    sender, gb = sender[pair], flows.gb[at][pair]
    return Flows(sender, receiver, gb * share[sender] * share[receiver])


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Units in rows of the problem that was cut, sorted by stream, then copy or part; each array [U]."""

    stream: Ints
    part: Ints
    copy: Ints
    candidate: Ints
    variant: Ints
    start: Ints

    def only(self, rows: Bools) -> Placed:
        """Some of them."""
        return Placed(*(getattr(self, column.name)[rows] for column in fields(self)))


def lift(made: Cut, units: Units) -> Placed:
    """Units of the problem cut, in rows of the one that was cut."""
    part = np.zeros(len(units.stream), np.int64)
    if made.problem.layers is not None:
        part = made.problem.layers.part[units.stream]
    return Placed(made.stream[units.stream], part, units.copy, made.candidate[units.candidate],
                  made.variant[units.variant], units.start)


def lower(made: Cut, placed: Placed) -> Units:
    """Units of the problem cut, from rows of the one that was cut; the parts of `placed` must be those of the cut."""
    stream = np.searchsorted(made.stream, placed.stream) + placed.part
    candidate = _row(made.problem.streams.candidate_first, made.candidate, stream, placed.candidate)
    variant = _row(made.problem.streams.variant_first, made.variant, stream, placed.variant)
    return Units(stream, placed.copy, candidate, variant, placed.start)


def _row(first: Ints, old: Ints, stream: Ints, wanted: Ints) -> Ints:
    """The row, among those of each `stream` [n], whose `old` row is `wanted` [n]; old rows of a stream ascend."""
    width = int(old.max(initial=0)) + 1
    owner = np.repeat(np.arange(len(first) - 1), np.diff(first))
    return np.asarray(np.searchsorted(owner * width + old, stream * width + wanted), np.int64)


def unite(problem: Problem, cuts: Ints, placed: Placed) -> tuple[Ints, Placed]:
    """The same with neighbouring parts in one pool made one part; a copy whose parts all are is not split any more.

    Streams of which a part has no unit stay as they are.
    """
    pool = problem.candidates.pool[placed.candidate]
    of, first = np.unique(placed.stream, return_index=True)
    keep, part, kept_cuts = np.ones(len(pool), bool), placed.part.copy(), []
    for s in np.unique(cuts[:, 0]).tolist():
        caps = cuts[cuts[:, 0] == s, 1].tolist()
        at = int(np.searchsorted(of, s))
        begin = int(first[at]) if at < len(of) and of[at] == s else len(pool)
        own = pool[begin:begin + len(caps) + 1]
        if begin + len(caps) >= len(pool) or not (placed.stream[begin:begin + len(caps) + 1] == s).all():
            kept_cuts += [(s, cap) for cap in caps]
            continue
        same = np.append(False, own[1:] == own[:-1])
        keep[begin:begin + len(own)] = ~same
        part[begin:begin + len(own)] = np.cumsum(~same) - 1
        starts = np.flatnonzero(~same)
        kept_cuts += [(s, int(cap)) for cap in np.add.reduceat(np.append(caps, 0), starts)[:-1]]
    return np.array(kept_cuts, np.int64).reshape(-1, 2), replace(placed, part=part).only(keep)
