"""Every reduction and every ensemble, held to the same claims."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.store.skops_file import dump, load
from diagnostics.training.boosting import ENSEMBLES
from diagnostics.training.reducing import REDUCTIONS


def table(rows: int = 400, columns: int = 6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(rows, columns))
    inputs[:, 3] = inputs[:, 0] + 0.1 * generator.normal(size=rows)
    return inputs, inputs[:, 0] + np.abs(inputs[:, 1])


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_are_narrower_repeatable_and_survive_the_file(name: str) -> None:
    """Same seed, same state; row by row; gaps and constants are met; nothing is changed in place."""
    inputs, _ = table()
    inputs[5, 2] = np.nan
    inputs[:, 5] = 1.0
    before = inputs.copy()
    made = REDUCTIONS[name]
    state, again = (made.fit(inputs, 3) for _ in range(2))
    small = made.apply(state, inputs)
    assert np.array_equal(inputs, before, equal_nan=True)
    assert small.shape[1] <= inputs.shape[1] - (name != "none")
    assert np.array_equal(small, made.apply(again, inputs), equal_nan=True)
    back = load(dump({"state": state}))["state"]
    assert np.array_equal(small, made.apply(back, inputs), equal_nan=True)
    assert np.allclose(small[7:9], made.apply(state, inputs[7:9]), equal_nan=True)
    if name != "none":
        assert np.isfinite(small).all()


@pytest.mark.parametrize("name", ENSEMBLES)
def test_ensembles_predict_repeat_and_survive_the_file(name: str) -> None:
    """They learn what is there, meet gaps, give the same bytes again and after a round trip through a file."""
    inputs, wanted = table()
    made = ENSEMBLES[name]
    state, again = (made.fit(inputs, wanted, 60, 3) for _ in range(2))
    predicted = made.predict(state, inputs)
    assert np.mean((predicted - wanted) ** 2) < 0.2 * wanted.var()
    assert made.predict(again, inputs).tobytes() == predicted.tobytes()
    back = load(dump({"state": state}))["state"]
    assert made.predict(back, inputs).tobytes() == predicted.tobytes()
    holes = inputs.copy()
    holes[::7, 2] = np.nan
    assert np.isfinite(made.predict(state, holes)).all()


def test_a_line_goes_on_where_trees_stop() -> None:
    """Beyond the largest load ever seen, `linear_then_boosting` follows and trees alone do not."""
    inputs = np.random.default_rng(0).uniform(0, 1, (500, 1))
    far = np.array([[2.0]])
    answers = {name: float(made.predict(made.fit(inputs, 10 * inputs[:, 0], 60, 0), far)[0])
               for name, made in ENSEMBLES.items()}
    assert answers["linear_then_boosting"] == pytest.approx(20, abs=1.0)
    assert answers["lightgbm"] < 11
