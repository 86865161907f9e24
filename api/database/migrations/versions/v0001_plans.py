"""Plans, what runs where in them, and their machines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "plans",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        *(sa.Column(name, sa.String, nullable=name != "created_at")
          for name in ("created_at", "started_at", "finished_at")),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("clusters", sa.Text, nullable=False),
        *(sa.Column(name, sa.Float) for name in ("seconds", "objective", "bound", "gap")),
        sa.Column("phase", sa.String),
        sa.Column("errors", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.String, unique=True),
        sa.Column("body_sha256", sa.String, nullable=False),
        sa.Index("plans_by_status", "status", "seq"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "documents",
        sa.Column("plan_id", sa.String, sa.ForeignKey("plans.id"), primary_key=True),
        sa.Column("scenario", sa.Text),
        sa.Column("plan", sa.Text),
    )
    op.create_table(
        "assignments",
        sa.Column("plan_id", sa.String, sa.ForeignKey("plans.id"), nullable=False),
        sa.Column("workload", sa.String, nullable=False),
        sa.Column("user_region", sa.String),
        sa.Column("copy", sa.Integer, nullable=False),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("cluster", sa.String, nullable=False),
        sa.Column("pool", sa.String, nullable=False),
        sa.Column("start_slot", sa.Integer),
        sa.Index("assignments_by_cluster", "plan_id", "cluster"),
        sa.Index("assignments_by_workload", "plan_id", "workload"),
    )
    op.create_table(
        "machines",
        sa.Column("plan_id", sa.String, sa.ForeignKey("plans.id"), nullable=False),
        sa.Column("cluster", sa.String, nullable=False),
        sa.Column("pool", sa.String, nullable=False),
        sa.Column("purchase", sa.String, nullable=False),
        sa.Column("count", sa.Text, nullable=False),
        sa.Index("machines_by_cluster", "plan_id", "cluster"),
    )
