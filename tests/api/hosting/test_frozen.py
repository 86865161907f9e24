"""Hosts that were stopped (SIGSTOP) and go on later, while others took over and another version came to serve."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from api.database.tables import verdicts
from api.hosting.leases import standing
from diagnostics.store import ModelStore
from planner.hosting import Hosted

Start = Callable[..., Any]
Eventually = Callable[..., Any]
BEFORE = """
import os, signal
from pathlib import Path
import api.hosting.host as host
_keep = host.keep_verdicts
def _stopped(*given):
    if Path({flag!r}).exists():
        Path({flag!r}).unlink()
        os.kill(os.getpid(), signal.SIGSTOP)
    return _keep(*given)
host.keep_verdicts = _stopped
"""
"""Stops when rows are scored, and nothing is written of them yet."""
WITHIN = """
import os, signal, threading
from pathlib import Path
from sqlalchemy import Engine, event
import api.hosting.results as results
_done, _written = results.done, []
def _noted(*given):
    _written.append(given)
    return _done(*given)
results.done = _noted
@event.listens_for(Engine, "commit")
def _stop(_):
    if _written and threading.current_thread() is threading.main_thread():
        _written.clear()
        if Path({flag!r}).exists():
            Path({flag!r}).unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
"""
"""Stops when all is written and checked, right before it is committed."""


def said(engine: Engine, cluster: str) -> list[tuple[int, str, str]]:
    """Time, version and host's cluster of every verdict."""
    query = select(verdicts.c.ts, verdicts.c.model_version, verdicts.c.host).where(verdicts.c.cluster == cluster)
    with engine.connect() as connection:
        return sorted((row.ts, row.model_version, row.host.split("/")[0]) for row in connection.execute(query))


def serves(engine: Engine, workload: str) -> str | None:
    found = standing(engine).get(workload)
    return found.cluster if found else None


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


@pytest.mark.soak
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_a_host_that_was_stopped_before_it_wrote_writes_nothing_of_that(
    engine: Engine, database: str, start_process: Start, in_force: Callable[[Hosted], str], made_up: Any, fleet: Any,
    send: Any, models: Path, eventually: Eventually, tmp_path: Path,
) -> None:  # fmt: skip
    """It is stopped with rows in hand for longer than it counts as alive: another scores them; then another version
    serves. When it goes on, what it had in hand is not written, and every row has one verdict, of what served.
    """
    in_force(made_up())
    rows, flag, store = fleet(1)["a"], tmp_path / "stop", ModelStore(models)
    newest = store.serving("mixed-disk").id
    a = start_process("a", database, models, BEFORE.format(flag=str(flag)))
    start_process("b", database, models)
    eventually(lambda: serves(engine, "diagnostics-a") == "a")
    send({"a": rows[:5]})
    eventually(lambda: len(said(engine, "a")) == 5)
    flag.touch()
    send({"a": rows[5:10]})
    eventually(lambda: is_stopped(a.process.pid))
    eventually(lambda: len(said(engine, "a")) == 10)
    assert [host for _, _, host in said(engine, "a")] == ["a"] * 5 + ["b"] * 5
    earlier = store.rollback("mixed-disk", "last-known-good", "test", "worse").after
    send({"a": rows[10:15]})
    eventually(lambda: len(said(engine, "a")) == 15)
    os.kill(a.process.pid, signal.SIGCONT)
    eventually(lambda: "\"given_back\": 2" in a.log.read_text() or '"held": 0' in a.log.read_text())
    send({"a": rows[15:]})
    eventually(lambda: len(said(engine, "a")) >= len(rows))
    assert [ts for ts, _, _ in said(engine, "a")] == [ts for ts, _ in rows]
    assert [version for _, version, _ in said(engine, "a")] == [newest] * 10 + [earlier] * (len(rows) - 10)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nobody_promotes_between_the_check_of_the_version_and_the_commit(
    engine: Engine, database: str, start_process: Start, in_force: Callable[[Hosted], str], made_up: Any, fleet: Any,
    send: Any, models: Path, eventually: Eventually, tmp_path: Path,
) -> None:  # fmt: skip
    """A host is stopped with its verdicts checked and not committed: a rollback waits for them. What the version before
    has said when it is done is all that it ever says.
    """
    in_force(made_up())
    rows, flag, store = fleet(1)["a"], tmp_path / "stop", ModelStore(models)
    newest, undone = store.serving("mixed-disk").id, list[Any]()
    a = start_process("a", database, models, WITHIN.format(flag=str(flag)))
    eventually(lambda: serves(engine, "diagnostics-a") == "a")
    flag.touch()
    send({"a": rows[:10]})
    eventually(lambda: is_stopped(a.process.pid))

    def roll_back() -> None:
        earlier = store.rollback("mixed-disk", "last-known-good", "test", "worse").after
        undone.extend([earlier, said(engine, "a")])

    rolling = threading.Thread(target=roll_back)
    rolling.start()
    time.sleep(1.5)
    os.kill(a.process.pid, signal.SIGCONT)
    rolling.join(40)
    send({"a": rows[10:]})
    eventually(lambda: len(said(engine, "a")) >= len(rows))
    earlier, when_undone = undone
    assert [ts for ts, _, _ in said(engine, "a")] == [ts for ts, _ in rows]
    assert [one for one in said(engine, "a") if one[1] == newest] == when_undone
    assert {version for _, version, _ in said(engine, "a")} == {newest, earlier}


@pytest.mark.soak
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_host_that_was_stopped_in_a_transaction_holds_up_nobody(
    engine: Engine, database: str, start_process: Start, in_force: Callable[[Hosted], str], made_up: Any, fleet: Any,
    send: Any, models: Path, eventually: Eventually, tmp_path: Path, new_database: Callable[[str], str],
    postgresql: str,
) -> None:  # fmt: skip
    """Leases and models are in PostgreSQL, and a host is stopped right before a commit, for long: the server ends its
    transaction, another takes over, models are rolled back; when it goes on, its verdicts are refused.
    """
    in_force(made_up())
    rows, flag, files = fleet(1)["a"], tmp_path / "stop", ModelStore(models)
    address = new_database(postgresql.replace("postgresql://", "postgresql+psycopg://"))
    store = ModelStore(models, address)
    for name in files.stable("mixed-disk"):
        version = files.version(name)
        kept = store.register(version.made, files.content(version), "test", "copied")
        before = store.serving("mixed-disk")
        store.promote(kept.id, None if before is None else before.id, "test", "good")
    newest = store.serving("mixed-disk").id
    more = {"models_database": address}
    a = start_process("a", database, models, WITHIN.format(flag=str(flag)), more)
    start_process("b", database, models, "", more)
    eventually(lambda: serves(engine, "diagnostics-a") == "a")
    flag.touch()
    send({"a": rows[:10]})
    eventually(lambda: is_stopped(a.process.pid))
    earlier = store.rollback("mixed-disk", "last-known-good", "test", "worse").after
    assert said(engine, "a") == []
    eventually(lambda: len(said(engine, "a")) == 10)
    os.kill(a.process.pid, signal.SIGCONT)
    send({"a": rows[10:]})
    eventually(lambda: len(said(engine, "a")) >= len(rows))
    assert newest != earlier
    eventually(lambda: "terminating connection" in a.log.read_text() or "database" in a.log.read_text())
    assert [(ts, version) for ts, version, _ in said(engine, "a")] == [(ts, earlier) for ts, _ in rows]
    store.close()
