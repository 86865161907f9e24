"""What a store promises, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from diagnostics.store import (
    ChangedFileError,
    Evaluation,
    Event,
    ModelStore,
    NewVersion,
    NoEarlierStableError,
    NoModelError,
    PredecessorError,
    StoreAwayError,
    StoreError,
    UnknownVersionError,
    Version,
    broken_files,
)

OpenStore = Callable[[], ModelStore]


def made(number: int = 0, hardware: str = "nvme", **changes: object) -> NewVersion:
    """A version to register; another number is another version."""
    fields: dict[str, object] = {
        "hardware": hardware, "data_sha256": f"{number:064d}", "data_source": "telemetry.parquet",
        "code_version": "c0de", "predictions_sha256": "0" * 64, "parameters": {"scaling": "power", "trees": number},
        "metrics": {"relative_error": 0.5 + number / 100}}
    return NewVersion(**fields | changes)  # type: ignore[arg-type]


def registered(store: ModelStore, number: int, hardware: str = "nvme", **changes: object) -> Version:
    return store.register(made(number, hardware, **changes), f"model {number} {hardware}".encode(), "ann", "trained")


def stable(store: ModelStore, count: int, hardware: str = "nvme") -> list[str]:
    """So many versions, promoted one after the other."""
    ids: list[str] = []
    for number in range(count):
        version = registered(store, number, hardware)
        store.promote(version.id, ids[-1] if ids else None, "ann", "better")
        ids.append(version.id)
    return ids


def stages(store: ModelStore, ids: list[str]) -> list[str]:
    return [store.version(name).stage for name in ids]


def change_file(store: ModelStore, name: str) -> None:
    path = store.files.path(store.version(name).file_sha256)
    path.chmod(0o644)
    path.write_bytes(b"something else")


def test_a_version_comes_back_as_it_was_registered(open_store: OpenStore) -> None:
    """Every field and every byte, also for a process that opens the store later."""
    more = {"covers": ("nvme-*",), "trials": ({"scaling": "none", "loss": 0.5},)}
    kept = registered(open_store(), 3, **more)
    again = open_store().version(kept.id)
    assert again == kept
    assert (again.made, again.stage, again.serves) == (made(3, **more), "candidate", False)
    assert open_store().content(again) == b"model 3 nvme"


def test_the_same_model_registered_twice_is_one_version(store: ModelStore) -> None:
    """Registering is safe to repeat: one version, one line of history."""
    assert registered(store, 1) == registered(store, 1)
    assert [event.action for event in store.history()] == ["register"]


def test_a_version_is_found_by_the_beginning_of_its_id(store: ModelStore) -> None:
    """An id may be shortened while it is unique; a typo names the nearest."""
    version = registered(store, 1)
    assert store.version(version.id[:6]).id == version.id
    with pytest.raises(UnknownVersionError, match=f"did you mean '{version.id}'"):
        store.version("x" + version.id[1:])
    with pytest.raises(UnknownVersionError, match="is not in the store"):
        store.version("")


def test_rows_are_never_changed_or_deleted(store: ModelStore) -> None:
    """The database itself refuses to rewrite versions, history, stages and evaluations."""
    name = registered(store, 1).id
    store.add_evaluation(evaluation(name))
    tables = ("model_versions", "model_history", "model_stages", "model_evaluations")
    for statement in [f"{what} {table}" + rest for table in tables
                      for what, rest in (("DELETE FROM", ""), ("UPDATE", " SET version = 'x'"))]:
        mended = statement.replace("model_versions SET version", "model_versions SET id")
        with pytest.raises(DBAPIError, match="never changed"), store._database._engine.begin() as connection:
            connection.execute(text(mended))
    assert store.version(name).id == name


def test_promoting_keeps_the_one_before_as_last_known_good(store: ModelStore) -> None:
    """Who is promoted serves; who served stays stable."""
    first, second = stable(store, 2)
    assert stages(store, [first, second]) == ["stable", "stable"]
    assert [store.version(name).serves for name in (first, second)] == [False, True]
    serving = store.serving("nvme")
    assert serving is not None
    assert serving.id == second


def test_a_promotion_that_expects_another_predecessor_changes_nothing(store: ModelStore) -> None:
    """Who compared with a version that serves no more is told who was faster."""
    first = stable(store, 1)[0]
    late = registered(store, 7)
    with pytest.raises(PredecessorError, match=rf"nvme.*is served by {first} \(promote by ann at .*\), not by nobody"):
        store.promote(late.id, None, "bob", "I think so")
    assert store.version(late.id).stage == "candidate"


def test_of_promotions_at_once_exactly_one_wins(open_store: OpenStore) -> None:
    """Eight writers promote eight candidates over the same predecessor: one event, seven clear refusals."""
    store = open_store()
    before = stable(store, 1)[0]
    candidates = [registered(store, number) for number in range(10, 18)]
    stores = [open_store() for _ in candidates]
    won: list[Event] = []
    refused: list[str] = []
    gate = threading.Barrier(len(candidates))

    def promote(own: ModelStore, name: str) -> None:
        gate.wait()
        try:
            won.append(own.promote(name, before, name, "mine"))
        except PredecessorError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=promote, args=(own, version.id))
               for own, version in zip(stores, candidates, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(refused)) == (1, 7)
    assert all(f"is served by {won[0].version} (promote by {won[0].by}" in line for line in refused)
    serving = store.serving("nvme")
    assert serving is not None
    assert serving.id == won[0].version
    assert [event.revision for event in store.history("nvme")] == list(range(1, 12))


PROMOTE = """
import sys
from pathlib import Path
from diagnostics.store import ModelStore, PredecessorError
folder, url, name, before = sys.argv[1:]
store = ModelStore(Path(folder), url)
print("ready", flush=True)
sys.stdin.readline()
try:
    print("won", store.promote(name, before, name, "mine").version)
except PredecessorError as error:
    print("told", error)
"""


def test_of_processes_that_promote_at_once_exactly_one_wins(open_store: OpenStore) -> None:
    """Four programs promote four candidates over the same predecessor: the history has one line more."""
    store = open_store()
    before = stable(store, 1)[0]
    url = store._database._engine.url.render_as_string(hide_password=False)
    candidates = [registered(store, number).id for number in range(10, 14)]
    running = [subprocess.Popen([sys.executable, "-c", PROMOTE, store.folder, url, name, before], text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE) for name in candidates]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = sorted(process.communicate()[0].split()[0] for process in running)
    assert said == ["told", "told", "told", "won"]
    serving = store.serving("nvme")
    assert serving is not None
    assert [event.after for event in store.history("nvme") if event.before == before and event.after != before] == [
        serving.id]


def test_rollbacks_at_once_go_back_one_version(open_store: OpenStore) -> None:
    """Two people who roll back the same bad version roll back once, and one of them is told."""
    store = open_store()
    first, second, third = stable(store, 3)
    store.rollback("nvme", "last-known-good", "ann", "alarms", expected=third)
    with pytest.raises(PredecessorError, match=f"is served by {second} .rollback by ann"):
        open_store().rollback("nvme", "last-known-good", "bob", "alarms", expected=third)
    assert stages(store, [first, second, third]) == ["stable", "stable", "retired"]


def test_rollback_goes_to_the_last_known_good(store: ModelStore) -> None:
    """The stable version before serves again; the bad one is retired."""
    first, second = stable(store, 2)
    event = store.rollback("nvme", "last-known-good", "bob", "floods of alarms")
    assert (event.before, event.after, event.by, event.why) == (second, first, "bob", "floods of alarms")
    assert stages(store, [first, second]) == ["stable", "retired"]


def test_rollback_to_a_version_retires_all_that_came_after(store: ModelStore) -> None:
    """Going back two versions does not leave the one between as last known good."""
    ids = stable(store, 4)
    store.rollback("nvme", ids[1], "bob", "wrong since then")
    assert stages(store, ids) == ["stable", "stable", "retired", "retired"]
    store.rollback("nvme", "last-known-good", "bob", "that too")
    assert stages(store, ids) == ["stable", "retired", "retired", "retired"]


def test_rollback_brings_back_a_retired_version_that_was_stable(store: ModelStore) -> None:
    """A version rolled back by mistake can be named again."""
    ids = stable(store, 2)
    store.rollback("nvme", "last-known-good", "bob", "alarms")
    assert store.rollback("nvme", ids[1], "bob", "the alarms were right").after == ids[1]
    assert stages(store, ids) == ["retired", "stable"]


def test_rollback_without_an_earlier_stable_version_is_refused(store: ModelStore) -> None:
    """What serves goes on serving, and the message says so."""
    with pytest.raises(NoEarlierStableError, match="'nvme': is not in the store"):
        store.rollback("nvme", "last-known-good", "bob", "x")
    candidate = registered(store, 5)
    with pytest.raises(NoEarlierStableError, match="nothing to roll back: no version was promoted"):
        store.rollback("nvme", "last-known-good", "bob", "x")
    store.promote(candidate.id, None, "ann", "first")
    with pytest.raises(NoEarlierStableError, match=f"{candidate.id} goes on serving: there is no earlier stable"):
        store.rollback("nvme", "last-known-good", "bob", "x")
    with pytest.raises(StoreError, match=f"{candidate.id}: serves nvme already"):
        store.rollback("nvme", candidate.id, "bob", "x")
    never = registered(store, 6)
    with pytest.raises(StoreError, match=f"{never.id}: was never stable"):
        store.rollback("nvme", never.id, "bob", "x")
    other = registered(store, 6, "mixed")
    with pytest.raises(StoreError, match=f"{other.id}: is for mixed, not for nvme"):
        store.rollback("nvme", other.id, "bob", "x")
    serving = store.serving("nvme")
    assert serving is not None
    assert serving.id == candidate.id


def test_retiring_takes_out_of_use_but_never_who_serves(store: ModelStore) -> None:
    """A retired version is not promoted; the one that serves is not retired."""
    first, second = stable(store, 2)
    with pytest.raises(StoreError, match=f"{second}: serves nvme"):
        store.retire(second, "ann", "x")
    store.retire(first, "ann", "old")
    with pytest.raises(StoreError, match="is retired already"):
        store.retire(first, "ann", "old")
    with pytest.raises(StoreError, match="is retired"):
        store.promote(first, second, "ann", "x")
    with pytest.raises(NoEarlierStableError):
        store.rollback("nvme", "last-known-good", "ann", "x")


def test_every_change_says_who_when_and_why(store: ModelStore) -> None:
    """History has a line a change, in order, and refuses changes without a name or a reason."""
    first, second = stable(store, 2)
    store.rollback("nvme", "last-known-good", "bob", "alarms")
    told = [(event.revision, event.action, event.by, event.before, event.after) for event in store.history("nvme")]
    assert told == [(1, "register", "ann", None, None), (2, "promote", "ann", None, first),
                    (3, "register", "ann", first, first), (4, "promote", "ann", first, second),
                    (5, "rollback", "bob", second, first)]
    assert all(event.at.endswith("Z") for event in store.history())
    with pytest.raises(StoreError, match="by: nobody"):
        store.rollback("nvme", second, " ", "x")
    with pytest.raises(StoreError, match="why: no reason"):
        store.rollback("nvme", second, "bob", "")


def test_a_changed_file_is_refused_by_name_and_the_last_known_good_serves(store: ModelStore) -> None:
    """A wrong model is never served: the one before answers, and the answer says why."""
    first, second = stable(store, 2)
    assert store.serve("nvme").version.id == second
    change_file(store, second)
    served = store.serve("nvme")
    assert served.version.id == first
    assert served.content == b"model 0 nvme"
    assert f"version {second}" in served.refused[0]
    assert "was changed on disk" in served.sentence
    with pytest.raises(ChangedFileError, match=f"version {second}: .* was changed on disk"):
        store.content(store.version(second))
    assert [version.id for version, _ in broken_files(store, store.versions())] == [second]


def test_a_missing_file_is_refused_by_name(store: ModelStore) -> None:
    """Neither promotion nor rollback chooses a version without its file."""
    first, second, third = stable(store, 3)
    store.files.path(store.version(second).file_sha256).unlink()
    with pytest.raises(ChangedFileError, match=f"version {second}: .*No such file"):
        store.rollback("nvme", second, "bob", "x")
    assert store.rollback("nvme", "last-known-good", "bob", "x").after == first
    assert stages(store, [first, second, third]) == ["stable", "retired", "retired"]
    candidate = registered(store, 9)
    change_file(store, candidate.id)
    with pytest.raises(ChangedFileError, match=candidate.id):
        store.promote(candidate.id, first, "ann", "x")


def test_registering_a_model_again_mends_its_broken_file(store: ModelStore) -> None:
    """The right bytes under the right hash are written anew."""
    version = registered(store, 1)
    change_file(store, version.id)
    registered(store, 1)
    assert store.content(version) == b"model 1 nvme"


def test_hardware_never_seen_falls_back_to_family_then_all_then_is_refused(store: ModelStore) -> None:
    """Class -> family -> all -> a refusal that names what was asked."""
    with pytest.raises(NoModelError, match=r"'nvme-9': no stable model \(asked: nvme-9, all\)"):
        store.serve("nvme-9")
    everything = stable(store, 1, "all")[0]
    assert store.serve("nvme-9").version.id == everything
    family = registered(store, 2, "family:flash", covers=("nvme-*", "ssd-*"))
    assert store.serve("nvme-9").version.id == everything
    store.promote(family.id, None, "ann", "x")
    served = store.serve("nvme-9")
    assert (served.version.id, served.asked) == (family.id, ("nvme-9", "family:flash", "all"))
    assert "no stable model of its own; that of family:flash" in served.sentence
    assert store.serve("mixed").version.id == everything
    own = stable(store, 1, "nvme-9")[0]
    assert store.serve("nvme-9").version.id == own


def test_two_families_that_claim_one_class_are_refused(store: ModelStore) -> None:
    """Nobody guesses which family was meant."""
    for number, name in enumerate(("family:a", "family:b")):
        store.promote(registered(store, number, name, covers=("nvme-*",)).id, None, "ann", "x")
    with pytest.raises(StoreError, match="family:a and family:b both cover it"):
        store.serve("nvme-9")


def evaluation(name: str, factor: float = 1.0) -> Evaluation:
    blocks = tuple(f"h{host}/{day}" for host in range(12) for day in range(3))
    noise = np.random.default_rng(0).uniform(1, 2, len(blocks))
    return Evaluation(name, "validation", "d" * 64, blocks, {"relative_error": factor * noise},
                      {"relative_error": np.ones(len(blocks))})


def test_evaluations_come_back_as_they_were_kept(store: ModelStore) -> None:
    """Losses block by block; the same rows again change nothing."""
    name = registered(store, 1).id
    kept = evaluation(name)
    store.add_evaluation(kept)
    store.add_evaluation(evaluation(name, 5.0))
    (found,) = store.evaluations(name)
    assert found.blocks == kept.blocks
    assert found.losses() == kept.losses()
    assert np.array_equal(found.sums["relative_error"], kept.sums["relative_error"])
    with pytest.raises(UnknownVersionError):
        store.add_evaluation(evaluation("nobody"))


def test_a_parent_must_be_in_the_store(store: ModelStore) -> None:
    """Lineage never points at nothing."""
    parent = registered(store, 1)
    assert registered(store, 2, parent=parent.id).made.parent == parent.id
    with pytest.raises(UnknownVersionError):
        registered(store, 3, parent="0123456789ab")


def test_many_processes_may_make_the_same_store_at_once(open_store: OpenStore) -> None:
    """All of them find it made, whoever was first."""
    together = threading.Barrier(8)
    found: list[object] = []

    def open_at_once() -> None:
        together.wait()
        try:
            found.append(open_store().versions())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
            found.append(error)

    threads = [threading.Thread(target=open_at_once) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[]] * 8


def cut_off(store: ModelStore) -> Callable[[], None]:
    """Let the next change fail in its middle: the disk is full, or the connection goes. The answer mends it."""
    engine = store._database._engine
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:  # the one of the pool
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        return engine.dispose
    with engine.begin() as connection:
        connection.execute(text("CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS "
                                "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"))
        connection.execute(text("CREATE TRIGGER cut BEFORE INSERT ON model_stages EXECUTE FUNCTION cut()"))

    def mend() -> None:
        with engine.begin() as connection:
            connection.execute(text("DROP TRIGGER cut ON model_stages"))

    return mend


def test_a_database_that_goes_away_is_named_and_no_change_is_made_by_halves(store: ModelStore) -> None:
    """What was asked is refused with what the driver says; asked again when it is back, it is done."""
    first, second = stable(store, 2)
    candidate = registered(store, 7)
    before = store.history()
    mend = cut_off(store)
    long = "a reason as long as a page of the database " * 200
    with pytest.raises(StoreAwayError, match=r"the database does not answer: .*(full|terminat|closed)"):
        store.promote(candidate.id, second, "bob", long)
    with pytest.raises(StoreAwayError):
        store.rollback("nvme", "last-known-good", "bob", long)
    mend()
    assert store.history() == before
    assert store.stable("nvme") == [first, second]
    assert store.promote(candidate.id, second, "bob", long).after == candidate.id


def test_nobody_changes_anything_while_the_store_is_held(store: ModelStore, open_store: OpenStore) -> None:
    """A promotion waits until the holder ends, who counts the same lines to the last; then it is made."""
    version, began, done = registered(store, 0), threading.Event(), threading.Event()

    def promote() -> None:
        other = open_store()
        began.set()
        other.promote(version.id, None, "ann", "better")
        done.set()

    promoting = threading.Thread(target=promote)
    with store.unchanging(1.0, 5.0) as lines:
        promoting.start()
        assert began.wait(10)
        assert not done.wait(0.5)
        assert lines() == 1
    promoting.join(30)
    assert open_store().lines() == 2


def test_who_cannot_hold_the_store_in_time_is_told(store: ModelStore, open_store: OpenStore) -> None:
    """Somebody is changing it: no lines are counted. Once they are done it may be held."""
    registered(store, 0)
    with store._database.writing() as connection:  # a change that takes long
        if connection.dialect.name == "postgresql":  # as every change does; on SQLite it began with that
            connection.execute(text("LOCK TABLE model_history IN ROW EXCLUSIVE MODE"))
        with open_store().unchanging(0.2, 5.0) as lines:
            assert lines() is None
    with open_store().unchanging(0.2, 5.0) as lines:
        assert lines() == 1


def test_who_holds_the_store_and_says_nothing_loses_it(store: ModelStore, open_store: OpenStore) -> None:
    """A server takes it from them, and they are told when they count; SQLite cannot."""
    first = registered(store, 0)
    with store.unchanging(0.2, 0.3) as lines:
        if "sqlite" in store._database.where:
            return
        time.sleep(0.8)
        open_store().promote(first.id, None, "ann", "better")
        assert lines() is None
    assert store.lines() == 2
