"""Packing weights are proofs: no legal pattern weighs more than one machine."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from placement.needs import Load
from placement.packing import Effort, needed
from placement.problem import TOLERANCE, Floats, Ints
from placement.weights import WeightFinder, heaviest_pattern, stack, undominated

SEEDS = st.integers(0, 10_000)
CHECKED = settings(max_examples=30, deadline=None, derandomize=True)


def machine(seed: int) -> tuple[Floats, Floats]:
    """Sizes [C, R] of a few shapes and the room [R] of a machine that holds each of them."""
    rng = np.random.default_rng(seed)
    shapes, resources = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    sizes = rng.integers(0, 7, (shapes, resources)) * rng.choice([1.0, 0.5, 0.7])
    sizes[:, 0] += 1.0
    return sizes, sizes.max(axis=0) + rng.integers(0, 9, resources)


def patterns(sizes: Floats, room: Floats) -> Ints:
    """All legal patterns [n, C]: whole replicas that fit one machine together."""
    most = [int(((room + TOLERANCE)[size > 0] / size[size > 0]).min()) for size in sizes]
    table = np.array(list(itertools.product(*(range(m + 1) for m in most))), np.int64)
    return table[(table @ sizes <= room + TOLERANCE).all(axis=1)]


@given(seed=SEEDS)
@CHECKED
def test_found_weights_are_valid(seed: int) -> None:
    """A vector found for any replicas lets no legal pattern weigh more than 1, lifted shapes included."""
    sizes, room = machine(seed)
    replicas = np.random.default_rng(seed).integers(0, 9, len(sizes)) * 1.0
    weights = WeightFinder(sizes, room, np.arange(len(sizes))).find(replicas)
    assert (weights >= 0).all()
    assert float((patterns(sizes, room) @ weights).max()) <= 1 + 1e-9


@given(seed=SEEDS)
@CHECKED
def test_found_weights_prove_what_the_configuration_lp_says(seed: int) -> None:
    """For the replicas asked about, the vector proves exactly the value of the linear program over all patterns."""
    sizes, room = machine(seed)
    replicas = np.random.default_rng(seed).integers(0, 9, len(sizes)) * 1.0
    weights = WeightFinder(sizes, room, np.arange(len(sizes))).find(replicas)
    table = patterns(sizes, room)
    least = linprog(np.ones(len(table)), A_ub=-table.T, b_ub=-replicas).fun
    assert float(weights @ replicas) == pytest.approx(least, rel=1e-6, abs=1e-6)


@given(seed=SEEDS)
@CHECKED
def test_no_shape_can_be_lifted_further(seed: int) -> None:
    """After lifting, raising any weight by a hundredth makes some pattern too heavy."""
    sizes, room = machine(seed)
    replicas = np.zeros(len(sizes))
    replicas[0] = 5.0
    weights = WeightFinder(sizes, room, np.arange(len(sizes))).find(replicas)
    table = patterns(sizes, room)
    for shape in range(len(sizes)):
        heavier = weights.copy()
        heavier[shape] += 0.01
        assert float((table @ heavier).max()) > 1


@given(seed=SEEDS)
@CHECKED
def test_heaviest_pattern_is_the_heaviest(seed: int) -> None:
    """The knapsack's bound equals the weight of the heaviest legal pattern, and the pattern it shows weighs that."""
    sizes, room = machine(seed)
    weights = np.random.default_rng(seed).integers(0, 4, len(sizes)) / 4
    shown = np.zeros(len(sizes), np.int64)
    bound = heaviest_pattern(weights, sizes, room, shown)
    heaviest = float((patterns(sizes, room) @ weights).max())
    assert bound == pytest.approx(heaviest, abs=1e-8)
    assert float(shown @ weights) == pytest.approx(heaviest, abs=1e-8)
    assert (shown @ sizes <= room + TOLERANCE).all()


@given(seed=SEEDS)
@CHECKED
def test_resource_shares_are_valid(seed: int) -> None:
    """The plain shares of resources are valid weights."""
    sizes, room = machine(seed)
    shares = WeightFinder(sizes, room, np.arange(len(sizes))).resource_weights()
    assert float((patterns(sizes, room) @ shares.T).max()) <= 1 + 1e-9


def test_weights_stay_with_legal_shapes() -> None:
    """A shape that may never be on the machine gets no weight."""
    finder = WeightFinder(np.array([[2.0], [3.0], [50.0]]), np.array([7.0]), np.array([0, 1]))
    weights = finder.find(np.array([4.0, 3.0, 2.0]))
    assert weights[2] == 0
    assert weights[:2].min() > 0


def test_no_legal_shape_gives_no_weight() -> None:
    """A pool where nothing may go has no weights to prove anything with."""
    finder = WeightFinder(np.array([[2.0]]), np.array([1.0]), np.zeros(0, np.int64))
    assert finder.resource_weights().shape == (0, 1)
    assert not finder.find(np.array([3.0])).any()


def test_only_the_best_rows_are_kept() -> None:
    """Rows that another row equals or exceeds everywhere go; of equal rows one stays."""
    rows = np.array([[0.5, 0.2], [0.5, 0.3], [0.1, 0.9], [0.5, 0.3], [0.0, 0.9]])
    assert undominated(rows).tolist() == [[0.5, 0.3], [0.1, 0.9]]
    assert undominated(stack([], 2)).shape == (0, 2)


@pytest.mark.parametrize("seed", range(8))
def test_weights_of_many_shapes_prove_what_packing_proves(seed: int) -> None:
    """Where two dozen shapes share a machine, the weights prove what a packing's bound does, to half a percent."""
    rng = np.random.default_rng(seed)
    room = np.array([61.0, 242.0, 9.3])
    sizes = np.column_stack((rng.uniform(1.1, 14.0, 24), rng.uniform(3.0, 60.0, 24), rng.uniform(0.1, 1.5, 24)))
    load = Load(np.arange(24), rng.integers(5, 60, (24, 1)).astype(np.int32), np.zeros((24, 1), np.int32))
    replicas = load.firm[:, 0].astype(float)
    weights = WeightFinder(sizes, room, np.arange(24)).find(replicas)
    packed = needed(load, sizes, room, effort=Effort.PATTERNS)
    assert weights @ replicas >= 0.995 * (int(packed.low[0]) - 1)
