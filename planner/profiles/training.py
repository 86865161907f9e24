"""Needs of a described training task: data, model, hyper-parameters, cadence -> CPU or GPU, how many, when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from planner.errors import NotEnoughEvidenceError
from planner.profiles import constants as c
from planner.profiles.model import Dataset, Figure, Profile, Slots, TrainedModel
from planner.profiles.parts import Evidence, Window, allowed_gpus, batch_of, in_words, row_of, window_of
from planner.profiles.tasks import Hyperparameters, TrainingTask
from planner.scenario.model import Hardware, Request

Family = Literal["trees", "linear", "network"]


@dataclass(frozen=True, slots=True)
class _Job:
    """One run: `trials` fits of models to `rows` x `columns`; `work` is in cells or FLOP, over all trials."""

    names: tuple[str, ...]
    family: Family
    data: Dataset
    rows: float
    columns: int
    trees: int
    depth: int
    parameters: float
    trials: int
    work: float
    assumed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Machines:
    """`replicas` of `gpus` GPUs (`gpu` None: of `vcpu` cores) that take `hours` for a run."""

    gpu: c.Gpu | None
    gpus: int
    vcpu: float
    replicas: int
    hours: float
    why: str


def training_profile(task: TrainingTask, data: Dataset | None, hardware: Hardware, slots: Slots, where: str) -> Profile:
    """The needs of a task that trains on `data`, or on what it states itself.

    Work is rows x columns x levels x trees for tree models, rows x columns x passes for linear ones, and 6 FLOP for
    each parameter and example for networks; over the rate of the hardware it gives hours. The least hardware that ends
    within the window is taken: up to 32 cores, then one GPU from the smallest class up, then as many of the largest as
    it takes; `hardware` says which GPUs may be taken. Raises InputError where nothing is known of the data.
    """
    window = window_of(task.cadence, task.window_hours)
    job = _job(task, data, where)
    evidence = Evidence(job.assumed + window.assumed)
    gpus = allowed_gpus(hardware, where)
    machines = _machines(job, gpus, min(window.hours, window.every_hours))
    batch = batch_of(machines.hours, window, slots, where)
    read_gb_per_s = job.data.volume_gb / (c.DATA_READ_SHARE * machines.hours * 3600)
    produced = _produced(job)
    return Profile(
        kind="training",
        request=_request(job, machines, read_gb_per_s),
        hardware=_hardware(job, gpus, machines),
        replicas=row_of(batch, machines.replicas, slots),
        batch=batch,
        storage_gb=job.data.volume_gb + produced.size_gb,
        storage_kind="object store",
        working_kind="memory",
        structure="SQL tables" if job.family != "network" else "files",
        figures=evidence.figures(
            *_machine_figures(job, machines, window, evidence),
            evidence.number(
                "storage_tb",
                (job.data.volume_gb + produced.size_gb) / 1000,
                "TB",
                "Training data and one trained model.",
            ),
            evidence.word("storage_kind", "object store", "Data are read once a run, front to back."),
            evidence.word("working_data", "memory", "Each fit passes over the data many times."),
            evidence.word("structure", "SQL tables" if job.family != "network" else "files", "By the kind of model."),
            evidence.number(
                "disk_bandwidth_gb_per_s",
                read_gb_per_s,
                "GB/s",
                f"Data are read in {c.DATA_READ_SHARE:.0%} of the run.",
            ),
            *_memory_bandwidth(machines, evidence),
        ),
        produces=produced,
    )


def _job(task: TrainingTask, upstream: Dataset | None, where: str) -> _Job:
    names, families, assumed = _models(task)
    family: Family = max(families, key=("linear", "trees", "network").index)
    data, rows, columns, about_data = _data(task, upstream, where)
    given = task.hyperparameters or Hyperparameters()
    unknown = task.model is None or task.hyperparameters is None
    trials = int(task.trials or (c.SEARCH_TRIALS if unknown else c.DEFAULT_TRIALS)) * len(names)
    if task.trials is None and unknown:
        assumed = (*assumed, f"a search over {c.SEARCH_TRIALS} trials for each model")
    trees, depth = int(given.trees or c.DEFAULT_TREES), int(given.max_depth or c.DEFAULT_DEPTH)
    if family == "network" and given.parameters is None:
        raise NotEnoughEvidenceError(
            [f"{where}: hyperparameters.parameters: not given: a network needs its number of parameters"])
    parameters = float(given.parameters or columns)
    work = {
        "trees": rows * columns * trees * depth,
        "linear": rows * columns * c.LINEAR_PASSES,
        "network": c.NETWORK_FLOP_PER_EXAMPLE * parameters * rows * float(given.epochs or c.DEFAULT_EPOCHS),
    }[family]
    return _Job(
        names, family, data, rows, columns, trees, depth, parameters, trials, work * trials, (*assumed, *about_data)
    )


def _models(task: TrainingTask) -> tuple[tuple[str, ...], tuple[Family, ...], tuple[str, ...]]:
    if not task.model:
        return ("xgboost",), ("trees",), ("boosted trees, the usual first choice for tables, as the model",)
    families: dict[str, Family] = {name: _family(name) for name in task.model}
    return task.model, tuple(families.values()), ()


def _family(name: str) -> Family:
    found = c.FAMILIES[name]
    return "trees" if found == "trees" else "linear" if found == "linear" else "network"


def _data(task: TrainingTask, upstream: Dataset | None, where: str) -> tuple[Dataset, float, int, tuple[str, ...]]:
    own = task.data
    rows = (own.rows if own else None) or (upstream.rows if upstream else None)
    columns = (own.columns if own else None) or (upstream.columns if upstream else None)
    volume = (own.volume_gb if own else None) or (upstream.volume_gb if upstream else None)
    assumed: list[str] = []
    if rows is None and volume is None:
        raise NotEnoughEvidenceError(
            [f"{where}: data: neither rows nor volume_gb is known: not enough evidence; give one of them"])
    if rows is None:
        rows = max(1.0, (volume or 0.0) * c.GB / c.ROW_BYTES)
        assumed.append(f"rows of {c.ROW_BYTES:g} bytes")
    if columns is None:
        columns = max(1, round((volume * c.GB / rows if volume else c.ROW_BYTES) / 8))
        assumed.append(f"{columns} columns of 8 bytes")
    if volume is None:
        volume = rows * columns * 8 / c.GB
    return Dataset(rows=rows, columns=int(columns), volume_gb=volume), rows, int(columns), tuple(assumed)


def _gpu_rate(job: _Job, gpu: c.Gpu) -> float:
    if job.family == "network":
        return gpu.tflops * 1e12 * c.NETWORK_UTILISATION
    return gpu.bandwidth_gb_per_s * c.TREE_CELLS_PER_S_PER_GB_PER_S


def _cpu_rate(job: _Job) -> float:
    rates = {"trees": c.TREE_CELLS_PER_S_PER_VCPU, "linear": c.LINEAR_CELLS_PER_S_PER_VCPU}
    return rates.get(job.family, c.CPU_FLOPS_PER_VCPU)


def _gpu_memory_gib(job: _Job) -> float:
    if job.family == "network":
        return job.parameters * c.TRAIN_BYTES_PER_PARAMETER / c.GIB
    return job.rows * (job.columns * c.GPU_BYTES_PER_CELL + c.GPU_BYTES_PER_ROW) / c.GIB


def _gpus_for_memory(job: _Job, gpu: c.Gpu) -> int:
    """GPUs of one machine that hold one fit: 1, 2, 4 or 8; above that the data stream from the host's memory."""
    least = _gpu_memory_gib(job) / (c.GPU_USABLE_MEMORY * gpu.memory_gib)
    return next((count for count in (1, 2, 4) if count >= least), c.MOST_GPUS_PER_REPLICA)


def _machines(job: _Job, gpus: tuple[c.Gpu, ...], window_hours: float) -> _Machines:
    seconds = window_hours * 3600
    vcpu = math.ceil(job.work / _cpu_rate(job) / seconds)
    if vcpu <= c.CPU_TRAINING_MOST_VCPU:
        cores = float(max(2, vcpu))
        return _Machines(None, 0, cores, 1, job.work / _cpu_rate(job) / cores / 3600, f"{cores:g} cores end in time")
    for gpu in gpus:
        if _gpus_for_memory(job, gpu) == 1 and job.work / _gpu_rate(job, gpu) <= seconds:
            hours = job.work / _gpu_rate(job, gpu) / 3600
            return _Machines(
                gpu, 1, c.HOST_VCPU_PER_GPU, 1, hours, f"one {gpu.name} is the least GPU that ends in time"
            )
    largest = gpus[-1]
    each = _gpus_for_memory(job, largest)
    replicas = max(1, math.ceil(job.work / _gpu_rate(job, largest) / seconds / each - 1e-9))
    hours = job.work / _gpu_rate(job, largest) / (each * replicas) / 3600
    need = f"{each * replicas} {largest.name} end in time, no single smaller GPU does"
    return _Machines(largest, each, each * c.HOST_VCPU_PER_GPU, replicas, hours, need)


def _request(job: _Job, machines: _Machines, read_gb_per_s: float) -> Request:
    data_gib = job.rows * job.columns * c.HOST_BYTES_PER_CELL / c.GIB if job.family != "network" else 0.0
    return Request(
        vcpu=machines.vcpu,
        memory_gib=float(math.ceil(max(4.0, data_gib, 4.0 * machines.vcpu))),
        gpu=machines.gpus,
        disk_gib=float(math.ceil(2 * job.data.volume_gb * c.GB / c.GIB)),
        network_gbps=round(8 * read_gb_per_s, 3),
    )


def _hardware(job: _Job, gpus: tuple[c.Gpu, ...], machines: _Machines) -> Hardware:
    """The GPU that was sized for and the faster ones, with their speed relative to it."""
    if machines.gpu is None:
        return Hardware()
    rates = {gpu.name: _gpu_rate(job, gpu) for gpu in gpus if gpu.memory_gib >= machines.gpu.memory_gib}
    least = rates[machines.gpu.name]
    models = {name: round(rate / least, 3) for name, rate in rates.items() if rate >= least}
    return Hardware(gpu_models=tuple(models), throughput=models)


def _machine_figures(job: _Job, machines: _Machines, window: Window, evidence: Evidence) -> tuple[Figure, ...]:
    device = f"NVIDIA {machines.gpu.name}" if machines.gpu else "CPU"
    load = f"{job.trials} fits of {' and '.join(job.names)} to {job.rows:.4g} rows of {job.columns} columns"
    return (
        evidence.word("device", "GPU" if machines.gpu else "CPU", f"For {load}, {machines.why}."),
        evidence.word("machine", device, f"{device} is what the size above was reckoned for."),
        evidence.number(
            "replicas",
            machines.replicas,
            "machines" if machines.gpus != 1 else "GPUs",
            f"{machines.replicas} at a time take {machines.hours:.3g} h of the {window.hours:g} h window, "
            f"{in_words(window.every_hours)}; nothing runs in between.",
        ),
        evidence.number(
            "cores", machines.replicas * machines.vcpu, "vCPU", f"{machines.vcpu:g} vCPU for each of them."
        ),
        evidence.number(
            "data_memory_gib",
            job.rows * job.columns * c.HOST_BYTES_PER_CELL / c.GIB,
            "GiB",
            "The data in memory, with the copy made while loading.",
        ),
    )


def _memory_bandwidth(machines: _Machines, evidence: Evidence) -> tuple[Figure, ...]:
    if machines.gpu is None:
        return ()
    total = machines.gpu.bandwidth_gb_per_s * machines.gpus * machines.replicas
    return (evidence.number("memory_bandwidth_gb_per_s", total, "GB/s", "What the memory of these GPUs delivers."),)


def _produced(job: _Job) -> TrainedModel:
    if job.family == "trees":
        size = job.trees * 2**job.depth * c.TREE_NODE_BYTES / c.GB
        return TrainedModel(
            family="trees", name=job.names[0], size_gb=size, columns=job.columns, trees=job.trees, depth=job.depth
        )
    return TrainedModel(
        family=job.family,
        name=job.names[0],
        size_gb=job.parameters * 2 / c.GB,
        columns=job.columns,
        parameters=job.parameters,
    )
