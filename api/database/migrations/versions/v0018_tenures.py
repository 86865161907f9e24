"""Who served what from when to when, by which plan."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the table; of before nobody knows."""
    op.create_table(
        "tenures",
        *(sa.Column(name, sa.String, primary_key=True) for name in ("tenant", "workload")),
        sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.String, nullable=False) for name in ("host", "cluster", "plan_id")),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("until", sa.Float),
    )
