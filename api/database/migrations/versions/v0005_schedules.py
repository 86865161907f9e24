"""Schedules, and which job each of their moments made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add what is new."""
    op.create_table(
        "schedules",
        sa.Column("id", sa.String, primary_key=True),
        *(sa.Column(name, sa.String, nullable=False)
          for name in ("tenant", "name", "kind", "cron", "origin", "created_at")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("request", "submission")),
        sa.Index("schedules_by_name", "tenant", "name", unique=True),
    )
    op.create_table(
        "ticks",
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("schedule", sa.String, sa.ForeignKey("schedules.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("at", sa.String, primary_key=True),
        sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id")),
    )
