"""All pods known beforehand: which to place and where, so that most GPU is allocated; and the most that is possible.

Pods without GPU allocate none and stay out. The start takes the others in a few plain orders, by the `planner` rule of
`placement.gpu_online`, and keeps the best. Then a few nodes at a time are emptied and filled again from all pods that
have no place, in an order with chance in it; what allocates less is mostly undone (ruin and recreate). Rounds are
counted, so the same seed gives the same packing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.gpu_online import Kinds, State, expect, first_whole, fresh, pack_online, take
from placement.gpu_packing import WHOLE, Nodes, Packing, Pods, allocated_milli
from placement.jit import jit
from placement.problem import Floats, Ints
from placement.simplex import open_highs

# ruff: noqa: NPY002  (compiled code has the legacy generator only, seeded in `_improve`)

_MOST_NODES = 4
"""Nodes emptied in one round at most."""
_HOT, _COLD = 150.0, 5.0
"""Milli-GPU: loss that is kept with chance 1/e, at first and at last."""
_BY_ROW, _MAXIMISE = 2, -1
"""As HiGHS numbers matrix formats and senses."""


class Contents(NamedTuple):
    """Pods on nodes: `kind` and GPU set `gpus` [N, L], of which node n has `count_of[n]`."""

    kind: Ints
    gpus: Ints
    count_of: Ints


def pack_offline(nodes: Nodes, pods: Pods, rounds: int, seed: int = 0) -> Packing:
    """Choose and place pods so that much GPU is allocated; nothing else counts."""
    start = max((_by_order(nodes, pods, order) for order in _orders(pods)),
                key=lambda packing: allocated_milli(pods, packing))
    table = np.stack([pods.cpu_milli, pods.memory_mib, pods.gpus, pods.milli, pods.models], axis=1)
    distinct, kind = np.unique(table, axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    kinds, models = Kinds(*(distinct[:, c].copy() for c in range(4))), distinct[:, 4].copy()
    contents, state = _enter(nodes, pods, start, kind)
    free = np.bincount(kind[(start.node < 0) & (pods.gpus > 0)], minlength=len(distinct)).astype(np.int64)
    _improve(state, contents, kinds, models, free, rounds, seed, _HOT, _COLD)
    return _named(contents, kind, len(pods.gpus))


def _orders(pods: Pods) -> list[Ints]:
    """Rows of pods with GPU: large ones first, then by few models or by little CPU."""
    rows = np.flatnonzero(pods.gpus > 0)
    choice = np.array([int(models).bit_count() if models >= 0 else 64 for models in pods.models[rows]])
    cpu, milli, gpus = pods.cpu_milli[rows], pods.milli[rows], pods.gpus[rows]
    return [rows[np.lexsort(keys)] for keys in ((cpu, -milli, -gpus), (cpu, -milli, choice, -gpus))]


def _by_order(nodes: Nodes, pods: Pods, order: Ints) -> Packing:
    models = int(nodes.model.max(initial=0)) + 1
    some = pack_online(nodes, pods.rows(order), "planner", expect(pods, models))
    node, sets = np.full(len(pods.gpus), -1, np.int64), np.zeros(len(pods.gpus), np.int64)
    node[order], sets[order] = some.node, some.gpu_set
    return Packing(node, sets)


def _enter(nodes: Nodes, pods: Pods, packing: Packing, kind: Ints) -> tuple[Contents, State]:
    """A packing as contents of nodes, and what it leaves."""
    smallest = int(pods.milli[pods.gpus > 0].min(initial=WHOLE))
    most = int(nodes.gpus.max(initial=0)) * (WHOLE // max(1, smallest)) + 1
    many = len(nodes.gpus)
    contents = Contents(np.zeros((many, most), np.int64), np.zeros((many, most), np.int64), np.zeros(many, np.int64))
    state = fresh(nodes)
    for row in np.flatnonzero(packing.node >= 0):
        n = int(packing.node[row])
        at = contents.count_of[n]
        contents.kind[n, at], contents.gpus[n, at] = kind[row], packing.gpu_set[row]
        contents.count_of[n] += 1
        state.cpu[n] -= pods.cpu_milli[row]
        state.memory[n] -= pods.memory_mib[row]
        take(state.gpu[n], int(packing.gpu_set[row]), int(pods.milli[row]), 1)
    return contents, state


def _named(contents: Contents, kind: Ints, pods: int) -> Packing:
    """Give every place to a pod of its kind, the first ones of each."""
    node, sets = np.full(pods, -1, np.int64), np.zeros(pods, np.int64)
    order = np.argsort(kind, kind="stable")
    following = np.searchsorted(kind[order], np.arange(int(kind.max(initial=0)) + 2))
    for n in range(len(contents.count_of)):
        for at in range(contents.count_of[n]):
            k = contents.kind[n, at]
            row = order[following[k]]
            following[k] += 1
            node[row], sets[row] = n, contents.gpus[n, at]
    return Packing(node, sets)


@jit
def _empty(state: State, contents: Contents, kinds: Kinds, free: Ints, node: int) -> int:
    """Take every pod off a node; returns the milli-GPU that gives."""
    milli = 0
    for at in range(contents.count_of[node]):
        k = contents.kind[node, at]
        free[k] += 1
        state.cpu[node] += kinds.cpu[k]
        state.memory[node] += kinds.memory[k]
        take(state.gpu[node], contents.gpus[node, at], kinds.milli[k], -1)
        milli += kinds.gpus[k] * kinds.milli[k]
    contents.count_of[node] = 0
    return milli


@jit
def _put(state: State, contents: Contents, kinds: Kinds, free: Ints, node: int, kind: int, chosen: int) -> None:
    at = contents.count_of[node]
    contents.kind[node, at], contents.gpus[node, at] = kind, chosen
    contents.count_of[node] = at + 1
    free[kind] -= 1
    state.cpu[node] -= kinds.cpu[kind]
    state.memory[node] -= kinds.memory[kind]
    take(state.gpu[node], chosen, kinds.milli[kind], 1)


@jit
def _where(state: State, kinds: Kinds, node: int, kind: int) -> int:
    """GPUs of a node for a pod, the fullest that has room; 0 where it does not fit."""
    if kinds.cpu[kind] > state.cpu[node] or kinds.memory[kind] > state.memory[node]:
        return 0
    gpu, gpus, milli = state.gpu[node], state.gpus[node], kinds.milli[kind]
    if milli == WHOLE:
        return first_whole(gpu, gpus, kinds.gpus[kind])
    best = -1
    for g in range(gpus):
        if gpu[g] >= milli and (best < 0 or gpu[g] < gpu[best]):
            best = g
    return 1 << best if best >= 0 else 0


@jit
def _fill(state: State, contents: Contents, kinds: Kinds, models: Ints, free: Ints, picked: Ints, order: Ints) -> int:
    """Fill nodes with pods that have no place, kinds in `order`; returns the milli-GPU placed."""
    milli = 0
    for k in order:
        for node in picked:
            model = state.model[node]
            if models[k] >= 0 and (model < 0 or (models[k] >> model) & 1 == 0):
                continue
            while free[k] > 0:
                chosen = _where(state, kinds, node, k)
                if chosen == 0:
                    break
                _put(state, contents, kinds, free, node, k, chosen)
                milli += kinds.gpus[k] * kinds.milli[k]
    return milli


@jit
def _wish(kinds: Kinds, free: Ints) -> Ints:
    """Kinds that have pods without place, large ones first, more or less, and little CPU first."""
    frugal, noise = np.random.random() * 0.06, np.random.random() * 0.3
    key = np.empty(len(free))
    for k in range(len(free)):
        asked = kinds.gpus[k] * kinds.milli[k]
        key[k] = -(asked - frugal * kinds.cpu[k]) * (1 + noise * np.random.standard_normal())
    order = np.argsort(key)
    return order[(free[order] > 0) & (kinds.gpus[order] > 0)]


@jit
def _improve(state: State, contents: Contents, kinds: Kinds, models: Ints, free: Ints, rounds: int, seed: int,
             hot: float, cold: float) -> None:
    """Empty a few nodes and fill them again, one of them with idle GPU; keep what allocates more, less by chance."""
    np.random.seed(seed)
    many = len(state.cpu)
    for step in range(rounds):
        heat = hot * (cold / hot) ** (step / rounds)
        picked = np.random.randint(0, many, np.random.randint(1, _MOST_NODES + 1))
        for _ in range(8):
            if state.gpu[picked[0]].sum() > 0:
                break
            picked[0] = np.random.randint(many)
        picked = np.unique(picked)
        kind, sets, count = contents.kind[picked], contents.gpus[picked], contents.count_of[picked]
        before = 0
        for node in picked:
            before += _empty(state, contents, kinds, free, node)
        after = _fill(state, contents, kinds, models, free, picked, _wish(kinds, free))
        if after >= before or np.random.random() < np.exp((after - before) / heat):
            continue
        for node in picked:
            _empty(state, contents, kinds, free, node)
        for i in range(len(picked)):
            for at in range(count[i]):
                _put(state, contents, kinds, free, picked[i], kind[i, at], sets[i, at])


# ---------------------------------------------------------------- the most that is possible


def most_milli(nodes: Nodes, pods: Pods) -> float:
    """An upper bound on the milli-GPU that any packing of these pods allocates.

    The linear program in which pods may be cut in pieces and nodes of one type are one large node: CPU, memory, GPU and
    the models asked for still count. Its dual is evaluated in float64, so that an inexact solve makes the bound weaker
    and never wrong.
    """
    types, size = np.unique(np.stack([nodes.cpu_milli, nodes.memory_mib, nodes.gpus, nodes.model], axis=1), axis=0,
                            return_counts=True)
    table = np.stack([pods.cpu_milli, pods.memory_mib, pods.asked_milli, pods.models], axis=1)[pods.gpus > 0]
    kinds, there = np.unique(table, axis=0, return_counts=True)
    room = (types[:, :3] * size[:, None] * [1, 1, WHOLE]).astype(np.float64)
    asked, model = kinds[:, 3, None], types[:, 3]
    legal = (asked < 0) | ((model >= 0) & ((asked >> np.maximum(model, 0)) & 1 == 1))
    k, t = np.nonzero(legal)
    if not len(k):
        return 0.0
    prices = _duals(kinds, there, room, k, t)
    worth = kinds[:, 2, None] - (kinds[:, None, :3] * prices).sum(axis=2)  # of a pod at the prices of room, by type
    best = np.where(legal, worth, 0.0).max(axis=1, initial=0.0)
    return float((prices * room).sum() + there @ np.maximum(best, 0.0))


def _duals(kinds: Ints, there: Ints, room: Floats, k: Ints, t: Ints) -> Floats:
    """Prices of CPU, memory and GPU by node type, [types, 3], none below 0."""
    columns, types = len(k), len(room)
    rows, place = 3 * types + len(kinds), np.arange(columns)
    row = np.concatenate([3 * t, 3 * t + 1, 3 * t + 2, 3 * types + k])
    column = np.concatenate([place] * 4)
    value = np.concatenate([kinds[k, 0], kinds[k, 1], kinds[k, 2], np.ones(columns)])
    order = np.lexsort((column, row))
    start = np.searchsorted(row[order], np.arange(rows)).astype(np.int32)
    inf = float("inf")
    solver = open_highs()
    solver.passModel(columns, rows, len(order), _BY_ROW, _MAXIMISE, 0.0, kinds[k, 2].astype(np.float64),
                     np.zeros(columns), np.full(columns, inf), np.full(rows, -inf),
                     np.concatenate([room.ravel(), there.astype(np.float64)]), start, column[order].astype(np.int32),
                     value[order].astype(np.float64), np.zeros(columns, np.int32))
    solver.run()
    duals = np.array(solver.getSolution().row_dual, np.float64)[: 3 * types]
    return np.asarray(np.maximum(0.0, duals).reshape(types, 3))
