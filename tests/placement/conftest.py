"""Random tiny placement problems, small enough to solve by trying everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from placement.domains import lone_copy
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
    Survival,
    Variants,
    Workloads,
)

TinyProblem = Callable[..., Problem]
SPEEDS = (1.0, 0.5)


@pytest.fixture(scope="session")
def tiny_problem() -> TinyProblem:
    """The builder itself, so that hypothesis tests may call it with the seeds they draw."""
    return build_problem


def build_problem(seed: int, *, clusters: int = 3, workloads: int = 3, slots: int = 3, most_copies: int = 3,
                  tight: bool = False, mode: Literal["min_cost", "max_sla"] = "min_cost",
                  sla_floor: float = 1.0, survive: bool = False) -> Problem:
    """A random legal problem; `tight` cuts the pools' maxima so low that some plans, or all, find no room.

    `survive`: most streams survive the loss of a cluster, or of a region of two clusters.

    Shapes, prices and weights are round numbers, so that a failing case can be worked out by hand. Every stream has at
    least one candidate with `single`, thus a plan always exists unless `tight`.
    """
    rng = np.random.default_rng(seed)
    availability = rng.choice([0.9, 0.99, 0.999], clusters).astype(np.float64)
    egress = rng.integers(0, 4, (clusters, clusters)).astype(np.float64) / 2
    np.fill_diagonal(egress, 0.0)
    pool_cluster = np.sort(np.concatenate([np.arange(clusters), rng.integers(0, clusters, rng.integers(0, 3))]))
    pools, speed_of_pool = _pools(rng, pool_cluster, slots, tight)
    varying = np.random.default_rng([seed, 1])  # numbers of its own, so that what seeds mean stays
    pools = replace(pools, min_machines=_least(varying, pools))
    shapes = rng.integers(2, 9, (int(rng.integers(1, 4)), 2)).astype(float)
    streams, variants = _streams(rng, workloads, len(shapes), slots, min(most_copies, clusters))
    domains = _domains(varying, pool_cluster, availability)
    up = availability[pool_cluster] if domains is None else lone_copy(domains)[domains.pool]
    first, candidates = _candidates(rng, streams, pools, shapes, speed_of_pool, up)
    budget = float(rng.integers(20, 200)) if mode == "max_sla" else float("inf")
    problem = Problem(
        slots=slots, objective=Objective(mode, sla_floor, budget), shapes=shapes,
        clusters=Clusters(availability, egress), pools=pools, offers=_offers(rng, varying, pools, slots),
        workloads=Workloads(rng.integers(1, 4, workloads).astype(float), rng.random(workloads) < 0.3),
        streams=Streams(streams.workload, streams.shape, streams.preemptible, streams.availability, first,
                        streams.variant_first),
        candidates=candidates, variants=variants, flows=_flows(rng, len(streams.workload)), domains=domains)
    return replace(problem, survival=_survival(rng, problem)) if survive else problem


def _domains(rng: np.random.Generator, pool_cluster: np.ndarray, availability: np.ndarray) -> Domains | None:
    """None in half of the problems; else clusters lie in two regions, and some pools in zones of their cluster."""
    if rng.random() < 0.5:
        return None
    clusters = len(availability)
    region = rng.integers(0, 2, clusters)
    zone = np.where(rng.random(clusters)[pool_cluster] < 0.5, rng.integers(0, 2, len(pool_cluster)), -1)
    up = np.concatenate([rng.choice([0.95, 0.999], 2), availability, rng.choice([0.9, 0.999], 2 * clusters)])
    leaves, row = np.unique(np.stack([pool_cluster, zone]), axis=1, return_inverse=True)
    last = np.where(leaves[1] >= 0, 2 + clusters + 2 * leaves[0] + leaves[1], -1)
    return Domains(row.reshape(-1), np.stack([region[leaves[0]], 2 + leaves[0], last], axis=1).astype(np.int64), up)


def _survival(rng: np.random.Generator, problem: Problem) -> Survival:
    """Kind 1: each cluster is lost. Kind 2: the first two are lost together, the others each by itself."""
    clusters, o = len(problem.clusters.availability), problem.offers
    alone = np.eye(clusters, dtype=bool)
    regions = np.vstack([alone[0] | alone[1], alone[2:]])
    assured = np.minimum(o.max_machines, rng.integers(0, 5, (len(o.pool), 1)))
    return Survival(np.vstack([alone, regions]), np.repeat([1, 2], [len(alone), len(regions)]),
                    rng.choice([0, 1, 1, 2], len(problem.streams.workload)), assured.astype(np.int32))


def _pools(rng: np.random.Generator, cluster: np.ndarray, slots: int, tight: bool) -> tuple[Pools, np.ndarray]:
    count = len(cluster)
    room = rng.integers(8, 17, (count, 2)).astype(float)
    most = rng.integers(1, 4, (count, slots)) if tight else np.full((count, slots), 60)
    run = rng.integers(0, 2, (count, slots)).astype(np.float64) / 4
    return Pools(cluster, room, most.astype(np.int32), run), rng.integers(0, 2, count)


def _least(rng: np.random.Generator, pools: Pools) -> np.ndarray:
    """Machines that always run: none in most problems, else a few in some pools, the same or by slot."""
    some = rng.random((len(pools.cluster), 1)) < (0.4 if rng.random() < 0.4 else 0)
    wanted = rng.integers(0, 3, (len(pools.cluster), pools.max_machines.shape[1] if rng.random() < 0.5 else 1))
    return np.minimum(np.where(some, wanted, 0), pools.max_machines).astype(np.int32)


def _offers(rng: np.random.Generator, varying: np.random.Generator, pools: Pools, slots: int) -> Offers:
    """One on_demand offer a pool, and any of the others; on_demand is large enough, so the pool's max decides.

    In some problems machines that are owned come and go.
    """
    comes_and_goes = varying.random() < 0.4
    pool, purchase, owned, price, most = [], [], [], [], []
    for p in range(len(pools.cluster)):
        for kind in Purchase:
            if kind != Purchase.ON_DEMAND and rng.random() < 0.6:
                continue
            pool.append(p)
            purchase.append(int(kind))
            held = np.full(slots, int(rng.integers(0, 3)) if kind <= Purchase.COMMITTED else 0)
            owned.append(np.maximum(held - varying.integers(0, 3, slots), 0) if comes_and_goes else held)
            price.append(rng.integers(*{0: (1, 3), 1: (2, 4), 2: (3, 7), 3: (1, 4)}[int(kind)], slots) * 1.0)
            most.append(pools.max_machines[p] if kind == Purchase.ON_DEMAND else rng.integers(2, 5, slots))
    return Offers(np.array(pool), np.array(purchase), np.array(owned), np.array(price), np.array(most, np.int32))


def _streams(rng: np.random.Generator, workloads: int, shapes: int, slots: int,
             most_copies: int) -> tuple[Streams, Variants]:
    """One or two streams a workload; variants for every number of copies and both speeds."""
    workload = np.repeat(np.arange(workloads), rng.integers(1, 3, workloads))
    count = len(workload)
    table: list[tuple[int, ...]] = []
    rows: list[np.ndarray] = []
    first = [0]
    for stream in range(count):
        need = rng.integers(0, 5, slots)
        batch = rng.random() < 0.4
        for copies in range(1, most_copies + 1):
            for speed, throughput in enumerate(SPEEDS):
                if batch:
                    table.append((stream, copies, speed, *_batch(need, copies, throughput, slots)))
                else:
                    table.append((stream, copies, speed, len(rows), 0, 0, 0, 0, 0, 0))
                    rows.append(np.ceil(need / max(1, copies - 1) / throughput - 1e-9))
        first.append(len(table))
    columns = [*np.array(table, np.int64).T, np.array(rows, np.int32).reshape(-1, slots)]
    streams = Streams(workload, rng.integers(0, shapes, count), rng.random(count) < 0.4,
                      rng.choice([0.0, 0.9, 0.99], count), np.zeros(count + 1, np.int64), np.array(first))
    return streams, Variants(*columns)


def _batch(need: np.ndarray, copies: int, throughput: float, slots: int) -> tuple[int, ...]:
    """row, level, length, period, runs, earliest, latest of one run of one slot (two where the hardware is slow)."""
    level = int(np.ceil(max(1, need.max()) / max(1, copies - 1) - 1e-9))
    length = min(slots, int(np.ceil(1 / throughput)))
    twice = slots >= 2 * length and int(need[0]) % 2 == 0
    period = slots // 2 if twice else 0
    latest = (slots - period if not twice else period) - length
    return -1, level, length, period, 2 if twice else 1, 0, latest


def _candidates(rng: np.random.Generator, streams: Streams, pools: Pools, shapes: np.ndarray, speed: np.ndarray,
                up: np.ndarray) -> tuple[np.ndarray, Candidates]:
    table: list[tuple[float, ...]] = []
    first = [0]
    for stream in range(len(streams.workload)):
        fits = (shapes[streams.shape[stream]] <= pools.room + 1e-9).all(axis=1)
        legal = np.flatnonzero(fits & (rng.random(len(fits)) < 0.8))
        legal = legal if len(legal) else np.flatnonzero(fits)[:1]
        single = up[legal] >= streams.availability[stream] - 1e-12
        single[int(rng.integers(len(legal)))] |= not single.any()
        for pool, alone in zip(legal, single, strict=True):
            table.append((stream, pool, speed[pool], int(rng.integers(0, 5)), int(rng.integers(0, 4)), alone))
        first.append(len(table))
    columns = np.array(table, np.float64).T
    of, pool, rank = columns[:3].astype(np.int64)
    return np.array(first), Candidates(of, pool, rank, columns[3].copy(), columns[4].copy(), columns[5] > 0)


def _flows(rng: np.random.Generator, streams: int) -> Flows:
    """Up to two flows from a stream to a later one, so that there is no cycle."""
    pairs = [(a, b) for a in range(streams) for b in range(a + 1, streams) if rng.random() < 0.3][:2]
    ends = np.array(pairs, np.int64).reshape(-1, 2)
    return Flows(ends[:, 0].copy(), ends[:, 1].copy(), rng.integers(1, 4, len(ends)).astype(float))
