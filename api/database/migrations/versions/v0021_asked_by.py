"""A job says which schedule asked for it, also when that is no more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the column; of jobs of schedules that were removed before, nobody knows."""
    op.add_column("jobs", sa.Column("schedule", sa.String))
    op.execute("UPDATE jobs SET schedule = (SELECT ticks.schedule FROM ticks WHERE ticks.job_id = jobs.id)")
