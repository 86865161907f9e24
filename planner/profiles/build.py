"""From a scenario, or the description of a single task, to profiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.errors import InputError, NotEnoughEvidenceError
from planner.profiles.blend import Asked, blended
from planner.profiles.constants import NETWORK_SHARE
from planner.profiles.etl import etl_profile
from planner.profiles.heard import hear
from planner.profiles.history import Demand, Floats, forecast_demand, wanted
from planner.profiles.library import Library, Run, read_library
from planner.profiles.model import Counts, Dataset, Profile, Profiles, Slots, TrainedModel
from planner.profiles.parts import Stated
from planner.profiles.paths import path_needs
from planner.profiles.queueing import MOST_SERVERS, servers_needed
from planner.profiles.serving import serving_profile
from planner.profiles.tasks import EtlTask, ServingTask, Task, TrainingTask, read_task
from planner.profiles.training import training_profile
from planner.scenario.model import Scenario, Slo, Workload
from planner.scenario.values import Kind

DEFAULT_LEVEL = 0.95
WEEK_OF_HOURS = Slots(168, 60)


@dataclass(frozen=True, slots=True)
class _Setting:
    """What all tasks are profiled for: slots, the share of requests answered in time, and past tasks if any."""

    slots: Slots
    level: float
    library: Library | None


def profile(scenario: Scenario, seed: int = 0) -> Profiles:
    """What every workload needs, in the order of the scenario.

    Replicas that are given stay as they are. Those from a history are forecast at the scenario's `service_level`, then
    for serving with a latency SLO sized by Erlang C (see `serving_replicas`), otherwise demand / per_replica, rounded
    up. Described tasks are sized by formulas, corrected by the scenario's library of past tasks if it names one, in the
    order of the pipeline: what ETL makes is what training reads, what training makes is what serving serves. With both,
    the history says how much comes, the description what one replica is and does. With `sizing: pooled` there are joint
    sample paths beside.
    Same scenario and seed: same answer. Raises InputError.
    """
    demand = _demand(scenario, seed)
    predicted: dict[str, Profile] = {}
    library = read_library(scenario.folder / scenario.library) if scenario.library else None
    setting = _Setting(Slots(scenario.horizon.slots, scenario.horizon.slot_minutes), scenario.service_level, library)
    for workload in _in_pipeline_order(scenario):
        predicted[workload.name] = _predict(workload, predicted, setting)
    rows, why, filled, problems = [], [], [], []
    for workload in scenario.workloads:
        row, reason = _row(workload, scenario, demand, predicted)
        rows.append(row)
        why.append(reason)
        filled.append(_filled(workload, predicted.get(workload.name)))
        if filled[-1].request is None:
            problems.append(f"{_place(workload)}.request: missing; give vcpu and memory_gib of one replica")
    if problems:
        raise InputError(problems)
    replicas = np.array(rows, np.int32).reshape(len(rows), scenario.horizon.slots)
    replicas.setflags(write=False)
    paths = path_needs(scenario, replicas, seed) if scenario.sizing == "pooled" else None
    return Profiles(tuple(filled), replicas, scenario.service_level, tuple(why), predicted, paths)


def predict_profile(
    kind: str,
    task: dict[str, Any],
    slots: Slots = WEEK_OF_HOURS,
    upstream: Profile | None = None,
    stated: Stated | None = None,
    level: float = DEFAULT_LEVEL,
    where: str = "task",
    library: Library | None = None,
) -> Profile:
    """The needs of one described task of that kind: etl, feature, training or serving.

    `upstream` is the profile of the task whose result it works on, `stated` what the workload says of itself beside
    the description, `library` what past tasks used: they correct the formulas, and answer where these have no answer.
    Raises InputError with a line for each mistake, each beginning with `where`; NotEnoughEvidenceError where the
    description says too little and no past task helps.
    """
    setting = _Setting(slots, level, library)
    return _profile_of(read_task(kind, task, where), kind, upstream, stated or Stated(), setting, where)


def serving_replicas(
    requests_per_s: Counts | np.ndarray[Any, np.dtype[np.float64]], per_replica: float, slo: Slo, level: float
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Replicas [T] with which at least `level` of requests are answered in time, and never fewer than 1.

    A replica is one server that answers `per_replica` requests a second, 1000 / `per_replica` ms each on average. A
    plan keeps round trip + `service_ms` within `latency_ms`, so `service_ms` is the time on the machine, waiting
    included: a request may wait `service_ms` - 1000 / `per_replica` ms, or not at all where that is negative. Where
    `service_ms` is not given, it is half of `latency_ms`; the other half is left to the network.
    """
    if slo.latency_ms is None:
        raise ValueError("latency_ms is None: without it nothing limits waiting")
    service_ms = slo.service_ms or NETWORK_SHARE * slo.latency_ms
    wait_s = max(0.0, service_ms / 1000 - 1 / per_replica)
    return servers_needed(requests_per_s, per_replica, wait_s, level)


def replicas_for(demand: Floats, kind: Kind, slo: Slo, per_replica: float | None, level: float, where: str
                 ) -> tuple[np.ndarray[Any, np.dtype[np.int64]], str]:
    """Replicas [T] for a demand [T], and how they follow from it: Erlang C (`serving_replicas`) for serving with a
    latency SLO, otherwise demand / per_replica, rounded up. Raises InputError with lines that begin with `where`.
    """
    if per_replica is None:
        raise InputError([f"{where}.per_replica: missing; how much one replica does is needed"])
    most = demand.max(initial=0.0)
    if most / per_replica >= MOST_SERVERS / 2:
        raise InputError([f"{where}.per_replica: {most:g} / {per_replica:g} replicas are more than can be counted"])
    if kind == "serving" and slo.latency_ms is not None:
        how = f"{level:.0%} of requests are answered in time (Erlang C, {per_replica:g} a second and replica)"
        return serving_replicas(demand, per_replica, slo, level), f"So many replicas that {how}."
    return np.ceil(demand / per_replica - 1e-9).astype(np.int64), f"One replica does {per_replica:g}."


def _demand(scenario: Scenario, seed: int) -> Mapping[str, Demand]:
    wants = [want for workload in scenario.workloads if (want := wanted(workload, scenario.folder))]
    return forecast_demand(wants, scenario.horizon, scenario.service_level, seed)


def _row(
    workload: Workload, scenario: Scenario, demand: Mapping[str, Demand], predicted: Mapping[str, Profile]
) -> tuple[Any, str]:
    """Replicas [T] of one workload, and why."""
    if workload.name in scenario.given_replicas.paths.row:
        paths, level = len(scenario.given_replicas.paths.path), scenario.service_level
        why = f"Replicas are given on {paths} sample paths; alone it needs those of the {level:.0%} quantile."
        return scenario.given_replicas.of(workload.name), why
    if workload.name in scenario.given_replicas:
        return scenario.given_replicas.of(workload.name), "Replicas are given."
    if isinstance(workload.replicas, tuple):
        return workload.replicas, "Replicas are given."
    if workload.name in demand:
        described = predicted.get(workload.name)
        row, why = _sized(_filled(workload, described), demand[workload.name], scenario.service_level, described)
        return row, f"{why} {described.why}" if described else why
    if workload.name in predicted:
        return predicted[workload.name].replicas, predicted[workload.name].why
    raise InputError([f"{_place(workload)}.replicas: not read; give a list, from, history or task"])


def _sized(workload: Workload, demand: Demand, level: float, described: Profile | None) -> tuple[Any, str]:
    per_replica = workload.per_replica or (described.per_replica if described else None)
    row, how = replicas_for(demand.quantile, workload.kind, workload.slo, per_replica, level,
                            f"{_place(workload)}.replicas.history")
    return row, f"{demand.why} {how}"


def _in_pipeline_order(scenario: Scenario) -> Iterator[Workload]:
    """Described workloads, each after those it works on."""
    described = {w.name: w for w in scenario.workloads if _task_of(w) is not None}
    known = {workload.name for workload in scenario.workloads}
    done: set[str] = set()
    while len(done) < len(described):
        ready = [w for name, w in described.items() if name not in done and not (_feeds(w, described, known) - done)]
        if not ready:
            circle = sorted(set(described) - done)
            raise InputError(
                [f"scenario: workloads: {', '.join(circle)}: each waits for another's result; break the circle"]
            )
        for workload in ready:
            done.add(workload.name)
            yield workload


def _task_of(workload: Workload) -> dict[str, Any] | None:
    return None if isinstance(workload.replicas, tuple) else workload.replicas.task


def _feeds(workload: Workload, described: Mapping[str, Workload], known: set[str]) -> set[str]:
    """Described workloads that this one works on: the one it names, else those it comes after."""
    named = (_task_of(workload) or {}).get("input_from")
    if named is None:
        return {after.workload for after in workload.after if after.workload in described}
    if named not in described:
        reason = "has no task description, so nothing is known of its result" if named in known else "is no workload"
        raise InputError([f"{_place(workload)}.replicas.task.input_from: {named!r} {reason}"])
    return {str(named)}


def _predict(workload: Workload, predicted: Mapping[str, Profile], setting: _Setting) -> Profile:
    where = f"{_place(workload)}.replicas.task"
    task = read_task(workload.kind, _task_of(workload) or {}, where)
    sources = (task.input_from,) if task.input_from else tuple(after.workload for after in workload.after)
    wanted_result = TrainedModel if isinstance(task, ServingTask) else Dataset
    upstream = [predicted[name] for name in sources if name in predicted]
    feeding = [source for source in upstream if isinstance(source.produces, wanted_result)]
    if task.input_from and not feeding:
        made = "trains no model" if wanted_result is TrainedModel else "makes no data"
        raise InputError([f"{where}.input_from: {task.input_from!r} {made}"])
    stated = Stated(workload.slo, workload.hardware, workload.description)
    source = feeding[0] if feeding else None
    return _profile_of(task, workload.kind, source, stated, setting, where)


def _profile_of(
    task: Task, kind: str, upstream: Profile | None, stated: Stated, setting: _Setting, where: str
) -> Profile:
    """As it is described, in fields and in words together."""
    heard = hear(task, stated.words)
    try:
        return heard.explain(_sized_by(heard.task, kind, upstream, stated, setting, where))
    except NotEnoughEvidenceError as error:
        raise NotEnoughEvidenceError([*error.problems, *(f"{where}: description: {line}" for line in heard.unclear)]
                                     ) from None


def _sized_by(
    task: Task, kind: str, upstream: Profile | None, stated: Stated, setting: _Setting, where: str
) -> Profile:
    """By formulas, corrected by past tasks where there is a library; by past tasks alone where formulas say nothing."""
    library = setting.library
    if library is None:
        return _by_formulas(task, kind, upstream, stated, setting, where)
    made: Profile | None = None
    try:
        made = _by_formulas(task, kind, upstream, stated, setting, where)
    except NotEnoughEvidenceError:
        if not library.of(kind):
            raise
    known: Kind = next(name for name in ("etl", "feature", "training", "serving") if name == kind)

    def size(run: Run) -> Profile | None:
        try:
            return _by_formulas(run.task, kind, None, Stated(words=run.description), setting, run.application)
        except InputError:
            return None

    return blended(Asked(known, task, stated.words, setting.slots, where), made, library, size)


def _by_formulas(
    task: Task, kind: str, upstream: Profile | None, stated: Stated, setting: _Setting, where: str
) -> Profile:
    result = upstream.produces if upstream else None
    data = result if isinstance(result, Dataset) else None
    if isinstance(task, EtlTask):
        known: Kind = "feature" if kind == "feature" else "etl"
        return etl_profile(task, known, data, setting.slots, where)
    if isinstance(task, TrainingTask):
        return training_profile(task, data, stated.hardware, setting.slots, where)
    model = result if isinstance(result, TrainedModel) else None
    return serving_profile(task, model, stated, setting.level, setting.slots, where)


def _filled(workload: Workload, predicted: Profile | None) -> Workload:
    """The workload with what was predicted; what it states itself wins."""
    if predicted is None:
        return workload
    slo = workload.slo
    if slo.latency_ms is None and predicted.latency_ms is not None:
        slo = slo.model_copy(update={"latency_ms": predicted.latency_ms})
    if slo.service_ms == 0 and predicted.service_ms is not None:
        slo = slo.model_copy(update={"service_ms": predicted.service_ms})
    hardware = workload.hardware
    if not hardware.gpu_models and not hardware.throughput:
        hardware = hardware.model_copy(
            update={"gpu_models": predicted.hardware.gpu_models, "throughput": predicted.hardware.throughput}
        )
    return workload.model_copy(
        update={
            "request": workload.request or predicted.request,
            "hardware": hardware,
            "batch": workload.batch or predicted.batch,
            "slo": slo,
        }
    )


def _place(workload: Workload) -> str:
    return f"workloads[{workload.name}]"
