"""Leases: one holder each, taken over when it falls silent, given back at once, and fenced by their epochs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine, update

from api.database.tables import hosts
from api.hosting.leases import ALIVE_S, LOST_S, Leases, fenced, standing
from api.hosting.transactions import writing

WORK = [f"diagnostics-{number}" for number in range(20)]


def silent(engine: Engine, host: str) -> None:
    """As if the host had not been heard of for a while."""
    with engine.begin() as connection:
        connection.execute(update(hosts).where(hosts.c.host == host).values(until=hosts.c.until - ALIVE_S - LOST_S - 1))


def test_of_many_that_want_all_each_workload_has_one_holder(engine: Engine) -> None:
    """Eight hosts ask for the same at once: no workload has two holders, and none is left without."""
    them = [Leases(engine, f"host-{number}", "a") for number in range(8)]
    for one in them:
        one.beat()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: one.hold(WORK), them))
    held = [one.hold(WORK) for one in them]
    assert sorted(name for some in held for name in some) == sorted(WORK)


def test_what_a_silent_host_held_is_taken_under_a_new_epoch(engine: Engine) -> None:
    """While it lives nobody takes anything from a host; when it falls silent another does, and it is fenced off."""
    first, second = Leases(engine, "first", "a"), Leases(engine, "second", "b")
    first.beat()
    before = first.hold(WORK)
    assert second.beat().alive == {"first": "a", "second": "b"}
    assert second.hold(WORK) == {}
    silent(engine, "first")
    assert second.beat().silent == {"first": "a"}
    after = second.hold(WORK)
    assert after == {name: epoch + 1 for name, epoch in before.items()}
    with writing(engine) as connection:
        assert fenced(connection, "first", before) == set()
        assert fenced(connection, "second", after) == set(WORK)


def test_silence_is_a_take_over_first_and_a_loss_later(engine: Engine) -> None:
    """What a host held is taken after a few seconds; that its cluster is lost is said only after some more."""
    first, second = Leases(engine, "first", "a"), Leases(engine, "second", "b")
    first.beat()
    first.hold(WORK)
    with engine.begin() as connection:
        connection.execute(update(hosts).values(until=hosts.c.until - ALIVE_S - 1))
    assert second.beat().silent == {}
    assert len(second.hold(WORK)) == len(WORK)


def test_a_host_that_was_only_slow_goes_on(engine: Engine) -> None:
    """Where nobody took over, a host that comes back holds what it held, under the same epochs."""
    one = Leases(engine, "one", "a")
    one.beat()
    before = one.hold(WORK)
    silent(engine, "one")
    one.beat()
    assert one.hold(WORK) == before


def test_leaving_gives_everything_back_at_once(engine: Engine) -> None:
    """After an orderly end the next host takes all without waiting, and the one that left is not thought lost."""
    first, second = Leases(engine, "first", "a"), Leases(engine, "second", "a")
    first.beat()
    first.hold(WORK)
    first.leave()
    assert second.beat().silent == {}
    assert len(second.hold(WORK)) == len(WORK)


def test_what_is_not_wanted_any_more_is_given_back(engine: Engine) -> None:
    """A host keeps only what it wants; the rest is free."""
    first, second = Leases(engine, "first", "a"), Leases(engine, "second", "b")
    for one in (first, second):
        one.beat()
    first.hold(WORK)
    assert list(first.hold(WORK[:3])) == WORK[:3]
    assert sorted(second.hold(WORK)) == sorted(WORK[3:])
    assert {name: one.cluster for name, one in standing(engine).items()} == dict.fromkeys(
        WORK[:3], "a"
    ) | dict.fromkeys(WORK[3:], "b")


def test_a_clock_that_was_put_back_does_not_keep_the_dead_alive(engine: Engine) -> None:
    """A host whose time lies far ahead of everybody's said so by another clock: it is not counted as alive."""
    first, second = Leases(engine, "first", "a"), Leases(engine, "second", "b")
    first.beat()
    first.hold(WORK)
    with engine.begin() as connection:
        connection.execute(update(hosts).values(until=hosts.c.until + 300))
    assert second.beat().silent == {"first": "a"}
    assert len(second.hold(WORK)) == len(WORK)


def test_the_dead_are_buried_and_the_living_are_not(engine: Engine) -> None:
    """Only hosts that are still silent are forgotten."""
    first, second = Leases(engine, "first", "a"), Leases(engine, "second", "b")
    first.beat()
    silent(engine, "first")
    seen: Callable[[], object] = lambda: second.beat()  # noqa: E731 - as short as it is said
    seen()
    first.beat()
    second.bury(["first"])
    assert second.beat().alive == {"first": "a", "second": "b"}
