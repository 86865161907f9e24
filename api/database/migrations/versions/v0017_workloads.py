"""What is said of alarms of workloads names the workload."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the column; what there was is about clusters."""
    op.add_column("alarm_feedback", sa.Column("workload", sa.String, nullable=False, server_default=""))
