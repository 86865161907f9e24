"""The answer of `planner explain`, in people's words and figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """A rule, how many pools it takes from users in a region (None: the workload), how many it leaves, and why."""

    user_region: str | None
    rule: str
    taken: int
    left: int
    why: str


@dataclass(frozen=True, slots=True)
class Place:
    """A pool other than the unit's own. `why_not` says what forbids it (empty: legal), `rules` all rules that do.

    `extra_usd` is what the plan would cost more with the unit there and all else in place, by part in
    `extra_by_part_usd`. `exact`: packed as plans are; else packed by simple orders, or priced on machines of its own.
    `lacking` machines too few may run there (0: room); the price is then as if they might.
    """

    cluster: str
    pool: str
    rules: tuple[str, ...] = ()
    why_not: str = ""
    extra_usd: float | None = None
    extra_by_part_usd: dict[str, float] = field(default_factory=dict)
    exact: bool = False
    lacking: int = 0
    start_slot: int | None = None

    @property
    def name(self) -> str:
        """`cluster/pool`."""
        return f"{self.cluster}/{self.pool}"


@dataclass(frozen=True, slots=True)
class Unit:
    """One copy, where it is (`cluster` of None: nowhere), why, its part of the cost, and every other pool.

    `places`: legal ones with room first, the cheapest first, then those without room, then the forbidden ones.
    `runner_up` is the first of them where any is legal.
    """

    user_region: str | None
    why: str
    copy: int = 0
    copies: int = 1
    cluster: str | None = None
    pool: str | None = None
    start_slot: int | None = None
    costs_usd: dict[str, float] = field(default_factory=dict)
    runner_up: Place | None = None
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolved:
    """The fleet planned again with the workload forced to `place`: cost, what it is more than the plan, its bound.

    `why_not` says why there is no such figure. Both plans are found by search: the difference may be below 0, and above
    what the move alone costs more, `move_usd` (None: there is no room for the move alone).
    """

    place: str
    why_not: str
    cost_usd: float | None = None
    extra_usd: float | None = None
    bound_usd: float | None = None
    move_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything about one workload in one plan. `cost_usd` is its part of `plan_cost_usd`.

    `needs` says where its request and replicas come from.
    """

    workload: str
    kind: str
    owner: str | None
    droppable: bool
    plan_id: str
    plan_cost_usd: float
    needs: str = ""
    cost_usd: float = 0.0
    units: tuple[Unit, ...] = ()
    rules: tuple[Step, ...] = ()
    binding: tuple[str, ...] = ()
    shares_with: tuple[str, ...] = ()
    fallbacks: tuple[tuple[str, str], ...] = ()
    not_placed: tuple[str, ...] = ()
    resolved: Resolved | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON; figures in USD to a millionth."""
        found: dict[str, Any] = _rounded(asdict(self))
        found["fallbacks"] = [{"lost": lost, "place": place} for lost, place in self.fallbacks]
        return found


def _rounded(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    if isinstance(value, float):
        return round(value, 6) + 0.0
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
