"""The check of a solution: sound ones hold, and every way of breaking one is caught by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.complete import Shortfall, complete
from placement.domains import failure_domains
from placement.needs import machines_by_kind
from placement.problem import (
    Candidates,
    Clusters,
    Domains,
    Flows,
    Objective,
    Offers,
    Pools,
    Problem,
    Purchase,
    Streams,
    Variants,
    Workloads,
)
from placement.result import Solution, Units
from placement.shown import packing_rows
from placement.verify import Verdict, at_most_one_down, verify

QUICK = settings(max_examples=80, deadline=None, derandomize=True)


def _problem(objective: Objective | None = None) -> Problem:
    """Three clusters with a pool each, two workloads, two slots; worked out by hand.

    Stream 0 (workload 0, availability 0.99) is steady: 2 replicas, or 2 for each of two copies. Stream 1 (workload 1,
    droppable, preemptible) is a batch of 1 slot that may start in slot 0 or 1. Machines hold two replicas of either.
    Pool 0 has on_demand (3 USD a slot) and spot (1 USD), pool 1 owned (1 machine, 1 USD) and on_demand (5 USD), pool 2
    on_demand (4 USD). Stream 0 sends 2 GB to stream 1 at 0.5 USD between clusters.
    """
    egress = np.full((3, 3), 0.5)
    np.fill_diagonal(egress, 0.0)
    offers = Offers(np.array([0, 0, 1, 1, 2]), np.array([2, 3, 0, 2, 2]), np.array([0, 0, 1, 0, 0]),
                    np.array([[3.0, 3], [1, 1], [1, 1], [5, 5], [4, 4]]), np.array([[2] * 2] * 5, np.int32))
    variants = Variants(*(np.array(column) for column in zip(
        (0, 1, 0, 0, 0, 0, 0, 0, 0, 0), (0, 2, 0, 1, 0, 0, 0, 0, 0, 0),
        (1, 1, 0, -1, 1, 1, 0, 1, 0, 1), (1, 1, 1, -1, 1, 1, 0, 1, 0, 1), strict=True)),
        rows=np.array([[2, 2], [2, 2]], np.int32))
    return Problem(
        slots=2, objective=objective or Objective("min_cost", 0.5), shapes=np.array([[4.0, 8.0]]),
        clusters=Clusters(np.array([0.999, 0.9, 0.9]), egress),
        pools=Pools(np.array([0, 1, 2]), np.array([[8.0, 16.0]] * 3), np.array([[3] * 2] * 3, np.int32),
                    np.zeros((3, 2))),
        offers=offers, workloads=Workloads(np.array([1.0, 1.0]), np.array([False, True])),
        streams=Streams(np.array([0, 1]), np.array([0, 0]), np.array([False, True]), np.array([0.99, 0.0]),
                        np.array([0, 3, 5]), np.array([0, 2, 4])),
        candidates=Candidates(np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 1]), np.zeros(5, np.int64),
                              np.array([1.0, 0, 0, 0, 2]), np.array([2.0, 4, 4, 0, 0]),
                              np.array([True, False, False, True, True])),
        variants=variants, flows=Flows(np.array([0]), np.array([1]), np.array([2.0])))


def _units(*rows: tuple[int, int, int, int, int]) -> Units:
    """Rows (stream, copy, candidate, variant, start)."""
    return Units(*np.array(rows, np.int64).reshape(-1, 5).T)


GOOD = _units((0, 0, 0, 0, 0), (1, 0, 4, 2, 1))
"""Stream 0 in pool 0, stream 1 in pool 1 in slot 1: the owned machine is paid anyway."""
TWO_COPIES = _units((0, 0, 0, 1, 0), (0, 1, 1, 1, 0), (1, 0, 3, 2, 0))


def _solution(problem: Problem, units: Units) -> Solution:
    done = complete(problem, units)
    assert isinstance(done, Solution)
    return done


def _kinds(verdict: Verdict) -> set[str]:
    return {violation.kind for violation in verdict.violations}


@pytest.mark.parametrize("units", [GOOD, TWO_COPIES, _units((0, 0, 0, 0, 0)), _units((0, 0, 0, 0, 0), (1, 0, 3, 2, 1))])
def test_a_sound_plan_has_no_violation(units: Units) -> None:
    """One copy, two copies, a dropped droppable workload, and spot for the preemptible one all hold."""
    verdict = verify(_problem(), _solution(_problem(), units))
    assert verdict.violations == ()


def test_costs_by_hand() -> None:
    """On_demand 2 x 3, owned 2 x 1, units 1 + 2, users 2, and 2 GB between two clusters at 0.5."""
    costs = verify(_problem(), _solution(_problem(), GOOD)).costs
    assert (costs.machines_usd, costs.units_usd, costs.users_usd, costs.flows_usd) == (8.0, 3.0, 2.0, 1.0)
    assert costs.total_usd == 14.0


def test_users_egress_is_shared_by_the_copies() -> None:
    """Two copies each send half to the users: (2 + 4) / 2 USD; the flow starts at copy 0."""
    costs = verify(_problem(), _solution(_problem(), TWO_COPIES)).costs
    assert (costs.users_usd, costs.flows_usd) == (3.0, 0.0)


BROKEN_UNITS = {
    "candidate": _units((0, 0, 3, 0, 0), (1, 0, 4, 2, 1)),
    "variant": _units((0, 0, 0, 2, 0), (1, 0, 4, 2, 1)),
    "speed": _units((0, 0, 0, 0, 0), (1, 0, 4, 3, 0)),
    "window": _units((0, 0, 0, 0, 0), (1, 0, 4, 2, 2)),
    "copies": _units((0, 0, 0, 1, 0), (1, 0, 4, 2, 1)),
    "domain": _units((0, 0, 0, 1, 0), (0, 1, 0, 1, 0), (1, 0, 4, 2, 1)),
    "availability": _units((0, 0, 1, 0, 0), (1, 0, 3, 2, 1)),
    "unplaced": _units((1, 0, 4, 2, 1)),
    "rows": _units((0, 0, 9, 0, 0), (1, 0, 4, 2, 1)),
}


@pytest.mark.parametrize("kind", BROKEN_UNITS)
def test_broken_units_are_caught(kind: str) -> None:
    """Each rule about units, broken alone, is named; machines are plenty, so that nothing else explains it."""
    problem = _problem()
    problem = replace(problem, pools=replace(problem.pools, max_machines=np.full((3, 2), 9, np.int32)),
                      offers=replace(problem.offers, max_machines=np.full((5, 2), 9, np.int32)))
    plenty = np.full((5, 2), 2, np.int32)
    verdict = verify(problem, Solution(BROKEN_UNITS[kind], plenty))
    assert kind in _kinds(verdict)
    assert _kinds(verdict) <= {kind, "copies", "floor"}
    assert _kinds(verify(problem, Solution(GOOD, plenty))) == set()


def test_copies_need_numbers_from_zero() -> None:
    """Copies 0 and 2 are refused."""
    units = _units((0, 0, 0, 1, 0), (0, 2, 1, 1, 0), (1, 0, 3, 2, 0))
    assert _kinds(verify(_problem(), Solution(units, np.full((5, 2), 1, np.int32)))) == {"copies"}


def test_a_stream_within_a_window_of_no_choice_starts_at_zero() -> None:
    """A steady unit that claims a later start is refused."""
    units = _units((0, 0, 0, 0, 1), (1, 0, 4, 2, 1))
    assert _kinds(verify(_problem(), Solution(units, _solution(_problem(), GOOD).machines))) == {"window"}


@pytest.mark.parametrize(("offer", "slot", "count", "kinds"), [
    (0, 0, 0, {"room"}),             # no machine for stream 0
    (0, 0, 3, {"offer"}),            # more than the offer has
    (4, 1, -1, {"offer", "room"}),   # less than none
    (3, 1, 2, set()),                # more than needed is legal, though dear
])
def test_broken_machine_counts_are_caught(offer: int, slot: int, count: int, kinds: set[str]) -> None:
    """Too few, too many and negative counts are named."""
    good = _solution(_problem(), GOOD)
    machines = good.machines.copy()
    machines[offer, slot] = count
    assert _kinds(verify(_problem(), Solution(GOOD, machines))) == kinds


def test_more_than_the_pool_holds_is_caught() -> None:
    """Two on_demand and two spot machines in a pool of three."""
    machines = _solution(_problem(), GOOD).machines.copy()
    machines[:2, 0] = 2
    verdict = verify(_problem(), Solution(GOOD, machines))
    assert _kinds(verdict) == {"pool"}
    assert (verdict.violations[0].found, verdict.violations[0].allowed) == (4.0, 3.0)


def test_spot_does_not_hold_firm_work() -> None:
    """Stream 0 is not preemptible: two spot machines are no room for it."""
    machines = _solution(_problem(), GOOD).machines.copy()
    machines[0], machines[1] = 0, 2
    verdict = verify(_problem(), Solution(GOOD, machines))
    assert _kinds(verdict) == {"room"}
    assert "not spot" in verdict.violations[0].sentence


def test_dropping_too_much_misses_the_floor() -> None:
    """Half of the weight is enough for a floor of 0.5, not of 0.9."""
    dropped = _units((0, 0, 0, 0, 0))
    for floor, kinds in ((0.5, set()), (0.9, {"floor"})):
        problem = _problem(Objective("min_cost", floor))
        verdict = verify(problem, _solution(problem, dropped))
        assert _kinds(verdict) == kinds
        assert verdict.attainment == 0.5


@pytest.mark.parametrize(("budget", "kinds"), [(14.0, set()), (13.9, {"budget"})])
def test_the_budget_holds_in_max_sla(budget: float, kinds: set[str]) -> None:
    """A plan of 14 USD keeps a budget of 14 and breaks one of 13.9."""
    problem = _problem(Objective("max_sla", 1.0, budget))
    assert _kinds(verify(problem, _solution(problem, GOOD))) == kinds


def test_in_max_sla_a_missed_availability_only_costs_attainment() -> None:
    """One copy on a weak cluster is legal in `max_sla`, and its workload is not attained."""
    problem = _problem(Objective("max_sla"))
    verdict = verify(problem, _solution(problem, BROKEN_UNITS["availability"]))
    assert _kinds(verdict) == set()
    assert verdict.attained.tolist() == [False, True]


@pytest.mark.parametrize(("mode", "bound", "kinds"), [
    ("min_cost", 14.0, set()), ("min_cost", 14.001, {"bound"}), ("min_cost", float("nan"), {"bound"}),
    ("max_sla", 1.0, set()), ("max_sla", 0.99, {"bound"})])
def test_a_bound_does_not_contradict_the_plan(mode: str, bound: float, kinds: set[str]) -> None:
    """A lower bound above the cost, or an upper bound below the attainment, is refused."""
    problem = _problem(Objective("max_sla" if mode == "max_sla" else "min_cost", 0.5))
    assert _kinds(verify(problem, _solution(problem, GOOD), bound)) == kinds


def test_at_most_one_down_by_hand() -> None:
    """0.9 and 0.8: both up 0.72, first down 0.08, second down 0.18."""
    apart = Domains(np.arange(2), np.array([[0], [1]]), np.array([0.9, 0.8]))
    assert at_most_one_down(apart, np.arange(2)) == pytest.approx(0.98)


def _random_units(problem: Problem, seed: int) -> Units:
    """Legal units: one copy where that is enough, else several in distinct failure domains."""
    rng, domains = np.random.default_rng(seed), failure_domains(problem)
    rows = []
    for s in range(len(problem.streams.shape)):
        own = np.arange(problem.streams.candidate_first[s], problem.streams.candidate_first[s + 1])
        alone = own[problem.candidates.single[own]]
        places = domains.pool[problem.candidates.pool[own]]
        _, apart = np.unique(places, return_index=True)
        chance = at_most_one_down(domains, places[apart])
        many = (2 <= len(apart) <= int(problem.variants.copies[problem.streams.variant_first[s + 1] - 1])
                and chance >= problem.streams.availability[s] and rng.random() < 0.5)
        chosen = own[apart] if many else rng.choice(alone, 1)
        for copy, n in enumerate(chosen):
            table = np.arange(problem.streams.variant_first[s], problem.streams.variant_first[s + 1])
            fits = ((problem.variants.copies[table] == len(chosen))
                    & (problem.variants.speed[table] == problem.candidates.speed[n]))
            v = int(table[fits][0])
            start = int(rng.integers(problem.variants.earliest[v], problem.variants.latest[v] + 1))
            rows.append((s, copy, int(n), v, start))
    return _units(*rows)


@QUICK
@given(seed=st.integers(0, 10**6), tight=st.booleans())
def test_what_is_completed_holds(tiny_problem: Callable[..., Problem], seed: int, tight: bool) -> None:
    """Completed units pass the check, with one machine fewer anywhere they do not, or it would have been cheaper."""
    problem = tiny_problem(seed, tight=tight)
    done = complete(problem, _random_units(problem, seed))
    if isinstance(done, Shortfall):
        assert tight
        return
    verdict = verify(problem, done)
    assert verdict.violations == ()
    for o, t in zip(*np.nonzero(done.machines), strict=True):
        fewer = done.machines.copy()
        fewer[o, t] -= 1
        less = verify(problem, Solution(done.units, fewer))
        assert less.violations or less.costs.total_usd >= verdict.costs.total_usd - 1e-9


@QUICK
@given(seed=st.integers(0, 10**6))
def test_shown_packings_prove_what_they_show(tiny_problem: Callable[..., Problem], seed: int) -> None:
    """Rows of a packing have every replica once, only preemptible work on spot, and machines numbered from 0."""
    problem = tiny_problem(seed)
    done = complete(problem, _random_units(problem, seed))
    assert isinstance(done, Solution)
    rows = packing_rows(problem, done)
    assert verify(problem, done, packings=rows).violations == ()
    on_spot = rows.unit[rows.purchase == Purchase.SPOT]
    assert problem.streams.preemptible[done.units.stream[on_spot]].all()
    for pool, slot in np.unique(np.column_stack((rows.pool, rows.slot)), axis=0):
        here = (rows.pool == pool) & (rows.slot == slot)
        running = done.machines[problem.offers.pool == pool, slot].sum()
        assert rows.machine[here].min() == 0
        assert rows.machine[here].max() < running


@QUICK
@given(seed=st.integers(0, 10**6))
def test_slots_with_spot_and_other_machines_are_always_shown(tiny_problem: Callable[..., Problem], seed: int) -> None:
    """What is written unasked has every slot in which a checker may fill spot and other machines in another turn."""
    problem = tiny_problem(seed)
    done = complete(problem, _random_units(problem, seed))
    assert isinstance(done, Solution)
    rows, running = packing_rows(problem, done, hard_only=True), machines_by_kind(problem, done.machines)
    both = (running[:, Purchase.SPOT] > 0) & (running[:, : Purchase.SPOT].sum(axis=1) > 0)
    in_use = np.zeros_like(both)
    every = packing_rows(problem, done)
    in_use[every.pool, every.slot] = True
    assert set(zip(*np.nonzero(both & in_use), strict=True)) <= set(zip(rows.pool, rows.slot, strict=True))
    assert verify(problem, done, packings=rows).violations == ()


def test_a_shortfall_says_where() -> None:
    """Four copies of work for one machine: the pool, the slots and the number of machines that lack."""
    problem = _problem()
    problem = replace(problem, pools=replace(problem.pools, max_machines=np.zeros((3, 2), np.int32)))
    lack = complete(problem, _units((0, 0, 0, 0, 0)))
    assert isinstance(lack, Shortfall)
    assert (lack.pool.tolist(), lack.slot.tolist(), lack.lacking.tolist()) == ([0, 0], [0, 1], [1, 1])
