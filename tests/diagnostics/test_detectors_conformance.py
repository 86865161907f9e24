"""Claims that every detector in the registry keeps."""

import numpy as np
import pytest

from diagnostics.detectors import DETECTORS, Detector, DetectorSettings

WEEKS, HOURS = 10, 10 * 168
SETTINGS = DetectorSettings(false_alarms_per_day=0.1)

pytestmark = pytest.mark.parametrize("detect", DETECTORS.values(), ids=DETECTORS)


def seasonal(rows: int, seed: int = 7, noise: str = "normal") -> np.ndarray:
    """Hourly series with a daily and weekly rhythm and independent noise of unit scale."""
    generator = np.random.default_rng(seed)
    hour = np.arange(HOURS)
    rhythm = 20 + 5 * np.sin(2 * np.pi * hour / 24) + 3 * (hour // 24 % 7 >= 5)
    draw = {
        "normal": generator.normal,
        "laplace": generator.laplace,
        "student": lambda size: generator.standard_t(4, size=size),
        "skewed": lambda size: generator.lognormal(0, 0.6, size=size),
    }[noise]
    return rhythm + draw(size=(rows, HOURS))


def test_a_constant_series_raises_no_alarm(detect: Detector) -> None:
    """A series that never moves raises no alarm, whatever its level."""
    values = np.repeat(np.array([[0.0], [1.0], [-3.5], [1e12], [1e-12]]), HOURS, axis=1)
    assert not detect(values, SETTINGS).alarm.any()


def test_rounding_of_a_constant_series_raises_no_alarm(detect: Detector) -> None:
    """Changes in the last bits of a constant are not news."""
    values = np.full((1, HOURS), 0.1)
    values[0, -20:] = 0.1 + 1e-16
    values[0, -10:] = np.nextafter(0.1, 1)
    assert not detect(values, SETTINGS).alarm.any()


@pytest.mark.parametrize("noise", ["normal", "laplace", "student", "skewed"])
@pytest.mark.parametrize("budget", [0.02, 0.1, 0.5])
def test_false_alarms_stay_near_the_budget(detect: Detector, noise: str, budget: float) -> None:
    """Calm noise, heavy-tailed or skewed too, raises at most half again as many alarms a day as the budget allows."""
    scores = detect(seasonal(60, noise=noise), DetectorSettings(budget))
    scored_days = np.isfinite(scores.p).sum() / 24
    assert scores.alarm.sum() / scored_days <= 1.5 * budget
    assert scored_days > 60 * 50


@pytest.mark.parametrize("size", [-8.0, 8.0, 30.0])
def test_a_spike_is_found(detect: Detector, size: float) -> None:
    """A single hour eight standard deviations away is an alarm, in either direction."""
    values = seasonal(20)
    values[:, -30] += size
    scores = detect(values, SETTINGS)
    assert scores.alarm[:, -30].mean() >= 0.9
    assert (np.sign(scores.z[:, -30]) == np.sign(size)).all()


def test_a_shift_is_found_and_keeps_alarming(detect: Detector) -> None:
    """A level that moves by six standard deviations alarms for most of its first three days."""
    values = seasonal(20)
    values[:, -72:] += 6.0
    assert detect(values, SETTINGS).alarm[:, -72:].mean() > 0.8


def test_an_old_spike_does_not_hide_a_new_one(detect: Detector) -> None:
    """Ten bad hours a month ago do not make the same again look normal."""
    values = seasonal(10)
    values[:, -700:-690] += 15.0
    values[:, -30] += 15.0
    assert detect(values, SETTINGS).alarm[:, -30].all()


def test_the_first_week_is_not_scored(detect: Detector) -> None:
    """While there is nothing to compare with, there is no score and no alarm, and the detector says how long."""
    values = seasonal(3)
    values[:, 50] += 100
    scores = detect(values, SETTINGS)
    first = int(scores.needs_days * 24)
    assert first >= 7 * 24
    assert not scores.alarm[:, :first].any()
    assert np.isnan(scores.p[:, :first]).all()
    assert np.isfinite(scores.p[:, first:]).all()


@pytest.mark.parametrize("hours", [1, 23, 168, 9 * 24, 9 * 24 + 1])
def test_any_length_is_accepted(detect: Detector, hours: int) -> None:
    """Short series give shapes of their own length."""
    scores = detect(seasonal(2)[:, :hours], SETTINGS)
    assert scores.p.shape == scores.alarm.shape == scores.expected.shape == (2, hours)


def test_gaps_are_tolerated(detect: Detector) -> None:
    """A fifth of the values missing leaves the rest scored, and a missing value is never an alarm."""
    values = seasonal(20)
    lost = np.random.default_rng(1).random(values.shape) < 0.2
    values[lost] = np.nan
    values[0] = np.nan
    values[1, : HOURS // 2] = np.nan
    scores = detect(values, SETTINGS)
    assert not scores.alarm[lost].any()
    assert np.isnan(scores.p[0]).all()
    assert np.isfinite(scores.p[2:, 500:][~lost[2:, 500:]]).mean() > 0.99
    assert scores.alarm.sum() / (np.isfinite(scores.p).sum() / 24) <= 1.5 * SETTINGS.false_alarms_per_day


def test_the_future_is_not_read(detect: Detector) -> None:
    """Scores of the past stay the same, to the bit, when later values change or arrive."""
    values = seasonal(5)
    changed = values.copy()
    changed[:, 1200:] += 50
    whole, other, short = detect(values, SETTINGS), detect(changed, SETTINGS), detect(values[:, :1200], SETTINGS)
    for scores in (other, short):
        assert np.array_equal(whole.p[:, :1200], scores.p[:, :1200], equal_nan=True)
        assert np.array_equal(whole.expected[:, :1200], scores.expected[:, :1200], equal_nan=True)


def test_other_series_do_not_matter(detect: Detector) -> None:
    """A series is scored alike alone, among others, and in another order."""
    values = seasonal(6)
    order = [3, 0, 5, 1, 4, 2]
    whole = detect(values, SETTINGS)
    assert np.array_equal(detect(values[order], SETTINGS).p, whole.p[order], equal_nan=True)
    assert np.array_equal(detect(values[2:3], SETTINGS).p, whole.p[2:3], equal_nan=True)


def test_units_do_not_matter(detect: Detector) -> None:
    """Kelvin or Celsius, seconds or milliseconds: the same steps alarm."""
    values = seasonal(5)
    values[:, -5] += 9
    whole = detect(values, SETTINGS)
    assert np.array_equal(detect(values * 1024 + 4096, SETTINGS).alarm, whole.alarm)


def test_the_input_is_unchanged_and_the_answer_repeats(detect: Detector) -> None:
    """Scoring twice gives the same bits and leaves the values as they were."""
    values = seasonal(3)
    values.flags.writeable = False
    first, second = detect(values, SETTINGS), detect(values, SETTINGS)
    assert np.array_equal(first.p, second.p, equal_nan=True)
    assert np.array_equal(first.z, second.z, equal_nan=True)


def test_chances_are_chances(detect: Detector) -> None:
    """Every p lies in 0..1, every alarm has a finite z, and calm p values are not smaller than uniform ones."""
    scores = detect(seasonal(30), SETTINGS)
    known = scores.p[np.isfinite(scores.p)]
    assert known.min() >= 0
    assert known.max() <= 1
    assert np.isfinite(scores.z[scores.alarm]).all()
    for level in (0.5, 0.1, 0.01):
        assert (known <= level).mean() <= 1.15 * level


def test_a_metric_that_leaves_a_constant_is_found_once(detect: Detector) -> None:
    """A counter that was always zero alarms when it moves, and rare bursts that go on become usual."""
    values = np.zeros((1, HOURS))
    values[0, 600::60] = 5.0
    scores = detect(values, SETTINGS)
    assert scores.alarm[0, 600]
    assert scores.alarm[0].sum() <= 4


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan"), 25.0])
def test_a_budget_that_is_none_is_refused(detect: Detector, budget: float) -> None:
    """Zero, negative, NaN or more than one alarm a step are no budgets."""
    with pytest.raises(ValueError, match="false_alarms_per_day"):
        DetectorSettings(budget)
