"""Claims that every drift test in the registry keeps."""

from collections.abc import Callable

import numpy as np
import pytest

from diagnostics.drift import DRIFT_TESTS, DriftSettings, DriftTest, Verdict, Windows

DAYS = 56
SETTINGS = DriftSettings(false_drift_chance=0.01, seed=3)
RECENT = np.arange(DAYS) >= 28

pytestmark = pytest.mark.parametrize("drift_test", DRIFT_TESTS.values(), ids=DRIFT_TESTS)


def calm(seed: int, within_day: float = 0.0) -> np.ndarray:
    """Days with rhythm, weekends and noise; `within_day` is how strongly an hour follows the hour before."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(DAYS, 24))
    for hour in range(1, 24):
        noise[:, hour] += within_day * noise[:, hour - 1]
    hour, day = np.arange(24), np.arange(DAYS)[:, None]
    return 10 + 3 * np.sin(2 * np.pi * hour / 24) + 4 * (day % 7 >= 5) + noise


def windows(days: np.ndarray) -> Windows:
    return Windows(days[None], RECENT, np.arange(DAYS) % 7)


def one(drift_test: DriftTest, pair: Windows, settings: DriftSettings) -> Verdict:
    (verdict,) = drift_test(pair, settings)
    return verdict


@pytest.mark.parametrize("level", [0.0, 5.0, -1e9])
def test_a_constant_does_not_drift(drift_test: DriftTest, level: float) -> None:
    """Nothing that never moves drifts."""
    assert not one(drift_test, windows(np.full((DAYS, 24), level)), SETTINGS).drifted


@pytest.mark.parametrize("within_day", [0.0, 0.8])
def test_chances_hold_under_calm(drift_test: DriftTest, within_day: float) -> None:
    """Of 200 calm pairs of months with rhythm and dependence, about one in ten has p below 0.1, few below 0.02."""
    verdicts = [one(drift_test, windows(calm(seed, within_day)), DriftSettings(0.1)) for seed in range(200)]
    chances = np.array([verdict.p for verdict in verdicts])
    assert 0.05 <= (chances <= 0.1).mean() <= 0.16
    assert (chances <= 0.02).mean() <= 0.05
    assert sum(verdict.drifted for verdict in verdicts) <= 30


@pytest.mark.parametrize("follows", [0.3, 0.8])
def test_days_that_follow_each_other_raise_no_more_verdicts(drift_test: DriftTest, follows: float) -> None:
    """A level that wanders from day to day is called drift no more often than promised, by three errors."""
    drifted = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        level = generator.normal(size=DAYS)
        for day in range(1, DAYS):
            level[day] = follows * level[day - 1] + np.sqrt(1 - follows**2) * level[day]
        drifted += one(drift_test, windows(calm(seed) + 2 * level[:, None]), DriftSettings(0.05)).drifted
    assert drifted <= 8


@pytest.mark.parametrize(
    "change",
    [lambda days: days + 3.0, lambda days: days - 3.0, lambda days: 12 + 2.5 * (days - 12)],
    ids=["up", "down", "wider"],
)
def test_a_changed_month_is_found(drift_test: DriftTest, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """A shift of a standard deviation, up or down, and a wider spread around the same mean are drift."""
    found = []
    for seed in range(20):
        days = calm(seed)
        days[RECENT] = change(days[RECENT])
        found.append(one(drift_test, windows(days), SETTINGS))
    assert np.mean([verdict.drifted for verdict in found]) >= 0.95
    assert all(verdict.statistic >= verdict.threshold for verdict in found if verdict.drifted)


def test_a_change_too_small_to_matter_is_not_called_drift(drift_test: DriftTest) -> None:
    """A shift of a tenth of a standard deviation is no drift, however many values show it."""
    generator = np.random.default_rng(0)
    days = generator.normal(size=(DAYS, 1440))
    days[RECENT] += 0.1
    verdict = one(drift_test, windows(days), SETTINGS)
    assert verdict.p < 0.002
    assert not verdict.drifted


def test_order_and_seed(drift_test: DriftTest) -> None:
    """The order of days and hours does not change the statistic; the same seed gives the same verdict."""
    days = calm(1)
    days[RECENT] += 2
    first = one(drift_test, windows(days), SETTINGS)
    assert one(drift_test, windows(days), SETTINGS) == first
    shuffled = np.random.default_rng(0).permutation(24)
    assert one(drift_test, windows(days[:, shuffled]), SETTINGS) == first
    order = np.random.default_rng(0).permutation(DAYS)
    moved = one(drift_test, Windows(days[None, order], RECENT[order], (np.arange(DAYS) % 7)[order]), SETTINGS)
    assert moved.statistic == pytest.approx(first.statistic)
    assert moved.drifted == first.drifted


def test_units_and_gaps_do_not_matter(drift_test: DriftTest) -> None:
    """Scale and offset leave the statistic as it is; a tenth of the values missing leaves the verdict."""
    days = calm(2)
    days[RECENT] += 3
    first = one(drift_test, windows(days), SETTINGS)
    assert one(drift_test, windows(days * 8 - 64), SETTINGS).statistic == pytest.approx(first.statistic)
    days[np.random.default_rng(0).random(days.shape) < 0.1] = np.nan
    assert one(drift_test, windows(days), SETTINGS).drifted


def test_other_series_do_not_matter(drift_test: DriftTest) -> None:
    """A series gets the same verdict alone and among others, in any order."""
    stack = np.stack([calm(seed) for seed in range(6)])
    stack[1, RECENT] += 3
    stack[4, RECENT] += 1
    whole = drift_test(Windows(stack, RECENT, np.arange(DAYS) % 7), SETTINGS)
    order = [4, 2, 1, 5, 0, 3]
    assert drift_test(Windows(stack[order], RECENT, np.arange(DAYS) % 7), SETTINGS) == tuple(whole[at] for at in order)
    assert [one(drift_test, windows(days), SETTINGS) for days in stack] == list(whole)
    assert [verdict.drifted for verdict in whole] == [False, True, False, False, True, False]


def test_the_input_is_unchanged(drift_test: DriftTest) -> None:
    """The windows may be read-only, and a month without any value is no error."""
    days = calm(2)
    days.flags.writeable = False
    one(drift_test, windows(days), SETTINGS)
    assert not one(drift_test, windows(np.full((DAYS, 24), np.nan)), SETTINGS).drifted


@pytest.mark.parametrize("chance", [0.0, 1.0, -0.1, float("nan")])
def test_a_chance_that_is_none_is_refused(drift_test: DriftTest, chance: float) -> None:
    """The chance of a false drift lies strictly between 0 and 1."""
    with pytest.raises(ValueError, match="false_drift_chance"):
        DriftSettings(chance)
