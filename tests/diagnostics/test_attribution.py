"""Which attributes a rise comes from: planted causes are found, whatever the order things are told in."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.causes.attribution import AttributionSettings, Cells, attribute, cells_of

NAMES = ("cluster", "device", "hardware")
VALUES = (("ams", "gru", "sin", "fra"), ("phone", "tablet", "tv"), ("nvme", "mixed"))


def planted(cause: dict[str, str], rate: float = 0.3, seed: int = 3, more: dict[str, str] | None = None) -> Cells:
    """Cells of all combinations at a rate of 0.02, those of the causes at `rate`."""
    generator = np.random.default_rng(seed)
    codes = np.stack([part.ravel() for part in np.indices([len(v) for v in VALUES])], axis=1)
    hit = np.zeros(len(codes), dtype=bool)
    for one in (cause, more or cause):
        hit |= np.all([codes[:, NAMES.index(n)] == VALUES[NAMES.index(n)].index(v) for n, v in one.items()], axis=0)
    total, before = generator.integers(50, 400, len(codes)), generator.integers(500, 4000, len(codes))
    bad = generator.binomial(total, np.where(hit, rate, 0.02))
    return Cells(NAMES, VALUES, codes.astype(np.int64), bad.astype(float), total.astype(float),
                 generator.binomial(before, 0.02).astype(float), before.astype(float))


@pytest.mark.parametrize("cause", [{"cluster": "gru"}, {"cluster": "gru", "device": "tv"}, {"hardware": "nvme"},
                                   {"cluster": "ams", "device": "phone", "hardware": "mixed"}])
def test_a_planted_cause_is_named_with_all_its_conditions_and_no_more(cause: dict[str, str]) -> None:
    """One planted conjunction comes back as it is."""
    (found,) = attribute(planted(cause))
    assert dict(found.conditions) == cause
    assert found.rate > 0.2
    assert found.share > 0.5


def test_two_causes_are_both_named() -> None:
    """Two values of one attribute that rose are two causes."""
    found = attribute(planted({"cluster": "gru"}, more={"cluster": "sin"}))
    assert {one.conditions for one in found} == {(("cluster", "gru"),), (("cluster", "sin"),)}


def test_a_rise_everywhere_has_no_conditions() -> None:
    """When all cells rise alike no attribute is blamed."""
    cells = planted({"cluster": "gru"}, rate=0.02)
    (found,) = attribute(replace(cells, bad=np.round(0.3 * cells.total)), AttributionSettings(least_score=0.95))
    assert found.conditions == ()
    assert "everywhere" in found.sentence


def test_no_rise_has_no_cause() -> None:
    """Rates below what was usual have no cause."""
    cells = planted({"cluster": "gru"})
    assert attribute(replace(cells, bad=np.zeros(len(cells.bad)))) == ()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), cause=st.sampled_from([{"cluster": "gru"}, {"device": "tv", "hardware": "nvme"}]))
def test_the_order_of_cells_and_attributes_makes_no_difference(seed: int, cause: dict[str, str]) -> None:
    """Permuted rows and columns give the same causes."""
    cells = planted(cause, seed=seed % 7)
    generator = np.random.default_rng(seed)
    rows, columns = generator.permutation(len(cells.codes)), generator.permutation(len(NAMES))
    other = Cells(tuple(NAMES[i] for i in columns), tuple(VALUES[i] for i in columns), cells.codes[rows][:, columns],
                  cells.bad[rows], cells.total[rows], cells.bad_before[rows], cells.total_before[rows])
    assert [one.conditions for one in attribute(other)] == [one.conditions for one in attribute(cells)]


def test_a_frame_is_counted_by_cell() -> None:
    """Rows of one cell add up, those of now apart from those before."""
    frame = pd.DataFrame({"cluster": ["a", "a", "b", "a"], "bad": [1, 2, 0, 3], "all": [10, 10, 5, 7]})
    cells = cells_of(frame, np.array([True, True, True, False]), ["cluster"], "bad", "all")
    assert cells.bad.tolist() == [3, 0]
    assert cells.total.tolist() == [20, 5]
    assert cells.total_before.tolist() == [7, 0]


def test_a_missing_column_is_named() -> None:
    """The error says which column is missing and which are there."""
    with pytest.raises(ValueError, match="columns: region: not there; found cluster"):
        cells_of(pd.DataFrame({"cluster": ["a"]}), np.array([True]), ["region"], "cluster", "cluster")


def test_more_bad_than_all_is_refused() -> None:
    """Counts that cannot be are refused."""
    cells = planted({"cluster": "gru"})
    with pytest.raises(ValueError, match="bad: at most"):
        replace(cells, bad=cells.total + 1)
