"""The search for the best candidate: feature sets × scaling × reduction × ensemble, in three rounds, within a time.

All candidates are tried small (few hosts, rows and trees), the best of them larger, and the last three on everything:
successive halving (Karnin, Koren and Somekh 2013). They are ranked by the share of faults they miss within the budget
of false alarms, faults that were put into rows of their own. Those come after what sets the thresholds, which comes
after what is learned from. The end of the telemetry judges: only the winner sees it, beside what serves, as the best of
many on the same rows is partly the luckiest there (selection bias: Cawley and Talbot 2010). What is done is written to
a journal at once, and a run that was killed goes on from there.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from diagnostics.training.errors import TrainingError
from diagnostics.training.exam import Exam, Result, make_exam, take
from diagnostics.training.features import SCREENED, FeatureSets, Scenario, matches
from diagnostics.training.model import (
    FEWEST_CALIBRATED,
    FEWEST_LEARNT,
    Candidate,
    FitSettings,
    HealthModel,
    Measured,
    fit,
)
from diagnostics.training.reducing import FEWEST_COLUMNS
from diagnostics.training.rows import Rows

Told = Callable[[str, float], None]

FEWEST_DAYS = 12
"""So that there is a week to learn from and a day of each other part."""
LEARN_SHARE, CALIBRATE_SHARE, CHOOSE_SHARE = 0.60, 0.10, 0.10
"""Of the rows; the rest judges: a month has five days then, the fewest that versions are compared by."""
SCREENED_METRICS = 12


class Round(NamedTuple):
    """How large candidates are tried, how many of them, and by which share of the budget it ends."""

    trees: int
    hosts: int
    rows: int
    candidates: int
    until: float


ROUNDS = (Round(40, 32, 6_000, 1_000, 0.5), Round(120, 80, 30_000, 10, 0.7), Round(300, 1_000_000, 200_000, 3, 1.0))
_SLOWER = 15.0
"""Most that a candidate of a round takes longer than in the round before."""


@dataclass(frozen=True)
class SearchSettings:
    """`budget_s` of wall time; `false_alarms_per_host_day` is the budget that thresholds are set by."""

    budget_s: float = 540.0
    false_alarms_per_host_day: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse budgets that are none."""
        for name in ("budget_s", "false_alarms_per_host_day"):
            if not 0 < getattr(self, name) < float("inf"):
                raise TrainingError(f"{name}: {getattr(self, name)}: above 0")


@dataclass(frozen=True, eq=False)
class Split:
    """The rows in time order: what is learned from, what thresholds are set by, what candidates are chosen by, what the
    chosen one is judged by.
    """

    learn: Rows
    calibrate: Measured
    choose: Measured
    judge: Measured


@dataclass(frozen=True)
class Tried:
    """One candidate in one round."""

    round: int
    candidate: str
    missed_at_budget: float
    average_precision: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Found:
    """The winner, how it did in the exam on rows that chose nothing, and everything tried; `complete` unless time cut
    the search short.
    """

    model: HealthModel
    fitted: FitSettings
    exam: Exam
    result: Result
    tried: tuple[Tried, ...]
    complete: bool
    longest_lag_hours: int
    notes: tuple[str, ...] = ()


def split(rows: Rows, longest_lag_hours: int) -> Split:
    """Cut rows in time. Raises TrainingError where there are too few days."""
    if rows.days < FEWEST_DAYS:
        raise TrainingError(f"{rows.days:.1f} days of telemetry: at least {FEWEST_DAYS} are needed: a week to learn "
                            "from, and days after it to set thresholds, to choose and to judge by")
    steps, warm = rows.values.shape[1], -(-longest_lag_hours * 60 // rows.step_minutes)
    learned, calibrated = int(LEARN_SHARE * steps), int((LEARN_SHARE + CALIBRATE_SHARE) * steps)
    chosen = int((LEARN_SHARE + CALIBRATE_SHARE + CHOOSE_SHARE) * steps)
    return Split(rows.between(0, learned), _from(rows, learned, calibrated, warm),
                 _from(rows, calibrated, chosen, warm), _from(rows, chosen, steps, warm))


def _from(rows: Rows, first: int, after: int, warm: int) -> Measured:
    begin = max(0, first - warm)
    return Measured(rows.between(begin, after), first - begin)


def usable(
    rows: Rows, targets: Sequence[str], ignore: Sequence[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """Metrics and targets that vary in what is learned from, and a note on each that does not.

    Raises:
        TrainingError: no target is left.

    """
    notes, good = [], []
    values = rows.values[:, : int(LEARN_SHARE * rows.values.shape[1])]
    for at, name in enumerate(rows.metrics):
        known = values[:, :, at][np.isfinite(values[:, :, at])]
        if matches(name, ignore):
            continue
        if len(known) < 100:
            notes.append(f"{name}: left out: {len(known)} values")
        elif float(np.ptp(known)) <= 1e-9 * max(1e-12, float(np.abs(known).max())):
            notes.append(f"{name}: left out: always {known[0]:g}")
        else:
            good.append(name)
    chosen = tuple(name for name in good if matches(name, targets))
    if not chosen:
        raise TrainingError(f"targets: {', '.join(targets)}: none is in the telemetry and varies; it has "
                            f"{', '.join(good) or 'nothing that varies'}" + (f" ({'; '.join(notes)})" if notes else ""))
    return tuple(good), chosen, notes


def answerable(parts: Split, targets: Sequence[str], hosts: Sequence[int]) -> tuple[tuple[str, ...], list[str]]:
    """Targets with values enough on these hosts in every part of the rows, and a note on each that has not.

    Raises:
        TrainingError: no target is left.

    """
    def count(part: Measured) -> npt.NDArray[np.int64]:
        values = part.rows.of(hosts).columns(targets)[:, part.first :]
        return np.asarray(np.isfinite(values).sum(axis=(0, 1)))

    needs = (("to learn from", Measured(parts.learn, 0), FEWEST_LEARNT),
             ("in the days that thresholds are set by", parts.calibrate, FEWEST_CALIBRATED),
             ("in the days that candidates are chosen by", parts.choose, 1),
             ("in the last days, which judge", parts.judge, 1))
    short: dict[str, str] = {}
    for what, part, least in needs:
        for target, values in zip(targets, count(part).tolist(), strict=True):
            if values < least:
                short.setdefault(target, f"{target}: not foretold: {values} values {what} among the hosts that "
                                         f"candidates are tried on first ({len(hosts)}); {least} are needed")
    left = tuple(target for target in targets if target not in short)
    if not left:
        raise TrainingError(f"targets: none has values enough: {'; '.join(short.values())}")
    return left, list(short.values())


def candidates(sets: FeatureSets, metrics: Sequence[str], targets: Sequence[str], screened: Sequence[str],
               seed: int) -> tuple[Candidate, ...]:
    """Every combination once, in an order that the seed fixes, so that a search cut short has seen a bit of all."""
    inputs: dict[tuple[Any, ...], str] = {}
    for name, one in sets.feature_sets.items():
        found = one.choose(metrics)
        if set(found) - set(targets):
            inputs.setdefault((found, one.time, one.lags_hours), name)
    if sets.screened:
        inputs.setdefault((tuple(screened), True, ()), SCREENED)
    if not inputs:
        raise TrainingError(f"feature_sets: {', '.join(sets.feature_sets)}: none has a metric beside the targets; the "
                            f"telemetry has {', '.join(metrics)}")
    made = [
        Candidate(name, chosen, scaling, reduction, ensemble, clock, lags)
        for ((chosen, clock, lags), name), scaling, reduction, ensemble
        in product(inputs.items(), sets.scalings, sets.reductions, sets.ensembles)
        if reduction == "none" or len(set(chosen) - set(targets[:1])) >= FEWEST_COLUMNS]
    order = np.random.default_rng([seed, 3]).permutation(len(made))
    return tuple(made[at] for at in order)


def screen(learn: Rows, metrics: Sequence[str], targets: Sequence[str], seed: int) -> tuple[str, ...]:
    """The metrics that boosted trees use most to predict the targets, sorted by name."""
    import lightgbm

    generator = np.random.default_rng([seed, 4])
    flat = learn.columns(metrics).reshape(-1, len(metrics))
    flat = flat[np.sort(generator.permutation(len(flat))[: ROUNDS[0].rows])]
    gain = np.zeros(len(metrics))
    for target in targets:
        at = list(metrics).index(target)
        known = np.isfinite(flat[:, at])
        others = [column for column in range(len(metrics)) if column != at]
        if not others or known.sum() < 100:
            continue
        settings = {"objective": "regression", "num_threads": 1, "deterministic": True, "force_row_wise": True,
                    "seed": seed, "verbose": -1}
        rows = lightgbm.Dataset(flat[known][:, others], flat[known, at])
        booster = lightgbm.train(settings, rows, num_boost_round=30)
        share = booster.feature_importance("gain")
        gain[others] += share / max(share.sum(), 1e-12)
    best = np.argsort(-gain, kind="stable")[:SCREENED_METRICS]
    return tuple(sorted(metrics[at] for at in best))


class Journal:
    """Candidates that were tried, one JSON line each, safe against a kill at any moment."""

    def __init__(self, path: Path | None) -> None:
        """Read what is there; None keeps nothing."""
        self.path = path
        self.tried: dict[tuple[int, str], Tried] = {}
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    one = Tried(**json.loads(line))
                except (ValueError, TypeError):  # half a line: the run was killed while it wrote
                    continue
                self.tried[one.round, one.candidate] = one

    @staticmethod
    @contextmanager
    def held(path: Path, waiting: Callable[[], None]) -> Iterator[Journal]:
        """The journal of a file, for one process at a time: others wait, and say so by `waiting`. Without a line it is
        gone afterwards.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with path.open("ab") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    waiting()
                    fcntl.flock(file, fcntl.LOCK_EX)
                if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    continue  # whoever held it has cleared it
                try:
                    yield Journal(path)
                finally:
                    if path.exists() and not path.stat().st_size:
                        path.unlink()
                return

    def add(self, one: Tried) -> None:
        """Keep one more."""
        self.tried[one.round, one.candidate] = one
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n" * (file.tell() > 0 and not self._ends_whole()) + json.dumps(asdict(one)) + "\n")

    def _ends_whole(self) -> bool:
        assert self.path is not None
        with self.path.open("rb") as file:
            file.seek(-1, 2)
            return file.read(1) == b"\n"

    def clear(self) -> None:
        """Forget all of it."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def search(rows: Rows, sets: FeatureSets, recorded: Mapping[str, Rows], settings: SearchSettings,
           journal: Journal | None = None, told: Told = lambda _, __: None) -> Found:
    """Find and fit the best candidate for these hosts. `recorded` has the rows of scenarios that name a file.

    The same rows, feature sets and seed give the same model, unless the time cut the search.

    Raises:
        TrainingError: there is nothing to learn from; the message says what is missing.

    """
    run = _Run(rows, sets, recorded, settings, journal or Journal(None), told)
    return run.found()


class _Run:
    """One search."""

    def __init__(self, rows: Rows, sets: FeatureSets, recorded: Mapping[str, Rows], settings: SearchSettings,
                 journal: Journal, told: Told) -> None:
        self._began = time.monotonic()
        self._settings, self._journal, self._told = settings, journal, told
        self._lag = max((lag for chosen in sets.feature_sets.values() for lag in chosen.lags_hours), default=0)
        self._split = split(rows, self._lag)  # first: with too few days, too few values are no fault of the columns
        self._metrics, self._targets, self._notes = usable(rows, sets.targets, sets.ignore)
        self._targets, short = answerable(self._split, self._targets, self._few(0))
        self._notes += short
        self._scenarios, self._recorded = sets.scenarios, recorded
        told("looking for the metrics that predict best", 0.0)
        screened = screen(self._split.learn, self._metrics, self._targets, settings.seed) if sets.screened else ()
        self._candidates = candidates(sets, self._metrics, self._targets, screened, settings.seed)
        self._exams: dict[int, Exam] = {}
        self._best: tuple[tuple[int, str], HealthModel] | None = None

    def found(self) -> Found:
        """All rounds, and the winner of the last one that had any."""
        left, complete, at = list(self._candidates), True, 0
        for number, size in enumerate(ROUNDS):
            ranked, whole = self._round(number, left[: size.candidates])
            complete &= whole
            if not ranked:
                break
            left, at = ranked, number
        winner = left[0]
        fitted = self._fitted(at)
        if self._best is None or self._best[0] != (at, winner.name):
            self._best = ((at, winner.name), self._take(winner, at)[0])
        exam = self._set(self._split.judge, at, self._scenarios)
        tried = tuple(sorted(self._journal.tried.values(), key=lambda one: (one.round, one.candidate)))
        return Found(self._best[1], fitted, exam, take(self._best[1], exam), tried, complete, self._lag,
                     tuple(self._notes))

    def _round(self, number: int, left: Sequence[Candidate]) -> tuple[list[Candidate], bool]:
        """Those tried in this round, the best first, and whether that was all of them."""
        whole = True
        done: list[Candidate] = []
        for at, candidate in enumerate(left):
            key = (number, candidate.name)
            if key not in self._journal.tried:
                if not self._time_for(number, candidate, bool(done)):
                    whole = False
                    break  # in the order of the round before: who is worse is not tried in place of who is better
                began = time.monotonic()
                model, result = self._take(candidate, number)
                figures = result.metrics(self._split.learn.steps_per_day)
                self._journal.add(Tried(number, candidate.name, figures["missed_at_budget"],
                                        figures["average_precision"], time.monotonic() - began))
                self._keep(key, model)
            done.append(candidate)
            share = (number + (at + 1) / len(left)) / len(ROUNDS)
            self._told(f"round {number + 1} of {len(ROUNDS)}: {candidate.name}", share)
        return sorted(done, key=lambda one: self._rank((number, one.name))), whole

    def _rank(self, key: tuple[int, str]) -> tuple[float, float, str]:
        one = self._journal.tried[key]
        return one.missed_at_budget, -one.average_precision, one.candidate

    def _keep(self, key: tuple[int, str], model: HealthModel) -> None:
        """Hold on to the best model of the last round, so that it need not be fitted again."""
        if self._best is None or key[0] > self._best[0][0] or self._rank(key) < self._rank(self._best[0]):
            self._best = key, model

    def _time_for(self, number: int, candidate: Candidate, any_done: bool) -> bool:
        """Whether a candidate would be done in time; the very first is tried however long it takes."""
        spent = time.monotonic() - self._began
        if number == 0:
            return not any_done or spent < ROUNDS[0].until * self._settings.budget_s
        before = self._journal.tried[number - 1, candidate.name].seconds
        known = [one.seconds / self._journal.tried[number - 1, one.candidate].seconds
                 for one in self._journal.tried.values() if one.round == number]
        return spent + before * (max(known) if known else _SLOWER) < ROUNDS[number].until * self._settings.budget_s

    def _fitted(self, number: int) -> FitSettings:
        size = ROUNDS[number]
        return FitSettings(size.trees, size.rows, self._settings.false_alarms_per_host_day, self._settings.seed)

    def _take(self, candidate: Candidate, number: int) -> tuple[HealthModel, Result]:
        """Fit a candidate as large as the round says, and set it to the exam."""
        few = self._few(number)
        learn, calibrate = self._split.learn.of(few), _of(self._split.calibrate, few)
        model = fit(candidate, self._targets, learn, calibrate, self._fitted(number))
        return model, take(model, self._exam(number))

    def _few(self, number: int) -> list[int]:
        """The hosts of a round: the same for every candidate, and those of a round before among them."""
        return few_hosts(self._split.learn, ROUNDS[number].hosts, self._settings.seed)

    def _exam(self, number: int) -> Exam:
        """The exam by which candidates are chosen, on the hosts of a round."""
        if number not in self._exams:
            self._exams[number] = self._set(self._split.choose, number, {})
        return self._exams[number]

    def _set(self, part: Measured, number: int, scenarios: Mapping[str, Scenario]) -> Exam:
        """An exam on a part of the rows and the hosts of a round."""
        return make_exam(_of(part, self._few(number)), self._targets, scenarios, self._recorded, self._settings.seed,
                         self._settings.false_alarms_per_host_day)


def few_hosts(rows: Rows, most: int, seed: int) -> list[int]:
    """So many hosts, drawn by the seed; fewer are among more."""
    order = np.random.default_rng([seed, 5]).permutation(len(rows.hosts))
    return sorted(order[:most].tolist())


def _of(measured: Measured, hosts: Sequence[int]) -> Measured:
    return Measured(measured.rows.of(hosts), measured.first)


def effects(tried: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, float, int]]:
    """What each choice did over the candidates of the first round: part, choice, mean share of faults missed, count."""
    first = [one for one in tried if one["round"] == 0]
    for at, part in enumerate(("feature set", "scaling", "reduction", "ensemble")):
        names = sorted({str(one["candidate"]).split("/")[at] for one in first})
        for name in names:
            own: npt.NDArray[np.float64] = np.array(
                [one["missed_at_budget"] for one in first if str(one["candidate"]).split("/")[at] == name])
            yield part, name, float(own.mean()), len(own)
