"""Sessions of browsers that have signed in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add what is new."""
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("key_id", sa.String, sa.ForeignKey("keys.id"), nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.Index("sessions_by_key", "key_id", "until"),
    )
