"""Machine types as Karpenter labels them, by the names that AWS and Azure give them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from planner.importers.draft import number
from planner.kube import labels
from planner.scenario.model import Machine

AWS, AZURE = "karpenter.k8s.aws", "karpenter.azure.com"
PROVIDERS = {AWS: "aws", AZURE: "azure"}
"""Providers by the group of a NodePool's node class; the `providerID` of their nodes begins so, too."""
_AWS_NAME = re.compile(r"(?P<family>(?P<category>[a-z]+)(?P<generation>[0-9]+)[a-z0-9-]*)\.(?P<size>[a-z0-9-]+)")
_AZURE_NAME = re.compile(r"Standard_(?P<family>[A-Z]+)[0-9]+[-0-9]*[a-z]*(?:_[A-Z0-9]+)?(?:_v(?P<version>[0-9]+))?")


def labels_of(group: str, name: str, machine: Machine) -> dict[str, str]:
    """Labels of a node of this type: those of Kubernetes and of the group, as far as name and shape tell them."""
    arch = labels.ARCHES.get(machine.arch, machine.arch)
    common = {labels.MACHINE: name, labels.ARCH: arch, "kubernetes.io/os": "linux"}
    own = _OF[group](name, machine)
    return common | {f"{group}/{key}": value for key, value in own.items()}


def _of_aws(name: str, machine: Machine) -> dict[str, str]:
    found = _AWS_NAME.fullmatch(name)
    parts = {f"instance-{key}": value for key, value in found.groupdict().items()} if found else {}
    return parts | {"instance-cpu": _whole(machine.vcpu), "instance-memory": _whole(1024 * machine.memory_gib),
                    **_gpu(machine, "instance-gpu", str.lower)}


def _of_azure(name: str, machine: Machine) -> dict[str, str]:
    found = _AZURE_NAME.fullmatch(name)
    parts = {f"sku-{key}": value for key, value in found.groupdict().items() if value} if found else {}
    return parts | {"sku-name": name, "sku-cpu": _whole(machine.vcpu), "sku-memory": _whole(1024 * machine.memory_gib),
                    **_gpu(machine, "sku-gpu", str)}


def _gpu(machine: Machine, key: str, written: Callable[[str], str]) -> dict[str, str]:
    if not machine.gpu_model:
        return {}
    amd = labels.gpu_resource(machine.gpu_model) == labels.AMD_GPU
    memory = {} if machine.gpu_memory_gib is None else {f"{key}-memory": _whole(1024 * machine.gpu_memory_gib)}
    return {f"{key}-name": written(machine.gpu_model), f"{key}-manufacturer": "amd" if amd else "nvidia",
            f"{key}-count": str(machine.gpu_count)} | memory


def _whole(value: float) -> str:
    return str(number(value))


_OF: Mapping[str, Callable[[str, Machine], dict[str, str]]] = {AWS: _of_aws, AZURE: _of_azure}
