"""Buying machines against trying every level and every split."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.purchase import Terms, buy, pool_cost

SLOTS = 3
QUICK = settings(max_examples=150, deadline=None, derandomize=True)


def _terms(seed: int) -> Terms:
    """One pool with all four offers, some of them of no use; held and on_demand machines vary by slot."""
    rng = np.random.default_rng(seed)
    price = np.array([rng.integers(0, 3, SLOTS), rng.integers(1, 5, SLOTS), rng.integers(2, 8, SLOTS),
                      rng.integers(1, 9, SLOTS)], float)
    most = rng.integers(0, 4, (4, SLOTS))
    most[2] = rng.integers(0, 7, SLOTS)
    owned = np.zeros((4, SLOTS), np.int64)
    owned[:2] = rng.integers(0, [[3], [2]], (2, SLOTS if seed % 2 else 1))
    pool_most = rng.integers(2, 9, (1, SLOTS))
    return Terms(price[None], most[None], owned[None], np.arange(4)[None], pool_most,
                 rng.integers(0, 2, (1, SLOTS)) / 4, rng.integers(0, 3, (1, SLOTS)) * (seed % 3 == 0))


def _needs(seed: int, ways: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed + 10_000)
    total = rng.integers(0, 6, (ways, SLOTS))
    return np.minimum(rng.integers(0, 6, (ways, SLOTS)), total), total


def _cheapest(terms: Terms, firm: np.ndarray, total: np.ndarray) -> float:
    """Least USD over all levels and, slot by slot, all counts within the limits; infinite when none meets the needs."""
    price, most, owned = terms.price_usd[0], terms.most[0], terms.owned[0]
    best = np.inf
    for levels in product(range(5), range(5)):
        usd = sum((np.maximum(level, owned[kind]) * price[kind]).sum() for kind, level in enumerate(levels))
        for t in range(SLOTS):
            limits = [min(most[0, t], levels[0]), min(most[1, t], levels[1]), most[2, t], most[3, t]]
            usd += min((counts[2] * price[2, t] + counts[3] * price[3, t] + sum(counts) * terms.run_usd[0, t]
                        for counts in product(*(range(limit + 1) for limit in limits))
                        if terms.pool_least[0, t] <= sum(counts) <= terms.pool_most[0, t]
                        and any(sum(counts) >= total[k, t] and sum(counts[:3]) >= firm[k, t]
                                for k in range(len(total)))), default=np.inf)
        best = min(best, usd)
    return float(best)


@QUICK
@given(seed=st.integers(0, 10**6), ways=st.integers(1, 2))
def test_least_cost(seed: int, ways: int) -> None:
    """No levels and no split are cheaper than what is bought, and machines lack exactly when no purchase is legal."""
    terms, (firm, total) = _terms(seed), _needs(seed, ways)
    bought = buy(0, terms, firm, total)
    cheapest = _cheapest(terms, firm, total)
    assert (bought.lacking.sum() > 0) == np.isinf(cheapest)
    if np.isfinite(cheapest):
        assert abs(bought.cost_usd - cheapest) < 1e-6


@QUICK
@given(seed=st.integers(0, 10**6))
def test_counts_meet_the_needs(seed: int) -> None:
    """Counts stay within pool and offers, hold firm replicas off spot, and add up to what was needed."""
    terms, (firm, total) = _terms(seed), _needs(seed, 1)
    bought = buy(0, terms, firm, total)
    assert (bought.counts >= 0).all()
    assert (bought.counts <= terms.most[0]).all()
    assert (bought.counts.sum(axis=0) <= terms.pool_most[0]).all()
    assert (bought.counts.sum(axis=0) + bought.lacking == np.maximum(total[0], terms.pool_least[0])).all()
    held_back = bought.lacking == 0
    assert (bought.counts[:3].sum(axis=0) >= firm[0])[held_back].all()


def test_a_peak_of_one_slot_is_rented_and_a_steady_need_is_committed() -> None:
    """Two machines needed always and a third once: commit to two at 1 USD, rent the third at 2 USD."""
    price = np.array([[[0.0] * 4, [1.0] * 4, [2.0] * 4, [0.0] * 4]])
    most = np.array([[[0] * 4, [9] * 4, [9] * 4, [0] * 4]])
    none = np.zeros((1, 4), int)
    terms = Terms(price, most, np.zeros((1, 4, 4), int), np.array([[-1, 0, 1, -1]]), np.full((1, 4), 9),
                  np.zeros((1, 4)), none)
    need = np.array([[2, 2, 3, 2]])
    bought = buy(0, terms, need, need)
    assert bought.counts.tolist() == [[0] * 4, [2, 2, 2, 2], [0, 0, 1, 0], [0] * 4]
    assert bought.cost_usd == 10.0


def test_owned_machines_are_paid_though_idle() -> None:
    """Owned machines cost their price in every slot when nothing runs."""
    price = np.array([[[1.5] * 2, [0.0] * 2, [2.0] * 2, [0.0] * 2]])
    most = np.array([[[3] * 2, [0] * 2, [9] * 2, [0] * 2]])
    offer = np.array([[0, -1, 1, -1]])
    nothing, owned = np.zeros((1, 2), int), np.zeros((1, 4, 2), int)
    owned[0, 0] = 3
    terms = Terms(price, most, owned, offer, np.full((1, 2), 9), np.zeros((1, 2)), nothing)
    assert buy(0, terms, nothing, nothing).cost_usd == 9.0


def test_owned_machines_that_come_and_go_are_paid_where_they_are_or_were_run() -> None:
    """2, 0 and 1 owned: idle, they cost 3 machine-slots; a need of 1 always is paid as 2, 1 and 1; of 2 as 2 thrice."""
    price, most = np.zeros((1, 4, 3)), np.zeros((1, 4, 3), int)
    price[0, 0], most[0, 0] = 1.0, 9
    owned = np.zeros((1, 4, 3), int)
    owned[0, 0] = [2, 0, 1]
    nothing = np.zeros((1, 3), int)
    terms = Terms(price, most, owned, np.array([[0, -1, -1, -1]]), np.full((1, 3), 9), np.zeros((1, 3)), nothing)
    assert [buy(0, terms, nothing + n, nothing + n).cost_usd for n in (0, 1, 2)] == [3.0, 4.0, 6.0]


def test_a_pool_that_never_sleeps_runs_its_minimum() -> None:
    """With a minimum of 2 an idle pool rents two machines, the cheaper kind first, though spot holds nothing firm."""
    price, most, none = np.zeros((1, 4, 2)), np.zeros((1, 4, 2), int), np.zeros((1, 2), int)
    price[0, 2:], most[0, 2:] = [[3.0], [1.0]], 9
    terms = Terms(price, most, np.zeros((1, 4, 2), int), np.array([[-1, -1, 0, 1]]), np.full((1, 2), 9),
                  np.zeros((1, 2)), none + 2)
    bought = buy(0, terms, none, none)
    assert bought.counts.tolist() == [[0, 0], [0, 0], [0, 0], [2, 2]]
    assert buy(0, terms, none + 1, none + 1).counts[2:].tolist() == [[1, 1], [1, 1]]


def test_excess_is_paid_per_machine() -> None:
    """`pool_cost` charges every machine beyond the pool's maximum at the given penalty."""
    terms = _terms(3)
    total = terms.pool_most[:1] * 0 + 2
    price = np.full((4, SLOTS), 1.0)
    most = np.array([[0] * SLOTS, [0] * SLOTS, [9] * SLOTS, [0] * SLOTS])
    none, room = np.zeros((4, SLOTS), np.int64), np.full(SLOTS, 1)
    assert pool_cost(total, total, price, most, none, room, np.zeros(SLOTS), 1000.0) == SLOTS * (1.0 + 1000.0)
