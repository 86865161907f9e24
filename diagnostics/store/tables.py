"""The tables of the store. Rows are only ever added: the database itself refuses to change or delete any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    DDL,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
)

SCHEMA_VERSION = 1

metadata = MetaData()
schema = Table("model_store_schema", metadata, Column("version", Integer, primary_key=True, autoincrement=False))
versions = Table(
    "model_versions",
    metadata,
    Column("id", String, primary_key=True),
    Column("hardware", String, nullable=False, index=True),
    Column("created_at", String, nullable=False),
    Column("created_by", String, nullable=False),
    Column("file_sha256", String, nullable=False),
    Column("file_bytes", Integer, nullable=False),
    Column("made", Text, nullable=False),
)
history = Table(
    "model_history",
    metadata,
    Column("hardware", String, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("at", String, nullable=False),
    Column("by", String, nullable=False),
    Column("action", String, nullable=False),
    Column("version", ForeignKey("model_versions.id"), nullable=False),
    Column("before", String),
    Column("after", String),
    Column("why", Text, nullable=False),
)
stages = Table(
    "model_stages",
    metadata,
    Column("hardware", String, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("version", ForeignKey("model_versions.id"), primary_key=True),
    Column("stage", String, nullable=False),
    Index("model_stages_by_version", "version", "revision"),
)
evaluations = Table(
    "model_evaluations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", ForeignKey("model_versions.id"), nullable=False),
    Column("kind", String, nullable=False),
    Column("data_sha256", String, nullable=False),
    Column("at", String, nullable=False),
    Column("blocks", LargeBinary, nullable=False),
    UniqueConstraint("version", "kind", "data_sha256"),
)

costs = Table(
    "model_costs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", ForeignKey("model_versions.id"), nullable=False, index=True),
    Column("at", String, nullable=False),
    Column("machine", String, nullable=False),
    Column("content", Text, nullable=False),
)

_DDL: Callable[[str], Any] = DDL
"""With a type, which SQLAlchemy leaves out."""
_POSTGRESQL_REFUSAL = _DDL(
    "CREATE OR REPLACE FUNCTION model_store_append_only() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'rows of the model store are never changed'; END $$"
)
event.listen(metadata, "before_create", _POSTGRESQL_REFUSAL.execute_if(dialect="postgresql"))
for _table in (versions, history, stages, evaluations, costs):
    for _what in ("UPDATE", "DELETE"):
        event.listen(_table, "after_create", _DDL(
            f"CREATE TRIGGER {_table.name}_no_{_what.lower()} BEFORE {_what} ON {_table.name}"
            " BEGIN SELECT RAISE(ABORT, 'rows of the model store are never changed'); END"
        ).execute_if(dialect="sqlite"))
        event.listen(_table, "after_create", _DDL(
            f"CREATE TRIGGER {_table.name}_no_{_what.lower()} BEFORE {_what} ON {_table.name}"
            " FOR EACH ROW EXECUTE FUNCTION model_store_append_only()"
        ).execute_if(dialect="postgresql"))
