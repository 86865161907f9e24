"""Model files are read without running what is in them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from diagnostics.store import UntrustedTypeError
from diagnostics.store.skops_file import dump, load


class Stranger:
    """A type that nobody pinned."""

    def __init__(self) -> None:
        self.value = 1


def test_arrays_text_and_estimators_come_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Boosted trees of scikit-learn predict the same after a round trip."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    x = np.random.default_rng(0).normal(size=(80, 3))
    model = HistGradientBoostingRegressor(max_iter=3).fit(x, x[:, 0])
    back = load(dump({"trees": model, "scale": x[0], "name": "nvme", "nothing": None}))
    assert np.array_equal(back["trees"].predict(x), model.predict(x))
    assert np.array_equal(back["scale"], x[0])
    assert (back["name"], back["nothing"]) == ("nvme", None)


def test_strange_types_are_refused_by_name() -> None:
    """Neither written nor read: the message names the type."""
    with pytest.raises(UntrustedTypeError, match="Stranger"):
        dump({"model": Stranger()})
    import skops.io

    with pytest.raises(UntrustedTypeError, match="Stranger"):
        load(skops.io.dumps({"model": Stranger()}))


def test_a_pickle_is_not_a_model_file() -> None:
    """What would run code when it is read is refused before."""
    with pytest.raises(UntrustedTypeError, match="no skops file"):
        load(pickle.dumps({"model": 1}))
