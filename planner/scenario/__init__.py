"""Scenarios: the format that people write, read strictly."""

from planner.scenario.model import Scenario

__all__ = ["Scenario"]
