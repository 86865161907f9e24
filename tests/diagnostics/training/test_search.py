"""The search: repeatable, in time order, resumed after a kill, and clear about what it cannot do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from diagnostics.training.errors import TrainingError
from diagnostics.training.exam import make_exam
from diagnostics.training.features import FeatureSets, parse_feature_sets
from diagnostics.training.model import Measured
from diagnostics.training.rows import Allowed, Rows, rows_of
from diagnostics.training.search import (
    Found,
    Journal,
    SearchSettings,
    answerable,
    candidates,
    effects,
    screen,
    search,
    split,
    usable,
)

Telemetry = Callable[..., pd.DataFrame]
LONG = SearchSettings(budget_s=1e5)
"""Time enough, however busy the machine is."""
SMALL = yaml.safe_load(Path(__file__).with_name("small.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def fleet(telemetry: Telemetry) -> Rows:
    return rows_of(telemetry(), Allowed())


def test_splits_are_in_time_order_and_share_no_step(fleet: Rows) -> None:
    """What thresholds are set by comes after what is learned from, what is chosen by after that, what judges last."""
    parts = split(fleet, 24)
    step = np.timedelta64(60, "m")
    end = parts.learn.start + parts.learn.values.shape[1] * step
    assert parts.calibrate.rows.start + parts.calibrate.first * step == end
    calibrated = parts.calibrate.rows.start + parts.calibrate.rows.values.shape[1] * step
    assert parts.choose.rows.start + parts.choose.first * step == calibrated
    chosen = parts.choose.rows.start + parts.choose.rows.values.shape[1] * step
    assert parts.judge.rows.start + parts.judge.first * step == chosen
    end = fleet.start + fleet.values.shape[1] * step
    assert parts.judge.rows.start + parts.judge.rows.values.shape[1] * step == end
    assert parts.calibrate.first == parts.choose.first == parts.judge.first == 24
    for part, share in ((parts.choose, 0.1), (parts.judge, 0.2)):
        assert part.rows.values.shape[1] - 24 == pytest.approx(share * fleet.values.shape[1], abs=2)


@pytest.mark.parametrize("steps", range(288, 336))
def test_every_part_of_the_fewest_rows_has_a_day(linear: Rows, steps: int) -> None:
    """From twelve days on there are a week to learn from and a day of each other part, whatever hour they end at."""
    parts = split(linear.between(0, steps), 0)
    assert parts.learn.days >= 7
    assert min(part.rows.days for part in (parts.calibrate, parts.choose, parts.judge)) >= 1


def test_rows_that_judge_choose_nothing(fleet: Rows, small_sets: FeatureSets, searched: tuple[Found, str]) -> None:
    """Other rows at the end: the same candidates in the same order and the same model, judged otherwise."""
    values = fleet.values.copy()
    values[:, -split(fleet, 0).judge.rows.values.shape[1] :] *= 1.5
    other = search(replace(fleet, values=values), small_sets, {}, LONG)
    assert [replace(tried, seconds=0) for tried in other.tried] == [
        replace(tried, seconds=0) for tried in searched[0].tried]  # fmt: skip
    assert other.model.predictions_sha256() == searched[0].model.predictions_sha256()
    assert other.result.metrics(24)["relative_error"] > searched[0].result.metrics(24)["relative_error"]


@pytest.fixture(scope="module")
def searched(fleet: Rows, tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, str]:
    """One search to the end, and its journal."""
    journal = tmp_path_factory.mktemp("runs") / "one.jsonl"
    found = search(fleet, parse_feature_sets(SMALL), {}, LONG, Journal(journal))
    return found, journal.read_text()


def test_the_same_search_again_gives_the_same_model(
    fleet: Rows, small_sets: FeatureSets, searched: tuple[Found, str]
) -> None:
    """Same rows, sets and seed: same candidate, same predictions, byte by byte."""
    one, two = searched[0], search(fleet, small_sets, {}, LONG)
    assert one.complete
    assert one.model.candidate == two.model.candidate
    assert one.model.predictions_sha256() == two.model.predictions_sha256()
    assert [replace(tried, seconds=0) for tried in one.tried] == [replace(tried, seconds=0) for tried in two.tried]
    assert {tried.round for tried in one.tried} == {0, 1, 2}
    parts = [part for part, *_ in effects([vars(tried) for tried in one.tried])]
    assert parts == ["feature set"] * 2 + ["scaling"] * 2 + ["reduction"] * 2 + ["ensemble"]


def test_a_killed_search_goes_on_where_it_was(
    fleet: Rows, small_sets: FeatureSets, searched: tuple[Found, str], tmp_path: Path
) -> None:
    """Whatever line it was killed at, half-written or not, the same model comes out and nothing is tried twice."""
    journal = tmp_path / "one.jsonl"
    whole, lines = searched[0], searched[1].splitlines()
    assert len(lines) == len(whole.tried)
    journal.write_text("\n".join(lines[:10]) + "\n" + lines[10][:20])
    again = search(fleet, small_sets, {}, LONG, Journal(journal))
    assert again.model.predictions_sha256() == whole.model.predictions_sha256()
    kept = [json.loads(line) for line in journal.read_text().splitlines() if line.endswith("}")]
    assert kept[:10] == [json.loads(line) for line in lines[:10]]
    assert len({(one["round"], one["candidate"]) for one in kept}) == len(kept) == len(lines)


def test_a_search_without_time_still_has_a_model(fleet: Rows, small_sets: FeatureSets) -> None:
    """At least one candidate is tried, and the answer says that time cut the search."""
    found = search(fleet, small_sets, {}, SearchSettings(budget_s=1e-3))
    assert not found.complete
    assert len(found.tried) == 1
    assert np.isfinite(found.model.threshold)


def test_candidates_are_all_combinations_once(fleet: Rows, small_sets: FeatureSets) -> None:
    """Every set × scaling × reduction × ensemble; two sets with the same inputs count as one."""
    metrics, targets, _ = usable(fleet, small_sets.targets, small_sets.ignore)
    made = candidates(small_sets, metrics, targets, (), 0)
    assert len({one.name for one in made}) == len(made) == 2 * 2 + 2  # two inputs are too few to reduce
    told = small_sets.model_dump(by_alias=True)
    told["feature_sets"]["again"] = told["feature_sets"]["io"]
    assert len(candidates(parse_feature_sets(told), metrics, targets, (), 0)) == len(made)
    nothing = told | {"feature_sets": {"x": {"metrics": ["nothing"]}}}
    with pytest.raises(TrainingError, match="x: none has a metric beside the targets"):
        candidates(parse_feature_sets(nothing), metrics, targets, (), 0)


def test_screening_finds_what_predicts(linear: Rows) -> None:
    """Of metrics at random, those that health is made of come first."""
    names = tuple(f"noise{at:02d}" for at in range(20))
    noise = np.random.default_rng(1).normal(size=(*linear.values.shape[:2], 20))
    rows = replace(linear, metrics=(*linear.metrics, *names), values=np.concatenate([linear.values, noise], axis=2))
    chosen = screen(rows, rows.metrics, ["health"], 0)
    assert {"a", "b"} <= set(chosen)
    assert len(chosen) == 12


def test_constant_empty_and_missing_metrics_are_left_out_by_name(linear: Rows, small_sets: FeatureSets) -> None:
    """Notes say what was left out; without any target it is refused."""
    values = linear.values.copy()
    values[..., 2] = 7.0
    values[..., 3] = np.nan
    rows = replace(linear, values=values)
    metrics, targets, notes = usable(rows, ["health"])
    assert (metrics, targets) == (("a", "b", "health"), ("health",))
    assert notes == ["c: left out: always 7", "d: left out: 0 values"]
    with pytest.raises(TrainingError, match=r"targets: c: none is in the telemetry and varies; it has a, b, health"):
        usable(rows, ["c"])


@pytest.mark.parametrize(("first", "after", "what"), [
    (203, 235, "16 values in the days that thresholds are set by"), (235, 268, "0 values in the days that candidates"),
    (268, 336, "0 values in the last days, which judge")])
def test_a_target_with_few_rows_is_left_out_by_name_and_the_others_are_foretold(
    linear: Rows, first: int, after: int, what: str
) -> None:
    """One counter that was seldom sent does not keep a hardware class without a model."""
    values = linear.values.copy()
    values[:, first:after, 3] = np.nan
    rows = replace(linear, values=values)
    sets = parse_feature_sets(SMALL | {"targets": ["health", "d"], "scenarios": {},
                                       "feature_sets": {"io": {"metrics": ["a", "b", "c"]}}})
    found = search(rows, sets, {}, SearchSettings(budget_s=1e-6))
    assert found.model.targets == ("health",)
    (note,) = found.notes
    assert note.startswith(f"d: not foretold: {what}")
    with pytest.raises(TrainingError, match=r"targets: none has values enough: d: not foretold"):
        search(rows, sets.model_copy(update={"targets": ("d",)}), {}, SearchSettings(budget_s=1e-6))


def test_a_target_that_few_hosts_send_is_told_by_its_hosts(linear: Rows) -> None:
    """Values enough at large do not help where none is on the hosts that candidates are tried on."""
    values = linear.values.copy()
    values[0, :, 3] = np.nan
    left, notes = answerable(split(replace(linear, values=values), 0), ("health", "d"), [0])
    assert left == ("health",)
    (note,) = notes
    assert note == ("d: not foretold: 0 values to learn from among the hosts that candidates are tried on first (1); "
                    "100 are needed")


def test_the_first_week_is_refused_with_what_is_missing(linear: Rows) -> None:
    """Without a baseline there is no model, and the message says how many days are needed."""
    with pytest.raises(TrainingError, match=r"7.0 days of telemetry: at least 12"):
        split(linear.between(0, 7 * 24), 0)


def test_exams_are_the_same_for_everybody_and_touch_targets_only(fleet: Rows, small_sets: FeatureSets) -> None:
    """Faults come from the seed, lie after the first day, and change health metrics alone."""
    calm = Measured(fleet, 24)
    one, two = (make_exam(calm, ["queue_depth"], small_sets.scenarios, {}, 5, 0.02) for _ in range(2))
    assert one.sha256 == two.sha256
    assert np.array_equal(one.fault, two.fault)
    changed = one.faulty.values != fleet.values
    assert changed[:, :, fleet.metrics.index("queue_depth")].sum() == (one.fault > 0).sum() > 0
    assert not changed[:, :24].any()
    assert not np.delete(changed, fleet.metrics.index("queue_depth"), axis=2).any()
    other = make_exam(calm, ["queue_depth"], small_sets.scenarios, {}, 6, 0.02)
    assert other.sha256 != one.sha256
    with pytest.raises(TrainingError, match=r"scenarios.slow-disk: 'read_latency_ms' is not in the telemetry"):
        make_exam(Measured(replace(fleet, metrics=tuple(f"x{at}" for at in range(len(fleet.metrics)))), 24), ["x1"],
                  small_sets.scenarios, {}, 5, 0.02)


@pytest.mark.parametrize("name", ["budget_s", "false_alarms_per_host_day"])
def test_budgets_that_are_none_are_refused(name: str) -> None:
    """Above 0, and finite."""
    for value in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(TrainingError, match=name):
            SearchSettings(**{name: value})
