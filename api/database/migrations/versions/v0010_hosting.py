"""Hosts of diagnostics, who serves what, the telemetry they read and what they say of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0006"


def upgrade() -> None:
    """Add what is new."""
    op.create_table("hosts", *_keys("tenant", "host"), sa.Column("cluster", sa.String, nullable=False),
                    sa.Column("until", sa.Float, nullable=False))
    op.create_table("leases", *_keys("tenant", "workload"), sa.Column("holder", sa.String, nullable=False),
                    sa.Column("epoch", sa.Integer, nullable=False))
    op.create_table("telemetry_streams", *_keys("tenant", "cluster"),
                    *(sa.Column(name, sa.String, nullable=False) for name in ("hardware_class", "country")),
                    sa.Column("opted_in", sa.Integer, nullable=False), sa.Column("last", sa.Integer, nullable=False))
    op.create_table("telemetry_rows", *_keys("tenant", "cluster"), _number_key("number"),
                    sa.Column("ts", sa.Integer, nullable=False), sa.Column("arrived_at", sa.Float, nullable=False),
                    sa.Column("content", sa.Text, nullable=False),
                    sa.UniqueConstraint("tenant", "cluster", "ts", name="telemetry_rows_once"))
    op.create_table("cursors", *_keys("tenant", "workload", "cluster"),
                    sa.Column("number", sa.Integer, nullable=False))
    op.create_table("verdicts", *_keys("tenant", "cluster"), _number_key("ts"), *_keys("model_version"),
                    sa.Column("status", sa.String, nullable=False), sa.Column("score", sa.Float),
                    sa.Column("threshold", sa.Float, nullable=False), sa.Column("alarms", sa.Text, nullable=False),
                    sa.Column("workload", sa.String, nullable=False), sa.Column("host", sa.String, nullable=False),
                    sa.Column("epoch", sa.Integer, nullable=False), sa.Column("seconds", sa.Float, nullable=False))
    op.create_table("drifts", *_keys("tenant", "cluster"), _number_key("day"), *_keys("metric"),
                    *(sa.Column(name, sa.Float, nullable=False) for name in ("statistic", "threshold", "p")),
                    sa.Column("drifted", sa.Integer, nullable=False), sa.Column("host", sa.String, nullable=False))


def _keys(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String, primary_key=True) for name in names]


def _number_key(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, primary_key=True, autoincrement=False)
