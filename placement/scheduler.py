"""One pool as its own scheduler runs it, compiled: replicas come and go slot by slot and are never repacked.

`placement.online` says what the rules are and feeds the pools in; sizes as in `placement.scheduler_state`.
"""

from __future__ import annotations

import numpy as np

from placement.jit import jit
from placement.problem import TOLERANCE
from placement.scheduler_state import SHORT_LIST, Ground, Outcome, State

PLACED, LEFT, MOVED, EVICTED, STARTED, STOPPED, INTERRUPTED = range(7)
"""What an event is. MOVED: placed again after an eviction."""
_GRAIN = 1e9
"""Dominant shares that are equal in as many parts of a machine are a tie."""
_MOST_SHARE = 2**62
_GANG = 2**61


@jit
def run_pool(ground: Ground, state: State, out: Outcome) -> int:
    """Run all slots, fill `out` and the log; return how many events there were, noted or not (the log may be full)."""
    for t in range(ground.most.size):
        if ground.begins[t]:
            _end_all(ground, state, t)
        _ask(ground, state, t)
        _interrupt(ground, state, t)
        _resize(ground, state, t)
        _schedule(ground, state, t)
        for k in range(ground.spot.size):
            _stop_empty(ground, state, t, k)
            out.machines[k, t] = state.counts[k]
        out.used[t] = np.count_nonzero(state.load)
        out.ran[:, t] = state.running
        out.short[:, t] = state.pending
        for u in range(state.owed.size):
            if ground.gang[u] and state.running[u] > 0:
                state.owed[u] -= 1
    return int(state.cursor[1])


@jit
def _note(state: State, t: int, what: int, m: int, u: int, n: int) -> None:
    at = state.cursor[1]
    if at < state.log.shape[0]:
        state.log[at, 0], state.log[at, 1], state.log[at, 2] = t, what, m
        state.log[at, 3], state.log[at, 4] = u, n
    state.cursor[1] = at + 1


@jit
def _ask(ground: Ground, state: State, t: int) -> None:
    """What every unit wants now: more joins the queue; of less, what still waits goes first, then the newest."""
    for u in range(state.running.size):
        if ground.gang[u] and ground.needs[u, t] > 0:
            state.owed[u] += 1
        wanted = ground.level[u] * (state.owed[u] > 0) if ground.gang[u] else ground.needs[u, t]
        more = np.int64(wanted) - state.running[u] - state.pending[u]
        if more > 0:
            _wait(state, t, u, more)
        elif more < 0:
            waiting = min(-more, state.pending[u])
            state.pending[u] -= waiting
            state.displaced[u] = min(state.displaced[u], state.pending[u])
            _leave(ground, state, t, u, -more - waiting)


@jit
def _end_all(ground: Ground, state: State, t: int) -> None:
    """Everything that runs or waits ends, and every machine stops."""
    for u in range(state.running.size):
        state.pending[u] = state.displaced[u] = state.owed[u] = 0
        _leave(ground, state, t, u, state.running[u])
    for k in range(ground.spot.size):
        while state.top[k] > 0:
            _stop(ground, state, t, k, ground.first[k] + state.top[k] - 1, STOPPED)


@jit
def _wait(state: State, t: int, u: int, n: int) -> None:
    if state.pending[u] == 0:
        state.since[u] = t
    state.pending[u] += n


@jit
def _leave(ground: Ground, state: State, t: int, u: int, n: int) -> None:
    """The newest `n` replicas of a unit end."""
    while n > 0:
        node = state.head[u]
        m, gone = state.machine[node], min(n, state.replicas[node])
        _take(ground, state, u, m, gone)
        if ground.every:
            _note(state, t, LEFT, m, u, gone)
        state.replicas[node] -= gone
        if state.replicas[node] == 0:
            state.head[u] = state.below[node]
            _release(state, node)
        n -= gone


@jit
def _take(ground: Ground, state: State, u: int, m: int, n: int) -> None:
    state.running[u] -= n
    state.load[m] -= n
    state.tied[m] -= n if ground.gang[u] else 0
    for r in range(ground.room.size):
        state.used[m, r] = state.used[m, r] - n * ground.size[u, r] if state.load[m] > 0 else 0.0


@jit
def _release(state: State, node: int) -> None:
    state.free[state.cursor[0]] = node
    state.cursor[0] += 1


@jit
def _put(ground: Ground, state: State, t: int, u: int, m: int, n: int) -> None:
    """`n` waiting replicas of a unit start on machine m."""
    node = state.head[u]
    if node < 0 or state.machine[node] != m:
        state.cursor[0] -= 1
        node = state.free[state.cursor[0]]
        state.machine[node], state.replicas[node], state.below[node] = m, 0, state.head[u]
        state.head[u] = node
    state.replicas[node] += n
    state.running[u] += n
    state.pending[u] -= n
    state.load[m] += n
    state.tied[m] += n if ground.gang[u] else 0
    for r in range(ground.room.size):
        state.used[m, r] += n * ground.size[u, r]
    again = min(n, state.displaced[u])
    state.displaced[u] -= again
    if again > 0:
        _note(state, t, MOVED, m, u, again)
    if n > again and ground.every:
        _note(state, t, PLACED, m, u, n - again)


@jit
def _start(ground: Ground, state: State, t: int, k: int) -> int:
    """Start the lowest free machine of an offer."""
    m = ground.first[k]
    while state.on[m]:
        m += 1
    state.on[m] = True
    state.counts[k] += 1
    state.top[k] = max(state.top[k], m + 1 - ground.first[k])
    _note(state, t, STARTED, m, -1, 0)
    return int(m)


@jit
def _stop(ground: Ground, state: State, t: int, k: int, m: int, what: int) -> None:
    """Stop a machine; what runs there goes back to the queue, a gang with all of its replicas."""
    before = state.load[m]
    for u in range(state.head.size):
        if state.load[m] == 0:
            break
        gone = _evict(ground, state, u, m)
        if gone > 0:
            _note(state, t, EVICTED, m, u, gone)
            _wait(state, t, u, gone)
            state.displaced[u] += gone
        if gone > 0 and ground.gang[u]:
            _disband(ground, state, t, u)
    state.on[m] = False
    state.counts[k] -= 1
    while state.top[k] > 0 and not state.on[ground.first[k] + state.top[k] - 1]:
        state.top[k] -= 1
    _note(state, t, what, m, -1, before)


@jit
def _evict(ground: Ground, state: State, u: int, m: int) -> int:
    """Take all replicas of a unit off a machine; return how many there were."""
    gone, above, node = 0, -1, state.head[u]
    while node >= 0:
        under = state.below[node]
        if state.machine[node] != m:
            above = node
        else:
            gone += state.replicas[node]
            if above < 0:
                state.head[u] = under
            else:
                state.below[above] = under
            _release(state, node)
        node = under
    if gone > 0:
        _take(ground, state, u, m, gone)
    return int(gone)


@jit
def _disband(ground: Ground, state: State, t: int, u: int) -> None:
    """A gang that lost a replica stops everywhere."""
    while state.head[u] >= 0:
        m = state.machine[state.head[u]]
        gone = _evict(ground, state, u, m)
        _note(state, t, EVICTED, m, u, gone)
        _wait(state, t, u, gone)
        state.displaced[u] += gone


@jit
def _drawn(salt: int, m: int, t: int) -> float:
    """A number in [0, 1) that depends on nothing but its arguments (the mixing steps of SplitMix64)."""
    x = np.uint64(salt) ^ (np.uint64(m + 1) * np.uint64(0x9E3779B97F4A7C15)) ^ (
        np.uint64(t + 1) * np.uint64(0xD1B54A32D192ED03))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return float(x >> np.uint64(11)) / 9007199254740992.0


@jit
def _interrupt(ground: Ground, state: State, t: int) -> None:
    """Spot machines that ran in the slot before are taken back by chance, and are gone for this slot."""
    state.lost[:] = 0
    for k in range(ground.spot.size):
        if ground.chance[k] <= 0.0:
            continue
        for number in range(state.top[k]):
            m = ground.first[k] + number
            if state.on[m] and _drawn(ground.salt[k], number, t) < ground.chance[k]:
                _stop(ground, state, t, k, m, INTERRUPTED)
                state.lost[k] += 1


@jit
def _resize(ground: Ground, state: State, t: int) -> None:
    """Stop what may not run any more, the least filled first; start what the plan says."""
    for k in range(ground.spot.size):
        while state.counts[k] > max(ground.limit[k, t] - state.lost[k], 0):
            _stop(ground, state, t, k, _least(ground, state, k), STOPPED)
        while state.counts[k] < ground.floor[k, t] - state.lost[k]:
            _start(ground, state, t, k)
    while state.counts.sum() > ground.most[t]:
        least, offer, share = -1, -1, _MOST_SHARE
        for k in range(ground.spot.size):
            if state.counts[k] > max(ground.floor[k, t] - state.lost[k], 0):
                m = _least(ground, state, k)
                if _to_lose(ground, state, m) < share:
                    least, offer, share = m, k, _to_lose(ground, state, m)
        if least < 0:
            break
        _stop(ground, state, t, offer, least, STOPPED)


@jit
def _stop_empty(ground: Ground, state: State, t: int, k: int) -> None:
    """Machines beyond the plan's that nothing runs on end, the highest number first."""
    m = ground.first[k] + state.top[k] - 1
    while m >= ground.first[k] and state.counts[k] > max(ground.floor[k, t] - state.lost[k], 0):
        if state.on[m] and state.load[m] == 0:
            _stop(ground, state, t, k, m, STOPPED)
        m -= 1


@jit
def _share(ground: Ground, state: State, m: int) -> int:
    """The dominant share of a machine's room that is taken, in parts of a machine."""
    share = 0.0
    for r in range(ground.room.size):
        if ground.room[r] > 0.0:
            share = max(share, state.used[m, r] / ground.room[r])
    return int(share * _GRAIN + 0.5)


@jit
def _to_lose(ground: Ground, state: State, m: int) -> int:
    """How much there is to lose by stopping a machine: its dominant share, and more than any where gangs run."""
    return _share(ground, state, m) + (_GANG if state.tied[m] > 0 else 0)


@jit
def _least(ground: Ground, state: State, k: int) -> int:
    """The machine to stop: without replicas of gangs before others, the least filled, of equal ones the highest number.
    """
    least, best = -1, _MOST_SHARE
    for m in range(ground.first[k], ground.first[k] + state.top[k]):
        if state.on[m]:
            share = _to_lose(ground, state, m)
            if share <= best:
                least, best = m, share
    return least


@jit
def _fits(ground: Ground, state: State, u: int, m: int) -> int:
    """How many replicas of a unit still fit a machine."""
    count = 2**30
    for r in range(ground.room.size):
        if ground.size[u, r] > 0.0:
            left = ground.room[r] + TOLERANCE - state.used[m, r]
            count = min(count, int(np.floor(left / ground.size[u, r])))
    return max(count, 0)


@jit
def _share_with(ground: Ground, state: State, u: int, m: int) -> int:
    """The dominant share of machine m with one more replica of a unit, in parts of it; -1 where it does not fit."""
    if not state.on[m]:
        return -1
    share = 0.0
    for r in range(ground.room.size):
        after = state.used[m, r] + ground.size[u, r]
        if ground.size[u, r] > 0.0 and after > ground.room[r] + TOLERANCE:
            return -1
        if ground.room[r] > 0.0:
            share = max(share, after / ground.room[r])
    return int(share * _GRAIN + 0.5)


@jit
def _best(ground: Ground, state: State, u: int) -> int:
    """Best fit: the machine whose dominant share is the largest once a replica is on it; of equal ones the lowest.

    A machine that was best for a unit is so for all of its kind until it is full, so the order is found once for many.
    """
    at = state.list_at
    if at[4] != ground.kind[u]:
        at[4] = ground.kind[u]
        _list(ground, state, u, ground.flexible[u])
    while True:
        while at[1] < at[0]:
            m = state.listed[at[1]]
            if _share_with(ground, state, u, m) >= 0:
                return int(m)
            at[1] += 1
        if at[2] == 1 and at[3] == 0:
            return -1
        _list(ground, state, u, at[2] == 0 and at[3] == 1)


@jit
def _list(ground: Ground, state: State, u: int, spot: bool) -> None:
    """List the machines, spot ones or others, that fit a unit best, in order."""
    length, all_of_them = 0, 1
    for k in range(ground.spot.size):
        if ground.spot[k] != spot:
            continue
        for m in range(ground.first[k], ground.first[k] + state.top[k]):
            share = _share_with(ground, state, u, m)
            if share < 0:
                continue
            if length == SHORT_LIST:
                all_of_them = 0
                if share <= state.fit[length - 1]:
                    continue
                length -= 1
            place = length
            while place > 0 and state.fit[place - 1] < share:
                state.fit[place], state.listed[place] = state.fit[place - 1], state.listed[place - 1]
                place -= 1
            state.fit[place], state.listed[place] = share, m
            length += 1
    state.list_at[0], state.list_at[1] = length, 0
    state.list_at[2], state.list_at[3] = all_of_them, 1 if spot else 0


@jit
def _list_only(state: State, m: int) -> None:
    """A machine that was started because nothing else fits is the only one listed."""
    state.listed[0] = m
    state.list_at[0], state.list_at[1], state.list_at[2], state.list_at[3] = 1, 0, 1, 0


@jit
def _offer(ground: Ground, state: State, t: int, u: int) -> int:
    """The cheapest offer that may start one more machine for a unit; of equal ones the first; -1: none."""
    found = -1
    if state.counts.sum() >= ground.most[t]:
        return found
    for k in range(ground.spot.size):
        if ground.spot[k] and not ground.flexible[u]:
            continue
        if state.counts[k] < ground.limit[k, t] - state.lost[k] and (
                found < 0 or ground.price[k, t] < ground.price[found, t]):
            found = k
    return found


@jit
def _room_for(ground: Ground, state: State, t: int, u: int) -> int:
    """How many replicas of a unit fit on machines that run or may be started."""
    fits, extra = 0, 0
    for k in range(ground.spot.size):
        if ground.spot[k] and not ground.flexible[u]:
            continue
        extra += max(ground.limit[k, t] - state.lost[k] - state.counts[k], 0)
        for m in range(ground.first[k], ground.first[k] + state.top[k]):
            if state.on[m]:
                fits += _fits(ground, state, u, m)
    extra = min(extra, ground.most[t] - state.counts.sum())
    if extra > 0:
        per = 2**30
        for r in range(ground.room.size):
            if ground.size[u, r] > 0.0:
                per = min(per, int(np.floor((ground.room[r] + TOLERANCE) / ground.size[u, r])))
        fits += extra * per
    return fits


@jit
def _schedule(ground: Ground, state: State, t: int) -> None:
    """Serve the queue: by band, then who waits longest, then rank. What does not fit is passed over, not waited for."""
    waiting = np.flatnonzero(state.pending > 0)
    units, slots = state.pending.size, ground.most.size
    key = (ground.band[waiting] * (slots + 1) + state.since[waiting]) * units + ground.rank[waiting]
    full = np.zeros(units, np.bool_)
    state.list_at[4] = -1
    for u in waiting[np.argsort(key)]:
        if ground.gang[u]:
            if _room_for(ground, state, t, u) < state.pending[u]:
                continue
        elif full[ground.kind[u]]:
            continue
        while state.pending[u] > 0:
            m = _best(ground, state, u)
            if m < 0:
                k = _offer(ground, state, t, u)
                if k < 0:
                    break
                m = _start(ground, state, t, k)
                _list_only(state, m)
            _put(ground, state, t, u, m, min(state.pending[u], max(1, _fits(ground, state, u, m))))
        if state.pending[u] > 0:
            full[ground.kind[u]] = True
