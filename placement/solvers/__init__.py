"""Solvers by name. Each module offers `supports(problem) -> str | None` (why not, or None) and `solve(...) -> Result`.

A module that writes the whole problem out says in `MAX_ENTRIES` how large a table of options it takes where nothing
limits its memory.

They are named, not imported: `highspy` and `ortools` cannot live in one process, and each is slow to load.
"""

SOLVERS: dict[str, str] = {
    "planner": "placement.solvers.price_guided",
    "highs": "placement.solvers.highs",
    "cp-sat": "placement.solvers.cpsat",
    "cbc": "placement.solvers.cbc",
    "first-fit": "placement.solvers.first_fit",
    "per-task": "placement.solvers.per_task",
    "brute": "placement.solvers.brute",
}
"""The first is the default."""
