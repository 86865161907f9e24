"""What became of every step of retraining, and which version is tried on which cluster."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add what is new."""
    op.create_table(
        "loop_steps",
        *(sa.Column(name, sa.String, primary_key=True) for name in ("tenant", "run", "step")),
        *(sa.Column(name, sa.String, nullable=False) for name in ("workload", "hardware_class")),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_table(
        "rollouts",
        *(sa.Column(name, sa.String, primary_key=True) for name in ("tenant", "hardware_class")),
        *(sa.Column(name, sa.String, nullable=False) for name in ("run", "version", "cluster")),
        sa.Column("at", sa.Float, nullable=False),
    )
