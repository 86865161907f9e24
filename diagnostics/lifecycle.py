"""A model's life: trained on rows that may be used, set beside what serves, promoted or not, measured again, made anew.

Everything here is a few lines over two parts: `diagnostics.training` makes models, `diagnostics.store` keeps them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np

from diagnostics.reading import trained as reading
from diagnostics.sealing import Sealer
from diagnostics.store import (
    ALL_HARDWARE,
    FAMILY,
    Evaluation,
    Event,
    ModelStore,
    NewVersion,
    Served,
    StoreError,
    Version,
    broken_files,
)
from diagnostics.store.records import Kind
from diagnostics.store.skops_file import dump, load
from diagnostics.training.errors import TrainingError
from diagnostics.training.exam import Exam, Result, make_exam, take
from diagnostics.training.features import BUILTIN, FeatureSets, matches, nearest, read_feature_sets
from diagnostics.training.model import Candidate, FitSettings, HealthModel, Measured, fit
from diagnostics.training.rows import Allowed, Rows, allowed_from, read_rows
from diagnostics.training.search import Found, Journal, SearchSettings, Told, few_hosts, search, split

PACKAGES = ("numpy", "scipy", "scikit-learn", "lightgbm")
"""Libraries whose version may change a model's bytes."""


class RegressionError(StoreError):
    """A candidate got worse on a scenario that it may not get worse on, or nobody knows whether it did."""


@dataclass(frozen=True)
class TrainRequest:
    """What to train on and for: `hardware` is a class, `family:NAME` or `all`."""

    data: Path
    hardware: str
    by: str
    why: str
    allowed: Allowed = field(default_factory=Allowed)
    features: Path = BUILTIN
    step_minutes: int = 60
    search: SearchSettings = field(default_factory=SearchSettings)


@dataclass(frozen=True, eq=False)
class Trained:
    """The candidate, who serves beside it, what was left out and why, and how long it took; `known` when it was in the
    store before: the same rows, feature sets, settings, code and libraries make the same model.
    """

    version: Version
    serving: Version | None
    left_out: Mapping[str, int]
    notes: tuple[str, ...]
    complete: bool
    seconds: float
    known: bool = False


def train(store: ModelStore, request: TrainRequest, told: Told = lambda _, __: None) -> Trained:
    """Search, fit, measure beside what serves, and register the winner as a candidate.

    A run that was killed goes on where it was when the same is asked again; what a run has made is given again, without
    a search where that one was not cut short by its time.

    Raises:
        TrainingError: nothing can be trained; the message says why.
        NotAllowedError: no row may be used.
        StoreError: the store does not answer.

    """
    began = time.monotonic()
    sets = read_feature_sets(request.features)
    told("reading telemetry", 0.0)
    everything = read_rows(request.data, request.allowed, request.step_minutes, store.sealer)
    rows, covers = _rows_for(everything, request.hardware, sets)
    recorded = _recorded(request, sets, store.sealer)
    asked = _asked(request, rows, sets, recorded)
    with Journal.held(store.folder / "runs" / f"{asked[:16]}.jsonl",
                      lambda: told("another process trains the same: waiting for it", 0.0)) as journal:
        serving = store.serving(request.hardware)
        known = next((version for version in _whole(store, request.hardware)
                      if version.made.parameters.get("asked_sha256") == asked), None)
        if known is not None and not journal.tried:  # else a run was killed before it had measured what it registered
            return Trained(known, serving, everything.left_out, (), complete=True,
                           seconds=time.monotonic() - began, known=True)
        found = search(rows, sets, recorded, request.search, journal, told)
        told("registering", 1.0)
        made = _made(request, rows, sets, found, serving, covers)
        if found.complete:  # another time limit may make another model of a search that was cut
            made = replace(made, parameters={**made.parameters, "asked_sha256": asked})
        content = dump(found.model.to_dict())
        store.files.put(content)  # where the file of the same model was changed on disk, it is whole again
        twin = next((one for one in _whole(store, request.hardware) if _same(one.made, made)), None)
        version = twin or store.register(made, content, request.by, request.why)
        _keep(store, version, found.exam, found.result, "validation")
        notes = list(found.notes)
        if serving is not None:
            notes += _measure(store, [serving], found.exam, "validation")
        journal.clear()
    return Trained(version, serving, everything.left_out, tuple(notes), found.complete, time.monotonic() - began,
                   known=twin is not None)


def _whole(store: ModelStore, hardware: str) -> list[Version]:
    """The versions of a hardware whose file is as registered."""
    versions = store.versions(hardware)
    broken = {version.id for version, _ in broken_files(store, versions)}
    return [version for version in versions if version.id not in broken]


def _same(one: NewVersion, other: NewVersion) -> bool:
    """Whether two versions are one model: all that it is made of is the same, and it says the same."""
    return all(getattr(one, part) == getattr(other, part) for part in (
        "data_sha256", "code_version", "packages", "covers", "predictions_sha256")) and (
            json.dumps(one.parameters, sort_keys=True) == json.dumps(other.parameters, sort_keys=True))


def _rows_for(rows: Rows, hardware: str, sets: FeatureSets) -> tuple[Rows, tuple[str, ...]]:
    """The hosts a model is for, and the patterns of classes that it covers beyond its own."""
    classes = rows.hardware_classes
    if hardware == ALL_HARDWARE:
        return rows, ()
    if hardware.startswith(FAMILY):
        covers = sets.covers(hardware.removeprefix(FAMILY))
        chosen = [at for at, host in enumerate(rows.hosts) if matches(host.hardware_class, covers)]
        what = f"no host's class fits {', '.join(covers)}"
    else:
        covers, chosen = (), [at for at, host in enumerate(rows.hosts) if host.hardware_class == hardware]
        what = "no row that may be used is of it"
    if not chosen:
        left = f" (left out: {'; '.join(f'{why}: {count:,} rows' for why, count in rows.left_out.items())})"
        raise TrainingError(f"hardware {hardware!r}: {what}{nearest(hardware, classes)}{left if rows.left_out else ''}")
    return rows.of(chosen), covers


def _recorded(request: TrainRequest, sets: FeatureSets, sealer: Sealer) -> dict[str, Rows]:
    """Rows of the scenarios that name a file."""
    allowed = replace(request.allowed, expected=())  # they may be of other clusters
    return {name: _rows_for(read_rows(request.features.parent / scenario.file, allowed, request.step_minutes,
                                      sealer), request.hardware, sets)[0]
            for name, scenario in sets.scenarios.items() if scenario.file is not None}


def _asked(request: TrainRequest, rows: Rows, sets: FeatureSets, recorded: Mapping[str, Rows]) -> str:
    """Hash of all that a model follows from: rows, feature sets, scenarios, settings, code and libraries."""
    told = json.dumps([request.hardware, rows.sha256, sets.sha256,
                       {name: one.sha256 for name, one in recorded.items()}, request.allowed.to_dict(),
                       request.search.seed, request.search.false_alarms_per_host_day, code_version(), packages()])
    return hashlib.sha256(told.encode()).hexdigest()


def _made(request: TrainRequest, rows: Rows, sets: FeatureSets, found: Found, serving: Version | None,
          covers: tuple[str, ...]) -> NewVersion:
    parameters = {
        "candidate": found.model.candidate.to_dict(),
        "targets": list(found.model.targets),
        "trees": found.fitted.trees,
        "most_rows": found.fitted.most_rows,
        "hosts": len(found.exam.calm.rows.hosts),
        "seed": request.search.seed,
        "false_alarms_per_host_day": request.search.false_alarms_per_host_day,
        "threshold": found.model.threshold,
        "longest_lag_hours": found.longest_lag_hours,
        "feature_sets_sha256": sets.sha256,
        "scenarios": {name: scenario.tolerance for name, scenario in sets.scenarios.items()},
        "data": {"hosts": len(rows.hosts), "days": round(rows.days, 3), "hardware_classes": list(rows.hardware_classes),
                 "countries": sorted({host.country for host in rows.hosts}), "step_minutes": rows.step_minutes,
                 "unseen_from": str(split(rows, 0).calibrate.rows.start), "allowed": request.allowed.to_dict()},
    }
    return NewVersion(
        request.hardware, rows.sha256, str(request.data.resolve()), code_version(), found.model.predictions_sha256(),
        parameters, found.result.metrics(rows.steps_per_day), packages(), covers,
        tuple(vars(one) for one in found.tried), None if serving is None else serving.id)


def code_version() -> str:
    """Hash of the code that makes a model and reads it."""
    sources = sorted(BUILTIN.parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]


def packages() -> dict[str, str]:
    """Versions of the libraries that a model's bytes depend on."""
    return {name: package_version(name) for name in PACKAGES}


# Serving --------------------------------------------------------------------------------------------------------------


def open_model(store: ModelStore, version: Version) -> HealthModel:
    """The model of a version. Raises ChangedFileError or UntrustedTypeError unless its file is what was registered."""
    return HealthModel.from_dict(load(store.content(version)))


def serve(store: ModelStore, hardware: str) -> tuple[HealthModel, Served]:
    """The model that answers for a hardware class, and on whose behalf. Raises NoModelError where nobody does."""
    served = store.serve(hardware)
    return HealthModel.from_dict(load(served.content)), served


def reader(store: ModelStore, hardware: str) -> reading.Trained:
    """The model that answers for a hardware class, as a diagnosis reads by it. Raises NoModelError."""
    model, served = serve(store, hardware)
    good = store.stable(served.version.made.hardware)
    unseen = served.version.made.parameters.get("data", {}).get("unseen_from")
    return reading.Trained(hardware, served.version.id, served.version.made.hardware,
                           good[-2] if len(good) > 1 else None, served.sentence, model,
                           None if unseen is None else np.datetime64(unseen, "m"))


# Comparing and promoting ----------------------------------------------------------------------------------------------


def measure(store: ModelStore, names: Sequence[str], data: Path, kind: Kind, allowed: Allowed | None = None,
            features: Path = BUILTIN) -> list[str]:
    """Set versions to one exam on the rows of a file, and keep their losses; what cannot be read is told.

    The first day is only there for models that look back.

    Raises:
        TrainingError: the file cannot be read, has no row of that hardware, or is too short.
        StoreError: a version is not in the store, or they are for different hardware.

    """
    versions = [store.version(name) for name in names]
    hardware = sorted({version.made.hardware for version in versions})
    if len(hardware) != 1:
        raise StoreError(f"measure: versions are for {' and '.join(hardware)}: those of one hardware compare")
    sets = read_feature_sets(features)
    told = versions[0].made.parameters
    request = TrainRequest(data, hardware[0], "-", "-", allowed or allowed_from(told["data"]["allowed"]), features,
                           told["data"]["step_minutes"])
    rows, _ = _rows_for(read_rows(data, request.allowed, request.step_minutes, store.sealer), request.hardware, sets)
    if rows.days < 2:
        raise TrainingError(f"{data.name}: {rows.days:.1f} days: at least 2 are needed, the first to look back on")
    scenarios = {} if kind == "shadow" else sets.scenarios
    exam = make_exam(Measured(rows, rows.steps_per_day), told["targets"], scenarios,
                     _recorded(request, sets, store.sealer) if scenarios else {}, told["seed"],
                     told["false_alarms_per_host_day"], faults=kind != "shadow")
    return _measure(store, versions, exam, kind)


def _measure(store: ModelStore, versions: Sequence[Version], exam: Exam, kind: Kind) -> list[str]:
    """Set versions to an exam; a version whose file is broken is told, and has no result."""
    notes = []
    for version in versions:
        try:
            model = open_model(store, version)
        except StoreError as error:
            notes.append(f"not measured: {error}")
        else:
            _keep(store, version, exam, take(model, exam), kind)
    return notes


def _keep(store: ModelStore, version: Version, exam: Exam, result: Result, kind: Kind) -> None:
    store.add_evaluation(Evaluation(version.id, kind, exam.sha256, result.blocks, result.sums, result.weights))


def promote(store: ModelStore, name: str, expected: str | None, by: str, why: str) -> Event:
    """Promote a candidate over `expected`, unless it got worse on a scenario.

    Raises:
        RegressionError: it got worse on a scenario of either, or was not measured on the same rows as `expected`.
        StoreError: as `ModelStore.promote`.

    """
    version = store.version(name)
    if expected is not None and (problems := worse_on(store, version, store.version(expected))):
        raise RegressionError(f"version {version.id}: not promoted: {'; '.join(problems)}")
    return store.promote(version.id, expected, by, why)


def worse_on(store: ModelStore, candidate: Version, stable: Version) -> list[str]:
    """The scenarios of a candidate and of `stable` on which it does worse than that one, or has not been measured
    beside it: feature sets that leave a scenario out do not take it from those that must hold. Of two tolerances the
    stricter counts.
    """
    before = {one.data_sha256: one.losses() for one in store.evaluations(stable.id, "validation")}
    pairs = [(one.losses(), before[one.data_sha256]) for one in store.evaluations(candidate.id, "validation")
             if one.data_sha256 in before]
    problems = []
    own, held = (one.made.parameters.get("scenarios", {}) for one in (candidate, stable))
    for name in sorted({*own, *held}):
        loss = f"scenario/{name}"
        tolerance = min(one[name] for one in (own, held) if name in one)
        both = [(now[loss], then[loss]) for now, then in pairs if loss in now and loss in then]
        if not both and name not in own:
            problems.append(f"scenario {name}: not measured: {stable.id}, which serves, was trained with it and "
                            f"{candidate.id} without: train with feature sets that have it")
        elif not both:
            problems.append(f"scenario {name}: not measured on the same rows as {stable.id}, which serves: "
                            f"`planner models compare {stable.id} {candidate.id} --data FILE` does")
        problems += [f"scenario {name}: wrong on {now:.1%} of its rows, {stable.id} on {then:.1%}"
                     for now, then in both if now > then + tolerance]
    return problems


# Making anew ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reproduced:
    """Whether a model made anew says the same, byte by byte; `reasons` say what is not as it was then."""

    version: str
    same: bool
    predictions_sha256: str
    registered_sha256: str
    reasons: tuple[str, ...]


def reproduce(store: ModelStore, name: str, data: Path | None = None, told: Told = lambda _, __: None) -> Reproduced:
    """Fit a version anew from the rows it was made of, and set its predictions beside those registered.

    Raises:
        TrainingError: the rows are not there, or are others than those it was made of.
        UnknownVersionError: it is not in the store.

    """
    version = store.version(name)
    made, parameters = version.made, version.made.parameters
    source = data or Path(made.data_source)
    told(f"reading {source.name}", 0.1)
    request = TrainRequest(source, made.hardware, "-", "-", allowed_from(parameters["data"]["allowed"]))
    rows = read_rows(source, request.allowed, parameters["data"]["step_minutes"], store.sealer)
    chosen = [at for at, host in enumerate(rows.hosts) if host.hardware_class in parameters["data"]["hardware_classes"]]
    rows = rows.of(chosen)
    if rows.sha256 != made.data_sha256:
        raise TrainingError(f"{source}: holds other rows (sha256 {rows.sha256[:12]}) than version {version.id} was "
                            f"made of ({made.data_sha256[:12]}): name the right file with --data")
    told("fitting", 0.3)
    model = _refit(rows, parameters)
    found = model.predictions_sha256()
    reasons = [f"code is {code_version()}, was {made.code_version}"] if code_version() != made.code_version else []
    reasons += [f"{package} is {now}, was {made.packages.get(package)}" for package, now in packages().items()
                if now != made.packages.get(package)]
    return Reproduced(version.id, found == made.predictions_sha256, found, made.predictions_sha256, tuple(reasons))


def _refit(rows: Rows, parameters: Mapping[str, Any]) -> HealthModel:
    parts = split(rows, parameters["longest_lag_hours"])
    few = few_hosts(rows, parameters["hosts"], parameters["seed"])
    settings = FitSettings(parameters["trees"], parameters["most_rows"], parameters["false_alarms_per_host_day"],
                           parameters["seed"])
    calibrate = Measured(parts.calibrate.rows.of(few), parts.calibrate.first)
    return fit(Candidate.from_dict(parameters["candidate"]), parameters["targets"], parts.learn.of(few), calibrate,
               settings)


@dataclass(frozen=True)
class Verified:
    """Whether a version is what was registered: its file by its hash, its predictions byte by byte."""

    version: str
    holds: bool
    sentence: str


def verify(store: ModelStore, names: Sequence[str], told: Callable[[str, float], None] = lambda _, __: None
           ) -> list[Verified]:
    """Check versions, all of them where none is named. Raises UnknownVersionError."""
    versions = [store.version(name) for name in names] or store.versions()
    checked = []
    for at, version in enumerate(versions):
        told(version.id, at / len(versions))
        try:
            found = open_model(store, version).predictions_sha256()
        except (StoreError, TrainingError) as error:
            checked.append(Verified(version.id, holds=False, sentence=str(error)))
            continue
        same = found == version.made.predictions_sha256
        words = "the file is as registered and says the same" if same else (
            "the file is as registered and says something else: another version of a library reads it")
        checked.append(Verified(version.id, same, words))
    return checked

