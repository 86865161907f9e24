"""Losses count at once, returns after a hold; the highest rank decides; reports expire; a restart forgets nothing."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.directing import ClusterHealth, Hysteresis, Report

HOW = Hysteresis(hold_s=60, memory_s=3600, doublings=4, up_s=900)


def told(*events: tuple[float, Report], health: ClusterHealth | None = None) -> ClusterHealth:
    """What is known after reports at certain times."""
    health = health or ClusterHealth()
    for at, report in events:
        health = health.heard(report, at, HOW)
    return health


def say(state: Any, by: Any = "probe", source: str = "", **more: Any) -> Report:
    return Report(state, by, source, **more)


def lost(health: ClusterHealth, at: float) -> bool:
    return health.settled(at, HOW).lost


def test_down_at_once_and_up_after_the_hold() -> None:
    """A loss counts when it is reported; a return when it was so for the hold time."""
    health = told((100, say("down")), (200, say("up")))
    assert [lost(health, at) for at in (200, 259, 260)] == [True, True, False]
    assert health.returns_at(HOW) == 260
    assert health.settled(999, HOW).since == 260


def test_down_during_the_hold_begins_it_anew() -> None:
    """A cluster that goes down again before it is back was never back."""
    health = told((0, say("down")), (10, say("up")), (40, say("down")), (50, say("up")))
    assert [lost(health, at) for at in (109, 110)] == [True, False]
    assert health.losses == (0,)


def test_flapping_keeps_it_out_longer() -> None:
    """Every further loss within an hour doubles the hold, up to 16 times; a quiet hour forgives."""
    health, at, holds = ClusterHealth(), 0.0, []
    for _ in range(7):
        health = told((at, say("down")), (at + 1, say("up")), health=health)
        back = health.returns_at(HOW)
        assert back is not None
        holds.append(back - at - 1)
        at = back + 1
    assert holds == [60, 120, 240, 480, 960, 960, 960]
    health = told((at + 3601, say("down")), (at + 3602, say("up")), health=health)
    assert health.returns_at(HOW) == at + 3602 + 60


def test_the_highest_rank_decides() -> None:
    """A person outdoes probes, probes outdo hosts, whoever came last; what they outdid counts again when they leave."""
    health = told((0, say("up", "person")), (1, say("down", "probe")), (2, say("down", "host")))
    assert not lost(health, 3)
    assert lost(told((4, say("unknown", "person")), health=health), 4)
    assert lost(health, 901)
    assert lost(told((0, say("up", "probe")), (1, say("down", "person")), (2, say("up", "probe"))), 10**6)
    assert not lost(told((0, say("up", "probe")), (1, say("down", "host"))), 2)


def test_one_of_several_probes_is_enough() -> None:
    """Among sources of one rank one that says down decides; people speak as one."""
    health = told((0, say("up", source="a")), (1, say("down", source="b")))
    assert lost(health, 1)
    assert not lost(told((2, say("up", source="b")), health=health), 62)
    assert lost(told((2, say("up", source="a")), health=health), 62)
    assert not lost(told((0, say("down", "person", "ann")), (1, say("up", "person", "bob"))), 1)


def test_a_person_brings_it_back_at_once() -> None:
    """There is no hold on a person's word."""
    assert not lost(told((0, say("down")), (5, say("up", "person"))), 5)


def test_reports_expire() -> None:
    """A loss that expires begins the hold at that moment; without an expiry it stays; an up counts for 15 minutes."""
    health = told((0, say("down", expires_in_s=100)))
    assert [lost(health, at) for at in (99, 100, 159, 160)] == [True, True, True, False]
    assert lost(told((0, say("down"))), 1e12)
    assert told((0, say("up"))).settled(899, HOW).reports
    assert not told((0, say("up"))).settled(900, HOW).reports
    with pytest.raises(ValueError, match="expires_in_s: 0"):
        say("down", expires_in_s=0)


events = st.lists(
    st.tuples(
        st.floats(0.001, 500), st.sampled_from(["up", "down", "unknown"]), st.sampled_from(["host", "probe", "person"]),
        st.sampled_from(["a", "b"]), st.none() | st.floats(1, 300),
    ),
    max_size=14,
)  # fmt: skip


@given(events=events, looks=st.lists(st.floats(0, 8000), max_size=6))
@settings(deadline=None, max_examples=200, derandomize=True)
def test_looking_changes_nothing(events: list[Any], looks: list[float]) -> None:
    """However often it is looked at, kept and read back in between, the same reports make the same of a cluster."""
    seldom = often = ClusterHealth()
    at = 0.0
    for wait, state, by, source, expires in events:
        often = ClusterHealth.from_dict(json.loads(json.dumps(often.settled(at + wait / 2, HOW).to_dict())))
        at += wait
        seldom, often = (one.heard(say(state, by, source, expires_in_s=expires), at, HOW) for one in (seldom, often))
        assert seldom == often
    for later in sorted(looks):
        often = often.settled(at + later, HOW)
        assert often == seldom.settled(at + later, HOW)


@given(events=events)
@settings(deadline=None, max_examples=200, derandomize=True)
def test_no_return_without_hold(events: list[Any]) -> None:
    """Unless a person says so, a cluster that was reported lost stays lost for the hold time at least."""
    health, at, out_since = ClusterHealth(), 0.0, None
    for wait, state, by, source, expires in events:
        at += wait
        was = health.settled(at, HOW)
        if was.lost and out_since is None:
            out_since = was.since
        if not was.lost and out_since is not None:
            assert was.since >= out_since + HOW.hold_s
            out_since = None
        health = was.heard(say(state, by, source, expires_in_s=expires), at, HOW)
        if (by, state) == ("person", "up"):
            out_since = None
        elif health.lost and out_since is None:
            out_since = health.since
