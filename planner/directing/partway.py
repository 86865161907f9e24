"""Routes while a plan is being applied wave by wave: every unit where it is by the moves that were made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from planner.directing.routes import Routes, Stream, StreamKey, Unit
from planner.plan import Move, Wave


class PartwayRoutes(Routes):
    """Routes of the plan in force, and in its stead those of the plan that is being applied (`applied`) for the
    workloads in `moved`.
    """

    applied: str
    moved: frozenset[str]

    def plan_of(self, workload: str) -> str:
        """The plan by which requests for a workload go."""
        return self.applied if workload in self.moved else self.plan_id


def partway(before: Routes, after: Routes, waves: Sequence[Wave], done: int, made: Collection[int] = ()) -> Routes:
    """Routes when the first `done` waves from one plan to another were made, and of the next one the moves at `made`.

    A stream of which nothing has moved goes by the plan before, one that has moved all the way by the plan after. One
    that is on its way goes where its units are: those that have moved have share and fallbacks of the plan after where
    that has them there, else the share of the one that moved, and no fallback. The slots are those of the plan before.
    """
    moves = defaultdict[StreamKey, list[tuple[Move, bool]]](list)
    for number, wave in enumerate(waves):
        for at, move in enumerate(wave.moves):
            moves[move.workload, move.user_region].append((move, number < done or (number == done and at in made)))
    moved = {key for key, ways in moves.items() if any(was_made for _, was_made in ways)}
    if not moved:
        return before
    first, last = _streams(before), _streams(_in_slots_of(before, after))
    streams = defaultdict[str, list[Stream]](list)
    for key in dict.fromkeys([*first, *last, *moves]):
        found = first.get(key)
        if key in moved:
            found = _stream(found or Stream(user_region=key[1], units=()), last.get(key), moves[key])
        if found is not None:
            streams[key[0]].append(found)
    return PartwayRoutes(
        plan_id=before.plan_id, name=before.name, horizon=before.horizon, down=before.down,
        clusters={**after.clusters, **before.clusters},
        workloads={name: tuple(found) for name, found in streams.items()},
        unplaced=tuple(dict.fromkeys((*before.unplaced, *after.unplaced))),
        shed=tuple(dict.fromkeys((*before.shed, *after.shed))),
        applied=after.plan_id, moved=frozenset(name for name, _ in moved),
    )  # fmt: skip


def _streams(routes: Routes) -> Mapping[StreamKey, Stream]:
    return {(name, one.user_region): one for name, streams in routes.workloads.items() for one in streams}


def _stream(first: Stream, last: Stream | None, ways: Sequence[tuple[Move, bool]]) -> Stream | None:
    """A stream, some moves of which were made; None where it runs nowhere."""
    if all(made for _, made in ways):
        return last
    units, coming = list(first.units), list(last.units if last else ())
    for move, made in ways:
        if not made or (move.from_ and move.to and move.from_.cluster == move.to.cluster):
            continue
        gone = None if move.from_ is None else _take(units, move.from_.cluster)
        if move.to is not None:
            there = _take(coming, move.to.cluster)
            if there is None:
                there = Unit(cluster=move.to.cluster, share=1.0 if gone is None else gone.share)
            units.append(there)
    known = first if first.units or last is None else last
    return known.model_copy(update={"units": tuple(units)}) if units else None


def _take(units: list[Unit], cluster: str) -> Unit | None:
    """The first unit in a cluster, which is taken out; None where there is none."""
    found = next((unit for unit in units if unit.cluster == cluster), None)
    if found is not None:
        units.remove(found)
    return found


def _in_slots_of(before: Routes, after: Routes) -> Routes:
    """The plan after, with shares for the slots of the plan before: what it says at these times, and at its own nearest
    slot outside its horizon.
    """
    if before.horizon == after.horizon:
        return after
    slots = list(_slots(before, after))
    streams = {name: tuple(stream.model_copy(update={"units": tuple(_at(unit, slots) for unit in stream.units)})
                           for stream in found) for name, found in after.workloads.items()}  # fmt: skip
    return after.model_copy(update={"workloads": streams})


def _slots(before: Routes, after: Routes) -> Iterator[int]:
    for slot in range(before.horizon.slots):
        moment = before.horizon.moment(slot)
        assert moment is not None
        yield after.horizon.slot_at(moment) or 0


def _at(unit: Unit, slots: Sequence[int]) -> Unit:
    if not isinstance(unit.share, tuple):
        return unit
    return unit.model_copy(update={"share": tuple(unit.share[slot] for slot in slots)})
