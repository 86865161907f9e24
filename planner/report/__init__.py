"""A plan as one HTML page that needs nothing else: no network, no other file."""

from planner.report.figures import Figures, figures_of
from planner.report.page import render, write_report

__all__ = ["Figures", "figures_of", "render", "write_report"]
