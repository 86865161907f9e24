"""Claims of the online drift test: causal, few false alarms, short delays, whatever the distribution."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.drift.alternatives import CELLS, alternatives
from diagnostics.drift.online import WARM_UP, Change, OnlineDrift, OnlineSettings, online_changes

POINTS = 100_000


def following(generator: np.random.Generator, follows: float, points: int) -> np.ndarray:
    from scipy.signal import lfilter

    return np.asarray(lfilter([np.sqrt(1 - follows**2)], [1, -follows], generator.normal(size=points)))


CALM: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "normal": lambda generator: generator.normal(size=POINTS),
    "Cauchy": lambda generator: generator.standard_cauchy(POINTS),
    "exponential": lambda generator: generator.exponential(size=POINTS),
    "errors": lambda generator: (generator.random(POINTS) < 0.2).astype(float),
    "counts": lambda generator: generator.poisson(3, POINTS).astype(float),
    "constant": lambda _: np.full(POINTS, 3.7),
    "follows 0.9": lambda generator: following(generator, 0.9, POINTS),
    "rhythm": lambda generator: 2 * np.sin(np.arange(POINTS) * 2 * np.pi / 24) + generator.normal(size=POINTS),
}


@pytest.mark.parametrize("name", CALM)
def test_a_calm_stream_raises_about_two_alarms_in_100k_points(name: str) -> None:
    """At most five in one stream of 100,000 points, whose mean by the budget is two or fewer."""
    assert len(online_changes(CALM[name](np.random.default_rng(5)))) <= 5


@pytest.mark.parametrize(
    ("change", "kind", "most"),
    [
        (lambda calm, _: calm + 1, "level", 40),
        (lambda calm, _: calm - 1, "level", 40),
        (lambda calm, _: calm * np.sqrt(2), "spread", 100),
        (lambda calm, generator: generator.uniform(-np.sqrt(3), np.sqrt(3), len(calm)), "shape", 110),
        (lambda calm, generator: generator.exponential(1, len(calm)) - 1, "shape", 60),
        (lambda calm, generator: calm * np.sqrt(0.19) + 0.9 * generator.choice([-1, 1], len(calm)), "shape", 80),
    ],
    ids=["up", "down", "wider", "uniform", "skewed", "two peaks"],
)
def test_changes_are_found_soon_and_named(
    change: Callable[[np.ndarray, np.random.Generator], np.ndarray], kind: str, most: int
) -> None:
    """The mean delay over 20 streams keeps to its limit; most changes get the right kind and a near beginning."""
    found: list[Change] = []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        calm = generator.normal(size=3600)
        calm[3000:] = change(calm[3000:], generator)
        after = [alarm for alarm in online_changes(calm) if alarm.at >= 3000]
        found += after[:1]
    assert len(found) >= 19
    assert np.mean([alarm.at - 3000 for alarm in found]) <= most
    assert np.mean([alarm.kind == kind for alarm in found]) >= 0.6
    assert np.median([abs(alarm.since - 3000) for alarm in found]) <= 25


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 4000), max_size=6))
@settings(max_examples=15, deadline=None)
def test_pieces_and_the_future_change_nothing(seed: int, cuts: list[int]) -> None:
    """Fed in any pieces it says the same, and what it said of a beginning stays when the rest comes."""
    generator = np.random.default_rng(seed)
    stream = generator.normal(size=4000)
    stream[2000:] += 1.5
    stream[3200:] *= 3
    stream[generator.random(4000) < 0.05] = np.nan
    whole = online_changes(stream)
    monitor = OnlineDrift()
    pieces = [alarm for piece in np.split(stream, sorted(cuts)) for alarm in monitor.feed(piece)]
    assert tuple(pieces) == whole
    for cut in cuts:
        assert online_changes(stream[:cut]) == tuple(alarm for alarm in whole if alarm.at < cut)


@given(st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
@settings(max_examples=10, deadline=None)
def test_units_do_not_matter(scale: float, offset: float) -> None:
    """Scale and offset leave the alarms where they are, give or take what rounding does to ranks."""
    stream = np.random.default_rng(1).normal(size=3000)
    stream[2000:] += 1
    moved = online_changes(stream * scale + offset * scale)
    assert [alarm.kind for alarm in moved] == [alarm.kind for alarm in online_changes(stream)]


def test_any_move_of_a_constant_is_found_at_once() -> None:
    """A counter that always said 5 and then says 5.1 is reported within five points."""
    stream = np.full(2000, 5.0)
    stream[1500:] = 5.1
    (first, *_) = online_changes(stream)
    assert 1500 <= first.at <= 1505


def test_a_short_stream_and_gaps_are_no_alarm() -> None:
    """There is no baseline before the warm-up is over, and nothing but gaps never ends it."""
    assert online_changes(np.r_[np.zeros(WARM_UP // 2), np.full(WARM_UP // 4, 9.0)]) == ()
    assert online_changes(np.full(5000, np.nan)) == ()
    assert online_changes([]) == ()


def test_errors_of_a_model_are_watched_upwards_only() -> None:
    """With `only_up` a model that gets better raises no alarm, one that gets worse does."""
    generator = np.random.default_rng(3)
    up = OnlineSettings(only_up=True)
    late = []
    for _ in range(10):
        error = (generator.random(4000) < np.where(np.arange(4000) < 2000, 0.3, 0.1)).astype(float)
        assert online_changes(error, up) == ()
        late += [alarm.at - 2000 for alarm in online_changes(error[::-1], up)][:1]
    assert len(late) == 10
    assert min(late) > 0
    assert np.mean(late) <= 100


def test_alternatives_are_densities() -> None:
    """Every density ratio has mean 1 and no zero, and the weights add up to 1."""
    for only_up in (False, True):
        known = alternatives(only_up)
        assert known.ratio.shape == (CELLS, len(known.weight))
        assert np.allclose(known.ratio.mean(axis=0), 1)
        assert (known.ratio > 0).all()
        assert known.weight.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"false_alarms_per_100k": 0}, "false_alarms_per_100k: 0"), ({"period": 5000}, "period: 5000"),
     ({"period": -1}, "period: -1")],
)
def test_wrong_settings_are_refused(wrong: dict[str, float], says: str) -> None:
    """The message names the field, the value and what is allowed."""
    with pytest.raises(ValueError, match=says):
        OnlineSettings(**wrong)


@pytest.mark.parametrize("values", [np.array([1.0, np.inf]), np.zeros((2, 2))])
def test_wrong_values_are_refused(values: np.ndarray) -> None:
    """A stream is a row of finite numbers or NaN."""
    with pytest.raises(ValueError, match="values: shape"):
        online_changes(values)
