"""`planner models …`: open the store, ask it, show what it says."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from diagnostics import lifecycle
from diagnostics.store import (
    Event,
    ModelStore,
    NoEarlierStableError,
    NoModelError,
    PredecessorError,
    StoreError,
    Version,
)
from diagnostics.store.compare import Comparison
from diagnostics.store.compare import compare as compare_versions
from diagnostics.store.exporters import EXPORTERS
from diagnostics.training.errors import TrainingError
from diagnostics.training.features import BUILTIN
from diagnostics.training.rows import Allowed
from diagnostics.training.search import SearchSettings, effects
from planner.commands.basic import DONE, NO, print_json, show_table
from planner.diagnose import alarm_policy
from planner.errors import InputError, Interrupted
from planner.progress import Bar
from planner.sealed import sealer_here
from planner.terminal import plain

_THE_ANSWER_IS_NO = (PredecessorError, NoEarlierStableError, NoModelError, lifecycle.RegressionError)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the store is."""

    folder: Path
    database: str | None

    def opened(self) -> ModelStore:
        """The store, with the keys of the environment. Raises InputError for keys that are none."""
        return ModelStore(self.folder, self.database, sealer=sealer_here())


@dataclass(frozen=True, slots=True)
class Said:
    """Who makes a change, and why."""

    by: str | None
    why: str

    @property
    def name(self) -> str:
        """The person named, else the user of this process."""
        return self.by if self.by is not None else getpass.getuser()


@dataclass(frozen=True, slots=True)
class Rights:
    """Which rows may be used, as people say it. A scenario says where its clusters are, and which did not opt in."""

    countries: str | None
    opted_out: tuple[str, ...]
    scenario: Path | None = None

    @property
    def said(self) -> bool:
        """Whether anything was said."""
        return self != Rights(None, ())

    @property
    def allowed(self) -> Allowed:
        """The rules. Raises InputError for a list without a country, or a scenario that cannot be read."""
        fleet = alarm_policy(None, self.scenario)
        if self.countries is None or self.countries.strip().lower() == "all":
            return fleet.allowed(None, self.countries is not None, self.opted_out)
        names = frozenset(name.strip().upper() for name in self.countries.split(",") if name.strip())
        if not names:
            raise InputError([f"--countries: {self.countries!r}: ISO 3166 codes with commas between, or all"])
        return fleet.allowed(names, False, self.opted_out)  # noqa: FBT003


@dataclass(frozen=True, slots=True)
class Training:
    """What to train, as it was asked for."""

    data: Path
    hardware: str
    features: Path | None
    rights: Rights
    time_limit: float
    false_alarms: float
    step_minutes: int
    seed: int


@dataclass(frozen=True, slots=True)
class Comparing:
    """What to compare, as it was asked for."""

    versions: tuple[str, ...]
    data: Path | None
    shadow: bool
    features: Path | None
    rights: Rights


def _answered(place: Place, ask: Callable[[ModelStore], int], make: bool = False) -> int:
    """Open the store, ask, and turn what cannot be done into one line: 1 where the answer is no, else wrong input."""
    try:
        with _opened(place, make) as store:
            return ask(store)
    except _THE_ANSWER_IS_NO as error:
        typer.echo(plain(error), err=True)
        return NO
    except (StoreError, TrainingError) as error:
        raise InputError(str(error).splitlines()) from error


@contextmanager
def _opened(place: Place, make: bool) -> Iterator[ModelStore]:
    if not make and place.database is None and not (place.folder / "models.db").is_file():
        raise InputError([f"--store: {place.folder}: there is no model store; `planner models train` makes one"])
    store = place.opened()
    try:
        yield store
    finally:
        store.close()


def train(place: Place, asked: Training, said: Said, as_json: bool) -> int:
    """Train and register a candidate."""
    for option, value in (("--time-limit", asked.time_limit), ("--false-alarms", asked.false_alarms)):
        if not 0 < value < float("inf"):
            raise InputError([f"{option}: {value}: above 0, and a number"])
    if asked.seed < 0:
        raise InputError([f"--seed: {asked.seed}: 0 or more"])
    settings = SearchSettings(asked.time_limit, asked.false_alarms, asked.seed)
    request = lifecycle.TrainRequest(asked.data, asked.hardware, said.name, said.why, asked.rights.allowed,
                                     asked.features or BUILTIN, asked.step_minutes, settings)

    def ask(store: ModelStore) -> int:
        try:
            with Bar() as told:
                done = lifecycle.train(store, request, told)
        except KeyboardInterrupt:
            raise Interrupted(f"stopped; what was tried is kept in {store.folder}, and the same command goes on from it"
                              ) from None
        if as_json:
            print_json(done.version.to_dict() | {
                "serving": done.serving.id if done.serving else None, "left_out": dict(done.left_out),
                "notes": done.notes, "complete": done.complete, "known": done.known, "seconds": done.seconds})
            return DONE
        _show_version(done.version)
        if done.known:
            typer.echo(plain(f"the same was trained before: version {done.version.id} of {done.version.created_at}, "
                             f"{done.version.stage}; nothing was registered"))
        for why, count in done.left_out.items():
            typer.echo(plain(f"left out: {why}: {count:,} rows"))
        for note in done.notes:
            typer.echo(plain(f"note: {note}"))
        took = "" if done.known else f" in {done.seconds:.0f} s"
        cut = "" if done.complete else "; the time limit cut the search"
        typer.echo(f"{len(done.version.made.trials)} candidates tried{took}{cut}")
        if done.serving is None:
            typer.echo(plain(f"nobody serves {done.version.made.hardware} yet: planner models promote {done.version.id}"
                             " --why ..."))
        elif done.serving.id != done.version.id:
            typer.echo(plain(f"compare it: planner models compare {done.serving.id} {done.version.id}"))
        return DONE

    return _answered(place, ask, make=True)


def measure(place: Place, names: tuple[str, ...], as_json: bool) -> int:
    """What versions take on this machine, kept in the store; those that serve where none is named."""

    def ask(store: ModelStore) -> int:
        versions = [store.version(name) for name in names] or [one for one in store.versions() if one.serves]
        if not versions:
            raise StoreError("measure: nothing serves yet: name a version")
        by_class: dict[str, dict[str, float]] = {}
        for version in versions:
            cost = import_module("api.hosting.measuring").measure(store, version)
            by_class[version.made.hardware] = asdict(cost)
        if as_json:
            print_json({"diagnostics_costs": by_class})
            return DONE
        rows = [(hardware, cost["score_cpu_s"] * 1000, cost["drift_cpu_s"], cost["train_cpu_s"],
                 cost["score_memory_gib"]) for hardware, cost in by_class.items()]
        show_table("What models take here", ("Hardware", "CPU ms a host's row", "CPU s two months", "CPU s training",
                                             "GiB of a process"), rows)
        return DONE

    return _answered(place, ask)


def show_all(place: Place, hardware: str | None, as_json: bool) -> int:
    """All versions."""

    def ask(store: ModelStore) -> int:
        versions = store.versions(hardware)
        if as_json:
            print_json([{name: value for name, value in version.to_dict().items() if name != "trials"}
                        for version in versions])
            return DONE
        rows = [(version.id, version.made.hardware, "serves" if version.serves else version.stage, version.created_at,
                 version.created_by, _figure(version, "relative_error"), _figure(version, "missed_faults"),
                 _figure(version, "false_alarms_per_host_day")) for version in versions]
        show_table("Models", ("Version", "Hardware", "Stage", "Registered", "By", "Error", "Missed faults",
                              "False alarms a host and day"), rows)
        return DONE

    return _answered(place, ask)


def _figure(version: Version, name: str) -> str:
    value = version.made.metrics.get(name)
    return "" if value is None else f"{value:.3f}"


def show(place: Place, name: str, as_json: bool) -> int:
    """One version."""

    def ask(store: ModelStore) -> int:
        version = store.version(name)
        if as_json:
            print_json(version.to_dict())
        else:
            _show_version(version)
        return DONE

    return _answered(place, ask)


def _show_version(version: Version) -> None:
    made = version.made
    stage = "stable, serves" if version.serves else version.stage
    facts = [("hardware", made.hardware + (f" (covers {', '.join(made.covers)})" if made.covers else "")),
             ("stage", stage), ("registered", f"{version.created_at} by {version.created_by}"),
             ("parent", made.parent or "none"), ("telemetry", f"{made.data_source} ({made.data_sha256[:12]})"),
             ("code", f"{made.code_version}, {', '.join(f'{name} {is_}' for name, is_ in made.packages.items())}"),
             ("file", f"{version.file_sha256[:12]}, {version.file_bytes:,} bytes"),
             ("predictions", made.predictions_sha256[:12])]
    show_table(f"Version {version.id}", ("", ""), facts)
    show_table("Parameters", ("Parameter", "Value"), [(name, _words(value)) for name, value in made.parameters.items()])
    show_table("Figures on the validation part", ("Figure", "Value"), [
        (name, f"{value:.4f}") for name, value in sorted(made.metrics.items())])
    found = [(part, name, f"{missed:.3f}", count) for part, name, missed, count in effects(made.trials)]
    if found:
        show_table("What each choice did: share of faults missed, mean over candidates",
                   ("Part", "Choice", "Missed", "Candidates"), found)


def _words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def which(place: Place, hardware: str, as_json: bool) -> int:
    """Who answers for a hardware class."""

    def ask(store: ModelStore) -> int:
        served = store.serve(hardware)
        if as_json:
            print_json({"hardware": hardware, "version": served.version.id, "model_of": served.version.made.hardware,
                        "asked": served.asked, "refused": served.refused, "sentence": served.sentence})
        else:
            typer.echo(plain(served.sentence))
        return DONE

    return _answered(place, ask)


def compare(place: Place, asked: Comparing, as_json: bool) -> int:
    """Versions side by side."""

    def ask(store: ModelStore) -> int:
        kind: Any = "shadow" if asked.shadow else "validation"
        notes: list[str] = []
        if asked.data is not None:
            with Bar() as told:
                told("measuring", 0.1)
                allowed = asked.rights.allowed if asked.rights.said else None
                notes = lifecycle.measure(store, asked.versions, asked.data, kind, allowed, asked.features or BUILTIN)
        found = compare_versions(store, asked.versions, kind)
        if as_json:
            print_json(found.to_dict() | {"notes": notes})
        else:
            _show_comparison(found)
            for note in notes:
                typer.echo(plain(f"note: {note}"))
        return DONE

    return _answered(place, ask)


def _show_comparison(found: Comparison) -> None:
    if found.parameters:
        show_table("Parameters that differ", ("Parameter", *found.versions),
                   [(name, *map(_words, values)) for name, values in found.parameters.items()])
    if found.metrics:
        show_table("Figures when registered", ("Figure", *found.versions), [
            (name, *("" if value is None else f"{value:.4f}" for value in values))
            for name, values in found.metrics.items()])
    if found.differences:
        show_table(f"Losses on the same {found.kind} rows (less is better)",
                   ("Loss", "Version", "Against", "Loss there", "Difference", "95 % interval", "Chance", "Verdict"),
                   [(row.loss, row.other, f"{row.base}: {row.base_value:.4f}", f"{row.other_value:.4f}",
                     f"{row.difference:+.4f}", "" if row.low is None else f"{row.low:+.4f} .. {row.high:+.4f}",
                     "" if row.p is None else f"{row.p:.2g}", row.verdict) for row in found.differences])
    if found.note:
        typer.echo(plain(found.note))


def promote(place: Place, name: str, expect: str | None, said: Said, as_json: bool) -> int:
    """A candidate serves."""

    def ask(store: ModelStore) -> int:
        serving = store.serving(store.version(name).made.hardware)
        now = serving.id if serving else None
        expected = now if expect is None else None if expect == "none" else expect
        return _changed(lifecycle.promote(store, name, expected, said.name, said.why), as_json)

    return _answered(place, ask)


def rollback(place: Place, hardware: str, to: tuple[str, str | None], said: Said, as_json: bool) -> int:
    """An earlier version serves again; `to` is that version and who is expected to serve now."""
    return _answered(place, lambda store: _changed(
        store.rollback(hardware, to[0], said.name, said.why, to[1]), as_json))


def retire(place: Place, name: str, said: Said, as_json: bool) -> int:
    """A version is out of use."""
    return _answered(place, lambda store: _changed(store.retire(name, said.name, said.why), as_json))


def _changed(event: Event, as_json: bool) -> int:
    if as_json:
        print_json(asdict(event))
    else:
        now = f"{event.hardware} is served by {event.after or 'nobody'}"
        typer.echo(plain(f"{event.action} {event.version}: {now}" + (
            f" (before: {event.before or 'nobody'})" if event.before != event.after else "")))
    return DONE


def history(place: Place, hardware: str | None, as_json: bool) -> int:
    """Who changed what."""

    def ask(store: ModelStore) -> int:
        events = store.history(hardware)
        if as_json:
            print_json([asdict(event) for event in events])
            return DONE
        show_table("History", ("When", "Hardware", "Revision", "Who", "What", "Version", "Serves since", "Why"), [
            (event.at, event.hardware, event.revision, event.by, event.action, event.version, event.after or "nobody",
             event.why) for event in events])
        return DONE

    return _answered(place, ask)


def reproduce(place: Place, name: str, data: Path | None, as_json: bool) -> int:
    """A version made anew."""

    def ask(store: ModelStore) -> int:
        with Bar() as told:
            done = lifecycle.reproduce(store, name, data, told)
        if as_json:
            print_json(asdict(done))
        else:
            what = "the same predictions, byte by byte" if done.same else "other predictions than were registered"
            typer.echo(plain(f"{done.version}: {what}"))
            for reason in done.reasons:
                typer.echo(plain(f"note: {reason}"))
        return DONE if done.same else NO

    return _answered(place, ask)


def verify(place: Place, names: tuple[str, ...], as_json: bool) -> int:
    """Files and predictions."""

    def ask(store: ModelStore) -> int:
        with Bar() as told:
            checked = lifecycle.verify(store, names, told)
        if as_json:
            print_json([asdict(one) for one in checked])
        else:
            show_table("Verified", ("Version", "Holds", ""), [
                (one.version, "yes" if one.holds else "no", one.sentence) for one in checked])
        return DONE if all(one.holds for one in checked) else NO

    return _answered(place, ask)


def export(place: Place, name: str, to: tuple[str, str], as_json: bool) -> int:
    """A version in another tool; `to` is the tool and its address."""
    if to[0] not in EXPORTERS:
        raise InputError([f"--to: {to[0]!r}: {', '.join(EXPORTERS)}"])

    def ask(store: ModelStore) -> int:
        version = store.version(name)
        where = EXPORTERS[to[0]](version, store.content(version), to[1])
        if as_json:
            print_json({"version": version.id, "to": to[0], "where": where})
        else:
            typer.echo(plain(f"written: {version.id} to {where}"))
        return DONE

    return _answered(place, ask)
