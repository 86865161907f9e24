"""Packing against trying everything, and at the size of a fleet."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.needs import Load
from placement.packing import Effort, Packer, Packing, needed
from placement.patterns import best_pattern, configuration_lp, simple_weights

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
ROOM = np.array([31.5, 127.0, 0.0])


def _tiny(seed: int) -> tuple[Load, np.ndarray, np.ndarray]:
    """Up to seven replicas of three shapes a slot, firm or flexible, on machines that hold one to four."""
    rng = np.random.default_rng(seed)
    shapes = rng.integers(2, 9, (3, 2)).astype(float)
    counts = rng.multinomial(7, np.full(7, 1 / 7), size=2).T[:6].reshape(2, 3, 2).astype(np.int32)
    return Load(np.arange(3), counts[0], counts[1]), shapes, np.array([10.0, 11.0])


def _frontier(firm: np.ndarray, flexible: np.ndarray, shapes: np.ndarray, room: np.ndarray) -> set[tuple[int, int]]:
    """All (firm machines, machines) that no other pair beats, by putting each replica on each machine in turn."""
    items = [(shape, kind) for kind, counts in ((True, firm), (False, flexible))
             for shape, count in enumerate(counts) for _ in range(count)]

    @cache
    def pairs(place: int, bins: tuple[tuple[tuple[float, ...], bool], ...]) -> frozenset[tuple[int, int]]:
        if place == len(items):
            return frozenset([(sum(kind for _, kind in bins), len(bins))])
        shape, kind = items[place]
        found: set[tuple[int, int]] = set()
        for b, (left, has_firm) in enumerate((*bins, (tuple(room), False))):
            after = tuple(x - y for x, y in zip(left, shapes[shape], strict=True))
            if min(after) >= -1e-6:
                others = bins[:b] + bins[b + 1:]
                found |= pairs(place + 1, tuple(sorted((*others, (after, has_firm or kind)))))
        return frozenset(found)

    every = pairs(0, ())
    return {pair for pair in every
            if not any(other != pair and other[0] <= pair[0] and other[1] <= pair[1] for other in every)}


def _holds(packing: Packing, load: Load, slot: int, shapes: np.ndarray, room: np.ndarray) -> bool:
    """The packing has all replicas of the slot, and no machine holds more than it has room for."""
    together = packing.firm + packing.flexible
    return bool((packing.firm.T @ packing.times == load.firm[:, slot]).all()
                and (packing.flexible.T @ packing.times == load.flexible[:, slot]).all()
                and (together @ shapes[load.shapes] <= room + 1e-6).all())


@QUICK
@given(seed=st.integers(0, 10**6))
def test_every_trade_of_firm_machines_for_machines_is_found(seed: int) -> None:
    """On tiny slots the pairs found are exactly those that trying everything finds, and are called least."""
    load, shapes, room = _tiny(seed)
    need = needed(load, shapes, room)
    for t in range(2):
        pairs = set(zip(need.firm[:, t].tolist(), need.machines[:, t].tolist(), strict=True))
        assert pairs == _frontier(load.firm[:, t], load.flexible[:, t], shapes, room)
        assert need.least[t]


@QUICK
@given(seed=st.integers(0, 10**6))
def test_packings_hold(seed: int) -> None:
    """Every pair comes with a packing of all replicas that fits and uses so many machines; one fewer has none."""
    load, shapes, room = _tiny(seed)
    need = needed(load, shapes, room)
    for k, t in np.ndindex(*need.firm.shape):
        firm, machines = int(need.firm[k, t]), int(need.machines[k, t])
        packing = need.packer.packing(t, firm, machines)
        assert packing is not None
        assert _holds(packing, load, t, shapes, room)
        assert packing.firm_machines <= firm
        assert packing.machines <= machines
        assert need.packer.packing(t, machines, int(need.machines[:, t].min()) - 1) is None


@QUICK
@given(seed=st.integers(0, 10**6))
def test_best_pattern_is_the_best(seed: int) -> None:
    """The knapsack finds the greatest worth of a machine, and its bound is not below it."""
    rng = np.random.default_rng(seed)
    sizes, worth, limits = rng.integers(1, 9, (3, 2)).astype(float), rng.random(3), rng.integers(0, 5, 3)
    value, above, pattern = best_pattern(worth, limits, sizes, np.array([12.0, 14.0]), 1e-9, 5000)
    every = np.array(list(np.ndindex(*(limits + 1))))
    legal = every[(every @ sizes <= np.array([12.0, 14.0]) + 1e-6).all(axis=1)]
    assert value == pytest.approx((legal @ worth).max())
    assert above >= value
    assert (pattern <= limits).all()
    assert worth @ pattern == pytest.approx(value)


def _fleet(seed: int, classes: int, most: int) -> tuple[Load, np.ndarray]:
    """Daily curves of request sizes as they occur, on a machine of 32 cores with no GPU, half of them preemptible."""
    rng = np.random.default_rng(seed)
    vcpu = rng.choice([0.5, 1, 2, 3.5, 4, 6, 8, 10, 12, 16], classes)
    shapes = np.column_stack([vcpu, np.minimum(np.ceil(vcpu * rng.choice([1, 2, 4, 8], classes)), 127), 0 * vcpu])
    shapes = np.unique(shapes, axis=0)
    phase, peak = rng.uniform(0, 6, (len(shapes), 1)), rng.integers(1, most, (len(shapes), 1))
    counts = np.round(peak * (0.55 + 0.45 * np.sin(np.arange(24) * 2 * np.pi / 24 + phase))).astype(np.int32)
    flexible = np.where(np.arange(len(shapes))[:, None] % 2, counts, 0).astype(np.int32)
    return Load(np.arange(len(shapes)), counts - flexible, flexible), shapes


@pytest.mark.parametrize("most", [20, 3000])
def test_fleet_like_slots_pack_close_to_the_bound(most: int) -> None:
    """Ten classes, up to thousands of replicas: within half a percent, or half a machine a slot, of the bound."""
    load, shapes = _fleet(1, 10, most)
    need = needed(load, shapes, ROOM)
    assert need.machines[0].sum() <= need.low.sum() * 1.005 + 12
    for t in range(24):
        packing = need.packer.packing(t, int(need.firm[0, t]), int(need.machines[0, t]))
        assert packing is not None
        assert _holds(packing, load, t, shapes, ROOM)


def test_without_flexible_replicas_all_machines_are_firm() -> None:
    """Where no replica may run on spot, so many machines must not be spot as there are."""
    load, shapes = _fleet(2, 8, 20)
    need = needed(Load(load.shapes, load.firm + load.flexible, 0 * load.firm), shapes, ROOM)
    assert (need.firm == need.machines).all()


def test_three_to_a_machine() -> None:
    """Eight-core pods fit 3 on 32 cores minus reserve, though the sum says 3.9: 12 pods need 4 machines."""
    load = Load(np.array([0]), np.full((1, 1), 12, np.int32), np.zeros((1, 1), np.int32))
    need = needed(load, np.array([[8.0, 30.0, 0.0]]), ROOM)
    assert need.machines.tolist() == [[4]]
    assert need.low.tolist() == [4]


def test_slots_that_no_simple_order_packs_are_named() -> None:
    """One 5, three 4s and four 3s on machines of 10: by falling size 4 machines, by twice (4, 3, 3) and (5, 4) 3."""
    sizes = np.array([[5.0], [4.0], [3.0]])
    load = Load(np.arange(3), np.array([[1], [3], [4]], np.int32), np.zeros((3, 1), np.int32))
    need = needed(load, sizes, np.array([10.0]))
    assert (need.machines.tolist(), need.low.tolist(), need.order.tolist()) == ([[3]], [3], [-1])
    assert needed(load, sizes, np.array([10.0]), effort=Effort.ORDERS).machines.tolist() == [[4]]


def test_small_firm_replicas_fill_gaps_where_all_machines_are_firm() -> None:
    """Two flexible 13s leave 5.5 of a machine for one firm 4: fifty machines hold all, though firm first takes more."""
    load = Load(np.arange(2), np.array([[30], [0]], np.int32), np.array([[0], [100]], np.int32))
    need = needed(load, np.array([[4.0], [13.0]]), np.array([31.5]))
    assert (30, 50) in zip(need.firm[:, 0].tolist(), need.machines[:, 0].tolist(), strict=True)
    assert (need.low.tolist(), need.low_firm.tolist()) == ([50], [5])


def test_a_slot_is_simple_when_every_order_packs_it() -> None:
    """Replicas of 5/1, 5/1, 5/8 and 5/6 fit two machines of 10/10 by falling shares, not by the first resource."""
    load = Load(np.arange(3), np.array([[2], [1], [1]], np.int32), np.zeros((3, 1), np.int32))
    packer = Packer(load, np.array([[5.0, 1.0], [5.0, 8.0], [5.0, 6.0]]), np.array([10.0, 10.0]))
    two, three = np.array([2]), np.array([3])
    assert packer.packing(0, 2, 2) is not None
    assert (packer.simply(two, two).tolist(), packer.simply(three, three).tolist()) == ([False], [True])


def test_an_empty_pool_needs_nothing() -> None:
    """A pool without units needs no machine in any slot."""
    nothing = np.zeros((0, 5), np.int32)
    need = needed(Load(np.zeros(0, np.int64), nothing, nothing), np.array([[1.0, 2.0]]), np.array([4.0, 4.0]))
    assert need.machines.tolist() == [[0] * 5]


def test_a_replica_that_fits_no_machine_is_refused() -> None:
    """A shape larger than the machine is an error that names both."""
    load = Load(np.array([0]), np.ones((1, 1), np.int32), np.zeros((1, 1), np.int32))
    with pytest.raises(ValueError, match=r"takes \[40.0, 1.0\], but a machine has room for \[31.5, 127.0\]"):
        needed(load, np.array([[40.0, 1.0]]), np.array([31.5, 127.0]))


@QUICK
@given(seed=st.integers(0, 10**6))
def test_weights_prove_no_more_than_the_lp(seed: int) -> None:
    """Every weight vector's bound, and the LP's own, is at most the machines that an actual packing uses."""
    load, shapes, room = _tiny(seed)
    counts = (load.firm + load.flexible)[:, 0].astype(np.int64)
    here = np.flatnonzero(counts)
    need = needed(load, shapes, room)
    bound = configuration_lp(counts[here], shapes[here], room, np.zeros(len(here), np.bool_), 1.0, 300)[0]
    least = int(need.machines[:, 0].min())
    assert bound <= least + 1e-9
    assert (simple_weights(shapes, room) @ counts <= least + 1e-9).all()


def test_equal_slots_are_packed_once() -> None:
    """A demand that repeats every day costs one day's packing."""
    load, shapes = _fleet(3, 6, 20)
    week = Load(load.shapes, np.tile(load.firm, 7), np.tile(load.flexible, 7))
    assert len(Packer(week, shapes, ROOM).counts) <= 24
