"""Sample paths: the quantiles they were made from, and errors that go together as they did before."""

from __future__ import annotations

import numpy as np

from forecasting.history import History
from forecasting.panel import Panel, make_panel
from forecasting.paths import joint_paths

START, HOUR = np.datetime64("2026-10-01T00:00:00", "ns"), np.timedelta64(3_600_000_000_000, "ns")
LEVELS = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
HORIZON = 24


def related(share: float) -> Panel:
    """Two series around a daily wave: `share` of what disturbs them, from day to day, disturbs both."""
    rng, hours = np.random.default_rng(7), np.arange(24 * 60)
    both, own = np.repeat(rng.normal(0, 10, 60), 24), [np.repeat(rng.normal(0, 10, 60), 24) for _ in range(2)]
    shape = 200 + 50 * np.sin(2 * np.pi * hours / 24)
    mixed = [shape + np.sqrt(share) * both + np.sqrt(1 - share) * one + rng.normal(0, 1, hours.size) for one in own]
    return make_panel([History(f"s{i}", START, HOUR, values) for i, values in enumerate(mixed)])


def said_for(panel: Panel) -> np.ndarray:
    """Quantiles [N, H, Q] of a normal forecast around 200."""
    z = np.array([-1.645, -1.282, -0.674, 0.0, 0.674, 1.282, 1.645])
    return np.broadcast_to(200 + 10 * z, (len(panel), HORIZON, len(z))).copy()


def test_paths_have_the_quantiles_of_the_forecast() -> None:
    """Over many paths, the share below each quantile is its level."""
    panel = related(0.5)
    paths, said = joint_paths(panel, said_for(panel), LEVELS, 2000, 1), said_for(panel)
    shares = (paths[..., None] <= said[:, None]).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(shares, LEVELS, atol=0.03)


def test_series_that_moved_together_move_together() -> None:
    """What moved together in the past is correlated across paths, what did not is not."""
    for share, low, high in ((0.95, 0.7, 1.0), (0.0, -0.3, 0.3)):
        panel = related(share)
        one, two = joint_paths(panel, said_for(panel), LEVELS, 1000, 1)
        assert low < np.corrcoef(one.mean(axis=1), two.mean(axis=1))[0, 1] <= high


def test_a_day_that_is_busy_is_busy_throughout() -> None:
    """Errors that last for a day make the mean of a path as uncertain as one of its hours."""
    panel = related(0.5)
    paths = joint_paths(panel, said_for(panel), LEVELS, 1000, 1)[0]
    assert paths.mean(axis=1).std() > 0.7 * paths[:, 12].std()


def test_same_seed_same_paths_and_never_below_zero() -> None:
    """Paths are drawn by the seed alone, and demand is no less than none."""
    panel = related(0.5)
    low = said_for(panel) - 195
    one, two, other = (joint_paths(panel, low, LEVELS, 50, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
    assert one.min() >= 0


def test_levels_that_all_but_coincide_are_taken_as_one() -> None:
    """Two levels a hair apart make no path that is not a number."""
    panel = related(0.5)
    levels = np.array([0.5, 0.9, np.nextafter(0.9, 1.0)])
    said = np.broadcast_to(np.array([200.0, 213.0, 213.0]), (2, HORIZON, 3))
    assert np.isfinite(joint_paths(panel, said, levels, 50, 1)).all()
