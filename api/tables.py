"""The tables of the store as this version reads them; `api.migrations` brings older ones there.

What is a tenant's own has a column `tenant`, which `api.tenancy` looks after: no other code reads or writes it.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()
jobs = Table(
    "jobs",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("tenant", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("status", String, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attempt", Integer, nullable=False, default=0),
    Column("created_at", String, nullable=False),
    Column("started_at", String),
    Column("finished_at", String),
    Column("request", Text, nullable=False),
    Column("clusters", Text, nullable=False),
    Column("seconds", Float),
    Column("objective", Float),
    Column("bound", Float),
    Column("gap", Float),
    Column("share", Float),
    Column("phase", String),
    Column("errors", Text, nullable=False, default="[]"),
    Column("idempotency_key", String),
    Column("body_sha256", String, nullable=False),
    Index("jobs_by_status", "tenant", "status", "seq"),
    Index("jobs_by_kind", "tenant", "kind", "seq"),
    Index("jobs_by_key", "tenant", "idempotency_key", unique=True),
    sqlite_autoincrement=True,
)
documents = Table(
    "documents",
    metadata,
    Column("tenant", String, nullable=False),
    Column("job_id", ForeignKey("jobs.id"), primary_key=True),
    Column("given", Text),
    Column("result", Text),
)
files = Table(
    "files",
    metadata,
    Column("tenant", String, nullable=False),
    Column("job_id", ForeignKey("jobs.id"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("media_type", String, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
assignments = Table(
    "assignments",
    metadata,
    Column("tenant", String, nullable=False),
    Column("plan_id", ForeignKey("jobs.id"), nullable=False),
    Column("workload", String, nullable=False),
    Column("user_region", String),
    Column("copy", Integer, nullable=False),
    Column("part", Integer, nullable=False),
    Column("cluster", String, nullable=False),
    Column("pool", String, nullable=False),
    Column("start_slot", Integer),
    Index("assignments_by_cluster", "plan_id", "cluster"),
    Index("assignments_by_workload", "plan_id", "workload"),
)
machines = Table(
    "machines",
    metadata,
    Column("tenant", String, nullable=False),
    Column("plan_id", ForeignKey("jobs.id"), nullable=False),
    Column("cluster", String, nullable=False),
    Column("pool", String, nullable=False),
    Column("purchase", String, nullable=False),
    Column("count", Text, nullable=False),
    Index("machines_by_cluster", "plan_id", "cluster"),
)
workers = Table(
    "workers",
    metadata,
    Column("executor", String, primary_key=True),
    Column("seen_at", Float, nullable=False),
)
in_force = Table(
    "in_force",
    metadata,
    Column("tenant", String, nullable=False),
    Column("seq", Integer, primary_key=True),
    Column("plan_id", ForeignKey("jobs.id"), nullable=False),
    Column("at", String, nullable=False),
    sqlite_autoincrement=True,
)
cluster_health = Table(
    "cluster_health",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("cluster", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("content", Text, nullable=False),
)
schedules = Table(
    "schedules",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("cron", String, nullable=False),
    Column("origin", String, nullable=False),
    Column("created_at", String, nullable=False),
    Column("request", Text, nullable=False),
    Column("submission", Text, nullable=False),
    Index("schedules_by_name", "tenant", "name", unique=True),
)
ticks = Table(
    "ticks",
    metadata,
    Column("tenant", String, nullable=False),
    Column("schedule", ForeignKey("schedules.id", ondelete="CASCADE"), primary_key=True),
    Column("at", String, primary_key=True),
    Column("job_id", ForeignKey("jobs.id")),
)
alarm_seen = Table(
    "alarm_seen",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("fingerprint", String, primary_key=True),
    Column("since", String, primary_key=True),
    Column("by", String, nullable=False),
    Column("at", String, nullable=False),
    Column("note", Text, nullable=False),
)
alarm_feedback = Table(
    "alarm_feedback",
    metadata,
    Column("tenant", String, nullable=False),
    Column("seq", Integer, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("since", String, nullable=False),
    Column("cluster", String, nullable=False),
    Column("metric", String, nullable=False),
    Column("p", Float, nullable=False),
    Column("verdict", String, nullable=False),
    Column("by", String, nullable=False),
    Column("at", String, nullable=False),
    Column("note", Text, nullable=False),
    sqlite_autoincrement=True,
)
hosts = Table(
    "hosts",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("host", String, primary_key=True),
    Column("cluster", String, nullable=False),
    Column("until", Float, nullable=False),
)
leases = Table(
    "leases",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("workload", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("epoch", Integer, nullable=False),
)
streams = Table(
    "telemetry_streams",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("cluster", String, primary_key=True),
    Column("hardware_class", String, nullable=False),
    Column("country", String, nullable=False),
    Column("opted_in", Integer, nullable=False),
    Column("last", Integer, nullable=False),
)
stream_rows = Table(
    "telemetry_rows",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("cluster", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("ts", Integer, nullable=False),
    Column("arrived_at", Float, nullable=False),
    Column("content", Text, nullable=False),
    UniqueConstraint("tenant", "cluster", "ts", name="telemetry_rows_once"),
)
cursors = Table(
    "cursors",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("workload", String, primary_key=True),
    Column("cluster", String, primary_key=True),
    Column("number", Integer, nullable=False),
)
verdicts = Table(
    "verdicts",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("cluster", String, primary_key=True),
    Column("ts", Integer, primary_key=True, autoincrement=False),
    Column("model_version", String, primary_key=True),
    Column("status", String, nullable=False),
    Column("score", Float),
    Column("threshold", Float, nullable=False),
    Column("alarms", Text, nullable=False),
    Column("workload", String, nullable=False),
    Column("host", String, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
)
drifts = Table(
    "drifts",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("cluster", String, primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("metric", String, primary_key=True),
    Column("statistic", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("p", Float, nullable=False),
    Column("drifted", Integer, nullable=False),
    Column("host", String, nullable=False),
)
keys = Table(
    "keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("name", String, nullable=False),
    Column("roles", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("created_at", String, nullable=False),
    Column("expires_at", String),
    Column("revoked_at", String),
    Column("version", Integer, nullable=False),
    Index("keys_by_version", "version"),
)
audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("at", String, nullable=False),
    Column("caller", String, nullable=False),
    Column("action", String, nullable=False),
    Column("target", String, nullable=False),
    Column("result", String, nullable=False),
    Column("request_id", String, nullable=False),
    Index("audit_by_tenant", "tenant", "seq"),
    sqlite_autoincrement=True,
)
