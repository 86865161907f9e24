"""Keys: what is kept of them, how long they last, and what a running service makes of them."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from api.database.engine import engine_of
from api.database.tables import audit, keys
from api.database.tenancy import EVERYONE, of_tenant
from api.security.keyring import Keyring
from api.security.keys import PREFIX, Keys, digest_of, id_of
from planner.cli import run
from planner.errors import InputError

HOUR = timedelta(hours=1)


@pytest.fixture
def store(database: str) -> Iterator[Keys]:
    made = Keys(database, "test")
    yield made
    made.close()


@pytest.fixture
def ring(database: str) -> Iterator[Keyring]:
    made = Keyring(Keys(database, "test"))
    made.start()
    yield made
    made.stop()


def test_only_a_hash_is_kept(store: Keys, database: str) -> None:
    """Nothing in the table holds the secret part, which has 256 bits; the same name twice gives two keys."""
    made = [store.create("ci", ["planner"], "acme", HOUR) for _ in range(2)]
    engine = engine_of(database)
    with of_tenant(engine, EVERYONE).connect() as connection:
        rows = [dict(row._mapping) for row in connection.execute(select(keys))]
        said = str(rows) + str(connection.execute(select(audit)).all())
    engine.dispose()
    assert len({text for _, text in made}) == 2
    for key, text in made:
        assert text.startswith(f"{PREFIX}{key.id}_")
        assert len(text.removeprefix(f"{PREFIX}{key.id}_")) == 43
        assert text.rsplit("_", 1)[1] not in said
        assert digest_of(text.encode()).hex() in said
        assert key.id in said


def test_a_key_is_known_while_it_lasts(store: Keys, ring: Keyring) -> None:
    """A new key is known with its tenant and roles; an expired one, a changed one and a made-up one are not."""
    assert not ring.any
    key, text = store.create("ci", ["planner"], "acme", HOUR)
    _, short = store.create("ci", ["viewer"], "acme", timedelta(microseconds=1))
    ring.refresh()
    caller = ring.caller(text.encode())
    assert caller is not None
    assert (caller.tenant, caller.name, caller.roles) == ("acme", f"key/{key.id}/ci", {"viewer", "planner"})
    other = "A" if text[-1] != "A" else "B"
    near = text[:-1], text + "A", text[:-1] + other, text.upper(), f"pk_{key.id}_"
    for wrong in (short, *near, "pk_", "pk__", "", "x"):
        assert ring.caller(wrong.encode()) is None, wrong


def test_a_revoked_key_ends_within_a_second(store: Keys, ring: Keyring) -> None:
    """It does so without anybody asking the keyring to look; that there was a key stays known."""
    key, text = store.create("ci", ["planner"], "acme", None)
    ring.refresh()
    assert ring.caller(text.encode()) is not None
    store.revoke(key.id)
    give_up = time.monotonic() + 5
    while ring.caller(text.encode()) is not None:
        assert time.monotonic() < give_up
        time.sleep(0.02)
    assert ring.any
    assert store.revoke(key.id).revoked_at is not None


def test_rotation_keeps_the_old_key_for_a_while(store: Keys, ring: Keyring) -> None:
    """Both are valid until the given time, for the same tenant, name and roles; then the new one alone."""
    old, before = store.create("ci", ["sre"], "acme", 90 * 24 * HOUR)
    new, after = store.rotate(old.id, HOUR)
    ring.refresh()
    assert ring.caller(before.encode()) is not None
    assert ring.caller(after.encode()) is not None
    kept, made = store.all("acme")
    assert kept.expires_at is not None
    assert abs(kept.expires_at - datetime.now(UTC) - HOUR) < timedelta(minutes=1)
    assert (made.name, made.roles, made.tenant) == (old.name, old.roles, old.tenant)
    assert made.expires_at is not None
    assert abs(made.expires_at - made.created_at - 90 * 24 * HOUR) < timedelta(seconds=1)
    store.rotate(new.id, timedelta(0))
    ring.refresh()
    assert ring.caller(after.encode()) is None


def test_rotation_does_not_lengthen_the_life_of_a_key(store: Keys) -> None:
    """One that ends in an hour still does, however long the old one is to be kept; an ended one is not replaced."""
    old, _ = store.create("ci", ["sre"], "acme", HOUR)
    store.rotate(old.id, 1000 * HOUR)
    assert store.all()[0].expires_at == old.expires_at
    store.revoke(old.id)
    with pytest.raises(InputError, match="revoked: only a valid one"):
        store.rotate(old.id, HOUR)


def test_what_is_done_to_keys_is_recorded(store: Keys, database: str) -> None:
    """Making, replacing and revoking stand in the record of the key's tenant, with who did it."""
    old, _ = store.create("ci", ["sre"], "acme", HOUR)
    new, _ = store.rotate(old.id, HOUR)
    store.revoke(new.id)
    engine = engine_of(database)
    with of_tenant(engine, "acme").connect() as connection:
        rows = connection.execute(select(audit.c.caller, audit.c.action).order_by(audit.c.seq)).all()
    engine.dispose()
    assert [tuple(row) for row in rows] == [
        ("test", "create key"), ("test", f"rotate key {old.id}"), ("test", "revoke key")]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "roles", "tenant", "says"),
    [
        ("", ["sre"], "acme", "name"),
        ("a\nb", ["sre"], "acme", "printable"),
        ("x" * 101, ["sre"], "acme", "100"),
        ("ci", ["root"], "acme", "--role: root: allowed are viewer"),
        ("ci", [], "acme", "none given"),
        ("ci", ["sre"], "a/b", "--tenant"),
        ("ci", ["sre"], "*", "--tenant"),
    ],
)
def test_a_key_for_nothing_sensible_is_not_made(store: Keys, name: str, roles: list[str], tenant: str, says: str
                                                ) -> None:  # fmt: skip
    """Names, roles and tenants are told what is allowed."""
    with pytest.raises(InputError, match=says):
        store.create(name, roles, tenant, None)
    assert store.all() == []


def test_an_id_is_what_lies_between() -> None:
    """Whatever the secret holds, underscores and hyphens too."""
    assert id_of(b"pk_abc_d_e-f") == "abc"
    assert [id_of(text) for text in (b"", b"pk", b"pk_abc", b"xx_abc_d", b"\xff_\xff_")] == [None] * 5


def test_the_commands(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Create prints the key alone on standard output, once; list never does; rotate and revoke say what they did."""
    where = ["--data", str(tmp_path / "data")]
    assert run(["keys", "create", "ci", "--role", "planner", "--role", "sre", "--tenant", "acme", *where]) == 0
    shown = capsys.readouterr()
    text = shown.out.strip()
    key_id = id_of(text.encode())
    assert "sre, planner" not in shown.err
    assert "planner, sre of acme" in shown.err
    assert run(["keys", "list", *where]) == 0
    listed = capsys.readouterr().out
    assert key_id in listed
    assert text not in listed
    assert run(["keys", "rotate", str(key_id), "--keep", "7d", "--json", *where]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["key"].startswith(f"pk_{made['id']}_")
    assert run(["keys", "revoke", made["id"], *where]) == 0
    assert "Revoked" in capsys.readouterr().out
    assert run(["keys", "list", "--json", *where]) == 0
    assert [one["state"] for one in json.loads(capsys.readouterr().out)] == ["valid", "revoked"]
    for wrong in (["rotate", "none"], ["revoke", "none"], ["create", "x", "--role", "root"],
                  ["create", "x", "--role", "sre", "--expires", "soon"]):  # fmt: skip
        assert run(["keys", *wrong, *where]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
