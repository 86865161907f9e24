"""Failure domains that nest: the chance that at most one copy is down, by three ways that share nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.complete import Shortfall, complete
from placement.domains import (
    at_most_one_down,
    choose_domains,
    cluster_of,
    failure_domains,
    lone_copy,
    share_parts,
    together,
)
from placement.problem import Domains, Problem
from placement.result import Units
from placement.verify import at_most_one_down as by_recursion
from placement.verify import verify

Build = Callable[..., Problem]
QUICK = settings(max_examples=150, deadline=None, derandomize=True)


def tree(seed: int, leaves: int = 5) -> Domains:
    """Zones in clusters in regions of one or two providers; some parts never fail and are left out."""
    rng = np.random.default_rng(seed)
    provider, region, cluster = (rng.integers(0, n, leaves) for n in (2, 2, 2))
    keys = [provider, provider * 2 + region, (provider * 2 + region) * 2 + cluster, np.arange(leaves)]
    first = np.cumsum([0, 2, 4, 8])
    path = np.stack([key + begin for key, begin in zip(keys, first, strict=True)], axis=1)
    up = rng.choice([0.5, 0.9, 0.99, 1.0], int(first[-1]) + leaves)
    path[up[path] == 1.0] = -1
    return Domains(np.arange(leaves), path.astype(np.int64), up)


def by_states(domains: Domains, chosen: list[int]) -> float:
    """The same chance, over all states of the parts in question."""
    needs = [{int(part) for part in domains.path[d] if part >= 0} for d in chosen]
    parts, chance = sorted(set().union(*needs)), 0.0
    for states in itertools.product((True, False), repeat=len(parts)):
        broken = {part for part, up in zip(parts, states, strict=True) if not up}
        if sum(bool(mine & broken) for mine in needs) <= 1:
            chance += float(np.prod([1 - domains.up[p] if p in broken else domains.up[p] for p in parts]))
    return chance


@QUICK
@given(seed=st.integers(0, 10**6), copies=st.integers(1, 4))
def test_three_ways_agree(seed: int, copies: int) -> None:
    """The formula of the search, the recursion of `verify` and all states of all parts give the same chance."""
    domains = tree(seed)
    for chosen in itertools.combinations(range(5), copies):
        true = by_states(domains, list(chosen))
        assert at_most_one_down(domains.path, domains.up, np.array(chosen)) == pytest.approx(true, abs=1e-12)
        assert by_recursion(domains, np.array(chosen)) == pytest.approx(true, abs=1e-12)


def test_two_clusters_of_one_region_are_not_taken_for_independent() -> None:
    """Region 0.99, clusters 0.999 each: 0.99 x (1 - 0.001 x 0.001), far from the 0.999999 of clusters far apart."""
    one = Domains(np.arange(2), np.array([[0, 1], [0, 2]]), np.array([0.99, 0.999, 0.999]))
    two = Domains(np.arange(2), np.array([[0, 2], [1, 3]]), np.array([0.99, 0.99, 0.999, 0.999]))
    both = np.array([0, 1])
    assert at_most_one_down(one.path, one.up, both) == pytest.approx(0.99 * (1 - 1e-6))
    assert at_most_one_down(two.path, two.up, both) == pytest.approx(1 - (1 - 0.99 * 0.999) ** 2)
    assert (share_parts(one), share_parts(two)) == (True, False)
    assert lone_copy(one) == pytest.approx([0.99 * 0.999] * 2)


def test_three_copies_are_spread_over_regions_where_only_that_survives() -> None:
    """Three cheap domains in one region, one in each of two others: swaps lead nowhere, three regions do."""
    path = np.array([[0, 3], [0, 4], [0, 5], [1, 6], [2, 7]])
    domains = Domains(np.arange(5), path, np.array([0.99] * 3 + [0.98] * 5))
    usd, chosen = np.array([1.0, 1.1, 1.2, 5.0, 6.0]), np.empty(3, np.int64)
    true = {some: at_most_one_down(domains.path, domains.up, np.array(some))
            for some in itertools.combinations(range(5), 3)}
    target = true[0, 3, 4] - 1e-9
    legal = [sum(usd[list(some)]) for some, chance in true.items() if chance >= target]
    assert choose_domains(usd, domains.path, domains.up, 3, target, chosen) == pytest.approx(min(legal)) == 12.0
    assert sorted(chosen.tolist()) == [0, 3, 4]
    assert choose_domains(usd, domains.path, domains.up, 3, 0.9999, chosen) == np.inf
    assert choose_domains(usd, domains.path, domains.up, 3, 0.0, chosen) == pytest.approx(3.3)


def test_entries_of_minus_one_are_no_copies() -> None:
    """Rows of sets of different sizes are filled up with -1."""
    domains = tree(3)
    rows = np.array([[0, 2, 4], [0, -1, 4], [-1, 3, -1]])
    expected = [by_states(domains, [d for d in row if d >= 0]) for row in rows.tolist()]
    assert together(domains.path, domains.up, rows) == pytest.approx(expected)


def test_without_domains_every_cluster_is_one(tiny_problem: Build) -> None:
    """What is not stated: copies lie in distinct clusters, which do not depend on one another."""
    problem = replace(tiny_problem(2), domains=None)
    domains = failure_domains(problem)
    assert (domains.pool == problem.pools.cluster).all()
    assert (cluster_of(problem) == np.arange(len(problem.clusters.availability))).all()
    assert lone_copy(domains) == pytest.approx(problem.clusters.availability)


def test_verify_tells_copies_in_one_zone_from_copies_in_two(tiny_problem: Build) -> None:
    """Two zones of one cluster are two domains, where the SLO allows it; two pools of one zone are not."""
    problem = tiny_problem(7, clusters=1, workloads=1, slots=2, most_copies=1)
    v, s, c = problem.variants, problem.streams, problem.candidates
    first = int(np.flatnonzero(np.diff(s.candidate_first) > 1)[0])
    rows = np.arange(*s.candidate_first[first:first + 2])[:2]
    pool = np.zeros(len(problem.pools.cluster), np.int64)
    two = replace(problem, variants=replace(v, copies=np.full(len(v.stream), 2)),
                  candidates=replace(c, speed=np.zeros(len(c.stream), np.int64)),
                  streams=replace(s, availability=np.full(len(s.shape), 0.9)),
                  pools=replace(problem.pools, max_machines=problem.pools.max_machines + 50))
    variant = int(s.variant_first[first])
    start = np.full(2, max(0, int(v.earliest[variant])))
    units = Units(np.full(2, first), np.arange(2), rows, np.full(2, variant), start)

    def kinds(zone_of_second: int, region_up: float) -> set[str]:
        row = pool.copy()
        row[c.pool[rows[1]]] = zone_of_second
        made = replace(two, domains=Domains(row, np.array([[0, 1], [0, 2]]), np.array([region_up, 0.99, 0.99])))
        done = complete(made, units)
        assert not isinstance(done, Shortfall)
        found = {violation.kind for violation in verify(made, done).violations}
        return found & {"domain"} | ({"weak"} if not verify(made, done).attained.any() else set())

    assert "domain" not in kinds(1, 0.999)
    assert "domain" in kinds(0, 0.999)
    assert "weak" in kinds(1, 0.8)
