"""Plans and their jobs in SQLite (write-ahead log), shared by the service and the planning processes.

A plan is queued, then running, then one of done, infeasible, failed or cancelled, and never changes after that. Every
write of a planning process carries its attempt, so one that was given up on cannot overwrite anything.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, Table, create_engine, event, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from api.tables import SCHEMA_VERSION, assignments, documents, machines, metadata, plans
from planner.plan import Plan, plan_text

Status = Literal["queued", "running", "done", "infeasible", "failed", "cancelled"]

_SUMMARY = [column for column in plans.columns if column.name not in ("clusters", "body_sha256", "idempotency_key")]


PlanRow = Row[*tuple[Any, ...]]
"""Columns of `plans`, by name."""


class IdempotencyConflictError(Exception):
    """The same key came with another body before; `plan_id` is what it made then."""

    def __init__(self, plan_id: str) -> None:
        super().__init__(plan_id)
        self.plan_id = plan_id


@dataclass(frozen=True)
class Submission:
    """A plan that is asked for: its settings, and its scenario as JSON or (None) by the name in the settings."""

    name: str
    request: Mapping[str, Any]
    scenario: str | None
    clusters: tuple[str, ...]
    body_sha256: str
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Job:
    """A plan to be made by one planning process."""

    plan_id: str
    attempt: int
    request: Mapping[str, Any]


class Store:
    """The database. Safe to use from several threads and processes."""

    def __init__(self, database: Path) -> None:
        """Open or make the database; the folder is there."""
        self._engine = _engine(database)

    def create(self) -> None:
        """Make the tables that are not there. Raises RuntimeError when the file is of a newer version."""
        with self._engine.begin() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version > SCHEMA_VERSION:
                raise RuntimeError(f"the store has version {version}, this program knows {SCHEMA_VERSION}: update it")
            metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def check(self) -> None:
        """Raise when the database does not answer."""
        with self._engine.connect() as connection:
            connection.execute(select(func.count()).select_from(plans))

    # Asking for plans -------------------------------------------------------------------------------------------------

    def submit(self, submission: Submission) -> str:
        """Queue a plan and give its id; the same key and body again give the id of the first time.

        Raises:
            IdempotencyConflictError: the key was used with another body.

        """
        plan_id = uuid.uuid4().hex
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    insert(plans).values(
                        id=plan_id,
                        name=submission.name,
                        status="queued",
                        created_at=_now(),
                        request=json.dumps(dict(submission.request)),
                        clusters=json.dumps(submission.clusters),
                        idempotency_key=submission.idempotency_key,
                        body_sha256=submission.body_sha256,
                    )
                )
                connection.execute(insert(documents).values(plan_id=plan_id, scenario=submission.scenario))
        except IntegrityError:
            earlier = self.find_key(submission.idempotency_key, submission.body_sha256)
            if earlier is None:
                raise
            return earlier
        return plan_id

    def find_key(self, key: str | None, body_sha256: str) -> str | None:
        """The plan that a key made before, None when it is new. Raises IdempotencyConflictError for another body."""
        if key is None:
            return None
        query = select(plans.c.id, plans.c.body_sha256).where(plans.c.idempotency_key == key)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        if row.body_sha256 != body_sha256:
            raise IdempotencyConflictError(row.id)
        return str(row.id)

    def cancel(self, plan_id: str) -> bool:
        """Cancel a plan that is queued or running; False when it had ended."""
        return self._end(plan_id, None, "cancelled", ("queued", "running"))

    # Working on them --------------------------------------------------------------------------------------------------

    def recover(self, max_attempts: int) -> int:
        """Queue again what was running when the service ended, and fail what was tried too often; how many queued."""
        given_up = f"the service ended while this plan was being made, {max_attempts} times"
        running = plans.c.status == "running"
        with self._engine.begin() as connection:
            connection.execute(
                update(plans)
                .where(running, plans.c.attempt >= max_attempts)
                .values(status="failed", finished_at=_now(), errors=json.dumps([given_up]))
            )
            return connection.execute(update(plans).where(running).values(status="queued")).rowcount

    def claim(self) -> Job | None:
        """The oldest queued plan, now running; None when none is waiting."""
        oldest = select(plans.c.seq).where(plans.c.status == "queued").order_by(plans.c.seq).limit(1)
        statement = (
            update(plans)
            .where(plans.c.seq == oldest.scalar_subquery(), plans.c.status == "queued")
            .values(status="running", attempt=plans.c.attempt + 1, started_at=_now())
            .returning(plans.c.id, plans.c.attempt, plans.c.request)
        )
        with self._engine.begin() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else Job(row.id, row.attempt, json.loads(row.request))

    def scenario(self, plan_id: str) -> str | None:
        """The scenario that came with a plan, as JSON; None when it is planned by name."""
        with self._engine.connect() as connection:
            return connection.execute(select(documents.c.scenario).where(documents.c.plan_id == plan_id)).scalar()

    def report(self, job: Job, progress: Mapping[str, float | str | None]) -> None:
        """Note how far a running plan is: seconds, objective, bound, gap, phase."""
        with self._engine.begin() as connection:
            connection.execute(update(plans).where(*_still(job)).values(**progress))

    def finish(self, job: Job, plan: Plan) -> bool:
        """Keep a plan, and what runs where in it; False when the job was cancelled or given up on meanwhile."""
        status: Status = "infeasible" if plan.status == "infeasible" else "done"
        with self._engine.begin() as connection:
            if not _end(connection, job.plan_id, job.attempt, status, ("running",)):
                return False
            document = update(documents).where(documents.c.plan_id == job.plan_id).values(plan=plan_text(plan))
            connection.execute(document)
            _insert_all(
                connection, assignments, job.plan_id, [unit.model_dump(by_alias=True) for unit in plan.assignments]
            )
            rows = [row.model_dump() | {"count": json.dumps(row.count)} for row in plan.machines]
            _insert_all(connection, machines, job.plan_id, rows)
        return True

    def fail(self, job: Job, errors: list[str]) -> bool:
        """End a running plan with the reasons why there is none."""
        return self._end(job.plan_id, job.attempt, "failed", ("running",), errors)

    def requeue(self, job: Job) -> None:
        """Put a running plan back, as if it had not been started."""
        with self._engine.begin() as connection:
            values = {"status": "queued", "attempt": job.attempt - 1}
            connection.execute(update(plans).where(*_still(job)).values(**values))

    def _end(
        self,
        plan_id: str,
        attempt: int | None,
        status: Status,
        before: tuple[Status, ...],
        errors: list[str] | None = None,
    ) -> bool:
        with self._engine.begin() as connection:
            return _end(connection, plan_id, attempt, status, before, errors)

    # Reading ----------------------------------------------------------------------------------------------------------

    def plans(self, limit: int, before: int | None) -> list[PlanRow]:
        """The newest plans first, those older than `before` (a `seq`) if given."""
        query = select(*_SUMMARY).order_by(plans.c.seq.desc()).limit(limit)
        if before is not None:
            query = query.where(plans.c.seq < before)
        with self._engine.connect() as connection:
            return list(connection.execute(query))

    def plan(self, plan_id: str) -> PlanRow | None:
        """One plan's state with its document, `plan` (JSON text) among the columns; None when there is no such plan."""
        query = select(*_SUMMARY, documents.c.plan).join(documents).where(plans.c.id == plan_id)
        with self._engine.connect() as connection:
            return connection.execute(query).one_or_none()

    def newest_done(self) -> str | None:
        """Id of the plan that was asked for last among those that are done."""
        query = select(plans.c.id).where(plans.c.status == "done").order_by(plans.c.seq.desc()).limit(1)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar()

    def clusters(self, plan_id: str) -> tuple[str, ...] | None:
        """Names of the clusters of a plan's scenario; None when there is no such plan."""
        with self._engine.connect() as connection:
            text = connection.execute(select(plans.c.clusters).where(plans.c.id == plan_id)).scalar()
        return None if text is None else tuple(json.loads(text))

    def assignments(
        self, plan_id: str, *, cluster: str | None = None, workload: str | None = None
    ) -> list[dict[str, Any]]:
        """Placed units of a plan, in the order of the plan, of one cluster or one workload."""
        query = select(*[column for column in assignments.columns if column.name != "plan_id"])
        query = query.where(assignments.c.plan_id == plan_id)
        if cluster is not None:
            query = query.where(assignments.c.cluster == cluster)
        if workload is not None:
            query = query.where(assignments.c.workload == workload)
        with self._engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name

    def workloads(self, plan_id: str) -> list[str]:
        """Names of the placed workloads of a plan."""
        query = select(assignments.c.workload).where(assignments.c.plan_id == plan_id).distinct()
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def machines(self, plan_id: str, cluster: str) -> list[dict[str, Any]]:
        """Machines of a cluster, slot by slot."""
        columns = (machines.c.pool, machines.c.purchase, machines.c.count)
        query = select(*columns).where(machines.c.plan_id == plan_id, machines.c.cluster == cluster)
        with self._engine.connect() as connection:
            found = connection.execute(query).all()
        return [{"pool": row[0], "purchase": row[1], "count": json.loads(row[2])} for row in found]


def _engine(database: Path) -> Engine:
    engine = create_engine(f"sqlite:///{database}", connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:  # noqa: ANN401 - whichever driver it is
        for setting in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {setting}")

    return engine


def _still(job: Job) -> tuple[Any, ...]:
    """The job is running, and this attempt of it."""
    return plans.c.id == job.plan_id, plans.c.attempt == job.attempt, plans.c.status == "running"


def _end(
    connection: Connection,
    plan_id: str,
    attempt: int | None,
    status: Status,
    before: tuple[Status, ...],
    errors: list[str] | None = None,
) -> bool:
    """Bring a plan to an end, if it is in one of the states before and still at this attempt."""
    statement = update(plans).where(plans.c.id == plan_id, plans.c.status.in_(before))
    if attempt is not None:
        statement = statement.where(plans.c.attempt == attempt)
    values = {"status": status, "finished_at": _now(), "errors": json.dumps(errors or [])}
    return connection.execute(statement.values(**values)).rowcount == 1


def _insert_all(connection: Connection, table: Table, plan_id: str, rows: list[dict[str, Any]]) -> None:
    """Insert rows of one plan; columns that the table does not have are left out."""
    names = set(table.columns.keys())
    if rows:
        kept = [{"plan_id": plan_id} | {name: value for name, value in row.items() if name in names} for row in rows]
        connection.execute(insert(table), kept)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
