"""What becomes of plans: their states and the history of these. Plans that are done start as drafts."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_MANY = 100


def upgrade() -> None:
    """Add what is new; the plan that requests are directed by is in force, those before it are retired."""
    lives = op.create_table(
        "life_cycles",
        sa.Column("plan_id", sa.String, sa.ForeignKey("jobs.id"), primary_key=True),
        _whose(),
        sa.Column("scenario", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("content_id", sa.String, nullable=False),
        sa.Column("parent", sa.String),
        sa.Column("valid_until", sa.String, nullable=False),
        sa.Column("moves", sa.Text, nullable=False),
        sa.Column("waves_done", sa.Integer, nullable=False),
        sa.Column("made", sa.Text, nullable=False),
        sa.Column("predecessor", sa.String),
        sa.Column("verification", sa.Text),
        sa.Index("life_cycles_by_scenario", "tenant", "scenario", "state"),
    )
    for state in ("in_force", "applying"):
        only = sa.text(f"state = '{state}'")  # no two services can make it two
        op.create_index(f"one_{state}", "life_cycles", ["tenant", "scenario"], unique=True, sqlite_where=only,
                        postgresql_where=only)
    op.create_table(
        "life_events",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("plan_id", sa.String, sa.ForeignKey("jobs.id"), nullable=False),
        _whose(),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("step", sa.String, nullable=False),
        sa.Column("before", sa.String, nullable=False),
        sa.Column("after", sa.String, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Index("life_events_by_plan", "plan_id", "seq"),
        sqlite_autoincrement=True,
    )
    _fill(op.get_bind(), lives)


def _whose() -> sa.Column[str]:
    return sa.Column("tenant", sa.String, nullable=False, server_default="default")


def _fill(connection: sa.Connection, lives: sa.Table) -> None:
    put = connection.execute(sa.text("SELECT tenant, plan_id FROM in_force ORDER BY seq")).all()
    ever, last = {row.plan_id for row in put}, {row.plan_id for row in {row.tenant: row for row in put}.values()}
    done = ("SELECT jobs.id, jobs.tenant, jobs.name, documents.result FROM jobs "
            "JOIN documents ON documents.job_id = jobs.id")
    rows = connection.execute(sa.text(f"{done} WHERE jobs.kind = 'plan' AND jobs.status = 'done'"))
    while page := rows.fetchmany(_MANY):
        found = [_life(row.id, row.name, json.loads(row.result)) | {"tenant": row.tenant} for row in page]
        for life in found:
            if life["plan_id"] in ever:
                life["state"] = "in_force" if life["plan_id"] in last else "retired"
        connection.execute(sa.insert(lives), found)


def _life(job_id: str, name: str, plan: dict[str, Any]) -> dict[str, Any]:
    return {"plan_id": job_id, "scenario": name, "state": "draft", "content_id": plan.get("plan_id", ""),
            "parent": plan.get("parent"), "valid_until": plan.get("valid_until", ""),
            "moves": json.dumps([len(wave["moves"]) for wave in plan.get("waves", [])]), "waves_done": 0, "made": "[]",
            "predecessor": None, "verification": None}
