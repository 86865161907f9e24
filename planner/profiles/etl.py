"""Needs of a described ETL or feature task: volume and schemas -> storage, warehouse units, workers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from planner.errors import NotEnoughEvidenceError
from planner.profiles import constants as c
from planner.profiles.model import Dataset, Figure, Profile, Slots
from planner.profiles.parts import Evidence, Window, batch_of, in_words, row_of, window_of
from planner.profiles.schema import is_tabular, row_bytes
from planner.profiles.tasks import EtlTask
from planner.scenario.model import Batch, Hardware, Request
from planner.scenario.values import Kind


@dataclass(frozen=True, slots=True)
class _Volumes:
    """Data of one run, in and out, raw."""

    rows: float
    source_gb: float
    target_gb: float
    columns: int | None
    assumed: tuple[str, ...]


def etl_profile(task: EtlTask, kind: Kind, source: Dataset | None, slots: Slots, where: str) -> Profile:
    """The needs of a task that turns `source`, or the volume that it states itself, into the target schema.

    vCPU hours = volume / ETL_GB_PER_VCPU_HOUR. Workers: enough of them to end within the window and to hold what is in
    flight in memory. Warehouse level: the least whose memory holds the same. Storage: source and target of the runs
    that are kept, compressed. Raises InputError where nothing is known of the volume or a run takes too long.
    """
    volumes = _volumes(task, source, where)
    window = window_of(task.cadence, task.window_hours)
    evidence = Evidence(volumes.assumed + window.assumed)
    working_gb = volumes.source_gb * c.IN_MEMORY_EXPANSION * c.IN_FLIGHT
    vcpu_hours = volumes.source_gb / c.ETL_GB_PER_VCPU_HOUR
    for_memory = working_gb * c.GB / (c.ETL_WORKER_MEMORY_GIB * c.GIB * c.ETL_USABLE_MEMORY)
    for_time = vcpu_hours / (c.ETL_WORKER_VCPU * min(window.hours, window.every_hours))
    workers = max(1, math.ceil(max(for_memory, for_time) - 1e-9))
    run_hours = vcpu_hours / (c.ETL_WORKER_VCPU * workers)
    batch = batch_of(run_hours, window, slots, where)
    level = _warehouse_level(working_gb)
    storage_gb = (volumes.source_gb + volumes.target_gb) * (task.keep_runs or 1) / c.COLUMNAR_COMPRESSION
    bandwidth = volumes.source_gb / (batch.duration_slots * slots.hours * 3600)
    return Profile(
        kind=kind,
        request=Request(
            vcpu=c.ETL_WORKER_VCPU,
            memory_gib=c.ETL_WORKER_MEMORY_GIB,
            disk_gib=c.ETL_WORKER_DISK_GIB,
            network_gbps=round(8 * bandwidth / workers, 3),
        ),
        hardware=Hardware(),
        replicas=row_of(batch, workers, slots),
        batch=batch,
        storage_gb=storage_gb,
        storage_kind="data warehouse",
        working_kind="memory",
        structure=_structure(task),
        warehouse_dwu=row_of(batch, level, slots),
        figures=evidence.figures(
            *_storage_figures(task, volumes, storage_gb, working_gb, evidence),
            *_warehouse_figures(level, working_gb, batch, slots, evidence),
            *_compute_figures(volumes, workers, run_hours, window, evidence),
            evidence.number(
                "disk_bandwidth_gb_per_s",
                bandwidth,
                "GB/s",
                f"{volumes.source_gb:.4g} GB are read from disk within {batch.duration_slots} slots.",
            ),
            evidence.number(
                "memory_bandwidth_gb_per_s",
                bandwidth * c.IN_MEMORY_EXPANSION,
                "GB/s",
                f"In memory rows take {c.IN_MEMORY_EXPANSION:g} times their size on disk.",
            ),
        ),
        produces=Dataset(rows=volumes.rows, columns=volumes.columns, volume_gb=volumes.target_gb),
    )


def _volumes(task: EtlTask, source: Dataset | None, where: str) -> _Volumes:
    assumed: list[str] = []
    width = row_bytes(task.source_schema) if task.source_schema else None
    rows = task.rows or (source.rows if source else None)
    volume = task.volume_gb or (source.volume_gb if source else None)
    if volume is None and rows is None:
        raise NotEnoughEvidenceError(
            [f"{where}: volume_gb: not known, nor are rows: not enough evidence for a size; give one of them"]
        )
    if width is None and (volume is None or rows is None):
        width = c.ROW_BYTES
        assumed.append(f"rows of {width:g} bytes")
    if volume is None:
        volume = (rows or 0.0) * (width or 0.0) / c.GB
    if rows is None:
        rows = volume * c.GB / (width or 1.0)
    if task.target_schema:
        return _Volumes(
            rows, volume, rows * row_bytes(task.target_schema) / c.GB, len(task.target_schema), tuple(assumed)
        )
    columns = len(task.source_schema) if task.source_schema else source.columns if source else None
    return _Volumes(rows, volume, volume, columns, (*assumed, "a target as large as the source"))


def _structure(task: EtlTask) -> str:
    columns = task.target_schema or task.source_schema
    return "SQL tables" if columns is None or is_tabular(columns) else "non-SQL documents"


def _warehouse_level(working_gb: float) -> int:
    """The least level whose memory holds the working data; the highest there is where none does."""
    return next((level for level in c.DWU_LEVELS if level * c.DWU_MEMORY_GB >= working_gb), c.DWU_LEVELS[-1])


def _storage_figures(
    task: EtlTask, volumes: _Volumes, storage_gb: float, working_gb: float, evidence: Evidence
) -> tuple[Figure, ...]:
    runs = int(task.keep_runs or 1)
    return (
        evidence.number(
            "storage_tb",
            storage_gb / 1000,
            "TB",
            f"{volumes.source_gb:.4g} GB of source and {volumes.target_gb:.4g} GB of target of {runs} kept "
            f"{'run' if runs == 1 else 'runs'}, compressed {c.COLUMNAR_COMPRESSION:g} to 1.",
        ),
        evidence.word("storage_kind", "data warehouse", "Original and target tables rest in a data warehouse."),
        evidence.word("working_data", "memory", f"{working_gb:.4g} GB in flight fit the memory of the workers."),
        evidence.word("structure", _structure(task), "Most columns decide between tables and documents."),
    )


def _warehouse_figures(
    level: int, working_gb: float, batch: Batch, slots: Slots, evidence: Evidence
) -> tuple[Figure, ...]:
    period = batch.every_slots or slots.count
    memory_gb = level * c.DWU_MEMORY_GB
    return (
        evidence.number(
            "warehouse_dwu",
            level,
            "DWU",
            f"DW{level}c with {memory_gb:g} GB of memory is the least level that holds {working_gb:.4g} GB in flight.",
        ),
        evidence.number(
            "warehouse_utilisation",
            min(1.0, working_gb / memory_gb),
            "share",
            f"Scale to DW{level}c for {batch.duration_slots} of every {period} slots and pause it in between.",
        ),
    )


def _compute_figures(
    volumes: _Volumes, workers: int, run_hours: float, window: Window, evidence: Evidence
) -> tuple[Figure, ...]:
    return (
        evidence.number(
            "replicas",
            workers,
            "workers",
            f"{workers} workers turn {volumes.source_gb:.4g} GB in {run_hours:.3g} h, {in_words(window.every_hours)}, "
            f"at {c.ETL_GB_PER_VCPU_HOUR:g} GB an hour and vCPU, with what is in flight in memory.",
        ),
        evidence.number("cores", workers * c.ETL_WORKER_VCPU, "vCPU", f"{c.ETL_WORKER_VCPU:g} vCPU a worker."),
        evidence.word("device", "CPU", "Reading, joining and writing rows gains little from a GPU."),
    )
