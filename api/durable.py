"""The durable queue: what is put into it is carried out once, whoever dies meanwhile (DBOS behind this small face).

A job is a workflow of DBOS under the job's own id, written in the transaction that writes the job. A worker that comes
back under its name carries on with what it had; what a worker had that is gone for good goes back into the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from sqlalchemy import Connection

if TYPE_CHECKING:
    from dbos import DBOSClient

QUEUE, WORKFLOW, APPLICATION = "jobs", "carry_out", "planner"
VERSION = "1"
"""Of the way in which jobs are carried out: work begun by another version of it is not taken up."""
LOOK_EVERY_S = 0.2
"""How often a worker looks into the queue."""
MOST_RECOVERIES = 1_000_000
"""The store says how often a job is tried, and why it failed."""


class Queue:
    """Where jobs are put; threads may share one. The database has been brought up to date."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: DBOSClient | None = None

    def open(self) -> None:
        """Connect. Raises what the database's driver does when it cannot be reached."""
        from dbos import DBOSClient  # half a second to load

        self._client = DBOSClient(system_database_url=self._url, application_name=APPLICATION)

    def close(self) -> None:
        """Give the connections back."""
        if self._client is not None:
            self._client.destroy()

    def put(self, connection: Connection, job_id: str, priority: int) -> None:
        """Queue a job within a transaction; of those that wait the highest priority is first, then the oldest."""
        assert self._client is not None
        self._client.enqueue_in_transaction(
            connection, {"queue_name": QUEUE, "workflow_name": WORKFLOW, "workflow_id": job_id, "app_version": VERSION,
                         "priority": 100 - priority}, job_id)

    def take_back(self, living: Iterable[str]) -> list[str]:
        """Queue again what workers had that are not among the `living`; the ids of these jobs."""
        assert self._client is not None
        alive = set(living)
        lost = [one.workflow_id for one in self._client.list_workflows(status="PENDING", name=WORKFLOW)
                if one.executor_id not in alive]
        for job_id in lost:
            self._client.resume_workflow(job_id, queue_name=QUEUE)
        return lost


def work(url: str, executor: str, carry_out: Callable[[str], None]) -> None:
    """Take jobs from the queue, one at a time, in background threads, those first that this executor had before."""
    from dbos import DBOS

    DBOS(config={"name": APPLICATION, "system_database_url": url, "executor_id": executor,
                 "application_version": VERSION, "log_level": "ERROR", "sys_db_pool_size": 3, "run_migrations": False})

    @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=MOST_RECOVERIES)
    def one(job_id: str) -> None:
        carry_out(job_id)

    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=1, polling_interval_sec=LOOK_EVERY_S)
