"""Labels that say where a node is, what it is and how it was bought; those of the planner, and those of others."""

from __future__ import annotations

import re
from hashlib import sha256

PREFIX = "workload-planner/"
POOL, PURCHASE, KIND, UNIT, USERS = (PREFIX + name for name in ("pool", "purchase", "kind", "unit", "users"))
WORKLOAD, RUN_MINUTES = PREFIX + "workload", PREFIX + "run-minutes"
MANAGED_BY = {"app.kubernetes.io/managed-by": "workload-planner"}

REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
MACHINE, ARCH = "node.kubernetes.io/instance-type", "kubernetes.io/arch"
GPU_MODEL, GPU_MEMORY = "nvidia.com/gpu.product", "nvidia.com/gpu.memory"

CONFIG = "workload-planner"
"""Name of the ConfigMap that says of a cluster what its nodes do not."""

ARCHES = {"x86_64": "amd64", "arm64": "arm64"}
"""Processor architectures of scenarios, as Kubernetes calls them."""

GPU, AMD_GPU = "nvidia.com/gpu", "amd.com/gpu"
AMD_MODELS = re.compile(r"MI[0-9]{2,3}|RX|Radeon", re.IGNORECASE)
LONGEST = 63


def gpu_resource(model: str | None) -> str:
    """The resource by which pods ask for GPUs of a model."""
    return AMD_GPU if model is not None and AMD_MODELS.match(model) else GPU


def dns_label(text: str, longest: int = LONGEST) -> str:
    """A name that Kubernetes takes for an object: the text itself where it will do.

    What is lost in the change stands in six hex digits of the text's hash, so that two texts never share a name.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if plain == text and len(plain) <= longest:
        return text
    mark = sha256(text.encode()).hexdigest()[:6]
    return f"{plain[:longest - 7].rstrip('-')}-{mark}".lstrip("-")


def label_value(text: str) -> str:
    """A text as the value of a label, changed no more than it must be."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", ".", text).strip("-_.")
    if plain == text and len(plain) <= LONGEST:
        return text
    mark = sha256(text.encode()).hexdigest()[:6]
    return f"{plain[:LONGEST - 7].rstrip('-_.')}-{mark}".lstrip("-")
