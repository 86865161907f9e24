"""The GPU packing experiment: nodes and pods of a trace, and the arrivals drawn from it.

A folder holds `*node_list*.csv` (columns cpu_milli, memory_mib, gpu, model) and one or more `*pod_list_TRACE.csv`
(name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec: models with `|`, empty for any), plain or `.xz`. Arrivals:
pods drawn uniformly with replacement until the GPU they ask for reaches 1.3 x that of all nodes, sorted by name,
shuffled; nobody leaves.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from placement.gpu_packing import Nodes, Pods

ASKED = 1.3
"""GPU asked for, over GPU there is."""


def read_nodes(data: Path) -> tuple[Nodes, list[str]]:
    """Nodes in the order of the list, and the names of their models."""
    table = _only(data, "*node_list*.csv*")
    names = sorted(set(table["model"].dropna()))
    model = table["model"].map({name: number for number, name in enumerate(names)}).fillna(-1)
    return Nodes(*(table[column].to_numpy(np.int64) for column in ("cpu_milli", "memory_mib", "gpu")),
                 model.to_numpy(np.int64)), names


def traces(data: Path) -> dict[str, Path]:
    """Pod lists by the name of their trace."""
    return {file.name.split("pod_list_")[1].split(".")[0]: file for file in sorted(data.glob("*pod_list_*.csv*"))}


def read_pods(file: Path, models: list[str]) -> tuple[Pods, list[str]]:
    """Pods of a trace and their names. Raises ValueError for a model that no node has and no other pod means."""
    table = pd.read_csv(file, keep_default_na=False)
    known = {name: number for number, name in enumerate(models)}
    masks = [_mask(text, known) for text in table["gpu_spec"]]
    gpus = table["num_gpu"].to_numpy(np.int64)
    milli = np.where(gpus > 1, 1000, table["gpu_milli"].to_numpy(np.int64))
    return Pods(table["cpu_milli"].to_numpy(np.int64), table["memory_mib"].to_numpy(np.int64), gpus,
                np.where(gpus > 0, milli, 0), np.array(masks, np.int64)), table["name"].tolist()


def _mask(text: str, known: dict[str, int]) -> int:
    """A bit for every model named that some node has; -1 where none is asked for."""
    return sum(1 << known[name] for name in set(text.split("|")) if name in known) if text else -1


def arrivals(pods: Pods, names: list[str], nodes: Nodes, seed: int) -> Pods:
    """The pods of one run in the order they come."""
    rng = np.random.default_rng(seed)
    enough = ASKED * nodes.capacity_milli
    asked = pods.asked_milli
    drawn = rng.integers(len(names), size=int(4 * enough / max(1.0, asked.mean())) + 1)
    until = int(np.searchsorted(np.cumsum(asked[drawn]), enough)) + 1
    rows = np.array(sorted(drawn[:until].tolist(), key=lambda row: names[row]), np.int64)
    rng.shuffle(rows)
    return pods.rows(rows)


def _only(data: Path, pattern: str) -> pd.DataFrame:
    files = sorted(data.glob(pattern))
    if len(files) != 1:
        raise ValueError(f"{data}: {len(files)} files {pattern}; exactly one is needed")
    return pd.read_csv(files[0])
