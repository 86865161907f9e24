"""Scenarios: the format that people write, read strictly."""

from planner.scenario.model import Scenario
from planner.scenario.read import parse_scenario, read_scenario

__all__ = ["Scenario", "parse_scenario", "read_scenario"]
