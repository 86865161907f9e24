"""Jobs and what they made in SQLite or PostgreSQL, shared by the service, its workers and the jobs' processes.

A job is queued, then running, then one of done, infeasible, failed or cancelled, and never changes after that. Every
write of a job's process carries its attempt, so one that was given up on cannot overwrite anything.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection, Iterable, Mapping
from copy import copy
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from api.database.bell import ring
from api.database.engine import engine_of
from api.database.events import Event, Findings, note, note_findings
from api.database.recording import Acting, about, acting
from api.database.tables import documents, files, jobs, life_cycles, workers
from api.database.tenancy import EVERYONE, of_tenant
from api.database.times import written
from api.life_cycle.lives import begin_life
from api.life_cycle.shadows import Shadows
from api.life_cycle.steps import State
from api.store.files import LOG, TEXT
from api.store.jobs import IdempotencyConflictError, Job, JobRow, Kind, Putting, Status, Submission
from api.store.placements import place
from api.store.rows import insert_all
from planner.plan import Plan, plan_text

_UNSEEN = ("tenant", "clusters", "body_sha256", "idempotency_key", "schedule")
_SUMMARY = [column for column in jobs.columns if column.name not in _UNSEEN]
_JOB = select(*_SUMMARY).where(jobs.c.id == bindparam("job_id"))
_JOB_OF_KIND = _JOB.where(jobs.c.kind == bindparam("of_kind"))
_JOBS = select(*_SUMMARY).where(jobs.c.id.in_(bindparam("job_ids", expanding=True)))
_ADD_JOB, _ADD_DOCUMENT = insert(jobs), insert(documents)
"""Asked so often that they are made once."""


class Store:
    """The database, which is up to date (`upgrade`), with the rows of all tenants; `of` gives that of one, and only
    through that is anything added. Safe to use from several threads and processes.
    """

    def __init__(self, url: str, queue: Putting | None = None) -> None:
        """Open it; only who puts jobs into the `queue` needs one."""
        self._engine, self._queue = of_tenant(engine_of(url), EVERYONE), queue

    def of(self, tenant: str) -> Store:
        """The same store as a tenant sees it: nothing of others is there, and what is added is the tenant's."""
        bound = copy(self)
        bound._engine = of_tenant(self._engine, tenant)  # noqa: SLF001 - our own
        return bound

    def acting(self, request: Acting) -> Store:
        """The same store for what a request does, which is recorded."""
        bound = copy(self)
        bound._engine = acting(self._engine, request)  # noqa: SLF001 - our own
        return bound

    @classmethod
    def on(cls, engine: Engine) -> Store:
        """The store behind an engine that somebody else opened and closes, for the tenant that it is for."""
        bound = cls.__new__(cls)
        bound._engine, bound._queue = engine, None  # noqa: SLF001 - our own
        return bound
    def _owner(self, tenant: str) -> Store:
        """The tenant's store, where this is everyone's: only there anything may be added."""
        return self.of(tenant) if self._engine.get_execution_options()["tenant"] == EVERYONE else self

    @property
    def engine(self) -> Engine:
        """For what keeps its own tables in the same database."""
        return self._engine

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def check(self) -> None:
        """Raise when the database does not answer."""
        with self._engine.connect() as connection:
            connection.execute(select(func.count()).select_from(workers))

    # Asking for jobs --------------------------------------------------------------------------------------------------

    def submit(self, submission: Submission) -> str:
        """Queue a job and give its id; the same key and body again give the id of the first time.

        Raises:
            IdempotencyConflictError: the key was used with another body.

        """
        try:
            with self._engine.begin() as connection:
                return self.put(connection, submission)
        except IntegrityError:
            earlier = self.find_key(submission.idempotency_key, submission.body_sha256)
            if earlier is None:
                raise
            return earlier

    def put(self, connection: Connection, submission: Submission) -> str:
        """Queue a job within a transaction of this database, and give its id."""
        assert self._queue is not None
        job_id = uuid.uuid4().hex
        about(connection, f"/v1/jobs/{job_id}")
        connection.execute(_ADD_JOB, {
            "id": job_id,
            "kind": submission.kind,
            "name": submission.name,
            "status": "queued",
            "priority": submission.priority,
            "created_at": _now(),
            "request": json.dumps(dict(submission.request)),
            "clusters": json.dumps(submission.clusters),
            "idempotency_key": submission.idempotency_key,
            "body_sha256": submission.body_sha256,
            "schedule": submission.schedule,
        })
        connection.execute(_ADD_DOCUMENT, {"job_id": job_id, "given": submission.given})
        if submission.file is not None:
            name, media_type, content = submission.file
            row = {"job_id": job_id, "name": name, "media_type": media_type, "content": content}
            connection.execute(insert(files).values(**row))
        self._queue.put(connection, job_id, submission.priority, quick=submission.quick)
        return job_id

    def find_key(self, key: str | None, body_sha256: str) -> str | None:
        """The job that a key made before, None when it is new. Raises IdempotencyConflictError for another body."""
        if key is None:
            return None
        query = select(jobs.c.id, jobs.c.body_sha256).where(jobs.c.idempotency_key == key)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        if row.body_sha256 != body_sha256:
            raise IdempotencyConflictError(row.id)
        return str(row.id)

    def cancel(self, job_id: str) -> bool:
        """Cancel a job that is queued or running; False when it had ended."""
        return self._end(job_id, None, "cancelled", ("queued", "running"))

    # Working on them --------------------------------------------------------------------------------------------------

    def begin(self, job_id: str, max_attempts: int) -> Job | None:
        """The job, running now; None when it has ended, or ends because it was tried so often before."""
        open_ = jobs.c.id == job_id, jobs.c.status.in_(("queued", "running"))
        with self._engine.connect() as connection:
            tried = connection.execute(select(jobs.c.tenant, jobs.c.attempt).where(*open_)).one_or_none()
        if tried is not None and tried.attempt >= max_attempts:
            given_up = f"the service ended while this was being done, {max_attempts} times"
            owner = self._owner(tried.tenant)
            owner._end(job_id, tried.attempt, "failed", ("queued", "running"), [given_up])  # noqa: SLF001 - our own
        with self._engine.begin() as connection:
            started = {"status": "running", "attempt": jobs.c.attempt + 1, "started_at": _now()}
            kept = (jobs.c.id, jobs.c.tenant, jobs.c.kind, jobs.c.attempt, jobs.c.request)
            row = connection.execute(update(jobs).where(*open_).values(**started).returning(*kept)).one_or_none()
        return None if row is None else Job(row.id, row.tenant, row.kind, row.attempt, json.loads(row.request))

    def goes_on(self, job: Job) -> bool:
        """Whether the job is still running, and this attempt of it."""
        with self._engine.connect() as connection:
            return connection.execute(select(jobs.c.seq).where(*_still(job))).scalar() is not None

    def given(self, job_id: str) -> str | None:
        """What came with a job as text: of a plan its scenario as JSON; None when it is planned by name."""
        with self._engine.connect() as connection:
            return connection.execute(select(documents.c.given).where(documents.c.job_id == job_id)).scalar()

    def report(self, job: Job, progress: Mapping[str, float | str | None]) -> None:
        """Note how far a running job is: seconds, objective, bound, gap, share, phase."""
        with self._engine.begin() as connection:
            connection.execute(update(jobs).where(*_still(job)).values(**progress))

    def about(self, job: Job, clusters: Iterable[str], request: Mapping[str, Any]) -> None:
        """Note the scenario as the job reads it, by its version and clusters: it may have changed since the job was
        asked for.
        """
        with self._engine.begin() as connection:
            found = {"clusters": json.dumps(list(clusters)), "request": json.dumps(dict(request))}
            connection.execute(update(jobs).where(*_still(job)).values(**found))

    def finish(self, job: Job, result: str, made: Mapping[str, tuple[str, bytes]], found: Findings | None = None
               ) -> bool:
        """Keep what a job made: a document (JSON text) and files by name (type and content), and what it found that
        people may want to be told of.

        False when it was cancelled or given up on meanwhile.
        """
        with self._engine.begin() as connection:
            if not self._keep(connection, job, "done", result, made):
                return False
            if found is not None:
                note_findings(connection, found)
        return True

    def finish_plan(self, job: Job, plan: Plan, made: Mapping[str, tuple[str, bytes]]) -> bool:
        """The same for a plan, and what runs where in it."""
        status: Status = "done" if plan.exists else "infeasible"
        with self._engine.begin() as connection:
            if not self._keep(connection, job, status, plan_text(plan), made):
                return False
            reached = plan.sla_attainment if plan.mode == "max_sla" else plan.cost_usd
            connection.execute(update(jobs).where(jobs.c.id == job.id).values(
                objective=reached if status == "done" else None, bound=plan.bound, gap=plan.gap, phase="ended"))
            place(connection, plan, job.id)
            if plan.exists:
                begin_life(connection, job.id, plan)
            if plan.lacks:
                note(connection, Event("plan", "warning", f"plan {job.id}", f"plan {job.id} of {plan.name} "
                                       f"does not keep all it must", "; ".join(plan.lacks), fields={"job": job.id}))
            ring(connection)
        return True

    @staticmethod
    def _keep(connection: Connection, job: Job, status: Status, result: str,
              made: Mapping[str, tuple[str, bytes]]) -> bool:
        if not _end(connection, job.id, job.attempt, status, ("running",)):
            return False
        connection.execute(update(documents).where(documents.c.job_id == job.id).values(result=result))
        rows = [{"name": name, "media_type": kind, "content": content} for name, (kind, content) in made.items()]
        insert_all(connection, files, "job_id", job.id, rows)
        return True

    def fail(self, job: Job, errors: list[str]) -> bool:
        """End a running job with the reasons why nothing came of it."""
        return self._owner(job.tenant)._end(job.id, job.attempt, "failed", ("running",), errors)  # noqa: SLF001 - our own

    def keep_log(self, job: Job, text: bytes) -> None:
        """Keep what a job has printed so far, in place of what was kept of it before."""
        mine = files.c.job_id == job.id, files.c.name == LOG
        with self._owner(job.tenant).engine.begin() as connection:
            if connection.execute(update(files).where(*mine).values(content=text)).rowcount == 0:
                row = {"job_id": job.id, "name": LOG, "media_type": TEXT, "content": text}
                connection.execute(insert(files).values(**row))

    def requeue(self, job: Job) -> None:
        """Put a running job back, as if it had not been started."""
        with self._engine.begin() as connection:
            values = {"status": "queued", "attempt": job.attempt - 1}
            connection.execute(update(jobs).where(*_still(job)).values(**values))

    def _end(
        self,
        job_id: str,
        attempt: int | None,
        status: Status,
        before: tuple[Status, ...],
        errors: list[str] | None = None,
    ) -> bool:
        with self._engine.begin() as connection:
            return _end(connection, job_id, attempt, status, before, errors)

    # Workers ----------------------------------------------------------------------------------------------------------

    def seen(self, executors: list[str]) -> None:
        """Note that these workers live."""
        with self._engine.begin() as connection:
            connection.execute(delete(workers).where(workers.c.executor.in_(executors)))
            now = time.time()
            connection.execute(insert(workers), [{"executor": name, "seen_at": now} for name in executors])

    def living(self, within_s: float) -> list[str]:
        """Workers that were seen within so many seconds."""
        query = select(workers.c.executor).where(workers.c.seen_at > time.time() - within_s)
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    # Reading ----------------------------------------------------------------------------------------------------------

    def jobs(self, kind: Kind | None, limit: int, before: int | None, status: Status | None = None,
             name: str | None = None, since: datetime | None = None, state: State | None = None) -> list[JobRow]:
        """The newest first, those older than `before` (a `seq`) if given; of one kind, status or name, asked for since
        then, and plans whose life is in one state, if given.
        """
        query = select(*_SUMMARY).order_by(jobs.c.seq.desc()).limit(limit)
        for column, value in ((jobs.c.kind, kind), (jobs.c.status, status), (jobs.c.name, name)):
            if value is not None:
                query = query.where(column == value)
        if since is not None:
            query = query.where(jobs.c.created_at >= written(since))
        if state is not None:
            query = query.join(life_cycles).where(life_cycles.c.state == state)
        if before is not None:
            query = query.where(jobs.c.seq < before)
        with self._engine.connect() as connection:
            return list(connection.execute(query))

    def reports(self, plan_id: str, last: str | None = None) -> list[JobRow]:
        """Jobs that take in what came of a plan, the oldest first, up to one of them if given; none that failed."""
        mine = jobs.c.kind == "judgement", jobs.c.name == plan_id, jobs.c.status.not_in(("failed", "cancelled"))
        with self._engine.connect() as connection:
            rows = list(connection.execute(select(*_SUMMARY).where(*mine).order_by(jobs.c.seq)))
        ids = [row.id for row in rows]
        return rows if last is None else rows[:ids.index(last) + 1]

    def job(self, job_id: str, kind: Kind | None = None) -> JobRow | None:
        """One job's state; None when there is none, or one of another kind."""
        query = _JOB if kind is None else _JOB_OF_KIND
        with self._engine.connect() as connection:
            return connection.execute(query, {"job_id": job_id, "of_kind": kind}).one_or_none()

    def jobs_by_id(self, job_ids: Collection[str]) -> dict[str, JobRow]:
        """The states of jobs, of those that there are."""
        with self._engine.connect() as connection:
            return {row.id: row for row in connection.execute(_JOBS, {"job_ids": list(job_ids)})}

    def result(self, job_id: str) -> str | None:
        """What a job made, as JSON text; None until it has."""
        with self._engine.connect() as connection:
            return connection.execute(select(documents.c.result).where(documents.c.job_id == job_id)).scalar()

    def file(self, job_id: str, name: str) -> tuple[str, bytes] | None:
        """Type and content of a file of a job; None when there is none of that name."""
        query = select(files.c.media_type, files.c.content).where(files.c.job_id == job_id, files.c.name == name)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else (row.media_type, bytes(row.content))

    def counts(self) -> dict[tuple[str, str], int]:
        """How many jobs there are of each kind in each state."""
        query = select(jobs.c.kind, jobs.c.status, func.count()).group_by(jobs.c.kind, jobs.c.status)
        with self._engine.connect() as connection:
            return {(row[0], row[1]): row[2] for row in connection.execute(query)}

    def oldest_queued(self) -> str | None:
        """When the job was asked for that waits longest; None when none waits."""
        query = select(func.min(jobs.c.created_at)).where(jobs.c.status == "queued")
        with self._engine.connect() as connection:
            return connection.execute(query).scalar()

    def newest_done(self) -> str | None:
        """Id of the plan that was asked for last among those that are done and not of a shadow."""
        done = jobs.c.kind == "plan", jobs.c.status == "done", jobs.c.name.not_in(Shadows(self._engine).names())
        query = select(jobs.c.id).where(*done).order_by(jobs.c.seq.desc()).limit(1)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar()

    def clusters(self, plan_id: str) -> tuple[str, ...] | None:
        """Names of the clusters of a plan's scenario; None when there is no such plan."""
        with self._engine.connect() as connection:
            text = connection.execute(select(jobs.c.clusters).where(jobs.c.id == plan_id)).scalar()
        return None if text is None else tuple(json.loads(text))

def _still(job: Job) -> tuple[Any, ...]:
    """The job is running, and this attempt of it."""
    return jobs.c.id == job.id, jobs.c.attempt == job.attempt, jobs.c.status == "running"


def _end(
    connection: Connection,
    job_id: str,
    attempt: int | None,
    status: Status,
    before: tuple[Status, ...],
    errors: list[str] | None = None,
) -> bool:
    """Bring a job to an end, if it is in one of the states before and still at this attempt; who failed is told of."""
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.status.in_(before))
    if attempt is not None:
        statement = statement.where(jobs.c.attempt == attempt)
    values = {"status": status, "finished_at": _now(), "errors": json.dumps(errors or [])}
    ended = connection.execute(statement.values(**values).returning(jobs.c.kind, jobs.c.name)).one_or_none()
    if ended is None:
        return False
    if status in ("failed", "infeasible"):
        what = "failed" if status == "failed" else "is not possible"
        note(connection, Event("job", "warning", f"{ended.kind} {ended.name}", f"{ended.kind} of {ended.name} {what}",
                               "\n".join(errors or []), fields={"job": job_id}))
    return True


def _now() -> str:
    return written(datetime.now(UTC))
