"""GPU packing: every packing legal and none above what enumeration and the bound say, on random tiny clusters."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.packing_data import arrivals, read_nodes, read_pods, traces
from placement.gpu_offline import most_milli, pack_offline
from placement.gpu_online import RULES, expect, fragmentation, pack_online, worth
from placement.gpu_packing import Nodes, Packing, Pods, allocated_milli, faults
from placement.problem import Ints

seeds = st.integers(0, 100_000)


def cluster(seed: int, nodes: int, pods: int) -> tuple[Nodes, Pods]:
    """A random cluster of two GPU models and pods that share GPUs, take several, or take none."""
    rng = np.random.default_rng(seed)
    gpus = rng.integers(1, 4, nodes)
    asked = rng.choice([0, 1, 1, 1, 2], pods)
    milli = np.where(asked == 1, rng.choice([200, 470, 500, 810, 1000], pods), np.where(asked > 1, 1000, 0))
    return (Nodes(rng.integers(4, 20, nodes) * 1000, rng.integers(8, 32, nodes) * 1000, gpus,
                  rng.integers(0, 2, nodes)),
            Pods(rng.integers(1, 9, pods) * 1000, rng.integers(1, 9, pods) * 1000, asked, milli,
                 rng.choice([-1, -1, 1, 2, 3], pods)))


def best_milli(nodes: Nodes, pods: Pods) -> int:
    """The most that can be allocated, by trying every place of every pod."""
    gpu = [tuple([1000] * int(g)) for g in nodes.gpus]

    def most(pod: int, cpu: Ints, memory: Ints, left: list[tuple[int, ...]]) -> int:
        if pod == len(pods.gpus):
            return 0
        best = most(pod + 1, cpu, memory, left)
        for n in range(len(nodes.gpus)):
            model = pods.models[pod] < 0 or (pods.models[pod] >> nodes.model[n]) & 1
            if cpu[n] < pods.cpu_milli[pod] or memory[n] < pods.memory_mib[pod] or not model:
                continue
            for chosen in itertools.combinations(range(len(left[n])), int(pods.gpus[pod])):
                if any(left[n][g] < pods.milli[pod] for g in chosen):
                    continue
                there = tuple(m - int(pods.milli[pod]) * (g in chosen) for g, m in enumerate(left[n]))
                less_cpu, less_memory, rest = cpu.copy(), memory.copy(), [*left[:n], there, *left[n + 1:]]
                less_cpu[n] -= pods.cpu_milli[pod]
                less_memory[n] -= pods.memory_mib[pod]
                best = max(best, int(pods.asked_milli[pod]) + most(pod + 1, less_cpu, less_memory, rest))
        return best

    return most(0, nodes.cpu_milli.copy(), nodes.memory_mib.copy(), gpu)


@settings(max_examples=14, deadline=None, derandomize=True)
@given(seeds)
def test_every_rule_packs_legally_and_skips_only_what_fits_nowhere(seed: int) -> None:
    """No rule overfills anything, and in the end no skipped pod would fit where all are now."""
    nodes, pods = cluster(seed, 5, 30)
    for rule in RULES:
        packing = pack_online(nodes, pods, rule, expect(pods, 2), seed)
        assert faults(nodes, pods, packing) == []
        out = np.flatnonzero(packing.node < 0)
        assert not any(fits_somewhere(nodes, pods, packing, int(row)) for row in out)


def fits_somewhere(nodes: Nodes, pods: Pods, packing: Packing, row: int) -> bool:
    """Whether one more pod could be added to a packing without a fault."""
    for n in range(len(nodes.gpus)):
        for chosen in itertools.combinations(range(int(nodes.gpus[n])), int(pods.gpus[row])):
            node, sets = packing.node.copy(), packing.gpu_set.copy()
            node[row], sets[row] = n, sum(1 << g for g in chosen)
            if not faults(nodes, pods, Packing(node, sets)):
                return True
    return False


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seeds)
def test_offline_finds_what_enumeration_finds_and_the_bound_is_above(seed: int) -> None:
    """On tiny clusters the offline packing is legal, allocates as much as can be, and the bound is not below that."""
    nodes, pods = cluster(seed, 2, 6)
    packing, best = pack_offline(nodes, pods, 3000, seed), best_milli(nodes, pods)
    assert faults(nodes, pods, packing) == []
    assert allocated_milli(pods, packing) == best
    assert most_milli(nodes, pods) >= best - 1e-6


def test_the_check_sees_every_kind_of_fault() -> None:
    """CPU, memory, a GPU too full, too few GPUs, a wrong model and a node that is not there are each reported."""
    nodes = Nodes(*(np.array([value]) for value in (4000, 4000, 2, 0)))
    pods = Pods(*(np.array([value, value]) for value in (2000, 2000, 1, 500, -1)))
    good = Packing(np.array([0, 0]), np.array([1, 1]))
    assert faults(nodes, pods, good) == []
    for bad, packing, word in (
            (replace(pods, cpu_milli=pods.cpu_milli * 2), good, "cpu_milli"),
            (replace(pods, memory_mib=pods.memory_mib * 2), good, "memory_mib"),
            (replace(pods, milli=pods.milli + 1), good, "milli-GPU"),
            (pods, replace(good, gpu_set=np.array([1, 3])), "asks for 1"),
            (pods, replace(good, gpu_set=np.array([1, 4])), "it has 0"),
            (replace(pods, models=np.array([2, -1])), good, "model"),
            (pods, replace(good, node=np.array([0, 1])), "does not exist")):
        assert any(word in sentence for sentence in faults(nodes, bad, packing)), word


def test_ties_go_to_the_first_node_and_gpu() -> None:
    """On equal empty nodes the first pod goes to GPU 0 of node 0, whatever the rule that compares."""
    nodes = Nodes(*(np.full(3, value) for value in (8000, 8000, 2, 0)))
    pods = Pods(*(np.array([value]) for value in (1000, 1000, 1, 500, -1)))
    for rule in ("best_fit", "fgd", "planner"):
        packing = pack_online(nodes, pods, rule, expect(pods, 1))
        assert (packing.node[0], packing.gpu_set[0]) == (0, 1)


def test_fragmentation_and_worth_by_hand() -> None:
    """One typical pod of 4 CPU and half a GPU: GPUs of 1000 and 300 left, CPU for one and for none."""
    pods = Pods(*(np.array([value]) for value in (4000, 1, 1, 500, -1)))
    typical = expect(pods, 1).typical
    gpu = np.array([1000, 300, 0, 0, 0, 0, 0, 0])
    assert fragmentation(4000, gpu, 2, 0, typical) == 300
    assert fragmentation(3999, gpu, 2, 0, typical) == 1300
    assert worth(4000, gpu, 2, 0, typical) == 500
    assert worth(8000, gpu, 2, 0, typical) == 1000
    assert worth(3999, gpu, 2, 0, typical) == 0


def test_an_unknown_rule_is_refused() -> None:
    """The message names the rule found and those there are."""
    nodes, pods = cluster(1, 2, 3)
    with pytest.raises(ValueError, match=r"'tetris' is not one of random, best_fit"):
        pack_online(nodes, pods, "tetris", expect(pods, 2))


def test_on_the_published_traces_our_rule_allocates_more(shared: Path) -> None:
    """One run of each trace, of a seed outside the experiment: more than fragmentation descent, and 98 % offline."""
    nodes, models = read_nodes(shared / "data" / "placement" / "openb")
    for file in traces(shared / "data" / "placement" / "openb").values():
        pods, names = read_pods(file, models)
        come, expected = arrivals(pods, names, nodes, 7), expect(pods, len(models))
        share = {}
        for rule in ("planner", "fgd", "best_fit"):
            packing = pack_online(nodes, come, rule, expected)
            assert faults(nodes, come, packing) == []
            share[rule] = allocated_milli(come, packing) / nodes.capacity_milli
        assert share["planner"] >= max(share["fgd"], share["best_fit"])
        offline = pack_offline(nodes, come, 20_000)
        assert faults(nodes, come, offline) == []
        assert allocated_milli(come, offline) >= 0.98 * nodes.capacity_milli
