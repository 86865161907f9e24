"""Routes while waves are made: at any moment every unit where its moves have brought it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from planner.directing import Director, Routes, partway
from planner.plan import Move, Place, PlanHorizon, Wave
from planner.waves import applied

Make = Callable[..., Routes]
CLUSTERS = "abcd"


def place(cluster: str | None) -> Place | None:
    return None if cluster is None else Place(cluster=cluster, pool="p")


def moved(workload: str, before: str | None, after: str | None) -> Move:
    return Move.model_validate({"workload": workload, "from": place(before), "to": place(after)})


@st.composite
def ways(draw: st.DrawFn) -> tuple[dict[str, list[str]], list[Wave]]:
    """Where units are at first, at most one of a workload in a cluster, and waves of moves that can be made."""
    names = ["u", "v", "w"]
    start = {name: sorted(draw(st.sets(st.sampled_from(CLUSTERS), max_size=3))) for name in names}
    now, waves = {name: set(found) for name, found in start.items()}, []
    for number in range(1, draw(st.integers(0, 4)) + 1):
        moves = []
        for name in names:
            free = sorted({*CLUSTERS} - now[name])
            to = draw(st.sampled_from([None, *free]))
            from_ = draw(st.sampled_from([None, *sorted(now[name])]))
            if to is not None or from_ is not None:
                moves.append(moved(name, from_, to))
                now[name] = (now[name] - {from_ or ""}) | ({to} if to else set())
        if moves:
            waves.append(Wave(wave=number, moves=tuple(moves)))
    return start, waves


@given(found=ways(), data=st.data())
def test_units_are_where_their_moves_have_brought_them(routes: Make, found: Any, data: st.DataObject) -> None:
    """After any part of the waves, the clusters of every workload are those that its moves lead to."""
    start, waves = found
    done = data.draw(st.integers(0, len(waves)))
    count = len(waves[done].moves) if done < len(waves) else 0
    made = data.draw(st.sets(st.integers(0, count - 1))) if count else set()
    states = [{(name, None): frozenset((one, "p", None) for one in places) for name, places in start.items() if places}]
    for wave in waves:
        states.append(applied(states[-1], wave)[0])
    part = [waves[done].model_copy(update={"moves": tuple(waves[done].moves[at] for at in made)})] if made else []
    now = states[done] if not part else applied(states[done], part[0])[0]

    def at(state: Any, plan_id: str) -> Routes:
        units = {key[0]: [(spot[0], 1.0, {}) for spot in sorted(spots)] for key, spots in state.items()}
        return routes(units, clusters=CLUSTERS).model_copy(update={"plan_id": plan_id})

    found = partway(at(states[0], "before"), at(states[-1], "after"), waves, done, made)
    clusters = {name: Counter(unit.cluster for stream in streams for unit in stream.units)
                for name, streams in found.workloads.items()}  # fmt: skip
    assert clusters == {key[0]: Counter(spot[0] for spot in spots) for key, spots in now.items()}


def test_what_has_not_moved_is_directed_as_before(routes: Make) -> None:
    """One workload has moved and goes by its new plan, with its fallbacks; the others by the plan before."""
    before = routes({"u": [("a", 1.0, {"a": "b"})], "v": [("a", 1.0, {"a": "b"})]}).model_copy(
        update={"plan_id": "before"})
    after = routes({"u": [("c", 1.0, {"c": "d"})], "v": [("c", 1.0, {"c": "d"})]}).model_copy(
        update={"plan_id": "after"})
    waves = [Wave(wave=1, moves=(moved("u", "a", "c"),)), Wave(wave=2, moves=(moved("v", "a", "c"),))]
    assert partway(before, after, waves, 0) is before
    found = partway(before, after, waves, 1)
    assert found.workloads == {"u": after.workloads["u"], "v": before.workloads["v"]}
    director = Director(found, clock=lambda: before.bounds()[0].timestamp())
    assert [(director.direct(name).cluster, director.direct(name).plan_id) for name in "uv"] == [
        ("c", "after"), ("a", "before")]


def test_shares_of_the_plan_after_hold_at_their_time(routes: Make) -> None:
    """The plan after begins two hours later: in the slots of the plan before it says what it says at that time."""
    before = routes({"u": [("a", 1.0, {})]}, slots=5)
    start = before.horizon.moment(2)
    after = routes({"u": [("b", (0.1, 0.2, 0.3), {}), ("c", (0.9, 0.8, 0.7), {})]}, slots=3).model_copy(
        update={"horizon": PlanHorizon(start=start, slots=3, slot_minutes=60)})
    waves = [Wave(wave=1, moves=(moved("u", "a", "b"), moved("u", None, "c")))]
    assert [unit.share for unit in partway(before, after, waves, 1).workloads["u"][0].units] == [
        (0.1, 0.1, 0.1, 0.2, 0.3), (0.9, 0.9, 0.9, 0.8, 0.7)]
