"""How far a solve is, for the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from api.jobs.job import Task

if TYPE_CHECKING:
    from placement.worker import Progress


def told(task: Task) -> Callable[[Progress], None]:
    """What hears how far it is, and notes it with the job."""

    def report(progress: Progress) -> None:
        task.report({"seconds": progress.seconds, "objective": progress.objective, "bound": progress.bound,
                     "gap": progress.gap, "phase": progress.phase})

    return report
