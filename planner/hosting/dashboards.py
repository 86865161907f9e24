"""Dashboards for Grafana as plain dicts: plans, clusters, models, drift, and all layers of one cluster. They are the
same every time, so that they can be kept in version control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

SCHEMA_VERSION = 39
COLUMNS, WIDTH, HEIGHT = 2, 12, 8


class Panel(NamedTuple):
    """One chart: what it asks Prometheus for, how lines are called, and the unit of Grafana."""

    title: str
    query: str
    legend: str
    unit: str = "short"


_CLUSTER = " * on (instance) group_left (cluster) planner_host_info"
_ONE = 'cluster=~"$cluster"'
"""The cluster that is chosen above the panels."""
_OF_ONE = f"{_CLUSTER}{{{_ONE}}}"
DASHBOARDS: Mapping[str, tuple[str, Sequence[Panel]]] = {
    "plans": ("Plans and jobs", (
        Panel("Jobs by state", "sum by (kind, status) (planner_jobs)", "{{kind}} {{status}}"),
        Panel("Longest wait", "planner_oldest_queued_seconds", "oldest queued", "s"),
        Panel("Seconds of the last plan", "planner_last_plan_seconds", "seconds", "s"),
        Panel("Gap of the last plan", "planner_last_plan_gap", "gap", "percentunit"),
        Panel("Requests", "sum by (route) (rate(planner_http_requests_total[5m]))", "{{route}}", "reqps"),
        Panel("Requests, 99 %", "histogram_quantile(0.99, sum by (route, le) "
              "(rate(planner_http_request_seconds_bucket[5m])))", "{{route}}", "s"),
    )),
    "clusters": ("Clusters and their hosts", (
        Panel("Rows scored", f"sum by (instance) (rate(planner_host_rows_total[5m])){_CLUSTER}", "{{cluster}}"),
        Panel("Rows in alarm", f'sum by (instance) (rate(planner_host_rows_total{{status="alarm"}}[15m])){_CLUSTER}',
              "{{cluster}}"),
        Panel("Rows that wait", f"planner_host_lag_rows{_CLUSTER}", "{{cluster}}"),
        Panel("Row to verdict, 99 %", "histogram_quantile(0.99, sum by (instance, le) "
              f"(rate(planner_host_verdict_seconds_bucket[5m]))){_CLUSTER}", "{{cluster}}", "s"),
        Panel("Leases held", f"planner_host_leases{_CLUSTER}", "{{cluster}} {{purpose}}"),
        Panel("Errors", f"sum by (instance, what) (rate(planner_host_errors_total[5m])){_CLUSTER}",
              "{{cluster}} {{what}}"),
    )),
    "models": ("Models", (
        Panel("Versions in memory", "count by (hardware_class, version) (planner_host_model_info)",
              "{{hardware_class}} {{version}}"),
        Panel("Model store", f"planner_host_model_store_up{_CLUSTER}", "{{cluster}}"),
        Panel("Leases taken", f"increase(planner_host_takeovers_total[1h]){_CLUSTER}", "{{cluster}}"),
        Panel("Classes trained", f'planner_host_leases{{purpose="train"}}{_CLUSTER}', "{{cluster}}"),
    )),
    "drift": ("Drift", (
        Panel("Months that drifted in a day",
              f'sum by (instance) (increase(planner_host_drift_checks_total{{drifted="true"}}[1d])){_CLUSTER}',
              "{{cluster}}"),
        Panel("Months compared in a day",
              f"sum by (instance) (increase(planner_host_drift_checks_total[1d])){_CLUSTER}", "{{cluster}}"),
        Panel("Share of rows in alarm",
              f'sum by (instance) (rate(planner_host_rows_total{{status="alarm"}}[1h]))'
              f" / sum by (instance) (rate(planner_host_rows_total[1h])){_CLUSTER}", "{{cluster}}", "percentunit"),
        Panel("Monitors held", f'planner_host_leases{{purpose="drift"}}{_CLUSTER}', "{{cluster}}"),
    )),
    "layers": ("A cluster from pods to models", (
        Panel("Pods by phase", f"sum by (phase) (kube_pod_status_phase{{{_ONE}}})", "{{phase}}"),
        Panel("Pods: processors busy",
              f'1 - avg by (cluster) (rate(node_cpu_seconds_total{{mode="idle", {_ONE}}}[5m]))', "{{cluster}}",
              "percentunit"),
        Panel("Services: probes answered", f"avg by (service) (probe_success{{{_ONE}}})", "{{service}}", "percentunit"),
        Panel("Services: requests, 95 %", "histogram_quantile(0.95, sum by (service, le) "
              f"(rate(http_request_duration_seconds_bucket{{{_ONE}}}[5m])))", "{{service}}", "s"),
        Panel("Data: rows that wait", f"planner_host_lag_rows{_OF_ONE}", "{{cluster}}"),
        Panel("Data: months that drifted in a day",
              f'sum by (instance) (increase(planner_host_drift_checks_total{{drifted="true"}}[1d])){_OF_ONE}',
              "{{cluster}}"),
        Panel("Models in memory", f"planner_host_model_info{_OF_ONE}", "{{hardware_class}} {{version}}"),
        Panel("Models: share of rows in alarm",
              f'sum by (instance) (rate(planner_host_rows_total{{status="alarm"}}[1h]))'
              f" / sum by (instance) (rate(planner_host_rows_total[1h])){_OF_ONE}", "{{cluster}}", "percentunit"),
    )),
}  # fmt: skip
"""By the name of the file: the title, and the panels."""


def dashboard(name: str) -> dict[str, Any]:
    """A dashboard that asks the data source `datasource`, a variable of it, and where panels are of one cluster, for
    `cluster`.
    """
    title, panels = DASHBOARDS[name]
    source = {"type": "prometheus", "uid": "${datasource}"}
    variables: list[dict[str, Any]] = [{"name": "datasource", "type": "datasource", "query": "prometheus"}]
    if any(_ONE in panel.query for panel in panels):
        variables.append({"name": "cluster", "type": "query", "datasource": source, "refresh": 2, "includeAll": True,
                          "query": "label_values(planner_host_info, cluster)"})  # fmt: skip
    return {
        "uid": f"planner-{name}", "title": f"Planner: {title}", "tags": ["planner"], "schemaVersion": SCHEMA_VERSION,
        "time": {"from": "now-24h", "to": "now"}, "refresh": "1m", "timezone": "utc",
        "templating": {"list": variables},
        "panels": [
            {"id": at + 1, "type": "timeseries", "title": panel.title, "datasource": source,
             "gridPos": {"x": at % COLUMNS * WIDTH, "y": at // COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT},
             "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
             "targets": [{"refId": "A", "expr": panel.query, "legendFormat": panel.legend, "datasource": source}]}
            for at, panel in enumerate(panels)
        ],
    }  # fmt: skip
