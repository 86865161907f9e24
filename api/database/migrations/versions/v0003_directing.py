"""Which plan requests are directed by, and how clusters are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what is new."""
    op.create_table(
        "in_force",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("plan_id", sa.String, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "cluster_health",
        sa.Column("cluster", sa.String, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
    )
