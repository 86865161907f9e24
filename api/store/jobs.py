"""What a job is to the store: how it is asked for, what is known of it, how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, Row

Repeatable = Literal["plan", "forecast", "capacity", "what_if", "pareto", "train", "evaluate", "validate", "drift",
                     "purge"]
"""Kinds of jobs that may be asked for by their kind, once or by a schedule."""
Kind = Repeatable | Literal["verification", "judgement"]
QUICK: frozenset[Kind] = frozenset({"verification", "judgement", "validate"})
"""Kinds of jobs that are over soon."""
MENDS = "mends"
"""In what a plan is asked that mends another: its id."""
Status = Literal["queued", "running", "done", "infeasible", "failed", "cancelled"]
ENDED: tuple[Status, ...] = ("done", "infeasible", "failed", "cancelled")

JobRow = Row[*tuple[Any, ...]]
"""Columns of `jobs`, by name."""


class IdempotencyConflictError(Exception):
    """The same key came with another body before; `job_id` is what it made then."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.job_id = job_id


class Putting(Protocol):
    """A queue as far as the store knows it."""

    def put(self, connection: Connection, job_id: str, priority: int, *, quick: bool) -> None:
        """Queue a job within the transaction of `connection`; one that is `quick` waits for no long one."""


@dataclass(frozen=True)
class Submission:
    """A job that is asked for: its settings, and what is given with it as text, or as a file (name, type, content).

    Of plans, `given` is the scenario as JSON (None: the settings name one), and `clusters` are those of the scenario.
    `schedule` is the id of the schedule that asks; None: somebody does.
    """

    name: str
    request: Mapping[str, Any]
    given: str | None
    clusters: tuple[str, ...]
    body_sha256: str
    idempotency_key: str | None = None
    kind: Kind = "plan"
    priority: int = 0
    file: tuple[str, str, bytes] | None = None
    schedule: str | None = None

    @property
    def quick(self) -> bool:
        """Whether it is over soon, and somebody waits for it: checks, and plans that mend one in force."""
        return self.kind in QUICK or MENDS in self.request


@dataclass(frozen=True)
class Job:
    """A job to be carried out by one process."""

    id: str
    tenant: str
    kind: Kind
    attempt: int
    request: Mapping[str, Any]
