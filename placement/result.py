"""What goes into a solver beside the problem, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from placement.certificate import Certificate
from placement.problem import Bools, Counts, Floats, Ints, Problem

Status = Literal["optimal", "feasible", "infeasible", "unknown"]


@dataclass(frozen=True, slots=True)
class Units:
    """Placed copies, sorted by stream, then copy; each array [U].

    `candidate` and `variant` are rows of the problem's tables, `start` is the first slot (0 for a steady variant).
    """

    stream: Ints
    copy: Ints
    candidate: Ints
    variant: Ints
    start: Ints


def unattained(problem: Problem, units: Units) -> Bools:
    """[W] workloads of which a stream has no unit: left out, though others of their streams may have units."""
    placed = np.bincount(units.stream, minlength=len(problem.streams.shape)) > 0
    out = np.zeros(len(problem.workloads.weight), np.bool_)
    out[problem.streams.workload[~placed]] = True
    return out


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """Where lost units go, sorted by loss, then unit: rows of the problem's losses and candidates, of the plan's units.

    Each array [F]. The unit keeps its start and its number of copies; the candidate's speed decides what it needs.
    """

    loss: Ints
    unit: Ints
    candidate: Ints


@dataclass(frozen=True, slots=True)
class Solution:
    """Where every unit is and how many machines of every offer run in every slot: `machines` [O, T].

    `fallbacks` is None where the problem asks to survive nothing.
    `bought` [K] is what is bought of each commitment beyond what is owned; left empty, nothing.
    `cuts` [k, 2] are (stream, cap) of every part but the last of streams that are split, in order; units and fallbacks
    are then those of the problem so cut (`placement.parts`).
    """

    units: Units
    machines: Counts
    fallbacks: Fallbacks | None = None
    bought: Floats = field(default_factory=lambda: np.zeros(0))
    cuts: Ints = field(default_factory=lambda: np.zeros((0, 2), np.int64))


@dataclass(frozen=True, slots=True)
class Settings:
    """`time_limit_s` is wall time for the solver; `gap` is the relative gap at which it may stop; `threads` >= 1.

    `memory_gib` is the most that the solver's process may take (its address space). Without it, models too large to be
    written out in reasonable memory are refused beforehand; with it, they are tried.
    `thorough`: go on until the time limit or the gap, instead of stopping where more search has ceased to pay.
    `certify`: the bound must be one that a certificate proves; what a solver's own search proves does not count.
    `blocks` other than 1 has the planner's own method search so many parts of the problem side by side (0: as many as
    its size asks for), as tasks of an `engine` of `placement.engines`.
    """

    seed: int = 0
    time_limit_s: float = 60.0
    gap: float = 1e-4
    threads: int = 2
    memory_gib: float | None = None
    thorough: bool = False
    certify: bool = False
    blocks: int = 1
    engine: str = "processes"


@dataclass(frozen=True, slots=True)
class Worth:
    """Shadow prices in USD over the horizon: of one machine more in a pool (`pool_usd` [P], with the offers that have
    the pool's maximum) or of an offer (`offer_usd` [O]), and of a unit of SLA weight (`weight_usd`): what attaining one
    more costs in `max_sla`, what leaving one more out saves in `min_cost`; 0 where the floor or budget does not bind.
    `limit_usd` [L]: of one unit more of a shared limit's measure in every slot.
    """

    pool_usd: Floats
    offer_usd: Floats
    weight_usd: float
    limit_usd: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, slots=True)
class Result:
    """The answer of a solver. `infeasible` is a proof, `unknown` is not; both come without a solution.

    `bound` is a proven limit on the objective: a lower bound on cost (`min_cost`) or an upper bound on attainment
    (`max_sla`). `method` says in words what proved it. `worth` are shadow prices, where the solver has any;
    `certificate` is what proves the bound, where `Settings.certify` asks for it and the solver has any. Of the time,
    `compiling_s` went into compiling kernels, which happens once.
    """

    status: Status
    solution: Solution | None
    bound: float
    method: str
    worth: Worth | None = None
    certificate: Certificate | None = None
    compiling_s: float = 0.0


class Watch(Protocol):
    """How a running solver talks to whoever started it."""

    def report(self, phase: str, solution: Solution | None, objective: float, bound: float) -> None:
        """Tell the best objective and bound so far; `solution` only when it is new (None: as told before)."""

    def stopped(self) -> bool:
        """True once the solver should return the best it has (time is up, or the user interrupted)."""


@runtime_checkable
class Notary(Protocol):
    """A watch that also keeps what proves the bound so far, for a solver that may be ended before it answers."""

    def prove(self, certificate: Certificate) -> None:
        """Keep a certificate; the last one counts."""
