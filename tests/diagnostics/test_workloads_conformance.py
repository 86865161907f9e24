"""Claims that the detector of every kind of workload keeps, on numbers of its kind."""

import numpy as np
import pytest

from diagnostics.detectors import DetectorSettings
from diagnostics.workloads import WORKLOAD_DETECTORS

DAYS, DAY = 8 * 7, 24
STEPS = DAYS * DAY
BUDGET = DetectorSettings(false_alarms_per_day=0.1, steps_per_day=DAY)
AT = STEPS - 30
KINDS = list(WORKLOAD_DETECTORS)


def calm(kind: str, rows: int, seed: int = 3) -> np.ndarray:
    """Numbers of a kind of workload on calm days."""
    generator = np.random.default_rng(seed)
    hour = np.arange(STEPS)
    rhythm = 1 + 0.5 * np.sin(2 * np.pi * hour / DAY) - 0.3 * (hour // DAY % 7 >= 5)
    if kind == "etl":
        return np.round(10_000 * rhythm * generator.lognormal(0, 0.1, size=(rows, STEPS)))
    if kind == "serving":
        return generator.poisson(400 * rhythm, size=(rows, STEPS)).astype(float)
    if kind == "training":
        return 1 / (1 + np.exp(-2.5 - 0.3 * generator.normal(size=(rows, STEPS))))
    return 7 + 0.05 * generator.normal(size=(rows, STEPS)).cumsum(axis=1) + generator.normal(size=(rows, STEPS))


def ill(kind: str, values: np.ndarray) -> np.ndarray:
    """The same with a fault of the kind from step AT on."""
    values = values.copy()
    if kind == "training":
        values[:, AT:] = 1 / (1 + np.exp(-(np.log(values[:, AT:] / (1 - values[:, AT:])) - 1.5)))
    else:
        values[:, AT:] = values[:, AT:] + 12 if kind == "feature" else values[:, AT:] * 0.2
    return values


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_is_found_within_four_steps(kind: str) -> None:
    """Lost rows, a jump, a fall of precision and lost requests alarm, with a z of the right sign."""
    scores = WORKLOAD_DETECTORS[kind](ill(kind, calm(kind, 20)), BUDGET)
    found = scores.alarm[:, AT : AT + 4]
    assert found.any(axis=1).mean() >= 0.95
    assert (np.sign(scores.z[:, AT : AT + 4][found]) == (1 if kind == "feature" else -1)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_false_alarms_stay_near_the_budget(kind: str) -> None:
    """Calm days raise at most half again as many alarms as allowed."""
    scores = WORKLOAD_DETECTORS[kind](calm(kind, 40), BUDGET)
    days = np.isfinite(scores.p).sum() / DAY
    assert days > 40 * (DAYS - 12)
    assert scores.alarm.sum() / days <= 1.5 * BUDGET.false_alarms_per_day


@pytest.mark.parametrize("kind", KINDS)
def test_the_future_is_not_read(kind: str) -> None:
    """Cutting the future off, or changing it, changes no score before it by a bit."""
    detect, values = WORKLOAD_DETECTORS[kind], calm(kind, 4)
    whole = detect(values, BUDGET)
    for other in (detect(ill(kind, values), BUDGET), detect(values[:, :AT], BUDGET)):
        for one, two in ((whole.p, other.p), (whole.z, other.z), (whole.expected, other.expected)):
            assert np.array_equal(one[:, :AT], two[:, :AT], equal_nan=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_constant_raises_no_alarm(kind: str, level: float) -> None:
    """What never moves raises no alarm."""
    assert not WORKLOAD_DETECTORS[kind](np.full((1, STEPS), level), BUDGET).alarm.any()


@pytest.mark.parametrize("kind", KINDS)
def test_gaps_and_other_series_do_not_matter(kind: str) -> None:
    """A missing value is no alarm, the input stays as it is, and a series is scored alike alone and among others."""
    values = calm(kind, 6)
    values[np.random.default_rng(1).random(values.shape) < 0.1] = np.nan
    values[5] = np.nan
    values.flags.writeable = False
    scores = WORKLOAD_DETECTORS[kind](values, BUDGET)
    assert not scores.alarm[np.isnan(values)].any()
    assert not np.isfinite(scores.p[5]).any()
    np.testing.assert_allclose(WORKLOAD_DETECTORS[kind](values[2:3], BUDGET).p, scores.p[2:3], rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [0, 1, 5, 24, 200, 230])
def test_any_length_is_accepted(kind: str, steps: int) -> None:
    """Short histories give scores of their length."""
    assert WORKLOAD_DETECTORS[kind](calm(kind, 2)[:, :steps], BUDGET).alarm.shape == (2, steps)


@pytest.mark.parametrize(("kind", "value"), [("etl", -1.0), ("serving", -1.0), ("training", 1.1), ("training", -0.1),
                                             ("etl", np.inf)])
def test_numbers_that_are_none_of_the_kind_are_refused(kind: str, value: float) -> None:
    """Counts below 0 and shares outside 0..1 are refused with their place."""
    values = np.full((2, 50), 0.5)
    values[1, 30] = value
    with pytest.raises(ValueError, match="series 1, step 30"):
        WORKLOAD_DETECTORS[kind](values, BUDGET)


def test_a_single_bad_batch_of_a_feature_alarms_once() -> None:
    """A spike is news when it comes, not when it goes."""
    values = calm("feature", 10)
    values[:, AT] += 15
    alarm = WORKLOAD_DETECTORS["feature"](values, BUDGET).alarm
    assert alarm[:, AT].all()
    assert alarm[:, AT + 1 : AT + 6].sum() <= 1


def test_better_precision_is_no_alarm() -> None:
    """A model that gets better raises nothing."""
    values = calm("training", 10)
    values[:, AT:] = 0.999
    assert WORKLOAD_DETECTORS["training"](values, BUDGET).alarm[:, AT:].sum() == 0


def test_a_day_like_last_year_is_no_alarm() -> None:
    """A holiday that halved the load last year may do so again; one that never was may not."""
    hours = 380 * DAY
    values = np.random.default_rng(1).poisson(400, size=(2, hours)).astype(float)
    holiday = slice(372 * DAY, 373 * DAY)
    values[:, holiday] = np.round(values[:, holiday] * 0.4)
    last_year = slice(8 * DAY, 9 * DAY)
    values[0, last_year] = np.round(values[0, last_year] * 0.4)
    alarm = WORKLOAD_DETECTORS["serving"](values, BUDGET).alarm[:, holiday]
    assert alarm[1].mean() > 0.9
    assert alarm[0].sum() <= 2
