"""What people say of alarms: seen, and right or wrong."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "alarm_seen",
        *(sa.Column(name, sa.String, primary_key=True) for name in ("tenant", "fingerprint", "since")),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    names = ("fingerprint", "since", "cluster", "metric")
    op.create_table(
        "alarm_feedback",
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("seq", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.String, nullable=False) for name in names),
        sa.Column("p", sa.Float, nullable=False),
        *(sa.Column(name, sa.String, nullable=False) for name in ("verdict", "by", "at")),
        sa.Column("note", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
