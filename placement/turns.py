"""Search in blocks: parts of the problem that share no pool are searched side by side, turn after turn."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from placement.block_search import BlockSearch, Guide
from placement.complete import complete
from placement.cooling import Thread, drop_usd, first_plan, new_thread, search
from placement.engines import ENGINES, Engine
from placement.needs import machines_by_kind
from placement.problem import Purchase
from placement.result import Solution, Units
from placement.run import Run, raise_bound, take_whole

_POLL_S = 0.05
_TURNS, _TURN_HEAT, _TURN_WORTH, _IDLE = 12, 0.2, 5e-4, 4
"""Turns over blocks until they are cold, the heat of the first; where one improves the plan by less than this share the
whole is searched next, and after so many in a row that do not pay both end."""


def search_in_blocks(run: Run) -> None:
    """From a first plan search block by block, side by side; the bound rises beside them."""
    starting = _start_engine(run)
    thread = new_thread(run, run.settings.seed * 1000)
    thread.start(thread.searcher, thread.rng)
    first_plan(run, thread)
    engine = None if run.best.solution is None else _started(starting, run)
    if engine is None:
        starting.add_done_callback(_close)
        search(run)  # there is nothing to divide, or no time left
        return
    try:
        with ThreadPoolExecutor(1) as pool:
            _take_turns(run, thread, engine, pool)
    finally:
        engine.close()
    if engine.lost:
        run.note = f"; {engine.lost} tasks of blocks were lost"


def _start_engine(run: Run) -> Future[Engine]:
    """Start the engine beside what comes first: Ray takes seconds."""
    pool = ThreadPoolExecutor(1)
    starting: Future[Engine] = pool.submit(ENGINES[run.settings.engine], max(1, run.settings.threads))
    pool.shutdown(wait=False)
    return starting


def _started(starting: Future[Engine], run: Run) -> Engine | None:
    """The engine once it is there; None where the time is up before. Raises EngineFailed."""
    while not run.stopped():
        with suppress(TimeoutError):
            return starting.result(_POLL_S)
    return None


def _close(starting: Future[Engine]) -> None:
    """End an engine that came too late."""
    if starting.exception() is None:
        starting.result().close()


def _take_turns(run: Run, thread: Thread, engine: Engine, pool: ThreadPoolExecutor) -> None:
    """Turn after turn over blocks of ever other divisions, cooling, until they cease to pay or time is up."""
    guide = Guide(run.problem, run.bounding.prices, drop_usd(run), run.bounding.legal, run.large)
    search = BlockSearch(guide, thread.teacher.weights, engine, run.blocks, run.settings.seed)
    turn = idle = 0
    bounding: Future[None] | None = None

    def better(units: Units) -> bool:
        return _offer_units(run, thread, units)

    while not run.stopped() and not run.closed and not run.good_enough and (idle < _IDLE or run.settings.thorough):
        before, held = (run.best.left_out, run.best.usd), run.best.solution
        assert held is not None, "there is a first plan"
        if bounding is None and not run.bound_done:
            bounding = pool.submit(raise_bound, run, run.best.usd)
        if thread.steering is not None:
            kinds = machines_by_kind(run.problem, held.machines)
            thread.steering.learn(kinds[:, : Purchase.SPOT].sum(axis=1), kinds.sum(axis=1))
        heat, left_s = _TURN_HEAT * max(0.0, 1 - turn / _TURNS) ** 2, run.deadline - time.monotonic()
        priced = None if thread.steering is None else thread.steering.priced
        if idle % 2:
            search.coordinate(held, run.best.usd, heat, left_s, better, priced)
        else:
            search.turn(held, run.best.usd, heat, left_s, run.stopped, better, priced)
        if bounding is not None and (bounding.done() or not run.settings.thorough):
            run.cooled = True  # a large problem's bound is not counted in rounds but stops here
            bounding.result()
            run.cooled, bounding = False, None
        run.tell("search in blocks")
        paid = before[0] > run.best.left_out or before[1] - run.best.usd > _TURN_WORTH * run.best.usd
        turn, idle = turn + 1, 0 if paid else idle + 1
    if bounding is not None:
        run.cooled = True
        bounding.result()


def _offer_units(run: Run, thread: Thread, units: Units) -> bool:
    """Pack a plan; whether it is the best so far, and kept."""
    before = run.best.solution
    solution = complete(run.problem, units, packings=thread.packings, jointly=not run.large)
    if isinstance(solution, Solution):
        take_whole(run, solution, "search in blocks")
    return run.best.solution is not before
