"""The placement problem as arrays: the only thing the solvers, the bound and `verify` know of the world.

Sizes: S streams, W workloads, C shapes, R resources, P pools, G clusters, O offers, N candidates, V variants, L losses
(or limits), K commitments, T slots.
All money is USD over the horizon, all times are slots, all arrays are read-only.

A *stream* is a workload, or the part of a serving workload that one user region sends. The plan chooses for every
stream how many copies it has and where each copy goes: a *unit* is one copy. A *candidate* is a legal (stream, pool)
pair. A *variant* says what one copy of a stream needs for a number of copies and a hardware speed. A unit is therefore
the triple (candidate, variant, start slot), with the variant's speed equal to the candidate's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Counts = NDArray[np.int32]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TOLERANCE = 1e-6
"""Slack allowed when a replica is fitted into a machine (DESIGN 3, "fits have tolerance 1e-6")."""


class Purchase(IntEnum):
    """Ways to pay for a machine. OWNED and COMMITTED are paid in every slot, the others in the slots they run."""

    OWNED = 0
    COMMITTED = 1
    ON_DEMAND = 2
    SPOT = 3


@dataclass(frozen=True, slots=True)
class Clusters:
    """`availability` [G] is the chance that a cluster is up; `egress_usd_per_gb` [G, G] is sender by receiver."""

    availability: Floats
    egress_usd_per_gb: Floats


@dataclass(frozen=True, slots=True)
class Domains:
    """Failure domains: every pool lies in one, `pool` [P]; copies of a stream lie in distinct ones.

    A domain is up while all parts on its `path` [D, L] are (rows of `up` [M], -1 for none): its provider, its region,
    its cluster, its zone. A part is up with chance `up`, whatever the others are; domains that share a part fail with
    it. Paths nest: two that agree in a part agree in all before it.
    """

    pool: Ints
    path: Ints
    up: Floats


@dataclass(frozen=True, slots=True)
class Pools:
    """`cluster` [P], `room` [P, R] left for replicas on one machine, `max_machines` [P, T], `run_usd` [P, T].

    `run_usd` is what a running machine costs in a slot beside its price (carbon). At least `min_machines` [P, T] run,
    of whatever offer, needed or not; left empty, none need to.
    """

    cluster: Ints
    room: Floats
    max_machines: Counts
    run_usd: Floats
    min_machines: Counts = field(default_factory=lambda: np.zeros((0, 0), np.int32))

    def __post_init__(self) -> None:
        if not self.min_machines.size:
            object.__setattr__(self, "min_machines", np.zeros_like(self.max_machines))


@dataclass(frozen=True, slots=True)
class Offers:
    """Ways to buy machines by pool: `pool`, `purchase` [O], `owned`, `price_usd`, `max_machines` [O, T].

    `price_usd` is for one machine and one slot. An owned or committed offer is paid in slot t for max(owned[t], the
    most machines of it that run in any slot); on_demand and spot in the slots that run. `owned` may be given as [O],
    the same in every slot.
    """

    pool: Ints
    purchase: Ints
    owned: Ints
    price_usd: Floats
    max_machines: Counts

    def __post_init__(self) -> None:
        if self.owned.ndim == 1:
            slots = self.price_usd.shape[-1]
            object.__setattr__(self, "owned", np.repeat(self.owned.astype(np.int64)[:, None], slots, axis=1))


@dataclass(frozen=True, slots=True)
class Workloads:
    """`weight` [W] in attainment; `droppable` [W]: may go unplaced in `min_cost`."""

    weight: Floats
    droppable: Bools


@dataclass(frozen=True, slots=True)
class Streams:
    """`workload` [S], `shape` [S], `preemptible` [S] (may run on spot), `availability` [S] (SLO, 0 where none).

    Candidates of stream s are rows `candidate_first[s]:candidate_first[s + 1]`, its variants likewise ([S + 1] each).
    """

    workload: Ints
    shape: Ints
    preemptible: Bools
    availability: Floats
    candidate_first: Ints
    variant_first: Ints


@dataclass(frozen=True, slots=True)
class Candidates:
    """Legal (stream, pool) pairs, sorted by stream, then pool; each array [N].

    `speed` is the position of the pool's hardware in the stream's list of speeds; `cost_usd` is what one copy costs
    here beside machines (data egress, storage, moves); `user_usd` is the egress to users, of which each of k copies
    pays 1/k; `single` says that one copy alone meets the availability SLO here.
    """

    stream: Ints
    pool: Ints
    speed: Ints
    cost_usd: Floats
    user_usd: Floats
    single: Bools


@dataclass(frozen=True, slots=True)
class Variants:
    """What one copy needs, by number of copies and speed; each array [V], sorted by stream, copies, speed.

    A steady variant has `row` >= 0 and needs `rows[row]` replicas per slot; its only start is 0. A batch variant has
    `row` = -1 and runs `level` replicas for `length` slots, `runs` times, `period` slots apart; its first run starts at
    any slot from `earliest` to `latest`.
    """

    stream: Ints
    copies: Ints
    speed: Ints
    row: Ints
    level: Ints
    length: Ints
    period: Ints
    runs: Ints
    earliest: Ints
    latest: Ints
    rows: Counts


@dataclass(frozen=True, slots=True)
class Flows:
    """Data from a stream's copy 0 to every copy of another stream: `sender` [F], `receiver` [F], `gb` [F] (horizon)."""

    sender: Ints
    receiver: Ints
    gb: Floats


@dataclass(frozen=True, slots=True)
class Objective:
    """`min_cost`: least cost with attainment >= `sla_floor`. `max_sla`: most attainment with cost <= `budget_usd`."""

    mode: Literal["min_cost", "max_sla"]
    sla_floor: float = 1.0
    budget_usd: float = float("inf")


@dataclass(frozen=True, slots=True)
class Survival:
    """What must be survived: loss l takes the clusters `lost` [L, G] and is of a `kind` [L] (1, 2, ...).

    A stream survives every loss of the kind it has `asked` [S] for (0: none). A stream that loses one of k > 1 copies
    needs nothing. Else each lost unit needs a fallback: a pool outside the loss, in another failure domain than the
    stream's other copies, where its stream has a candidate, and a variant of as many copies that may start when the
    unit does. Its replicas and all that is there already must be packed onto what a pool that takes fallbacks then has:
    in slot t of owned and committed offers what is held, of spot what runs, on demand `assured` [O, T], together the
    pool's maximum at most.
    """

    lost: Bools
    kind: Ints
    asked: Ints
    assured: Counts


@dataclass(frozen=True, slots=True)
class Incumbent:
    """Units of the plan in force whose places are still legal, sorted by stream; each array [K].

    A stream that still has all its copies there makes a move for every place that it leaves; another start slot in the
    same pool is none, and a stream that lost a copy is placed anew. `most_moves`: how many there may be; None: any
    number.
    """

    stream: Ints
    candidate: Ints
    variant: Ints
    start: Ints
    most_moves: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on a measure summed over pools, in every slot: `amount` [L, P], `paid` [L], `most` [L, T].

    In a row that is not `paid` a machine that runs in a pool counts `amount`; in one that is, a USD paid for the pool's
    own offers in the slot does (owned and committed as held, the others as they run, at the offers' prices).
    """

    amount: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    paid: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    most: Floats = field(default_factory=lambda: np.zeros((0, 0)))


@dataclass(frozen=True, slots=True)
class Commitments:
    """What is paid in every slot for on_demand machines of several pools together: `covers` [K, P].

    Commitment k holds `owned[k]` units and what the plan buys, `most[k]` at most; each costs `price_usd` [K, T]. In
    every slot they pay for on_demand machines of the pools it covers, the dearest first and the last one in part. A
    machine takes 1 unit where `by_machine` [K], else as many as come to (1 - `discount`) x its price. Commitments take
    their turns in order, each with what those before it left; what all of them leave is paid at the offers' prices.
    """

    covers: Bools = field(default_factory=lambda: np.zeros((0, 0), np.bool_))
    by_machine: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    discount: Floats = field(default_factory=lambda: np.zeros(0))
    price_usd: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    owned: Floats = field(default_factory=lambda: np.zeros(0))
    most: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, slots=True)
class Parts:
    """Streams whose lone copy may be split over several pools: `stream` [X], sorted, into `most` [X] parts at most.

    `load` [X, T] are the replicas before throughput, `throughput` [V] is that of every variant's hardware, `whole_usd`
    [N] the part of a candidate's cost that every part pays whole (moves): the rest is shared by their replicas.
    What parts are is said in `placement.parts`.
    """

    stream: Ints
    most: Ints
    load: Floats
    throughput: Floats
    whole_usd: Floats


@dataclass(frozen=True, slots=True)
class Layers:
    """Which streams of a problem are parts of one copy, each array [S]: those of one `group`, in the order of `part`.

    `cap` is the most replicas before throughput that a part takes of what those before it leave; 0: all the rest.
    `below` is what those before it take at most.
    """

    group: Ints
    part: Ints
    cap: Ints
    below: Ints


@dataclass(frozen=True, slots=True)
class Interference:
    """Pairs of workloads that slow each other down on one machine: `slowed` [I] keeps `factor` [I] of its throughput
    beside `by` [I], in the pools [I, P] where a replica of each fits one machine. See `placement.interference`.
    """

    slowed: Ints
    by: Ints
    factor: Floats
    pools: Bools


@dataclass(frozen=True, slots=True)
class Paths:
    """Joint sample paths of demand: path i of every load belongs together. N paths, B loads, S streams, V variants.

    In every pool and slot the machines must hold the replicas of at least `share` of the paths. `loads` [B, N, T] are
    replicas before shares and hardware, kept as short integers where they fit; `load` [S] is a stream's row of it, -1
    where its variants need the same on every path. On path i a copy of variant v, of a stream with `portion` [S] of the
    load, needs ceil(loads[i] x portion / max(1, copies - 1) / `throughput` [V]); a batch variant runs the largest of
    these, without throughput, in the slots of its runs. A stream with a load has rows and levels of its own quantile.
    """

    share: float
    loads: NDArray[np.int16] | NDArray[np.int32]
    load: Ints
    portion: Floats
    throughput: Floats

    @property
    def needed(self) -> int:
        """How many paths must be held: the share, rounded up."""
        count: int = self.loads.shape[1]
        return math.ceil(self.share * count - 1e-9)


NO_LIMITS, NO_COMMITMENTS = Limits(), Commitments()


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything a solver may know. `shapes` [C, R] are the resources one replica takes.

    `domains` of None: every cluster is a failure domain by itself (see `failure_domains`). `survival`
    of None asks for none. `incumbent` is None where
    no plan is in force. `parts` is None where no stream may be split; `layers` where none is.
    `interference` is None where nobody is known to slow another down. `paths` of None: every unit needs
    what its variant says; else pools are sized on joint demand.
    """

    slots: int
    objective: Objective
    shapes: Floats
    clusters: Clusters
    pools: Pools
    offers: Offers
    workloads: Workloads
    streams: Streams
    candidates: Candidates
    variants: Variants
    flows: Flows
    domains: Domains | None = None
    survival: Survival | None = None
    incumbent: Incumbent | None = None
    limits: Limits = NO_LIMITS
    commitments: Commitments = NO_COMMITMENTS
    parts: Parts | None = None
    layers: Layers | None = None
    interference: Interference | None = None
    paths: Paths | None = None

    def __post_init__(self) -> None:
        for part in (self.clusters, self.pools, self.offers, self.workloads, self.streams, self.candidates,
                     self.variants, self.flows, self.domains, self.incumbent, self.limits, self.commitments, self.parts,
                     self.layers, self.interference, self.paths):
            for column in fields(part) if part is not None else ():
                if isinstance(array := getattr(part, column.name), np.ndarray):
                    array.setflags(write=False)
        if self.survival is not None:
            for column in fields(self.survival):
                getattr(self.survival, column.name).setflags(write=False)
        self.shapes.setflags(write=False)

    @property
    def slack(self) -> float:
        """Weight that may go unplaced in `min_cost`: (1 - floor) of all, and nothing that is not droppable."""
        return (1 - self.objective.sla_floor) * float(self.workloads.weight.sum()) + 1e-9
