"""Versions of scenarios in the store, and which one a job plans."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection, select

from api.database.tables import scenario_versions
from api.scenarios import Scenarios
from api.store.jobs import Submission
from api.store.scenarios import AmbiguousError, FullError, Sent, SentScenarios, UsedError, Versions
from api.store.store import Store
from diagnostics.sealing import Sealer
from planner.errors import InputError

Json = dict[str, Any]


class _Nowhere:
    def put(self, connection: Connection, job_id: str, priority: int, *, quick: bool) -> None: ...


@pytest.fixture
def stores(database: str) -> Iterator[tuple[Store, Store]]:
    """Those of two tenants on one database."""
    made = Store(database, _Nowhere())
    yield made.of("acme"), made.of("globex")
    made.close()


def sent(version: str, name: str = "tiny", content: bytes = b"{}") -> Sent:
    return Sent(name, version, "application/json", content, "ann", "", 2, 3, 4)


def whatever(_: Versions) -> None:
    """Any state is as expected."""


def test_versions_are_the_tenants_own(stores: tuple[Store, Store]) -> None:
    """Two tenants have scenarios of one name, with versions that do not meet."""
    acme, globex = (SentScenarios(store.engine) for store in stores)
    acme.add(sent("a" * 64), whatever)
    assert (globex.names(), globex.find("tiny", "a" * 64), globex.of("tiny").count) == ([], None, 0)
    globex.add(sent("b" * 64), whatever)
    globex.retire(globex.find("tiny", "b" * 8), "bob")  # type: ignore[arg-type]
    assert acme.of("tiny").newest.version == "a" * 64  # type: ignore[union-attr]
    assert globex.of("tiny").newest is None


def test_what_was_sent_is_sealed_where_there_is_a_key(stores: tuple[Store, Store]) -> None:
    """At rest nothing of it can be read; what was sent before there was a key still can, and without the key the sealed
    version is refused by name.
    """
    engine, sealer = stores[0].engine, Sealer(Fernet.generate_key().decode())
    SentScenarios(engine).add(sent("a" * 64, content=b"an open secret"), whatever)
    held = SentScenarios(engine, sealer)
    held.add(sent("b" * 64, content=b"a secret"), whatever)
    rows = [held.find("tiny", letter * 64) for letter in "ab"]
    assert [held.content(row) for row in rows if row is not None] == [b"an open secret", b"a secret"]
    assert [row.bytes for row in rows if row is not None] == [14, 8]
    with engine.connect() as connection:
        contents = connection.execute(select(scenario_versions.c.content)).scalars()
        assert [b"secret" in bytes(content) for content in contents] == [True, False]
    with pytest.raises(InputError, match="scenario tiny: version bbbbbbbbbbbb: encryption_keys"):
        SentScenarios(engine).content(rows[1])  # type: ignore[arg-type]


def test_a_tenant_keeps_so_much_and_no_more(stores: tuple[Store, Store]) -> None:
    """A version beyond the quota is refused, and changes nothing; another tenant has its own, and what is removed makes
    room.
    """
    acme, globex = (SentScenarios(store.engine, quota=10) for store in stores)
    acme.add(sent("a" * 64, content=b"123456"), whatever)
    with pytest.raises(FullError, match="6"):
        acme.add(sent("b" * 64, content=b"12345"), whatever)
    assert acme.of("tiny").count == 1
    globex.add(sent("b" * 64, content=b"12345"), whatever)
    acme.remove(acme.find("tiny", "a" * 64))  # type: ignore[arg-type]
    acme.add(sent("b" * 64, content=b"12345"), whatever)


def test_what_is_not_as_expected_changes_nothing(stores: tuple[Store, Store]) -> None:
    """Whoever has not seen the newest version adds none."""
    held = SentScenarios(stores[0].engine)
    first, new = held.add(sent("a" * 64), whatever)
    assert new

    def as_read(there: Versions) -> None:
        if there.state != first.state:
            raise KeyError(there.state)

    assert held.add(sent("b" * 64), as_read)[1]
    with pytest.raises(KeyError):
        held.add(sent("c" * 64), as_read)
    assert [row.version[0] for row in held.history("tiny", 9, None)] == ["b", "a"]
    assert held.add(sent("b" * 64), whatever)[1] is False


def test_first_letters_name_a_version(stores: tuple[Store, Store]) -> None:
    """As long as no other begins so."""
    held = SentScenarios(stores[0].engine)
    for version in ("a" * 64, "a" * 8 + "b" * 56):
        held.add(sent(version), whatever)
    with pytest.raises(AmbiguousError):
        held.find("tiny", "a" * 8)
    assert held.find("tiny", "a" * 8 + "b") is not None
    assert held.find("tiny", "%") is None


def test_a_version_that_a_job_refers_to_stays(stores: tuple[Store, Store]) -> None:
    """It can be retired and not removed; one that no job refers to goes, and a tenant's jobs keep no other's."""
    acme, globex = stores
    for store in stores:
        SentScenarios(store.engine).add(sent("a" * 64), whatever)
    job_id = acme.submit(Submission("tiny", {"scenario": f"tiny@{'a' * 64}"}, None, (), "x"))
    held = SentScenarios(acme.engine)
    with pytest.raises(UsedError, match=job_id):
        held.remove(held.find("tiny", "a"))  # type: ignore[arg-type]
    other = SentScenarios(globex.engine)
    other.remove(other.find("tiny", "a"))  # type: ignore[arg-type]
    assert (held.of("tiny").count, other.of("tiny").count) == (1, 0)


def test_a_name_means_a_folder_before_what_was_sent(stores: tuple[Store, Store], tiny_scenario: Callable[..., Json],
                                                    tmp_path: Path) -> None:
    """A plain name is a folder's where there is one; else the newest version, which a job keeps."""
    folder = tmp_path / "scenarios" / "small"
    folder.mkdir(parents=True)
    (folder / "scenario.yaml").write_text(json.dumps(tiny_scenario()))
    held = Scenarios(folder.parent, SentScenarios(stores[0].engine))
    content = json.dumps(tiny_scenario() | {"name": "other"}).encode()
    held.sent.add(sent("a" * 64, "other", content), whatever)
    held.sent.add(sent("a" * 64, "small"), whatever)
    assert held.names() == ["other", "small"]
    assert (held.pinned("small"), held.pinned("other")) == ("small", "other@" + "a" * 64)
    assert held.read("other@aaaaaaaa", tmp_path).name == "other"
    assert held.read("small", tmp_path).name == "tiny"
    with pytest.raises(InputError, match="not known"):
        held.pinned("other@bbbb")
