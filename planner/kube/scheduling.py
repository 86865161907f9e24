"""Whether a pod may run on a node: node selector, required node affinity, taints and tolerations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.kube.objects import Fields, Thing

REFUSING = ("NoSchedule", "NoExecute")
"""Effects of taints that keep pods away."""


def may_run(spec: Fields, node: Thing) -> bool:
    """Whether a pod of a spec may run on a node that is ready and takes pods."""
    return _selected(spec, node) and _tolerated(spec, node)


def _selected(spec: Fields, node: Thing) -> bool:
    labels = node.labels
    if any(labels.get(key) != str(value) for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    required: Any = spec
    for part in ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"):
        required = required.get(part) if isinstance(required, Mapping) else None
    return not required or any(_term(term, node) for term in required)


def _term(term: Fields, node: Thing) -> bool:
    """All expressions of a term hold; one without any holds nowhere."""
    by_label, by_field = term.get("matchExpressions") or [], term.get("matchFields") or []
    fields = {"metadata.name": node.name}
    return bool(by_label or by_field) and all(holds(rule, node.labels) for rule in by_label) and all(
        holds(rule, fields) for rule in by_field)


def holds(rule: Fields, labels: Mapping[str, str]) -> bool:
    """Whether labels are as a rule wants: `key`, `operator` (`In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`,
    `Gte`, `Lte`; any other holds nowhere) and `values`.
    """
    operator, value = rule.get("operator"), labels.get(str(rule.get("key")))
    values = [str(one) for one in rule.get("values") or []]
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    return _compared(str(operator), value, values)


def _compared(operator: str, value: str | None, values: list[str]) -> bool:
    """Whole numbers compared; anything else holds nowhere."""
    try:
        left, right = int(value or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return {"Gt": left > right, "Lt": left < right, "Gte": left >= right, "Lte": left <= right}.get(operator, False)


def _tolerated(spec: Fields, node: Thing) -> bool:
    tolerations = spec.get("tolerations") or []
    return all(any(_tolerates(one, taint) for one in tolerations) for taint in node.items("spec", "taints")
               if taint.get("effect") in REFUSING)


def _tolerates(toleration: Fields, taint: Fields) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint.get("key"):
        return False
    return toleration.get("operator") == "Exists" or (toleration.get("value") or "") == (taint.get("value") or "")
