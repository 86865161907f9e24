"""Pods that come one by one and stay: which node, and which GPU of it.

A rule gives every node a cost for the pod at hand; the pod goes to the node of least cost, and of nodes that cost the
same (to within 1e-6) to the first in the list; on a node, of GPUs that cost the same, to the first. A pod that fits
nowhere is skipped. The rules:

- `random`: any node it fits, any GPU there (the only one that needs a seed).
- `best_fit`: the node with the least left, 1/2 (CPU left / 128 + GPU left / 8), on it the GPU with the least left.
- `fgd`: the node whose fragmentation grows least (Weng et al., "Beware of fragmentation: scheduling GPU-sharing
  workloads with fragmentation gradient descent", 2023): the share of typical pods x the idle GPU that they cannot use.
  A pod that does not fit a node, or that asks for no GPU, can use none of it; else all GPUs that have what it asks for.
  As published, what is compared are whole numbers, the rounded down 100 / (1 + exp(growth / 1000)).
- `planner`: the node that loses least of what it could still give. A node's worth is, by the share of typical pods, the
  GPU that as many pods of that kind as fit would take, CPU and GPUs together. So CPU that GPUs need later counts, which
  fragmentation as above does not see: a node whose idle GPUs have CPU for one pod is worth one pod. Fragmentation
  counts half beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from placement.gpu_packing import MOST_GPUS, WHOLE, Nodes, Packing, Pods
from placement.jit import jit
from placement.problem import Floats, Ints

# ruff: noqa: NPY002  (compiled code has the legacy generator only, seeded in `_arrive`)

RULES = {"random": 0, "best_fit": 1, "fgd": 2, "planner": 3}
"""Names of rules, as the kernels number them."""
_RANDOM, _BEST_FIT, _FGD, _PLANNER = RULES.values()
_TYPICAL = 0.95
"""Typical pods are the most frequent kinds that make up this share of all."""
_CPU_SCALE, _GPU_SCALE = 128_000.0, 8_000.0
_SAME = 1e-6
_OLD = 0.5
"""How much fragmentation counts beside worth (chosen on seeds 100 to 105 of the experiment in `docs/benchmarks.md`)."""


class Typical(NamedTuple):
    """What typical pods ask for, by GPU model [M, K]: `cpu`, `gpus`, `milli` and their `share` of all typical pods.

    Kinds a model will not do for and pods without GPU are left out; their share together is `out` [M]. Rows end with
    kinds of share 0.
    """

    cpu: Ints
    gpus: Ints
    milli: Ints
    share: Floats
    out: Floats


class State(NamedTuple):
    """What is left: `cpu`, `memory` [N], `gpu` [N, 8] in milli-GPU; `gpus`, `model` [N] of the node."""

    cpu: Ints
    memory: Ints
    gpu: Ints
    gpus: Ints
    model: Ints


class Kinds(NamedTuple):
    """Distinct pods [K]: `cpu`, `memory`, `gpus`, `milli`."""

    cpu: Ints
    memory: Ints
    gpus: Ints
    milli: Ints


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected to come: typical pods by GPU model, found in a trace of pods seen before."""

    typical: Typical


def expect(pods: Pods, models: int) -> Expected:
    """Typical pods of a trace, for nodes of models 0..`models` - 1."""
    table = np.stack([pods.cpu_milli, pods.gpus, pods.milli, pods.models], axis=1)
    kinds, count = np.unique(table, axis=0, return_counts=True)
    order = np.argsort(-count, kind="stable")
    before = np.cumsum(count[order]) - count[order]
    kept = order[before < _TYPICAL * count.sum()]
    share = count[kept] / count[kept].sum()
    rows = [_of_model(kinds[kept], share, model) for model in range(max(1, models))]
    width = max(1, *(len(row[1]) for row in rows))
    cpu, gpus, milli = (np.ones((len(rows), width), np.int64) for _ in range(3))
    shares = np.zeros((len(rows), width))
    for model, (asked, part) in enumerate(rows):
        cpu[model, : len(part)], gpus[model, : len(part)], milli[model, : len(part)] = asked.T
        shares[model, : len(part)] = part
    return Expected(Typical(cpu, gpus, milli, shares, 1 - shares.sum(axis=1)))


def _of_model(kinds: Ints, share: Floats, model: int) -> tuple[Ints, Floats]:
    """(CPU, GPUs, milli-GPU of each) of kinds with GPUs that a model will do for, and their shares."""
    will_do = (kinds[:, 1] > 0) & ((kinds[:, 3] < 0) | ((kinds[:, 3] >> model) & 1 == 1))
    asked, inverse = np.unique(kinds[will_do, :3], axis=0, return_inverse=True)
    return asked, np.bincount(inverse.reshape(-1), share[will_do], len(asked)).astype(np.float64)


def pack_online(nodes: Nodes, pods: Pods, rule: str, expected: Expected, seed: int = 0) -> Packing:
    """Place pods in their order by one of `RULES`. Raises ValueError for another rule."""
    if rule not in RULES:
        raise ValueError(f"rule: {rule!r} is not one of {', '.join(RULES)}")
    table = np.stack([pods.cpu_milli, pods.memory_mib, pods.gpus, pods.milli], axis=1)
    distinct, kind = np.unique(table, axis=0, return_inverse=True)
    kinds = Kinds(*(distinct[:, c].copy() for c in range(4)))
    node, sets = np.full(len(pods.gpus), -1, np.int64), np.zeros(len(pods.gpus), np.int64)
    _arrive(fresh(nodes), kinds, kind.reshape(-1).astype(np.int64), pods.models, expected.typical, RULES[rule], seed,
            node, sets)
    return Packing(node, sets)


def fresh(nodes: Nodes) -> State:
    """Empty nodes."""
    gpu = np.where(np.arange(MOST_GPUS) < nodes.gpus[:, None], WHOLE, 0).astype(np.int64)
    return State(nodes.cpu_milli.copy(), nodes.memory_mib.copy(), gpu, nodes.gpus.copy(), nodes.model.copy())


@jit
def fragmentation(cpu: int, gpu: Ints, gpus: int, model: int, typical: Typical) -> float:
    """Milli-GPU idle on a node that typical pods cannot use, by their shares."""
    idle = 0
    whole = 0
    for g in range(gpus):
        idle += gpu[g]
        whole += gpu[g] == WHOLE
    lost: float = typical.out[model] * idle
    for k in range(typical.cpu.shape[1]):
        share, milli = typical.share[model, k], typical.milli[model, k]
        if share <= 0:
            break
        usable = 0
        if typical.cpu[model, k] <= cpu:
            if milli == WHOLE:
                usable = WHOLE * whole if whole >= typical.gpus[model, k] else 0
            else:
                for g in range(gpus):
                    if gpu[g] >= milli:
                        usable += gpu[g]
        lost += share * (idle - usable)
    return lost


@jit
def worth(cpu: int, gpu: Ints, gpus: int, model: int, typical: Typical) -> float:
    """Milli-GPU that a node could still give, by shares of typical pods: as many of each kind as fit it."""
    whole = 0
    for g in range(gpus):
        whole += gpu[g] == WHOLE
    total = 0.0
    for k in range(typical.cpu.shape[1]):
        share, milli = typical.share[model, k], typical.milli[model, k]
        if share <= 0:
            break
        if milli == WHOLE:
            places = whole // typical.gpus[model, k]
        else:
            places = 0
            for g in range(gpus):
                places += gpu[g] // milli
        total += share * min(places, cpu // typical.cpu[model, k]) * milli * typical.gpus[model, k]
    return total


@jit
def _judge(cpu: int, gpu: Ints, gpus: int, model: int, typical: Typical, rule: int) -> float:
    if rule == _FGD:
        return fragmentation(cpu, gpu, gpus, model, typical)
    return _OLD * fragmentation(cpu, gpu, gpus, model, typical) - worth(cpu, gpu, gpus, model, typical)


@jit
def take(gpu: Ints, chosen: int, milli: int, sign: int) -> None:
    """Take `milli` of every GPU in the set `chosen`, or give it back (`sign` -1)."""
    for g in range(len(gpu)):
        if (chosen >> g) & 1:
            gpu[g] -= sign * milli


@jit
def first_whole(gpu: Ints, gpus: int, wanted: int) -> int:
    """The first `wanted` whole GPUs as a set; 0 where there are not so many."""
    chosen, found = 0, 0
    for g in range(gpus):
        if gpu[g] == WHOLE and found < wanted:
            chosen |= 1 << g
            found += 1
    return chosen if found == wanted else 0


@jit
def _fullest(gpu: Ints, gpus: int, milli: int, rule: int) -> int:
    """The GPU that has room and the least left, or (`random`) any that has room, as a set; 0 where none has."""
    best, seen = -1, 0
    for g in range(gpus):
        if gpu[g] >= milli:
            seen += 1
            if rule == _RANDOM:
                if np.random.randint(seen) == 0:
                    best = g
            elif best < 0 or gpu[g] < gpu[best]:
                best = g
    return 1 << best if best >= 0 else 0


@jit
def _price(state: State, node: int, kinds: Kinds, kind: int, typical: Typical, rule: int) -> tuple[float, int]:
    """What the pod costs on this node by the rule, and on which GPUs; infinite where it does not fit."""
    cpu, gpu, gpus, model = state.cpu[node], state.gpu[node], state.gpus[node], state.model[node]
    asked, milli = kinds.gpus[kind], kinds.milli[kind]
    if kinds.cpu[kind] > cpu or kinds.memory[kind] > state.memory[node]:
        return np.inf, 0
    chosen = 0
    if asked > 0:
        chosen = first_whole(gpu, gpus, asked) if milli == WHOLE else _fullest(gpu, gpus, milli, rule)
        if chosen == 0:
            return np.inf, 0
    left = cpu - kinds.cpu[kind]
    if rule == _RANDOM:
        return 0.0, chosen
    if rule == _BEST_FIT:
        idle = 0
        for g in range(gpus):
            idle += gpu[g]
        return 0.5 * (left / _CPU_SCALE + (idle - asked * milli) / _GPU_SCALE), chosen
    before = _judge(cpu, gpu, gpus, model, typical, rule)
    if asked == 0 or milli == WHOLE:
        take(gpu, chosen, milli, 1)
        least = _judge(left, gpu, gpus, model, typical, rule)
        take(gpu, chosen, milli, -1)
        return _rounded(least - before, rule), chosen
    least = np.inf
    for g in range(gpus):
        if gpu[g] < milli or _seen_before(gpu, g):
            continue
        gpu[g] -= milli
        value = _rounded(_judge(left, gpu, gpus, model, typical, rule) - before, rule)
        gpu[g] += milli
        if value < least - _SAME:
            least, chosen = value, 1 << g
    return least, chosen


@jit
def _rounded(growth: float, rule: int) -> float:
    """Growth as the rule compares it."""
    return -np.floor(100.0 / (1.0 + np.exp(growth / 1000.0))) if rule == _FGD else growth


@jit
def _seen_before(gpu: Ints, g: int) -> bool:
    for other in range(g):  # noqa: SIM110 (compiled code knows no `any`)
        if gpu[other] == gpu[g]:
            return True
    return False


@jit
def _arrive(state: State, kinds: Kinds, kind: Ints, models: Ints, typical: Typical, rule: int, seed: int, node: Ints,
            sets: Ints) -> None:
    """Place pods in their order; what a kind costs on a node is kept until the node changes."""
    np.random.seed(seed)
    many, distinct = len(state.cpu), len(kinds.cpu)
    known = np.full((distinct, many), -1, np.int64)
    cost, chosen = np.empty((distinct, many)), np.zeros((distinct, many), np.int64)
    version = np.zeros(many, np.int64)
    for i in range(len(kind)):
        k, best, least, seen = kind[i], -1, np.inf, 0
        for n in range(many):
            model = state.model[n]
            if kinds.gpus[k] > 0 and models[i] >= 0 and (model < 0 or (models[i] >> model) & 1 == 0):
                continue
            if known[k, n] != version[n] or rule == _RANDOM:
                cost[k, n], chosen[k, n] = _price(state, n, kinds, k, typical, rule)
                known[k, n] = version[n]
            if cost[k, n] == np.inf:
                continue
            if rule == _RANDOM:
                seen += 1
                if np.random.randint(seen) == 0:
                    best = n
            elif cost[k, n] < least - _SAME:
                best, least = n, cost[k, n]
        if best >= 0:
            node[i], sets[i] = best, chosen[k, best]
            state.cpu[best] -= kinds.cpu[k]
            state.memory[best] -= kinds.memory[k]
            take(state.gpu[best], sets[i], kinds.milli[k], 1)
            version[best] += 1
