"""The durable queue: what is put into it is carried out once, whoever dies meanwhile (DBOS behind this small face).

A job is a workflow of DBOS under the job's own id, written in the transaction that writes the job. A worker that comes
back under its name carries on with what it had; what a worker had that is gone for good goes back into the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection, and_, column, or_, table, update

if TYPE_CHECKING:
    from dbos import DBOSClient

APPLICATION = "planner"
QUEUE, QUICK, WORKFLOW = "jobs", "quick", "carry_out"
TICKS, TICK = "ticks", "tick"
NOTICES, SEND = "notices", "send"
QUEUES = {WORKFLOW: QUEUE, TICK: TICKS, SEND: NOTICES}
"""The queue of each workflow: jobs, and what does not wait behind jobs, moments of schedules and notices. Jobs that are
over soon, and that somebody waits for, have a lane of their own beside it.
"""
VERSION = "1"
"""Of the way in which jobs are carried out. DBOS gives work to workers of its version only; a service takes over what
another version left (`Queue.take_over`): a job is begun anew from what the store has of it, whoever began it before.
"""
LOOK_EVERY_S, TICKS_EVERY_S = 0.5, 2.0
"""How often a worker looks into the queues: a look takes some 4 ms of a processor, which an idle service spends too."""
LOOK_AT_SCHEDULES_S = 5.0
"""How often a worker looks for schedules that are new or gone."""
TRY_AGAIN_S, TRIES = 1.0, 10
"""How long after a moment failed (the database may be away) it is tried again, twice as long each time; how often."""
SEND_AGAIN_S, SENDS, NOTICES_AT_ONCE = 2.0, 10, 4
"""The same of a notice that did not arrive: 17 minutes in all; and how many a worker sends at a time."""
_WORK = {kind: table("workflow_status", *map(column, ("name", "status", "executor_id", "application_version")),
                     schema=schema) for kind, schema in (("sqlite", None), ("postgresql", "dbos"))}
"""What DBOS has of the work in its queues, by the kind of database."""
_BESIDE = timedelta(seconds=0.5)
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

    def put(self, connection: Connection, job_id: str, priority: int, *, quick: bool) -> None:
        """Queue a job within a transaction; of those that wait the highest priority is first, then the oldest. One that
        is `quick` waits for others that are, and for no long one.
        """
        assert self._client is not None
        self._client.enqueue_in_transaction(
            connection, {"queue_name": QUICK if quick else QUEUE, "workflow_name": WORKFLOW, "workflow_id": job_id,
                         "app_version": VERSION, "priority": 100 - priority}, job_id)

    def put_notice(self, connection: Connection, notice_id: int, delay_s: float) -> None:
        """Queue the sending of a notice within a transaction, not before so many seconds."""
        assert self._client is not None
        self._client.enqueue_in_transaction(
            connection, {"queue_name": NOTICES, "workflow_name": SEND, "workflow_id": f"{SEND}-{notice_id}",
                         "app_version": VERSION, "delay_seconds": delay_s}, notice_id)

    def take_back(self, living: Iterable[str]) -> list[str]:
        """Queue again what workers had that are not among the `living`; the ids of these jobs."""
        assert self._client is not None
        alive = set(living)
        lost = [one for one in self._client.list_workflows(status="PENDING", name=list(QUEUES))
                if one.executor_id not in alive]
        for one in lost:
            self._client.resume_workflow(one.workflow_id, queue_name=one.queue_name or QUEUES[one.name])
        return [one.workflow_id for one in lost if one.name == WORKFLOW]

    def take_over(self, connection: Connection, executors: Collection[str]) -> None:
        """Let workers of this version have what waits with another one, and what these executors had begun with it."""
        kept = _WORK[connection.dialect.name]
        mine = and_(kept.c.status == "PENDING", kept.c.executor_id.in_(executors))
        left = or_(kept.c.status.in_(("ENQUEUED", "DELAYED")), mine)
        others = kept.c.name.in_(QUEUES), kept.c.application_version != VERSION
        connection.execute(update(kept).where(*others, left).values(application_version=VERSION))

    def follow(self, crons: Mapping[str, str]) -> None:
        """Call the moments of these schedules too: cron expressions in UTC, by id."""
        assert self._client is not None
        self._client.apply_schedules([
            {"schedule_name": one, "workflow_name": TICK, "schedule": cron, "context": one, "queue_name": TICKS}
            for one, cron in crons.items()])

    def forget(self, ids: Iterable[str]) -> None:
        """Call no more moments of these schedules."""
        assert self._client is not None
        for one in ids:
            self._client.delete_schedule(one)

    def followed(self) -> set[str]:
        """Schedules whose moments are called."""
        assert self._client is not None
        return {one["schedule_name"] for one in self._client.list_schedules(workflow_name=TICK)}

    def fire(self, schedule_id: str, at: datetime) -> None:
        """Call one moment of a schedule, if it was not called before."""
        assert self._client is not None
        self._client.backfill_schedule(schedule_id, at - _BESIDE, at + _BESIDE)


@dataclass(frozen=True)
class Doing:
    """What a worker does: carries out jobs, queues those of a schedule's moment, delivers notices or gives one up."""

    carry_out: Callable[[str], None]
    tick: Callable[[str, datetime], None]
    deliver: Callable[[int], None]
    give_up: Callable[[int], None]


def work(url: str, executor: str, doing: Doing) -> None:
    """Take jobs from the queue in background threads, one at a time and one that is quick beside it, those first that
    this executor had before; call the moments of schedules, and send notices.
    """
    from dbos import DBOS, error

    DBOS(config={"name": APPLICATION, "system_database_url": url, "executor_id": executor,
                 "application_version": VERSION, "log_level": "ERROR", "sys_db_pool_size": 3, "run_migrations": False,
                 "scheduler_polling_interval_sec": LOOK_AT_SCHEDULES_S})

    @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=MOST_RECOVERIES)
    def one(job_id: str) -> None:
        doing.carry_out(job_id)

    @DBOS.step(name=TICK, retries_allowed=True, interval_seconds=TRY_AGAIN_S, max_attempts=TRIES, backoff_rate=2.0)
    def once(schedule: str, at: datetime) -> None:
        doing.tick(schedule, at)

    @DBOS.workflow(name=TICK, max_recovery_attempts=MOST_RECOVERIES)
    def moment(at: datetime, schedule: str) -> None:
        once(schedule, at)

    @DBOS.step(name=SEND, retries_allowed=True, interval_seconds=SEND_AGAIN_S, max_attempts=SENDS, backoff_rate=2.0)
    def deliver(notice_id: int) -> None:
        doing.deliver(notice_id)

    @DBOS.workflow(name=SEND, max_recovery_attempts=MOST_RECOVERIES)
    def send(notice_id: int) -> None:
        try:
            deliver(notice_id)
        except error.DBOSMaxStepRetriesExceeded:
            doing.give_up(notice_id)

    DBOS.launch()
    for lane in (QUEUE, QUICK):
        DBOS.register_queue(lane, worker_concurrency=1, polling_interval_sec=LOOK_EVERY_S)
    DBOS.register_queue(TICKS, polling_interval_sec=TICKS_EVERY_S)
    DBOS.register_queue(NOTICES, worker_concurrency=NOTICES_AT_ONCE, polling_interval_sec=TICKS_EVERY_S)
