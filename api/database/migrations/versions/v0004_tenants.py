"""Rows belong to tenants: what there was, to the tenant `default`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_OWNED = ("documents", "files", "assignments", "machines", "in_force")


def upgrade() -> None:
    """Add the column; keys of requests and reports of clusters are told apart by it."""
    for table in _OWNED:
        op.add_column(table, _whose())
    op.drop_index("jobs_by_status", "jobs")
    op.drop_index("jobs_by_kind", "jobs")
    _free_keys()
    op.add_column("jobs", _whose())
    op.create_index("jobs_by_status", "jobs", ["tenant", "status", "seq"])
    op.create_index("jobs_by_kind", "jobs", ["tenant", "kind", "seq"])
    op.create_index("jobs_by_key", "jobs", ["tenant", "idempotency_key"], unique=True)
    op.create_table(
        "cluster_health_of",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("cluster", sa.String, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
    )
    op.execute("INSERT INTO cluster_health_of SELECT 'default', cluster, version, content FROM cluster_health")
    op.drop_table("cluster_health")
    op.rename_table("cluster_health_of", "cluster_health")


def _whose() -> sa.Column[str]:
    return sa.Column("tenant", sa.String, nullable=False, server_default="default")


def _free_keys() -> None:
    """Let two tenants use the same key."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":  # which cannot drop the condition: the table is written anew
        named = {"uq": "uq_%(table_name)s_%(column_0_name)s"}
        with op.batch_alter_table("jobs", recreate="always", naming_convention=named,
                                  table_kwargs={"sqlite_autoincrement": True}) as batch:
            batch.drop_constraint("uq_jobs_idempotency_key", "unique")
        return
    for constraint in sa.inspect(connection).get_unique_constraints("jobs"):
        if constraint["column_names"] == ["idempotency_key"]:
            op.drop_constraint(str(constraint["name"]), "jobs", type_="unique")
