"""The record of who did what cannot be changed, by whatever reaches the database as this program does."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"

_SAYS = "the record is only added to"


def upgrade() -> None:
    """Let the database refuse it."""
    if op.get_bind().dialect.name == "sqlite":
        for what in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER audit_no_{what.lower()} BEFORE {what} ON audit "
                       f"BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END")
        return
    op.execute(f"CREATE FUNCTION audit_only_added() RETURNS trigger LANGUAGE plpgsql AS "
               f"$$ BEGIN RAISE EXCEPTION '{_SAYS}'; END $$")
    op.execute("CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
               "FOR EACH STATEMENT EXECUTE FUNCTION audit_only_added()")
