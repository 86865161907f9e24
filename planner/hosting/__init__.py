"""The planner's own diagnostics as workloads: what they need, where a plan has them, who serves what."""

from planner.hosting.cost import MEASURED, Cost
from planner.hosting.costs_of_models import measured_by
from planner.hosting.hosted import Hosted, HostedWork, Watched, hosted_of, hosted_text, parse_hosted, together
from planner.hosting.workloads import watched, with_diagnostics

__all__ = ["MEASURED", "Cost", "Hosted", "HostedWork", "Watched", "hosted_of", "hosted_text", "measured_by",
           "parse_hosted", "together", "watched", "with_diagnostics"]  # fmt: skip
