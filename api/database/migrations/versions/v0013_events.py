"""What happened that people may want to be told of, and what they were told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add what is new."""
    op.create_table(
        "events",
        sa.Column("seq", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("tenant", "at", "about", "severity", "subject")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("title", "text", "fields")),
        sa.Column("resolved", sa.Boolean, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("scope", sa.String),
        sa.Column("passed_on", sa.Boolean, nullable=False),
        sa.Index("events_by_scope", "tenant", "scope", "seq"),
        sa.Index("events_waiting", "passed_on", "seq"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "notices",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("event", sa.Integer, sa.ForeignKey("events.seq"), nullable=False),
        *(sa.Column(name, sa.String, nullable=False) for name in ("channel", "fingerprint")),
        sa.Column("resolved", sa.Boolean, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.String, nullable=False),
        *(sa.Column(name, sa.String) for name in ("not_before", "sent_at")),
        sa.Index("notices_told", "tenant", "channel", "fingerprint", "seq"),
        sqlite_autoincrement=True,
    )
