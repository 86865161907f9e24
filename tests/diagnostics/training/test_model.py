"""Models of healthy hosts: what they must never depend on, and what they must find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diagnostics.store.skops_file import dump, load
from diagnostics.training.boosting import ENSEMBLES
from diagnostics.training.errors import TrainingError
from diagnostics.training.model import Candidate, FitSettings, HealthModel, Measured, fit, threshold_of
from diagnostics.training.reducing import REDUCTIONS
from diagnostics.training.rows import Rows
from diagnostics.training.scaling import SCALINGS

SETTINGS = FitSettings(40, 4_000, 0.1, 0)


def fitted(rows: Rows, scaling: str = "power", reduction: str = "none", ensemble: str = "linear_then_boosting",
           **changes: object) -> HealthModel:
    candidate = Candidate("all", ("a", "b", "c", "d"), scaling, reduction, ensemble, **changes)  # type: ignore[arg-type]
    day = rows.steps_per_day
    calibrate = Measured(rows.between(8 * day, 11 * day), day)
    return fit(candidate, ["health"], rows.between(0, 9 * day), calibrate, SETTINGS)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_fault_stands_out_and_calm_does_not(linear: Rows, scaling: str, reduction: str) -> None:
    """A health metric away from what the others say is an alarm; days that were not learned from are calm."""
    model = fitted(linear, scaling, reduction)
    later = linear.between(11 * 24, 14 * 24)
    assert model.score(later).alarm.mean() < 0.05
    values = later.values.copy()
    values[2, 30, 4] += 15.0
    assert model.score(replace(later, values=values)).alarm[2, 30]


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_a_model_says_the_same_after_a_file(linear: Rows, ensemble: str) -> None:
    """Predictions are the same bytes after dump and load, and of a second fit of the same rows."""
    model = fitted(linear, ensemble=ensemble)
    back = HealthModel.from_dict(load(dump(model.to_dict())))
    again = fitted(linear, ensemble=ensemble)
    assert back.predictions_sha256() == model.predictions_sha256() == again.predictions_sha256()
    later = linear.between(11 * 24, 14 * 24)
    assert back.score(later).z.tobytes() == model.score(later).z.tobytes()
    assert back.threshold == model.threshold


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_model_holds_no_row_that_it_was_fitted_to(linear: Rows, scaling: str) -> None:
    """What it is tried on is made up within the range of each column: telemetry stays where it is when models go."""
    model = fitted(linear, scaling)
    rows = linear.columns(model.columns)
    assert not np.isin(model.probe, rows).any()
    assert (model.probe.min(axis=(0, 1)) >= rows.min(axis=(0, 1))).all()
    assert (model.probe.max(axis=(0, 1)) <= rows.max(axis=(0, 1))).all()


def test_scores_depend_on_the_past_only(linear: Rows) -> None:
    """Cutting the future off, or changing it, changes no score before it."""
    model = fitted(linear, lags_hours=(24, 1))
    whole = model.score(linear)
    part = model.score(linear.between(0, 200))
    assert np.array_equal(whole.score[:, :200], part.score, equal_nan=True)
    values = linear.values.copy()
    values[:, 200:] *= -3
    assert np.array_equal(model.score(replace(linear, values=values)).score[:, :200], part.score, equal_nan=True)


def test_scores_do_not_depend_on_other_hosts_or_the_order_of_columns(linear: Rows) -> None:
    """Each host by itself, metrics in any order and beside any others."""
    model = fitted(linear)
    whole = model.score(linear).score
    assert np.array_equal(model.score(linear.of([3])).score[0], whole[3])
    order = [4, 2, 0, 3, 1]
    mixed = replace(linear, metrics=(*(linear.metrics[at] for at in order), "more"),
                    values=np.concatenate([linear.values[:, :, order], linear.values[:, :, :1]], axis=2))
    assert np.array_equal(model.score(mixed).score, whole)


def test_gaps_are_met_and_unknown_targets_have_no_score(linear: Rows) -> None:
    """A missing input is still scored, a missing target is not; a metric that is not there counts as missing."""
    model = fitted(linear)
    values = linear.values.copy()
    values[1, 5, 0] = np.nan
    values[1, 6, 4] = np.nan
    scored = model.score(replace(linear, values=values))
    assert np.isfinite(scored.score[1, 5])
    assert np.isnan(scored.score[1, 6])
    assert not scored.alarm[1, 6]
    assert np.isfinite(model.score(replace(linear, metrics=("a", "b", "c", "x", "health"))).score).all()


def test_expected_values_are_in_the_metric_s_own_units(linear: Rows) -> None:
    """What is foreseen is near what is, whatever the scaling."""
    for scaling in SCALINGS:
        expected = fitted(linear, scaling).score(linear).expected[..., 0]
        assert np.abs(expected - linear.values[..., 4]).mean() < 1.0


def test_other_steps_and_too_few_rows_are_refused(linear: Rows) -> None:
    """Nothing is scored on a grid the model was not made for, or fitted to nothing."""
    model = fitted(linear)
    with pytest.raises(TrainingError, match="step_minutes: 30: the model reads steps of 60"):
        model.score(replace(linear, step_minutes=30))
    values = linear.values.copy()
    values[:, : 9 * 24, 4] = np.nan
    with pytest.raises(TrainingError, match=r"health: 0 rows to learn from"):
        fitted(replace(linear, values=values))
    with pytest.raises(TrainingError, match="format 9"):
        HealthModel.from_dict({"format": 9})


def test_thresholds_meet_the_budget_on_average() -> None:
    """Over many draws, the share of further calm scores above the threshold is the budget."""
    generator = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        scores = np.abs(generator.standard_t(4, 800))
        shares.append((scores[400:] > threshold_of(scores[:400], 0.02)).mean())
    assert np.mean(shares) == pytest.approx(0.02, abs=0.003)
    assert threshold_of(np.array([1.0, 3.0, 2.0]), 1e-6) == 3.0
