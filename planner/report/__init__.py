"""A plan as one HTML page that needs nothing else: no network, no other file."""

from planner.report.page import render, write_report

__all__ = ["render", "write_report"]
