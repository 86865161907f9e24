"""What forecast errors of many features remember of the day before, and for how long."""

import numpy as np

from diagnostics.multivariate import MULTIVARIATE_DETECTORS, Pace

DAY = 48


def days(count: int, seed: int) -> np.ndarray:
    """Noise of three features, and a backup that is written for an hour every night."""
    rows = np.random.default_rng(seed).normal(10, 1, (DAY * count, 3))
    rows[np.arange(len(rows)) % DAY < 2] += 15
    return rows


def test_what_happens_every_night_is_no_news_and_is_at_noon() -> None:
    """A backup at its time scores lower than the same load at another."""
    learn = MULTIVARIATE_DETECTORS["forecast_errors"]
    rows = days(4, 2)
    rows[3 * DAY + 24 : 3 * DAY + 26] += 15
    score = learn(days(30, 1), Pace(DAY)).begin().feed(rows)
    assert score[3 * DAY : 3 * DAY + 2].max() < 0.8 * score[3 * DAY + 24 : 3 * DAY + 26].max()


def test_faults_that_last_stand_out_by_the_pace_that_looks_for_them() -> None:
    """Where long faults are looked for, a weak one of a day stands out more against what flickers."""
    learn, rows = MULTIVARIATE_DETECTORS["forecast_errors"], days(6, 3)
    rows[4 * DAY : 5 * DAY] += np.random.default_rng(4).normal(0, 1.5, (DAY, 3))
    rows[2 * DAY + 20] += 6

    def stands_out(lasting: float) -> float:
        score = learn(days(30, 1), Pace(DAY, lasting)).begin().feed(rows)
        return float(np.median(score[4 * DAY + 24 : 5 * DAY]) / score[2 * DAY + 20 : 2 * DAY + 24].max())

    assert stands_out(24.0) > stands_out(1.0)
