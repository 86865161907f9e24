"""Health of clusters and services by rules that hold for a while: evaluated here, or by Prometheus."""

from diagnostics.health.evaluate import Firing, evaluate, firing, unmeasured
from diagnostics.health.prometheus import prometheus_rules
from diagnostics.health.rules import CLUSTER_RULES, JOB_RULES, HealthRule, service_rules

__all__ = ["CLUSTER_RULES", "JOB_RULES", "Firing", "HealthRule", "evaluate", "firing", "prometheus_rules",
           "service_rules", "unmeasured"]  # fmt: skip
