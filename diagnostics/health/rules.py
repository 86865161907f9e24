"""Rules of health, each told once: the measure in our telemetry, the same in PromQL, the limit, and for how long.

What PromQL reads is what node_exporter, kube-state-metrics and the blackbox exporter give, with a label `cluster`;
requests are counted in `http_request_duration_seconds` by `service`, as most clients name it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Side = Literal["above", "below", "absent"]
Severity = Literal["page", "ticket"]


@dataclass(frozen=True)
class HealthRule:
    """Fires while `measure` is above or below `threshold`, or absent, for `for_minutes` without a break.

    `subject` is whose measure it is (None: of every one that sends it). `window_minutes` averages the measure first; 0
    takes it as it is. `promql` is the measure itself, before window and limit. A page wakes people: only for what users
    feel.
    """

    name: str
    measure: str
    promql: str
    side: Side
    threshold: float
    for_minutes: int
    severity: Severity
    summary: str
    subject: str | None = None
    window_minutes: int = 0
    runbook: str | None = None

    def __post_init__(self) -> None:
        """Refuse names that Prometheus would, and durations that are none."""
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.name):
            raise ValueError(f"name: {self.name!r}: letters, digits and underscores, a letter first")
        if self.for_minutes < 0 or self.window_minutes < 0:
            spans = f"{self.for_minutes}, {self.window_minutes}"
            raise ValueError(f"{self.name}: for_minutes, window_minutes: {spans}: not below 0")


CLUSTER_RULES: tuple[HealthRule, ...] = (
    HealthRule("ClusterOverloaded", "cpu_share",
               '1 - avg by (cluster) (rate(node_cpu_seconds_total{mode="idle"}[5m]))', "above", 0.9, 15, "ticket",
               "processors are busy nine tenths of the time"),
    HealthRule("ClusterMemoryFull", "memory_share",
               "1 - sum by (cluster) (node_memory_MemAvailable_bytes) / sum by (cluster) (node_memory_MemTotal_bytes)",
               "above", 0.92, 15, "ticket", "memory is nearly full: what asks for more is killed"),
    HealthRule("ClusterFull", "pods_unschedulable", "sum by (cluster) (kube_pod_status_unschedulable)", "above", 0, 30,
               "ticket", "pods find no machine"),
)  # fmt: skip

JOB_RULES: tuple[HealthRule, ...] = (
    HealthRule("JobPendingForHours", "pending",
               'max by (cluster, namespace, pod) (kube_pod_status_phase{phase="Pending"})', "above", 0, 120, "ticket",
               "a job has waited for two hours"),
    HealthRule("JobRunningForDays", "running_hours",
               "max by (cluster, namespace, job_name) ((time() - kube_job_status_start_time) / 3600 and "
               "kube_job_status_active > 0)", "above", 48, 0, "ticket", "a job has run for two days"),
)  # fmt: skip
"""For Prometheus, which keeps no history of jobs; `diagnostics.jobs` compares each with its own."""

_FAST_BURN = 14.4
_FAST_WINDOW = 60


def service_rules(
    service: str, availability: float | None, latency_ms: float | None, runbook: str | None = None
) -> tuple[HealthRule, ...]:
    """Rules of one service by its objectives: outage, silence, up-time burnt too fast, and latency that stays high.

    The error budget is burnt too fast when an hour uses what 14.4 hours may: a fiftieth of a month's budget (Google's
    Site Reliability Workbook, chapter 5). An objective that no burn of that size can miss adds no rule.
    """
    label = '{service="' + service.replace("\\", "\\\\").replace('"', '\\"') + '"}'
    up = f"avg by (service) (probe_success{label})"
    rules = [
        HealthRule("ServiceDown", "up_share", up, "below", 0.5, 2, "page", f"{service}: most probes fail", service,
                   runbook=runbook),
        HealthRule("ServiceSilent", "up_share", f"probe_success{label}", "absent", 0, 10, "page",
                   f"{service}: nothing is measured, so nobody knows", service, runbook=runbook),
    ]  # fmt: skip
    if availability is not None and _FAST_BURN * (1 - availability) < 1 and availability < 1:
        floor = 1 - _FAST_BURN * (1 - availability)
        rules.append(HealthRule(
            "ServiceUptimeBurning", "up_share", up, "below", round(floor, 12), 2, "page",
            f"{service}: an hour used up more than {_FAST_BURN:g} hours may of an up-time of {availability:g}", service,
            _FAST_WINDOW, runbook))  # fmt: skip
    if latency_ms is not None:
        seconds = f"http_request_duration_seconds_bucket{label}"
        rules.append(HealthRule(
            "ServiceSlow", "latency_p95_ms",
            f"1000 * histogram_quantile(0.95, sum by (service, le) (rate({seconds}[5m])))", "above", latency_ms, 10,
            "page", f"{service}: one request in twenty has taken more than {latency_ms:g} ms for ten minutes", service,
            runbook=runbook))  # fmt: skip
    return tuple(rules)
