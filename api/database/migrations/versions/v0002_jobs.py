"""Plans become one kind of job among others; files of jobs and the workers that carry them out are kept too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Rename, and add what is new. Plans that were waiting or running are to be asked for again."""
    op.drop_index("plans_by_status", "plans")
    op.rename_table("plans", "jobs")
    op.add_column("jobs", sa.Column("kind", sa.String, nullable=False, server_default="plan"))
    op.add_column("jobs", sa.Column("priority", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("share", sa.Float))
    op.create_index("jobs_by_status", "jobs", ["status", "seq"])
    op.create_index("jobs_by_kind", "jobs", ["kind", "seq"])
    for old, new in (("plan_id", "job_id"), ("scenario", "given"), ("plan", "result")):
        op.alter_column("documents", old, new_column_name=new)
    op.create_table(
        "files",
        sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("media_type", sa.String, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "workers",
        sa.Column("executor", sa.String, primary_key=True),
        sa.Column("seen_at", sa.Float, nullable=False),
    )
    unfinished = '["it was waiting or running when the service was updated: ask for it again"]'
    op.execute(sa.text("UPDATE jobs SET status = 'failed', errors = :why WHERE status IN ('queued', 'running')")
               .bindparams(why=unfinished))
