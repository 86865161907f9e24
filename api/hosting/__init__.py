"""Diagnostics that run: telemetry in, hosts that hold leases on what the plan in force gives them, verdicts out."""
