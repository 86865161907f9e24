"""Packing pods onto nodes with shared GPUs: what fits, what it is worth, and a check by nobody that optimises.

Sizes: N nodes, Q pods, K kinds of pods. A node has CPU, memory and up to eight GPUs of one model; a GPU is 1,000
milli-GPU. A pod takes CPU and memory of one node and either a part of one GPU (`milli` < 1000) or `gpus` whole ones,
all on that node, or none; it may ask for GPU models. A pod stays where it is put.

`placement.gpu_online` takes pods one by one in the order they come, `placement.gpu_offline` knows all of them before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.problem import Ints

WHOLE = 1000
"""Milli-GPU of one GPU."""
MOST_GPUS = 8
"""GPUs of one node at most."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """`cpu_milli`, `memory_mib`, `gpus` and `model` (a number below 63; -1 without GPUs), each [N]."""

    cpu_milli: Ints
    memory_mib: Ints
    gpus: Ints
    model: Ints

    def __post_init__(self) -> None:
        if len(self.gpus) and int(self.gpus.max()) > MOST_GPUS:
            raise ValueError(f"nodes: one has {self.gpus.max()} GPUs; {MOST_GPUS} are the most")

    @property
    def capacity_milli(self) -> int:
        """Milli-GPU of all nodes together."""
        return int(self.gpus.sum()) * WHOLE


@dataclass(frozen=True, slots=True)
class Pods:
    """`cpu_milli`, `memory_mib`, `gpus` (0, 1 or more), `milli` of each of them (1000 where whole), each [Q].

    `models` [Q] has bit m set where a node of model m will do; -1 where any does. A pod with several GPUs takes whole
    ones.
    """

    cpu_milli: Ints
    memory_mib: Ints
    gpus: Ints
    milli: Ints
    models: Ints

    def __post_init__(self) -> None:
        partly = (self.gpus > 1) & (self.milli != WHOLE)
        if partly.any():
            row = int(np.flatnonzero(partly)[0])
            raise ValueError(f"pods: row {row} asks for {self.gpus[row]} GPUs of {self.milli[row]} milli-GPU; a pod "
                             f"with several GPUs takes whole ones of {WHOLE}")

    @property
    def asked_milli(self) -> Ints:
        """[Q] milli-GPU of each pod."""
        return np.asarray(self.gpus * self.milli)

    def rows(self, rows: Ints) -> Pods:
        """The pods in these rows."""
        return Pods(self.cpu_milli[rows], self.memory_mib[rows], self.gpus[rows], self.milli[rows], self.models[rows])


@dataclass(frozen=True, slots=True)
class Packing:
    """Where pods are: `node` [Q] (-1: nowhere) and `gpu_set` [Q], bit g set where the pod is on the node's GPU g."""

    node: Ints
    gpu_set: Ints


def allocated_milli(pods: Pods, packing: Packing) -> int:
    """Milli-GPU of the pods that were placed."""
    return int(pods.asked_milli[packing.node >= 0].sum())


def faults(nodes: Nodes, pods: Pods, packing: Packing) -> list[str]:
    """What is wrong with a packing, one sentence each; empty when it is legal. Everything is added up again here."""
    out = []
    placed = np.flatnonzero(packing.node >= 0)
    where, sets = packing.node[placed], packing.gpu_set[placed]
    if (where >= len(nodes.gpus)).any():
        return [f"node {where.max()} does not exist; there are {len(nodes.gpus)}, numbered from 0"]
    for name, asked, had in (("cpu_milli", pods.cpu_milli, nodes.cpu_milli),
                             ("memory_mib", pods.memory_mib, nodes.memory_mib)):
        used = np.zeros(len(had), np.int64)
        np.add.at(used, where, asked[placed])
        out += [f"node {n} gives {used[n]} {name}; it has {had[n]}" for n in np.flatnonzero(used > had)]
    on = (sets[:, None] >> np.arange(MOST_GPUS)) & 1
    used_gpu = np.zeros((len(nodes.gpus), MOST_GPUS), np.int64)
    np.add.at(used_gpu, where, on * pods.milli[placed][:, None])
    had_gpu = np.where(np.arange(MOST_GPUS) < nodes.gpus[:, None], WHOLE, 0)
    out += [f"GPU {g} of node {n} gives {used_gpu[n, g]} milli-GPU; it has {had_gpu[n, g]}"
            for n, g in np.argwhere(used_gpu > had_gpu)]
    out += [f"pod {placed[i]} is on {on[i].sum()} GPUs; it asks for {pods.gpus[placed[i]]}"
            for i in np.flatnonzero(on.sum(axis=1) != pods.gpus[placed])]
    model = nodes.model[where]
    wrong = (pods.models[placed] >= 0) & (pods.gpus[placed] > 0) & (
        (model < 0) | ((pods.models[placed] >> np.maximum(model, 0)) & 1 == 0))
    out += [f"pod {placed[i]} does not ask for GPUs of model {model[i]}" for i in np.flatnonzero(wrong)]
    return out
