"""Rows of one job, put into a table."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, insert


def insert_all(connection: Connection, table: Table, key: str, job_id: str, rows: list[dict[str, Any]]) -> None:
    """Insert rows of one job; columns that the table does not have are left out."""
    names = set(table.columns.keys())
    if rows:
        kept = [{key: job_id} | {name: value for name, value in row.items() if name in names} for row in rows]
        connection.execute(insert(table), kept)
