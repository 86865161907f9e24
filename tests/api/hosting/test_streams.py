"""Streams: rows come in once, are read in order and to the end, in their country only, sealed where there is a key."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, delete, select, text, update

from api.database.tables import stream_rows
from api.hosting import streams
from api.hosting.sealing import Sealing
from api.hosting.streams import Given, Reader, done, push
from api.hosting.transactions import writing
from diagnostics.sealing import Sealer, SealError
from planner.errors import InputError
from planner.hosting import Hosted

FOUND = "SELECT count(*) FROM telemetry_rows WHERE content LIKE '%secret%'"
VALUES = {"host-1": {"iops": 1.0}}


def read_all(reader: Reader, engine: Engine, workloads: list[str], most: int) -> list[tuple[str, int]]:
    """Read in portions until nothing is pending, up to so many portions."""
    found = []
    for _ in range(most):
        rows = reader.pending(workloads)
        if not rows:
            break
        found += [(row.cluster, row.ts) for row in rows]
        with writing(engine) as connection:
            for row in rows:
                done(connection, row.workload, row.cluster, row.number)
    return found


def test_every_row_is_read_once_whatever_the_order_they_come_in(engine: Engine, made_up: Callable[..., Hosted]) -> None:
    """Rows that come late, twice and from several senders at once are each read exactly once."""
    clusters = made_up().clusters
    given = [Given(name, ts, VALUES) for name in ("a", "b") for ts in range(1000, 61_000, 60)]
    twice = given + given[::3]
    random.Random(0).shuffle(twice)
    parts = [twice[at::16] for at in range(16)]
    reader = Reader(engine, "IE", Sealing())
    reader.begin([("score-a", "a"), ("score-b", "b")])
    with ThreadPoolExecutor(4) as pool:
        pushed = list(pool.map(lambda part: push(engine, part, clusters, Sealing()), parts))
        found = read_all(reader, engine, ["score-a", "score-b"], 3)
    found += read_all(reader, engine, ["score-a", "score-b"], 1000)
    assert sorted(found) == sorted((row.cluster, row.ts) for row in given)
    assert sum(one.stored for one in pushed) == len(given)
    assert sum(one.again for one in pushed) == len(twice) - len(given)
    assert reader.lag(["score-a", "score-b"]) == 0


@pytest.mark.parametrize("removed", [range(1, 31), range(11, 41)], ids=["the first", "in the middle"])
def test_rows_that_were_removed_hold_up_nobody(
    engine: Engine, send: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, removed: range
) -> None:
    """Who has not read them goes on after them, however many they are; they do not count as waiting."""
    monkeypatch.setattr(streams, "MOST_AT_ONCE", 10)
    send({"a": [(1000 + 60 * number, VALUES) for number in range(1, 61)]})
    reader = Reader(engine, "IE", Sealing())
    reader.begin([("score-a", "a")])
    with writing(engine) as connection:
        connection.execute(delete(stream_rows).where(stream_rows.c.number.in_(removed)))
    left = [("a", 1000 + 60 * number) for number in range(1, 61) if number not in removed]
    assert reader.lag(["score-a"]) == len(left)
    assert read_all(reader, engine, ["score-a"], 20) == left
    assert reader.lag(["score-a"]) == 0


def test_rows_do_not_leave_their_country(
    engine: Engine, made_up: Callable[..., Hosted], send: Callable[..., Any]
) -> None:
    """A reader in another country gets none of them, by no way of reading, even for a workload that watches them."""
    send({"a": [(1000, VALUES), (90_000, VALUES)], "c": [(1000, VALUES)]})
    abroad = Reader(engine, "DE", Sealing())
    abroad.begin([("score-a", "a")])
    assert abroad.pending(["score-a"]) == []
    assert abroad.at(["a"], [1000]) == {}
    assert abroad.between("a", 0, 10**9) == []
    assert abroad.newest(["a", "c"]) == {"c": 1000}
    assert abroad.opted_in(["a", "c"]) == ["c"]
    assert abroad.lag(["score-a"]) == 0
    assert len(Reader(engine, "IE", Sealing()).pending(["score-a"])) == 2


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            Given("francfurt", 1000, VALUES),
            "cluster: 'francfurt': not a cluster of the plan in force; did you mean 'frankfurt'?",
        ),
        (Given("a", int(time.time()) + 40_000, VALUES), "cluster: a: ts: more than 5 minutes ahead: set its clock"),
        (Given("a", 1000, {"host-1": {"iops": float("nan")}}), "cluster: a: hosts: no finite value"),
    ],
)
def test_what_is_wrong_with_a_row_is_said_and_the_others_are_stored(
    engine: Engine, made_up: Callable[..., Hosted], row: Given, says: str
) -> None:
    """One line a reason, with the number of rows."""
    known = made_up().clusters
    pushed = push(engine, [row, Given("b", 1000, VALUES)], known | {"frankfurt": known["a"]}, Sealing())
    assert pushed.refused == (f"{says}; 1 row is not stored",)
    assert pushed.stored == 1


def test_a_sender_whose_clock_is_five_minutes_off_is_heard(engine: Engine, made_up: Callable[..., Hosted]) -> None:
    """Rows up to five minutes from the future are rows like others."""
    soon = int(time.time()) + 290
    assert push(engine, [Given("a", soon, VALUES)], made_up().clusters, Sealing()).stored == 1


def test_rows_are_sealed_at_rest(engine: Engine, send: Callable[..., Any]) -> None:
    """With a key no value stands in the database; keys are replaced by putting a new one first, and needed to read."""
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    other = Fernet.generate_key().decode()
    send({"a": [(1000, {"host-1": {"secret_metric": 1.0}})]}, Sealing(Sealer(old)))
    with engine.connect() as connection:
        kept = connection.execute(select(stream_rows.c.content)).scalar_one()
        assert connection.execute(text(FOUND)).scalar() == 0
    assert "secret" not in kept
    assert Reader(engine, "IE", Sealing(Sealer(f"{new}\n{old}"))).between("a", 0, 2000) == [
        (1000, {"host-1": {"secret_metric": 1.0}})
    ]
    for wrong in (Sealing(Sealer(other)), Sealing()):
        with pytest.raises(InputError, match="encryption_keys: was changed, or sealed with a key"):
            Reader(engine, "IE", wrong).between("a", 0, 2000)


def test_a_row_that_was_changed_holds_up_its_own_cluster_only(engine: Engine, send: Callable[..., Any]) -> None:
    """What comes before it is read, what comes after it waits in its order, and it is named; mended, all is read."""
    send({"a": [(ts, VALUES) for ts in (1000, 1060, 1120)], "b": [(1000, VALUES)]})
    reader = Reader(engine, "IE", Sealing())
    reader.begin([("score-a", "a"), ("score-b", "b")])
    second = stream_rows.c.cluster == "a", stream_rows.c.number == 2
    with engine.begin() as connection:
        kept = connection.execute(select(stream_rows.c.content).where(*second)).scalar_one()
        connection.execute(update(stream_rows).where(*second).values(content=kept[:-3]))
    found = [(row.cluster, row.ts) for row in reader.pending(["score-a", "score-b"])]
    assert found == [("a", 1000), ("b", 1000)]
    assert reader.broken["a"].startswith("row 2 of a: was changed")
    with engine.begin() as connection:
        connection.execute(update(stream_rows).where(*second).values(content=kept))
    assert len(reader.pending(["score-a", "score-b"])) == 4
    assert reader.broken == {}


@pytest.mark.parametrize("keys", ["short", "a b c", "ä" * 44])
def test_keys_that_are_none_are_refused(keys: str) -> None:
    """What is no key is refused with the way to make one, and is not repeated."""
    with pytest.raises(SealError, match="openssl rand") as refused:
        Sealer(keys)
    assert keys not in str(refused.value)
