"""Providers, regions, clusters and zones as failure domains: from a scenario to arrays, and what can be reached."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placement.domains import at_most_one_down, lone_copy
from placement.problem import Domains
from planner.formulate import Formulation
from planner.scenario.model import Scenario
from planner.variants import reachable

Build = Callable[..., tuple[Scenario, Formulation]]
New = Callable[..., dict[str, Any]]


def test_nothing_stated_leaves_clusters_as_they_are(fleet: dict[str, Any], build: Build) -> None:
    """Without domains and zones the problem states none."""
    assert build(fleet)[1].problem.domains is None


def test_zones_lie_in_clusters_in_regions_of_providers(fleet: dict[str, Any], build: Build) -> None:
    """Two zones of one cluster share its region, its provider and itself; what never fails is on no path."""
    fleet["domains"] = [{"name": "aws", "availability": 0.9999}, {"name": "azure/westeurope", "availability": 0.99}]
    fleet["clusters"][0]["zones"] = [{"name": "a", "availability": 0.998}, {"name": "b"}]
    for pool, zone in zip(fleet["clusters"][0]["pools"], "ab", strict=True):
        pool["zone"] = zone
    domains = build(fleet)[1].problem.domains
    assert domains is not None
    assert domains.pool.tolist() == [0, 1, 2, 2, 3, 3]
    up = [[1.0 if part < 0 else float(domains.up[part]) for part in path] for path in domains.path]
    assert up == [[0.9999, 1, 0.999, 0.998], [0.9999, 1, 0.999, 1], [1, 0.99, 0.99, 1], [1, 1, 0.9, 1]]
    assert domains.path[0, 0] == domains.path[1, 0]
    assert domains.path[0, 2] == domains.path[1, 2]
    assert lone_copy(domains) == pytest.approx([0.9999 * 0.999 * 0.998, 0.9999 * 0.999, 0.99 * 0.99, 0.9])


def test_one_copy_is_as_available_as_all_that_it_lies_in(fleet: dict[str, Any], build: Build, new: New) -> None:
    """A cluster of 0.999 in a region of 0.99 does not give 0.995, and the reason says what the best gives."""
    fleet["clusters"] = fleet["clusters"][:1]
    fleet["workloads"] = [new("w", slo={"availability": 0.995})]
    assert build(fleet)[1].problem.candidates.single.all()
    fleet["domains"] = [{"name": "aws/sa-east-1", "availability": 0.99}]
    rejected = build(fleet)[1].rejections["w"][0]
    assert "gives slo.availability 0.995; the best has 0.98" in rejected


def test_copies_in_one_region_do_not_give_what_copies_in_two_do(fleet: dict[str, Any], build: Build, new: New) -> None:
    """Two clusters of a region that is up 0.99 of the time never give 0.995; with one elsewhere there is a way."""
    twin = fleet["clusters"][0] | {"name": "aws-sp-2"}
    fleet["clusters"] = [fleet["clusters"][0], twin, fleet["clusters"][1]]
    fleet["domains"] = [{"name": "aws/sa-east-1", "availability": 0.99}]
    fleet["workloads"] = [new("w", slo={"availability": 0.995}, clusters={"allow": ["aws-*"]})]
    assert set(build(fleet)[1].rejections) == {"w"}
    fleet["workloads"] = [new("w", slo={"availability": 0.995})]
    _, formulation = build(fleet)
    assert not formulation.rejections
    assert formulation.problem.variants.copies.min() == 2


@settings(max_examples=80, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), slo=st.sampled_from([0.0, 0.85, 0.95, 0.985, 0.999]))
def test_what_is_out_of_reach_is_out_of_reach(seed: int, slo: float) -> None:
    """One and two copies are said to be reachable exactly when they are; of more, none that are is left out."""
    rng = np.random.default_rng(seed)
    path = np.stack([rng.integers(0, 2, 5), 2 + np.arange(5)], axis=1)
    domains = Domains(np.arange(5), path, rng.choice([0.9, 0.98, 0.999], 7))
    ok = rng.random((3, 5)) < 0.7
    found = reachable(ok, domains, np.full(3, slo))
    for s, k in itertools.product(range(3), range(1, 6)):
        legal = np.flatnonzero(ok[s])
        chances = [float(lone_copy(domains)[chosen[0]]) if k == 1 else
                   at_most_one_down(path, domains.up, np.array(chosen)) for chosen in itertools.combinations(legal, k)]
        true = any(chance >= slo - 1e-12 for chance in chances)
        assert found[s, k - 1] == true if k <= 2 else found[s, k - 1] >= true
