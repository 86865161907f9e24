"""Alarms: replay gives the same whatever the order of arrival, and nobody is told without a reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.alarms import (
    Event,
    GroupPolicy,
    Inhibition,
    Ledger,
    LifePolicy,
    Maintenance,
    Match,
    Runbook,
    alarms_at,
    group,
    where,
)
from diagnostics.causes.rules import read_rules
from diagnostics.causes.sharing import Inventory, hypotheses

START = datetime(2026, 11, 2, 8, tzinfo=UTC)
END = START + timedelta(hours=12)
PLACES = tuple(where({"provider": f"p{c // 4}", "cluster": f"c{c}", "hardware_class": ("nvme", "mixed")[h % 2],
                      "host": f"h{c}-{h}"}) for c in range(8) for h in range(6))
INVENTORY = Inventory(PLACES)


def event(minutes: float, place: int = 0, condition: str = "latency high", **more: object) -> Event:
    return Event(START + timedelta(minutes=minutes), condition, PLACES[place], **more)


some_events = st.lists(
    st.builds(event, st.integers(0, 600), st.integers(0, 11), st.sampled_from(["latency high", "errors high"]),
              firing=st.booleans(), strength=st.floats(0, 9), users_affected=st.sampled_from([None, 0.0, 0.2])),
    max_size=30)


@settings(max_examples=30, deadline=None)
@given(events=some_events, seed=st.integers(0, 99))
def test_order_doubles_and_portions_of_arrival_make_no_difference(events: list[Event], seed: int) -> None:
    """Any order, any portions and events that come twice lead to the same alarms and super alarms."""
    generator = np.random.default_rng(seed)
    shuffled = [events[i] for i in generator.permutation(len(events))] + events[: seed % 5]
    ledger, cut = Ledger(), seed % (len(shuffled) + 1)
    for part in (shuffled[cut:], shuffled[:cut]):
        ledger = ledger.take(part)
    alarms = alarms_at(Ledger().take(events), END)
    assert alarms_at(ledger, END) == alarms
    assert group(alarms[::-1], INVENTORY) == group(alarms, INVENTORY)


@settings(max_examples=30, deadline=None)
@given(events=some_events, minutes=st.integers(0, 700))
def test_what_comes_later_changes_nothing_before(events: list[Event], minutes: int) -> None:
    """Alarms at a time rest on events up to then."""
    at = START + timedelta(minutes=minutes)
    assert alarms_at(Ledger().take(events), at) == alarms_at(Ledger().take(e for e in events if e.at <= at), at)


@settings(max_examples=30, deadline=None)
@given(events=some_events)
def test_every_alarm_is_in_exactly_one_super_alarm(events: list[Event]) -> None:
    """Nothing is lost and nothing counts twice; nobody is paged whose users are unaffected."""
    alarms = alarms_at(Ledger().take(events), END)
    found = group(alarms, INVENTORY)
    assert sorted((a.fingerprint, a.since) for one in found for a in one.alarms) == sorted(
        (a.fingerprint, a.since) for a in alarms)
    assert all(one.users_affected is not None and one.users_affected > 0 for one in found if one.severity == "page")


@settings(max_examples=30, deadline=None)
@given(events=some_events)
def test_an_alarm_is_told_no_sooner_than_its_refractory_time(events: list[Event]) -> None:
    """Between two notices of one alarm lies at least the refractory time."""
    for alarm in alarms_at(Ledger().take(events), END, LifePolicy(refractory=timedelta(minutes=45))):
        gaps = [later - one for one, later in zip(alarm.told, alarm.told[1:], strict=False)]
        assert all(gap >= timedelta(minutes=45) for gap in gaps)
        assert alarm.told[0] == alarm.since


def test_an_alarm_ends_reopens_and_begins_anew() -> None:
    """Back within half an hour it is the same alarm, later another; without news it ends by itself."""
    ledger = Ledger().take([event(0), event(10, firing=False), event(30), event(40, firing=False), event(100)])
    first, second = alarms_at(ledger, END)
    assert (first.since, first.until, first.reopened, first.events) == (START, START + timedelta(minutes=40), 1, 2)
    assert second.since == START + timedelta(minutes=100)
    assert second.until == START + timedelta(minutes=100, hours=3)
    assert alarms_at(ledger, START + timedelta(minutes=110))[1].until is None


def test_maintenance_and_inhibition_keep_an_alarm_but_tell_nobody() -> None:
    """Muted alarms say why, count, and page nobody; others are told."""
    host = Match((("cluster", "c0"),))
    window = Maintenance(host, START, START + timedelta(hours=1), "new switches")
    (muted,) = alarms_at(Ledger().take([event(5, users_affected=0.5)]), END, LifePolicy(maintenance=(window,)))
    assert (muted.told, muted.muted) == ((), "maintenance: new switches")
    (one,) = group([muted], INVENTORY)
    assert (one.severity, one.told) == ("log", ())
    rule = Inhibition(Match((("condition", "unreachable"),)), Match((("condition", "latency*"),)), ("cluster",))
    found = alarms_at(Ledger().take([event(0, 1, "unreachable"), event(5, 2), event(5, 20)]), END,
                      LifePolicy(inhibitions=(rule,)))
    assert [alarm.muted for alarm in found if alarm.attributes == PLACES[2]] == ["explained by unreachable"]
    assert [alarm.muted for alarm in found if alarm.attributes == PLACES[20]] == [None]


@pytest.mark.parametrize(("users", "unknown", "severity"),
                         [(0.0, False, "ticket"), (0.2, False, "page"), (None, False, "ticket"), (None, True, "page")])
def test_severity_goes_by_users(users: float | None, unknown: bool, severity: str) -> None:
    """A page needs users who notice, or a policy that pages where nobody knows."""
    (one,) = group(alarms_at(Ledger().take([event(0, users_affected=users)]), END), INVENTORY,
                   GroupPolicy(page_unknown=unknown))
    assert one.severity == severity


def test_alarms_of_one_cluster_are_one_with_remedy_and_runbook() -> None:
    """Hosts of one cluster that alarm together are one super alarm that names it, says what to do and whom to call."""
    events = [event(i, place) for i, place in enumerate(range(12, 18))] + [event(3, 40), event(8, 30)]
    policy = GroupPolicy(rules=read_rules(), runbooks=(Runbook(Match((("cluster", "c2"),)), "#oncall", ("call",)),))
    first, rest = group(alarms_at(Ledger().take(events), END), INVENTORY, policy)
    assert first.hypotheses[0].conditions == (("cluster", "c2"),)
    assert (first.hypotheses[0].support, first.hypotheses[0].lift, first.hypotheses[0].coverage) == (1.0, 8.0, 1.0)
    assert first.summary.startswith("6 alarms at cluster=c2 since 2026-11-02T08:00Z (6 latency high), 0 lasting")
    assert "c2" in first.remedies[0].cause
    assert first.runbook is not None
    assert first.runbook.contact == "#oncall"
    assert len(first.told) == 1
    assert (len(rest.alarms), rest.hypotheses) == (2, ())


def test_two_faults_at_once_are_two_super_alarms() -> None:
    """A cluster and a hardware class that fail at once, in different ways, stay apart."""
    mixed = [i for i, place in enumerate(PLACES) if ("hardware_class", "mixed") in place]
    events = [event(i / 3, place, "disk slow") for i, place in enumerate(mixed)]
    events += [event(2 + i / 3, place, "unreachable") for i, place in enumerate(range(6, 12))]
    found = group(alarms_at(Ledger().take(events), END), INVENTORY)
    assert {one.hypotheses[0].conditions for one in found} == {(("hardware_class", "mixed"),), (("cluster", "c1"),)}


def test_metrics_of_one_host_that_follow_each_other_are_one_and_other_hosts_are_not_in_it() -> None:
    """Two metrics of a host, six hours apart and both lasting, are its own; one of another host, and one of the first
    that came after both had ended, are alone.
    """
    places = tuple(where({"cluster": f"c{h % 2}", "host": f"h{h}", "metric": metric}) for h in range(6)
                   for metric in ("cache", "queue", "reads", "writes"))
    inventory = Inventory(tuple(sorted(places)))

    def alarm(hours: float, place: int, lasts: float) -> tuple[Event, Event]:
        begun = Event(START + timedelta(hours=hours), "above usual", places[place])
        return begun, replace(begun, at=begun.at + timedelta(hours=lasts), firing=False)

    events = [*alarm(0, 2, 9), *alarm(6, 3, 3), *alarm(1, 9, 20), *alarm(10, 1, 1)]
    alarms = alarms_at(Ledger().take(events), START + timedelta(hours=30), LifePolicy(expires=timedelta(days=9)))
    found = group(alarms, inventory)
    assert [(one.hypotheses[0].conditions if one.hypotheses else (), len(one.alarms)) for one in found] == [
        ((("host", "h0"),), 2), ((), 2)]


def test_the_same_twice_a_day_apart_is_two_super_alarms() -> None:
    """Bursts that lie apart are not one."""
    events = [event(minutes + i, place) for minutes in (0, 400) for i, place in enumerate(range(12, 18))]
    assert len(group(alarms_at(Ledger().take(events), END), INVENTORY)) == 2


def test_an_alarm_of_users_is_not_hidden_among_others() -> None:
    """What users notice stands by itself, even if it shares nothing with others."""
    events = [event(0, 3, users_affected=0.3), event(4, 21), event(9, 33)]
    found = group(alarms_at(Ledger().take(events), END), INVENTORY)
    assert sorted((one.severity, len(one.alarms)) for one in found) == [("page", 1), ("ticket", 2)]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999))
def test_the_order_of_entities_makes_no_difference_to_hypotheses(seed: int) -> None:
    """Permuted entities give the same hypotheses."""
    generator = np.random.default_rng(seed)
    alarmed = generator.random(len(PLACES)) < np.where(np.arange(len(PLACES)) < 12, 0.8, 0.1)
    order = generator.permutation(len(PLACES))
    other = Inventory(tuple(PLACES[i] for i in order))
    assert hypotheses(other, alarmed[order][None]) == hypotheses(INVENTORY, alarmed[None])


def test_chance_has_no_hypothesis() -> None:
    """All alarmed, none alarmed, or one in each cluster share nothing that stands out."""
    rows = np.arange(len(PLACES))
    for alarmed in (rows >= 0, rows < 0, rows % 7 == 2):
        assert [one for one in hypotheses(INVENTORY, alarmed[None]) if one.score > 2] == []


def test_wrong_events_policies_and_places_are_refused() -> None:
    """Errors name the field, the value and what is allowed."""
    with pytest.raises(ValueError, match="must be in UTC"):
        replace(event(0), at=START.replace(tzinfo=None))
    with pytest.raises(ValueError, match="a share from 0 to 1"):
        event(0, users_affected=2.0)
    with pytest.raises(ValueError, match="sorted"):
        replace(event(0), attributes=PLACES[0][::-1])
    with pytest.raises(ValueError, match="refractory"):
        LifePolicy(refractory=timedelta(minutes=-1))
    with pytest.raises(ValueError, match="before it starts"):
        LifePolicy(maintenance=(Maintenance(Match(()), END, START, "x"),))
    with pytest.raises(ValueError, match="least_entities"):
        GroupPolicy(least_entities=1)
    stranger = replace(event(0), attributes=where({"cluster": "elsewhere"}))
    with pytest.raises(ValueError, match="cluster=elsewhere: no such entity"):
        group(alarms_at(Ledger().take([stranger]), END), INVENTORY)
    with pytest.raises(ValueError, match="every combination of attributes once"):
        Inventory((PLACES[0], PLACES[0]))
