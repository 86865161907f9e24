"""The way back: moves of a plan's waves that were made, turned round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from planner.plan import Move, Plan, Wave
from planner.waves import applied, where_before


def made_so_far(plan: Plan, done: int, made: Iterable[int] = ()) -> tuple[Wave, ...]:
    """The first `done` waves of a plan, and of the next one the moves at these positions only."""
    whole, some = plan.waves[:done], sorted(set(made))
    if not some:
        return whole
    on_its_way = plan.waves[done]
    return (*whole, on_its_way.model_copy(update={"moves": tuple(on_its_way.moves[at] for at in some)}))


def way_back(plan: Plan, done: int, made: Iterable[int] = ()) -> tuple[Wave, ...]:
    """Waves that undo what was made, the last first. Every one has room, since its own wave had it at both ends.

    What had to stop and was started anew elsewhere stops there again, in a wave of its own, before it is started where
    it was.
    """
    before, rows = where_before(plan), list[Wave]()
    waves, state = made_so_far(plan, done, made), before
    for wave in waves:
        state, _ = applied(state, wave)
    for wave in reversed(waves):
        turned = wave.model_copy(update={"moves": tuple(map(_turned, reversed(wave.moves))), "stops": False})
        after, _ = applied(state, turned)
        stopping = {key for key in state if key in before and key not in after}
        for parts, stops in ((stopping, True), ({*state, *after, *before} - stopping, False)):
            moves = tuple(move for move in turned.moves if (move.workload, move.user_region) in parts)
            if moves:
                note = f"undoes wave {wave.wave}" + (": these stop before they start where they were" if stops else "")
                extra = 0.0 if stops else wave.machines_usd_extra
                rows.append(Wave(wave=len(rows) + 1, moves=moves, stops=stops, note=note, machines_usd_extra=extra))
        state = after
    return tuple(rows)


def back_to_lost(plan: Plan, back: Iterable[Wave]) -> Iterator[Move]:
    """Moves of a way back that lead to clusters which the plan says are down."""
    down = {*plan.provenance.down}
    return (move for wave in back for move in wave.moves if move.to is not None and move.to.cluster in down)


def _turned(move: Move) -> Move:
    return move.model_copy(update={"from_": move.to, "to": move.from_})
