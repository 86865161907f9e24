"""Figures as sentences about telemetry have them."""

from __future__ import annotations


def named(metric: str, workload: str = "", device: str = "") -> str:
    """A metric, and whose it is where it is a workload's or of a device."""
    return metric + (f" of {workload}" if workload else "") + (f" on {device}" if device else "")


def figure(value: float) -> str:
    """Four digits that count; thousands apart in place of an exponent, as far as people read such numbers."""
    return f"{float(f'{value:.4g}'):,.0f}" if 1e3 <= abs(value) < 1e12 else f"{value:.4g}"
