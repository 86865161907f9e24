"""A profile from formulas and past tasks together, each figure saying which of them it came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from planner.errors import NotEnoughEvidenceError
from planner.profiles import constants as c
from planner.profiles.features import features_of
from planner.profiles.learned import NEEDED, Answer, Described, Formula, answers
from planner.profiles.library import AMOUNTS, NAMES, Library, Run
from planner.profiles.model import Figure, Neighbour, Profile, Slots
from planner.profiles.parts import batch_of, row_of, window_of
from planner.profiles.tasks import ServingTask, Task
from planner.scenario.model import Hardware, Request
from planner.scenario.values import Kind

SHOWN = 3
"""Past tasks shown beside a profile, one of each application. A choice."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A task to profile: what it says of itself in fields and in words, over which slots, and where mistakes are."""

    kind: Kind
    task: Task
    words: str
    slots: Slots
    where: str


def described(task: Task, words: str, profile: Profile | None, slots: Slots) -> Described:
    """A task as it is compared with others, with the answer of the formulas if they have one."""
    formula = None if profile is None else _formula(profile, slots)
    return Described(features_of(task, words, sizes=True), features_of(task, words, sizes=False), formula)


def _formula(profile: Profile, slots: Slots) -> Formula:
    figures = {figure.name: figure for figure in profile.figures}
    guessed = "assumed" in figures
    spread = c.SPREAD_GUESSED if guessed else c.SPREAD_KNOWN
    sure = c.CONFIDENCE_GUESSED if guessed else c.CONFIDENCE_KNOWN
    request = profile.request
    amounts: dict[str, float | None] = {
        "vcpu": request.vcpu, "memory_gib": request.memory_gib, "disk_gib": request.disk_gib,
        "network_gbps": request.network_gbps, "replicas": max(profile.replicas, default=0),
        "run_hours": profile.batch.duration_slots * slots.hours if profile.batch else None,
        "storage_gb": profile.storage_gb, "warehouse_dwu": max(profile.warehouse_dwu, default=0),
        **{name: _number(figures.get(name)) for name in ("disk_bandwidth_gb_per_s", "memory_bandwidth_gb_per_s")},
    }  # fmt: skip
    models = profile.hardware.gpu_models
    names = {"gpu": str(request.gpu), "gpu_model": models[0] if models and request.gpu else None,
             "storage_kind": profile.storage_kind, "working_data": profile.working_kind,
             "structure": profile.structure, "runtime": profile.runtime}  # fmt: skip
    return Formula({name: amount for name, amount in amounts.items() if amount},
                   {name: word for name, word in names.items() if word},
                   math.log2(spread) / NormalDist().inv_cdf((1 + sure) / 2))


def _number(figure: Figure | None) -> float | None:
    return figure.value if figure is not None and isinstance(figure.value, float) else None


def blended(asked: Asked, profile: Profile | None, library: Library, size: Callable[[Run], Profile | None]) -> Profile:
    """`profile` (None: formulas have no answer) corrected by what past tasks of the kind used.

    `size` gives the formulas' answer for a past run, None where there is none. Raises NotEnoughEvidenceError where
    neither says how large a replica is, how many there are, or how long a run takes.
    """
    runs = library.of(asked.kind)
    if not runs and profile is not None:
        return profile
    past = [described(run.task, run.description, size(run), asked.slots) for run in runs]
    ours = described(asked.task, asked.words, profile, asked.slots)
    found = {name: answers([ours], runs, past, name)[0] for name in (*AMOUNTS, *NAMES)}
    batch = not isinstance(asked.task, ServingTask)
    if profile is None:
        _refuse_gaps(found, ("vcpu", "memory_gib", "replicas", *(("run_hours",) if batch else ())), asked, library)
    return _profile(asked, profile, found, _neighbours(found, runs))


def _refuse_gaps(found: Mapping[str, Answer], needed: Sequence[str], asked: Asked, library: Library) -> None:
    gaps = [name for name in needed if found[name].value is None]
    if gaps:
        raise NotEnoughEvidenceError([
            f"{asked.where}: {name}: not enough evidence: {found[name].evidence:.1f} applications in {library.name} "
            f"are like it, {NEEDED:g} are needed" for name in gaps])


def _profile(asked: Asked, profile: Profile | None, found: Mapping[str, Answer],
             neighbours: tuple[Neighbour, ...]) -> Profile:
    gpus = int(str(found["gpu"].value or 0))
    request = Request(
        vcpu=_amount(found["vcpu"]), memory_gib=_amount(found["memory_gib"]), gpu=gpus,
        disk_gib=_amount(found["disk_gib"]), network_gbps=_amount(found["network_gbps"]))
    replicas = max(1, math.ceil(_amount(found["replicas"]) - 1e-9))
    if isinstance(asked.task, ServingTask):
        batch, row = None, (replicas,) * asked.slots.count
    else:
        window = window_of(asked.task.cadence, asked.task.window_hours)
        batch = batch_of(_amount(found["run_hours"]), window, asked.slots, asked.where)
        row = row_of(batch, replicas, asked.slots)
    dwu = math.ceil(_amount(found["warehouse_dwu"]))
    level = next((step for step in c.DWU_LEVELS if step >= dwu), c.DWU_LEVELS[-1]) if dwu else 0
    low, high = found["replicas"].low, found["replicas"].high
    changes = {
        "request": request, "replicas": row, "batch": batch, "neighbours": neighbours,
        "hardware": _hardware(profile, found, gpus), "storage_gb": found["storage_gb"].value,
        "storage_kind": found["storage_kind"].value, "working_kind": found["working_data"].value,
        "structure": found["structure"].value, "runtime": found["runtime"].value,
        "warehouse_dwu": tuple(level if count else 0 for count in row) if level else (),
        "replicas_low": _scaled(row, low, math.floor), "replicas_high": _scaled(row, high, math.ceil),
    }
    if profile is None:
        made = Profile.model_validate({"kind": asked.kind, "figures": (), **changes})
    else:
        made = profile.model_copy(update=changes)
    return made.model_copy(update={"figures": (*_figures(found, made, profile, asked.slots), *_kept(profile, found))})


def _amount(answer: Answer) -> float:
    """An amount as it is planned with; what is not known takes nothing of a machine, and its figure says so."""
    return 0.0 if answer.value is None else float(f"{float(answer.value):.4g}")


def _scaled(row: Sequence[int], peak: float | None, whole: Callable[[float], int]) -> tuple[int, ...]:
    """The row with another peak, empty where there is no interval."""
    if peak is None:
        return ()
    most = max(row)
    return tuple(max(1, whole(count * peak / most)) if count else 0 for count in row)


def _hardware(profile: Profile | None, found: Mapping[str, Answer], gpus: int) -> Hardware:
    """The formula's hardware, unless past tasks want another GPU model than its own."""
    answer, model = found["gpu_model"], found["gpu_model"].value
    if not gpus:
        return Hardware()
    if profile is not None and (answer.source == "formula" or model in (profile.hardware.gpu_models or ())):
        return profile.hardware
    return Hardware(gpu_models=(str(model),)) if model else Hardware()


def _figures(found: Mapping[str, Answer], made: Profile, profile: Profile | None, slots: Slots) -> tuple[Figure, ...]:
    """Figures of all quantities, then what follows from them."""
    own = {figure.name: figure for figure in profile.figures} if profile else {}
    spread = c.SPREAD_GUESSED if "assumed" in own else c.SPREAD_KNOWN
    figures = [_figure(name, answer, own.get(name), spread) for name, answer in found.items()
               if _worth_saying(name, answer)]
    cores, busy = made.request.vcpu * max(made.replicas), sum(count > 0 for count in made.replicas)
    source = max((found["vcpu"].source, found["replicas"].source), key=["formula", "both", "library"].index)
    figures += [
        Figure(name="cores", value=cores, unit="vCPU", confidence=figures[0].confidence, source=source,
               why=f"{max(made.replicas)} of {made.request.vcpu:g} vCPU."),
        Figure(name="device", value="GPU" if made.request.gpu else "CPU", confidence=found["gpu"].share or
               c.CONFIDENCE_KNOWN, source=found["gpu"].source, why=f"A replica has {made.request.gpu} GPUs."),
        Figure(name="slots_used", value=busy / slots.count, unit="share", confidence=c.CONFIDENCE_KNOWN, source=source,
               why=f"It runs in {busy} of {slots.count} slots."),
    ]
    return tuple(figures)


def _worth_saying(name: str, answer: Answer) -> bool:
    return answer.value is not None or name in ("vcpu", "memory_gib", "gpu", "storage_gb", "replicas", "utilisation")


def _figure(name: str, answer: Answer, own: Figure | None, spread: float) -> Figure:
    unit = AMOUNTS.get(name, "")
    if answer.value is None:
        return Figure(name=name, value=None, unit=unit, confidence=0.0, source="none", evidence=answer.evidence,
                      why=f"Not enough evidence: no formula, and {_apps(answer.evidence)} like it where {NEEDED:g} are "
                          "needed.")
    if answer.source == "formula":
        return own.model_copy(update={"evidence": answer.evidence}) if own else _by_formula(name, answer, spread)
    how = "correct the formula" if answer.source == "both" else "are all there is to go by"
    sure = answer.level or (answer.share if isinstance(answer.value, str) else c.CONFIDENCE_GUESSED)
    held = "" if answer.low is None or answer.level else " Too few applications yet to calibrate the interval."
    return Figure(name=name, value=answer.value, unit=unit, low=answer.low, high=answer.high, confidence=sure,
                  source=answer.source, evidence=answer.evidence, bucket=answer.bucket,
                  why=f"{_apps(answer.evidence).capitalize()} like it {how}.{held}")


def _by_formula(name: str, answer: Answer, spread: float) -> Figure:
    low, high = (None, None) if isinstance(answer.value, str | None) else (answer.value / spread, answer.value * spread)
    sure = c.CONFIDENCE_GUESSED if spread == c.SPREAD_GUESSED else c.CONFIDENCE_KNOWN
    return Figure(name=name, value=answer.value, unit=AMOUNTS.get(name, ""), low=low, high=high, confidence=sure,
                  evidence=answer.evidence, why="From the formulas: no past task is near enough to correct it.")


def _apps(worth: float) -> str:
    return f"{worth:.1f} applications' worth of past tasks"


def _kept(profile: Profile | None, found: Mapping[str, Answer]) -> tuple[Figure, ...]:
    """Figures of the formulas that past tasks have not replaced, and those behind figures that they corrected."""
    replaced = {*(name for name, answer in found.items() if answer.value is not None), "cores", "device", "storage_tb"}
    return tuple(figure for figure in (profile.figures if profile else ()) if figure.name not in replaced)


def _neighbours(found: Mapping[str, Answer], runs: Sequence[Run]) -> tuple[Neighbour, ...]:
    """The past tasks most like this one over all quantities, the likest of each application."""
    total, count = [0.0] * len(runs), [0] * len(runs)
    for answer in found.values():
        for row, alike in zip(answer.rows, answer.likeness, strict=True):
            total[row] += alike
            count[row] += 1
    mean = [part / max(1, times) for part, times in zip(total, count, strict=True)]
    best: dict[str, int] = {}
    for row in sorted(range(len(runs)), key=lambda row: -mean[row]):
        if mean[row] > 0.01:
            best.setdefault(runs[row].application, row)
    return tuple(Neighbour(application=name,
                           finished=None if (time := runs[row].finished) is None else time.isoformat(),
                           likeness=round(mean[row], 3), used=dict(runs[row].used))
                 for name, row in list(best.items())[:SHOWN])
