"""What a pool's scheduler knows and leaves behind, as arrays that its compiled rules share.

Sizes: U units, K offers, M machine numbers (those of offer k are first[k]..first[k + 1] - 1), R resources, T slots, N
nodes, E events.
"""

from __future__ import annotations

from typing import NamedTuple

from placement.problem import Bools, Counts, Floats, Ints

SHORT_LIST = 64
"""Machines of which the order of fit is found at once."""


class Ground(NamedTuple):
    """What does not change while a pool runs.

    `needs` [U, T], `size` [U, R], `flexible` [U] (may be on spot), `gang` [U], `level` [U] (a gang's replicas), `rank`
    [U] (turn in the queue among units that wait equally long), `band` [U] (0 is served first), `kind` [U] (equal for
    units of equal size and flexibility). `room` [R]. Of offers: `spot` [K], `first` [K + 1], `floor` and `limit` [K, T]
    (machines that run anyway, and at most), `price` [K, T] of one more machine, `chance` [K] of losing one between two
    slots, `salt` [K] of the draws. `most` [T] machines in all. `begins` [T]: all ended before this
    slot. `every`: note placements and departures too.
    """

    needs: Counts
    size: Floats
    flexible: Bools
    gang: Bools
    level: Ints
    rank: Ints
    band: Ints
    kind: Ints
    room: Floats
    spot: Bools
    first: Ints
    floor: Ints
    limit: Ints
    price: Floats
    chance: Floats
    salt: Ints
    most: Ints
    begins: Bools
    every: bool


class State(NamedTuple):
    """What changes. Machines: `on`, `load` (replicas there), `tied` (those of gangs) [M], `used` [M, R]. Offers:
    `counts` (machines on), `top` (numbers in use are below), `lost` (interrupted in this slot) [K].

    Units: `running`, `pending`, `displaced` (pending after an eviction), `since` (slot the wait began), `owed` (slots a
    gang has still to run) [U]. A unit's replicas are a stack of nodes, newest on top: `head` [U], `below`, `machine`,
    `replicas`, `free` [N]. `log` [E, 5] holds slot, event, machine, unit, replicas; `cursor` = (free nodes, events).

    The queue's short list: `listed`, `fit` [SHORT_LIST], machines and the shares they would have; `list_at` = (length,
    next one, whether it holds all that fit, whether spot machines were looked at, kind of unit it is for).
    """

    on: Bools
    load: Ints
    tied: Ints
    used: Floats
    counts: Ints
    top: Ints
    lost: Ints
    running: Ints
    pending: Ints
    displaced: Ints
    since: Ints
    owed: Ints
    head: Ints
    below: Ints
    machine: Ints
    replicas: Ints
    free: Ints
    log: Counts
    cursor: Ints
    listed: Ints
    fit: Ints
    list_at: Ints


class Outcome(NamedTuple):
    """By slot: machines that ran [K, T], machines in use [T], replicas that ran and that waited [U, T]."""

    machines: Counts
    used: Counts
    ran: Counts
    short: Counts
