"""Series too short to be forecast by themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecasting import forecast
from forecasting.history import History
from forecasting.panel import make_panel
from forecasting.young import borrow

START, HOUR = np.datetime64("2026-10-05", "ns"), np.timedelta64(1, "h")
WEEKS = 5


def offices_and_batches(count: int, seed: int) -> np.ndarray:
    """Half of the series work by day, half by night, each of its own size [count, hours]."""
    rng, hours = np.random.default_rng(seed), np.arange(168 * WEEKS)
    shift = np.where(np.arange(count) % 2, 0.0, np.pi)[:, None]
    shape = 1.2 + np.sin(2 * np.pi * hours / 24 + shift)
    return shape * np.exp(rng.normal(3, 1, (count, 1))) * rng.lognormal(0, 0.1, (count, len(hours)))


def frame(values: np.ndarray, name: str, end: int) -> pd.DataFrame:
    ds = pd.date_range("2026-10-05", periods=end, freq="h", tz="UTC")[-len(values) :]
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": values})


ALL = offices_and_batches(30, 1)
END = ALL.shape[1] - 24


def test_a_young_series_borrows_the_shape_of_those_like_it() -> None:
    """From fourteen hours the day ahead is told: the level its own, the shape that of offices or of batches."""
    old = [frame(row[:END], f"s{i:02d}", END) for i, row in enumerate(ALL[:-2])]
    new = [frame(row[END - 14 : END], f"young{i}", END) for i, row in enumerate(ALL[-2:])]
    done = forecast(pd.concat([*old, *new]), 24, (0.1, 0.5, 0.9), n_paths=100)
    for i, row in enumerate(ALL[-2:]):
        said = done.quantiles[done.quantiles["unique_id"] == f"young{i}"]
        truth = row[END:]
        assert np.abs(said["q0.5"] - truth).mean() < 0.15 * truth.mean()
        assert 0.6 < ((said["q0.1"] <= truth) & (truth <= said["q0.9"])).mean() <= 1
        assert done.models[f"young{i}"] == "similar"
        assert np.ptp(done.paths[f"young{i}"][:, 12]) > 0
    notes = done.notes.set_index("unique_id")["note"]
    assert notes["young0"] == ("14 points of history: the level is the series' own, shape and spread are those of "
                               "series like it")


def test_without_others_a_young_series_is_refused() -> None:
    """Alone, or beside too few, it is told what it needs."""
    old = [frame(row[:END], f"s{i}", END) for i, row in enumerate(ALL[:3])]
    done = forecast(pd.concat([*old, frame(ALL[-1, END - 14 : END], "young", END)]), 24, n_paths=0)
    assert done.refused.to_dict("records") == [{"unique_id": "young", "reason": (
        "14 points of history in steps of 60 min; at least 48 are needed, or 10 longer series to borrow from")}]
    alone = forecast(frame(ALL[-1, END - 14 : END], "young", END), 24, n_paths=0)
    assert len(alone.refused) == 1
    assert not len(alone.quantiles)


def test_quantiles_of_young_series_hold_what_they_say() -> None:
    """Over many young series, quantiles rise, are never below 0 and cover their share."""
    old = make_panel([History(f"s{i}", START, HOUR, row[:END]) for i, row in enumerate(ALL)])
    others = offices_and_batches(60, 2)
    begin = START + (END - 12) * HOUR
    young = make_panel([History(f"y{i}", begin, HOUR, row[END - 12 : END]) for i, row in enumerate(others)])
    levels = np.array([0.05, 0.1, 0.5, 0.9, 0.95])
    said = borrow(old, young, 24, levels, 0)[0]
    assert (np.diff(said, axis=2) >= 0).all()
    assert said.min() >= 0
    covered = (others[:, END:, None] <= said).mean(axis=(0, 1))
    np.testing.assert_allclose(covered, levels, atol=0.06)


def test_young_series_are_told_the_same_each_time_beside_any_others_and_in_any_unit() -> None:
    """The same seed gives the same figures, whatever others are there, and bytes are told as gigabytes are."""
    old = make_panel([History(f"s{i}", START, HOUR, row[:END]) for i, row in enumerate(ALL)])
    begin = START + (END - 12) * HOUR
    young = make_panel([History("y", begin, HOUR, ALL[0, END - 12 : END])])
    one, two = (borrow(old, young, 24, np.array([0.5]), seed)[0] for seed in (0, 0))
    np.testing.assert_array_equal(one, two)
    both = make_panel([young.history(0), History("z", begin + 2 * HOUR, HOUR, ALL[1, END - 10 : END])])
    np.testing.assert_array_equal(borrow(old, both, 24, np.array([0.5]), 0)[0][:1], one)
    scaled = make_panel([History("y", begin, HOUR, 1e6 * ALL[0, END - 12 : END])])
    np.testing.assert_allclose(borrow(old, scaled, 24, np.array([0.5]), 0)[0], 1e6 * one, rtol=1e-9)
