"""Claims that every streaming detector in the registry keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.streaming import STREAM_DETECTORS, StreamDetector, StreamSettings

SETTINGS = StreamSettings(learn_steps=400, rest_steps=60, steps_per_day=96)
STEPS = 2400

pytestmark = pytest.mark.parametrize("begin", STREAM_DETECTORS.values(), ids=STREAM_DETECTORS)


def daily(seed: int = 3) -> np.ndarray:
    """Twenty-five days of a rhythm with noise."""
    step = np.arange(STEPS)
    return 50 + 10 * np.sin(2 * np.pi * step / 96) + np.random.default_rng(seed).normal(size=STEPS)


def test_the_future_is_not_read(begin: StreamDetector) -> None:
    """Cutting the future off, or changing it, changes no reading before it by a bit."""
    values = daily()
    changed = values.copy()
    changed[1500:] = 1e6
    whole, other, short = (begin(SETTINGS).feed(x) for x in (values, changed, values[:1500]))
    for readings in (other, short):
        assert np.array_equal(whole.score[:1500], readings.score[:1500])
        assert np.array_equal(whole.alarm[:1500], readings.alarm[:1500])


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, STEPS), max_size=8))
def test_portions_do_not_matter(begin: StreamDetector, cuts: list[int]) -> None:
    """Fed at once or in portions, empty ones too, a stream gives the same readings."""
    values = daily()
    values[1800] = 90
    whole, stream = begin(SETTINGS).feed(values), begin(SETTINGS)
    parts = [stream.feed(part) for part in np.split(values, sorted(cuts))]
    assert np.array_equal(np.concatenate([part.score for part in parts]), whole.score)
    assert np.array_equal(np.concatenate([part.alarm for part in parts]), whole.alarm)


def test_portions_of_a_long_stream_do_not_matter(begin: StreamDetector) -> None:
    """The memory turns over alike wherever the portions end."""
    values = np.random.default_rng(5).normal(size=12_000).cumsum()
    whole, stream = begin(SETTINGS).feed(values), begin(SETTINGS)
    parts = np.concatenate([stream.feed(part).score for part in np.array_split(values, 37)])
    assert np.array_equal(parts, whole.score)


def test_other_streams_do_not_matter(begin: StreamDetector) -> None:
    """Two streams read in turns know nothing of each other."""
    one, two = begin(SETTINGS), begin(SETTINGS)
    first = one.feed(daily(1)[:1200]).score
    two.feed(1000 * daily(2))
    second = one.feed(daily(1)[1200:]).score
    assert np.array_equal(np.concatenate([first, second]), begin(SETTINGS).feed(daily(1)).score)


@pytest.mark.parametrize("level", [0.0, 1.0, -3.5, 1e12, 0.1])
def test_a_constant_raises_no_alarm(begin: StreamDetector, level: float) -> None:
    """A stream that never moves raises no alarm, nor do the last bits of it."""
    values = np.full(STEPS, level)
    assert not begin(SETTINGS).feed(values).alarm.any()


def test_a_spike_is_found_at_once(begin: StreamDetector) -> None:
    """A value a hundred standard deviations of the noise out is an alarm at its own step."""
    values = daily()
    values[2000] += 100
    assert begin(SETTINGS).feed(values).alarm[2000]


def test_calm_raises_few_alarms(begin: StreamDetector) -> None:
    """Noise without news raises at most three alarms in a thousand steps."""
    noise = np.random.default_rng(9).normal(size=10_000)
    assert begin(SETTINGS).feed(noise).alarm.sum() <= 30


def test_learning_and_rest_are_kept(begin: StreamDetector) -> None:
    """No alarm comes before the learning is done, or within the rest after another."""
    generator = np.random.default_rng(11)
    values = daily()
    values[generator.integers(0, STEPS, 200)] += generator.normal(0, 60, 200)
    at = np.flatnonzero(begin(SETTINGS).feed(values).alarm)
    assert len(at) > 2
    assert at[0] >= SETTINGS.learn_steps
    assert np.diff(at).min() > SETTINGS.rest_steps


def test_units_do_not_matter(begin: StreamDetector) -> None:
    """Another unit and another zero give the same alarms."""
    values = daily()
    values[[1000, 2000]] += 100
    whole = begin(SETTINGS).feed(values)
    assert np.array_equal(begin(SETTINGS).feed(values * 1024 + 4096).alarm, whole.alarm)
    assert whole.alarm.any()


def test_gaps_are_no_news(begin: StreamDetector) -> None:
    """A missing value has no score; a fifth missing, or all, raises no more alarms; the rest is still read."""
    values = daily()
    lost = np.random.default_rng(1).random(STEPS) < 0.2
    lost[2000] = False
    values[2000] += 100
    values[lost] = np.nan
    values[0], lost[0] = np.inf, True
    readings = begin(SETTINGS).feed(values)
    assert (readings.score[lost] == 0).all()
    assert not readings.alarm[lost].any()
    assert readings.alarm[2000]
    assert not begin(SETTINGS).feed(np.full(STEPS, np.nan)).alarm.any()


@pytest.mark.parametrize("steps", [0, 1, 49, 401])
def test_any_length_is_accepted(begin: StreamDetector, steps: int) -> None:
    """Short streams give readings of their length, finite and not below 0."""
    readings = begin(SETTINGS).feed(daily()[:steps])
    assert readings.score.shape == readings.alarm.shape == (steps,)
    assert np.isfinite(readings.score).all()
    assert (readings.score >= 0).all()


@pytest.mark.parametrize("day", [None, 1, 2, 24, 1440])
def test_any_day_is_accepted(begin: StreamDetector, day: int | None) -> None:
    """Streams without a day, or with a short or a long one, are read and a spike in them is found."""
    values = daily()
    values[2000] += 100
    assert begin(StreamSettings(400, 60, day)).feed(values).alarm[2000]


def test_the_input_is_unchanged(begin: StreamDetector) -> None:
    """Values may be read-only and in strides."""
    values = np.repeat(daily(), 2)[::2]
    values.flags.writeable = False
    assert np.array_equal(begin(SETTINGS).feed(values).score, begin(SETTINGS).feed(daily()).score)


def test_what_is_no_stream_is_refused(begin: StreamDetector) -> None:
    """Two dimensions and numbers without a square are refused by name."""
    with pytest.raises(ValueError, match="2 dimensions"):
        begin(SETTINGS).feed(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="larger unit"):
        begin(SETTINGS).feed(np.array([1e200]))


@pytest.mark.parametrize(("field", "value"), [("learn_steps", 0), ("rest_steps", -1), ("steps_per_day", 0)])
def test_settings_that_are_none_are_refused(begin: StreamDetector, field: str, value: int) -> None:
    """Lengths below the least are refused with the field's name."""
    with pytest.raises(ValueError, match=field):
        begin(StreamSettings(**{field: value}))
