"""Claims that every detector of many features in the registry keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.multivariate import MULTIVARIATE_DETECTORS, MultivariateDetector

CALM, STEPS, FEATURES = 1500, 600, 7

pytestmark = pytest.mark.parametrize("learn", MULTIVARIATE_DETECTORS.values(), ids=MULTIVARIATE_DETECTORS)


def machine(seed: int, steps: int) -> np.ndarray:
    """A load that all features follow, each in its way, with noise; the last feature is constant."""
    generator = np.random.default_rng(seed)
    load = 5 + np.sin(2 * np.pi * np.arange(steps) / 288)[:, None]
    rows = load * np.linspace(1, 3, FEATURES) + 0.1 * generator.normal(size=(steps, FEATURES))
    rows[:, -1] = 4.0
    return rows


def test_the_future_is_not_read(learn: MultivariateDetector) -> None:
    """Cutting the future off, or changing it, changes no score before it by a bit."""
    model, rows = learn(machine(1, CALM)), machine(2, STEPS)
    changed = rows.copy()
    changed[400:] += 100
    whole = model.begin().feed(rows)
    assert np.array_equal(model.begin().feed(changed)[:400], whole[:400])
    assert np.array_equal(model.begin().feed(rows[:400]), whole[:400])


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, STEPS), max_size=5))
def test_portions_do_not_matter(learn: MultivariateDetector, cuts: list[int]) -> None:
    """Fed at once or in portions, with gaps across them, a machine gets the same scores."""
    model, rows = learn(machine(1, CALM)), machine(2, STEPS)
    rows[100:130, 2] = np.nan
    watch = model.begin()
    parts = [watch.feed(part) for part in np.split(rows, sorted(cuts))]
    assert np.array_equal(np.concatenate(parts), model.begin().feed(rows))


def test_machines_are_watched_apart(learn: MultivariateDetector) -> None:
    """Two watches of one model know nothing of each other."""
    model, rows = learn(machine(1, CALM)), machine(2, STEPS)
    one, two = model.begin(), model.begin()
    first = one.feed(rows[:300])
    two.feed(rows * 7)
    assert np.array_equal(np.concatenate([first, one.feed(rows[300:])]), model.begin().feed(rows))


def test_a_fault_stands_out(learn: MultivariateDetector) -> None:
    """Three features that leave the load for half an hour score above all calm steps but a few."""
    rows = machine(2, STEPS)
    rows[300:330, 1:4] += 3.0
    score = learn(machine(1, CALM)).begin().feed(rows)
    assert np.median(score[300:330]) > np.quantile(np.delete(score, np.arange(300, 400)), 0.99)


def test_units_do_not_matter(learn: MultivariateDetector) -> None:
    """Another unit and another zero of every feature, and another order, give nearly the same scores."""
    calm, rows = machine(1, CALM)[:, :-1], machine(2, STEPS)[:, :-1]
    unit, zero, order = 2.0 ** np.arange(-2, 4), 8.0 * np.arange(6), [3, 0, 5, 1, 4, 2]
    whole = learn(calm).begin().feed(rows)
    other = learn((calm * unit + zero)[:, order]).begin().feed((rows * unit + zero)[:, order])
    assert np.allclose(whole, other, rtol=1e-6)


def test_a_constant_machine_is_calm(learn: MultivariateDetector) -> None:
    """Features that never move have finite scores as long as they do not, and larger ones when one does."""
    calm = np.tile([0.0, 1.0, -5.0, 1e9], (CALM, 1))
    rows = calm[:200].copy()
    rows[150:, 1] = 2.0
    score = learn(calm).begin().feed(rows)
    assert np.isfinite(score).all()
    assert score[:150].max() < score[150:].min()


def test_gaps_are_no_news(learn: MultivariateDetector) -> None:
    """A row without any value has no score, a missing value takes its last; training bears gaps and empty columns."""
    calm, rows = machine(1, CALM), machine(2, STEPS)
    calm[np.random.default_rng(1).random(calm.shape) < 0.1] = np.nan
    calm[:, 5] = np.nan
    rows[200] = np.nan
    rows[:, 5] = np.nan
    rows[300:, 3] = np.nan
    score = learn(calm).begin().feed(rows)
    assert np.flatnonzero(np.isnan(score)).tolist() == [200]


def test_the_input_is_unchanged(learn: MultivariateDetector) -> None:
    """Rows may be read-only and in strides."""
    calm, rows = machine(1, CALM), np.repeat(machine(2, STEPS), 2, axis=0)[::2]
    calm.flags.writeable = rows.flags.writeable = False
    assert np.array_equal(learn(calm).begin().feed(rows), learn(calm.copy()).begin().feed(rows.copy()))


def test_any_number_of_rows_and_features(learn: MultivariateDetector) -> None:
    """No row, one row and one feature are read too."""
    model = learn(machine(1, CALM)[:, :1])
    assert model.begin().feed(np.empty((0, 1))).shape == (0,)
    assert np.isfinite(model.begin().feed(np.array([[5.0]]))).all()


def test_what_cannot_be_learnt_or_read_is_refused(learn: MultivariateDetector) -> None:
    """Too few rows, other features and infinite values are refused by name."""
    with pytest.raises(ValueError, match="at least 100"):
        learn(machine(1, 50))
    with pytest.raises(ValueError, match="7 features"):
        learn(machine(1, CALM)).begin().feed(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="infinite"):
        learn(machine(1, CALM)).begin().feed(np.full((1, FEATURES), np.inf))
    with pytest.raises(ValueError, match="infinite"):
        learn(np.full((CALM, 2), np.inf))
