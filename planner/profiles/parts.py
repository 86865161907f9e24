"""What the formulas of all kinds of tasks share: figures with intervals, and runs laid out over slots."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from planner.errors import InputError
from planner.profiles.constants import (
    CONFIDENCE_GUESSED,
    CONFIDENCE_KNOWN,
    GPUS,
    ONCE_WINDOW_HOURS,
    SPREAD_GUESSED,
    SPREAD_KNOWN,
    WINDOW_SHARE,
    Gpu,
)
from planner.profiles.model import Figure, Slots
from planner.scenario.model import Batch, Hardware, Slo

DEFAULT_CADENCE_HOURS = 24.0
"""Estimate: a run whose cadence is not known happens daily."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What had to be assumed for a task, in words; the more assumptions, the wider the intervals."""

    assumed: tuple[str, ...] = ()

    @property
    def confidence(self) -> float:
        """How likely the truth lies in the interval of a figure."""
        return CONFIDENCE_GUESSED if self.assumed else CONFIDENCE_KNOWN

    def number(self, name: str, value: float, unit: str, why: str) -> Figure:
        """A figure with the interval that this evidence allows; a share is never over 1."""
        spread = SPREAD_GUESSED if self.assumed else SPREAD_KNOWN
        return Figure(
            name=name,
            value=value,
            unit=unit,
            low=value / spread,
            high=min(1.0, value * spread) if unit == "share" else value * spread,
            confidence=self.confidence,
            why=why,
        )

    def word(self, name: str, value: str, why: str) -> Figure:
        """A figure that is a word: a kind, a machine, a place."""
        return Figure(name=name, value=value, confidence=self.confidence, why=why)

    def figures(self, *figures: Figure) -> tuple[Figure, ...]:
        """The figures, and behind them what was assumed."""
        if not self.assumed:
            return figures
        return (*figures, self.word("assumed", "; ".join(self.assumed), f"Assumed: {'; '.join(self.assumed)}."))


@dataclass(frozen=True, slots=True)
class Stated:
    """What a workload states of itself beside the description of its task."""

    slo: Slo = field(default_factory=Slo)
    hardware: Hardware = field(default_factory=Hardware)
    words: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """How often a task runs (`every_hours`, infinite for once) and how long one run may take."""

    every_hours: float
    hours: float
    assumed: tuple[str, ...]


def window_of(every_hours: float | None, hours: float | None) -> Window:
    """Fill in what is not known of cadence and window, and say what was filled in."""
    every = DEFAULT_CADENCE_HOURS if every_hours is None else every_hours
    assumed = ("a daily run",) if every_hours is None else ()
    if hours is not None:
        return Window(every, hours, assumed)
    hours = ONCE_WINDOW_HOURS if math.isinf(every) else WINDOW_SHARE * every
    return Window(every, hours, (*assumed, f"a window of {hours:g} h for a run"))


def allowed_gpus(hardware: Hardware, where: str) -> tuple[Gpu, ...]:
    """The GPUs that a workload's `hardware` allows, the smallest first. Raises InputError where none is known."""
    known = tuple(gpu for gpu in GPUS if hardware.gpu_models is None or gpu.name in hardware.gpu_models)
    if not known:
        models, sized = ", ".join(hardware.gpu_models or ()), ", ".join(gpu.name for gpu in GPUS)
        raise InputError([f"{where}: hardware.gpu_models: {models}: tasks are sized for {sized}; allow one of them"])
    return known


def batch_of(run_hours: float, window: Window, slots: Slots, where: str) -> Batch:
    """The run as a batch: its slots, when it may first start, and how soon it comes again.

    Raises InputError where a run fits neither its cadence nor the horizon.
    """
    duration = max(1, math.ceil(run_hours / slots.hours - 1e-9))
    every = max(1, round(window.every_hours / slots.hours)) if window.every_hours < slots.count * slots.hours else None
    period = every or slots.count
    if duration > period:
        limit = f"again after {window.every_hours:g} h" if every else f"the horizon ends after {slots.count} slots"
        raise InputError(
            [f"{where}: one run takes {run_hours:.3g} h, {duration} slots, but {limit}: give it more time"]
        )
    within = min(period, max(duration, math.floor(window.hours / slots.hours + 1e-9)))
    return Batch(duration_slots=duration, earliest_slot=0, latest_slot=within - duration, every_slots=every)


def row_of(batch: Batch, amount: int, slots: Slots) -> tuple[int, ...]:
    """`amount` in the slots where runs take place that begin at the earliest slot, 0 in the others."""
    period = batch.every_slots or slots.count
    return tuple(amount if slot % period < batch.duration_slots else 0 for slot in range(slots.count))


def in_words(hours: float) -> str:
    """Hours between runs, as people say it."""
    words = {1.0: "hourly", 24.0: "daily", 168.0: "weekly", 730.0: "monthly"}
    return "once" if math.isinf(hours) else words.get(hours, f"every {hours:g} h")
