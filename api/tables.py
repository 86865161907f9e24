"""The tables of the store."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

SCHEMA_VERSION = 1

metadata = MetaData()
plans = Table(
    "plans",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("status", String, nullable=False),
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
    Column("phase", String),
    Column("errors", Text, nullable=False, default="[]"),
    Column("idempotency_key", String, unique=True),
    Column("body_sha256", String, nullable=False),
    Index("plans_by_status", "status", "seq"),
    sqlite_autoincrement=True,
)
documents = Table(
    "documents",
    metadata,
    Column("plan_id", ForeignKey("plans.id"), primary_key=True),
    Column("scenario", Text),
    Column("plan", Text),
)
assignments = Table(
    "assignments",
    metadata,
    Column("plan_id", ForeignKey("plans.id"), nullable=False),
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
    Column("plan_id", ForeignKey("plans.id"), nullable=False),
    Column("cluster", String, nullable=False),
    Column("pool", String, nullable=False),
    Column("purchase", String, nullable=False),
    Column("count", Text, nullable=False),
    Index("machines_by_cluster", "plan_id", "cluster"),
)
