"""Needs of a described serving task: load, latency, model, runtime -> CPU or GPU, replicas, and where it may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from planner.errors import InputError, NotEnoughEvidenceError
from planner.profiles import constants as c
from planner.profiles.model import Profile, Slots, TrainedModel
from planner.profiles.parts import Evidence, Stated, allowed_gpus
from planner.profiles.phrases import latency_phrase
from planner.profiles.queueing import servers_needed
from planner.profiles.tasks import Hyperparameters, ServingTask, runtime_of
from planner.scenario.model import Hardware, Request, Slo


@dataclass(frozen=True, slots=True)
class _Need:
    """What is asked: requests a second, the latency SLO, and the part of it that the service may take."""

    requests_per_s: float
    latency_ms: float
    service_ms: float
    why: str


@dataclass(frozen=True, slots=True)
class _Server:
    """What answers one request at a time: `per_replica` of them in a replica, on `gpu` or on cores; `ms` a request."""

    gpu: c.Gpu | None
    ms: float
    per_replica: int


def serving_profile(
    task: ServingTask, model: TrainedModel | None, own: Stated, level: float, slots: Slots, where: str
) -> Profile:
    """The needs of a task that serves `model`, or the one it describes, to the load it states.

    The latency SLO is taken from the task, the workload's `slo`, or words (the task's, or those of the workload's
    description). The time of one request follows from the size of the model. CPU cores are taken where that leaves half
    of the service's time for waiting, else the least GPU that does. The number of servers is that of an M/M/c queue in
    which `level` of requests wait no longer than is left (see `queueing`). Concurrent requests are turned into a rate
    by Little's law, L = lambda W (Little 1961). Raises InputError where the load is not known or no hardware is fast
    enough.
    """
    if task.requests_per_s is None and task.concurrent_requests is None:
        neither = "not known, nor is concurrent_requests: not enough evidence; give one of them"
        raise NotEnoughEvidenceError([f"{where}: requests_per_s: {neither}"])
    served, about_model = _model(task, model, where)
    need, about_need = _need(task, own.slo, own.words)
    evidence = Evidence(about_model + about_need)
    gpus = allowed_gpus(own.hardware, where)
    server = _server(task, served, need, gpus, where)
    servers = int(servers_needed(need.requests_per_s, 1000 / server.ms, need.service_ms - server.ms, level))
    replicas = max(c.FEWEST_REPLICAS, math.ceil(servers / server.per_replica))
    machine = f"NVIDIA {server.gpu.name}" if server.gpu else "CPU"
    runtime = runtime_of(task.runtime) or task.runtime or runtime_of(task.machine)
    network_gbps = need.requests_per_s / replicas * (task.payload_kb or c.PAYLOAD_KB) * 8 / 1e6
    return Profile(
        kind="serving",
        request=_request(server, served, network_gbps),
        hardware=_hardware(server, gpus),
        replicas=(replicas,) * slots.count,
        latency_ms=need.latency_ms,
        service_ms=need.service_ms,
        runtime=runtime,
        per_replica=server.per_replica * 1000 / server.ms,
        storage_gb=served.size_gb,
        storage_kind="object store",
        working_kind="memory",
        structure="files",
        figures=evidence.figures(
            evidence.word(
                "device", "GPU" if server.gpu else "CPU", f"One request takes {server.ms:.3g} ms on {machine}."
            ),
            evidence.word("machine", machine, _about_machine(task, machine, runtime)),
            evidence.number(
                "replicas",
                replicas,
                "replicas",
                f"{servers} at work at once let {level:.0%} of {need.requests_per_s:.4g} requests a second wait no "
                f"longer than {need.service_ms - server.ms:.3g} ms (Erlang C), {server.per_replica} to a replica.",
            ),
            evidence.number("cores", replicas * _vcpu(server), "vCPU", f"{_vcpu(server):g} vCPU a replica."),
            evidence.number("latency_ms", need.latency_ms, "ms", need.why),
            evidence.word(
                "location",
                f"within {need.latency_ms - need.service_ms:g} ms of the users",
                f"Of {need.latency_ms:g} ms the service takes up to {need.service_ms:g}, the round trip the rest.",
            ),
            evidence.number("storage_tb", served.size_gb / 1000, "TB", "The model itself."),
            evidence.word("storage_kind", "object store", "The model is fetched when a replica starts."),
            evidence.word("working_data", "memory", "Requests are answered from a model held in memory."),
            evidence.word("structure", "files", "A model is a file."),
            evidence.number(
                "memory_bandwidth_gb_per_s",
                need.requests_per_s * served.size_gb,
                "GB/s",
                "Every request reads the model once.",
            ),
        ),
    )


def _model(task: ServingTask, upstream: TrainedModel | None, where: str) -> tuple[TrainedModel, tuple[str, ...]]:
    if not task.model and upstream:
        return upstream, ()
    given = task.hyperparameters or Hyperparameters()
    name = task.model[0] if task.model else "xgboost"
    columns = int(task.columns or (upstream.columns if upstream else 100))
    assumed = () if task.model else ("boosted trees as the model",)
    if c.FAMILIES[name] == "trees":
        trees, depth = int(given.trees or c.DEFAULT_TREES), int(given.max_depth or c.DEFAULT_DEPTH)
        if not (given.trees and given.max_depth):
            assumed = (*assumed, f"{trees} trees of depth {depth}")
        size = trees * 2**depth * c.TREE_NODE_BYTES / c.GB
        return TrainedModel(family="trees", name=name, size_gb=size, columns=columns, trees=trees, depth=depth), assumed
    if c.FAMILIES[name] == "network" and given.parameters is None:
        raise NotEnoughEvidenceError(
            [f"{where}: hyperparameters.parameters: not given: a network needs its number of parameters"])
    parameters = float(given.parameters or columns)
    family: Literal["network", "linear"] = "network" if c.FAMILIES[name] == "network" else "linear"
    size = parameters * 2 / c.GB
    return TrainedModel(family=family, name=name, size_gb=size, columns=columns, parameters=parameters), assumed


def _need(task: ServingTask, slo: Slo, words: str) -> tuple[_Need, tuple[str, ...]]:
    latency, why, assumed = _latency(task, slo, words)
    service = slo.service_ms if 0 < slo.service_ms < latency else latency * (1 - c.NETWORK_SHARE)
    rate = task.requests_per_s
    if rate is None:
        rate = (task.concurrent_requests or 0.0) / (service / 1000)
        why += f" {task.concurrent_requests:g} in flight for {service:g} ms each are {rate:.4g} a second (Little)."
    return _Need(rate, latency, service, why), assumed


def _latency(task: ServingTask, slo: Slo, words: str) -> tuple[float, str, tuple[str, ...]]:
    if task.latency_ms is not None:
        return task.latency_ms, f"{task.latency_ms:g} ms are asked for.", ()
    if slo.latency_ms is not None:
        return slo.latency_ms, f"The SLO asks for {slo.latency_ms:g} ms.", ()
    for text in (task.latency or "", words):
        said = latency_phrase(text)
        if said is not None:
            meant = 1000 * said.value
            return meant, f'The words "{said.words}" are taken for {meant:g} ms.', ()
    return 1000.0, "No latency is asked for; people lose the thread after a second.", ("a latency of 1000 ms",)


def _server(task: ServingTask, model: TrainedModel, need: _Need, gpus: tuple[c.Gpu, ...], where: str) -> _Server:
    asked = next((gpu for gpu in gpus if gpu.name.lower() in (task.machine or "").lower().split()), None)
    if task.machine and not asked and not runtime_of(task.machine) and task.machine.upper() != "CPU":
        known = ", ".join(gpu.name for gpu in gpus)
        raise InputError([f"{where}: machine: {task.machine!r}: CPU, one of {known}, or leave it out"])
    tokens = task.tokens_per_request or 1.0
    cpu = _Server(None, _cpu_ms(model, tokens), int(c.SERVING_VCPU))
    on_gpus = [_Server(gpu, _gpu_ms(model, tokens, gpu), 1) for gpu in gpus if _fits(model, gpu)]
    choices = [server for server in on_gpus if server.gpu == asked] if asked else [cpu, *on_gpus]
    quick = [server for server in choices if server.ms <= need.service_ms / 2]
    quick = quick or [server for server in choices if server.ms < need.service_ms]
    if not quick:
        best = min((server.ms for server in choices), default=math.inf)
        found = f"the service may take {need.service_ms:g} ms, one request to {model.name} takes {best:.3g} ms at best"
        raise InputError([f"{where}: latency: {found}: allow more time or a smaller model"])
    return quick[0]


def _cpu_ms(model: TrainedModel, tokens: float) -> float:
    if model.family == "trees":
        return c.REQUEST_OVERHEAD_MS + (model.trees or 0) * (model.depth or 0) * c.TREE_STEP_MS
    return c.REQUEST_OVERHEAD_MS + 2 * (model.parameters or 0.0) * tokens / c.CPU_FLOPS_PER_VCPU * 1000


def _gpu_ms(model: TrainedModel, tokens: float, gpu: c.Gpu) -> float:
    """The longer of reckoning (2 FLOP a parameter and token) and reading all weights once for every token."""
    if model.family == "trees":
        return c.REQUEST_OVERHEAD_MS
    reckon = 2 * (model.parameters or 0.0) * tokens / (gpu.tflops * 1e12 * c.NETWORK_UTILISATION)
    read = model.size_gb * tokens / gpu.bandwidth_gb_per_s
    return c.REQUEST_OVERHEAD_MS + 1000 * max(reckon, read)


def _fits(model: TrainedModel, gpu: c.Gpu) -> bool:
    return model.size_gb * c.GB / c.GIB <= c.GPU_USABLE_MEMORY * gpu.memory_gib


def _vcpu(server: _Server) -> float:
    return c.GPU_SERVING_VCPU if server.gpu else c.SERVING_VCPU


def _request(server: _Server, model: TrainedModel, network_gbps: float) -> Request:
    base = c.GPU_SERVING_MEMORY_GIB if server.gpu else c.SERVING_BASE_MEMORY_GIB
    memory = base + 2 * model.size_gb * c.GB / c.GIB
    return Request(
        vcpu=_vcpu(server), memory_gib=float(math.ceil(memory)), gpu=int(server.gpu is not None),
        disk_gib=float(math.ceil(model.size_gb * 2)), network_gbps=round(network_gbps, 3),
    )  # fmt: skip


def _hardware(server: _Server, gpus: tuple[c.Gpu, ...]) -> Hardware:
    if server.gpu is None:
        return Hardware()
    least = server.gpu
    names = tuple(
        gpu.name for gpu in gpus
        if gpu.memory_gib >= least.memory_gib and gpu.bandwidth_gb_per_s >= least.bandwidth_gb_per_s
        and gpu.tflops >= least.tflops
    )  # fmt: skip
    return Hardware(gpu_models=names)


def _about_machine(task: ServingTask, machine: str, runtime: str | None) -> str:
    software = runtime_of(task.machine)
    if software:
        return f"{software} is a serving runtime, not a machine: it runs on {machine}."
    return f"{runtime} runs on {machine}." if runtime else f"{machine} is enough for the latency asked for."
