"""Annealing of an assignment, guided by prices of capacity.

At the prices of the linear program every place of a stream has a *regret*: what it costs, capacity included, more than
the stream's cheapest place. The cost of an assignment is the bound plus all regrets plus the price of room left empty.
So a good plan has small regrets and pools that are full to the brim, and the search looks for that directly:

    energy = sum of regrets + sum over pools  price x strain(room left or load over capacity)

Strain grows with the logarithm of a mismatch, a little in proportion, and turns straight only towards the end of a
cooling: a pool that is wrong by much is hardly worse than one that is wrong by little. So a few pools are far off at
any time, the others exactly full, and a chain that fills one of the few exactly and breaks another costs next to
nothing: what is broken wanders until two such pools mend each other. With straight strain every way from one exact
filling to the next leads over a pass as high as the streams are large, and the search stalls.

A move is a chain of streams: one goes to another pool, may push out a stream there, which may push out a third, and so
on until the last finds room or goes to where the first came from (ejection chains as in Yagiura, Ibaraki and Glover,
"An ejection chain approach for the generalized assignment problem", 2004). Short chains are drawn blindly, long ones
grown by looking at the streams of several pools, half of them from a pool that is not exactly full. Only places with
small regret are ever drawn.
"""

# ruff: noqa: NPY002  (compiled code has the legacy generator only: one per thread, seeded in `anneal`)

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from placement.jit import jit, read_only
from placement.problem import Floats, Ints

_STRETCHES = 200
"""Stretches of one cooling: heat and price of mismatch stay as they are in each."""
_HOT, _COLD = 0.9, 0.45
"""Heat at first and when cooled, in regrets of the second cheapest place (mean over streams)."""
_COOLED = 0.7
"""Share of a cooling after which the heat stays and strain straightens."""
_WARMER = 1.6
"""How much warmer it gets again while strain straightens: filling the last pools costs regrets."""
_BROKEN, _LEAN = 3.0, 2.0
"""What a mismatch as large as a mean stream counts, in the same regrets: bent at first, and straight beside that."""
_STRAIGHT = 32.0
"""How much larger the mismatch is at last that counts as little as its logarithm."""
_OVER, _NEVER = 1.5, 4.0
"""Price of a unit of load over capacity at first and at last, in prices of the dearest unit."""
_TABLED = 4096
"""Mismatches whose strain is looked up."""
_REACH, _MOST_PLACES = 7.0, 32
"""Places of a stream that are drawn: those with at most so many hot heats of regret, two at least, so many at most."""
_FOCUS = 0.5
"""Chance that a grown chain begins in a pool that is not exactly full, where there are any."""
_SHORT_MOVES = 20_000
"""Moves of a stretch that the clock cuts."""
_CHASE, _LONGEST, _LOOKS = 0.8, 9, 30
"""Chance that a chain is grown, its most streams, and after how many looks at streams no further pool is looked at."""
_HOTTER = 1.05
"""How much hotter each stretch gets after a cooling in which nothing fitted."""
_SHIFT, _SWAP, _PATH = 0.15, 0.5, 0.9
"""Chances, added up, that a move is one stream, a swap of two, a chain of two; the rest are chains of three."""


class Tables(NamedTuple):
    """What does not change: `regret`, `weight` [S, P], `price` [P]; `place` [S, K] are pools worth drawing, of which
    stream s has `places[s]`, with `place_regret` [S, K].
    """

    regret: Floats
    weight: Ints
    price: Floats
    place: Ints
    place_regret: Floats
    places: Ints


class Strain(NamedTuple):
    """What mismatch counts: `price` [P] of a unit of room left or `over` of one over capacity, times `bent` [N] of its
    units; beyond N as `bend` and `lean` say.
    """

    price: Floats
    over: float
    bent: Floats
    bend: float
    lean: float


class State(NamedTuple):
    """An assignment: `at` [S] pool, `room` left [P] (negative: over), `members` [P, S] of which pool p has `held[p]`,
    `position` [S] of a stream among its pool's members; `best` [S] and `best_regret` [1] of what fitted.
    """

    at: Ints
    room: Ints
    members: Ints
    held: Ints
    position: Ints
    best: Ints
    best_regret: Floats


class Cooling:
    """One annealing from the cheapest places, hot to cold.

    `cost` [S, P] (infinite: not legal), `weight` [S, P], `capacity` [P], `prices` [P] in USD a unit of capacity; `heat`
    scales the usual temperatures.
    """

    def __init__(self, cost: Floats, weight: Ints, capacity: Ints, prices: Floats, heat: float, seed: int) -> None:
        priced = cost + prices * weight
        regret = priced - priced.min(axis=1, keepdims=True)
        most = min(_MOST_PLACES, regret.shape[1])
        place = np.argsort(regret, axis=1, kind="stable")[:, :most]
        place_regret = np.take_along_axis(regret, place, axis=1)
        second = place_regret[:, min(1, most - 1)]
        usual = float(second[np.isfinite(second)].mean()) if np.isfinite(second).any() else 0.0
        self._usual = heat * max(usual, 1e-9 * max(1.0, float(np.abs(priced[np.isfinite(priced)]).max())))
        chosen = np.take_along_axis(weight, place[:, :1], axis=1)
        self._weight = max(1.0, float(chosen.mean()))
        self._dearest = max(float(prices.max(initial=0.0)), self._usual)
        places = (place_regret <= _REACH * _HOT * self._usual).sum(axis=1)
        places = np.minimum(np.maximum(places, 2), np.isfinite(place_regret).sum(axis=1))
        self._tables = Tables(read_only(regret), read_only(weight.astype(np.int64)), read_only(prices),
                              read_only(place.astype(np.int64)), read_only(place_regret),
                              read_only(places.astype(np.int64)))
        self._state = _start(place[:, 0].astype(np.int64), weight, capacity)
        self._bend = _bend_for(self._weight, _BROKEN * self._usual / self._dearest)
        self._lean = _LEAN * self._usual / (self._dearest * self._weight)
        self._rng = np.random.default_rng(seed)

    def run(self, moves: int, seconds: float | None, stopped: Callable[[], bool]) -> Ints | None:
        """Cool over so many moves, or over `seconds` where given; the best assignment that fitted [S], None without."""
        began, share, stretch = time.monotonic(), 0.0, 0
        length = max(1, moves // _STRETCHES) if seconds is None else _SHORT_MOVES
        while share < 1 and not stopped():
            self._anneal(length, share)
            stretch += 1
            share = stretch / _STRETCHES if seconds is None else (time.monotonic() - began) / seconds
        self._fit(length, stopped)
        return self._state.best.copy() if np.isfinite(self._state.best_regret[0]) else None

    def _anneal(self, length: int, share: float, hotter: float = 1.0) -> None:
        """So many moves at heat and strain as they are after this share of the cooling."""
        cooled, straight = min(1.0, share / _COOLED), max(0.0, share - _COOLED) / (1 - _COOLED)
        heat = _HOT * self._usual * (_COLD / _HOT) ** cooled * hotter * (1 + _WARMER * float(np.sin(np.pi * straight)))
        bend = self._bend * _STRAIGHT ** straight * hotter
        bent = read_only(bend * np.log1p(np.arange(_TABLED) / bend) + self._lean * np.arange(_TABLED))
        over = _OVER * (_NEVER / _OVER) ** straight * self._dearest * hotter
        strain = Strain(self._tables.price, over, bent, bend, self._lean)
        anneal(self._state, self._tables, strain, length, int(self._rng.integers(1 << 31)), heat)

    def _fit(self, length: int, stopped: Callable[[], bool]) -> None:
        """Go on hotter and hotter, mismatch ever dearer, while nothing fitted yet."""
        for stretch in range(_STRETCHES):
            if np.isfinite(self._state.best_regret[0]) or stopped():
                return
            self._anneal(length, 1.0, _HOTTER ** stretch)


def _bend_for(weight: float, counts: float) -> float:
    """The bend at which a mismatch of `weight` units counts as `counts` units do."""
    low, high = 1e-6 * weight, 1e6 * weight
    for _ in range(100):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if middle * np.log1p(weight / middle) < counts else (low, middle)
    return low


def _start(at: Ints, weight: Ints, capacity: Ints) -> State:
    """Every stream at its cheapest place, whether it fits or not."""
    streams, pools = weight.shape
    load = np.bincount(at, weight[np.arange(streams), at], pools).astype(np.int64)
    members, count = np.zeros((pools, streams), np.int64), np.bincount(at, minlength=pools).astype(np.int64)
    order = np.argsort(at, kind="stable")
    position = np.empty(streams, np.int64)
    position[order] = np.arange(streams) - np.repeat(np.cumsum(count) - count, count)
    members[at, position] = np.arange(streams)
    return State(at.copy(), capacity - load, members, count, position, at.copy(), np.full(1, np.inf))


@jit
def _strain(room: int, pool: int, strain: Strain) -> float:
    """What room left in a pool, or load over capacity, counts."""
    size, price = (room, strain.price[pool]) if room >= 0 else (-room, strain.over)
    if size < len(strain.bent):
        return float(price * strain.bent[size])
    return float(price * (strain.bend * np.log1p(size / strain.bend) + strain.lean * size))


@jit
def _change(pool: int, less: int, room: Ints, strain: Strain) -> float:
    """What the strain of a pool grows by when it has `less` room."""
    return _strain(room[pool] - less, pool, strain) - _strain(room[pool], pool, strain)


@jit
def _move(state: State, stream: int, pool: int) -> None:
    """Enter a stream in another pool's list of members."""
    old, members, held, position = state.at[stream], state.members, state.held, state.position
    held[old] -= 1
    last = members[old, held[old]]
    members[old, position[stream]] = last
    position[last] = position[stream]
    members[pool, held[pool]] = stream
    position[stream] = held[pool]
    held[pool] += 1
    state.at[stream] = pool


@jit
def _value(state: State, tables: Tables) -> float:
    """All regrets and the price of all room left (less that of all load over capacity)."""
    value = 0.0
    for s in range(len(state.at)):
        value += tables.regret[s, state.at[s]]
    for p in range(len(state.room)):
        value += tables.price[p] * state.room[p]
    return value


@jit
def _draw(state: State, tables: Tables) -> tuple[int, int, int, int, int, float]:
    """A chain: stream j goes to pool q, k (-1: none) from there to pool r, a third (-1: none) from there to where j
    was. Returns (j, q, k, r, third, regret added); infinite regret where the chain is none.
    """
    at, regret, members, held = state.at, tables.regret, state.members, state.held
    j = np.random.randint(len(at))
    c, p = np.random.randint(tables.places[j]), at[j]
    q = tables.place[j, c]
    if q == p:
        return j, q, -1, q, -1, np.inf
    added, kind = tables.place_regret[j, c] - regret[j, p], np.random.random()
    if kind < _SHIFT or held[q] == 0:
        return j, q, -1, q, -1, added
    k = members[q, np.random.randint(held[q])]
    added -= regret[k, q]
    if kind < _SWAP:
        return j, q, k, p, -1, added + regret[k, p]
    d = np.random.randint(tables.places[k])
    r = tables.place[k, d]
    if r == q:
        return j, q, k, r, -1, np.inf
    added += tables.place_regret[k, d]
    if kind < _PATH or r == p or held[r] == 0:
        return j, q, k, r, -1, added
    third = members[r, np.random.randint(held[r])]
    return j, q, k, r, third, added + regret[third, p] - regret[third, r]


@jit
def _short(state: State, tables: Tables, strain: Strain, heat: float, moved: Ints, to: Ints) -> int:
    """A chain of up to three streams, drawn blindly; returns as `_chase` does."""
    weight, room = tables.weight, state.room
    j, q, k, r, third, added = _draw(state, tables)
    if not added < np.inf:
        return 0
    p = state.at[j]
    in_p, in_q, in_r = -weight[j, p], weight[j, q], 0
    moved[0], to[0], length = j, q, 1
    if k >= 0:
        in_q -= weight[k, q]
        moved[1], to[1], length = k, r, 2
        if r == p:
            in_p += weight[k, p]
        else:
            in_r = weight[k, r]
    if third >= 0:
        in_r -= weight[third, r]
        in_p += weight[third, p]
        moved[2], to[2], length = third, p, 3
    loss = added + _change(p, in_p, room, strain) + _change(q, in_q, room, strain)
    loss += _change(r, in_r, room, strain)
    return length if loss <= -heat * np.log(np.random.random()) else 0


@jit
def _first(state: State) -> int:
    """A stream to begin with, drawn from all or from a pool that is not exactly full."""
    if np.random.random() < _FOCUS:
        for _ in range(4):
            p = np.random.randint(len(state.room))
            if state.room[p] != 0 and state.held[p] > 0:
                return int(state.members[p, np.random.randint(state.held[p])])
    return int(np.random.randint(len(state.at)))


@jit
def _chase(state: State, tables: Tables, strain: Strain, heat: float, moved: Ints, to: Ints) -> int:
    """A long chain, grown pool by pool: the stream in hand goes to another pool and one leaves there, of those looked
    at the one that adds least to the energy, if the heat allows it. It ends as soon as the heat allows that none
    leaves, or that the one that leaves goes to the pool where the chain began. Returns its length, 0 for none; stream
    `moved[i]` goes to pool `to[i]`.
    """
    room, regret, weight = state.room, tables.regret, tables.weight
    x = _first(state)
    p = state.at[x]
    hole = room[p] + weight[x, p]
    limit = -heat * np.log(np.random.random())
    energy = -regret[x, p] - _strain(room[p], p, strain)
    left = _strain(hole, p, strain)
    for length in range(_LONGEST - 1):
        following, via, least, looked = -1, -1, limit, 0
        c = np.random.randint(tables.places[x])
        for _ in range(tables.places[x]):
            c = c + 1 if c + 1 < tables.places[x] else 0
            q = tables.place[x, c]
            if q == p or state.held[q] == 0 or _passed(to, length, q):
                continue
            here = energy + tables.place_regret[x, c]
            moved[length], to[length] = x, q
            if here + left + _change(q, weight[x, q], room, strain) <= limit:
                return length + 1
            k, e, closes = _pushed(state, tables, strain, x, q, here, p, hole, limit)
            if closes:
                moved[length + 1], to[length + 1] = k, p
                return length + 2
            if e < least:
                following, via, least = k, q, e
            looked += state.held[q]
            if looked >= _LOOKS:
                break
        if following < 0:
            return 0
        to[length] = via
        x, energy = following, least
    return 0


@jit
def _pushed(state: State, tables: Tables, strain: Strain, x: int, q: int, here: float, p: int, hole: int,
            limit: float) -> tuple[int, float, bool]:
    """Which stream leaves pool q when x comes: (stream or -1, energy then, whether it may go to pool p and end there).

    `here` is the energy without the change of q's strain, `hole` the room in p.
    """
    room, regret, weight, held = state.room, tables.regret, tables.weight, state.held[q]
    best, least = -1, limit
    look = np.random.randint(held)
    for _ in range(min(_LOOKS, held)):
        look = look + 1 if look + 1 < held else 0
        k = state.members[q, look]
        e = here - regret[k, q] + _change(q, weight[x, q] - weight[k, q], room, strain)
        if e > limit:
            continue
        if e + regret[k, p] + _strain(hole - weight[k, p], p, strain) <= limit:
            return k, e, True
        if e < least:
            best, least = k, e
    return best, least, False


@jit
def _passed(to: Ints, length: int, pool: int) -> bool:
    """Whether a chain of so many streams has been in a pool."""
    return pool in to[:length]


@jit
def _give(state: State, pool: int, less: int) -> int:
    """Take room from a pool (or give it back: negative); returns how much more load there is over capacity."""
    before: int = max(0, -state.room[pool])
    state.room[pool] -= less
    after: int = max(0, -state.room[pool])
    return after - before


@jit
def _apply(state: State, tables: Tables, moved: Ints, to: Ints, length: int) -> tuple[float, int]:
    """Move the streams of a chain; returns what that adds to `_value` and to the load over capacity."""
    value, over = 0.0, 0
    for i in range(length):
        s, old, new = moved[i], state.at[moved[i]], to[i]
        value += tables.regret[s, new] - tables.regret[s, old]
        value += tables.price[old] * tables.weight[s, old] - tables.price[new] * tables.weight[s, new]
        over += _give(state, old, -tables.weight[s, old]) + _give(state, new, tables.weight[s, new])
        _move(state, s, new)
    return value, over


@jit
def anneal(state: State, tables: Tables, strain: Strain, moves: int, seed: int, heat: float) -> None:
    """Draw `moves` chains and keep each with probability exp(-loss / heat)."""
    np.random.seed(seed)
    over = 0
    for p in range(len(state.room)):
        over += max(0, -state.room[p])
    value, least = _value(state, tables), state.best_regret[0]
    if over == 0 and value < least - 1e-9:
        least = value
        state.best[:] = state.at
    moved, to = np.empty(_LONGEST, np.int64), np.empty(_LONGEST, np.int64)
    for _ in range(moves):
        if np.random.random() < _CHASE:
            length = _chase(state, tables, strain, heat, moved, to)
        else:
            length = _short(state, tables, strain, heat, moved, to)
        if length == 0:
            continue
        more, further = _apply(state, tables, moved, to, length)
        value += more
        over += further
        if over == 0 and value < least - 1e-9:
            least = value
            state.best[:] = state.at
    state.best_regret[0] = least
