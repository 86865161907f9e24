"""Traces of what tasks asked for, as libraries of past tasks: what of it is description, and what is to be predicted.

No trace has words of people in it. Of its columns those count as description that somebody knows who has not run the
task yet; what is asked for (vCPU, memory, GPUs) is predicted. Disk and network are asked for too: a description holds
them only where the instance's name says so. See docs/profiles.md.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from planner.profiles.library import Library, Run
from planner.profiles.tasks import ServingTask

QUANTITIES = ("vcpu", "memory_gib", "gpu")
DLRM, OPENB, OPENB_SPECS = "alibaba2025_dlrm_instances", "openb_pod_list_default", "openb_pod_list_gpuspec33"


@dataclass(frozen=True)
class Instance:
    """A trace under one description: `library` has a run for every distinct task."""

    name: str
    library: Library
    described_by: tuple[str, ...]
    seen: bool = False
    """Whether applications are known: runs, not applications, are held out."""


DLRM_SETS = {
    "dlrm": ("role", "spread", "scale"),
    "dlrm/role": ("role",),
    "dlrm/disk": ("role", "spread", "scale", "disk"),
    "dlrm/disk+network": ("role", "spread", "scale", "disk", "network"),
}
"""Descriptions: which half of the service it is (`role`), how many may share a machine (`spread`), how many instances
run at once (`scale`); then with the disk and the network that it asks for. The names are those of instances."""
OPENB_SETS = {
    "openb": ("class", "device", "models"),
    "openb/class": ("class",),
    "openb/share": ("class", "device", "models", "gpu_share"),
}
"""Descriptions: service class (latency-sensitive or best effort), whether it needs a GPU, which models it may have;
then with the share of a GPU that it asks for."""


def instances(data: Path) -> dict[str, Instance]:
    """All instances that the files under a folder give; none where it has neither trace."""
    found: dict[str, Instance] = {}
    if (file := _file(data, DLRM)) is not None:
        table = dlrm_table(file)
        found |= {name: instance(name, table, fields) for name, fields in DLRM_SETS.items()}
    if (file := _file(data, OPENB)) is not None:
        table = openb_table(file, _file(data, OPENB_SPECS))
        found |= {name: instance(name, table, fields) for name, fields in OPENB_SETS.items()}
        found["openb/seen"] = instance("openb/seen", table, OPENB_SETS["openb"], seen=True)
    return found


def _file(data: Path, stem: str) -> Path | None:
    return next(iter(sorted(data.rglob(f"{stem}.csv*"))), None)


def dlrm_table(file: Path) -> pd.DataFrame:
    """Instances of recommendation services on a GPU cluster: an application has a CPU half (CN) and a GPU half (HN)."""
    raw = pd.read_csv(file)
    spread = raw["max_instance_per_node"].map(lambda most: "any" if most < 0 else f"{most:g}")
    return pd.DataFrame({
        "application": raw["app_name"], "role": raw["role"], "spread": spread, "scale": _at_once(raw),
        "disk": raw["disk_request"].astype(float), "network": raw["rdma_request"].astype(float),
        "vcpu": raw["cpu_request"].astype(float), "memory_gib": raw["memory_request"].astype(float),
        "gpu": raw["gpu_request"].astype(int)})


def _at_once(raw: pd.DataFrame) -> pd.Series:
    """Most instances of one application and role that were there at once, as a power of two: what was planned for."""
    begin, end = raw["creation_time"].fillna(-1), raw["deletion_time"].fillna(np.inf)
    most = {}
    for key, rows in raw.groupby(["app_name", "role"]).groups.items():
        starts, ends = np.sort(begin[rows]), np.sort(end[rows])
        there = np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="right")
        most[key] = 2.0 ** round(float(np.log2(max(1, there.max()))))
    keys = zip(raw["app_name"], raw["role"], strict=True)
    return pd.Series([most[key] for key in keys], index=raw.index)


def openb_table(file: Path, specs: Path | None) -> pd.DataFrame:
    """Pods of a GPU cluster. They name no application: pods that ask for the same CPU and memory are taken for one.

    The models that a pod may have are in the list with specifications, which is the same otherwise.
    """
    raw = pd.read_csv(file)
    models = (raw if specs is None else pd.read_csv(specs))["gpu_spec"].fillna("any")
    shape = raw["cpu_milli"].astype(str) + "/" + raw["memory_mib"].astype(str)
    share = np.where(raw["num_gpu"] > 0, raw["gpu_milli"] / 1000, np.nan)
    return pd.DataFrame({
        "application": shape, "class": raw["qos"], "device": np.where(raw["num_gpu"] > 0, "gpu", "cpu"),
        "models": models, "gpu_share": share, "vcpu": raw["cpu_milli"] / 1000, "memory_gib": raw["memory_mib"] / 1024,
        "gpu": raw["num_gpu"].astype(int)})


def instance(name: str, table: pd.DataFrame, fields: tuple[str, ...], seen: bool = False) -> Instance:
    """Distinct tasks, each with how often it ran, in an order that says nothing."""
    kept = ["application", *fields, *QUANTITIES]
    rows = table[kept].groupby(kept, dropna=False, sort=True).size().reset_index(name="times")
    runs = [_run(row, fields) for row in rows.to_dict("records")]
    return Instance(name, Library(tuple(sorted(runs, key=_mixed)), name), fields, seen)


def _run(row: dict[str, object], fields: tuple[str, ...]) -> Run:
    labels = {name: row[name] for name in fields if row[name] == row[name]}
    used = {"vcpu": float(str(row["vcpu"])), "memory_gib": float(str(row["memory_gib"])), "gpu": str(row["gpu"])}
    return Run(str(row["application"]), "serving", ServingTask.model_validate({"labels": labels}), used,
               times=float(str(row["times"])))


def _mixed(run: Run) -> str:
    return hashlib.sha256(repr((run.application, run.task, run.used)).encode()).hexdigest()
