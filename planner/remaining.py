"""How long room lasts: when each pool, cluster and shared limit runs out, what to order by when, what to commit to.

Demand is read from histories and drawn ahead as joint sample paths by the hour (`forecasting.exhaustion`), on each path
turned into replicas and put where a plan (or a pin, or an incumbent) has the workload. Dates are quantiles over paths
of the first hour in which a pool needs more than there is.

A pool's machines are estimated resource by resource: what a replica takes of a machine is rounded up to a whole part of
it (three in a machine: a third), added up, and the scarcest resource counts. Work that goes well together takes less,
work that does not a little more; `planner plan` packs exactly, for its horizon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planner.commit import Commit, Use, commits
from planner.growth import Growth, growth_a_day
from planner.loads import add_units
from planner.located import Located, locate, shape_rows
from planner.needed import Untold, needed_paths
from planner.plan import read_plan
from planner.room import Room, room_of
from planner.scenario.model import Scenario

if TYPE_CHECKING:
    from planner.profiles import Profiles

Floats = NDArray[np.float64]

LEVELS = (0.1, 0.5, 0.9)
PATHS = 200
HOURS = 24
REVIEW_DAYS = 30
"""Days that an order lasts at least before the next."""
ORDER_LEVEL = 0.9
"""Share of paths on which what is ordered is enough until the next order can be there."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`days` to look ahead, growth that is assumed, and the plan that says what runs where."""

    days: int = 365
    growths: tuple[Growth, ...] = ()
    plan: Path | None = None
    seed: int = 0
    paths: int = PATHS


@dataclass(frozen=True, slots=True)
class Left:
    """Time left of one thing: a cluster, a pool's machines or one of its resources, or a shared limit.

    `p10`, `p50`, `p90` are the dates by which more than `limit` is needed on that share of paths; None: not within the
    horizon. `chance` is that of running out within it, `used` the mean use of the first week over the limit. `first`
    names, for a cluster, the pool that most often runs out first.
    """

    what: str
    name: str
    resource: str
    limit: float
    used: float
    chance: float
    p10: datetime | None
    p50: datetime | None
    p90: datetime | None
    first: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """Machines to order for a pool before its room ends: enough until the next order can be there.

    `needed_by` is the date by which room has ended on a tenth of the paths. `late`: on half of them it ends before an
    order of today could be there. `beyond_max` machines are needed on top of the pool's max: another pool, or a quota.
    """

    cluster: str
    pool: str
    machines: int
    order_by: datetime
    needed_by: datetime
    lead_time_days: float
    late: bool
    beyond_max: int


@dataclass(frozen=True, slots=True)
class Remaining:
    """The whole fleet: rows of `left` by P50, orders by date, commitments by saving, and what cannot be told.

    `flat` are workloads held as the scenario states them, `slow` pools whose lead time is as long as the horizon: what
    must be ordered of them now is decided beyond it. Of pools `at_once` nobody said how long an order takes, though
    their machines are one's own.
    """

    name: str
    start: datetime
    days: int
    paths: int
    growths: tuple[str, ...]
    plan_id: str | None
    left: tuple[Left, ...]
    orders: tuple[Order, ...]
    commits: tuple[Commit, ...]
    untold: tuple[Untold, ...]
    flat: tuple[str, ...]
    slow: tuple[str, ...]
    at_once: tuple[str, ...]

    @property
    def bad(self) -> bool:
        """Whether something runs out before more can be there, or nothing can be told."""
        return not self.left or any(order.late for order in self.orders)

    @property
    def end(self) -> datetime:
        """End of what is looked at."""
        return self.start + timedelta(days=self.days)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON has it."""
        found: dict[str, Any] = _plain({
            "name": self.name, "start": self.start, "end": self.end, "days": self.days, "paths": self.paths,
            "growth": self.growths, "plan_id": self.plan_id, "left": [asdict(row) for row in self.left],
            "orders": [asdict(row) for row in self.orders], "commitments": [asdict(row) for row in self.commits],
            "untold": [asdict(row) for row in self.untold], "held_flat": self.flat,
            "horizon_within_lead_time": self.slow, "at_once": self.at_once, "no": self.bad})
        return found


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _quiet(_: float) -> None:
    pass


def remaining(scenario: Scenario, profiles: Profiles, asked: Asked, on_progress: Callable[[float], None] = _quiet
              ) -> Remaining:
    """Time left of a resolved scenario. `profiles` gives requests, and replicas of workloads without a history.

    Raises InputError for growth that matches nothing and for a plan of another scenario.
    """
    plan = None if asked.plan is None else read_plan(asked.plan)
    workloads = profiles.workloads
    growth = growth_a_day(asked.growths, workloads, asked.days)
    room = room_of(scenario)
    paths = needed_paths(scenario, profiles, growth, asked.days * HOURS, asked.paths, asked.seed)
    units, untold = locate(scenario, profiles, plan, paths.told)
    untold = (*paths.untold, *untold)
    watched = _Watched.over(room, units, shape_rows(room, units, profiles.request), asked, scenario)
    for hour, replicas in paths.blocks():
        watched.take(hour, units, replicas)
        on_progress(min(1.0, (hour + replicas.shape[2]) / (asked.days * HOURS)))
    moving = {int(unit) for unit in paths.moving}
    told = sorted({p for p, w in zip(units.pool.tolist(), units.workload.tolist(), strict=True) if w in moving})
    empty = [Untold("pool", "/".join(name), _why_not(p, units)) for p, name in enumerate(room.names) if p not in told]
    empty += [Untold("limit", name, "what is paid an hour depends on the offers that run") for name in room.refused]
    left, orders = watched.left(told), watched.orders(told)
    slow = tuple("/".join(room.names[p]) for p in told if room.lead_days[p] >= asked.days)
    return Remaining(scenario.name, scenario.horizon.start, asked.days, asked.paths,
                     tuple(growth.text for growth in asked.growths), plan.plan_id if plan else None, left, orders,
                     commits(room, watched.use, told), (*untold, *empty), paths.flat, slow, _at_once(scenario))


def _at_once(scenario: Scenario) -> tuple[str, ...]:
    """Pools of own machines of which the scenario does not say how long an order takes."""
    return tuple(f"{cluster.name}/{pool.name}" for cluster in scenario.clusters for pool in cluster.pools
                 if "lead_time_days" not in pool.model_fields_set
                 and (cluster.provider == "onprem" or any(offer.purchase == "owned" for offer in pool.offers)))


def _why_not(pool: int, units: Located) -> str:
    if pool in units.pool:
        return "no workload there has a history, and no growth of them is assumed: give one, or --growth"
    return "nothing runs there"


class _Watched:
    """What is kept of paths while they pass: first hours above limits, machines by day, and use for commitments."""

    def __init__(self, room: Room, weights: Floats, requests: Floats, asked: Asked, scenario: Scenario) -> None:
        self.room, self.weights, self.requests, self.asked = room, weights, requests, asked
        pools, kinds = len(room.names), room.shape.shape[1]
        self.first = np.full((pools, kinds + 1, asked.paths), np.inf)
        self.shared = np.full((len(room.limits), asked.paths), np.inf)
        self.shared_used = np.zeros(len(room.limits))
        self.daily = np.zeros((pools, asked.paths, asked.days), np.float32)
        self.used = np.zeros((pools, kinds + 1))
        self.asks = np.zeros((pools, kinds), bool)
        self.start = scenario.horizon.start
        self.use = Use.over(scenario, room, asked.paths)

    @classmethod
    def over(cls, room: Room, units: Located, rows: tuple[Floats, Floats], asked: Asked, scenario: Scenario
             ) -> _Watched:
        """Nothing seen yet."""
        made = cls(room, *rows, asked, scenario)
        np.logical_or.at(made.asks, units.pool, rows[1] > 0)
        return made

    def take(self, hour: int, units: Located, replicas: NDArray[np.float32]) -> None:
        """Hours from `hour` on: replicas [W, K, T] of all workloads."""
        room, kinds = self.room, self.weights.shape[1]
        loads = np.zeros((len(room.names), 2 * kinds, *replicas.shape[1:]), np.float32)
        add_units(replicas, units.workload, units.share, units.skip, units.cap, units.speed, units.pool,
                  units.runs(hour, replicas.shape[2]), np.hstack([self.weights, self.requests]), loads)
        machines = np.ceil(loads[:, :kinds].max(axis=1) - 1e-4)
        for p in range(len(room.names)):
            for r in range(kinds):
                if self.asks[p, r]:
                    self._pass(self.first[p, r], loads[p, kinds + r], room.held[p] * room.shape[p, r], hour)
            self._pass(self.first[p, kinds], machines[p], room.held[p], hour)
        for row, limit in enumerate(room.limits):
            amount = np.einsum("p,pkt->kt", limit.each, machines)
            self._pass(self.shared[row], amount, limit.most, hour)
            if hour == 0:
                self.shared_used[row] = float(amount.mean())
        if hour == 0:
            self.used[:, :kinds], self.used[:, kinds] = loads[:, kinds:].mean(axis=(2, 3)), machines.mean(axis=(1, 2))
        days = machines.shape[2] // HOURS
        self.daily[:, :, hour // HOURS : hour // HOURS + days] = machines.reshape(*machines.shape[:2], days, HOURS).max(
            axis=3)
        self.use.take(machines)

    @staticmethod
    def _pass(first: Floats, amount: NDArray[np.float32], limit: float, hour: int) -> None:
        above = amount > limit * (1 + 1e-6)
        now = np.where(above.any(axis=1), hour + above.argmax(axis=1), np.inf)
        np.minimum(first, now, out=first)

    def left(self, told: Sequence[int]) -> tuple[Left, ...]:
        """Rows of clusters, pools and limits, the soonest first."""
        rows = [*self._clusters(told), *self._pools(told), *self._limits(told)]
        order = {"cluster": 0, "limit": 1, "pool": 2}
        far = self.start + timedelta(days=10 * self.asked.days)
        return tuple(sorted(rows, key=lambda row: (order[row.what], row.p50 or far, row.p10 or far, -row.chance,
                                                   row.name, row.resource)))

    def _row(self, what: str, name: str, resource: str, limit: float, used: float, first: Floats, who: str = ""
             ) -> Left:
        from forecasting.exhaustion import date_quantiles

        dates = [None if np.isinf(hour) else self.start + timedelta(hours=float(hour))
                 for hour in date_quantiles(first, LEVELS)]
        p10, p50, p90 = dates
        return Left(what, name, resource, round(limit, 6), round(used / limit, 6) if limit > 0 else 1.0,
                    float(np.isfinite(first).mean()), p10, p50, p90, who)

    def _clusters(self, told: Sequence[int]) -> Iterator[Left]:
        kinds = self.weights.shape[1]
        for cluster in dict.fromkeys(self.room.names[p][0] for p in told):
            mine = [p for p in told if self.room.names[p][0] == cluster]
            hours = self.first[mine, kinds]
            soonest = hours.argmin(axis=0)[np.isfinite(hours).any(axis=0)]
            who = self.room.names[mine[int(np.bincount(soonest).argmax())]][1] if len(soonest) else ""
            limit = float(self.room.held[mine].sum())
            yield self._row("cluster", cluster, "machines", limit, float(self.used[mine, kinds].sum()),
                            hours.min(axis=0), who)

    def _pools(self, told: Sequence[int]) -> Iterator[Left]:
        kinds = self.weights.shape[1]
        for p in told:
            name, held = "/".join(self.room.names[p]), float(self.room.held[p])
            yield self._row("pool", name, "machines", held, float(self.used[p, kinds]), self.first[p, kinds])
            for r in np.flatnonzero(self.asks[p]).tolist():
                yield self._row("pool", name, self.room.resources[r], held * float(self.room.shape[p, r]),
                                float(self.used[p, r]), self.first[p, r])

    def _limits(self, told: Sequence[int]) -> Iterator[Left]:
        for row, limit in enumerate(self.room.limits):
            if limit.each[list(told)].any():
                yield self._row("limit", limit.name, limit.measure, limit.most, float(self.shared_used[row]),
                                self.shared[row])

    def orders(self, told: Sequence[int]) -> tuple[Order, ...]:
        """What to order for pools whose room ends while more may be had, and for those that pass their most."""
        from forecasting.exhaustion import date_quantiles

        found = []
        for p in told:
            lead, held, most = float(self.room.lead_days[p]), int(self.room.held[p]), int(self.room.most[p])
            hour, middle = date_quantiles(self.first[p, -1], LEVELS[:2]).tolist()
            if np.isinf(hour):
                continue
            until = min(self.asked.days - 1, int(hour // HOURS + max(lead, REVIEW_DAYS)))
            need = int(np.quantile(self.daily[p, :, : until + 1].max(axis=1), ORDER_LEVEL, method="higher"))
            by = self.start + timedelta(hours=hour)
            order_by = by - timedelta(days=lead)
            found.append(Order(*self.room.names[p], max(0, min(need, most) - held), order_by, by, lead,
                               middle <= lead * HOURS, max(0, need - most)))
        return tuple(sorted(found, key=lambda row: (row.order_by, row.cluster, row.pool)))
