"""Every number that the formulas for described tasks use, with its source; what is our own estimate says so."""

from __future__ import annotations

from typing import NamedTuple

GIB = 2**30
GB = 1e9
HOURS_PER_MONTH = 730.0

# --- How far a predicted figure is to be trusted -----------------------------------------------------------------
SPREAD_KNOWN, CONFIDENCE_KNOWN = 2.0, 0.7
"""Estimate: with all inputs given, the truth lies within a factor of 2 with probability 0.7."""
SPREAD_GUESSED, CONFIDENCE_GUESSED = 4.0, 0.5
"""Estimate: where an input had to be assumed, within a factor of 4 with probability 0.5."""

# --- ETL ---------------------------------------------------------------------------------------------------------
ETL_WORKER_VCPU, ETL_WORKER_MEMORY_GIB, ETL_WORKER_DISK_GIB = 4.0, 16.0, 94.0
"""One worker: an AWS Glue G.1X worker (docs.aws.amazon.com/glue, worker types, read 2026-11)."""
ETL_USABLE_MEMORY = 0.75
"""Estimate: the share of a worker's memory left for data by the runtime."""
ETL_GB_PER_VCPU_HOUR = 20.0
"""Estimate: parse, join and write about 5.6 MB/s on each vCPU."""
IN_MEMORY_EXPANSION = 2.0
"""Estimate: rows held as objects take twice their size on disk."""
IN_FLIGHT = 0.1
"""Estimate: the share of a run's input that is between read and written at one time."""
COLUMNAR_COMPRESSION = 3.0
"""Estimate: a columnar warehouse keeps tables in a third of their raw size."""
ROW_BYTES = 500.0
"""Estimate: size of a raw row whose schema is not known."""

DWU_MEMORY_GB = 0.6
"""Memory of one data warehouse unit: DW100c has 60 GB (learn.microsoft.com, Synapse memory and concurrency limits)."""
DWU_LEVELS = (100, 200, 300, 400, 500, 1000, 1500, 2000, 2500, 3000, 5000, 6000, 7500, 10000, 15000, 30000)
"""Levels a warehouse can be scaled to (the same page)."""

# --- Training ----------------------------------------------------------------------------------------------------
TREE_CELLS_PER_S_PER_GB_PER_S = 3.5e6
"""Histogram tree building, in (row x column x level) per second for each GB/s of GPU memory bandwidth.

Estimate from Mitchell et al., "XGBoost: Scalable GPU Accelerated Learning" (arXiv:1806.11248): 115 million rows of 13
columns in under three minutes on 8 V100 of 900 GB/s, at 500 trees of depth 6. Building histograms is bound by memory.
"""
TREE_CELLS_PER_S_PER_VCPU = 5e7
"""Estimate: the same work on one vCPU (half a core)."""
LINEAR_PASSES = 100
"""Estimate: passes over the data until a linear model converges."""
LINEAR_CELLS_PER_S_PER_VCPU = 2e8
"""Estimate: multiply-adds that stream from memory."""
NETWORK_FLOP_PER_EXAMPLE = 6.0
"""FLOP for each parameter and example, forward and backward (Kaplan et al., arXiv:2001.08361)."""
NETWORK_UTILISATION = 0.35
"""Estimate: the share of the peak FLOP/s that training reaches."""
CPU_FLOPS_PER_VCPU = 2e10
"""Estimate: sustained FLOP/s of one vCPU in single precision."""
TRAIN_BYTES_PER_PARAMETER = 16.0
"""Weights, gradients and Adam state in mixed precision (Rajbhandari et al., "ZeRO", arXiv:1910.02054)."""
GPU_BYTES_PER_CELL, GPU_BYTES_PER_ROW = 2.0, 16.0
"""Estimate: binned features with working space, and gradients with positions."""
GPU_USABLE_MEMORY = 0.8
"""Estimate: the share of GPU memory left by the runtime."""
HOST_BYTES_PER_CELL = 8.0
"""Estimate: single precision features and the copy made while loading."""
HOST_VCPU_PER_GPU = 8.0
"""Estimate: cores that feed one GPU."""
CPU_TRAINING_MOST_VCPU = 32
"""Estimate: a job that needs more cores than this in its window is given a GPU."""
MOST_GPUS_PER_REPLICA = 8
"""Machines with more than 8 GPUs are not for sale (AWS p5, Azure ND H100 v5, GCP a3: 8 each)."""
WINDOW_SHARE = 0.25
"""Estimate: a run may take a quarter of its cadence where no window is given (a night, when it is daily)."""
ONCE_WINDOW_HOURS = 24.0
"""Estimate: a run that happens once may take a day."""
DEFAULT_TRIALS, SEARCH_TRIALS = 1, 20
"""Estimate: trials of a known model; trials when the model or its hyper-parameters are to be found."""
DEFAULT_TREES, DEFAULT_DEPTH = 500, 6
"""Depth: default of XGBoost (xgboost.readthedocs.io, parameters). Trees: estimate."""
DEFAULT_EPOCHS = 10
"""Estimate."""
TREE_NODE_BYTES = 40.0
"""Estimate: a stored node of a tree."""
DATA_READ_SHARE = 0.1
"""Estimate: data are read within a tenth of the run."""

# --- Serving -----------------------------------------------------------------------------------------------------
NETWORK_SHARE = 0.5
"""Half of a latency SLO is left to the network between user and cluster where `service_ms` is not given. A choice."""
REQUEST_OVERHEAD_MS = 1.0
"""Estimate: receive, parse and answer one request."""
TREE_STEP_MS = 1e-5
"""Estimate: 10 ns for each level of each tree."""
SERVING_VCPU, SERVING_BASE_MEMORY_GIB, GPU_SERVING_VCPU, GPU_SERVING_MEMORY_GIB = 2.0, 1.0, 4.0, 16.0
"""Estimate: one replica on a CPU, and beside a GPU."""
PAYLOAD_KB = 10.0
"""Estimate: size of a request and its answer."""
FEWEST_REPLICAS = 2
"""So that one may be restarted. A choice."""


class Gpu(NamedTuple):
    """A GPU as its maker describes it."""

    name: str
    memory_gib: float
    bandwidth_gb_per_s: float
    tflops: float


GPUS = (
    Gpu("T4", 16, 320, 65),
    Gpu("L4", 24, 300, 121),
    Gpu("A10G", 24, 600, 70),
    Gpu("A100", 40, 1555, 312),
    Gpu("H100", 80, 3350, 989),
)
"""NVIDIA data sheets (half precision, dense; A100 of 40 GB, SXM), the cheapest to hire first; read 2026-11."""

LATENCY_WORDS = {
    "real-time": 100.0,
    "realtime": 100.0,
    "real time": 100.0,
    "interactive": 100.0,
    "instant": 100.0,
    "near real-time": 1000.0,
    "near-real-time": 1000.0,
    "near real time": 1000.0,
    "sub-second": 1000.0,
    "within a second": 1000.0,
    "within seconds": 10_000.0,
    "within minutes": 60_000.0,
    "nightly": 28_800_000.0,
    "overnight": 28_800_000.0,
}
"""Milliseconds that words stand for: 0.1 s feels instant, 1 s keeps the flow, 10 s attention (Nielsen 1993, ch. 5);
minutes and nights as they are said, a night of eight hours."""

RUNTIMES = {
    "triton": "NVIDIA Triton",
    "torchserve": "TorchServe",
    "tensorflow serving": "TensorFlow Serving",
    "tf serving": "TensorFlow Serving",
    "seldon": "Seldon Core",
    "kserve": "KServe",
    "bentoml": "BentoML",
    "vllm": "vLLM",
    "onnx": "ONNX Runtime",
}
"""Serving runtimes: software that runs on a machine, whatever the machine."""

CADENCE_HOURS = {"hourly": 1.0, "daily": 24.0, "weekly": 168.0, "monthly": HOURS_PER_MONTH, "nightly": 24.0}

FAMILIES = {
    "xgboost": "trees",
    "lightgbm": "trees",
    "catboost": "trees",
    "gradient boosting": "trees",
    "random forest": "trees",
    "decision tree": "trees",
    "tree": "trees",
    "linear": "linear",
    "linear regression": "linear",
    "logistic regression": "linear",
    "neural network": "network",
    "mlp": "network",
    "cnn": "network",
    "transformer": "network",
    "llm": "network",
}
"""What kind of work a model's name stands for."""
