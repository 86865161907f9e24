"""Scenarios that were sent to the service, version by version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add what is new."""
    op.create_table(
        "scenario_versions",
        sa.Column("seq", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("tenant", "name", "version", "at", "by")),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("media_type", sa.String, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("bytes", "clusters", "workloads", "slots")),
        *(sa.Column(name, sa.String) for name in ("retired_at", "retired_by")),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Index("scenario_versions_once", "tenant", "name", "version", unique=True),
        sqlite_autoincrement=True,
    )
