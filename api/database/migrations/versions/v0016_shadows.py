"""Scenarios whose plans are never applied."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add what is new."""
    op.create_table(
        "shadows",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("scenario", sa.String, primary_key=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("at", "by")),
        sa.Column("why", sa.Text, nullable=False),
    )
