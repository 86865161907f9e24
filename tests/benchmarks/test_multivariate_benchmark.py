"""Figures of many-featured machines against their definitions, and the benchmark on made-up machines."""

import lzma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.multivariate import METHODS, area, best_f1, f1, measure_set, read_machines
from diagnostics.multivariate import Pace


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40).filter(
    lambda steps: any(label for label, _ in steps)))
def test_figures_are_those_of_every_threshold(steps: list[tuple[bool, int]]) -> None:
    """Area and best F1 are what trying every threshold, from the highest, gives."""
    label, score = np.array([label for label, _ in steps]), np.array([float(score) for _, score in steps])
    total, recall_before, best = 0.0, 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        alarm = score >= threshold
        recall = (alarm & label).sum() / label.sum()
        total += (alarm & label).sum() / alarm.sum() * (recall - recall_before)
        recall_before, best = recall, max(best, f1(label, alarm))
    assert area(label, score) == pytest.approx(total)
    assert best_f1(label, score) == pytest.approx(best)


def test_every_method_is_measured_on_a_folder(tmp_path: Path) -> None:
    """A machine whose fault is plain gets every figure from every method, and the fault is found."""
    generator = np.random.default_rng(1)
    rows, label = generator.normal(size=(400, 6)), np.zeros(400, dtype=np.uint8)
    rows[200:230] += 12
    label[200:230] = 1
    with lzma.open(tmp_path / "one.npz.xz", "wb") as packed:
        np.savez(packed, train=generator.normal(size=(1500, 6)), test=rows, label=label)
    found, shown = measure_set(tmp_path, [], METHODS, lambda _: None, Pace(288), frozenset({"one"}), "made up")
    areas = {row.method: row.value for row in found if row.metric == "auc_pr" and row.instance == "development"}
    assert set(areas) == set(METHODS)
    assert min(areas.values()) > 0.7
    assert shown.row_count == 3 * len(METHODS)


def test_missing_machines_are_refused_by_name(tmp_path: Path) -> None:
    """A folder without files, or without those asked for, is refused with the layout."""
    with pytest.raises(ValueError, match=r"NAME\.npz\.xz"):
        read_machines(tmp_path, [])
