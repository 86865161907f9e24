"""The rules as Prometheus reads them (https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diagnostics.health.rules import HealthRule

_STEP_MINUTES = 1
"""Resolution at which a window is averaged."""


def prometheus_rules(rules: Sequence[HealthRule], group: str = "workload-planner") -> dict[str, Any]:
    """A rule file as plain lists and dicts, ready for YAML."""
    return {"groups": [{"name": group, "rules": [_alert(rule) for rule in rules]}]}


def _alert(rule: HealthRule) -> dict[str, Any]:
    annotations = {"summary": rule.summary if rule.subject else "{{ $labels.cluster }}: " + rule.summary}
    if rule.side != "absent":
        annotations["description"] = f"{rule.measure} is {{{{ $value }}}}, {rule.side} {rule.threshold:g}"
    if rule.runbook:
        annotations["runbook"] = rule.runbook
    labels = {"severity": rule.severity} | ({"service": rule.subject} if rule.subject else {})
    return {"alert": rule.name, "expr": expression(rule), "for": f"{rule.for_minutes}m", "labels": labels,
            "annotations": annotations}  # fmt: skip


def expression(rule: HealthRule) -> str:
    """The condition in PromQL."""
    if rule.side == "absent":
        return f"absent({rule.promql})"
    measure = rule.promql
    if rule.window_minutes:
        measure = f"avg_over_time(({measure})[{rule.window_minutes}m:{_STEP_MINUTES}m])"
    return f"({measure}) {'>' if rule.side == 'above' else '<'} {rule.threshold!r}"
