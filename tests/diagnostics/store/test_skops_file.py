"""Model files are read without running what is in them."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


WRITE = """
import hashlib, numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from diagnostics.store.skops_file import dump
x = np.random.default_rng(0).normal(size=(80, 3))
model = HistGradientBoostingRegressor(max_iter=3, random_state=0).fit(x, x[:, 0])
print(hashlib.sha256(dump({"trees": model, "scale": x[0], "again": x[0].copy(), "file": "nvme"})).hexdigest())
"""


def test_the_same_model_is_the_same_bytes_in_every_process() -> None:
    """Neither the time nor addresses in memory are in the file, so its hash is that of the model."""
    hashes = {subprocess.run([sys.executable, "-c", WRITE], capture_output=True, text=True, check=True,
                             env=os.environ | {"PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")}
    assert len(hashes) == 1


@settings(max_examples=30, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers(-2**40, 2**40) | st.floats(allow_nan=False) | st.text(),
                    lambda inner: st.lists(inner, max_size=4)
                    | st.dictionaries(st.text() | st.sampled_from(["__id__", "__loader__", "file"]), inner,
                                      max_size=4), max_leaves=12))
def test_any_model_comes_back_whatever_its_keys_are_called(value: object) -> None:
    """Words that skops uses itself are keys like others; what comes back is written as the same bytes."""
    content = dump({"model": value})
    back = load(content)
    assert back == {"model": value}
    assert dump(back) == content


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
