"""Versions of models by hardware: registered once, promoted, rolled back, and never changed.

Who serves is not a field that is overwritten but the last line of a history: each line has the next revision number of
its hardware, so of two writers at once exactly one gets it and the other looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from diagnostics.sealing import Sealer
from diagnostics.store import database as rows
from diagnostics.store.database import Database, Taken, sqlite_url
from diagnostics.store.errors import (
    ChangedFileError,
    NoEarlierStableError,
    NoModelError,
    PredecessorError,
    StoreError,
    UnknownVersionError,
)
from diagnostics.store.files import ModelFiles
from diagnostics.store.records import (
    ALL_HARDWARE,
    FAMILY,
    LAST_KNOWN_GOOD,
    Action,
    Evaluation,
    Event,
    Kind,
    MeasuredCost,
    NewVersion,
    Served,
    Stage,
    Version,
)

_TRIES = 50
Change = Callable[[Connection, int], tuple[Event, dict[str, Stage]]]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ModelStore:
    """Models in a folder, what is known of them in a database. Safe to use from several threads and processes.

    Whatever asks the database raises StoreAwayError while that does not answer.
    """

    def __init__(self, folder: Path, url: str | None = None, now: Callable[[], datetime] = _utc_now,
                 sealer: Sealer | None = None) -> None:
        """Open the store in `folder`; its rows are in `url`, or in a SQLite file in the folder. `sealer` encrypts model
        files, and opens those and telemetry that models are trained on.

        Raises:
            StoreError: the database is of another kind or of a newer version.
            OSError: the folder cannot be made.

        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.sealer = sealer or Sealer()
        self.files = ModelFiles(folder / "files", self.sealer)
        self._database = Database(url or sqlite_url(folder.resolve() / "models.db"))
        self._now = now

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()

    # Versions ---------------------------------------------------------------------------------------------------------

    def register(self, made: NewVersion, content: bytes, by: str, why: str) -> Version:
        """Keep a model as a candidate; the same one again gives the version that is there.

        Raises:
            StoreError: `by` is empty, or the parent is not there.
            OSError: the file cannot be written.

        """
        if made.parent is not None:
            self.version(made.parent)
        sha256 = self.files.put(content)
        name = made.identity(sha256)
        version = Version(name, made, sha256, len(content), self._stamp(), by, "candidate", serves=False)

        def add(connection: Connection, revision: int) -> tuple[Event, dict[str, Stage]]:
            if rows.stages_of(connection, name):
                raise _AlreadyThere
            rows.add_version(connection, version)
            serving = rows.serving_version(connection, made.hardware)
            return self._event(version, revision, "register", serving, serving, by, why), {name: "candidate"}

        try:
            self._write(made.hardware, add, by, why)
        except _AlreadyThere:
            return self.version(name)
        return version

    def version(self, name: str) -> Version:
        """The version with that id, or whose id alone begins so.

        Raises:
            UnknownVersionError: there is none, or several; the message names the nearest.

        """
        with self._database.reading() as connection:
            found = rows.read_versions(connection, start=name) if name else []
            exact = [version for version in found if version.id == name]
            if len(exact or found) == 1:
                return (exact or found)[0]
            if found:
                ids = ", ".join(version.id for version in found[:5])
                raise UnknownVersionError(f"version {name!r}: {len(found)} begin so ({ids}): write more of it")
            known = [version.id for version in rows.read_versions(connection)]
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else "; `planner models list` shows what is there"
        raise UnknownVersionError(f"version {name!r}: is not in the store{hint}")

    def versions(self, hardware: str | None = None) -> list[Version]:
        """Versions of one hardware or of all, the oldest first."""
        with self._database.reading() as connection:
            return rows.read_versions(connection, hardware)

    def content(self, version: Version) -> bytes:
        """The file of a version. Raises ChangedFileError unless it is what was registered."""
        return self.files.get(version.id, version.file_sha256)

    # Stages -----------------------------------------------------------------------------------------------------------

    def serving(self, hardware: str) -> Version | None:
        """The version that serves a hardware (no fallback), None where none does."""
        with self._database.reading() as connection:
            name = rows.serving_version(connection, hardware)
            return None if name is None else _one(rows.read_versions(connection, start=name))

    def stable(self, hardware: str) -> list[str]:
        """Ids of the stable versions of a hardware; the last serves, the one before it is the last known good."""
        with self._database.reading() as connection:
            return rows.stable_versions(connection, hardware)

    def promote(self, name: str, expected: str | None, by: str, why: str) -> Event:
        """Let a candidate serve in place of `expected` (None: nobody), which stays stable, as the last known good.

        Raises:
            PredecessorError: another version serves by now, and who promoted it when.
            StoreError: the version is no candidate.
            ChangedFileError: its file is not what was registered.

        """
        version = self.version(name)
        before = None if expected is None else self.version(expected).id
        self.content(version)
        hardware = version.made.hardware

        def change(connection: Connection, revision: int) -> tuple[Event, dict[str, Stage]]:
            serving = rows.serving_version(connection, hardware)
            if serving != before:
                raise PredecessorError(self._who_was_faster(connection, hardware, before, serving))
            stage = rows.stages_of(connection, version.id)[-1]
            if stage != "candidate":
                how = (f"retired; `planner models rollback {hardware} --to {version.id}` brings back what was stable"
                       if stage == "retired" else
                       f"stable already; `planner models rollback {hardware} --to {version.id}` goes back to it")
                raise StoreError(f"version {version.id}: is {how}")
            return self._event(version, revision, "promote", serving, version.id, by, why), {version.id: "stable"}

        return self._write(hardware, change, by, why)

    def rollback(self, hardware: str, to: str, by: str, why: str, expected: str | None = None) -> Event:
        """Go back to `last-known-good`, the stable version before the one that serves, or to a version by name.

        Every version that came to serve after it is retired. Versions whose file is broken are passed over by
        `last-known-good` (and retired), and refused by name. Left out, `expected` is the version that serves now.

        Raises:
            PredecessorError: another version serves by now, so that nobody rolls back twice.
            NoEarlierStableError: there is no earlier stable version; what serves goes on.
            StoreError: the version named is of other hardware, serves already, or was never stable.
            ChangedFileError: the file of the version named is not what was registered.

        """
        named = None if to == LAST_KNOWN_GOOD else self.version(to)
        if expected is None:
            with self._database.reading() as connection:
                seen = rows.serving_version(connection, hardware)
        else:
            seen = self.version(expected).id

        def change(connection: Connection, revision: int) -> tuple[Event, dict[str, Stage]]:
            stable = rows.stable_versions(connection, hardware)
            if not stable:
                raise NoEarlierStableError(self._no_stable(connection, hardware))
            if stable[-1] != seen:
                raise PredecessorError(self._who_was_faster(connection, hardware, seen, stable[-1]))
            if named is None:
                target = self._last_known_good(connection, hardware, stable)
            else:
                target = self._was_good(connection, hardware, stable, named)
            later = stable[stable.index(target) + 1 :] if target in stable else stable[-1:]
            changed: dict[str, Stage] = dict.fromkeys(later, "retired")
            if target not in stable:
                changed[target] = "stable"
            event = Event(hardware, revision, self._stamp(), by, "rollback", target, stable[-1], target, why)
            return event, changed

        return self._write(hardware, change, by, why)

    def retire(self, name: str, by: str, why: str) -> Event:
        """Take a version out of use for good.

        Raises:
            StoreError: it serves, or is retired already.

        """
        version = self.version(name)
        hardware = version.made.hardware

        def change(connection: Connection, revision: int) -> tuple[Event, dict[str, Stage]]:
            serving = rows.serving_version(connection, hardware)
            if serving == version.id:
                raise StoreError(f"version {version.id}: serves {hardware}: promote another or roll back first")
            if rows.stages_of(connection, version.id)[-1] == "retired":
                raise StoreError(f"version {version.id}: is retired already")
            return self._event(version, revision, "retire", serving, serving, by, why), {version.id: "retired"}

        return self._write(hardware, change, by, why)

    def history(self, hardware: str | None = None) -> list[Event]:
        """Who changed what, when and why; the oldest first."""
        with self._database.reading() as connection:
            return rows.events(connection, hardware)

    def lines(self) -> int:
        """How many lines all histories have: where it is the same number, nobody has changed anything."""
        with self._database.reading() as connection:
            return rows.count_events(connection)

    @contextmanager
    def unchanging(self, wait_s: float, frozen_s: float) -> Iterator[Callable[[], int | None]]:
        """Keep others from changing anything until this ends, and count lines meanwhile (see `lines`). None instead:
        others may, as somebody was changing something for longer than `wait_s`, or this said nothing for `frozen_s`.
        """
        with self._database.unchanging(wait_s, frozen_s) as connection:

            def count() -> int | None:
                try:
                    return None if connection is None else rows.count_events(connection)
                except DBAPIError:
                    return None

            yield count

    # Serving ----------------------------------------------------------------------------------------------------------

    def serve(self, hardware: str) -> Served:
        """The newest stable model of a hardware class, else of its family, else of all hardware, with its file checked.

        A version whose file was changed is passed over for the stable one before it, and named in `refused`.

        Raises:
            NoModelError: nobody answers; the message names what was asked and what there is.
            StoreError: two families claim the class.

        """
        refused: list[str] = []
        with self._database.reading() as connection:
            asked = self._chain(connection, hardware)
            for scope in asked:
                for name in reversed(rows.stable_versions(connection, scope)):
                    version = _one(rows.read_versions(connection, start=name))
                    try:
                        return Served(hardware, version, self.content(version), asked, tuple(refused))
                    except ChangedFileError as error:
                        refused.append(str(error))
            there = sorted({event.hardware for event in rows.events(connection, None) if event.after})
        passed = f"; passed over: {'; '.join(refused)}" if refused else ""
        raise NoModelError(f"hardware {hardware!r}: no stable model (asked: {', '.join(asked)}){passed}; stable models:"
                           f" {', '.join(there) or 'none'}; `planner models train --hardware {hardware}` makes one")

    def _chain(self, connection: Connection, hardware: str) -> tuple[str, ...]:
        """The class, the family that covers it, and all hardware."""
        families = {}
        for version in rows.read_versions(connection):
            if version.serves and version.made.hardware.startswith(FAMILY):
                families[version.made.hardware] = version.made.covers
        claiming = sorted(name for name, covers in families.items()
                          if any(fnmatchcase(hardware, pattern) for pattern in covers))
        if len(claiming) > 1:
            raise StoreError(f"hardware {hardware!r}: {' and '.join(claiming)} both cover it: set their patterns apart")
        own = [] if hardware == ALL_HARDWARE else [hardware]
        return (*own, *claiming, ALL_HARDWARE)

    # Losses -----------------------------------------------------------------------------------------------------------

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Keep the losses of a version on some rows; the same rows again change nothing. Raises UnknownVersionError."""
        self.version(evaluation.version)
        try:
            with self._database.writing() as connection:
                rows.add_evaluation(connection, replace(evaluation, at=self._stamp()))
        except Taken:
            return

    def evaluations(self, name: str, kind: Kind | None = None) -> list[Evaluation]:
        """Losses of a version, the oldest first. Raises UnknownVersionError."""
        version = self.version(name)
        with self._database.reading() as connection:
            return rows.read_evaluations(connection, version.id, kind)

    # Costs ------------------------------------------------------------------------------------------------------------

    def add_cost(self, cost: MeasuredCost) -> None:
        """Keep what a version takes. Raises UnknownVersionError."""
        self.version(cost.version)
        with self._database.writing() as connection:
            rows.add_cost(connection, replace(cost, at=self._stamp()))

    def costs(self) -> dict[str, MeasuredCost]:
        """What was measured last, by hardware."""
        with self._database.reading() as connection:
            return dict(rows.read_costs(connection))

    # Writing ----------------------------------------------------------------------------------------------------------

    def _write(self, hardware: str, change: Change, by: str, why: str) -> Event:
        """Add the next line of a hardware's history; where somebody else took the number, look again."""
        if not by.strip():
            raise StoreError("by: nobody is named: every change says who made it")
        if not why.strip():
            raise StoreError("why: no reason is given: every change says why")
        for _ in range(_TRIES):
            try:
                with self._database.writing() as connection:
                    event, changed = change(connection, rows.last_revision(connection, hardware) + 1)
                    rows.add_event(connection, event, changed)
            except Taken as error:
                taken = error
                continue
            return event
        raise StoreError(f"hardware {hardware}: {_TRIES} others were faster: try again") from taken

    def _event(self, version: Version, revision: int, action: Action, before: str | None, after: str | None,
               by: str, why: str) -> Event:
        return Event(version.made.hardware, revision, self._stamp(), by, action, version.id, before, after, why)

    def _stamp(self) -> str:
        return self._now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _who_was_faster(self, connection: Connection, hardware: str, before: str | None, serving: str | None) -> str:
        """Why a change is refused, with the one that came in between."""
        newest = next((event for event in reversed(rows.events(connection, hardware)) if event.before != event.after),
                      None)
        since = f" ({newest.action} by {newest.by} at {newest.at})" if newest else ""
        return (f"hardware {hardware}: nothing changed: it is served by {serving or 'nobody'}{since}, not by "
                f"{before or 'nobody'} as expected: compare with it and ask again with --expect {serving or 'none'}")

    def _no_stable(self, connection: Connection, hardware: str) -> str:
        known = sorted({version.made.hardware for version in rows.read_versions(connection)})
        if hardware in known:
            return f"hardware {hardware}: nothing to roll back: no version was promoted yet"
        near = get_close_matches(hardware, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known) or 'none'}"
        return f"hardware {hardware!r}: is not in the store{hint}"

    def _last_known_good(self, connection: Connection, hardware: str, stable: Sequence[str]) -> str:
        broken = []
        for name in reversed(stable[:-1]):
            try:
                self.files.get(name, rows.file_of(connection, name))
            except ChangedFileError as error:
                broken.append(str(error))
            else:
                return name
        passed = f" ({'; '.join(broken)})" if broken else ""
        raise NoEarlierStableError(f"hardware {hardware}: {stable[-1]} goes on serving: there is no earlier stable "
                                   f"version to roll back to{passed}; promote another candidate instead")

    def _was_good(self, connection: Connection, hardware: str, stable: Sequence[str], named: Version) -> str:
        if named.made.hardware != hardware:
            raise StoreError(f"version {named.id}: is for {named.made.hardware}, not for {hardware}")
        if named.id == stable[-1]:
            raise StoreError(f"version {named.id}: serves {hardware} already")
        if "stable" not in rows.stages_of(connection, named.id):
            raise StoreError(f"version {named.id}: was never stable: `planner models promote {named.id}` promotes it")
        self.content(named)
        return named.id


class _AlreadyThere(Exception):  # noqa: N818 - no error: the same version was registered before
    """The version is in the store."""


def _one(found: Sequence[Version]) -> Version:
    (version,) = found
    return version


def broken_files(store: ModelStore, versions: Sequence[Version]) -> Iterator[tuple[Version, str]]:
    """Versions whose file is not what was registered, and why."""
    for version in versions:
        try:
            store.content(version)
        except ChangedFileError as error:
            yield version, str(error)
