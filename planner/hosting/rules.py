"""What Prometheus watches of hosts: rules that `planner export rules` writes beside those of clusters and services."""

from __future__ import annotations

from diagnostics.health import HealthRule

_BY_CLUSTER = " * on (instance) group_left (cluster) planner_host_info"
"""Figures of a host get the name of its cluster."""
_ROWS = "sum by (instance) (rate(planner_host_rows_total[15m]))"
_SLOWEST = "histogram_quantile(0.99, sum by (instance, le) (rate(planner_host_verdict_seconds_bucket[5m])))"

HOST_RULES: tuple[HealthRule, ...] = (
    HealthRule("HostDown", "down", "(1 - up) * on (instance) group_left (cluster) "
               "max by (instance, cluster) (last_over_time(planner_host_info[1d]))", "above", 0, 1, "ticket",
               "a host of diagnostics does not answer: others serve what it served; start it again"),
    HealthRule("HostStuck", "seconds_since_round",
               f"(time() - planner_host_last_round_timestamp_seconds){_BY_CLUSTER}", "above", 30, 2, "ticket",
               "the host of diagnostics ends no rounds: look at its log, restart it"),
    HealthRule("HostBehind", "lag_rows", f"planner_host_lag_rows{_BY_CLUSTER}", "above", 1000, 10, "ticket",
               "rows wait for verdicts: more of them than one host scores, or no model for them"),
    HealthRule("VerdictsSlow", "verdict_p99_s", f"{_SLOWEST}{_BY_CLUSTER}", "above", 2, 10, "ticket",
               "verdicts come late for long: the host or its database is overloaded"),
    HealthRule("HostErrors", "errors_per_s",
               f"sum by (instance) (rate(planner_host_errors_total[5m])){_BY_CLUSTER}", "above", 0.1, 10, "ticket",
               "rounds fail: the database is away, or the plan in force does not know the cluster"),
    HealthRule("ModelStoreAway", "store_down", f"(1 - planner_host_model_store_up){_BY_CLUSTER}", "above", 0, 5,
               "ticket", "the store of models does not answer: what is in memory goes on"),
    HealthRule("AlarmFlood", "alarm_share",
               f'(sum by (instance) (rate(planner_host_rows_total{{status="alarm"}}[15m])) / {_ROWS}){_BY_CLUSTER}',
               "above", 0.2, 30, "ticket", "a fifth of all rows is in alarm: a fault of many, or data that drifted"),
    HealthRule("DataDrifted", "drifted",
               f'sum by (instance) (increase(planner_host_drift_checks_total{{drifted="true"}}[1d])){_BY_CLUSTER}',
               "above", 0, 0, "ticket", "a month of telemetry drifted: see what becomes of it in /v1/retraining"),
)  # fmt: skip
