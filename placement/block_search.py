"""Searching block by block: what one task does with a block, and the coordinator that divides, merges and goes on.

A task takes a block of the plan held (`placement.blocks`), searches in it by ruin and recreate at the prices of the
bound for a fixed number of rounds, and packs what it finds. The coordinator puts all blocks together, packs the whole
again and keeps what is better, all at once or, where that is not, block by block: where pools share limits or
commitments, or data flow between blocks, what each finds by itself may not go together. So a plan never gets worse, and
with the same seed it is the same whatever ran the tasks, unless time runs out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from placement.blocks import Block, Share, cut, divide, merge, shares
from placement.bound import Choices, Pricer, Prices
from placement.complete import Packings, complete
from placement.engines import Engine
from placement.formulation import cost_usd
from placement.packing import Effort
from placement.problem import Floats, Ints, Problem
from placement.result import Solution, Units, unattained
from placement.searcher import Searcher
from placement.shortlist import keys, shortlist
from placement.teaching import Teacher

_LISTED = 20
_COOLINGS = 3
_ROUNDS, _ROUNDS_SIZE = 6000, 3072
"""Rounds of one cooling of a block of `_ROUNDS_SIZE` streams x slots; fewer, with the root, in larger ones, but four a
stream at least."""
_COLD = 1e-3
_MENDS = 3


@dataclass(frozen=True, slots=True)
class Guide:
    """What all tasks share: the problem, the prices of its bound, what leaving a workload out costs the search [W]."""

    problem: Problem
    prices: Prices
    drop_usd: Floats
    legal: list[Ints]
    large: bool


@dataclass(frozen=True, slots=True)
class Task:
    """One block to search: its `pools`, the plan held, what it may use, its packing `weights` by pool.

    `heat` is a share of what a stream costs; machines cost `price_usd` [O, T] and `run_usd` [P, T] where pools share.
    """

    pools: Ints
    units: Units
    share: Share
    weights: list[list[Floats]]
    heat: float
    seed: int
    seconds: float
    price_usd: Floats | None = None
    run_usd: Floats | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a task found: its `streams` lie as in `units` (rows of the whole); the weights it ended with."""

    streams: Ints
    units: Units
    weights: list[list[Floats]]


def search_block(guide: Guide, task: Task) -> Found | None:
    """Search one block; None where nothing in it can move or nothing better that packs was found."""
    stop_at = time.monotonic() + task.seconds
    block = cut(guide.problem, task.pools, task.units, task.share)
    if not len(block.streams):
        return None
    packings = Packings(block.problem, Effort.ORDERS if guide.large else Effort.SEARCH)
    block, rank = _as_it_is(block, packings)
    weights = [list(vectors) for vectors in task.weights]
    searcher = _searcher(guide, task, block, weights)
    legal = [guide.legal[p] for p in task.pools.tolist()]
    teacher = Teacher(block.problem, searcher, weights, legal, packings, large=guide.large)
    best, rng = None, np.random.default_rng(task.seed)
    for cooling in range(_COOLINGS):
        if time.monotonic() > stop_at:
            break
        _cool(searcher, task.heat * 0.5**cooling, cooling, block, rng)
        teacher.teach()
        found = _packed(searcher, guide, block, packings, rng)
        if found is not None and _rank(block.problem, found) < rank:
            best, rank = found, _rank(block.problem, found)
    return None if best is None else Found(block.streams, block.whole(best.units), weights)


def _as_it_is(block: Block, packings: Packings) -> tuple[Block, tuple[float, float]]:
    """What the block comes to now, which must be bettered; a budget is what that costs and what was given beside."""
    problem = block.problem
    now = complete(problem, block.units, packings=packings, jointly=False)
    if not isinstance(now, Solution):
        return block, (np.inf, np.inf)
    rank, objective = _rank(problem, now), problem.objective
    if objective.mode == "max_sla":
        objective = replace(objective, budget_usd=objective.budget_usd + cost_usd(problem, now))
    return replace(block, problem=replace(problem, objective=objective)), rank


def _rank(problem: Problem, solution: Solution) -> tuple[float, float]:
    """What is better is less: the cost, in `max_sla` the weight left out first. Weight that may go is no cost."""
    usd = cost_usd(problem, solution)
    if problem.objective.mode == "min_cost":
        return 0.0, usd
    return float(problem.workloads.weight[unattained(problem, solution.units)].sum()), usd


def _packed(searcher: Searcher, guide: Guide, block: Block, packings: Packings, rng: np.random.Generator,
            ) -> Solution | None:
    """The plan held, packed; where room lacks it has to do with less, a few times."""
    for _ in range(_MENDS):
        searcher.improve(_rounds(block) // 6, int(rng.integers(1 << 31)), _COLD, _COLD, 8, 0.1)
        if searcher.missing:
            return None
        packed = complete(block.problem, searcher.plan(), packings=packings, jointly=not guide.large)
        if isinstance(packed, Solution):
            return packed
        searcher.squeeze(packed.pool, packed.slot, packed.lacking)
    return None


def _searcher(guide: Guide, task: Task, block: Block, weights: list[list[Floats]]) -> Searcher:
    """A search that holds the block as it is now."""
    problem, pools = block.problem, block.pools
    never = np.full(len(problem.workloads.weight), np.inf)
    rent = np.ascontiguousarray(np.take(guide.prices.replica_usd, pools, axis=2))
    prices = Prices(rent, guide.prices.firm_usd[pools], guide.prices.spot_usd[pools], guide.prices.cost_scale, never,
                    0.0)
    choices = Pricer(problem).cheapest(prices)
    listed = shortlist(problem, prices, choices, _used(block.units, problem, choices), _LISTED)
    drop_usd = np.append(guide.drop_usd[block.workloads], guide.drop_usd.sum())
    searcher = Searcher(problem, listed, weights, drop_usd)
    if task.price_usd is not None and task.run_usd is not None:
        offers = np.flatnonzero(np.isin(guide.problem.offers.pool, pools))
        searcher.price(replace(problem, offers=replace(problem.offers, price_usd=task.price_usd[offers]),
                               pools=replace(problem.pools, run_usd=task.run_usd[pools])))
    _hold(searcher, problem, block.units)
    return searcher


def _used(units: Units, problem: Problem, choices: Choices) -> Ints:
    """Units as a shortlist keeps them, [n, 4]: row of the choices, candidate, variant, start."""
    most = int(problem.variants.copies.max(initial=1)) + 1
    row = np.searchsorted(choices.stream * most + choices.copies,
                          units.stream * most + problem.variants.copies[units.variant])
    return np.column_stack([row, units.candidate, units.variant, units.start])


def _hold(searcher: Searcher, problem: Problem, units: Units) -> None:
    """Have a search hold a plan whose units are on its list."""
    listed = searcher.units
    key = keys(problem, listed.candidate, listed.variant, listed.start)
    order = np.argsort(key, kind="stable")
    at = order[np.searchsorted(key[order], keys(problem, units.candidate, units.variant, units.start))]
    searcher.copies[:] = np.bincount(units.stream, minlength=len(searcher.copies))
    searcher.placed[units.stream, units.copy] = at
    searcher.dropped[problem.streams.workload[searcher.copies == 0]] = True
    searcher.book()


def _rounds(block: Block) -> int:
    streams = len(block.streams)
    return max(20, 4 * streams, int(min(_ROUNDS, _ROUNDS * np.sqrt(_ROUNDS_SIZE / (streams * block.problem.slots)))))


def _cool(searcher: Searcher, heat: float, cooling: int, block: Block, rng: np.random.Generator) -> None:
    """A fixed number of rounds, from hot to cold; `heat` is a share of what a stream costs."""
    usual = min(searcher.book() / len(block.streams), 300.0)
    hot = max(1e-6, (heat + 0.002) * usual)
    most, noise = (5, 10, 14)[cooling % 3], (0.1, 0.02, 0.3)[cooling % 3]
    searcher.improve(_rounds(block), int(rng.integers(1 << 31)), hot, 0.001 * usual, most, noise)


class BlockSearch:
    """The coordinator: divides the plan held into blocks, has an engine search them, and tells what comes of it.

    `weights` by pool are those the search counts machines by; blocks add to them.
    """

    def __init__(self, guide: Guide, weights: list[list[Floats]], engine: Engine, blocks: int, seed: int) -> None:
        self._guide, self._engine, self._blocks, self._seed = guide, engine, blocks, seed
        self.weights, self._turn = weights, 0
        engine.share(guide)

    def turn(self, held: Solution, usd: float, heat: float, seconds: float, stopped: Callable[[], bool],
             better: Callable[[Units], bool], priced: Problem | None = None) -> None:
        """One turn over all blocks of a new division, of the plan `held` that costs `usd`, in `seconds` at most.

        `better` is asked whether a plan is, and keeps it then: first of what all blocks found together, then of what
        each found beside those before it. `priced` is the problem with machines at the prices of what pools share.
        """
        blocks = divide(self._guide.problem, held.units, self._blocks, self._rng())
        tasks = self._tasks(held, usd, blocks, heat, seconds, priced)
        answers = self._engine.map(search_block, tasks, stopped)
        found: list[Found] = []
        for task, answer in zip(tasks, answers, strict=True):
            if answer is not None:
                found.append(answer)
                self._learn(task, answer)
        if not found or better(merge(held.units, [one.units for one in found], [one.streams for one in found])):
            return
        kept = held.units
        for one in found if len(found) > 1 else ():
            alone = merge(kept, [one.units], [one.streams])
            kept = alone if better(alone) else kept

    def coordinate(self, held: Solution, usd: float, heat: float, seconds: float, better: Callable[[Units], bool],
                   priced: Problem | None = None) -> None:
        """Search the whole as one block, in this process: what only goes from one block to another. Else as `turn`."""
        every = [np.arange(len(self._guide.problem.pools.cluster))]
        task = self._tasks(held, usd, every, heat, seconds, priced)[0]
        if (found := search_block(self._guide, task)) is not None:
            self._learn(task, found)
            better(merge(held.units, [found.units], [found.streams]))

    def _rng(self) -> np.random.Generator:
        self._turn += 1
        return np.random.default_rng([self._seed, self._turn])

    def _tasks(self, held: Solution, usd: float, blocks: list[Ints], heat: float, seconds: float,
               priced: Problem | None) -> list[Task]:
        rng, given = self._rng(), shares(self._guide.problem, held, usd, blocks, self._turn)
        price_usd, run_usd = (None, None) if priced is None else (priced.offers.price_usd, priced.pools.run_usd)
        return [Task(pools, held.units, share, [self.weights[p] for p in pools.tolist()], heat,
                     int(rng.integers(1 << 31)), seconds, price_usd, run_usd)
                for pools, share in zip(blocks, given, strict=True)]

    def _learn(self, task: Task, found: Found) -> None:
        for p, vectors in zip(task.pools.tolist(), found.weights, strict=True):
            self.weights[p] = vectors
