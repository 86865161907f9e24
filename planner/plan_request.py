"""What a plan is asked to be, beside its scenario. Light to load: what plans is not."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from typing import TYPE_CHECKING, Literal

from placement.engines import missing
from placement.solvers import SOLVERS
from planner.errors import InputError
from planner.scenario.model import Objective

if TYPE_CHECKING:
    from planner.in_force import InForce
    from planner.whatif import Change

Mode = Literal["min_cost", "max_sla"]
CERTIFIED = "planner"
"""The solver whose bounds follow from prices that can be written down."""
TIME_LIMIT_S = 60.0
"""Wall seconds a plan may take where nothing is said."""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What is asked for beside the scenario; None leaves what the scenario says.

    `time_limit_s` is wall time from the start to the written file; `thorough` uses all of it unless the gap closes,
    else the search ends by itself where more of it has ceased to pay. `packings`: show which replica lies on which
    machine in every slot, not only where simple orders do not find it. `what_if` changes the scenario before it is
    planned; `in_force` is the plan that the new one replaces. `certificate`: prove the bound by prices that others can
    check, not by a search. `blocks` are searched side by side by an `engine` of `placement.engines` (None: as many as
    the size asks for with Ray, else the whole at once). Raises InputError for values that cannot be.
    """

    mode: Mode | None = None
    sla_floor: float | None = None
    budget_usd: float | None = None
    time_limit_s: float = TIME_LIMIT_S
    seed: int = 0
    solver: str = "planner"
    packings: bool = False
    thorough: bool = False
    what_if: tuple[Change, ...] = ()
    in_force: InForce | None = None
    certificate: bool = False
    engine: str = "processes"
    blocks: int | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        problems = []
        if self.mode not in (None, "min_cost", "max_sla"):
            problems.append(f"mode: {self.mode!r}: allowed are min_cost and max_sla")
        if self.sla_floor is not None and not 0 <= self.sla_floor <= 1:
            hint = f"; did you mean {self.sla_floor / 100:g}?" if 1 < self.sla_floor <= 100 else ""
            problems.append(f"sla_floor: {self.sla_floor:g}: a fraction from 0 to 1 is allowed{hint}")
        if self.budget_usd is not None and not (isfinite(self.budget_usd) and self.budget_usd >= 0):
            problems.append(f"budget_usd: {self.budget_usd:g}: USD over the horizon, 0 or more")
        if not (isfinite(self.time_limit_s) and self.time_limit_s > 0):
            problems.append(f"time_limit_s: {self.time_limit_s:g}: seconds, more than 0")
        if not 0 <= self.seed < 2**32:
            problems.append(f"seed: {self.seed}: a whole number from 0 to {2**32 - 1} is allowed")
        if self.solver not in SOLVERS:
            near = get_close_matches(self.solver, SOLVERS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"solver: {self.solver}: allowed are {', '.join(SOLVERS)}{hint}")
        elif self.certificate and self.solver != CERTIFIED:
            problems.append(f"certificate: solver {self.solver} proves its bound by its own search or not at all, "
                            f"which no file can show; use {CERTIFIED}")
        if (why := missing(self.engine)) is not None:
            problems.append(why)
        if self.blocks is not None and self.blocks < 1:
            problems.append(f"blocks: {self.blocks}: a whole number, 1 or more, is allowed")
        if problems:
            raise InputError(problems)

    @property
    def changes(self) -> dict[str, str | float]:
        """Fields of the scenario's objective that this request gives."""
        asked = {"mode": self.mode, "sla_floor": self.sla_floor, "budget_usd": self.budget_usd}
        return {name: value for name, value in asked.items() if value is not None}

    def objective(self, stated: Objective) -> Objective:
        """The scenario's objective with what this request changes. Raises InputError where they do not go together."""
        mode = self.mode or stated.mode
        same = stated if stated.mode == mode else Objective(mode=mode)
        if mode == "min_cost":
            if self.budget_usd is not None:
                raise InputError([f"budget_usd: {self.budget_usd:g}: mode min_cost has none; ask for mode max_sla"])
            return Objective(mode=mode, sla_floor=same.sla_floor if self.sla_floor is None else self.sla_floor)
        if self.sla_floor is not None:
            raise InputError([f"sla_floor: {self.sla_floor:g}: mode max_sla has none; ask for mode min_cost"])
        budget = same.budget_usd if self.budget_usd is None else self.budget_usd
        if budget is None:
            raise InputError(["budget_usd: missing: mode max_sla needs it; give USD over the horizon"])
        return Objective(mode=mode, budget_usd=budget)
