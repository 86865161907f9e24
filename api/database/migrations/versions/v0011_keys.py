"""Keys of callers, and who did what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add what is new."""
    op.create_table(
        "keys",
        sa.Column("id", sa.String, primary_key=True),
        *(sa.Column(name, sa.String, nullable=name in ("expires_at", "revoked_at"))
          for name in ("tenant", "name", "roles", "digest", "created_at", "expires_at", "revoked_at")),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Index("keys_by_version", "version"),
    )
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.String, nullable=False)
          for name in ("tenant", "at", "caller", "action", "target", "result", "request_id")),
        sa.Index("audit_by_tenant", "tenant", "seq"),
        sqlite_autoincrement=True,
    )
