"""Plans workloads over own clusters and several clouds: what runs where, when, on what, for how much, and why.

Nothing heavy is imported here, so that `planner --help` answers at once.
"""

__version__ = "0.1.0"
